"""What HTTPRoutes say about their endpoints, by a real HAProxy: retries, timeouts, and what endpoints speak."""

import contextlib
import itertools
import socket
import threading
import time

import pytest

from conftest import binary
from support.authentication import Authentication
from support.edge import Edge, Endpoints, web
from support.gateways import gateway, http_route, rule
from support.grpc_echo import SERVICE, EchoServer, call, channel
from support.objects import endpoint_slice, service

# The pair of RFC 6455, section 1.3.
_KEY, _ACCEPT = 'dGhlIHNhbXBsZSBub25jZQ==', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
_UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\n'
HTTP = [{'name': 'http', 'port': 80}]


def port(app_protocol):
    """Return ports of a Service that says what it speaks."""
    return [{**HTTP[0], 'appProtocol': app_protocol}]


ROUTES = (
    gateway(),
    http_route(
        'tried',
        rule('moody', path='/codes', retry={'codes': [500, 503], 'attempts': 2}),
        rule('moody', path='/once', retry={'codes': [500]}),
        rule('moody', path='/never'),
        rule('half', path='/half', retry={'attempts': 3}),
        rule('moody', path='/slow', retry={'attempts': 1}, timeouts={'backendRequest': '500ms'}),
        rule('moody', path='/short', retry={'attempts': 9}, timeouts={'request': '900ms', 'backendRequest': '300ms'}),
        rule('moody', path='/late', timeouts={'request': '300ms'}),
        rule('moody', path='/off', timeouts={'request': '0s'}),
        hostnames=['tried.com'],
    ),
    http_route('spoken', rule('h2c', path=f'/{SERVICE}'), rule('ws', path='/ws'), hostnames=['spoken.com']),
)


class _WebSocket(threading.Thread):
    """An endpoint that changes to another protocol, in which it sends back what comes."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, connection.makefile('rwb', buffering=0) as stream:
                    while stream.readline().strip():
                        pass
                    stream.write(
                        f'HTTP/1.1 101 Switching\r\n{_UPGRADE}Sec-WebSocket-Accept: {_ACCEPT}\r\n\r\n'.encode()
                    )
                    stream.write(stream.readline())

    def __exit__(self, *_):
        self.listener.close()

    def __enter__(self):
        return self


@pytest.fixture(scope='module')
def started():
    with contextlib.ExitStack() as closing:
        moody, endpoints = closing.enter_context(Authentication()), closing.enter_context(Endpoints())
        echo, sockets = closing.enter_context(EchoServer()), closing.enter_context(_WebSocket())
        services = (
            service('moody', ports=HTTP),
            endpoint_slice('moody', addresses=[moody.address], port=moody.port, port_name='http'),
            *web('half', endpoints, host=''),
            # Nothing listens there.
            endpoint_slice('half', name='half-2', addresses=['127.0.9.9'], port=1, port_name='http'),
            service('h2c', ports=port('kubernetes.io/h2c')),
            endpoint_slice('h2c', addresses=['127.0.0.1'], port=echo.port, port_name='http'),
            service('ws', ports=port('kubernetes.io/ws')),
            endpoint_slice('ws', addresses=['127.0.0.1'], port=sockets.port, port_name='http'),
        )
        yield moody, closing.enter_context(Edge(binary('haproxy-3.4'), *services, *ROUTES))


@pytest.fixture
def edge(started):
    return started[1]


@pytest.fixture
def moody(started):
    """An endpoint that has seen nothing yet."""
    started[0].asked.clear()
    return started[0]


@pytest.mark.parametrize(
    ('path', 'statuses', 'status', 'tries'),
    [
        ('/codes', [500, 503, 200], 200, 3),
        ('/codes', [503, 500, 500, 200], 500, 3),
        ('/codes', [502, 200], 502, 1),
        ('/once', [500, 200], 200, 2),
        ('/once', [500, 500, 200], 500, 2),
        ('/never', [500, 200], 500, 1),
    ],
)
def test_statuses_are_tried_again_as_often_as_the_rule_says(path, statuses, status, tries, edge, moody):
    answers = iter(statuses)
    moody.answer = lambda _: (next(answers), (), b'')
    assert edge.get('tried.com', path).status == status
    assert len(moody.asked) == tries


def test_a_request_that_could_count_twice_is_not_tried_again(edge, moody):
    moody.answer = lambda _: (500, (), b'')
    assert edge.get('tried.com', '/codes', method='POST', body=b'x').status == 500
    assert len(moody.asked) == 1


def test_a_connection_that_fails_is_tried_again_elsewhere(edge):
    assert [edge.get('tried.com', '/half').status for _ in range(10)] == [200] * 10


@pytest.mark.parametrize(('path', 'status', 'tries'), [('/slow', 200, 2), ('/short', 504, 3), ('/late', 504, 1)])
def test_a_try_takes_no_longer_than_the_rule_says(path, status, tries, edge, moody):
    number = itertools.count()

    def answer(_):
        # Only the second try of /slow is answered in time.
        if path != '/slow' or not next(number):
            time.sleep(1.2)
        return 200, (), b''

    moody.answer = answer
    assert edge.get('tried.com', path).status == status
    assert len(moody.asked) == tries


def test_a_timeout_of_nothing_is_none(edge, moody):
    moody.answer = lambda _: (time.sleep(1), (200, (), b''))[1]
    assert edge.get('tried.com', '/off').status == 200


def test_an_endpoint_is_spoken_to_as_its_port_says(edge):
    with channel(edge.http, 'spoken.com') as made:
        assert call(made, 'unary_unary', 'Unary')(b'abc', timeout=20) == b'cba'


def test_a_websocket_is_a_connection_of_its_own(edge):
    with socket.create_connection(('127.0.0.1', edge.http), timeout=20) as connection:
        head = f'GET /ws HTTP/1.1\r\nHost: spoken.com\r\n{_UPGRADE}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_KEY}\r\n'
        connection.sendall(f'{head}\r\n'.encode())
        with connection.makefile('rb') as reader:
            assert reader.readline().split()[1] == b'101'
            while reader.readline().strip():
                pass
            connection.sendall(b'hello\n')
            assert reader.readline() == b'hello\n'
