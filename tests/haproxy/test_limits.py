"""Limits of each client, by a real HAProxy: bursts, exceptions, requests and connections at the same time."""

import concurrent.futures
import contextlib
import socket

import pytest

from conftest import binary
from support import wire
from support.edge import Edge, Endpoints, ended, tcp, web
from support.live import until
from support.objects import secret

ASK = b'GET / HTTP/1.0\r\n\r\n'
GUEST, FRIEND = '127.0.4.1', '127.0.5.1'
FRIENDS = '127.0.5.0/24'


@pytest.fixture(scope='module')
def edge():
    """An edge whose Services have limits."""
    with contextlib.ExitStack() as closing:
        endpoints = closing.enter_context(Endpoints())
        known = {'basic_auth_secret': 'users', 'satisfy': 'any'}
        documents = (
            secret('users', username='u', password='p'),
            *web('plain', endpoints, rate_limit='1/h'),
            *web('burst', endpoints, rate_limit='1/h', rate_limit_burst='3'),
            *web('times', endpoints, rate_limit='2/h', rate_limit_burst='2x'),
            *web('quick', endpoints, rate_limit='900000000/s', rate_limit_burst='1'),
            *web('few', endpoints, rate_limit='1/h', rate_limit_except=FRIENDS, connection_limit='1'),
            *web('one', endpoints, connection_limit='1'),
            *web('any', endpoints, allow=FRIENDS, **known),
            *web('all', endpoints, allow=FRIENDS, basic_auth_secret='users'),
            *web('denied', endpoints, allow='127.0.0.0/8', deny=FRIENDS, **known),
            *web('open', endpoints, satisfy='any', allow=FRIENDS),
            *tcp('burst-tcp', endpoints, 0, rate_limit='1/h', rate_limit_burst='1'),
            *tcp('one-tcp', endpoints, 1, connection_limit='1'),
            *tcp('friends-tcp', endpoints, 2, connection_limit='1', rate_limit='1/h', rate_limit_except='127.0.0.0/8'),
        )
        yield closing.enter_context(Edge(binary('haproxy-3.4'), *documents, tcp_ports=3, seen={'all_secrets': True}))


def ask(edge, name, path='/', client=GUEST, more=''):
    """Return the status of a request by a client."""
    request = f'GET {path} HTTP/1.1\r\nHost: {name}.com\r\nConnection: close\r\n{more}\r\n'
    with contextlib.closing(wire.connect(edge.http, client=client)) as connection:
        return wire.statuses(wire.send(connection, request.encode()))[0]


def count(edge):
    """Return how many clients have a request or connection that counts."""
    return edge.haproxy.command('show table connections').count('conn_cur=1')


@pytest.mark.parametrize(('name', 'most'), [('plain', 1), ('burst', 4), ('times', 5)])
def test_a_burst_may_come_at_once(edge, name, most):
    assert [ask(edge, name) for _ in range(most + 2)] == [200] * most + [429] * 2
    assert ask(edge, name, client=FRIEND) == 200


def test_a_bucket_leaks_at_the_rate(edge):
    assert {ask(edge, 'quick') for _ in range(20)} == {200}


def test_excepted_clients_have_no_limits(edge):
    assert [ask(edge, 'few') for _ in range(2)] == [200, 429]
    assert {ask(edge, 'few', client=FRIEND) for _ in range(5)} == {200}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: ask(edge, 'few', '/wait', FRIEND), range(4))) == {200}


def test_requests_at_the_same_time_are_limited(edge):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, edge, 'one', '/wait')
        until(lambda: count(edge) == 1)
        assert ask(edge, 'one') == 503
        assert ask(edge, 'one', client=FRIEND) == 200
        assert first.result() == 200
    until(lambda: count(edge) == 0)
    assert ask(edge, 'one') == 200


def test_connections_at_the_same_time_are_limited(edge):
    with contextlib.closing(socket.create_connection(('127.0.0.1', edge.tcp[1]), timeout=10)) as first:
        first.sendall(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
        assert b' 200 ' in first.recv(65536)
        assert ended(edge.tcp[1]) == (b'', 'reset')
    until(lambda: count(edge) == 0)
    assert b' 200 ' in ended(edge.tcp[1], ASK)[0]


def test_a_burst_of_connections_may_come_at_once(edge):
    assert [b' 200 ' in ended(edge.tcp[0], ASK)[0] for _ in range(2)] == [True, True]
    assert ended(edge.tcp[0]) == (b'', 'reset')


def test_excepted_clients_have_no_limit_of_connections(edge):
    with contextlib.closing(socket.create_connection(('127.0.0.1', edge.tcp[2]), timeout=10)):
        assert [b' 200 ' in ended(edge.tcp[2], ASK)[0] for _ in range(3)] == [True] * 3


LOGIN = 'Authorization: Basic dTpw\r\n'
WRONG = 'Authorization: Basic dTp3\r\n'


@pytest.mark.parametrize(
    ('name', 'client', 'more', 'status'),
    [
        pytest.param('any', FRIEND, '', 200, id='on the list'),
        pytest.param('any', FRIEND, WRONG, 200, id='on the list, with a wrong password'),
        pytest.param('any', GUEST, LOGIN, 200, id='with a password'),
        pytest.param('any', GUEST, '', 401, id='neither'),
        pytest.param('any', GUEST, WRONG, 401, id='a wrong password'),
        pytest.param('all', FRIEND, '', 401, id='all: on the list'),
        pytest.param('all', GUEST, LOGIN, 403, id='all: with a password'),
        pytest.param('all', FRIEND, LOGIN, 200, id='all: both'),
        pytest.param('denied', FRIEND, LOGIN, 403, id='deny counts first'),
        pytest.param('open', GUEST, '', 403, id='without passwords the list counts'),
    ],
)
def test_the_list_or_a_password_suffices_where_any_does(edge, name, client, more, status):
    assert ask(edge, name, client=client, more=more) == status
