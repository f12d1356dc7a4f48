"""Pairs of states by name: for each kind of change the objects before and after it."""

import zlib

from support import certificates
from support.objects import ca_secret, endpoint_slice, secret, service, tls_secret
from support.transitions import TRUSTED, Ask, Pair

SHOP, OTHER = 'shop.example.com', 'other.example.com'
ORIGIN = ('Origin', 'https://app.example.com')
ALICE = (('Authorization', 'Basic YWxpY2U6c2VjcmV0'),)  # alice:secret
ALICE_NEW = (('Authorization', 'Basic YWxpY2U6cGFzc3dvcmQ='),)  # alice:password
PREFLIGHT = Ask(SHOP, method='OPTIONS', headers=(ORIGIN, ('Access-Control-Request-Method', 'PUT')))


# TLS to the endpoint. Each retry where it is refused takes a second.
ENCRYPTED = {'backend_protocol': 'https', 'retries': '0'}


def address(name, number):
    """Return an address that tells the Service by its third number."""
    return f'127.61.{zlib.crc32(name.encode()) % 250 + 1}.{number}'


def web(name='web', *, at=(1,), port='PLAIN', created=None, ports=None, more=None, host=SHOP, **said):
    """Return an HTTP Service and its slice; annotations are written with `_` for `-`."""
    annotations = {key.replace('_', '-'): value for key, value in said.items()} | (more or {})
    if host:
        annotations['host'] = host
    made = service(name, annotations=annotations, created=created, ports=ports or [{'name': 'http', 'port': 80}])
    return [made, *slices(name, at, port)]


def tcp(name='db', *, at=(1,), created=None, port='TCP1', **said):
    """Return a TCP Service and its slice."""
    annotations = {'port': port, **{key.replace('_', '-'): value for key, value in said.items()}}
    made = service(name, annotations=annotations, created=created, ports=[{'name': 'sql', 'port': 5432}])
    return [made, endpoint_slice(name, addresses=[address(name, each) for each in at], port='PLAIN', port_name='sql')]


def slices(name, at, port='PLAIN'):
    """Return the slice of a Service, as a list; none where it has no endpoints."""
    found = [address(name, each) for each in at]
    return [endpoint_slice(name, addresses=found, port=port, port_name='http')] if found else []


def changed(before, after, *asks):
    """Return a pair of one HTTP Service with some annotations and then with others."""
    return Pair(web(**before), web(**after), asks)


def conditions(**found):
    """Return one endpoint of the Service `web` with these conditions."""
    return {'addresses': [address('web', 1)], 'conditions': found}


def odd(*endpoints):
    """Return the Service `web` with endpoints as given."""
    made = endpoint_slice('web', port='PLAIN', port_name='http', endpoints=list(endpoints))
    return [*web(at=()), made]


ENDPOINTS = {
    'an endpoint comes': Pair(web(at=(1,)), web(at=(1, 2, 3))),
    'an endpoint moves': Pair(web(at=(1,)), web(at=(2,))),
    'the last endpoint goes': Pair(web(at=(1, 2)), web(at=())),
    'an endpoint terminates, the only one': Pair(
        odd(conditions(ready=True)), odd(conditions(ready=False, serving=True, terminating=True))
    ),
    'an endpoint terminates, another is ready': Pair(
        odd(conditions(ready=True)),
        odd(
            conditions(ready=False, serving=True, terminating=True), {'addresses': [address('web', 2)]}
        ),
    ),
    'endpoints listen on another port': Pair(
        web(at=(1,), **ENCRYPTED, port='PLAIN'), web(at=(1,), **ENCRYPTED, port='TLS')
    ),
    'endpoints move to a second slice': Pair(
        web(at=(1, 2)),
        [*web(at=(1,)), endpoint_slice('web', name='web-2', addresses=[address('web', 2), address('web', 3)], port='PLAIN', port_name='http')],
    ),
    'a slice of IPv4 becomes one of IPv6': Pair(
        web(at=(1,)),
        [*web(at=()), endpoint_slice('web', family='IPv6', addresses=['::1'], port='PLAIN', port_name='http')],
    ),
    'a second family of endpoints changes nothing': Pair(
        web(at=(1,)),
        [*web(at=(1,)), endpoint_slice('web', name='web-6', family='IPv6', addresses=['::1'], port='PLAIN', port_name='http')],
    ),
}  # fmt: skip

