"""Objects that can be used nearly all of the time, and requests for their hosts: what is asked finds a route more often than not.

Endpoints are on loopback, at addresses that tell whose they are. A feature of routes is not done until it can be drawn here.
"""

from base64 import b64encode

from hypothesis import strategies as st

from support.gateways import (
    backend,
    cors,
    full_path,
    gateway,
    http_route,
    listener,
    modifier,
    prefix_path,
    redirect,
    rewrite,
    rule,
)
from support.objects import PREFIX, ca_secret, endpoint_slice, ingress, ingress_class, secret, service, tls_secret

NGINX = 'nginx.ingress.kubernetes.io/'
# Each Service with the third byte of its endpoints' addresses.
SERVICES = {('shop', 'a'): 1, ('shop', 'b'): 2, ('shop', 'c'): 3, ('bank', 'a'): 4}
HOSTS = ('a.example.com', 'a.example.com', 'b.example.com', '*.example.com', '*')
PATHS = ('/', '/', '/x', '/x/y', '/app', '/a%20b')
CREATED = ('2024-01-01T00:00:00Z', '2024-06-01T00:00:00Z', '')
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
)  # fmt: skip


@st.composite
def _services(draw, port):
    """Every Service with its endpoints; most of them ask for a route of their own."""
    found = []
    for (namespace, name), number in SERVICES.items():
        wanted = {'host': draw(st.sampled_from(HOSTS)), 'path': draw(st.sampled_from(PATHS))}
        for keys in draw(st.lists(st.sampled_from(_KEYS), max_size=3)):
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
    for each in draw(st.lists(st.sampled_from(_NGINX_KEYS), max_size=2)):
        keys |= {NGINX + key: value for key, value in each.items()}
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


_HEADER = (
    {'name': 'x-a', 'value': 'b'},
    {'name': 'X-Canary', 'value': '^a.*', 'type': 'RegularExpression'},
    {'name': 'x-a', 'value': 'c'},
)
_QUERY = ({'name': 'q', 'value': '1'}, {'name': 'q', 'value': '[0-9]+', 'type': 'RegularExpression'})
_MATCHES = st.builds(
    lambda path, method, headers, query: {
        **({'path': path} if path else {}), **({'method': method} if method else {}),
        **({'headers': headers} if headers else {}), **({'queryParams': query} if query else {}),
    },
    st.sampled_from((
        None, {'type': 'PathPrefix', 'value': '/'}, {'type': 'PathPrefix', 'value': '/x'}, {'type': 'PathPrefix', 'value': '/app'},
        {'type': 'Exact', 'value': '/x/y'}, {'type': 'RegularExpression', 'value': '/v[0-9]/.*'},
    )),
    st.sampled_from((None, None, 'GET', 'POST')),
    st.lists(st.sampled_from(_HEADER), max_size=1),
    st.lists(st.sampled_from(_QUERY), max_size=1),
)  # fmt: skip
_FILTERS = st.sampled_from((
    [], [], [], [modifier('Request', set={'X-A': 'b'}, add={'X-B': 'c'}, remove=['x-gone'])], [modifier('Response', remove=['x-gone'])],
    [rewrite(hostname='inner.example.com')], [rewrite(path=full_path('/full'))], [rewrite(path=prefix_path('/new'))], [redirect(scheme='https', port=8443)],
    [redirect(hostname='x.example.com', path=prefix_path('/moved'), statusCode=301)], [cors(allowOrigins=['https://*.example.com'])],
))  # fmt: skip
_REFERENCES = st.builds(
    lambda name, weight, filters: backend(name, weight, **({'filters': filters} if filters else {})),
    st.sampled_from(('a', 'b', 'c', 'none')),
    st.sampled_from((1, 1, 2, 0)),
    st.sampled_from(([], [], [modifier('Request', set={'X-Part': 'p'})])),
)


