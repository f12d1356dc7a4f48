"""Sets of Kubernetes objects, and sequences of events about them.

Drawn from small pools of names, hosts, ports and addresses, so that conflicts, moves and returns happen all the time.
A new feature is not done until it can be drawn here.
"""

from hypothesis import strategies as st

from headrace.names import Ref
from support.gateways import full_path, gateway, grant, http_route, listener, modifier, rewrite, rule
from support.objects import PREFIX, ca_secret, endpoint_slice, ingress, ingress_class, node, secret, service, tls_secret

NAMESPACES = ('shop', 'shop', 'shop', 'bank', 'aero')
NAMES = ('a', 'b', 'c')
HOSTS = ('a.example.com', 'b.example.com', '*.example.com', '*')
TCP_PORTS = ('5000', '5001', '5002', '9999')
CREATED = ('', '2024-01-01T00:00:00Z', '2024-06-01T00:00:00Z')
# Ports of a Service, and keys that expose some of them without doubt.
PORTS = (
    ([{'name': 'http', 'port': 80}], ('host', 'host.http')),
    ([{'name': 'http', 'port': 80}], ('host', 'host.http')),
    ([{'name': 'http', 'port': 80}, {'name': 'db', 'port': 5001}], ('host.http', 'port.db', 'host')),
    ([{'port': 5000}], ('port', 'host')),
    (
        [{'name': 'http', 'port': 80}, {'name': 'grpc', 'port': 81, 'appProtocol': 'kubernetes.io/h2c'}],
        ('host.http', 'host.grpc'),
    ),
    ([{'name': 'http', 'port': 80, 'nodePort': 30080}, {'name': 'dns', 'port': 53, 'protocol': 'UDP'}], ('host.http',)),
    ([{'name': 'https', 'port': 443}, {'name': 'tls', 'port': 5002}], ('host.https', 'host.tls', 'port.tls')),
)
V4 = tuple(f'10.0.0.{number}' for number in range(1, 6))
V6 = tuple(f'2001:db8::{number}' for number in range(1, 4))