SERVICES = {
    'a Service comes': Pair([], web()),
    'a Service with everything comes': Pair(
        [],
        web(
            allow='127.0.0.0/8', deny='127.0.0.5', rate_limit='100/s', max_body_size='1k', hsts='1h',
            request_headers='X-A: 1', response_headers='Server:', cors_allow_origin='*', check='http', check_path='/up',
            timeout_server='20s', timeout_client='30s', cookie='true', balance='leastconn', rewrite_path='/new',
        ),
        (PREFLIGHT, Ask(SHOP, client='127.0.0.5'), Ask(SHOP, method='POST', body='x' * 2000)),
    ),
    'a Service is switched off': Pair(web(enabled='true'), web(enabled='false')),
    'a Service goes to another class': Pair(web(), web(**{'class': 'elsewhere'})),
    'a Service has a second port': Pair(
        web(),
        web(
            ports=[{'name': 'http', 'port': 80}, {'name': 'admin', 'port': 9000}],
            host='', more={'host.http': SHOP, 'host.admin': OTHER, 'mode.admin': 'http', 'allow.admin': '10.0.0.0/8'},
        ),
    ),
    'a port is renamed': Pair(
        web(ports=[{'name': 'http', 'port': 80}]), web(ports=[{'name': 'http-new', 'port': 80}])
    ),
    'a port becomes TCP': Pair(web(), tcp('web')),
}  # fmt: skip

CRYPT = secret('users', auth='alice:$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA\n')
ROUTES = {
    'a host is exchanged': changed({'host': SHOP}, {'host': OTHER}),
    'hosts are added': changed({'host': SHOP}, {'host': f'{SHOP} {OTHER} third.example.com'}),
    'a host becomes a wildcard': changed({'host': SHOP}, {'host': '*.example.com'}),
    'a wildcard becomes every host': changed({'host': '*.example.com'}, {'host': '*'}),
    'a path becomes exact': changed({'path': '/a'}, {'path': '/a', 'path_type': 'Exact'}),
    'paths are exchanged': changed({'path': '/a /a/b'}, {'path': '/a/b/c /d'}),
    'a host moves to another Service': Pair(
        [*web('one', host=SHOP), *web('two', host=OTHER)], [*web('one', host=OTHER), *web('two', host=SHOP)]
    ),
    'a longer path moves to another Service': Pair(
        [*web('one', path='/ /a'), *web('two', path='/b')], [*web('one', path='/ /b'), *web('two', path='/a')]
    ),
    'a Service is replaced by one of another name': Pair(web('one'), web('two')),
    'a conflict is lost': Pair(
        web('two', created='2026-01-02T00:00:00Z'),
        [*web('one', created='2026-01-01T00:00:00Z'), *web('two', created='2026-01-02T00:00:00Z')],
    ),
    'a conflict is won because the winner leaves its host': Pair(
        [*web('one'), *web('two')], [*web('one', host=OTHER), *web('two')]
    ),
    'a conflict turns because of the age': Pair(
        [*web('one', created='2026-01-01T00:00:00Z'), *web('two', created='2026-01-02T00:00:00Z')],
        [*web('one', created='2026-01-03T00:00:00Z'), *web('two', created='2026-01-02T00:00:00Z')],
    ),
}  # fmt: skip

