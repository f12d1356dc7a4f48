"""External authentication by a real HAProxy: another Service decides about each request of a route."""

import contextlib
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import binary
from support.authentication import Authentication, allow
from support.edge import Edge, Endpoints, web
from support.waiting import until

ASKING = {'external_auth_service': 'auth', 'external_auth_path': '/verify?by=headrace'}
AT_ONCE = 8


@pytest.fixture(scope='module')
def endpoints():
    """The endpoints of the applications."""
    with Endpoints() as found:
        yield found


@pytest.fixture(scope='module')
def server():
    """The Service that is asked."""
    with Authentication() as found:
        yield found


@pytest.fixture(scope='module')
def edge(endpoints, server):
    """An edge with one host for each form of authentication."""
    documents = (
        web('app', endpoints, **ASKING, external_auth_response_headers='X-User, X-Groups'),
        web('credentials', endpoints, **ASKING, external_auth_response_headers='Authorization, Cookie'),
        web('url', endpoints, external_auth_url='http://auth.shop.svc.cluster.local/by/url?a=b'),
        web('hasty', endpoints, **ASKING, external_auth_timeout='300ms'),
        web('signin', endpoints, **ASKING, external_auth_signin='https://sso.example.com/start?realm=a'),
        web('near', endpoints, **ASKING, external_auth_signin='/start'),
        web('variable', endpoints, **ASKING, external_auth_signin='https://$host/start?rd=https://$host$request_uri'),
        web('hosted', endpoints, **ASKING, external_auth_signin='$scheme://$host/start'),
        web('fixed', endpoints, **ASKING, external_auth_signin='/start?rd=/home'),
        web('open', endpoints, **ASKING, external_auth_skip_paths='/open, /assets/', external_auth_response_headers='X-User'),
        web('listed', endpoints, **ASKING, satisfy='any', allow='127.0.0.0/8', external_auth_response_headers='X-User'),
        web('unlisted', endpoints, **ASKING, satisfy='any', allow='192.0.2.0/24'),
        web('head', endpoints, **ASKING, external_auth_method='HEAD'),
        web('post', endpoints, **ASKING, external_auth_method='POST'),
        web('body', endpoints, **ASKING, external_auth_body_size='1k'),
        web('large', endpoints, **ASKING, external_auth_body_size='12k', external_auth_method='POST'),
        web('cached', endpoints, **ASKING, external_auth_cache='1h', external_auth_response_headers='X-User'),
        web('edited', endpoints, **ASKING, cors_allow_origin='*', response_headers='X-Edited: yes', rewrite_path='/new'),
        web('sticky', endpoints, external_auth_service='staying', cookie='true'),
        web('dead', endpoints, external_auth_service='nothing'),
        web('lost', endpoints, external_auth_service='nowhere'),
        web('plain', endpoints),
        web('auth', server, host='', address=server.address),
        web('staying', server, host='', address=server.address, cookie='true'),
        web('nothing', server, host='', address='127.0.8.77'),
    )  # fmt: skip
    settings = {'max_authentications_per_namespace': AT_ONCE}
    with Edge(binary('haproxy-3.4'), *(item for found in documents for item in found), **settings) as found:
        yield found


@pytest.fixture(autouse=True)
def answers(server):
    """Let the server allow everything, and forget what it was asked."""
    server.answer = allow
    server.asked.clear()


def answering(server, status, *headers, body=b''):
    """Let the server give one answer."""
    server.answer = lambda _: (status, headers, body)


# --- what is asked ----------------------------------------------------------------------------------------------------


def test_the_service_is_asked_with_the_headers_of_the_client_and_those_of_forward_authentication(edge, server):
    headers = [('Cookie', 'a=b'), ('Authorization', 'Bearer x'), ('Accept', 'text/html'), ('User-Agent', 'browser')]
    assert edge.get('app.com', '/a?b=c&d', method='PUT', headers=headers, body=b'hello').status == 200
    [asked] = server.asked
    assert (asked.method, asked.path, asked.body) == ('GET', '/verify?by=headrace', b'')
    wanted = {
        'host': 'auth.shop.svc', 'cookie': 'a=b', 'authorization': 'Bearer x', 'accept': 'text/html', 'user-agent': 'browser',
        'x-original-url': 'http://app.com/a?b=c&d', 'x-original-method': 'PUT', 'x-forwarded-method': 'PUT',
        'x-forwarded-uri': '/a?b=c&d', 'x-auth-request-redirect': '/a?b=c&d', 'x-forwarded-for': '127.0.0.1',
        'x-forwarded-host': 'app.com', 'x-forwarded-proto': 'http', 'x-forwarded-port': str(edge.http), 'x-headrace-hops': '01',
    }  # fmt: skip
    assert {name: asked.header(name) for name in asked.headers} == wanted


