"""Copies of requests to another Service, by a real HAProxy."""

import contextlib
import threading

import pytest

from conftest import binary
from support.authentication import Authentication
from support.edge import Edge, Endpoints, web
from support.live import until
from support.objects import endpoint_slice, service

MOST = 4
HTTP = [{'name': 'http', 'port': 80}]


@pytest.fixture(scope='module')
def started():
    with contextlib.ExitStack() as closing:
        endpoints, copies = closing.enter_context(Endpoints()), closing.enter_context(Authentication())
        services = (
            *web('shop', endpoints, mirror_service='copies:80', rewrite_path='/x', path='/app'),
            *web('none', endpoints, mirror_service='copies', mirror_percent='0'),
            *web('half', endpoints, mirror_service='copies', mirror_percent='50'),
            *web('away', endpoints, mirror_service='copies', redirect_to='/there'),
            *web('denied', endpoints, mirror_service='copies', deny='127.0.0.0/8'),
            *web('lost', endpoints, mirror_service='dead'),
            service('copies', ports=HTTP),
            endpoint_slice('copies', addresses=[copies.address], port=copies.port, port_name='http'),
            service('dead', ports=HTTP),
        )
        edge = Edge(binary('haproxy-3.4'), *services, max_authentications_per_namespace=MOST)
        yield copies, closing.enter_context(edge)


@pytest.fixture
def copies(started):
    """The Service that gets copies, which has seen nothing yet, and answers by an error."""
    started[0].asked.clear()
    started[0].answer = lambda _: (500, (), b'x' * 20_000)
    return started[0]


@pytest.fixture
def edge(started):
    return started[1]


def marked(edge, copies):
    """Send a last request, wait until its copy came, and return what came before."""
    edge.get('shop.com', '/app/last')
    until(lambda: any(asked.path == '/app/last' for asked in copies.asked))
    return [asked for asked in copies.asked if asked.path != '/app/last']


def test_another_service_gets_the_request_as_the_client_sent_it(edge, copies):
    sent = (('X-A', '1'), ('X-A', '2'), ('Cookie', 'a=b'), ('Content-Type', 'text/x'))
    answered = edge.get('shop.com', '/app/a?b=%20c', method='POST', headers=sent, body=b'a body')
    assert (answered.status, answered.said['path'], answered.said['length']) == (200, '/x/a?b=%20c', 6)
    (asked,) = marked(edge, copies)
    assert (asked.method, asked.path, asked.body) == ('POST', '/app/a?b=%20c', b'a body')
    assert (asked.headers['x-a'], asked.header('cookie'), asked.header('content-type')) == (['1', '2'], 'a=b', 'text/x')
    assert (asked.header('host'), asked.header('x-forwarded-for')) == ('shop.com', '127.0.0.1')
    assert [name for name in asked.headers if 'headrace' in name] == ['x-headrace-hops']


@pytest.mark.parametrize('method', ['GET', 'PUT'])
def test_other_methods_are_copied(method, edge, copies):
    edge.get('shop.com', '/app', method=method)
    assert [asked.method for asked in marked(edge, copies)] == [method]


def test_a_long_body_goes_to_the_endpoint_alone(edge, copies):
    answered = edge.get('shop.com', '/app', method='POST', body=b'x' * 100_000)
    assert (answered.status, answered.said['length']) == (200, 100_000)
    assert marked(edge, copies) == []


@pytest.mark.parametrize(('host', 'status'), [('none.com', 200), ('away.com', 302), ('denied.com', 403)])
def test_what_does_not_go_on_and_what_is_not_drawn_has_no_copy(host, status, edge, copies):
    for _ in range(5):
        assert edge.get(host).status == status
    assert marked(edge, copies) == []


def test_a_part_of_the_requests_is_copied(edge, copies):
    for number in range(200):
        edge.get('half.com', f'/{number}')
    # Six standard deviations.
    assert 58 < len(marked(edge, copies)) < 142


def test_a_client_does_not_wait_for_a_service_that_does_not_answer(edge, copies):
    released = threading.Event()
    copies.answer = lambda _: (released.wait(20), (200, (), b''))[1]
    try:
        # More than a namespace may have at once: copies are left out, requests are not.
        assert [edge.get('shop.com', '/app').status for _ in range(12)] == [200] * 12
        until(lambda: copies.asked)
        assert len(copies.asked) <= MOST
    finally:
        released.set()


def test_a_service_without_an_endpoint_gets_no_copies_and_costs_no_request(edge):
    assert edge.get('lost.com').status == 200