POLICIES = {
    'allow': changed(
        {'allow': '127.0.0.1'}, {'allow': '127.0.0.0/30, 10.0.0.0/9'},
        Ask(SHOP, client='127.0.0.2'), Ask(SHOP, client='127.0.0.8'),
    ),
    'allow comes': changed({}, {'allow': '10.0.0.0/8'}),
    'allow does not parse': changed({'allow': '127.0.0.1'}, {'allow': 'everybody'}),
    'deny': changed(
        {'deny': '127.0.0.4/31'}, {'deny': '127.0.0.8/29, ::/0'},
        Ask(SHOP, client='127.0.0.5'), Ask(SHOP, client='127.0.0.10'),
    ),
    'rate-limit': changed({'rate_limit': '2/h'}, {'rate_limit': '4/m'}, Ask(SHOP, times=6)),
    'rate-limit comes': changed({}, {'rate_limit': '3/h'}, Ask(SHOP, times=5)),
    'max-body-size': changed(
        {'max_body_size': '1k'}, {'max_body_size': '10'},
        Ask(SHOP, method='POST', body='x' * 100), Ask(SHOP, method='POST', body='x' * 2000),
    ),
    'redirect-to': changed({}, {'redirect_to': 'https://new.example.com/a?b=%20;c'}),
    'redirect-code': changed(
        {'redirect_to': '/there', 'redirect_code': '301'}, {'redirect_to': '/there', 'redirect_code': '307'}
    ),
    'rewrite-path': changed({'path': '/a', 'rewrite_path': '/x'}, {'path': '/a', 'rewrite_path': '/'}),
    'request-headers and response-headers': changed(
        {'request_headers': 'X-Tenant: one\nX-Gone:', 'response_headers': 'Server:'},
        {'request_headers': 'X-Tenant: two; "three" \\ %[src] é', 'response_headers': 'Server: us\nX-Long: ' + 'y' * 3000},
        Ask(SHOP, headers=(('X-Gone', '1'),)),
    ),
    'cors': changed(
        {'cors_allow_origin': 'https://app.example.com', 'cors_allow_methods': 'GET', 'cors_max_age': '60s'},
        {'cors_allow_origin': '*', 'cors_allow_methods': 'GET, PUT', 'cors_allow_headers': 'X-A',
         'cors_expose_headers': 'X-B', 'cors_allow_credentials': 'true', 'cors_max_age': '1h'},
        PREFLIGHT, Ask(SHOP, headers=(ORIGIN,)), Ask(SHOP, headers=(('Origin', 'https://evil.example.com'),)),
    ),
    'maintenance': changed({}, {'maintenance': 'true'}),
    'timeout-client': changed({'timeout_client': '10s'}, {'timeout_client': '20s'}),
    'timeout-server': changed({'timeout_server': '200ms'}, {'timeout_server': '30s'}, Ask(SHOP, '/slow')),
    'timeout-connect, timeout-tunnel and queue-timeout': changed(
        {'timeout_connect': '1s'}, {'timeout_connect': '2s', 'timeout_tunnel': '2h', 'queue_timeout': '1s'}
    ),
    'basic-auth-secret': Pair(
        [*web(basic_auth_secret='users'), secret('users', username='alice', password='secret')],
        [*web(basic_auth_secret='users'), secret('users', username='alice', password='password')],
        (Ask(SHOP, headers=ALICE), Ask(SHOP, headers=ALICE_NEW)),
    ),
    'basic-auth-secret in htpasswd': Pair(
        web(),
        [*web(basic_auth_secret='users'), secret('users', auth='alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n')],
        (Ask(SHOP, headers=ALICE), Ask(SHOP, headers=ALICE_NEW)),
    ),
    'a crypt hash that is known is used by another route': Pair(
        [*web('one', host=SHOP, basic_auth_secret='users'), *web('two', host=OTHER), CRYPT],
        [*web('one', host=SHOP, basic_auth_secret='users'), *web('two', host=OTHER, basic_auth_secret='users'), CRYPT],
        (Ask(SHOP, headers=ALICE), Ask(OTHER, headers=ALICE), Ask(OTHER, headers=ALICE_NEW)),
    ),
    'basic-auth-secret is gone': Pair(
        [*web(basic_auth_secret='users'), secret('users', username='alice', password='secret')],
        web(basic_auth_secret='users'),
        (Ask(SHOP, headers=ALICE),),
    ),
    'canary-weight': Pair(
        [*web(canary_service='next', canary_weight='0'), *web('next', host='')],
        [*web(canary_service='next', canary_weight='100'), *web('next', host='')],
    ),
    'canary-service': Pair(
        [*web(canary_service='next', canary_weight='100'), *web('next', host=''), *web('third', host='')],
        [*web(canary_service='third', canary_weight='100'), *web('next', host=''), *web('third', host='')],
    ),
    'canary-service is gone': Pair(
        [*web(canary_service='next', canary_weight='100'), *web('next', host='')],
        web(canary_service='next', canary_weight='100'),
    ),
    'external-auth-service': Pair(
        [*web(external_auth_service='next'), *web('next', host=''), *web('third', host='')],
        [*web(external_auth_service='third', external_auth_body_size='1k'), *web('next', host=''), *web('third', host='')],
    ),
    'external-auth-service is gone': Pair(
        [*web(external_auth_service='next'), *web('next', host='')],
        web(external_auth_service='next'),
    ),
    'external-auth-skip-paths': Pair(
        [*web(external_auth_service='next', external_auth_skip_paths='/a'), *web('next', host='', at=())],
        [*web(external_auth_service='next', external_auth_skip_paths='/'), *web('next', host='', at=())],
    ),
    "a canary's shape": Pair(
        [*web(canary_service='next', canary_weight='100'), *web('next', host='')],
        [*web(canary_service='next', canary_weight='100'), *web('next', host='', balance='first')],
    ),
}  # fmt: skip

