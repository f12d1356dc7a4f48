"""Gateways with routes of their kinds, for the Services that `requested` draws."""

from hypothesis import strategies as st

from support.gateways import (
    backend,
    call,
    cors,
    full_path,
    gateway,
    grpc_route,
    http_route,
    l4_route,
    listener,
    listener_set,
    modifier,
    prefix_path,
    redirect,
    rewrite,
    rule,
)
from support.objects import PREFIX

HOSTS = ('a.example.com', 'a.example.com', 'b.example.com', '*.example.com', '*')
CREATED = ('2024-01-01T00:00:00Z', '2024-06-01T00:00:00Z', '')
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
    return http_route(draw(st.sampled_from(('r', 's', 't'))), *rules, **draw(_attachments()))


_PARENTS = (
    *({'name': 'web', 'namespace': 'shop'},) * 2, {'name': 'web', 'namespace': 'shop', 'sectionName': 'http'}, {'name': 'web', 'namespace': 'shop', 'port': 443},
    {'name': 'own', 'namespace': 'bank'}, {'kind': 'ListenerSet', 'name': 'more', 'namespace': 'shop'},
)  # fmt: skip


@st.composite
def _attachments(draw):
    """Where a route is attached, its hosts, namespace and age."""
    return {
        'hostnames': draw(st.lists(st.sampled_from(HOSTS[:4]), max_size=2, unique=True)),
        'parents': draw(st.lists(st.sampled_from(_PARENTS), min_size=1, max_size=2, unique_by=str)),
        'namespace': draw(st.sampled_from(('shop', 'shop', 'bank'))),
        'created': draw(st.sampled_from(CREATED)),
    }


_CALLS = st.lists(
    st.sampled_from((
        call('x', 'y'), call('x'), call(method='y'), call('v[0-9]', '.*', expression=True), call(headers=[('x-a', 'b')]), call('app', '1', headers=[('x-a', 'b')]),
    )),
    max_size=2,
)  # fmt: skip


@st.composite
def _grpc_routes(draw):
    filters = st.sampled_from(([], [], [modifier('Request', set={'X-A': 'b'})]))
    rules = [
        rule(
            *draw(st.lists(_REFERENCES, min_size=1, max_size=2, unique_by=lambda each: each['name'])),
            matches=draw(_CALLS),
            filters=draw(filters),
        )
        for _ in range(draw(st.integers(1, 2)))
    ]
    return grpc_route(draw(st.sampled_from(('g', 'h'))), *rules, **draw(_attachments()))


_TLS_ROUTES = st.builds(
    lambda name, names, hosts, port, keys: l4_route(
        'TLSRoute',
        name,
        *names,
        hostnames=hosts,
        port=port,
        annotations={PREFIX + key: text for key, text in keys.items()},
    ),
    st.sampled_from(('p', 'q')),
    st.lists(st.sampled_from(('a', 'b', 'none')), min_size=1, max_size=2, unique=True),
    st.lists(st.sampled_from(HOSTS[:4]), min_size=1, max_size=2, unique=True),
    st.sampled_from((8443, None)),
    st.sampled_from(({}, {}, {'deny': '127.0.0.9'}, {'allow': '127.0.0.9'}, {'maintenance': 'true'})),
)


_ENDED = {'certificateRefs': [{'name': 'tls'}]}
_VALIDATION = {'caCertificateRefs': [{'group': '', 'kind': 'ConfigMap', 'name': 'ca'}]}
_WIDE = st.sampled_from((None, None, None, '*.example.com', 'a.example.com'))


def _pair(host, **more):
    """Return listeners for HTTP and HTTPS of one host."""
    return [
        listener('http', 80, hostname=host, namespaces='All', **more),
        listener('https', 443, 'HTTPS', hostname=host, namespaces='All', tls=_ENDED),
    ]


@st.composite
def gateways(draw):
    """A Gateway of several listeners, perhaps one more of another namespace, and a set of listeners."""
    listeners = [
        *_pair(draw(_WIDE)),
        listener('passed', 8443, 'TLS', hostname=draw(_WIDE), namespaces='All', tls={'mode': 'Passthrough'}),
    ]
    further = (
        listener('other', 80, hostname='*.x.example.com', namespaces='All'),
        listener('b', 443, 'HTTPS', hostname='b.example.com', namespaces='Same', tls=_ENDED),
        listener('bare', 443, 'HTTPS', hostname='x.example.com', tls={'certificateRefs': [{'name': 'none'}]}),
        listener('ended', 8443, 'TLS', hostname='b.example.com', namespaces='All', tls={'mode': 'Terminate', **_ENDED}),
    )
    listeners += draw(st.lists(st.sampled_from(further), max_size=3, unique_by=lambda each: each['name']))
    mode = draw(st.sampled_from(('', '', 'AllowValidOnly', 'AllowInsecureFallback')))
    frontend = {'tls': {'frontend': {'default': {'validation': {**_VALIDATION, 'mode': mode}}}}} if mode else {}
    found = [gateway('web', *listeners, admits='All', spec=frontend, created=draw(st.sampled_from(CREATED)))]
    if draw(st.booleans()):
        found.append(gateway('own', *_pair(draw(_WIDE)), namespace='bank', created=draw(st.sampled_from(CREATED))))
    if draw(st.booleans()):
        host = draw(st.sampled_from(('x.example.com', '*.example.com', 'b.example.com')))
        found.append(listener_set('more', *_pair(host)))
    return found


@st.composite
def attached(draw):
    """Gateways with routes that are attached to them, or nothing."""
    routes = draw(st.lists(st.one_of(_routes(), _routes(), _grpc_routes()), max_size=5))
    return [*draw(gateways()), *routes, *draw(st.lists(_TLS_ROUTES, max_size=2))] if routes else []