@st.composite
def _routes(draw):
    rules = []
    for _ in range(draw(st.integers(1, 3))):
        filters, matches = draw(_FILTERS), draw(st.lists(_MATCHES, max_size=2))
        moves = any('requestRedirect' in each for each in filters)
        prefixed = all(each.get('path', {}).get('type', 'PathPrefix') == 'PathPrefix' for each in matches)
        if not prefixed and any('prefix' in str(each).lower() for each in filters):
            filters = []
            moves = False
        references = (
            [] if moves else draw(st.lists(_REFERENCES, min_size=1, max_size=2, unique_by=lambda each: each['name']))
        )
        rules.append(rule(*references, matches=matches, filters=filters))
    return http_route(
        draw(st.sampled_from(('r', 's', 't'))),
        *rules,
        hostnames=draw(st.lists(st.sampled_from(HOSTS[:4]), max_size=2, unique=True)),
        parents=[
            {
                'name': 'web',
                'namespace': 'shop',
                **draw(st.sampled_from(({}, {}, {'sectionName': 'http'}, {'port': 443}))),
            }
        ],
        namespace=draw(st.sampled_from(('shop', 'shop', 'bank'))),
        created=draw(st.sampled_from(CREATED)),
    )


@st.composite
def _gateways(draw):
    host = draw(st.sampled_from((None, None, '*.example.com', 'a.example.com')))
    more = [listener('other', 80, hostname='*.x.example.com', namespaces='All')] if draw(st.booleans()) else []
    tls = {'certificateRefs': [{'name': 'tls'}]}
    return gateway(
        'web',
        listener('http', 80, hostname=host, namespaces='All'),
        listener('https', 443, 'HTTPS', hostname=host, namespaces='All', tls=tls),
        *more,
    )


SECRETS = [
    tls_secret(), ca_secret(), secret('users', username='u', password='p'),
    secret('more', auth='a:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nb:clear'),
    secret('users', 'bank', username='u', password='p'),
]  # fmt: skip


@st.composite
def worlds(draw, port):
    """Sets of objects whose endpoints answer at a port of loopback."""
    found = [*draw(_services(port)), *SECRETS, ingress_class(default=True)]
    found += draw(st.lists(_ingresses(), max_size=3))
    if routes := draw(st.lists(_routes(), max_size=4)):
        found += [draw(_gateways()), *routes]
    return list(
        {(each['kind'], each['metadata'].get('namespace'), each['metadata']['name']): each for each in found}.values()
    )


def _basic(text):
    return f'Authorization: Basic {b64encode(text.encode()).decode()}'


ASKED_HOSTS = (
    'a.example.com', 'a.example.com', 'b.example.com', 'x.example.com', 'A.Example.com.', 'a.example.com:80', 'y.x.example.com', 'other.com',
    'www.a.example.com', '127.0.0.1', 'localhost',
)  # fmt: skip
ASKED_PATHS = (
    '/', '/', '/x', '/x/', '/x/y', '/xy', '/z', '/app', '/app/1', '/v1', '/v1/b/c', '/a%20b', '/%78', '//x', '/x;v=1', '/x/../y', '/x%2Fy', '/%zz',
    '/app?q=1', '/x?q=a&q=1', '/x?q=%31', '/.well-known/x', '/app\\1', '/x//y', '/%41pp', '/app%01',
)  # fmt: skip
ASKED_HEADERS = (
    (), (), (), ('X-A: b',), ('x-a: c', 'X-A: b'), ('X-Canary: always',), ('X-Canary: yes',), ('X-Canary: never', 'Cookie: next=always'),
    ('X-Canary: aab',), ('Cookie: z=1; next=always',), ('Cookie: next=never',), (_basic('u:p'),), (_basic('u:q'),), (_basic('b:clear'),), ('Authorization: Bearer x',),
    ('Origin: https://a.example.com',), ('Origin: https://z.example.com', 'Access-Control-Request-Method: PUT'),
    ('Content-Length: 0',), ('X-Forwarded-Proto: https',), ('X-Forwarded-For: 192.0.2.7',), ('X-Headrace-Hops: 1',), ('Host: b.example.com',),
    tuple('X-Headrace-Hops: 1' for _ in range(10)), ('X-Gone: 1', 'X-A: b'),
)  # fmt: skip


def requests():
    """Method, scheme, host, path, headers and the client's address."""
    return st.tuples(
        st.sampled_from(('GET', 'GET', 'GET', 'GET', 'POST', 'OPTIONS')),
        st.sampled_from(('http', 'http', 'https')),
        st.sampled_from(ASKED_HOSTS),
        st.sampled_from(ASKED_PATHS),
        st.sampled_from(ASKED_HEADERS),
        st.sampled_from(('127.0.0.1', '127.0.0.1', '127.0.0.9')),
    )