SERVERS = {
    'max-connections': changed({'max_connections': '5'}, {'max_connections': '9'}),
    'max-connections goes': changed({'max_connections': '5'}, {}),
    'slow-start': changed({}, {'slow_start': '10s'}),
    'client-ip proxy-v1': changed({}, {'client_ip': 'proxy-v1'}),
    'client-ip proxy-v2': changed({'client_ip': 'none'}, {'client_ip': 'proxy-v2'}),
    'backend-protocol https': changed({'port': 'TLS'}, {'port': 'TLS', 'backend_protocol': 'https'}),
    'backend-protocol h2': changed(
        {'port': 'TLS', 'backend_protocol': 'https'}, {'port': 'TLS', 'backend_protocol': 'h2'}
    ),
    'backend-protocol h2c': changed({}, {'backend_protocol': 'h2c'}),
    'backend-sni': changed(
        {'port': 'TLS', 'backend_protocol': 'https', 'backend_sni': 'a.example.com'},
        {'port': 'TLS', 'backend_protocol': 'https', 'backend_sni': 'host-header'},
    ),
    'check-interval, check-rise and check-fall': changed(
        {'check': 'tcp'}, {'check': 'tcp', 'check_interval': '7s', 'check_rise': '1', 'check_fall': '5'}
    ),
    'check-path and check-host': changed(
        {'check': 'http', 'check_path': '/a', 'check_host': 'a.example.com'}, {'check': 'http', 'check_path': '/b c'}
    ),
    'eject-after': changed({'check': 'tcp'}, {'check': 'tcp', 'eject_after': '3'}),
    'a server with everything comes': changed(
        {'at': (1,), 'check': 'http', 'slow_start': '1s', 'max_connections': '7', 'cookie': 'true', 'client_ip': 'proxy-v1'},
        {'at': (1, 2), 'check': 'http', 'slow_start': '1s', 'max_connections': '7', 'cookie': 'true', 'client_ip': 'proxy-v1'},
    ),
}  # fmt: skip


def verified(name='web', ca='ca', **more):
    """Return a Service whose endpoints must show a certificate of an authority."""
    return web(name, port='TLS', backend_ca_secret=ca, **ENCRYPTED, **more)


AUTHORITIES = {
    'backend-ca-secret comes': Pair(
        web(port='TLS', **ENCRYPTED), [*verified(), ca_secret('ca', seed='one')]
    ),
    'backend-ca-secret becomes another': Pair(
        [*verified(ca='ca'), ca_secret('ca', seed='one')], [*verified(ca='two'), ca_secret('two', seed='two')]
    ),
    'backend-ca-secret is renewed': Pair(
        [*verified(), ca_secret('ca', seed='one')], [*verified(), ca_secret('ca', seed='two')]
    ),
    'backend-ca-secret is gone': Pair([*verified(), ca_secret('ca', seed='one')], verified()),
    'the first endpoint of a backend that verifies comes': Pair(
        [*verified(at=()), ca_secret('ca', seed='one')], [*verified(), ca_secret('ca', seed='one')]
    ),
    'a Service whose endpoints are verified comes': Pair([], [*web(port='TLS', backend_protocol='https', backend_ca_secret='ca'), ca_secret('ca', seed='one')]),
    'an authority is shared': Pair(
        [*verified(), *verified('two', host=OTHER), ca_secret('ca', seed='one')], [*verified(), ca_secret('ca', seed='one')]
    ),
}  # fmt: skip

SHAPES = {
    'balance roundrobin': changed({}, {'balance': 'roundrobin'}),
    'balance leastconn': changed({'balance': 'source'}, {'balance': 'leastconn'}),
    'balance uri': changed({'balance': 'first'}, {'balance': 'uri'}),
    'check tcp': changed({}, {'check': 'tcp'}),
    'check http': changed({'check': 'tcp'}, {'check': 'http', 'check_path': '/up'}),
    'cookie': changed({}, {'cookie': 'true'}, Ask(SHOP, headers=(('Cookie', 'headrace=none'),))),
    'cookie, check and balance at once': changed(
        {'balance': 'first', 'cookie': 'true'}, {'balance': 'uri', 'cookie': 'true', 'check': 'tcp', 'at': (1, 2)}
    ),
}


