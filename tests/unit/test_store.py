"""The store: what is kept, what has changed since the last `take`, and what a fragment is made from."""

import pytest

from headrace.names import Ref
from headrace.objects import parse, registry
from headrace.objects.http_routes import HTTPRoute
from headrace.objects.kinds import DEFAULT_INGRESS_CLASS, NODES, Node, Secret, Service, Slice
from headrace.store import CLUSTER_IP, Reader, Store
from support.gateway_objects import gateway, http_route, listener_set, reference_grant, resource
from support.objects import endpoint_slice, ingress, ingress_class, node, secret, service, tls_secret

WEB = Ref('Service', 'shop', 'web')
ENDPOINTS = Ref('EndpointSlice', 'shop', 'web')
HEADRACE = Ref('IngressClass', '', 'headrace')


def read(document):
    return parse.read(document).object


def piece(name='web-1', of='web', *addresses):
    return read(endpoint_slice(of, name=name, addresses=addresses or ['10.0.0.1']))


def endpoints(*addresses):
    subsets = [{'addresses': [{'ip': address} for address in addresses], 'ports': [{'port': 8080}]}]
    metadata = {'name': 'web', 'namespace': 'shop'}
    return read({'apiVersion': 'v1', 'kind': 'Endpoints', 'metadata': metadata, 'subsets': subsets})


def holding(*objects):
    """Return a store with objects whose changes have been taken."""
    store = Store()
    for item in objects:
        store.put(item)
    store.take()
    return store


def test_a_secret_that_becomes_unusable_is_the_same_to_a_replica_that_starts_then():
    good, broken = read(tls_secret('tls')), read(secret('tls', tls_crt='junk', tls_key='junk'))
    store = holding(good)
    assert store.put(broken)
    assert store.get(good.ref, Secret) == holding(broken).get(good.ref, Secret)
    assert store.get(good.ref, Secret).certificate is None


PUBLIC = Ref('Gateway', 'shop', 'public')
NAMESPACE = read({'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': 'shop'}})


@pytest.mark.parametrize(
    ('item', 'dirty'),
    [
        pytest.param(read(service()), {WEB}, id='Service'),
        pytest.param(read(secret('tls')), {Ref('Secret', 'shop', 'tls')}, id='Secret'),
        pytest.param(NAMESPACE, {Ref('Namespace', '', 'shop')}, id='Namespace'),
        pytest.param(read(node('n1')), {Ref('Node', '', 'n1'), NODES}, id='Node'),
        pytest.param(read(ingress()), {Ref('Ingress', 'shop', 'web')}, id='Ingress'),
        pytest.param(
            read(ingress(hosts={'a.b': 'web'}, annotations={'nginx.ingress.kubernetes.io/canary': 'true'})),
            {Ref('Ingress', 'shop', 'web'), registry.canaries('shop', 'a.b')},
            id='a canary',
        ),
        pytest.param(read(ingress_class()), {HEADRACE}, id='IngressClass'),
        pytest.param(read(gateway()), {PUBLIC, registry.ALL_GATEWAYS}, id='Gateway, as one of all'),
        pytest.param(
            read(http_route(parents=['public', {'name': 'public', 'port': 80}, {'name': 'x', 'group': 'y'}])),
            {Ref('HTTPRoute', 'shop', 'web'), registry.attached('HTTPRoute', PUBLIC)},
            id='HTTPRoute, as one of its Gateway',
        ),
        pytest.param(
            read(listener_set()),
            {
                Ref('ListenerSet', 'shop', 'more'),
                registry.attached('ListenerSet', PUBLIC),
                registry.listeners_of_host(PUBLIC, '*'),
                registry.listeners_of_protocol(PUBLIC, 8080, 'HTTP'),
            },
            id='ListenerSet, as one of its Gateway, of its hosts, and of its ports',
        ),
        pytest.param(
            read(resource('ListenerSet', 'more')), {Ref('ListenerSet', 'shop', 'more')}, id='ListenerSet of no Gateway'
        ),
        pytest.param(
            read(reference_grant(sources=[], targets=[])),
            {Ref('ReferenceGrant', 'data', 'grant'), registry.grants_of('data')},
            id='ReferenceGrant, as one of its namespace',
        ),
        pytest.param(
            read(resource('BackendTLSPolicy', targetRefs=[{'group': '', 'kind': 'Service', 'name': 'web'}])),
            {Ref('BackendTLSPolicy', 'shop', 'web'), registry.attached('BackendTLSPolicy', WEB)},
            id='BackendTLSPolicy, as one of its target',
        ),
        pytest.param(read(ingress_class(default=True)), {HEADRACE, DEFAULT_INGRESS_CLASS}, id='default IngressClass'),
        pytest.param(piece(), {ENDPOINTS}, id='EndpointSlice, as its Service'),
        pytest.param(endpoints('10.0.0.1'), {ENDPOINTS}, id='Endpoints, as its Service'),
        pytest.param(Slice('shop', 'stray', '', 4), set(), id='a slice without a Service'),
    ],
)
def test_an_object_that_comes_stays_or_goes_marks_what_it_touches_once(item, dirty):
    store = Store()
    assert store.put(item)
    assert store.take() == dirty
    assert store.take() == frozenset()
    assert not store.put(item)
    assert store.take() == frozenset()
    assert store.drop(item.ref)
    assert store.take() == dirty
    assert not store.drop(item.ref)
    assert store.take() == frozenset()


