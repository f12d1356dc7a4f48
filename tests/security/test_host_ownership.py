"""A host belongs to the namespace of the oldest object that names it: no other namespace gets its paths or its TLS."""

import ssl

import pytest

from conftest import binary
from headrace import store
from headrace.ir.fragment import Kind
from headrace.ir.pointers import Reserved
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve import explanation, state
from headrace.settings.settings import Secrets, Settings
from headrace.translate import build_context, placeholder_certificates
from support.edge import Edge, Endpoints, shown
from support.following import Following
from support.objects import built, ca_secret, endpoint_slice, pointer, service, tls_secret

OLD, NEW, LAST = '2024-01-01T00:00:00Z', '2024-06-01T00:00:00Z', '2025-01-01T00:00:00Z'
HOST = 'shop.example.com'
HTTP = [{'name': 'http', 'port': 80}]
SECRETS = Secrets(namespaces=('*',))
WILDCARDS = {'tenant-a': ('*.example.com',), 'tenant-b': ('*',)}
OPEN = {'*': ('*',)}
CERTIFICATE = {'tls-secret': 'tls', 'client-ca-secret': 'ca'}
PASSTHROUGH = {'mode': 'tls-passthrough'}
SECRET_OF_B = (tls_secret('tls', 'tenant-b', 'theirs'), ca_secret('ca', 'tenant-b', 'theirs'))


def claimed(namespace, created, name='web', **annotations):
    """Return a Service that claims the host; annotations are written with `_` for `-`."""
    said = {'host': HOST, **{key.replace('_', '-'): value for key, value in annotations.items()}}
    return service(name, namespace, created=created, annotations=said, ports=HTTP)


def model(*documents, **settings):
    return built(*documents, settings=Settings(secrets=SECRETS, **settings))


def conflicts(made, namespace):
    found = [each for each in made.all_diagnostics() if each.reason == 'Conflict']
    return [each.message for each in found if each.ref.namespace == namespace]


ATTACKS = {
    'a certificate and an authority on a path': ({'path': '/zzz', **CERTIFICATE}, HOST),
    'a passthrough of the host': (PASSTHROUGH, HOST),
    'a passthrough of *': ({'host': '*', **PASSTHROUGH}, '*'),
    'a passthrough of a wildcard': ({'host': '*.example.com', **PASSTHROUGH}, '*.example.com'),
    'a path': ({'path': '/login'}, HOST),
    'an exact path': ({'path': '/login', 'path-type': 'Exact'}, HOST),
    'the challenge of an issuer': ({'path': '/.well-known/acme-challenge'}, HOST),
}


@pytest.mark.parametrize('policy', [{}, WILDCARDS, OPEN], ids=['no policy', 'wildcards', 'everything'])
@pytest.mark.parametrize(('annotations', 'host'), ATTACKS.values(), ids=ATTACKS)
def test_a_younger_service_of_another_namespace_gets_nothing_of_a_host(annotations, host, policy):
    ours = claimed('tenant-a', OLD)
    theirs = claimed('tenant-b', NEW, **annotations)
    made = model(ours, theirs, *SECRET_OF_B, host_policy=policy)
    alone = dict(model(ours, host_policy=policy).pointers())
    of_host = {key: content for key, content in made.pointers() if key[1].startswith(HOST)}
    assert of_host == alone
    if host == HOST:
        (message,) = set(conflicts(made, 'tenant-b'))
        assert message == f'host {HOST} belongs to namespace tenant-a: it is held by Service tenant-a/web'


@pytest.mark.parametrize('given', [{'path': '/'}, {'path': '/own'}])
def test_without_timestamps_the_first_by_name_has_the_host(given):
    made = model(claimed('tenant-b', None, **given), claimed('tenant-a', None, path='/a'))
    assert pointer(made, Kind.ROUTE, f'{HOST}/own/') is None
    assert pointer(made, Kind.ROUTE, f'{HOST}/a/').backend.startswith('tenant-a_')


@pytest.mark.parametrize('squatted', ['web.tenant-b.apps.test', '*.tenant-b.apps.test', '*.apps.test'])
def test_the_default_host_of_a_service_belongs_to_its_namespace_whatever_its_age(squatted):
    theirs = service('web', 'tenant-b', created=NEW, annotations={'enabled': 'true'}, ports=HTTP)
    squatter = claimed('tenant-a', OLD, host=squatted)
    made = model(squatter, theirs, domain='apps.test')
    assert pointer(made, Kind.ROUTE, 'web.tenant-b.apps.test/').backend.startswith('tenant-b_web_')
    assert bool(conflicts(made, 'tenant-a')) == (squatted == 'web.tenant-b.apps.test')
    assert not conflicts(made, 'tenant-b')