def test_a_url_of_the_namespace_means_its_service(edge, server):
    assert edge.get('url.com').status == 200
    assert (server.asked[0].path, server.asked[0].header('host')) == ('/by/url?a=b', 'auth.shop.svc.cluster.local')


@pytest.mark.parametrize('method', ['head', 'post'])
def test_another_method_asks_without_the_body(edge, server, method):
    assert edge.get(f'{method}.com', method='POST', body=b'x' * 100_000).said['length'] == 100_000
    assert [(asked.method, asked.body) for asked in server.asked] == [(method.upper(), b'')]


def test_what_a_client_says_of_authentication_itself_is_replaced(edge, server):
    forged = ['X-Original-URL', 'X-Original-Method', 'X-Forwarded-Uri', 'X-Auth-Request-Redirect', 'X-Forwarded-Method']
    forged += ['X-Headrace-Backend', 'X-Headrace-Timeout', 'X-Headrace-Client', 'X-Headrace-Busy']
    assert edge.get('app.com', headers=[(name, 'shop_plain_http') for name in forged]).status == 200
    assert [asked.header('x-original-url') for asked in server.asked] == ['http://app.com/']
    assert 'shop_plain_http' not in str({**server.asked[0].headers, 'x-headrace-busy': []})


# --- what becomes of an answer ----------------------------------------------------------------------------------------


def test_headers_of_the_answer_reach_the_application_and_cookies_the_client(edge, server):
    answering(server, 200, ('X-User', 'ann'), ('X-Groups', 'a'), ('X-Groups', 'b, c'), ('X-Other', 'no'), ('Set-Cookie', 's=1; Path=/'), ('Set-Cookie', 't=2'))  # fmt: skip
    answer = edge.get('app.com')
    seen = answer.said['headers']
    assert (seen['x-user'], seen['x-groups'], seen.get('x-other')) == (['ann'], ['a', 'b, c'], None)
    assert answer.headers['set-cookie'] == 's=1; Path=/, t=2'


@pytest.mark.parametrize('name', ['X-User', 'x-user', 'X_User', 'x_USER', 'X-Groups'])
def test_a_client_cannot_forge_a_header_of_the_answer(edge, server, name):
    answer = edge.get('app.com', headers=[(name, 'root'), (name, 'admin'), ('X-Kept', '1')])
    assert {'x-user', 'x_user', 'x-groups'}.isdisjoint(answer.said['headers'])
    assert answer.said['headers']['x-kept'] == ['1']
    assert {'x-user', 'x_user', 'x-groups'}.isdisjoint(server.asked[0].headers)


def test_credentials_are_asked_about_and_then_replaced(edge, server):
    answering(server, 200, ('Authorization', 'Bearer inner'))
    answer = edge.get('credentials.com', headers=[('Authorization', 'Basic outer'), ('Cookie', 'session=1')])
    assert (server.asked[0].header('authorization'), server.asked[0].header('cookie')) == ('Basic outer', 'session=1')
    assert (answer.said['headers']['authorization'], answer.said['headers'].get('cookie')) == (['Bearer inner'], None)


@pytest.mark.parametrize('status', [200, 201, 202, 204, 299])
def test_any_answer_of_success_lets_a_request_on(edge, server, status):
    answering(server, status)
    assert edge.get('app.com').status == 200


