"""Routes with conditions, by a real HAProxy: the first candidate of the Gateway API's order whose conditions fit serves.

The candidates are made up: no object makes any yet. What HAProxy does is compared with an oracle that judges the candidates alone.
"""

import contextlib
import random
import re
import socket
from pathlib import Path

import pytest

from conftest import binary
from headrace.ir.pointers import Pointer
from headrace.names import Ref
from headrace.translate.regular_expressions import parse
from support.edge import Endpoints, web
from support.routed import NEW, OLD, Routed, candidate, chosen, conditions, route

NAMES = [f's{number}' for number in range(8)]


@pytest.fixture(scope='module')
def endpoints():
    """The endpoints of all Services."""
    with Endpoints() as found:
        yield found


@pytest.fixture
def started(endpoints):
    """Start edges with made-up routes, and end all of them."""
    with contextlib.ExitStack() as closing:

        def start(*wanted, services=(), **settings):
            documents = [item for place, name in enumerate(NAMES) for item in service(name, place, endpoints)]
            found = Routed(binary('haproxy-3.4'), *documents, *services, wanted=wanted, **settings)
            return closing.enter_context(found)

        yield start


def service(name, place, endpoints):
    """Return a Service whose endpoint is known by its address."""
    return web(name, endpoints, address=f'127.0.9.{place + 1}')


def served(edge, path='/', *, host='r.com', **request):
    """Return the Service that served a request, or the status that headrace answered with."""
    answer = edge.get(host, path, **request)
    if answer.status != 200 or not answer.body.startswith(b'{'):
        return answer.status
    return NAMES[int(answer.said['at'].rpartition('.')[2]) - 1]


HEADER = candidate('s1', conditions(headers=[('x-user', 'alice')]), rule=1)
EXPRESSION = candidate('s2', conditions(headers=[('x-user', r'\A(?:b[a-z]+)\z', True)]), rule=2)
METHOD = candidate('s3', conditions('PUT'), rule=3)
QUERY = candidate('s4', conditions(query=[('v', '2')]), rule=4)
BOTH = candidate('s5', conditions(headers=[('x-user', 'alice')], query=[('v', '2')]), rule=5)
ON_PATH = candidate('s6', conditions(path=r'\A(?:/api/v[0-9]+)\z'), rule=6)
LAST = candidate('s0', rule=7)
API = [(route('/api'), item) for item in (HEADER, EXPRESSION, METHOD, QUERY, BOTH, ON_PATH)]
ALL = [*API, (route('/'), LAST)]


@pytest.mark.parametrize(
    ('request_', 'wanted'),
    [
        pytest.param({'headers': [('X-User', 'alice')]}, 's1', id='header'),
        pytest.param({'headers': [('x-user', 'alice2')]}, 's0', id='another value of the header'),
        pytest.param({'headers': [('x-user', 'alice'), ('x-user', 'bob')]}, 's0', id='two headers of one name'),
        pytest.param({'headers': [('x-user', 'bob')]}, 's2', id='expression of a header'),
        pytest.param({'headers': [('x-user', 'Bob')]}, 's0', id='expressions heed case'),
        pytest.param({'method': 'PUT'}, 's3', id='method'),
        pytest.param({'method': 'PUT', 'headers': [('x-user', 'alice')]}, 's3', id='method before header'),
        pytest.param({'path': '/api?v=2'}, 's4', id='query parameter'),
        pytest.param({'path': '/api?a=1&%76=%32'}, 's4', id='query parameter with escapes'),
        pytest.param({'path': '/api?v=1&v=2'}, 's0', id='the first of two query parameters counts'),
        pytest.param({'path': '/api?v=2', 'headers': [('x-user', 'alice')]}, 's5', id='header and query parameter'),
        pytest.param({'path': '/api/v12'}, 's6', id='expression of the path'),
        pytest.param({'path': '/api/v12/x'}, 's0', id='an expression is of the whole path'),
        pytest.param({'path': '/api'}, 's0', id='fall-through to the shorter prefix'),
        pytest.param({'path': '/apis', 'headers': [('x-user', 'alice')]}, 's0', id='another path'),
    ],
)
def test_a_request_is_served_by_the_first_candidate_that_fits(request_, wanted, matrix):
    assert served(matrix, **{'path': '/api', **request_}) == wanted