@pytest.mark.parametrize('host', ['web.tenant-c.apps.test', 'a.web.tenant-b.apps.test', 'tenant-b.apps.test'])
def test_other_hosts_of_the_domain_belong_to_the_oldest_object(host):
    made = model(claimed('tenant-a', OLD, host=host), claimed('tenant-b', NEW, host=host), domain='apps.test')
    assert pointer(made, Kind.ROUTE, f'{host}/').backend.startswith('tenant-a_')


def test_within_a_namespace_several_services_share_a_host_as_before():
    made = model(
        claimed('tenant-a', OLD),
        claimed('tenant-a', NEW, 'second', path='/login', tls_secret='tls'),
        tls_secret('tls', 'tenant-a'),
    )
    assert pointer(made, Kind.ROUTE, f'{HOST}/login/').backend.startswith('tenant-a_second_')
    assert pointer(made, Kind.TLS, HOST) == HostTls(certificates=('tenant-a_tls',))
    assert not conflicts(made, 'tenant-a')


@pytest.mark.parametrize(
    ('sharing', 'path', 'tls'),
    [('none', None, None), ('paths', 'tenant-b', None), ('all', 'tenant-b', ('tenant-b_tls',))],
)
def test_sharing_gives_paths_or_all_of_it(sharing, path, tls):
    theirs = claimed('tenant-b', NEW, path='/login', tls_secret='tls')
    made = model(claimed('tenant-a', OLD), theirs, *SECRET_OF_B, host_sharing=sharing)
    found = pointer(made, Kind.ROUTE, f'{HOST}/login/')
    assert (found.backend.partition('_')[0] if found else None) == path
    shown = pointer(made, Kind.TLS, HOST)
    assert (shown.certificates if shown else None) == tls


@pytest.mark.parametrize(
    ('older', 'settings', 'owner'),
    [
        ('*.example.com', {}, 'tenant-a'),
        # Nothing is reserved by it.
        ('*', {}, 'tenant-b'),
        # It matches one label only.
        ('*.com', {}, 'tenant-b'),
        ('*.example.com', {'host_policy': {'tenant-a': ('*.example.com',), 'tenant-b': (HOST,)}}, 'tenant-b'),
        ('*.example.com', {'host_policy': {'tenant-a': ('*',), 'tenant-b': ('*.example.com',)}}, 'tenant-b'),
        ('*.example.com', {'host_policy': {'*': ('*.example.com',)}}, 'tenant-a'),
        ('*.example.com', {'host_policy': {'tenant-a': ('*.example.com',), 'tenant-b': ('*',)}}, 'tenant-a'),
        ('*.example.com', {'host_sharing': 'paths'}, 'tenant-b'),
        ('*.example.com', {'host_sharing': 'all'}, 'tenant-b'),
    ],
)
def test_an_older_wildcard_of_another_namespace_keeps_a_host_unless_an_administrator_gives_it(older, settings, owner):
    made = model(claimed('tenant-a', OLD, host=older), claimed('tenant-b', NEW), **settings)
    found = pointer(made, Kind.ROUTE, f'{HOST}/')
    assert (found.namespace if isinstance(found, Reserved) else found.backend.partition('_')[0]) == owner
    if owner == 'tenant-a':
        message = f'host {HOST} belongs to namespace tenant-a: *.example.com is held by Service tenant-a/web'
        assert conflicts(made, 'tenant-b') == [message]


class Living(Following):
    """A store and the state that follows it."""

    def __init__(self, **settings):
        super().__init__(Settings(secrets=SECRETS, **settings))

    def drop(self, namespace, name='web'):
        return self.put(Ref('Service', namespace, name))


@pytest.mark.parametrize('older', [HOST, '*.example.com'])
def test_who_waits_for_a_host_takes_over_when_its_holder_leaves(older):
    living = Living()
    living.put(claimed('tenant-a', OLD, host=older), claimed('tenant-b', NEW, path='/login'))
    assert pointer(living.state, Kind.ROUTE, f'{HOST}/login/') is None
    change = living.drop('tenant-a')
    assert pointer(living.state, Kind.ROUTE, f'{HOST}/login/').backend.startswith('tenant-b_')
    assert Ref('Service', 'tenant-b', 'web') in change.judged
    assert not conflicts(living.state, 'tenant-b')
    living.put(claimed('tenant-a', OLD, host=older))
    assert pointer(living.state, Kind.ROUTE, f'{HOST}/login/') is None


def test_the_diagnostic_names_the_next_holder_of_the_same_namespace():
    living = Living()
    living.put(claimed('tenant-a', OLD), claimed('tenant-a', NEW, 'next', path='/n'), claimed('tenant-b', LAST))
    change = living.drop('tenant-a')
    assert Ref('Service', 'tenant-b', 'web') in change.judged
    (message,) = conflicts(living.state, 'tenant-b')
    assert message.endswith('it is held by Service tenant-a/next')