_EXPOSING = {
    'host': HOSTS,
    'host.https': HOSTS,
    'port.tls': TCP_PORTS,
    'host.http': (*HOSTS, 'a.example.com, b.example.com'),
    'host.grpc': HOSTS[:3],
    'host.tls': HOSTS[:1],
    'path': ('/', '/x', '/x/y /z', '/a(/|$)(.*)'),
    'path-type': ('Exact', 'Prefix', 'RegularExpression'),
    'port': TCP_PORTS,
    'port.db': TCP_PORTS,
    'enabled': ('true', 'false', 'yes'),
    'mode': ('http', 'tcp', 'tls-passthrough'),
    'mode.http': ('http', 'tcp'),
    'tls-secret': ('tls', 'other', 'none', 'other, tls'),
    'client-ca-secret': ('ca', 'other'),
    'client-verify': ('optional', 'required'),
    'accept-proxy': ('true',),
}
_ROUTE = {
    'tls-redirect': ('true', 'false'),
    'hsts': ('1h', 'off', '1d'),
    'timeout-client': ('5s', '6s'),
    'maintenance': ('true', 'false', 'perhaps'),
    'allow': ('10.0.0.0/8', '10.0.0.0/9 2001:db8::/33', 'nonsense'),
    'allow.db': ('10.0.0.0/7', ''),
    'deny': ('10.1.0.0/16', '192.0.2.1', '::ffff:10.0.0.1'),
    'rate-limit': ('5/s', '6/m', '5/h', '0/s'),
    'rate-limit-burst': ('5', '2x'),
    'rate-limit-except': ('10.0.0.0/8', 'nonsense'),
    'connection-limit': ('5', '6'),
    'satisfy': ('any', 'all'),
    'basic-auth-secret': ('users', 'tls', 'none'),
    'basic-auth-realm': ('Staff only', "#'x"),
    'host-header': ('x.example.com', 'y:80'),
    'max-body-size': ('1k', '2m'),
    'redirect-to': ('/there', 'https://x.example.com/?a=b;c#d', '$scheme://x$request_uri'),
    'redirect-root': ('/x', '/y'),
    'www-redirect': ('true', 'false'),
    'redirect-code': ('301', '308'),
    'rewrite-path': ('/', '/app/', '/app/$2'),
    'request-headers': ('X-A: b', 'X-A:\nX-B: c "d" \'e\' %[f] \\ ${G} #h', "X'#:"),
    'response-headers': ('Server:', 'X-A: b; c'),
    'response-cookie-domain': ('.old.example new.example', 'old'),
    'response-cookie-path': ('/ /app/', '/a /b'),
    'error-statuses': ('404 503', '500'),
    'error-service': NAMES,
    'fallback-service': NAMES,
    'mirror-service': NAMES,
    'mirror-percent': ('0', '50'),
    'location-rewrite': ('off', 'http:// https://', "/a%20;#' /b"),
    'cors-allow-origin': ('*', 'https://a.example.com https://b.example.com:8443'),
    'cors-allow-methods': ('GET, PUT', "#'x"),
    'cors-allow-credentials': ('true', 'false'),
    'cors-expose-headers': ('X-A',),
    'request-buffering': ('true', 'false'),
    'canary-service': NAMES,
    'canary-weight': ('10', '100', '101'),
    'canary-weight-total': ('1000',),
    'canary-header': ('X-Canary', 'X-Canary: yes'),
    'canary-header-pattern': ('a.*b', '(a+)+'),
    'external-auth-service': NAMES,
    'external-auth-url': (
        'http://a.shop.svc/',
        'http://b.other.svc:80/x',
        'https://x.example.com/',
        'https://$host/a',
        'http://a.shop.svc/$uri',
    ),
    'global-auth': ('true', 'false', '1'),
    'external-auth-signin': ('/start', 'https://$host/start', 'https://x.example.com/?a=b#c'),
    'external-auth-response-headers': ('X-A', "X-A, #'x"),
    'external-auth-skip-paths': ('/', '/a, /b'),
    'external-auth-body-size': ('1k', '1m'),
}
_BACKEND = {
    'client-ip': ('none', 'proxy-v1', 'proxy-v2', 'forwarded'),
    'backend-protocol': ('http1', 'h2c', 'https', 'h2', 'tls'),
    'backend-ca-secret': ('ca', 'other', 'none'),
    'backend-verify': ('true', 'false'),
    'backend-sni': ('host-header', 'x.example.com'),
    'balance': ('roundrobin', 'leastconn', 'source', 'uri', 'random', 'hash:$request_uri', 'hash:$arg_x'),
    'balance.http': ('first', 'random', 'nonsense'),
    'slow-start': ('5s', '6s'),
    'max-connections': ('5', '6', '0'),
    'queue-timeout': ('5s', '7s'),
    'cookie': ('true',),
    'cookie-path': ('/', '/app'),
    'cookie-same-site': ('None', 'Lax'),
    'cookie-max-age': ('1h', 'off'),
    'cookie-change-on-failure': ('false',),
    'check': ('off', 'tcp', 'http'),
    'check-path': ('/up', '/up2'),
    'check-host': ('up.example.com',),
    'check-interval': ('1h', '2h'),
    'eject-after': ('5',),
    'timeout-connect': ('5s', '1s'),
    'timeout-server': ('60s', '30s'),
    'nonsense': ('x',),
    'class': ('headrace', 'other'),
}
# What a shape outside the base set costs is a reload: these are not drawn where none may happen.
UNUSUAL = {
    'balance': ('hdr:x-user', 'hdr:x-other'),
    'cookie': ('own', 'true'),
    'check-status': ('200', '200-299,401'),
    'retries': ('1', '2'),
    'retry-on': ('conn-failure 503',),
}
# On TCP ports even these make another shape.
_TCP_SHAPES = ('queue-timeout', 'timeout-connect', 'timeout-server', 'timeout-tunnel')


def _pairs(*tables):
    return [(key, value) for table in tables for key, values in table.items() for value in values]


def annotations(exposing, *, unusual=True):
    """Return a strategy of annotations: what exposes the Service, and up to six other keys."""
    tables = (_ROUTE, _BACKEND, UNUSUAL) if unusual else (_ROUTE, _BACKEND)
    others = [pair for pair in _pairs(*tables) if unusual or pair[0] not in _TCP_SHAPES]
    tls = st.sampled_from(((), (), (('tls-secret', 'tls'),), (('tls-secret', 'tls'), ('client-ca-secret', 'ca'))))
    return st.builds(
        lambda *parts: {key: value for part in parts for key, value in part},
        st.lists(st.sampled_from(others), max_size=4),
        tls,
        st.sampled_from(((), *(((key, value),) for key, value in _pairs(_EXPOSING)))),
        st.sampled_from([((key, value),) for key in exposing for value in _EXPOSING[key]]),
        st.sampled_from([((key, value),) for key in exposing for value in _EXPOSING[key]]),
    )