def test_a_route_is_a_member_of_the_gateways_that_it_names():
    old, new = (read(http_route(name, created=created)) for name, created in (('b', '2025'), ('a', '2026')))
    store = holding(new, old)
    reader, group = Reader(store, PUBLIC), registry.attached('HTTPRoute', PUBLIC)
    assert reader.members(group, HTTPRoute) == (old, new)
    assert reader.needs == (group,)
    other = Ref('Gateway', 'shop', 'other')
    store.put(read(http_route('b', parents=['other'])))
    assert store.take() == {old.ref, group, registry.attached('HTTPRoute', other)}
    assert store.members(group, HTTPRoute) == (new,)
    store.drop(new.ref)
    assert store.members(group, HTTPRoute) == ()
    assert [item.name for item in store.members(registry.attached('HTTPRoute', other), HTTPRoute)] == ['b']


def test_a_slice_that_moves_to_another_service_marks_both():
    store = holding(piece('s', 'web'))
    store.put(piece('s', 'api'))
    assert store.take() == {ENDPOINTS, Ref('EndpointSlice', 'shop', 'api')}
    assert store.slices(WEB) == ()
    assert [item.name for item in store.slices(Ref('Service', 'shop', 'api'))] == ['s']


def test_slices_of_a_service_are_merged_by_name_and_changed_in_place():
    store = holding(piece('b', 'web', '10.0.0.2'), piece('a', 'web', '10.0.0.1'), piece('c', 'api', '10.0.0.3'))
    assert [item.name for item in store.slices(WEB)] == ['a', 'b']
    store.put(piece('a', 'web', '10.0.0.9'))
    assert [item.ready for item in store.slices(WEB)] == [('10.0.0.9',), ('10.0.0.2',)]
    store.drop(Ref('EndpointSlice', 'shop', 'a'))
    assert [item.name for item in store.slices(WEB)] == ['b']


def test_endpoints_count_only_where_there_is_no_slice():
    store = holding(endpoints('10.0.0.7'))
    assert [item.ready for item in store.slices(WEB)] == [('10.0.0.7',)]
    store.put(piece('a', 'web', '10.0.0.1'))
    assert [item.ready for item in store.slices(WEB)] == [('10.0.0.1',)]
    store.drop(Ref('EndpointSlice', 'shop', 'a'))
    assert [item.ready for item in store.slices(WEB)] == [('10.0.0.7',)]


def test_a_reader_records_what_it_reads_besides_the_slices_of_its_object():
    web, api, held = read(service()), read(service('api')), read(secret('tls'))
    store = holding(web, api, held, piece(), read(node('n2')), read(node('n1')))
    reader, missing = Reader(store, WEB), Ref('Secret', 'shop', 'missing')
    assert (reader.slices, reader.needs) == ((piece(),), ())
    assert (reader.secret(held.ref), reader.other_service(api.ref), reader.secret(missing)) == (held, api, None)
    assert [item.name for item in reader.nodes] == ['n1', 'n2']
    assert reader.owner('10.96.0.9') is None
    assert reader.needs == tuple(sorted((held.ref, api.ref, missing, NODES, Ref(CLUSTER_IP, '', '10.96.0.9'))))