@pytest.fixture(scope='module')
def matrix(endpoints):
    """An edge with all kinds of conditions."""
    documents = [item for place, name in enumerate(NAMES) for item in service(name, place, endpoints)]
    with Routed(binary('haproxy-3.4'), *documents, wanted=ALL) as found:
        yield found


def test_a_host_as_a_client_may_write_it_has_its_conditions(matrix):
    assert served(matrix, '/api', host='R.com:80', headers=[('x-user', 'alice')]) == 's1'


def test_a_plain_route_of_an_annotated_service_is_served_beside(matrix):
    assert served(matrix, host='s7.com') == 's7'


def test_a_request_falls_through_over_several_paths_and_from_the_exact_one(started):
    edge = started(
        (route('/a/b', match='exact'), candidate('s1', conditions('PUT'))),
        (route('/a/b'), candidate('s2', conditions('POST'))),
        (route('/a'), candidate('s3', conditions(headers=[('x', '1')]))),
        (route('/'), candidate('s4', conditions('GET'))),
    )
    assert [served(edge, '/a/b', method=method) for method in ('PUT', 'POST', 'GET')] == ['s1', 's2', 's4']
    assert served(edge, '/a/b', method='OPTIONS', headers=[('x', '1')]) == 's3'
    assert served(edge, '/a/b/c', method='PUT') == 404
    assert served(edge, '/a/b', method='OPTIONS') == 404


def test_a_request_falls_through_to_wildcards_and_any_host(started):
    edge = started(
        (route('/', host='r.w.com'), candidate('s1', conditions('PUT'))),
        (route('/', host='*.w.com'), candidate('s2', conditions('POST'))),
        (route('/', host='*'), candidate('s3', conditions('GET'))),
    )
    assert [served(edge, host='r.w.com', method=method) for method in ('PUT', 'POST', 'GET')] == ['s1', 's2', 's3']
    assert served(edge, host='r.w.com', method='OPTIONS') == 404


@pytest.mark.parametrize(
    ('first', 'second', 'winner'),
    [
        pytest.param(('z', OLD), ('a', NEW), 's1', id='the older object'),
        pytest.param(('a', OLD), ('b', OLD), 's1', id='the name'),
    ],
)
def test_of_two_objects_the_first_in_order_serves_and_the_other_takes_over(first, second, winner, started):
    wanted = conditions(headers=[('x', '1')])
    one = candidate('s1', wanted, owner=first[0], created=first[1])
    two = candidate('s2', wanted, owner=second[0], created=second[1])
    edge = started((route(), two), (route(), one))
    assert served(edge, headers=[('x', '1')]) == winner
    edge.exchange(one.owner, [])
    assert served(edge, headers=[('x', '1')]) == 's2'


def test_commands_change_conditions_at_once_and_without_a_reload(started):
    edge = started(
        (route('/a'), candidate('s1', conditions('GET'), owner='a')), (route('/'), candidate('s0', owner='b'))
    )
    pid = edge.haproxy.command('show info').partition('\nPid: ')[2].split('\n')[0]
    assert served(edge, '/a/b') == 's1'
    ref = Ref('HTTPRoute', 'shop', 'a')
    # A change of the shorter path is seen by requests that fall through to it.
    for number in range(2, 7):
        edge.exchange(ref, [(route('/a'), candidate('s1', conditions('PUT'), owner='a'))])
        edge.exchange(
            Ref('HTTPRoute', 'shop', 'b'), [(route('/'), candidate(f's{number}', conditions('GET'), owner='b'))]
        )
        assert served(edge, '/a/b') == f's{number}'
        edge.exchange(ref, [(route('/a'), candidate('s1', conditions('GET'), owner='a'))])
        assert served(edge, '/a/b') == 's1'
    edge.exchange(ref, [(route('/a'), candidate('s1', owner='a'))])
    assert served(edge, '/a/b', method='PUT') == 's1'
    edge.exchange(ref, [])
    assert served(edge, '/a/b', method='PUT') == 404
    assert edge.haproxy.command('show info').partition('\nPid: ')[2].split('\n')[0] == pid