@st.composite
def services(draw, *, unusual=True):
    """Return a strategy of Services."""
    more = draw(st.sampled_from(({}, {}, {}, {'type': 'LoadBalancer', 'loadBalancerClass': 'headrace.io/headrace',
                                             'loadBalancerSourceRanges': ['10.0.0.0/8']},
                                 {'ipFamilies': ['IPv6', 'IPv4']}, {'clusterIP': 'None'},
                                 {'sessionAffinity': 'ClientIP'},
                                 {'type': 'ExternalName', 'externalName': 'x.example.com'})))  # fmt: skip
    ports, exposing = draw(st.sampled_from(PORTS))
    said = draw(annotations(exposing, unusual=unusual))
    return service(
        draw(st.sampled_from(NAMES)),
        draw(st.sampled_from(NAMESPACES)),
        annotations=said,
        ports=ports,
        created=draw(st.sampled_from(CREATED)),
        **more,
    )


_CONDITIONS = st.sampled_from((
    {}, {}, {'ready': True}, {'ready': False}, {'ready': False, 'serving': True, 'terminating': True},
    {'ready': False, 'serving': False, 'terminating': True}, {'ready': True, 'serving': True, 'terminating': True},
))  # fmt: skip
_HINTS = st.sampled_from(({}, {}, {'hints': {'forZones': [{'name': 'z1'}]}}, {'hints': {'forZones': [{'name': 'z2'}]}}))


@st.composite
def slices(draw):
    """Return a strategy of EndpointSlices: one or two for each Service, with odd endpoints among the others."""
    family, addresses = draw(st.sampled_from((('IPv4', V4), ('IPv4', V4), ('IPv6', V6))))
    endpoints = [
        {
            'addresses': [address],
            'conditions': draw(_CONDITIONS),
            **draw(_HINTS),
            **draw(st.sampled_from(({}, {'nodeName': 'n1'}, {'nodeName': 'n2'}))),
        }
        for address in draw(st.lists(st.sampled_from(addresses), min_size=1, max_size=4, unique=True))
    ]
    name = draw(st.sampled_from(NAMES))
    return endpoint_slice(
        name,
        draw(st.sampled_from(NAMESPACES)),
        name=f'{name}-{draw(st.sampled_from((1, 2)))}',
        port_name=draw(st.sampled_from(('http', 'http', 'http', 'db', '', 'grpc', 'tls'))),
        port=draw(st.sampled_from((8080, 8080, 8081))),
        family=family,
        endpoints=endpoints,
    )


_NGINX = 'nginx.ingress.kubernetes.io/'
# Pairs without what only a reload can bring.
_OF_INGRESSES = (
    (f'{PREFIX}allow', '10.0.0.0/8'), (f'{PREFIX}allow', 'nonsense'), (f'{PREFIX}response-headers', 'X-A: 1'),
    (f'{PREFIX}tls-redirect', 'false'), (f'{PREFIX}balance', 'leastconn'), (f'{PREFIX}timeout-server', '7s'),
    (f'{PREFIX}backend-protocol', 'https'), (f'{PREFIX}basic-auth-secret', 'users'), (f'{PREFIX}client-ca-secret', 'ca'),
    (f'{PREFIX}redirect-root', '/app'), (f'{PREFIX}www-redirect', 'true'), (f'{PREFIX}class', 'other'),
    (f'{_NGINX}canary', 'true'), (f'{_NGINX}canary-weight', '20'), (f'{_NGINX}use-regex', 'true'),
    (f'{_NGINX}server-alias', 'b.example.com'), (f'{_NGINX}ssl-passthrough', 'true'), (f'{_NGINX}limit-rps', '5'),
    (f'{_NGINX}proxy-body-size', '1m'), (f'{_NGINX}whitelist-source-range', 'nonsense'),
)  # fmt: skip
_BACKENDS = st.builds(
    lambda name, port: {'service': {'name': name, 'port': port}},
    st.sampled_from(NAMES),
    st.sampled_from(({'number': 80}, {'number': 80}, {'name': 'http'}, {'number': 99})),
)
_RULES = st.builds(
    lambda host, paths: {'host': host, **({'http': {'paths': paths}} if paths else {})},
    st.sampled_from(HOSTS[:3]),
    st.lists(
        st.builds(
            lambda path, kind, backend: {'path': path, 'pathType': kind, 'backend': backend},
            st.sampled_from(('/', '/', '/app', '/v[0-9]')),
            st.sampled_from(('Prefix', 'Exact', 'ImplementationSpecific')),
            _BACKENDS,
        ),
        max_size=2,
    ),
)
CLASSES = [ingress_class(default=True), ingress_class(), ingress_class('nginx', 'k8s.io/ingress-nginx', default=True)]


