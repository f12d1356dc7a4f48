"""Objects that can be used nearly all of the time, and requests for their hosts: what is asked finds a route more often than not.

Endpoints are on loopback, at addresses that tell whose they are. A feature of routes is not done until it can be drawn here.
"""

import dataclasses
from base64 import b64encode

from hypothesis import strategies as st

from properties import requested_gateways
from properties.requested_gateways import CREATED, HOSTS
from support import certificates
from support.objects import PREFIX, ca_config_map, endpoint_slice, ingress, ingress_class, secret, service, tls_secret

NGINX = 'nginx.ingress.kubernetes.io/'
HAPROXY = 'haproxy-ingress.github.io/'
# Each Service with the third byte of its endpoints' addresses.
SERVICES = {('shop', 'a'): 1, ('shop', 'b'): 2, ('shop', 'c'): 3, ('bank', 'a'): 4}
PATHS = ('/', '/', '/x', '/x/y', '/app', '/a%20b')
# Pairs of keys and values that belong together.
_KEYS = (
    {'allow': '127.0.0.0/29'}, {'allow': '192.0.2.0/24'}, {'deny': '127.0.0.9'}, {'deny': '192.0.2.1 ::ffff:127.0.0.8/125'},
    {'basic-auth-secret': 'users'}, {'basic-auth-secret': 'more', 'basic-auth-realm': 'Staff only'},
    {'basic-auth-secret': 'users', 'allow': '127.0.0.0/29', 'satisfy': 'any'}, {'maintenance': 'true'},
    {'redirect-to': '/there'}, {'redirect-to': '$scheme://x.example.com$request_uri', 'redirect-code': '307'}, {'redirect-root': '/x'},
    {'www-redirect': 'true'}, {'rewrite-path': '/'}, {'rewrite-path': '/new/'}, {'path': '/v([0-9])/(.*)', 'path-type': 'RegularExpression', 'rewrite-path': '/$2/$1'},
    {'path': '/(x|app)', 'path-type': 'RegularExpression'}, {'path-type': 'Exact'}, {'request-headers': 'X-A: b\nX-Gone:'}, {'host-header': 'inner.example.com'},
    {'tls-secret': 'tls'}, {'tls-secret': 'tls', 'tls-redirect': 'false'}, {'tls-secret': 'tls', 'tls-redirect': 'false'},
    {'tls-secret': 'tls', 'client-ca-secret': 'ca', 'tls-redirect': 'false'}, {'tls-secret': 'tls', 'client-ca-secret': 'ca', 'client-verify': 'optional', 'tls-redirect': 'false'},
    {'cors-allow-origin': '*'}, {'cors-allow-origin': 'https://a.example.com', 'cors-allow-credentials': 'true'}, {'max-body-size': '4'},
    {'canary-service': 'b', 'canary-weight': '50'}, {'canary-service': 'c', 'canary-header': 'X-Canary'}, {'canary-service': 'c', 'canary-header': 'X-Canary: yes', 'canary-cookie': 'next'},
    {'canary-service': 'b', 'canary-header': 'X-Canary', 'canary-header-pattern': '^a+b$'}, {'fallback-service': 'b'}, {'error-service': 'c', 'error-statuses': '503'},
    {'external-auth-service': 'c'}, {'external-auth-service': 'c', 'external-auth-skip-paths': '/x'}, {'mirror-service': 'c', 'mirror-percent': '50'},
    {'cookie': 'true'}, {'balance': 'hash:$request_uri'}, {'hsts': '1h'}, {'response-headers': 'X-A: b'}, {'mode': 'tls-passthrough'}, {'connection-limit': '50'},
    {'timeout-server': '30s'}, {'max-body-size': '1m'}, {'satisfy': 'any'}, {'deny': 'nonsense'},
    {'deny': '192.0.2.7 2001:db8::/32'}, {'allow': '192.0.2.0/24 127.0.0.1'}, {'external-auth-service': 'c', 'allow': '127.0.0.1', 'satisfy': 'any'},
    {'external-auth-service': 'c', 'external-auth-signin': 'https://x.example.com/login'}, {'canary-service': 'b', 'canary-weight': '100'},
    {'canary-service': 'b', 'canary-weight': '5', 'canary-weight-total': '5', 'cookie': 'true'}, {'redirect-to': 'https://x.example.com', 'redirect-code': '301'},
    {'redirect-to': 'https://$host$uri?from=$args'}, {'redirect-root': '/app', 'tls-secret': 'tls'}, {'rewrite-path': '/%zz'}, {'path': '/x /app', 'rewrite-path': '/n'},
    {'path': '/X', 'path-type': 'Exact'}, {'host': 'a.example.com b.example.com'}, {'fallback-service': 'c', 'error-service': 'b', 'error-statuses': '503 404'},
    {'cors-allow-origin': 'https://a.example.com http://z.example.com', 'cors-allow-methods': 'GET PUT', 'cors-max-age': '1h'}, {'request-headers': 'X-B: 1\nX-A:'},
    {'request-headers': 'X-Forwarded-For:'}, {'client-ip': 'none'}, {'rate-limit': '1000/s', 'rate-limit-except': '127.0.0.1'}, {'timeout-client': '30s'},
    {'location-rewrite': 'http://a/ https://b/'}, {'compression': 'true'}, {'balance': 'leastconn'},
)  # fmt: skip