def test_an_expression_of_one_tenant_does_not_match_for_the_route_of_another(started):
    edge = started(
        (route('/', host='a.com'), candidate('s1', conditions(headers=[('x', '.*', True)]), owner='a')),
        (route('/', host='b.com'), candidate('s2', conditions(headers=[('x', r'\Ab\z', True)]), owner='b')),
        (route('/', host='c.com'), candidate('s3', conditions(headers=[('x', r'(', True)]), owner='c')),
    )
    assert served(edge, host='a.com', headers=[('x', 'anything')]) == 's1'
    assert served(edge, host='b.com', headers=[('x', 'anything')]) == 404
    assert served(edge, host='b.com', headers=[('x', 'b')]) == 's2'


def test_a_route_whose_expression_cannot_be_compiled_is_closed(started):
    broken = candidate('s3', conditions(headers=[('x', '(', True)]))
    edge = started((route('/a'), broken), (route('/'), candidate('s0', owner='b')))
    assert served(edge, '/a', headers=[('x', '(')]) == 503
    assert served(edge, '/b', headers=[('x', '(')]) == 's0'


HOSTILE = [
    pytest.param('a,b!c', id='separators'),
    pytest.param(',shop_s7_http||,', id='a candidate'),
    pytest.param('shop_s7_http||X!hx!y', id='a target'),
    pytest.param('"\'`$(x)%41[var(txn.route)]', id='quotes and variables'),
    pytest.param('a;b #c \\d\\', id='what ends commands'),
    pytest.param('\x1e\x1f\x01', id='control characters'),
    pytest.param('é\u2028😀', id='characters that are not ASCII'),
    pytest.param('%2C%21', id='escapes'),
]


@pytest.mark.parametrize(
    'text', [*HOSTILE, pytest.param('a\nb\r\n<<\n', id='line ends'), pytest.param('a\0b', id='NUL')]
)
def test_a_hostile_value_of_a_query_parameter_is_compared_as_it_is(text, started):
    ref = Ref('HTTPRoute', 'shop', 'a')
    wanted = [(route('/a'), candidate('s1', conditions(query=[(text, text)])))]
    edge = started(*wanted, (route('/'), candidate('s0', owner='b')))
    escaped = ''.join(f'%{byte:02x}' for byte in text.encode())
    for _ in range(2):
        assert served(edge, f'/a?{escaped}={escaped}') == 's1'
        assert served(edge, f'/a?{escaped}={escaped}x') == 's0'
        # The same by commands.
        edge.exchange(ref, [])
        assert served(edge, f'/a?{escaped}={escaped}') == 's0'
        edge.exchange(ref, wanted)


@pytest.mark.parametrize('text', HOSTILE)
def test_a_hostile_value_of_a_header_is_compared_as_it_is(text, started):
    edge = started(
        (route('/a'), candidate('s1', conditions(headers=[('x', text)]))), (route('/'), candidate('s0', owner='b'))
    )
    if '\x1e' not in text:
        assert served(edge, '/a', headers=[('x', text.encode())]) == 's1'
    assert served(edge, '/a', headers=[('x', text.encode()[:-1] or b'.')]) == 's0'


def test_invalid_utf_8_in_a_request_matches_no_value(started):
    edge = started(
        (route('/a'), candidate('s1', conditions(headers=[('x', '\ufffd')]))),
        (route('/a'), candidate('s2', conditions(query=[('x', '\ud800')]), rule=1)),
        (route('/'), candidate('s0', owner='b')),
    )
    assert served(edge, '/a', headers=[('x', b'\xff\xfe')]) == 's0'
    assert served(edge, '/a?x=%ff%fe') == 's0'


