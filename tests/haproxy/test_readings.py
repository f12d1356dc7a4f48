"""No request reaches a route by a path that reads as another one's, by a real HAProxy."""

import contextlib

import pytest

from conftest import binary
from haproxy.readings import AMBIGUOUS, PLAIN, SENSELESS
from support import wire
from support.edge import Edge, Endpoints, web


@pytest.fixture(scope='module')
def edge():
    """An edge with some routes to the same endpoints, at an exact host, a wildcard, both, and any host; and one alone."""
    with Endpoints() as endpoints:

        def routes(name, host, paths=('/', '/admin', '/caf%c3%a9', '/a%20%62', '/%7Eown')):
            shut = ('/admin', '/%7Eown')
            for number, path in enumerate(paths):
                more = {'allow': '192.0.2.0/24'} if path in shut else {}
                yield from web(f'{name}-{number}', endpoints, host=host, path=path, **more)

        documents = [
            *routes('exact', 'exact.com'),
            *routes('wild', '*.wild.com'),
            *routes('exact-of-both', 'x.both.com', ('/admin',)),
            *routes('wild-of-both', '*.both.com', ('/',)),
            *routes('any', '*'),
            *web('alone', endpoints, host='alone.com'),
            *web('judged', endpoints, host='judged.both.com', path='/(app|own)', path_type='RegularExpression'),
            *web('reserved', endpoints, host='a.both.net', path='/app'),
            *web('left', endpoints, host='*.both.net', path='/(.*)', path_type='RegularExpression'),
            *web('moved', endpoints, host='moved.com', rewrite_path='/tenant'),
        ]
        with Edge(binary('haproxy-3.4'), *documents) as found:
            yield found


def ask(edge, host, path, *, h2):
    """Return the status of a request, `reset` where its stream is, and what the endpoint said."""
    with contextlib.closing(wire.connect(edge.http)) as connection:
        if h2:
            status, _, body = wire.Http2(connection).ask(wire.h2_headers(host, path))
            return status, wire.said(body)
        request = f'GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'
        came = wire.send(connection, request.encode())
        return wire.statuses(came)[0], wire.said(came.partition(b'\r\n\r\n')[2])


HOSTS = ['exact.com', 'x.wild.com', 'any.com']


@pytest.mark.parametrize('h2', [False, True], ids=['HTTP/1.1', 'HTTP/2'])
@pytest.mark.parametrize('host', HOSTS)
def test_a_path_that_reads_as_one_of_another_route_is_refused(edge, host, h2):
    found = {path: ask(edge, host, path, h2=h2)[0] for path in AMBIGUOUS}
    assert found == dict.fromkeys(AMBIGUOUS, 400)


@pytest.mark.parametrize('host', HOSTS)
def test_an_odd_path_of_one_route_is_served_as_it_was_sent(edge, host):
    found = {path: ask(edge, host, path, h2=True)[1]['path'] for path in PLAIN}
    # The endpoint itself makes one of two leading slashes.
    assert found == {path: path.replace('//', '/') if path.startswith('//') else path for path in PLAIN}


def test_an_odd_path_at_a_host_without_a_dot_is_served_by_the_route_of_any_host(edge):
    assert [ask(edge, 'intranet', path, h2=False)[0] for path in ('/x%20y', '/x//y', '/%61dmin')] == [200, 200, 400]


def test_an_odd_path_that_the_conditions_of_a_host_leave_is_served_by_the_wildcard_of_its_namespace(edge):
    found = [ask(edge, 'judged.both.com', path, h2=False)[0] for path in ('/x', '/.well-known/x', '/x%20y', '/%61pp')]
    assert found == [200, 200, 200, 400]
    assert [ask(edge, 'a.both.net', path, h2=False)[0] for path in ('/x', '/x%20y', '/%61pp')] == [200, 200, 400]


def test_a_route_of_a_wildcard_does_not_lead_around_one_of_the_host(edge):
    assert ask(edge, 'x.both.com', '/admin', h2=False)[0] == 403
    assert ask(edge, 'x.both.com', '/%61dmin', h2=False)[0] == 400
    assert ask(edge, 'y.both.com', '/%61dmin', h2=False)[0] == 200


def test_no_request_leaves_the_path_that_is_put_before_its_own(edge):
    assert ask(edge, 'moved.com', '/x//y', h2=False)[1]['path'] == '/tenant/x//y'
    assert [ask(edge, 'moved.com', path, h2=False)[0] for path in ('/../x', '/%2e%2e/x', '/x/..;/..%2fy')] == [400] * 3


@pytest.mark.parametrize('h2', [False, True], ids=['HTTP/1.1', 'HTTP/2'])
def test_dot_segments_and_broken_escapes_are_refused_everywhere(edge, h2):
    for host in ('exact.com', 'alone.com'):
        found = {path: ask(edge, host, path, h2=h2)[0] for path in SENSELESS}
        assert found == dict.fromkeys(SENSELESS, 400)


def test_a_host_with_one_route_takes_paths_that_would_read_as_another_ones(edge):
    found = {path: ask(edge, 'alone.com', path, h2=False)[0] for path in AMBIGUOUS}
    assert found == dict.fromkeys(AMBIGUOUS, 200)