def staying(made, seconds=10800):
    """Return objects of which the Services' clients stay with their endpoints."""
    spec = {'sessionAffinity': 'ClientIP', 'sessionAffinityConfig': {'clientIP': {'timeoutSeconds': seconds}}}
    return [{**item, 'spec': {**item['spec'], **spec}} if item['kind'] == 'Service' else item for item in made]


AFFINITY = {
    'clients stay from now on': Pair(web(at=(1, 2)), staying(web(at=(1, 2)))),
    'clients stay no longer': Pair(staying(web(at=(1, 2))), web(at=(1, 2))),
    'clients stay for another time': Pair(staying(web(at=(1,)), 50), staying(web(at=(1,)), 60)),
    'endpoints of clients that stay come and go': Pair(staying(web(at=(1, 2))), staying(web(at=(2, 3)))),
    'clients of a TCP port stay': Pair(tcp(at=(1, 2)), staying(tcp(at=(2, 3)))),
    'a Service whose clients stay comes': Pair([], staying(web(at=(1, 2)))),
    'a Service whose clients stay goes': Pair(staying(web(at=(1, 2))), []),
}

PASSED = {'host': OTHER, 'mode': 'tls-passthrough', 'port': 'TLS'}
PASSTHROUGH = {
    'TLS is passed through from now on': Pair(web(), [*web(), *web('two', **PASSED)], (Ask(OTHER, sni=OTHER),)),
    'TLS is passed through no longer': Pair([*web(), *web('two', **PASSED)], web(), (Ask(OTHER, sni=OTHER),)),
    'TLS that is passed through goes elsewhere': Pair(
        web(**PASSED),
        web(**{**PASSED, 'host': SHOP, 'at': (2,)}),
        (Ask(OTHER, sni=OTHER), Ask(SHOP, sni=SHOP)),
    ),
    'TLS that is passed through is closed': Pair(
        web(**PASSED), web(**PASSED, deny='127.0.0.0/8'), (Ask(OTHER, sni=OTHER),)
    ),
}

TCP = {
    'a TCP Service comes': Pair([], tcp()),
    'an endpoint of TCP moves': Pair(tcp(at=(1, 2)), tcp(at=(3,))),
    'a TCP port moves': Pair(tcp(port='TCP1'), tcp(port='TCP2')),
    'a TCP port moves to another Service': Pair(
        [*tcp('one', port='TCP1'), *tcp('two', port='TCP2')], [*tcp('one', port='TCP2'), *tcp('two', port='TCP1')]
    ),
    'a conflict for a TCP port is lost': Pair(
        [*tcp('one', port='TCP1'), *tcp('two', port='TCP2')], [*tcp('one', port='TCP2'), *tcp('two', port='TCP2')]
    ),
    'allow on TCP': Pair(
        tcp(), tcp(allow='127.0.0.2'), (Ask(port='TCP1', client='127.0.0.2'), Ask(port='TCP1', client='127.0.0.3'))
    ),
    'deny on TCP': Pair(
        tcp(deny='127.0.0.2'), tcp(deny='127.0.0.3'),
        (Ask(port='TCP1', client='127.0.0.2'), Ask(port='TCP1', client='127.0.0.3')),
    ),
    'rate-limit on TCP': Pair(
        tcp(rate_limit='2/h'), tcp(rate_limit='4/m'), (Ask(port='TCP1', times=6),)
    ),
    'maintenance on TCP': Pair(tcp(), tcp(maintenance='true')),
    'accept-proxy': Pair(
        tcp(), tcp(accept_proxy='true', client_ip='proxy-v1'),
        (Ask(port='TCP1', client=TRUSTED, proxy=True),),
    ),
    'check on TCP': Pair(tcp(), tcp(check='tcp')),
    'balance on TCP': Pair(tcp(balance='source'), tcp(balance='leastconn')),
}  # fmt: skip


def secure(name='web', *, tls='tls', **more):
    """Return an HTTP Service with a certificate."""
    return web(name, tls_secret=tls, **more)


MUTUAL = {'client_ca_secret': 'clients', 'tls_redirect': 'true'}
SHOWN = (Ask(SHOP, sni=SHOP, certificate='one'), Ask(SHOP, sni=SHOP, certificate='two'), Ask(OTHER, sni=SHOP))

