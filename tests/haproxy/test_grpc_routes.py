"""GRPCRoutes by a real HAProxy, with real clients and servers of gRPC in the clear."""

import contextlib

import grpc
import pytest

from conftest import binary
from support.edge import Edge
from support.gateways import backend, call, gateway, grpc_route, http_route, listener, modifier, rule
from support.grpc_echo import SERVICE, EchoServer, channel
from support.objects import endpoint_slice, service

HTTP = [{'name': 'http', 'port': 80}]
SET = [modifier('Request', set={'x-forwarded-host': 'set'})]
ROUTES = (
    gateway('web', listener(), listener('echo', hostname='*.wild.com')),
    grpc_route('exact', rule('echo', matches=[call(SERVICE, 'Unary')]), hostnames=['exact.com']),
    grpc_route('service', rule('echo', matches=[call(SERVICE)]), hostnames=['service.com']),
    grpc_route('method', rule('echo', matches=[call(method='Unary')]), hostnames=['method.com']),
    grpc_route(
        'expression', rule('echo', matches=[call('echo[.]E.*', 'Un.*|Joined', expression=True)]), hostnames=['expression.com']
    ),
    grpc_route('broken', rule('echo', matches=[call('a)(b', 'x', expression=True)]), hostnames=['broken.com']),
    grpc_route(
        'headers',
        rule('echo', matches=[call(headers=[('x-user', 'alice')])], filters=SET),
        rule(backend('echo', 1), backend('plain', 1), matches=[call(headers=[('x-user', 'bob')])]),
        hostnames=['headers.com'],
    ),
    grpc_route('any', rule('echo'), hostnames=['any.com', '*.wild.com']),
    grpc_route('absent', rule('absent'), hostnames=['absent.com']),
    grpc_route('ended', rule('ended'), hostnames=['ended.com']),
    http_route('web', rule('echo', path='/'), hostnames=['web.com']),
)  # fmt: skip


@pytest.fixture(scope='module')
def edge():
    """An edge whose Services are the same gRPC server; none but `plain` says what it speaks."""
    with contextlib.ExitStack() as closing:
        server = closing.enter_context(EchoServer())
        services = [
            document
            for name, protocol in (('echo', ''), ('plain', 'kubernetes.io/h2c'))
            for document in (
                service(name, ports=[{**HTTP[0], **({'appProtocol': protocol} if protocol else {})}]),
                endpoint_slice(name, addresses=['127.0.0.1'], port=server.port, port_name='http'),
            )
        ]
        yield closing.enter_context(Edge(binary('haproxy-3.4'), *services, service('ended', ports=HTTP), *ROUTES))


def called(edge, host, method='Unary', message=b'abc', service_name=SERVICE, metadata=()):
    """Return what a call answered and the header that it echoes, or the status that it ended with."""
    with channel(edge.http, host) as made:
        unary = made.unary_unary(f'/{service_name}/{method}')
        try:
            answer, sent = unary.with_call(message, metadata=metadata, timeout=20)
        except grpc.RpcError as error:
            return error.code()
        return answer, dict(sent.initial_metadata()).get('x-forwarded-host')


@pytest.mark.parametrize(
    ('host', 'metadata'),
    [
        ('exact.com', ()),
        ('service.com', ()),
        ('method.com', ()),
        ('expression.com', ()),
        ('any.com', ()),
        ('x.wild.com', ()),
        ('headers.com', [('x-user', 'bob')]),
    ],
)
def test_a_call_reaches_the_backend_of_the_rule_that_matches(host, metadata, edge):
    assert called(edge, host, metadata=metadata)[0] == b'cba'


@pytest.mark.parametrize(
    ('host', 'method', 'service_name'),
    [
        ('unknown.com', 'Unary', SERVICE),
        ('exact.com', 'Other', SERVICE),
        ('exact.com', 'Unary', 'echo.Other'),
        ('service.com', 'Unary', 'echo.Other'),
        ('method.com', 'Other', SERVICE),
        ('expression.com', 'Counted', SERVICE),
        ('expression.com', 'Unary', 'other.Echo'),
        ('headers.com', 'Unary', SERVICE),
        ('wild.com', 'Unary', SERVICE),
    ],
)
def test_a_call_without_a_route_is_unimplemented(host, method, service_name, edge):
    assert called(edge, host, method, service_name=service_name) is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize('host', ['absent.com', 'ended.com', 'broken.com'])
def test_a_call_that_nothing_can_serve_is_unavailable(host, edge):
    assert called(edge, host) is grpc.StatusCode.UNAVAILABLE


def test_headers_of_calls_are_changed(edge):
    assert called(edge, 'headers.com', metadata=[('x-user', 'alice')]) == (b'cba', 'set')


def test_statuses_come_with_their_trailers(edge):
    with channel(edge.http, 'any.com') as made:
        with pytest.raises(grpc.RpcError) as failed:
            made.unary_unary(f'/{SERVICE}/Unary')(b'missing', timeout=20)
        assert failed.value.code() is grpc.StatusCode.NOT_FOUND
        assert dict(failed.value.trailing_metadata())['x-why'] == 'not here'


def test_streams_go_both_ways(edge):
    with channel(edge.http, 'any.com') as made:
        talk = made.stream_stream(f'/{SERVICE}/Talk')
        assert list(talk(iter([b'a', b'b', b'c']), timeout=20)) == [b'A', b'B', b'C']