@st.composite
def ingresses(draw):
    """Return a strategy of Ingresses."""
    more = draw(st.sampled_from((
        {}, {}, {'tls': [{'hosts': ['a.example.com'], 'secretName': 'tls'}]}, {'tls': [{'secretName': 'other'}]},
        {'ingressClassName': 'headrace'}, {'ingressClassName': 'nginx'},
    )))  # fmt: skip
    return ingress(
        draw(st.sampled_from(NAMES)),
        draw(st.sampled_from(NAMESPACES)),
        annotations=dict(draw(st.lists(st.sampled_from(_OF_INGRESSES), max_size=3))),
        created=draw(st.sampled_from(CREATED)),
        rules=draw(st.lists(_RULES, min_size=1, max_size=2)),
        **({'defaultBackend': draw(_BACKENDS)} if draw(st.booleans()) else {}),
        **more,
    )


_LISTENERS = st.builds(
    lambda name, host, namespaces, more: listener(name, hostname=host, namespaces=namespaces, **more),
    st.sampled_from(('one', 'two')),
    st.sampled_from((None, None, 'a.example.com', '*.example.com')),
    st.sampled_from(('Same', 'All')),
    st.sampled_from((
        {}, {}, {}, {'port': 8080}, {'port': 443, 'protocol': 'HTTPS', 'tls': {'certificateRefs': [{'name': 'tls'}]}},
        {'port': 443, 'protocol': 'HTTPS', 'tls': {'certificateRefs': [{'name': 'tls', 'namespace': 'bank'}]}},
    )),
)  # fmt: skip
_PARENTS = st.builds(
    lambda namespace, more: {'name': 'web', 'namespace': namespace, **more},
    st.sampled_from(('shop', 'shop', 'bank')),
    st.sampled_from(({}, {}, {'sectionName': 'one'}, {'port': 80}, {'port': 443})),
)
_REFERENCES = st.builds(
    lambda name, namespace, port, weight: {'name': name, 'port': port, 'weight': weight, **namespace},
    st.sampled_from(NAMES),
    st.sampled_from(({}, {}, {'namespace': 'bank'}, {'kind': 'Pod'})),
    st.sampled_from((80, 80, 99)),
    st.sampled_from((1, 1, 2, 0)),
)
_MATCHES = st.sampled_from((
    [], [], [{'path': {'type': 'PathPrefix', 'value': '/app'}}], [{'path': {'type': 'Exact', 'value': '/'}}],
    [{'method': 'GET'}, {'headers': [{'name': 'x-a', 'value': 'b'}]}], [{'path': {'type': 'RegularExpression', 'value': '/v[0-9]'}}],
))  # fmt: skip
_FILTERS = st.sampled_from((
    [], [], [], [modifier('Request', set={'X-A': 'b'}, add={'X-B': 'c'})], [modifier('Response', remove=['x-gone'])],
    [rewrite(hostname='inner.example.com', path=full_path('/full'))],
    [{'type': 'ExtensionRef', 'extensionRef': {'group': 'x.io', 'kind': 'X', 'name': 'x'}}],
))  # fmt: skip
_HTTP_RULES = st.builds(
    lambda references, matches, filters: rule(*references, matches=matches, filters=filters),
    st.lists(_REFERENCES, max_size=3),
    _MATCHES,
    _FILTERS,
)


@st.composite
def gateway_resources(draw):
    """Return a strategy of Gateways, HTTPRoutes and ReferenceGrants."""
    created, namespace = draw(st.sampled_from(CREATED)), draw(st.sampled_from(('shop', 'shop', 'bank')))
    kind = draw(st.sampled_from(('Gateway', 'Gateway', 'HTTPRoute', 'HTTPRoute', 'HTTPRoute', 'ReferenceGrant')))
    if kind == 'Gateway':
        listeners = draw(st.lists(_LISTENERS, min_size=1, max_size=3))
        return gateway('web', *listeners, namespace=namespace, created=created)
    if kind == 'ReferenceGrant':
        return grant(*draw(st.lists(st.sampled_from(NAMES), max_size=2)), namespace='bank')
    return http_route(
        draw(st.sampled_from(NAMES)),
        *draw(st.lists(_HTTP_RULES, min_size=1, max_size=2)),
        hostnames=draw(st.lists(st.sampled_from(HOSTS[:3]), max_size=2, unique=True)),
        parents=draw(st.lists(_PARENTS, min_size=1, max_size=2)),
        namespace=namespace,
        created=created,
        annotations=dict(draw(st.lists(st.sampled_from(_OF_INGRESSES[:8]), max_size=1))),
    )