@st.composite
def _services(draw, port):
    """Every Service with its endpoints; most of them ask for a route of their own."""
    found = []
    for (namespace, name), number in SERVICES.items():
        wanted = {'host': draw(st.sampled_from(HOSTS)), 'path': draw(st.sampled_from(PATHS))}
        for keys in draw(st.lists(st.sampled_from(_KEYS), min_size=draw(st.integers(0, 3)), max_size=4)):
            wanted |= keys
        if not draw(st.booleans()):
            wanted = {key: value for key, value in wanted.items() if key not in ('host', 'path', 'mode')}
        if wanted.get('mode'):
            wanted.pop('path', None)
        more = {'sessionAffinity': 'ClientIP'} if draw(st.integers(0, 5)) == 5 else {}
        ports = [{'name': 'http', 'port': 80}]
        found.append(
            service(name, namespace, annotations=wanted, ports=ports, created=draw(st.sampled_from(CREATED)), **more)
        )
        count = draw(st.sampled_from((0, 1, 2, 2)))
        addresses = [f'127.1.{number}.{place + 1}' for place in range(count)]
        found.append(endpoint_slice(name, namespace, addresses=addresses, port=port, port_name='http'))
    return found


_NGINX_KEYS = (
    {'canary': 'true', 'canary-weight': '30'}, {'canary': 'true', 'canary-by-header': 'X-Canary'}, {'use-regex': 'true'},
    {'rewrite-target': '/r/$1', 'use-regex': 'true'}, {'whitelist-source-range': '127.0.0.0/29'}, {'permanent-redirect': 'https://x.example.com/'},
    {'app-root': '/app'}, {'enable-cors': 'true'}, {'server-alias': 'b.example.com'}, {'ssl-redirect': 'false'}, {'ssl-passthrough': 'true'},
    {'upstream-vhost': 'inner.example.com'}, {'auth-type': 'basic', 'auth-secret': 'users'}, {'from-to-www-redirect': 'true'},
    {'canary': 'true', 'canary-by-cookie': 'next'}, {'canary': 'true', 'canary-by-header': 'X-Canary', 'canary-by-header-value': 'yes'},
    {'canary': 'true', 'canary-by-header': 'X-Canary', 'canary-by-header-pattern': '^a+b$', 'canary-weight': '100'}, {'rewrite-target': '/$2'}, {'rewrite-target': '/n'},
    {'rewrite-target': 'https://x.example.com/$1'}, {'server-alias': '*.x.example.com, other.com'}, {'denylist-source-range': '127.0.0.9,192.0.2.7'},
    {'auth-url': 'http://c.shop.svc.cluster.local/auth'}, {'auth-url': 'http://c.shop.svc.cluster.local/auth', 'auth-signin': 'https://$host/login'},
    {'auth-type': 'basic', 'auth-secret': 'users', 'satisfy': 'any', 'allowlist-source-range': '127.0.0.1'}, {'custom-http-errors': '404,503', 'default-backend': 'c'},
    {'default-backend': 'b'}, {'x-forwarded-prefix': '/pre', 'rewrite-target': '/n'}, {'proxy-redirect-from': 'http://a/', 'proxy-redirect-to': 'http://b/'},
    {'permanent-redirect': 'https://x.example.com', 'permanent-redirect-code': '308'}, {'temporal-redirect': 'https://x.example.com$request_uri'},
    {'force-ssl-redirect': 'true'}, {'preserve-trailing-slash': 'true', 'force-ssl-redirect': 'true'}, {'affinity': 'cookie'}, {'proxy-body-size': '4'},
    {'auth-tls-secret': 'shop/ca'}, {'auth-tls-secret': 'shop/ca', 'auth-tls-verify-client': 'optional'}, {'limit-rps': '900'}, {'mirror-target': 'http://c.shop.svc.cluster.local$request_uri'},
    {'enable-cors': 'true', 'cors-allow-origin': 'https://a.example.com'}, {'configuration-snippet': 'return 403;'}, {'configuration-snippet': 'proxy_set_header X-B 1;'},
    {'configuration-snippet': 'rewrite ^/x(.*)$ /y$1 redirect;'}, {'server-snippet': 'deny 127.0.0.9;'}, {'upstream-hash-by': '$remote_addr'}, {'canary': 'true'},
)  # fmt: skip