# The stand-ins' keys are of EdDSA.
ECDSA = certificates.tls_secret('a', *certificates.for_names(SHOP))
CERTIFICATES = {
    'tls-secret comes': Pair(web(), [*secure(), tls_secret()]),
    'a Service with a certificate comes': Pair([], [*secure(), tls_secret()]),
    'a certificate is renewed': Pair(
        [*secure(), tls_secret(seed='one')], [*secure(), tls_secret(seed='two')]
    ),
    'a certificate is gone': Pair([*secure(), tls_secret()], secure()),
    'tls-secret becomes another': Pair(
        [*secure(), tls_secret()], [*secure(tls='new'), tls_secret('new', seed='two')]
    ),
    'a second certificate comes': Pair(
        [*secure(), tls_secret('tls', seed='one')],
        [*secure(tls='tls, two'), tls_secret('tls', seed='one'), tls_secret('two', seed='two')],
    ),
    'the first of two certificates goes, and the other is shared': Pair(
        [*secure('one', tls='a b', host=SHOP), *secure('two', tls='b', host=OTHER), ECDSA, tls_secret('b', seed='two')],
        [*secure('one', tls='b', host=SHOP), *secure('two', tls='b', host=OTHER), tls_secret('b', seed='two')],
    ),
    'a host of a certificate is exchanged': Pair(
        [*secure(host=f'{SHOP} {OTHER}'), tls_secret()], [*secure(host=f'{SHOP} *.example.net'), tls_secret()]
    ),
    'a certificate is shared': Pair(
        [*secure('one', host=SHOP), *secure('two', host=OTHER), tls_secret()],
        [*secure('one', host=SHOP), *web('two', host=OTHER), tls_secret()],
    ),
    'a host moves to a Service with another certificate': Pair(
        [*secure('one', tls='a', host=SHOP), *secure('two', tls='b', host=OTHER), tls_secret('a', seed='one'), tls_secret('b', seed='two')],
        [*secure('one', tls='a', host=OTHER), *secure('two', tls='b', host=SHOP), tls_secret('a', seed='one'), tls_secret('b', seed='two')],
    ),
    'a conflict for TLS is lost': Pair(
        [*secure('two', tls='b'), tls_secret('a', seed='one'), tls_secret('b', seed='two')],
        [*secure('one', tls='a', path='/one'), *secure('two', tls='b'), tls_secret('a', seed='one'), tls_secret('b', seed='two')],
    ),
    'the loser of TLS gets a new certificate': Pair(
        [*secure('one', tls='a'), *secure('two', tls='b'), tls_secret('a', seed='one'), tls_secret('b', seed='two')],
        [*secure('one', tls='a'), *secure('two', tls='b'), tls_secret('a', seed='one'), tls_secret('b', seed='three')],
    ),
    'the loser of TLS leaves': Pair(
        [*secure('one', tls='a'), *secure('two', tls='b', path='/two'), tls_secret('a', seed='one'), tls_secret('b', seed='two')],
        [*secure('one', tls='a'), *web('two', path='/two'), tls_secret('a', seed='one')],
    ),
    'client-ca-secret comes': Pair(
        [*secure(), tls_secret()], [*secure(**MUTUAL), tls_secret(), ca_secret('clients', seed='one')], SHOWN
    ),
    'client-ca-secret is renewed': Pair(
        [*secure(**MUTUAL), tls_secret(), ca_secret('clients', seed='one')],
        [*secure(**MUTUAL), tls_secret(), ca_secret('clients', seed='two')],
        SHOWN,
    ),
    'client-ca-secret is gone': Pair(
        [*secure(**MUTUAL), tls_secret(), ca_secret('clients', seed='one')], [*secure(**MUTUAL), tls_secret()], SHOWN
    ),
    'client-verify': Pair(
        [*secure(**MUTUAL), tls_secret(), ca_secret('clients', seed='one')],
        [*secure(**MUTUAL, client_verify='optional'), tls_secret(), ca_secret('clients', seed='one')],
        SHOWN,
    ),
    'tls-redirect': Pair([*secure(), tls_secret()], [*secure(tls_redirect='false'), tls_secret()]),
    'hsts': Pair([*secure(hsts='1h'), tls_secret()], [*secure(hsts='2h'), tls_secret()]),
}  # fmt: skip

ALL = {
    **ENDPOINTS,
    **SERVICES,
    **ROUTES,
    **POLICIES,
    **SERVERS,
    **AUTHORITIES,
    **SHAPES,
    **AFFINITY,
    **PASSTHROUGH,
    **TCP,
    **CERTIFICATES,
}
