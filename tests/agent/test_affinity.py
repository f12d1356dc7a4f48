"""Clients of a Service with `sessionAffinity: ClientIP` stay with their endpoint, whatever else comes and goes."""

import contextlib
import json
import socket

import pytest

from support.live import until
from support.objects import endpoint_slice, service

CLIENTS = [f'127.0.3.{number}' for number in range(1, 13)]
STAYS = {'sessionAffinity': 'ClientIP', 'sessionAffinityConfig': {'clientIP': {'timeoutSeconds': 100}}}


def put(live, town, pods, seconds=100, annotations=None):
    """Write a Service with a host and one with a TCP port, whose clients stay, and their endpoints."""
    spec = {**STAYS, 'sessionAffinityConfig': {'clientIP': {'timeoutSeconds': seconds}}}
    for name, said in (('web', {'host': 'shop.example.com'}), ('db', {'port': str(live.ports['tcp'])})):
        wanted = {**said, **(annotations or {})}
        live.put(name, service(name, annotations=wanted, **spec), endpoint_slice(name, addresses=pods, port=town.port))


def pod(live, port, client):
    """Return which pod answers a client of this address on a connection of its own."""
    with socket.create_connection(
        ('127.0.0.1', live.ports[port]), timeout=10, source_address=(client, 0)
    ) as connection:
        connection.sendall(b'GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n')
        head, _, body = _answer(connection).partition(b'\r\n\r\n')
        assert head.startswith(b'HTTP/1.1 200 '), head
        return json.loads(body)['pod']


def _answer(connection):
    found = b''
    while b'\r\n\r\n' not in found or not found.endswith(b'}'):
        part = connection.recv(65536)
        if not part:
            break
        found += part
    return found


def places(live, port):
    return {client: pod(live, port, client) for client in CLIENTS}


def settled(live, pods):
    """Wait until HAProxy has these endpoints, and no server of others."""
    until(lambda: live.addresses() == set(pods), f'{pods} serve')


@pytest.mark.parametrize('port', ['http', 'tcp'])
def test_clients_stay_when_endpoints_come_and_only_those_of_one_that_goes_move(live, town, port):
    first, second, third, fourth = town.pods(4)
    put(live, town, [first, second])
    live.start()
    worker, before = live.worker(), places(live, port)
    assert set(before.values()) == {first, second}
    put(live, town, [first, second, third, fourth])
    settled(live, [first, second, third, fourth])
    assert places(live, port) == before
    put(live, town, [second, third, fourth])
    settled(live, [second, third, fourth])
    after = places(live, port)
    assert first not in after.values()
    assert {client: after[client] for client, held in before.items() if held == second} == {
        client: second for client, held in before.items() if held == second
    }
    assert places(live, port) == after
    assert live.worker() == worker


def test_clients_stay_over_a_reload_and_a_change_of_settings(live, town):
    pods = town.pods(3)
    put(live, town, pods)
    live.start()
    before = places(live, 'http')
    put(live, town, pods, annotations={'retries': '7'})
    until(live.reloads, 'a reload is over')
    until(lambda: places(live, 'http') == before, 'the clients are where they were')


def test_a_client_is_forgotten_after_the_time_and_remembered_while_it_comes(live, town):
    pods = town.pods(6)
    put(live, town, pods, seconds=1)
    live.start()
    before = places(live, 'http')
    until(lambda: places_after(live) != before, 'some client went elsewhere')


def places_after(live):
    """Return where clients are led once they were away for longer than a second."""
    with contextlib.suppress(AssertionError):
        until(lambda: False, 'two seconds', seconds=2.1)
    return places(live, 'http')


def test_clients_behind_one_address_go_to_one_pod_and_others_are_spread(live, town):
    pods = town.pods(3)
    put(live, town, pods)
    live.start()
    assert len({pod(live, 'tcp', CLIENTS[0]) for _ in range(12)}) == 1
    assert set(places(live, 'tcp').values()) == set(pods)
    assert not live.reloads()