_HAPROXY_KEYS = (
    {'auth-secret': 'users'}, {'app-root': '/app'}, {'allowlist-source-range': '127.0.0.0/29'}, {'denylist-source-range': '127.0.0.9'}, {'ssl-redirect': 'false'},
    {'rewrite-target': '/n'}, {'server-alias': 'b.example.com'}, {'redirect-to': 'https://x.example.com/'}, {'ssl-passthrough': 'true'}, {'cors-enable': 'true'},
    {'path-type': 'regex'}, {'path-type': 'exact'}, {'path-type': 'begin'}, {'headers': 'X-A: b'}, {'proxy-body-size': '4'}, {'auth-url': 'http://c.shop.svc/auth'},
    {'auth-tls-secret': 'ca'}, {'whitelist-source-range': '127.0.0.0/29'}, {'hsts': 'true'}, {'maxconn-server': '5'}, {'http-header-match': 'X-A: b'},
    {'http-header-match-regex': 'X-Canary: ^a'}, {'affinity': 'cookie'}, {'balance-algorithm': 'leastconn'},
)  # fmt: skip


@st.composite
def _ingresses(draw):
    paths = st.builds(
        lambda path, kind, name: {
            'path': path,
            'pathType': kind,
            'backend': {'service': {'name': name, 'port': {'number': 80}}},
        },
        st.sampled_from((*PATHS, '/(app|x)/(.*)', '/v[0-9]')),
        st.sampled_from(('Prefix', 'Exact', 'ImplementationSpecific')),
        st.sampled_from(('a', 'b', 'c')),
    )
    rules = st.builds(
        lambda host, many: {**({'host': host} if host != '*' else {}), 'http': {'paths': many}},
        st.sampled_from(HOSTS),
        st.lists(paths, min_size=1, max_size=3),
    )
    keys = {}
    for each in draw(st.lists(st.sampled_from(_NGINX_KEYS), min_size=draw(st.integers(0, 2)), max_size=3)):
        keys |= {NGINX + key: value for key, value in each.items()}
    for each in draw(st.lists(st.sampled_from(_HAPROXY_KEYS), max_size=1)):
        keys |= {HAPROXY + key: value for key, value in each.items()}
    for each in draw(st.lists(st.sampled_from(_KEYS), max_size=1)):
        keys |= {PREFIX + key: value for key, value in each.items() if key not in ('path', 'path-type', 'mode')}
    tls = {'tls': [{'hosts': ['a.example.com', '*.example.com'], 'secretName': 'tls'}]} if draw(st.booleans()) else {}
    return ingress(
        draw(st.sampled_from(('i', 'j', 'k'))),
        draw(st.sampled_from(('shop', 'shop', 'bank'))),
        annotations=keys,
        created=draw(st.sampled_from(CREATED)),
        rules=draw(st.lists(rules, min_size=1, max_size=2)),
        **tls,
    )


# What a client shows, and the authority that knows it.
CLIENT = certificates.for_names('known.clients.com')
SECRETS = [
    tls_secret(), tls_secret('tls', 'bank'), secret('ca', ca_crt=CLIENT[1].decode()), ca_config_map('ca', pem=CLIENT[1].decode()), secret('users', username='u', password='p'),
    secret('more', auth='a:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nb:clear'),
    secret('users', 'bank', username='u', password='p'),
]  # fmt: skip


