"""Listeners of Gateways at ports that are bound from the start, by a real HAProxy: a port of a Gateway is a slot."""

import contextlib
import http.client
import json

import pytest

from conftest import binary
from support.edge import Edge, Endpoints, ended, web
from support.gateways import (
    GATEWAY_CLASS,
    OWN_NAMESPACE,
    gateway,
    http_route,
    listener,
    listener_set,
    modifier,
    redirect,
    rule,
    slot_service,
)
from support.ports import reserve_row

NAMES = ('one', 'two')


@pytest.fixture(scope='module')
def row():
    """The first of the slots: four for each protocol."""
    first, held = reserve_row(16)
    yield first
    for each in held:
        each.close()


@pytest.fixture(scope='module')
def edge(row):
    """An edge in a cluster with two Gateways, of which one has two ports."""
    with Endpoints() as endpoints:
        services = [
            item
            for number, name in enumerate(NAMES)
            for item in web(name, endpoints, address=f'127.0.9.{number + 1}', host='', **{'class': 'other'})
        ]
        documents = (
            GATEWAY_CLASS,
            gateway('web', listener(), listener('more', 8080), admits='Same'),
            listener_set('extra', listener('set', hostname='set.com'), listener('late', hostname='set.com', port=8080)),
            gateway('other', listener()),
            gateway('waiting', listener()),
            slot_service('web', {80: row, 8080: row + 2}),
            slot_service('other', {80: row + 3}),
            http_route('r', rule('one', path='/'), rule('one', path='/h', filters=[modifier('Request', set={'X-A': 'b'})]), rule(path='/moved', filters=[redirect()]), hostnames=['a.com']),
            http_route('more', rule('two', path='/more'), hostnames=['a.com'], parents=[{'name': 'web', 'port': 8080}]),
            http_route('other', rule('two'), parents=[{'name': 'other'}, {'name': 'waiting'}]),
            http_route('set', rule('two', path='/set'), parents=[{'kind': 'ListenerSet', 'name': 'extra'}]),
        )  # fmt: skip
        # An edge that reads an API server takes no endpoints on loopback.
        seen = {'own_namespace': OWN_NAMESPACE}
        settings = {'gateway_slots': 4, 'gateway_first_slot': row}
        with Edge(binary('haproxy-3.4'), *services, *documents, seen=seen, **settings) as found:
            yield found


def ask(port, host, path='/'):
    """Return status, headers and, of an endpoint, what it saw."""
    with contextlib.closing(http.client.HTTPConnection('127.0.0.1', port, timeout=10)) as connection:
        connection.request('GET', path, headers={'Host': host})
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, dict(answer.getheaders()), json.loads(body) if body.startswith(b'{') else None


@pytest.mark.parametrize(
    ('slot', 'host', 'path', 'wanted'),
    [
        pytest.param(0, 'a.com', '/', 'one', id='plain route'),
        pytest.param(0, 'a.com:80', '/x', 'one', id='host with a port'),
        pytest.param(0, 'a.com', '/more', 'one', id='a route of another port'),
        pytest.param(2, 'a.com', '/more', 'two', id='a route of this port'),
        pytest.param(2, 'a.com', '/', 'one', id='a route of both ports'),
        pytest.param(0, 'b.com', '/', 404, id='a host without a route'),
        pytest.param(3, 'b.com', '/', 'two', id='another Gateway, any host'),
        pytest.param(0, 'set.com', '/set', 'two', id='a route of a ListenerSet'),
        pytest.param(2, 'set.com', '/set', 'two', id='another port of the ListenerSet'),
        pytest.param(0, 'set.com', '/', 404, id='a path that the routes of its listener leave'),
        pytest.param(0, 'a.com', '/set', 'one', id='a path of another listener'),
    ],
)
def test_a_slot_serves_the_routes_of_its_gateway_and_port(edge, row, slot, host, path, wanted):
    status, _, seen = ask(row + slot, host, path)
    assert (NAMES[int(seen['at'][-1]) - 1] if seen else status) == wanted


@pytest.mark.usefixtures('edge')
def test_a_slot_that_no_gateway_has_keeps_no_connection(row):
    # A client of HTTP/2 would stay, and get 404 from then on, when it came by an address that had this slot before.
    came, _ = ended(row + 1, b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    assert came == b''


def test_endpoints_get_the_port_that_clients_know(edge, row):
    _, _, seen = ask(row + 2, 'a.com', '/h')
    assert seen['headers']['x-forwarded-port'] == ['8080']
    assert seen['headers']['x-a'] == ['b']


@pytest.mark.parametrize(('slot', 'location'), [(0, 'http://a.com/moved'), (2, 'http://a.com:8080/moved')])
def test_redirects_name_the_port_that_clients_know(edge, row, slot, location):
    status, headers, _ = ask(row + slot, 'a.com', '/moved')
    assert (status, headers['location']) == (302, location)


def test_the_class_s_own_ports_serve_no_gateway(edge):
    assert edge.get('a.com').status == 404