def test_a_reader_returns_nothing_for_an_object_of_another_type():
    store = holding(read(service('api')), read(secret('tls')))
    reader = Reader(store, WEB)
    assert reader.secret(Ref('Service', 'shop', 'api')) is None
    assert reader.other_service(Ref('Secret', 'shop', 'tls')) is None


def test_all_nodes_are_kept_in_order_until_one_changes():
    store = holding(read(node('n2')))
    first = store.nodes()
    assert store.nodes() is first
    store.put(read(node('n1')))
    assert [item.name for item in store.nodes()] == ['n1', 'n2']


def test_an_object_is_found_by_reference_and_type():
    store = holding(read(service()), read(node('n1')))
    assert store.get(WEB, Service) == read(service())
    assert store.get(WEB, Secret) is None
    assert store.get(Ref('Node', '', 'n2'), Node) is None


# --- Ingresses and their classes --------------------------------------------------------------------------------------


def of_class(name, created='', *, default):
    document = ingress_class(name, default=default)
    document['metadata']['creationTimestamp'] = created
    return read(document)


def test_the_default_class_is_the_newest_one_and_by_name_among_equals():
    old, new = (
        of_class('old', '2026-01-01T00:00:00Z', default=True),
        of_class('new', '2026-02-01T00:00:00Z', default=True),
    )
    twin = of_class('a', '2026-02-01T00:00:00Z', default=True)
    store = holding(of_class('other', default=False))
    assert store.default_ingress_class() is None
    for item, expected in ((new, new), (old, new), (twin, twin)):
        store.put(item)
        assert store.default_ingress_class() == expected
    store.drop(twin.ref)
    store.put(of_class('new', default=False))
    assert store.default_ingress_class() == old


def test_a_class_that_becomes_or_stays_or_stops_to_be_the_default_one_marks_that():
    store = holding(of_class('headrace', default=False))
    store.put(of_class('headrace', '2026-01-01T00:00:00Z', default=False))
    assert store.take() == {HEADRACE}
    store.put(of_class('headrace', default=True))
    assert store.take() == {HEADRACE, DEFAULT_INGRESS_CLASS}
    store.put(of_class('headrace', default=False))
    assert store.take() == {HEADRACE, DEFAULT_INGRESS_CLASS}


def test_a_reader_records_the_classes_that_it_has_looked_up():
    item = of_class('headrace', default=True)
    reader = Reader(holding(item), Ref('Ingress', 'shop', 'web'))
    assert (reader.ingress_class('headrace'), reader.ingress_class('gone')) == (item, None)
    assert reader.needs == (Ref('IngressClass', '', 'gone'), HEADRACE)
    assert reader.default_ingress_class == item
    assert DEFAULT_INGRESS_CLASS in reader.needs


@pytest.mark.parametrize('document', [service(), ingress(hosts={'a.example.com': 'web'})], ids=['Service', 'Ingress'])
def test_an_object_of_which_the_status_alone_changes_is_kept_and_not_dirty(document):
    item = parse.read(document, statuses=True).object
    held = holding(item)
    shown = {**document, 'status': {'loadBalancer': {'ingress': [{'ip': '192.0.2.1', 'ipMode': 'Proxy'}]}}}
    assert held.put(parse.read(shown, statuses=True).object)
    assert (held.take(), held.take_statuses(), held.take_statuses()) == (set(), {item.ref}, set())
    assert held.get(item.ref, type(item)).status.addresses == (('192.0.2.1', ''),)
    assert not held.put(parse.read(shown, statuses=True).object)


def test_a_status_is_no_change_where_statuses_are_not_read():
    held = Store()
    held.put(parse.read(service()).object)
    held.take()
    shown = {**service(), 'status': {'loadBalancer': {'ingress': [{'ip': '192.0.2.1', 'ipMode': 'Proxy'}]}}}
    assert not held.put(parse.read(shown).object)
    assert (held.take(), held.take_statuses()) == (set(), set())