@st.composite
def worlds(draw, port):
    """Sets of objects whose endpoints answer at a port of loopback."""
    found = [*draw(_services(port)), *SECRETS, ingress_class(default=True)]
    found += draw(st.lists(_ingresses(), min_size=draw(st.integers(0, 2)), max_size=3))
    found += draw(requested_gateways.attached())
    return list(
        {(each['kind'], each['metadata'].get('namespace'), each['metadata']['name']): each for each in found}.values()
    )


def _basic(text):
    return f'Authorization: Basic {b64encode(text.encode()).decode()}'


ASKED_HOSTS = (
    *('a.example.com',) * 16, *('b.example.com', 'x.example.com') * 4,
    'a.example.com', 'a.example.com', 'b.example.com', 'x.example.com', 'A.Example.com.', 'a.example.com:80', 'y.x.example.com', 'other.com',
    'www.a.example.com', '127.0.0.1', 'localhost', 'WWW.A.EXAMPLE.COM', 'a.example.com.:8080', 'b.x.example.com', '[::1]', '[2001:db8::1]:80', 'example.com',
)  # fmt: skip
ASKED_PATHS = (
    *('/', '/x', '/x/y', '/app', '/app/1', '/v1/b/c', '/a%20b') * 6,
    '/', '/', '/x', '/x/', '/x/y', '/xy', '/z', '/app', '/app/1', '/v1', '/v1/b/c', '/a%20b', '/%78', '//x', '/x;v=1', '/x/../y', '/x%2Fy', '/%zz',
    '/app?q=1', '/x?q=a&q=1', '/x?q=%31', '/.well-known/x', '/app\\1', '/x//y', '/%41pp', '/app%01',
    '/X', '/APP/1', '/x?', '/x?q', '/x?q=1&q=2', '/x?a=b|c', '/v1/', '/v1/b/', '/V1/b', '/app/x/', '/y', '/x/z?q=12', '/a%20b/c', '/a%20B', '/.', '/..;/x', '/x/.', '/...', '/x;/y',
    '/%2e%2e/x', '/x%00', '/x%3Fq', '/x%23', '/x%25', '/%25', '/x?/../y', '/*', '/app/%C3%A4', '/x/y/z', '/v1/%2F/x', '/' + 'x/' * 500, '/x?q=' + 'a' * 3000, '/x?%71=1', '/x?q=1+2', '/x?x;q=1',
)  # fmt: skip
ASKED_HEADERS = (
    *((),) * 20, *(('X-A: b',), ('X-Canary: always',), ('X-Canary: aab', 'X-A: b'), ('Cookie: next=always',), (_basic('u:p'),)) * 4,
    (), (), (), ('X-A: b',), ('x-a: c', 'X-A: b'), ('X-Canary: always',), ('X-Canary: yes',), ('X-Canary: never', 'Cookie: next=always'),
    ('X-Canary: aab',), ('Cookie: z=1; next=always',), ('Cookie: next=never',), (_basic('u:p'),), (_basic('u:q'),), (_basic('b:clear'),), ('Authorization: Bearer x',),
    ('Origin: https://a.example.com',), ('Origin: https://z.example.com', 'Access-Control-Request-Method: PUT'),
    ('Content-Length: 0',), ('X-Forwarded-Proto: https',), ('X-Forwarded-For: 192.0.2.7',), ('X-Headrace-Hops: 1',), ('Host: b.example.com',),
    tuple('X-Headrace-Hops: 1' for _ in range(10)), ('X-Gone: 1', 'X-A: b'),
    ('Content-Length: 5',), ('Content-Length: 4', 'X-A: b'), ('Transfer-Encoding: chunked',), ('Expect: 100-continue', 'Content-Length: 3'),
    ('X-A: b', 'X-A: c'), ('X-A: c, b',), ('X-A:  b ',), ('X-A:',), ('X-Canary: always', 'X-Canary: never'), ('X-Canary: Always',), ('Cookie: next=never', 'X-Canary: always'),
    ('Cookie: next=always; next=never',), ('Cookie: Next=always',), ('Cookie: next="always"',), ('Cookie: z=' + 'a' * 900 + '; next=always',), ('Cookie: a=b,next=always',), ('Cookie: a=1', 'Cookie: next=always'),
    ('Cookie:next=always ; a=b',), ('Host: A.EXAMPLE.COM:8080',), ('Host: a.example.com.',), ('Host: other.com',), ('Host: [::1]:80',), ('Host: a.example.com..',), ('Host: ',), ('Host: a_b.example.com',),
    ('X-Forwarded-For: 192.0.2.7, 127.0.0.9',), ('X-Forwarded-For: 192.0.2.7, 127.0.0.9, 127.0.0.9, 127.0.0.10',), ('X-Forwarded-For: nonsense',), ('X-Forwarded-For: ',), ('X-Forwarded-For: 2001:db8::1',),
    ('X-Forwarded-For: ::ffff:192.0.2.7',), ('X-Forwarded-For: 192.0.2.7:80',), ('X-Forwarded-For: [2001:db8::1]',), ('X-Forwarded-For: nonsense, 192.0.2.7',), ('X-Forwarded-For: 127.0.0.1', 'X-Forwarded-For: 192.0.2.7'),
    ('X-Forwarded-For: 192.0.2.7,',), ('X-Forwarded-For: 010.1.1.1',), ('X-Forwarded-For: 192.0.2',), ('X-Forwarded-For: x, 127.0.0.9',), ('X-Forwarded-For: ::ffff:127.0.0.9',), ('X-Forwarded-For: 1::2%lo',),
    ('X-Forwarded-Proto: HTTPS',), ('X-Forwarded-Proto: http, https',), ('X-Forwarded-Proto: https,http',), ('X-Forwarded-Proto: https', 'X-Forwarded-For: 127.0.0.1'), ('X-Forwarded-Host: b.example.com',), ('Forwarded: for=192.0.2.7',),
    ('Origin: HTTPS://A.example.com', 'Access-Control-Request-Method: PUT'), ('Origin: https://x.y.example.com', 'Access-Control-Request-Method: GET'), ('Origin: null',), ('Origin: ', 'Access-Control-Request-Method: PUT'),
    ('Origin: https://a.example.com', 'Origin: https://z.example.com'), ('Authorization: basic dTpw',), ('Authorization: Basic  dTpw',), ('Authorization: Basic dTpw ', 'X-A: b'), ('Authorization: Basic dTp',), ('Authorization: Basic !!!',),
    (_basic('u:p'), _basic('u:q')), (_basic('u:q'), _basic('u:p')), (_basic('u:p:x'),), (_basic(':'),), (_basic('a:a'),), (_basic('a:clear'),), ('X-Big: ' + 'a' * 5000,), ('Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='),
    ('Connection: X-A', 'X-A: b'), ('Connection: close, X-Canary', 'X-Canary: always'), ('X_Canary: always',), ('X-A: \xe9',), ('Content-Type: application/grpc',), ('Content-Type: application/grpc+proto', 'X-A: b'),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Asked:
    """One drawn request: how its line and headers are, whence it comes, and by which form of HTTP it is sent."""

    method: str
    scheme: str
    host: str
    path: str
    headers: tuple
    client: str
    certificate: bool
    form: str


def requests():
    """Requests of clients; the form `absolute` has the host in the request's line."""
    return st.builds(
        Asked,
        st.sampled_from(('GET', 'GET', 'GET', 'GET', 'POST', 'OPTIONS', 'HEAD', 'DELETE')),
        st.sampled_from(('http', 'http', 'https', 'https', 'tls')),
        st.sampled_from(ASKED_HOSTS),
        st.sampled_from(ASKED_PATHS),
        st.sampled_from(ASKED_HEADERS),
        st.sampled_from(('127.0.0.1', '127.0.0.1', '127.0.0.9')),
        st.booleans(),
        st.sampled_from(('plain', 'plain', 'plain', 'absolute', 'h2')),
    )


def settings():
    """Settings of the class."""
    return st.fixed_dictionaries(
        {},
        optional={
            'default_certificate': st.just('shop/tls'),
            'ingress_annotations': st.sampled_from(
                (('ingress-nginx',), ('haproxy-ingress',), ('ingress-nginx', 'haproxy-ingress'))
            ),
            'host_sharing': st.sampled_from(('paths', 'all')),
            'host_policy': st.sampled_from(({'shop': ('*',)}, {'bank': ('*.example.com',), '*': ('a.example.com',)})),
            'trusted_proxies': st.just(('127.0.0.8/29',)),
            'https_public_port': st.sampled_from((443, 8443)),
        },
    )