@pytest.mark.parametrize('status', [401, 403])
def test_a_refusal_reaches_the_client_as_it_is(edge, server, status):
    headers = (
        ('WWW-Authenticate', 'Bearer realm="a"'),
        ('Set-Cookie', 's=1'),
        ('Content-Type', 'text/html'),
        ('Keep-Alive', 'timeout=5'),
    )
    answering(server, status, *headers, body=b'<p>no')
    answer = edge.get('edited.com', headers=[('Origin', 'https://a.com')])
    assert (answer.status, answer.body) == (status, b'<p>no')
    shown = {
        name: answer.headers.get(name) for name in ('www-authenticate', 'set-cookie', 'content-type', 'keep-alive')
    }
    assert shown == {
        'www-authenticate': 'Bearer realm="a"', 'set-cookie': 's=1', 'content-type': 'text/html', 'keep-alive': None,
    }  # fmt: skip
    # What the route says of all its answers holds for these too.
    assert (answer.headers['access-control-allow-origin'], answer.headers['x-edited']) == ('https://a.com', 'yes')


def test_a_refusal_of_a_head_request_has_no_body(edge, server):
    answering(server, 403, body=b'no')
    assert (edge.get('app.com', method='HEAD').status, edge.get('app.com').body) == (403, b'no')


@pytest.mark.parametrize('status', [300, 301, 302, 304, 400, 404, 407, 429, 500, 502, 503])
def test_any_other_answer_closes_and_no_redirect_is_followed(edge, server, status):
    answering(server, status, ('Location', 'http://127.0.0.1/'), ('X-Headrace-Busy', '1'))
    assert edge.get('app.com').status == 500
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ('name', 'location'),
    [
        ('signin', 'https://sso.example.com/start?realm=a&rd=http%3A%2F%2Fsignin.com%2Fa%3Fb%3D%2520c%26d'),
        ('near', '/start?rd=http%3A%2F%2Fnear.com%2Fa%3Fb%3D%2520c%26d'),
        ('fixed', '/start?rd=/home'),
        ('variable', 'https://variable.com/start?rd=https://variable.com/a?b=%20c&d'),
        ('hosted', 'http://hosted.com/start?rd=http%3A%2F%2Fhosted.com%2Fa%3Fb%3D%2520c%26d'),
    ],
)
def test_an_unknown_client_is_sent_to_sign_in_and_keeps_the_cookie(edge, server, name, location):
    answering(server, 401, ('Set-Cookie', 's=1'), body=b'no')
    answer = edge.get(f'{name}.com', '/a?b=%20c&d')
    assert (answer.status, answer.headers['location'], answer.headers['set-cookie']) == (302, location, 's=1')
    answering(server, 403)
    assert edge.get(f'{name}.com').status == 403


def test_the_cookie_by_which_haproxy_finds_an_endpoint_of_the_service_asked_is_not_the_clients(edge, server):
    answering(server, 200, ('Set-Cookie', 'headrace=theirs'), ('Set-Cookie', 's=1'))
    found = edge.get('sticky.com').headers['set-cookie']
    assert found.startswith('s=1, headrace=') or found.endswith(', s=1')
    assert found.count('headrace=') == 1
    answering(server, 403)
    assert 'set-cookie' not in edge.get('sticky.com').headers


# --- what fails closes ------------------------------------------------------------------------------------------------


def test_a_service_that_takes_too_long_closes(edge, server):
    held = threading.Event()
    server.answer = lambda _: held.wait(10) and allow(_)
    try:
        assert edge.get('hasty.com').status == 500
    finally:
        held.set()


@pytest.mark.parametrize(('host', 'status'), [('dead.com', 500), ('lost.com', 503)])
def test_a_service_that_is_not_there_closes(edge, host, status):
    assert edge.get(host).status == status


BROKEN = {
    'nothing': b'',
    'no answer': b'hello',
    'half a head': b'HTTP/1.1 200 OK\r\nX-User: an',
    'two lengths': b'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    'another protocol': b'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
    'a long body': b'HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n' + b'x' * 20_000,
    'a long body in chunks': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' + b'3a98\r\n' + b'x' * 15_000 + b'\r\n',
    'a long body without a length': b'HTTP/1.1 403 No\r\n\r\n' + b'x' * 20_000,
    'a long head': b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-User: ' + b'x' * 20_000 + b'\r\n\r\n',
}  # fmt: skip