def test_an_odd_path_that_could_be_read_as_another_route_is_refused(started):
    edge = started(
        (route('/'), candidate('s0', conditions('GET'))),
        (route('/admin'), candidate('s1', conditions('GET'))),
        (route('/', host='*'), candidate('s2')),
    )
    assert served(edge, '/x%41') == 's0'
    assert served(edge, '/%61dmin') == 400
    assert served(edge, '//admin') == 400
    # Which route of a less specific host is meant is not compared.
    assert served(edge, '/x%41', method='PUT') == 400
    assert served(edge, '/x', method='PUT') == 's2'


def test_a_prefix_of_a_route_with_conditions_is_rewritten(started, endpoints):
    rewriting = service('s7', 7, endpoints)
    documents = [item for place, name in enumerate(NAMES[:7]) for item in service(name, place, endpoints)]
    rewriting[0]['metadata']['annotations'].update({'headrace.io/rewrite-path': '/new'})
    with Routed(binary('haproxy-3.4'), *documents, *rewriting) as edge:
        target = Pointer(*edge.entry('s7.com/').split('|'))
        ref = Ref('HTTPRoute', 'shop', 'a')
        edge.exchange(
            ref,
            [
                (route('/a'), candidate('s7', conditions('GET'), target=target)),
                (route('/'), candidate('s7', target=target)),
            ],
        )
        assert edge.get('r.com', '/a/x').said['path'] == '/new/x'
        assert edge.get('r.com', '/a/x', method='PUT').said['path'] == '/new/a/x'


# --- expressions, and many routes ----------------------------------------------------------------------------------------

EXPRESSIONS_OF_USERS = [
    r'[a-z]+',
    r'(?i)[a-z]+',
    r'a|ab|abc',
    r'(a|b){2,3}c?',
    r'\d{1,3}(\.\d{1,3}){3}',
    r'.*needle.*',
    r'[^;,!]*[;,!].*',
    r'\w+@([a-z0-9-]+[.])+com',
    r'^x$',
    r'caf\xc3\xa9|na.*',
    r'[]x-]+?',
    r'(\bone\b|two\s*)+',
    r'',
]
TEXTS = [
    'abc',
    'ABC',
    'ab',
    'bbac',
    '10.1.2.3',
    f'{"x" * 5000}needle',
    'a;b',
    'a,b!',
    'u@a.b-c.com',
    'x',
    'café',
    ']x-',
    'two two one',
    '"',
]


def test_expressions_of_users_match_in_haproxy_as_python_says(started):
    wanted = [
        (route(f'/{number}'), candidate('s1', conditions(headers=[('x', parse(text), True)]), rule=number))
        for number, text in enumerate(EXPRESSIONS_OF_USERS)
    ]
    edge = started(*wanted, (route('/'), candidate('s0', owner='b')))
    for number, expression in enumerate(EXPRESSIONS_OF_USERS):
        for value in TEXTS:
            found = re.fullmatch(expression.encode(), value.encode()) is not None
            got = served(edge, f'/{number}', headers=[('x', value.encode())])
            assert got == ('s1' if found else 's0'), (expression, value)


def test_an_expression_that_would_take_exponential_time_ends_without_a_match(started):
    # PCRE2 has a bound of 5,000 trials for each; without one the last of them takes longer than the client waits.
    wanted = [(route('/'), candidate('s0', owner='b'))]
    for number, text in enumerate((r'(a|b|ab)*c', r'(a+b?)+c', r'(a|a)*c')):
        wanted.append(
            (route(f'/{number}'), candidate('s1', conditions(headers=[('x', parse(text), True)]), rule=number))
        )
    edge = started(*wanted)
    for number in range(3):
        assert served(edge, f'/{number}', headers=[('x', 'ab' * 2000)]) == 's0'
        assert served(edge, f'/{number}', headers=[('x', 'a' * 4000)]) == 's0'


MANY = 10_000