def test_one_more_route_of_a_shared_host_judges_no_other_route_anew():
    living = Living()
    living.put(*(claimed('tenant-a', OLD, f's{number}', path=f'/{number}') for number in range(50)))
    change = living.put(claimed('tenant-a', NEW, 'more', path='/more'))
    assert [change.key for change in change.pointers] == [(Kind.ROUTE, f'{HOST}/more/')]
    assert change.judged == (Ref('Service', 'tenant-a', 'more'),)


def explained(target, *documents, **settings):
    held = store.Store()
    for document in documents:
        held.put(parse.read(document).object)
    made = state.State(build_context.make(Settings(secrets=SECRETS, **settings)))
    made.update(held, held.take())
    return explanation.explain(made, held, target)


def test_explain_names_all_who_want_something_of_a_host():
    documents = [
        claimed('tenant-a', OLD),
        claimed('tenant-b', NEW, path='/login', tls_secret='tls'),
        claimed('tenant-c', LAST),
        *SECRET_OF_B,
    ]
    found = explained(HOST, *documents)
    assert found.served
    parties = {f'{ref.namespace}' for claim in found.claims for ref in (claim.holder, *claim.waiting)}
    assert parties == {'tenant-a', 'tenant-b', 'tenant-c'}
    assert {diagnostic.ref.namespace for diagnostic in found.diagnostics if diagnostic.reason == 'Conflict'} == {
        'tenant-b',
        'tenant-c',
    }
    theirs = explained('tenant-b/web', *documents)
    assert not theirs.served
    assert {claim.holder.namespace for claim in theirs.claims} == {'tenant-a'}


@pytest.mark.parametrize('wildcard', ['*', '*.example.com'])
def test_explain_gives_no_path_of_a_host_to_a_wildcard_of_another_namespace(wildcard):
    found = explained(
        f'{HOST}/login', claimed('tenant-a', OLD, path='/app'), claimed('tenant-b', NEW, host=wildcard, path='/login')
    )
    assert not found.served
    assert found.because == f'host {HOST} has no route for /login: 404'


def test_explain_says_whose_host_it_is_where_nothing_is_served():
    found = explained(
        f'{HOST}/x', claimed('tenant-a', OLD, host='*.example.com', path='/app'), claimed('tenant-b', NEW)
    )
    assert not found.served
    assert {str(ref) for claim in found.claims for ref in (claim.holder, *claim.waiting)} >= {
        'Service tenant-a/web',
        'Service tenant-b/web',
    }


# --- on a real HAProxy -----------------------------------------------------------------------------------------------


def authority(seed):
    return placeholder_certificates.certificate(Ref('Secret', '', seed))


@pytest.fixture(scope='module')
def endpoints(tmp_path_factory):
    """Endpoints of tenant-a, which speak in the clear, and of tenant-b, which end TLS themselves."""
    path = tmp_path_factory.mktemp('endpoint') / 'endpoint.pem'
    path.write_bytes(authority('theirs')[0])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with Endpoints() as ours, Endpoints(context) as passed, Endpoints() as theirs:
        yield ours, passed, theirs


def serves(document, endpoints, address):
    """Return a Service and the slice of its endpoint."""
    metadata = document['metadata']
    found = endpoint_slice(
        metadata['name'], metadata['namespace'], addresses=[address], port=endpoints.port, port_name='http'
    )
    return document, found


A, B, OWN = '127.0.9.1', '127.0.9.2', '127.0.9.3'


def edge(endpoints, *attack, **settings):
    """Return an edge where tenant-a has the host with the default certificate and one path, and what attacks it."""
    ours, passed, theirs = endpoints
    documents = [
        *serves(claimed('tenant-a', OLD, path='/app'), ours, A),
        *serves(claimed('tenant-a', OLD, 'whole', host='whole.example.com'), ours, A),
        tls_secret('default', 'tenant-a', 'default'),
        *SECRET_OF_B,
    ]
    for index, annotations in enumerate(attack):
        secured = annotations.get('mode') == 'tls-passthrough'
        document = claimed('tenant-b', NEW, f'attack{index}', **annotations)
        documents += serves(document, passed if secured else theirs, B)
    settings = {'default_certificate': 'tenant-a/default', 'host_sharing': 'none', **settings}
    return Edge(binary('haproxy-3.4'), *documents, seen={'all_secrets': True}, **settings)


