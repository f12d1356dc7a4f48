"""Who answers a request, by the rendered configuration and a real HAProxy: one edge for all of them."""

import contextlib
import ssl

import pytest

from conftest import binary
from haproxy import requests
from haproxy.requests import CLOSED, REFUSED
from support import wire
from support.edge import Edge, Endpoints, tcp, web
from support.objects import ca_secret, secret, tls_secret

# Who answers, by address of its endpoint; `both-exact` answers for one path of `both`.
NAMES = (
    'root', 'shop', 'deep', 'exact', 'both', 'both-exact', 'slash', 'encoded', 'only', 'any', 'mixed', 'wild',
    'one-of-wild', 'deeper', 'tls-one', 'tls-two', 'tls-wild', 'mutual', 'allow4', 'allow6', 'deny4', 'deny6',
    *requests.TCP_JUDGES,
)  # fmt: skip
BROKEN = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'


def where(name):
    """Return the address of a Service's endpoint."""
    return f'127.0.8.{NAMES.index(name) + 1}'


def services(endpoints):
    """Return all Services and Secrets."""

    def of(name, host, path='', **said):
        path = {'path': path} if path else {}
        return web(name, endpoints, address=where(name), host=host, **path, **said)

    def shut(name, **said):
        return web(name, endpoints, host=f'{name}.com', **said)

    groups = (
        of('root', 'a.com'),
        of('shop', 'a.com', '/shop'),
        of('deep', 'a.com', '/shop/deep'),
        of('exact', 'a.com', '/exact', path_type='Exact'),
        of('both', 'a.com', '/both'),
        of('both-exact', 'a.com', '/both', path_type='Exact'),
        of('slash', 'a.com', '/slash/'),
        of('encoded', 'a.com', '/caf%C3%A9'),
        of('only', 'b.com', '/only'),
        of('any', '*', '/any'),
        of('mixed', 'Mixed.COM'),
        of('wild', '*.w.com'),
        of('one-of-wild', 'one.w.com', '/own'),
        of('deeper', '*.deeper.w.com'),
        of('tls-one', 't1.com', tls_secret='one'),
        of('tls-two', 't2.com', tls_secret='two'),
        of('tls-wild', '*.tw.com', tls_secret='one'),
        of('mutual', 'mutual.com', tls_secret='one', client_ca_secret='ca'),
        of('allow4', 'allow4.com', allow='192.0.2.0/24'),
        of('allow6', 'allow6.com', allow='2001:db8:1::/48, 192.0.2.1'),
        of('deny4', 'deny4.com', deny='192.0.2.128/25'),
        of('deny6', 'deny6.com', deny='2001:db8:bad::/48'),
        shut('no-users', basic_auth_secret='missing'),
        shut('bad-users', basic_auth_secret='junk'),
        shut('no-user-name', basic_auth_secret='no-name'),
        shut('users-elsewhere', basic_auth_secret='elsewhere'),
        shut('no-secret', tls_secret='missing'),
        shut('bad-secret', tls_secret='broken'),
        shut('no-client-ca', tls_secret='one', client_ca_secret='missing'),
        shut('bad-client-ca', tls_secret='one', client_ca_secret='broken-ca'),
        shut('no-endpoint-ca', backend_protocol='https', backend_ca_secret='missing'),
        shut('bad-endpoint-ca', backend_protocol='https', backend_ca_secret='broken-ca'),
        shut('bad-allow', allow='192.0.2.0/24, everybody'),
        shut('bad-deny', deny='nobody'),
        shut('bad-maintenance', maintenance='yes'),
    )
    rules = [
        {'accept_proxy': 'true', 'allow': '192.0.2.0/24'},
        {'accept_proxy': 'true', 'allow': '2001:db8:1::/48, 192.0.2.1'},
        {'accept_proxy': 'true', 'deny': '192.0.2.128/25'},
        {'accept_proxy': 'true', 'deny': '2001:db8:bad::/48'},
        {'tls_secret': 'missing'},
        {'tls_secret': 'broken'},
        {'allow': 'everybody'},
        {'deny': 'nobody'},
    ]
    names = (*requests.TCP_JUDGES, *requests.TCP_SHUT)
    ports = [
        tcp(name, endpoints, port, addresses=(where(name if name in NAMES else 'any'),), **rule)
        for port, (name, rule) in enumerate(zip(names, rules, strict=True))
    ]
    secrets = (
        tls_secret('one', seed='one'),
        tls_secret('two', seed='two'),
        ca_secret('ca', seed='one'),
        secret('junk', auth='no colon here\n'),
        secret('no-name', password='p'),
        secret('elsewhere', namespace='other', username='u', password='p'),
        {**secret('broken', tls_crt=BROKEN, tls_key='junk'), 'type': 'kubernetes.io/tls'},
        secret('broken-ca', ca_crt=BROKEN),
    )
    return [*(item for group in (*groups, *ports) for item in group), *secrets]


@pytest.fixture(scope='module')
def edge():
    """An edge with all Services, before trusted proxies that send a PROXY header."""
    with Endpoints() as endpoints:
        settings = {
            'addresses': ('127.0.0.1', '::1'),
            'trusted_proxies': (f'{requests.TRUSTED}/32', '198.51.100.0/24'),
            'accept_proxy': True,
            'seen': {'all_secrets': True},
            'tcp_ports': len(requests.TCP_JUDGES) + len(requests.TCP_SHUT),
        }
        with Edge(binary('haproxy-3.4'), *services(endpoints), **settings) as found:
            yield found


def ask(edge, request):
    """Return who answers a request, or the status, `reset` or `refused`."""
    how = {'address': request.address, 'client': request.client, 'before': request.proxy, 'sni': request.sni}
    port = edge.http if request.sni is None else edge.https
    if request.port is not None:
        port = edge.tcp[request.port]
    try:
        connection = wire.connect(port, **how, alpn=('h2',) if request.h2 and request.sni is not None else ())
    except (ssl.SSLError, ConnectionError):
        return REFUSED if request.port is None else CLOSED
    with contextlib.closing(connection):
        if request.h2:
            scheme = 'http' if request.sni is None else 'https'
            headers = wire.h2_headers(request.host, request.target, *request.headers, scheme=scheme)
            status, _, body = wire.Http2(connection).ask(headers)
        else:
            lines = [f'{request.method} {request.target} HTTP/1.1', f'Host: {request.host}', 'Connection: close']
            lines += [f'{name}: {value}' for name, value in request.headers]
            came = wire.send(connection, '\r\n'.join([*lines, '', '']).encode())
            status, body = next(iter(wire.statuses(came)), CLOSED), came.partition(b'\r\n\r\n')[2]
    said = wire.said(body)
    return NAMES[int(said['at'].rpartition('.')[2]) - 1] if said else status


def cases():
    for group, rows in requests.ALL.items():
        for number, (request, wanted) in enumerate(rows, 1):
            yield pytest.param(request, wanted, id=f'{group} {number} {request.host} {request.target}')


@pytest.mark.parametrize(('request_', 'wanted'), [*cases()])
def test_a_request_is_answered_by_the_backend_of_the_contract(edge, request_, wanted):
    assert ask(edge, request_) == wanted


def test_there_are_enough_requests_of_each_kind():
    assert {group for group, rows in requests.ALL.items() if len(rows) < 10} == set()
    assert sum(map(len, requests.ALL.values())) >= 150
