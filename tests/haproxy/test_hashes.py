"""Endpoints by the hash of parts of a request, by a real HAProxy."""

import contextlib

import pytest

from conftest import binary
from support import wire
from support.edge import Edge, Endpoints, web

ADDRESSES = [f'127.0.9.{number}' for number in range(1, 9)]
HASHES = {
    'uri': '$request_uri',
    'path': '$uri',
    'user': '$http_x_user',
    'both': '${host}-$arg_a$cookie_b',
    'client': '$binary_remote_addr',
}


@pytest.fixture(scope='module')
def edge():
    """An edge whose Services have eight endpoints each."""
    with contextlib.ExitStack() as closing:
        endpoints, documents = closing.enter_context(Endpoints()), []
        for name, text in HASHES.items():
            made, slice_ = web(name, endpoints, balance=f'hash:{text}', rewrite_path='/same', path='/p')
            slice_['endpoints'] = [{'addresses': [address]} for address in ADDRESSES]
            documents += [made, slice_]
        made, slice_ = web('canary', endpoints, host='', balance='hash:$arg_a')
        slice_['endpoints'] = [{'addresses': [address]} for address in ADDRESSES]
        documents += [*web('stable', endpoints, canary_service='canary', canary_weight='100'), made, slice_]
        yield closing.enter_context(Edge(binary('haproxy-3.4'), *documents))


def at(edge, name, path='/p', headers=()):
    return edge.get(f'{name}.com', path, headers=headers).said['at']


@pytest.mark.parametrize(
    ('name', 'requests'),
    [
        ('uri', [(f'/p?{number}', ()) for number in range(30)]),
        ('path', [(f'/p/{number}', ()) for number in range(30)]),
        ('user', [('/p', [('X-User', f'u{number}')]) for number in range(30)]),
        ('both', [(f'/p?x=1&a={number}', [('Cookie', 'b=c')]) for number in range(30)]),
        ('both', [('/p?a=1', [('Cookie', f'b={number}')]) for number in range(30)]),
        ('canary', [(f'/p?a={number}', ()) for number in range(30)]),
    ],
)
def test_equal_texts_have_one_endpoint_and_others_are_spread(edge, name, requests):
    host = 'stable' if name == 'canary' else name
    found = [{at(edge, host, *request) for _ in range(3)} for request in requests]
    assert {len(one) for one in found} == {1}
    assert len(set().union(*found)) > 3


def test_what_is_not_hashed_makes_no_difference(edge):
    assert len({at(edge, 'path', f'/p/a?{number}', [('X-User', f'{number}')]) for number in range(10)}) == 1
    assert len({at(edge, 'user', f'/p/{number}') for number in range(10)}) == 1


def test_clients_have_endpoints_by_their_addresses(edge):
    def ask(client):
        request = b'GET /p HTTP/1.1\r\nHost: client.com\r\nConnection: close\r\n\r\n'
        with contextlib.closing(wire.connect(edge.http, client=client)) as connection:
            return wire.said(wire.send(connection, request).partition(b'\r\n\r\n')[2])['at']

    found = [{ask(f'127.0.4.{number}') for _ in range(2)} for number in range(1, 21)]
    assert {len(one) for one in found} == {1}
    assert len(set().union(*found)) > 2