TLS_ATTACKS = {
    'a certificate and an authority on a path': {'path': '/zzz', **CERTIFICATE},
    'a passthrough of the host': PASSTHROUGH,
    'a passthrough of *': {'host': '*', **PASSTHROUGH},
    'a passthrough of a wildcard': {'host': '*.example.com', **PASSTHROUGH},
    'a certificate and an authority of a wildcard': {'host': '*.example.com', **CERTIFICATE},
}


@pytest.mark.parametrize('attack', TLS_ATTACKS.values(), ids=TLS_ATTACKS)
@pytest.mark.parametrize('name', [HOST, 'whole.example.com'])
def test_tls_of_a_host_with_the_default_certificate_stays_there(endpoints, attack, name):
    with edge(endpoints, {'host': 'other.com', **PASSTHROUGH}, attack) as found:
        assert shown(found, name) in authority('default')[0]
        answer = found.get(name, '/app', sni=name)
        assert (answer.status, answer.said['at']) == (200, A)


@pytest.mark.parametrize(
    'attack', [PASSTHROUGH, {'host': '*', **PASSTHROUGH}, {'host': '*.example.com', **PASSTHROUGH}]
)
def test_tls_of_a_host_without_any_certificate_is_refused_and_goes_to_no_other(endpoints, attack):
    with edge(endpoints, attack, default_certificate='') as found:
        assert shown(found, HOST) is None
        assert found.get(HOST, '/app').said['at'] == A


def test_a_passthrough_of_any_host_still_has_hosts_that_no_other_object_names(endpoints):
    with edge(endpoints, {'host': '*', **PASSTHROUGH}) as found:
        assert shown(found, 'unnamed.org') in authority('theirs')[0]


@pytest.mark.parametrize('wildcard', ['*', '*.example.com'])
@pytest.mark.parametrize(('sharing', 'status'), [('none', 404), ('paths', 404), ('all', 200)])
def test_what_the_routes_of_a_host_leave_goes_to_no_wildcard_of_another_namespace(endpoints, wildcard, sharing, status):
    with edge(endpoints, {'host': wildcard}, host_sharing=sharing) as found:
        assert found.get(HOST, '/app').said['at'] == A
        assert found.get(f'{HOST}:80', '/.well-known/acme-challenge/x').status == status
        assert found.get(HOST, '/login').status == status
        assert found.get('unnamed.example.com', '/login').said['at'] == B


def test_what_the_routes_of_a_host_leave_goes_to_wildcards_of_its_namespace(endpoints):
    ours, _, theirs = endpoints
    documents = [
        *serves(claimed('tenant-a', OLD, path='/app'), ours, A),
        *serves(claimed('tenant-a', NEW, 'any', host='*', path='/any'), ours, OWN),
        *serves(claimed('tenant-b', NEW, 'wild', host='*.example.com'), theirs, B),
    ]
    with Edge(binary('haproxy-3.4'), *documents) as found:
        assert found.get(HOST, '/any').said['at'] == OWN
        assert found.get(HOST, '/any/%61').said['at'] == OWN
        assert found.get(HOST, '/other').status == 404
        assert found.get('unnamed.example.com', '/any').said['at'] == B


def test_the_challenge_for_a_host_whose_tls_is_passed_through_goes_to_no_wildcard_of_another_namespace(endpoints):
    ours, _, theirs = endpoints
    documents = [
        *serves(claimed('tenant-a', OLD, **PASSTHROUGH), ours, A),
        *serves(claimed('tenant-b', NEW, 'any', host='*'), theirs, B),
    ]
    with Edge(binary('haproxy-3.4'), *documents) as found:
        assert found.get(HOST, '/.well-known/acme-challenge/x').status == 404


@pytest.mark.parametrize('host', ['*', '*.example.com'])
def test_what_conditions_of_a_host_leave_is_not_for_a_wildcard_of_another_namespace(host):
    expression = {'path': '/(cart|login)', 'path_type': 'RegularExpression'}
    with Endpoints() as endpoints:
        documents = [
            claimed('tenant-a', OLD, **expression),
            endpoint_slice('web', 'tenant-a', addresses=['127.0.9.1'], port=endpoints.port, port_name='http'),
            claimed('tenant-a', NEW, 'rest', host='*', path='/own'),
            endpoint_slice('rest', 'tenant-a', addresses=['127.0.9.2'], port=endpoints.port, port_name='http'),
            claimed('tenant-b', NEW, host=host),
            endpoint_slice('web', 'tenant-b', addresses=['127.0.9.3'], port=endpoints.port, port_name='http'),
        ]
        with Edge(binary('haproxy-3.4'), *documents) as edge:
            assert edge.get(HOST, '/cart').said['at'] == '127.0.9.1'
            assert edge.get(HOST, '/own').said['at'] == '127.0.9.2'
            assert edge.get(HOST, '/other').status == 404
            assert edge.get('other.example.com', '/other').said['at'] == '127.0.9.3'
