"""Expressions of a path's beginning, and paths that are made of what their groups matched, by a real HAProxy."""

import contextlib

import pytest

from conftest import binary
from headrace.ir.pointers import Pointer
from headrace.ir.routing import Conditions
from headrace.translate.regular_expressions import parse_beginning
from support import wire
from support.edge import Edge, Endpoints, web
from support.routed import Routed, candidate, route

# Expression, template, path, and what the endpoint gets.
CASES = [
    ('/api(/|$)(.*)', '/$2', '/api/v1/users', '/v1/users'),
    ('/api(/|$)(.*)', '/$2', '/api', '/'),
    ('/api(/|$)(.*)', '/$2', '/api?a=b', '/?a=b'),
    ('/api(/|$)(.*)', '/x/$2?', '/API/a', '/x/a%3F'),
    ('/(a|b)/(c)?(d)?/(.*)', '/$1-$2-$3-$4', '/b/d/e', '/b--d-e'),
    ('/(?:(a)|(b))/(.*)', '/$1$2/$3', '/b/x', '/b/x'),
    ('/((x)|(y))*/(z)', '/$1$2$3$4', '/xy/z', '/yyz'),
    ('/((x)|(y))*-(z)', '/$1$2$3$4', '/-z', '/z'),
    ('/n((a)(b)){0}(.*)', '/x$1$2$3/$4', '/nc', '/x/c'),
    ('/(a){2}(b)+(c)*?(.*)', '/$1$2$3$4', '/aabbcc', '/abcc'),
    ('/(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)', '/$9$10', '/abcdefghij', '/ia0'),
    ('/f(.*)', '/$1', '/fa%2Fb%C3%A9%20', '/a%2Fb%C3%A9%20'),
    ('/f(..)(.*)', '/$2/$1', '/f%41b', '/1b/%254'),
    ('/f(.*)', '/g', '/f/anything', '/g'),
    ('/f[0-9]+', '/g/$1', '/f7/x', '/g/'),
    ('/f(.*)', '/a/$1', '/f|"<>\\^`{}', '/a/|"<>\\^`{}'),
]


@pytest.fixture(scope='module')
def endpoints():
    """The endpoints of all Services."""
    with Endpoints() as found:
        yield found


@pytest.fixture(scope='module')
def edge(endpoints):
    """An edge with a host for each case, and one where an expression leads to a Service that a plain route does not."""
    with contextlib.ExitStack() as closing:
        wanted = [
            (route(host=f'c{number}.com'), rewritten('web', number, case[0])) for number, case in enumerate(CASES)
        ]
        wanted += [
            (route(host='two.com'), candidate('web', matching('/admin'))),
            (route(host='two.com'), candidate('other', rule=1)),
            (route(host='long.com'), candidate('web', matching('/a'))),
            (route(host='long.com'), candidate('other', matching('/ab?c?'), rule=1)),
            (route(host='none.com'), candidate('web', target=Pointer('shop_web_http', 'none', 'f'))),
            (route(host='out.com'), rewritten('web', 'out', '/f(.*)')),
        ]
        documents = (*web('web', endpoints), *web('other', endpoints, address='127.0.9.2'))
        templates = {f'p{number}': case[1] for number, case in enumerate(CASES)} | {'pout': '/in/$1'}
        yield closing.enter_context(Rewriting(binary('haproxy-3.4'), *documents, wanted=wanted, templates=templates))


class Rewriting(Routed):
    """An edge whose made-up policies rewrite."""

    def __init__(self, binary, *documents, templates, **settings):
        super().__init__(binary, *documents, **settings)
        self.templates = templates

    def rendered(self, made):
        text = ''.join(f'{key} {value}\n' for key, value in sorted(self.templates.items()))
        return super().rendered(made) | {'maps/rewrite-captures.map': text.encode()}


def matching(expression):
    """Return conditions with an expression of the path's beginning."""
    return Conditions(path=parse_beginning(expression), path_length=len(expression))


def rewritten(backend, policy, expression):
    """Return a candidate with an expression, under a policy that rewrites."""
    return candidate(backend, matching(expression), target=Pointer(f'shop_{backend}_http', f'p{policy}', 'f'))


def ask(edge, host, path):
    """Return the status of a request whose path is sent as it stands, and what the endpoint heard."""
    with contextlib.closing(wire.connect(edge.http)) as connection:
        came = wire.send(connection, f'GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'.encode())
    status = wire.statuses(came)[0]
    return status, wire.said(came.partition(b'\r\n\r\n')[2])['path'] if status == 200 else ''


@pytest.mark.parametrize('number', range(len(CASES)), ids=[f'{case[0]} {case[2]}' for case in CASES])
def test_groups_of_the_expression_make_the_path(edge, number):
    _, _, path, wanted = CASES[number]
    assert ask(edge, f'c{number}.com', path) == (200, wanted)


@pytest.mark.parametrize(
    'path', ['/f../x', '/f%2e%2e/x', '/f..', '/f.%2E%2fx', '/f..;/x', '/f..%5cx', '/f' + 'a' * 9000]
)
def test_no_path_leads_out_of_the_template(edge, path):
    assert ask(edge, 'out.com', path)[0] == 400


@pytest.mark.parametrize('path', ['/admin', '/ADMIN', '/admin/x', '/administer', '/admin%20', '/admin;x'])
def test_an_expression_is_of_the_beginning_and_heeds_no_case(edge, path):
    assert edge.get('two.com', path).said['at'] == '127.0.9.1'


@pytest.mark.parametrize('path', ['/%61dmin', '/%61DMIN/x', '//admin', '/%2Fadmin', '/;x/admin', '/%5Cadmin'])
def test_a_path_that_the_expression_matches_in_one_reading_only_is_refused(edge, path):
    assert ask(edge, 'two.com', path)[0] == 400


@pytest.mark.parametrize('path', ['/', '/%62', '//b', '/b%2Fadmin', '/adm'])
def test_other_paths_go_on_to_the_next_candidate(edge, path):
    assert edge.get('two.com', path).said['at'] == '127.0.9.2'


def test_the_longest_expression_counts_first(edge):
    assert edge.get('long.com', '/a').said['at'] == '127.0.9.2'


def test_a_policy_that_rewrites_by_captures_serves_no_request_without_any(edge):
    assert edge.get('none.com').status == 400


def test_a_service_has_expressions_of_paths(endpoints):
    documents = (
        *web('web', endpoints, path='/api(/|$)(.*) /static/.*[.](js|css)', path_type='RegularExpression'),
        *web('new', endpoints, path='/api(/|$)(.*)', path_type='RegularExpression', rewrite_path='/v1/$2'),
        *web('rest', endpoints, host='web.com', address='127.0.9.2'),
        *web('longer', endpoints, host='web.com', path='/api/plain', address='127.0.9.3'),
    )
    with Edge(binary('haproxy-3.4'), *documents) as edge:
        found = {
            path: edge.get('web.com', path).said['at'][-1] for path in ('/api', '/API/x', '/static/a.css', '/apis', '/')
        }
        assert found == {'/api': '1', '/API/x': '1', '/static/a.css': '1', '/apis': '2', '/': '2'}
        assert edge.get('web.com', '/api/plain/x').said['at'] == '127.0.9.3'
        assert edge.get('new.com', '/api/users?a=b').said['path'] == '/v1/users?a=b'
        assert edge.get('new.com', '/else').status == 404
