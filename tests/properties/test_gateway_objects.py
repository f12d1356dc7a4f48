"""Resources of the Gateway API from documents of any content: reading raises nothing, and nothing unprintable gets through."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from headrace.objects import (
    backend_tls_policies,
    gateway_classes,
    gateways,
    grpc_routes,
    http_routes,
    l4_routes,
    reference_grants,
)
from support.gateway_objects import (
    backend,
    gateway,
    gateway_class,
    listener,
    listener_set,
    reference_grant,
    resource,
    route,
)

CA = {'group': '', 'kind': 'ConfigMap', 'name': 'ca'}
HEADERS = {'set': [{'name': 'A', 'value': '1'}], 'add': [{'name': 'B', 'value': '2'}], 'remove': ['C']}
COMMON_FILTERS = [
    {'type': 'RequestHeaderModifier', 'requestHeaderModifier': HEADERS},
    {'type': 'ResponseHeaderModifier', 'responseHeaderModifier': HEADERS},
    {
        'type': 'RequestMirror',
        'requestMirror': {'backendRef': backend(), 'fraction': {'numerator': 1, 'denominator': 2}},
    },
    {'type': 'ExtensionRef', 'extensionRef': {'group': 'a.b', 'kind': 'C', 'name': 'd'}},
]
FILTERS = [
    *COMMON_FILTERS,
    {'type': 'URLRewrite', 'urlRewrite': {'hostname': 'a.b', 'path': {'type': 'ReplacePrefixMatch', 'replacePrefixMatch': '/b'}}},
    {'type': 'CORS', 'cors': {'allowOrigins': ['https://a.b'], 'allowMethods': ['GET'], 'maxAge': 5, 'allowCredentials': True}},
    {
        'type': 'ExternalAuth',
        'externalAuth': {'protocol': 'HTTP', 'backendRef': backend(), 'http': {'path': '/a'}, 'forwardBody': {'maxSize': 1}},
    },
]  # fmt: skip
REDIRECT = {
    'scheme': 'https',
    'port': 443,
    'statusCode': 301,
    'path': {'type': 'ReplaceFullPath', 'replaceFullPath': '/'},
}
SESSION = {'type': 'Cookie', 'sessionName': 'a', 'absoluteTimeout': '1h', 'cookieConfig': {'lifetimeType': 'Permanent'}}
HTTP_RULES = [
    {
        'name': 'one',
        'matches': [
            {
                'path': {'type': 'PathPrefix', 'value': '/a'},
                'method': 'GET',
                'headers': [{'name': 'A', 'value': 'b', 'type': 'Exact'}],
                'queryParams': [{'name': 'A', 'value': 'b', 'type': 'RegularExpression'}],
            }
        ],
        'filters': FILTERS,
        'backendRefs': [backend(weight=1, filters=FILTERS)],
        'timeouts': {'request': '10s', 'backendRequest': '5s'},
        'retry': {'codes': [500], 'attempts': 2, 'backoff': '1s'},
        'sessionPersistence': SESSION,
    },
    {'filters': [{'type': 'RequestRedirect', 'requestRedirect': REDIRECT}]},
]
GRPC_RULES = [
    {
        'matches': [{'method': {'service': 'a.B', 'method': 'C', 'type': 'Exact'}, 'headers': [{'name': 'A', 'value': 'b'}]}],
        'filters': COMMON_FILTERS,
        'backendRefs': [backend(filters=COMMON_FILTERS)],
        'sessionPersistence': SESSION,
    }
]  # fmt: skip
PARENT = {'name': 'public', 'namespace': 'infra', 'sectionName': 'http', 'port': 80}
SELECTOR = {'matchLabels': {'a': 'b'}, 'matchExpressions': [{'key': 'a', 'operator': 'In', 'values': ['b']}]}
ALLOWED = {'namespaces': {'from': 'Selector', 'selector': SELECTOR}, 'kinds': [{'kind': 'HTTPRoute'}]}
TLS = {'mode': 'Terminate', 'certificateRefs': [{'name': 'a'}], 'options': {'a': 'b'}}
FRONTEND = {'validation': {'caCertificateRefs': [CA], 'mode': 'AllowInsecureFallback'}}
L4_RULES = [{'name': 'one', 'backendRefs': [backend(weight=2)]}]
ORIGINALS = [
    (gateway_classes.read, gateway_class(parametersRef={**CA, 'namespace': 'a'})),
    (
        gateways.read,
        gateway(
            'public',
            'shop',
            listener('https', 443, 'HTTPS', hostname='*.a.b', tls=TLS, allowedRoutes=ALLOWED),
            addresses=[{'type': 'IPAddress', 'value': '192.0.2.1'}],
            infrastructure={'labels': {'a': 'b'}, 'annotations': {'a': 'b'}, 'parametersRef': CA},
            allowedListeners={'namespaces': {'from': 'Selector', 'selector': SELECTOR}},
            tls={
                'frontend': {'default': FRONTEND, 'perPort': [{'port': 443, 'tls': FRONTEND}]},
                'backend': {'clientCertificateRef': {'name': 'a'}},
            },
        ),
    ),
    (
        gateways.read_listener_set,
        listener_set('more', 'shop', listener('tls', 443, 'HTTPS', tls=TLS, allowedRoutes=ALLOWED)),
    ),
    (http_routes.read, route('HTTPRoute', parents=[PARENT], hostnames=['a.b', '*.c'], rules=HTTP_RULES)),
    (grpc_routes.read, route('GRPCRoute', parents=[PARENT], hostnames=['a.b', '*.c'], rules=GRPC_RULES)),
    (l4_routes.read_tls, route('TLSRoute', parents=[PARENT], hostnames=['a.b'], rules=L4_RULES)),
    (l4_routes.read_tcp, route('TCPRoute', parents=[PARENT], rules=L4_RULES)),
    (l4_routes.read_udp, route('UDPRoute', parents=[PARENT], rules=L4_RULES)),
    (reference_grants.read, reference_grant(sources=[('a.b', 'C', 'd')], targets=[('', 'Service', 'a')])),
    (
        backend_tls_policies.read,
        resource(
            'BackendTLSPolicy',
            targetRefs=[{'group': '', 'kind': 'Service', 'name': 'web', 'sectionName': 'https'}],
            validation={
                'hostname': 'a.b',
                'caCertificateRefs': [CA],
                'subjectAltNames': [{'type': 'URI', 'uri': 'a://b'}, {'type': 'Hostname', 'hostname': 'a.b'}],
            },
            options={'a': 'b'},
        ),
    ),
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.builds(lambda: 10**5000)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(['', '/', '*', 'a\nb', 'a b', '\x1e', 'All', 'Selector', 'Exact', '0s', '/a/../b', '\ud800'])
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def places(document, path=()):
    """Yield the paths to all values in a document."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def texts(value):
    """Yield all texts in a frozen value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from texts(item)
    elif hasattr(value, '__slots__') and hasattr(value, '__dataclass_fields__'):
        for name in value.__dataclass_fields__:
            # Options, labels and annotations are texts of any content; what reads them judges them.
            if name not in ('options', 'labels', 'annotations', 'created', 'requirements', 'KIND'):
                yield from texts(getattr(value, name))


@st.composite
def documents(draw):
    """Return what reads a kind, and a document of it in which junk stands at one to three places."""
    reading, original = draw(st.sampled_from(ORIGINALS))
    document = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from(list(places(document))))
        inner = document
        for key in path:
            inner = inner[key]
        inner[last] = draw(JUNK)
    return reading, document


def problems(item):
    """Return all problems of an object."""
    return list(item.diagnostics if hasattr(item, 'diagnostics') else item.problems)


def test_what_junk_is_put_into_is_read_whole():
    for reading, document in ORIGINALS:
        assert [problem.field for problem in problems(reading('shop', 'web', document))] == []


@given(documents())
def test_junk_raises_nothing_and_no_control_character_gets_through(case):
    reading, document = case
    item = reading('shop', 'web', document)
    assert all(problem.message.isprintable() and problem.field.isprintable() for problem in problems(item))
    assert all(text.isprintable() for text in texts(item))
    assert hash(item) == hash(reading('shop', 'web', copy.deepcopy(document)))
    assert item == reading('shop', 'web', document)
