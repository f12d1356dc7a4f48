"""Listeners of Gateways for TCP, by a real HAProxy: a slot leads to the backends of one TCPRoute."""

import collections
import socket

import pytest

from conftest import binary
from support.edge import Edge, Endpoints, web
from support.gateways import GATEWAY_CLASS, OWN_NAMESPACE, backend, gateway, listener, slot_service, tcp_route
from support.ports import reserve_row

NAMES = ('one', 'two')
PORTS = {9000: 0, 9001: 1, 9002: 2, 9003: 3, 9004: 4, 9005: 5}
_PER_PROTOCOL = 8


@pytest.fixture(scope='module')
def row():
    """The first of the slots for TCP: eight for each protocol, and TCP comes last."""
    first, held = reserve_row(4 * _PER_PROTOCOL)
    yield first
    for each in held:
        each.close()


@pytest.fixture(scope='module')
def edge(row):
    """An edge in a cluster with a Gateway of six ports for TCP."""
    slots = {port: row + 3 * _PER_PROTOCOL + place for port, place in PORTS.items()}
    with Endpoints() as endpoints:
        services = [
            item
            for number, name in enumerate(NAMES)
            for item in web(name, endpoints, address=f'127.0.9.{number + 1}', host='', **{'class': 'other'})
        ]
        documents = (
            GATEWAY_CLASS,
            gateway('web', *(listener(f'p{port}', port, 'TCP') for port in PORTS)),
            slot_service('web', slots),
            tcp_route('plain', 'one', port=9000),
            tcp_route('younger', 'two', port=9000, created='2025-01-01T00:00:00Z'),
            tcp_route('split', backend('one', 3), backend('two', 1), backend('gone', 0), port=9001),
            tcp_route('half', 'one', 'gone', port=9002),
            tcp_route('gone', 'gone', port=9003),
            tcp_route('denied', 'one', 'two', port=9004, annotations={'headrace.io/deny': '127.0.0.0/8'}),
        )
        seen = {'own_namespace': OWN_NAMESPACE}
        settings = {'gateway_slots': _PER_PROTOCOL, 'gateway_first_slot': row}
        with Edge(binary('haproxy-3.4'), *services, *documents, seen=seen, **settings) as found:
            yield found


def ask(row, port):
    """Return the name of the endpoint that answers at a port, None where the connection is rejected."""
    slot = row + 3 * _PER_PROTOCOL + PORTS[port]
    with socket.create_connection(('127.0.0.1', slot), timeout=10) as client:
        try:
            client.sendall(b'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
            answer = b''.join(iter(lambda: client.recv(65536), b''))
        except ConnectionError:
            return None
    return NAMES[int(answer.partition(b'"at": "')[2].split(b'"')[0][-1:]) - 1] if answer else None


def test_a_slot_leads_to_the_backend_of_its_oldest_route(edge, row):
    assert {ask(row, 9000) for _ in range(20)} == {'one'}


def test_connections_are_shared_by_weight(edge, row):
    counts = collections.Counter(ask(row, 9001) for _ in range(400))
    assert counts.keys() == {'one', 'two'}
    # Beyond six deviations from a quarter.
    assert 50 < counts['two'] < 150


def test_the_share_of_a_backend_that_does_not_exist_is_rejected(edge, row):
    assert {ask(row, 9002) for _ in range(50)} == {'one', None}
    assert ask(row, 9003) is None


def test_the_annotations_of_a_route_hold_for_all_of_its_backends(edge, row):
    assert {ask(row, 9004) for _ in range(5)} == {None}


def test_a_slot_without_a_route_rejects_connections(edge, row):
    assert ask(row, 9005) is None
