"""Answers of another Service in the place of errors, by a real HAProxy."""

import contextlib
import json

import pytest

from conftest import binary
from support.authentication import Authentication
from support.edge import Edge, Endpoints, web
from support.objects import endpoint_slice, service

HTTP = [{'name': 'http', 'port': 80}]
STATUSES = {'error_statuses': '404 500,501,503', 'error_service': 'pages'}


def page(asked):
    """Answer as ingress-nginx's default backend does: with the code that is asked for."""
    return int(asked.header('x-code')), [('Content-Type', 'text/x-page'), ('X-Page', 'a'), ('X-Page', 'b')], b'a page'


@pytest.fixture(scope='module')
def started():
    with contextlib.ExitStack() as closing:
        endpoints, pages = closing.enter_context(Endpoints()), closing.enter_context(Authentication())
        services = (
            *web('plain', endpoints),
            *web('shop', endpoints, path='/app', rewrite_path='/x', **STATUSES),
            *web('secure', endpoints, response_headers='X-After: yes', location_rewrite='/a /b', **STATUSES),
            web('empty', endpoints, **STATUSES)[0],
            web('other', endpoints, error_statuses='500', error_service='pages')[0],
            *web('lost', endpoints, error_statuses='404', error_service='dead'),
            service('pages', ports=HTTP),
            endpoint_slice('pages', addresses=[pages.address], port=pages.port, port_name='http'),
            service('dead', ports=HTTP),
        )
        pages.answer = page
        yield pages, closing.enter_context(Edge(binary('haproxy-3.4'), *services))


@pytest.fixture
def pages(started):
    """The Service of the pages, which has seen nothing yet."""
    found = started[0]
    found.asked.clear()
    yield found
    found.answer = page


@pytest.fixture
def edge(started):
    return started[1]


def answer(status, *headers, **more):
    """Return the header that asks an endpoint for an answer."""
    return ('X-Answer', json.dumps({'status': status, 'body': 'own', 'headers': headers, **more}))


@pytest.mark.parametrize('status', [404, 500, 503])
def test_an_error_of_an_endpoint_is_answered_by_the_other_service(status, edge, pages):
    found = edge.get(
        'shop.com', '/app/a?b=c', headers=(answer(status), ('Accept', 'text/html'), ('X-Request-ID', 'id-1'))
    )
    assert (found.status, found.body) == (status, b'a page')
    assert (found.headers['content-type'], found.headers['x-page']) == ('text/x-page', 'a, b')
    (asked,) = pages.asked
    assert (asked.method, asked.path) == ('GET', '/')
    names = (
        'code',
        'format',
        'original-uri',
        'namespace',
        'ingress-name',
        'service-name',
        'service-port',
        'request-id',
    )
    told = {name: asked.header(f'x-{name}') for name in names}
    assert told == {
        'code': str(status), 'format': 'text/html', 'original-uri': '/app/a?b=c', 'namespace': 'shop', 'ingress-name': None,
        'service-name': 'shop', 'service-port': '80', 'request-id': 'id-1',
    }  # fmt: skip
    assert not [name for name in asked.headers if 'headrace' in name and name != 'x-headrace-hops']
    assert not [name for name in found.headers if 'headrace' in name]


@pytest.mark.parametrize('status', [200, 302, 400, 401, 502])
def test_other_answers_stay(status, edge, pages):
    found = edge.get('shop.com', '/app', headers=(answer(status),))
    assert (found.status, found.body, pages.asked) == (status, b'own', [])


def test_the_code_of_the_other_service_counts(edge, pages):
    pages.answer = lambda _: (200, (), b'fine')
    found = edge.get('shop.com', '/app', headers=(answer(404),))
    assert (found.status, found.body) == (200, b'fine')


def test_a_request_id_is_made_where_there_is_none(edge, pages):
    edge.get('shop.com', '/app', headers=(answer(404),))
    assert len(pages.asked[0].header('x-request-id')) == 36


def test_where_there_is_no_endpoint_the_answer_is_one_for_503(edge, pages):
    found = edge.get('empty.com')
    assert (found.status, found.body, pages.asked[0].header('x-code')) == (503, b'a page', '503')
    assert edge.get('other.com').body != b'a page'


def test_rules_for_answers_hold_for_the_page_too(edge, pages):
    found = edge.get('secure.com', headers=(answer(404, ('Location', '/a')),))
    assert (found.body, found.headers['x-after'], 'location' in found.headers) == (b'a page', 'yes', False)


@pytest.mark.parametrize(
    'page',
    [
        pytest.param(lambda _: (404, (), b'x' * 20_000), id='a long page'),
        pytest.param(lambda _: b'no HTTP', id='no HTTP'),
        pytest.param(lambda _: b'', id='nothing'),
    ],
)
def test_an_answer_stays_where_the_other_service_gives_none(page, edge, pages):
    pages.answer = page
    found = edge.get('shop.com', '/app', headers=(answer(404),))
    assert (found.status, found.body) == (404, b'own')


def test_an_answer_stays_where_the_other_service_has_no_endpoint(edge):
    found = edge.get('lost.com', headers=(answer(404),))
    assert (found.status, found.body) == (404, b'own')


def test_a_head_request_gets_the_headers_alone(edge, pages):
    found = edge.get('shop.com', '/app', method='HEAD', headers=(answer(404),))
    assert (found.status, found.headers['x-page'], found.body) == (404, 'a, b', b'')


def test_a_long_answer_of_an_endpoint_is_replaced_too(edge, pages):
    for _ in range(3):
        found = edge.get('shop.com', '/app', headers=(('X-Answer', json.dumps({'status': 500, 'body': 'x' * 12_000})),))
        assert (found.status, found.body) == (500, b'a page')