SECRETS = [
    *(tls_secret('tls', seed=seed) for seed in ('one', 'two')),
    tls_secret('other'),
    *(ca_secret('ca', seed=seed) for seed in ('one', 'two')),
    ca_secret('other', seed='two'),
    secret('users', username='u', password='p'),
    secret('users', auth='a:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nb:clear'),
    secret('users', auth='a:$2y$04$N9qo8uLOickgx2ZMRZoMyenKJXgBwQmuTsuw5rDZiG8GbL4/WHFLO\nb:clear'),
    secret('tls', tls_crt='nonsense', tls_key='nonsense'),
]
NODES = [node('n1', zone='z1'), node('n2', zone='z2', addresses=['192.0.2.2']), node('n1', zone='z1', ready=False)]


def documents(*, unusual=True):
    """Return a strategy of any object."""
    return st.one_of(services(unusual=unusual), services(unusual=unusual), slices(), slices(), ingresses(),
                     gateway_resources(), st.sampled_from(SECRETS), st.sampled_from(NODES), st.sampled_from(CLASSES))  # fmt: skip


def reference(document):
    """Return the reference of a document's object."""
    return Ref(document['kind'], document['metadata'].get('namespace', ''), document['metadata']['name'])


# Those that Services of `strategies` name, so that what depends on them is served more often than not.
_SECRETS = (SECRETS[0], SECRETS[3], SECRETS[6])


def worlds(*, unusual=True):
    """Return a strategy of sets of objects, none twice: some of each kind, and mostly the Secrets."""
    one = services(unusual=unusual)
    return st.builds(
        lambda *parts: list({reference(item): item for part in parts for item in part}.values()),
        st.sampled_from(((), _SECRETS, _SECRETS, _SECRETS)),
        st.tuples(one, one, one),
        st.tuples(slices(), slices(), slices(), slices()),
        st.sampled_from(((), (CLASSES[0],), (CLASSES[0],))),
        st.lists(ingresses(), max_size=2),
        st.lists(gateway_resources(), max_size=3),
        st.lists(documents(unusual=unusual), max_size=6),
    )


@st.composite
def event(draw, *, unusual=True):
    """Return a strategy of events: an object is put, or one that may be there is dropped."""
    found = draw(documents(unusual=unusual))
    return reference(found) if draw(st.sampled_from((False, False, True))) else found


def batches(*, unusual=True, most=5):
    """Return a strategy of sequences of batches of events."""
    some = st.builds(
        lambda found, more: [found, *more], event(unusual=unusual), st.lists(event(unusual=unusual), max_size=5)
    )
    return st.builds(lambda first, rest: [*first, *rest], st.tuples(some, some), st.lists(some, max_size=most - 2))


# --- hostile texts ----------------------------------------------------------------------------------------------------

HOSTILE = (
    '\n', '\r\n', '\0', '\x1b[2J', '\x7f', '\u2028', '\u202e', 'é', '😀', '\t', ' ', "'", '"', '\\', '#', ';', '|', '<<', '%[src]',
    '%%', '${HOME}', '$', '`id`', '..', '//', '/#', '*', '{{ 7 * 7 }}', '{% raw %}', '\nbackend evil\n  server x 192.0.2.1:1',
    "' if TRUE\n", '" ssl verify none', ' weight 100', '\n\n', ':', ',', '[', ']', '@1 reload', 'http-request deny',
)  # fmt: skip


@st.composite
def hostile(draw, value=''):
    """Return a strategy of texts that begin, end or are interrupted by what must never be understood."""
    parts = draw(st.lists(st.sampled_from(HOSTILE) | st.text(max_size=4), min_size=1, max_size=3))
    place = draw(st.integers(0, len(value)))
    return value[:place] + ''.join(parts) + value[place:]


BENIGN = {
    **{key: values[0] for table in (_EXPOSING, _ROUTE, _BACKEND) for key, values in table.items() if '.' not in key},
    'response-headers': 'X-A: b',
    'balance': 'hdr:x-user', 'cookie': 'own', 'check-status': '200-299', 'retry-on': '503', 'timeout-tunnel': '2h', 'retries': '2',
    'cors-max-age': '1m', 'canary-cookie': 'next', 'snippets': 'none', 'proxy': 'node', PREFIX: 'x', 'compression': 'true',
    'check-rise': '3', 'check-fall': '4',
}  # fmt: skip
