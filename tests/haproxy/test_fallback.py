"""Another Service that serves while a route's own has no endpoint, by a real HAProxy."""

import contextlib

import pytest

from conftest import binary
from support.edge import Edge, Endpoints, web
from support.objects import endpoint_slice, service

HTTP = [{'name': 'http', 'port': 80}]
SPARE = '127.0.9.2'


@pytest.fixture(scope='module')
def edge():
    with contextlib.ExitStack() as closing:
        endpoints = closing.enter_context(Endpoints())
        services = (
            *web('one', endpoints, fallback_service='spare', cookie='true', request_headers='X-Policy: own'),
            *web('spare', endpoints, host='', address=SPARE, timeout_server='1s'),
            web('empty', endpoints, fallback_service='spare:http', request_headers='X-Policy: own')[0],
            web('both', endpoints, fallback_service='none')[0],
            *web('canary', endpoints, fallback_service='spare', canary_service='none', canary_weight='100'),
            web('lost', endpoints, fallback_service='nowhere')[0],
            service('none', ports=HTTP),
            endpoint_slice('none', addresses=[], port=1, port_name='http'),
        )
        yield closing.enter_context(Edge(binary('haproxy-3.4'), *services))


def test_a_service_with_endpoints_serves_itself(edge):
    assert edge.get('one.com').said['at'] == '127.0.9.1'


def test_a_service_without_endpoints_is_served_by_the_other_one_under_its_own_policy(edge):
    found = edge.get('empty.com', '/a?b=c', method='POST', body=b'12345').said
    assert (found['at'], found['path'], found['length']) == (SPARE, '/a?b=c', 5)
    assert found['headers']['x-policy'] == ['own']


@pytest.mark.parametrize('host', ['both.com', 'lost.com'])
def test_where_the_other_service_has_none_either_the_answer_is_503(host, edge):
    assert edge.get(host).status == 503


def test_a_canary_without_endpoints_falls_back_too(edge):
    assert edge.get('canary.com').said['at'] == SPARE


def test_the_last_endpoint_goes_and_comes_back_without_a_change_of_data(edge):
    server = 'shop_one_http'
    name = next(
        line.split()[3] for line in edge.haproxy.command('show servers state').splitlines() if f' {server}' in line
    )
    backend = next(
        line.split()[1] for line in edge.haproxy.command('show servers state').splitlines() if f' {server}' in line
    )
    try:
        edge.haproxy.command(f'disable server {backend}/{name}')
        assert edge.get('one.com').said['at'] == SPARE
    finally:
        edge.haproxy.command(f'enable server {backend}/{name}')
    assert edge.get('one.com').said['at'] == '127.0.9.1'
