"""Requests that are on their way, or that HAProxy sends itself, while a route moves or the process ends."""

import http.client
import threading
import time

import pytest

from support.authentication import Authentication
from support.gateways import gateway, http_route, mirror, rule
from support.live import until
from support.objects import endpoint_slice, service

HOST = 'shop.example.com'
SLOW = 1.0


@pytest.fixture
def authentication():
    """A server that lets every request on, after a while."""

    def slowly(_):
        time.sleep(SLOW)
        return 200, (), b''

    with Authentication() as server:
        server.answer = slowly
        yield server


def ask(live):
    """Return the status of a request on a connection of its own."""
    connection = http.client.HTTPConnection('127.0.0.1', live.ports['http'], timeout=20)
    try:
        connection.request('GET', '/', headers={'Host': HOST})
        return connection.getresponse().status
    finally:
        connection.close()


def leads_to(live, name, authentication):
    """Let the route lead to a Service, after authentication."""
    asked = {'headrace.io/external-auth-service': 'auth'}
    live.put('route', gateway(), http_route('r', rule(name), hostnames=[HOST], annotations=asked))


def test_a_request_that_waits_for_authentication_is_served_though_its_route_moves(live, town, authentication):
    (pod,) = town.pods(1)
    for name, address, port in (
        ('one', pod, town.port),
        ('two', pod, town.port),
        ('auth', authentication.address, authentication.port),
    ):
        live.put(name, service(name, ports=[{'port': 80}]), endpoint_slice(name, addresses=[address], port=port))
    leads_to(live, 'one', authentication)
    live.start()
    until(lambda: ask(live) == 200, 'the route serves')
    statuses = []
    waiting = [threading.Thread(target=lambda: statuses.append(ask(live))) for _ in range(4)]
    count = len(authentication.asked)
    for each in waiting:
        each.start()
    until(lambda: len(authentication.asked) == count + 4, 'all requests wait')
    leads_to(live, 'two', authentication)
    until(lambda: 'shop_two_' in str(live.routes('gateway-routes')), 'the route has moved')
    for each in waiting:
        each.join()
    assert statuses == [200] * 4
    assert ask(live) == 200
    until(lambda: not [name for name in live.all_servers() if 'shop_one_' in str(name)], 'the old backend is gone')
    assert live.reloads() == []


@pytest.mark.parametrize('asks', ['authentication', 'a mirror'])
def test_a_haproxy_that_has_asked_services_itself_does_not_wait_for_its_own_connections(live, town, asks):
    (pod,) = town.pods(1)
    for name in ('one', 'asked'):
        live.put(name, service(name, ports=[{'port': 80}]), endpoint_slice(name, addresses=[pod], port=town.port))
    annotations = {'headrace.io/external-auth-service': 'asked'} if asks == 'authentication' else {}
    filters = [] if annotations else [mirror('asked')]
    live.put('r', gateway(), http_route('r', rule('one', filters=filters), hostnames=[HOST], annotations=annotations))
    live.start()
    until(lambda: ask(live) == 200, 'the route serves')
    for _ in range(8):
        assert ask(live) == 200
    began = time.monotonic()
    live.stop()
    # It took 14 to 19 seconds, a quarter of a minute for each connection.
    assert time.monotonic() - began < 8