def test_the_memory_of_many_routes_with_conditions_is_bounded(started):
    wanted = [
        (route(f'/p{number}'), candidate('s1', conditions(headers=[('x', f'{number}')]), rule=number))
        for number in range(MANY)
    ]
    edge = started(*wanted)
    before = resident(edge)
    with socket.create_connection(('127.0.0.1', edge.http)) as connection:
        reader = connection.makefile('rb')
        for first in range(0, MANY, 50):
            # No header fits, so each is judged and none reaches an endpoint.
            connection.sendall(
                b''.join(
                    b'GET /p%d HTTP/1.1\r\nHost: r.com\r\nx: none\r\n\r\n' % number
                    for number in range(first, first + 50)
                )
            )
            for _ in range(50):
                head = b''.join(iter(reader.readline, b'\r\n'))
                assert head.startswith(b'HTTP/1.1 404 ')
                reader.read(int(re.search(rb'content-length: (\d+)', head)[1]))
    # Seen: 12 MB.
    assert resident(edge) - before < 40_000


def resident(edge):
    """Return the memory of HAProxy in kB."""
    pid = edge.haproxy.command('show info').partition('\nPid: ')[2].split('\n')[0]
    return int(re.search(r'VmRSS:\s+(\d+)', Path(f'/proc/{pid}/status').read_text())[1])


# --- random routes and requests -----------------------------------------------------------------------------------------

PATHS = ['/', '/a', '/a/b', '/a/b/c', '/ab']
VALUES = ['1', '2', 'a,b', '!', 'x y']
EXPRESSIONS = [r'\A(?:[0-9])\z', r'\A(?:a.*)\z', r'!']


def drawn_conditions(draw):
    def matches(names):
        kinds = [(VALUES, False), (VALUES, False), (EXPRESSIONS, True)]
        found = []
        for name in draw.sample(names, draw.randint(0, 2)):
            values, expression = draw.choice(kinds)
            found.append((name, draw.choice(values), expression))
        return found

    return conditions(draw.choice(['', '', 'GET', 'PUT']), matches(['x', 'y']), matches(['q', 'r']))


def drawn_routes(draw):
    wanted = []
    for owner in 'abc':
        created = draw.choice([OLD, NEW])
        for rule in range(draw.randint(0, 5)):
            found = candidate(draw.choice(NAMES), drawn_conditions(draw), owner=owner, created=created, rule=rule)
            wanted.append((route(draw.choice(PATHS), match=draw.choice(['prefix', 'exact'])), found))
    return wanted


def drawn_request(draw):
    path = draw.choice([*PATHS, '/a/', '/a/x', '/abc'])
    names = [draw.choice(['x', 'X', 'y']) for _ in range(draw.randint(0, 3))]
    headers = [(name, draw.choice(VALUES)) for name in names]
    query = '&'.join(
        f'{draw.choice(["q", "r", "%71"])}={draw.choice(["1", "2", "a,b", "a%2Cb", "!", "%21", "x+y"])}'
        for _ in range(draw.randint(0, 3))
    )
    return path, draw.choice(['GET', 'GET', 'PUT', 'OPTIONS']), query, headers


def test_random_requests_are_served_as_the_oracle_says(matrix):
    """Each round exchanges all objects by commands, so values meet caches of the rounds before."""
    draw = random.Random(7)
    kept = Ref('HTTPRoute', 'shop', 'a')
    for _ in range(20):
        wanted = [(place_on('o.com', place), item) for place, item in drawn_routes(draw)]
        for owner in 'abc':
            ref = Ref('HTTPRoute', 'shop', owner)
            own = [(place, item) for place, item in wanted if item.owner == ref]
            matrix.exchange(ref, [*(ALL if ref == kept else []), *own])
        for _ in range(20):
            path, method, query, headers = drawn_request(draw)
            asked = [(name, value.encode()) for name, value in headers]
            found = chosen(wanted, 'o.com', path, method=method, query=query.encode(), headers=asked)
            target = f'{path}?{query}' if query else path
            got = served(matrix, target, host='o.com', method=method, headers=headers)
            assert got == (found.candidate.target.backend.split('_')[1] if found else 404), (
                wanted,
                target,
                method,
                headers,
            )


def place_on(host, place):
    return route(place.path, host=host, match=place.match)
