"""Clients that stay with their endpoints do not hop between a Service and its canary, by a real HAProxy."""

import contextlib

import pytest

from conftest import binary
from support import wire
from support.edge import Edge, Endpoints, web


@pytest.fixture(scope='module')
def edge():
    """An edge whose canary answers at 127.0.9.2."""
    with Endpoints() as endpoints:
        split = {'canary_service': 'canary', 'canary_weight': '50'}
        documents = [
            *web('sticky', endpoints, cookie='true', **split),
            *web('free', endpoints, **split),
            *web('canary', endpoints, host='', address='127.0.9.2'),
        ]
        with Edge(binary('haproxy-3.4'), *documents) as found:
            yield found


def sides(edge, host, client):
    """Return who answers some requests of a client."""
    found = set()
    for _ in range(12):
        with contextlib.closing(wire.connect(edge.http, client=client)) as connection:
            came = wire.send(connection, f'GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'.encode())
            found.add(wire.said(came.partition(b'\r\n\r\n')[2])['at'])
    return found


def test_a_client_with_a_cookie_stays_on_one_side_of_a_canary(edge):
    found = [sides(edge, 'sticky.com', f'127.0.4.{number}') for number in range(1, 31)]
    assert {len(one) for one in found} == {1}
    assert set().union(*found) == {'127.0.9.1', '127.0.9.2'}


def test_requests_of_others_go_to_both_sides(edge):
    assert sides(edge, 'free.com', '127.0.4.1') | sides(edge, 'free.com', '127.0.4.1') == {'127.0.9.1', '127.0.9.2'}
