"""Limits of bandwidth, and bodies that are there before an endpoint is chosen, by a real HAProxy."""

import contextlib
import socket
import time

import pytest

from conftest import binary
from support.authentication import Authentication, allow
from support.edge import Edge, web

BODY = 60_000


@pytest.fixture(scope='module')
def server():
    """An endpoint that remembers what it was asked."""
    with Authentication() as found:
        yield found


@pytest.fixture(scope='module')
def waiting():
    """Endpoints of the hosts whose requests have late bodies, which no connection has been made to."""
    with Authentication('127.0.8.2') as buffered, Authentication('127.0.8.3') as streamed:
        yield {'buffered.com': buffered, 'streamed.com': streamed}


@pytest.fixture(scope='module')
def edge(server, waiting):
    with contextlib.ExitStack() as closing:
        services = (
            *web('plain', server, address=server.address),
            *web('limited', server, address=server.address, bandwidth_limit='20k', request_headers='X-Policy: own'),
            *web('wide', server, address=server.address, bandwidth_limit='100m'),
            *web(
                'home',
                server,
                address=server.address,
                canary_service='canary',
                canary_weight='100',
                bandwidth_limit='1k',
            ),
            *web('canary', server, host='', address=server.address),
            *web('buffered', waiting['buffered.com'], address='127.0.8.2', request_buffering='true'),
            *web('streamed', waiting['streamed.com'], address='127.0.8.3'),
        )
        yield closing.enter_context(Edge(binary('haproxy-3.4'), *services))


def taken(edge, server, host):
    """Return how long a body of some length takes, in seconds."""
    began = time.monotonic()
    server.answer = lambda _: (200, (), b'x' * BODY)
    try:
        answer = edge.get(host)
    finally:
        server.answer = allow
    assert (answer.status, len(answer.body)) == (200, BODY)
    return time.monotonic() - began


def test_a_response_takes_as_long_as_its_length_asks_for(edge, server):
    # The first 20 kB come at once, the others in two seconds.
    assert taken(edge, server, 'limited.com') >= 1.5


@pytest.mark.parametrize('host', ['plain.com', 'wide.com', 'home.com'])
def test_other_responses_are_not_limited(host, edge, server):
    # The 1 kB a second of what the canary stands for would take a minute.
    assert taken(edge, server, host) < 30


def test_the_policy_of_a_limited_route_holds(edge, server):
    server.asked.clear()
    edge.get('limited.com')
    assert server.asked[0].header('x-policy') == 'own'


@pytest.mark.parametrize(('host', 'early'), [('buffered.com', False), ('streamed.com', True)])
def test_an_endpoint_is_asked_when_the_body_is_there_or_before(host, early, edge, waiting):
    server = waiting[host]
    with socket.create_connection(('127.0.0.1', edge.http), timeout=10) as client:
        head = f'POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\nConnection: close\r\n\r\n'
        client.sendall(head.encode() + b'12345')
        # HAProxy has taken what came when it answers another request.
        assert edge.get('plain.com').status == 200
        if early:
            deadline = time.monotonic() + 10
            while not server.connections and time.monotonic() < deadline:
                time.sleep(0.01)
        assert bool(server.connections) is early
        client.sendall(b'67890')
        answer = client.makefile('rb').readline()
    assert answer.split()[1] == b'200'
    assert server.asked[0].body == b'1234567890'