@pytest.mark.parametrize('answer', BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_closes(edge, server, answer):
    server.answer = lambda _: answer
    assert edge.get('hasty.com').status == 500
    server.answer = allow
    assert edge.get('hasty.com').status == 200


def test_an_answer_without_an_end_fills_no_memory_and_closes_or_ends(edge, server):
    """A flood in chunks stops at a buffer, whatever the size of the head before it."""
    head = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Pad: ' + b'x' * 6000 + b'\r\n\r\n'
    flood = head + 2000 * (b'1000\r\n' + b'x' * 4096 + b'\r\n')
    server.answer = lambda _: flood
    before = memory(edge)
    for _ in range(20):
        edge.get('hasty.com')
    assert len(server.asked) == 20
    # Twenty answers have 160 MB.
    assert memory(edge) - before < 20_000


def memory(edge):
    """Return the resident memory of HAProxy in kilobytes."""
    lines = Path(f'/proc/{edge.haproxy.pid}/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith('VmRSS'))


@pytest.mark.parametrize('value', ['a\tb', '"\\%[src]\'', 'x' * 7000, '%s%n|<>', 'ä'])
def test_a_hostile_value_of_an_answer_arrives_as_it_is(edge, server, value):
    answering(server, 200, ('X-User', value), ('Set-Cookie', f'a={value}'))
    answer = edge.get('app.com')
    assert answer.said['headers']['x-user'] == [value]
    assert answer.headers['set-cookie'] == f'a={value}'


# --- paths, bodies, memory --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('path', 'status'),
    [
        ('/open', 200), ('/open/a?b', 200), ('/open?a', 200), ('/assets/a.css', 200), ('/assets', 200),
        ('/', 403), ('/opened', 403), ('/a/open', 403), ('/Open', 403), ('/?/open', 403),
        ('/open/%61', 403), ('/open//a', 403), ('/open/;a', 403), ('/open/.a', 200), ('/open/.../a', 403), ('//open', 403),
    ],
)  # fmt: skip
def test_some_paths_are_not_asked_about(edge, server, path, status):
    answering(server, 403)
    answer = edge.get('open.com', path, headers=[('X-User', 'root')])
    assert answer.status == status
    if status == 200:
        assert 'x-user' not in answer.said['headers']
        assert server.asked == []


def test_a_body_is_sent_along_up_to_its_size_and_reaches_the_application(edge, server):
    assert edge.get('body.com', method='POST', body=b'x' * 1024).said['length'] == 1024
    assert [(asked.method, asked.body) for asked in server.asked] == [('GET', b'x' * 1024)]
    assert edge.get('large.com', method='POST', body=b'y' * 12288).said['length'] == 12288
    assert server.asked[1].body == b'y' * 12288
    assert edge.get('body.com').status == 200
    assert (server.asked[2].body, server.asked[2].header('content-length')) == (b'', None)


@pytest.mark.parametrize(
    ('host', 'request_', 'status'),
    [
        pytest.param('body.com', {'body': b'x' * 1025}, 413, id='too large'),
        pytest.param(
            'large.com', {'body': b'x' * 12288, 'headers': [('X-A', 'a' * 5000)]}, 413, id='beyond the buffer'
        ),
        pytest.param('body.com', {'headers': [('Transfer-Encoding', 'chunked')]}, 411, id='without a length'),
    ],
)
def test_a_body_that_cannot_be_sent_along_is_refused(edge, server, host, request_, status):
    if 'body' in request_:
        assert edge.get(host, method='POST', **request_).status == status
    else:
        with socket.create_connection(('127.0.0.1', edge.http), timeout=10) as connection:
            head = f'POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n'
            connection.sendall(head.encode() + b'5\r\nhello\r\n0\r\n\r\n')
            assert connection.recv(1000).split()[1] == str(status).encode()
    assert server.asked == []


def test_a_body_by_http2_without_a_length_is_refused(edge, server):
    assert edge.post_h2('body.com', body=b'hello', late=True) == 411
    assert server.asked == []


def test_an_answer_is_remembered_for_the_same_request_alone(edge, server):
    answering(server, 200, ('X-User', 'ann'))
    same = {'headers': [('Cookie', 'a=1'), ('Authorization', 'x')]}
    for _ in range(3):
        assert edge.get('cached.com', '/a', **same).said['headers']['x-user'] == ['ann']
    assert len(server.asked) == 1
    answering(server, 403)
    for other in (
        {**same, 'method': 'PUT'}, {**same, 'path': '/b'}, {**same, 'path': '/a?b'},
        {'headers': [('Cookie', 'a=2'), ('Authorization', 'x')]}, {'headers': [('Cookie', 'a=1')]},
        {'headers': [('Cookie', 'a=1'), ('Authorization', 'y')]},
    ):  # fmt: skip
        assert edge.get('cached.com', **{'path': '/a', **other}).status == 403
    assert edge.get('cached.com', '/a', **same).said['headers']['x-user'] == ['ann']


@pytest.mark.parametrize('answer', [(403, ()), (401, ()), (500, ()), (200, (('Set-Cookie', 's=1'),))])
def test_refusals_and_answers_with_cookies_are_not_remembered(edge, server, answer):
    answering(server, answer[0], *answer[1])
    path = f'/{answer[0]}'
    first = edge.get('cached.com', path)
    second = edge.get('cached.com', path)
    assert (first.status, first.headers.get('set-cookie')) == (second.status, second.headers.get('set-cookie'))
    assert len(server.asked) == 2


# --- many at once -----------------------------------------------------------------------------------------------------


def test_a_namespace_has_so_many_requests_at_once_and_others_are_told_to_come_back(edge, server):
    held = threading.Event()
    server.answer = lambda _: held.wait(10) and allow(_)
    with ThreadPoolExecutor(AT_ONCE + 4) as pool:
        waiting = [pool.submit(edge.get, 'app.com') for _ in range(AT_ONCE)]
        until(lambda: len(server.asked) == AT_ONCE, 'all are asked about')
        refused = [edge.get('app.com') for _ in range(4)]
        held.set()
        assert [answer.status for answer in refused] == [503] * 4
        assert {answer.headers['retry-after'] for answer in refused} == {'1'}
        assert Counter(found.result().status for found in waiting) == {200: AT_ONCE}
    assert edge.get('app.com').status == 200


def test_no_header_of_a_client_gives_its_namespace_a_second_share(edge, server):
    release = threading.Event()
    server.answer = lambda _: release.wait(10) and allow(_)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [pool.submit(edge.get, 'app.com') for _ in range(AT_ONCE)]
        until(lambda: len(server.asked) == AT_ONCE, 'all are asked about')
        names = ('Purpose', 'Backend', 'Client', 'Timeout', 'Answer', 'Busy')
        refused = [edge.get('app.com', headers=[(f'X-Headrace-{name}', 'x')]).status for name in names]
        release.set()
        assert refused == [503] * len(names)
        assert Counter(found.result().status for found in waiting) == {200: AT_ONCE}


def test_a_client_does_not_see_the_mark_of_an_endpoints_answer(edge, server):
    answering(server, 401)
    assert 'x-headrace-answer' not in edge.get('app.com').headers


def test_clients_that_go_away_leave_their_places(edge, server):
    held = threading.Event()
    server.answer = lambda _: held.wait(10) and allow(_)
    with contextlib.ExitStack() as closing:
        closing.callback(held.set)
        for _ in range(AT_ONCE):
            connection = closing.enter_context(socket.create_connection(('127.0.0.1', edge.http), timeout=10))
            connection.sendall(b'GET / HTTP/1.1\r\nHost: app.com\r\n\r\n')
        until(lambda: len(server.asked) == AT_ONCE, 'all are asked about')
    until(
        lambda: edge.haproxy.command('show table internal-namespaces').rstrip().endswith('conn_cur=0'),
        'no request is in flight',
    )
    assert edge.get('app.com').status == 200


def test_authentication_goes_on_while_clients_have_all_connections_that_they_may_have(endpoints, server):
    documents = [*web('app', endpoints, **ASKING), *web('auth', server, host='', address=server.address)]
    with Edge(binary('haproxy-3.4'), *documents, maxconn=20) as edge, contextlib.ExitStack() as closing:
        connections = [
            closing.enter_context(socket.create_connection(('127.0.0.1', edge.http), timeout=10)) for _ in range(20)
        ]
        for connection in connections:
            connection.sendall(b'GET / HTTP/1.1\r\nHost: app.com\r\n\r\n')
        assert [connection.recv(100).split()[1] for connection in connections] == [b'200'] * 20


def test_a_plain_route_is_not_asked_about(edge, server):
    assert edge.get('plain.com').status == 200
    assert server.asked == []


def test_who_is_on_the_list_is_not_asked_about_where_either_suffices(edge, server):
    answering(server, 401)
    assert edge.get('listed.com').status == 200
    assert edge.get('listed.com', headers=[('X-User', 'me')]).said['headers'].get('x-user') is None
    assert edge.get('unlisted.com').status == 401
    answering(server, 200)
    assert edge.get('unlisted.com').status == 200


# --- the host of the request, hosts outside, and the class ------------------------------------------------------------


@pytest.fixture(scope='module')
def served(endpoints, server):
    """An edge whose hosts serve their own authentication, below paths that need none."""
    asks = {'external_auth_url': 'https://$host/oauth2/auth', 'path': '/app'}
    documents = (
        *web('own', endpoints, **asks),
        *web('ownauth', server, host='own.com', path='/oauth2', address=server.address),
        *web('wild', endpoints, host='*.wild.com', **asks),
        *web('wildauth', server, host='*.wild.com', path='/oauth2', address=server.address),
        *web('closed', endpoints, **asks),
        *web('closedauth', server, host='closed.com', path='/oauth2', address=server.address, deny='nothing'),
        *web('foreign', endpoints, **asks),
        *of_bank(web('foreignauth', server, host='foreign.com', path='/oauth2', address=server.address)),
        *web('templated', endpoints, external_auth_service='ownauth', external_auth_path='/v$uri?u=$scheme://$host$request_uri&e=$escaped_request_uri'),
    )  # fmt: skip
    with Edge(binary('haproxy-3.4'), *documents, host_sharing='paths') as found:
        yield found


def of_bank(documents):
    """Return documents of another namespace."""
    return tuple({**item, 'metadata': {**item['metadata'], 'namespace': 'bank'}} for item in documents)


@pytest.mark.parametrize('host', ['own.com', 'a.wild.com'])
def test_who_serves_the_host_of_the_request_is_asked(host, served, server):
    assert served.get(host, '/app/x', headers=[('Cookie', 'a=b')]).status == 200
    (asked,) = server.asked
    assert (asked.path, asked.header('host'), asked.header('cookie')) == ('/oauth2/auth', host, 'a=b')
    assert not [name for name in asked.headers if name.startswith('x-headrace') and name != 'x-headrace-hops']
    answering(server, 403)
    assert served.get(host, '/app').status == 403


@pytest.mark.parametrize('host', ['closed.com', 'foreign.com'])
def test_neither_a_closed_route_nor_another_namespace_is_asked(host, served, server):
    assert served.get(host, '/app').status == 500
    assert server.asked == []


def test_variables_of_what_is_asked_stand_for_parts_of_the_request(served, server):
    assert served.get('templated.com', "/a'|b?c=d%20e&f").status == 200
    wanted = "/v/a'%7Cb?u=http://templated.com/a'%7Cb?c=d%20e&f&e=%2Fa%27%7Cb%3Fc%3Dd%2520e%26f"
    assert [asked.path for asked in server.asked] == [wanted]


def test_a_host_that_is_none_closes(served, server):
    assert served.get('a$b.wild.com', '/app').status in (400, 404, 500)
    assert server.asked == []


def test_the_class_authenticates_routes_without_authentication_of_their_own(endpoints, server):
    documents = (
        *web('app', endpoints),
        *web('free', endpoints, global_auth='false'),
        *of_bank(web('auth', server, host='', address=server.address)),
    )
    settings = {'global_auth': {'url': 'http://auth.bank.svc/verify', 'response-headers': 'X-User'}}
    with Edge(binary('haproxy-3.4'), *documents, **settings) as found:
        answering(server, 200, ('X-User', 'ann'))
        assert found.get('app.com', headers=[('X-User', 'root')]).said['headers']['x-user'] == ['ann']
        answering(server, 403)
        assert found.get('app.com').status == 403
        assert found.get('app.com', '/.well-known/acme-challenge/a').status == 200
        assert found.get('free.com').status == 200
