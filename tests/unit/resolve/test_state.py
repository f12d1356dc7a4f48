"""The state after any sequence of events equals one that is built from scratch, and an update touches what it must.

Each sequence is a table of batches; after each batch the incremental state is compared with a build from the same
objects: fragments, pointers, diagnostics, dependencies and demands. The changes on the way, applied to a
snapshot, must lead to the same place.
"""

from dataclasses import replace

import pytest

from headrace import store
from headrace.ir.backend import Group
from headrace.ir.fragment import Kind
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve import changes, model_snapshot, state
from headrace.settings.settings import Secrets, Settings
from headrace.translate import build_context
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support.objects import (
    ca_secret,
    endpoint_slice,
    fragment,
    node,
    pointer,
    reasons,
    secret,
    service,
    tls_secret,
)

HTTP = [{'name': 'http', 'port': 80}]
OLD, NEW = '2024-01-01T00:00:00Z', '2024-06-01T00:00:00Z'


def settings(**more):
    return Settings(**{'tcp_ports': '5000-5999', 'secrets': Secrets(namespaces=('*',)), **more})


class Living:
    """A store, the state that follows it by events, and what has been told of it."""

    def __init__(self, *documents, known=None, **seen):
        self.context = build_context.make(known or settings(), **seen)
        self.store, self.state = store.Store(), state.State(self.context)
        self.told = model_snapshot.ModelSnapshot()
        if documents:
            self.batch(*documents)

    def batch(self, *events):
        """Apply events in one batch: a document is put, a Ref is dropped."""
        for event in events:
            if isinstance(event, Ref):
                assert self.store.drop(event), event
            else:
                self.store.put(parse.read(event).object)
        change = self.state.update(self.store, self.store.take())
        self.told.tell(change)
        return change

    def scratch(self):
        made = state.State(self.context)
        # What lingers is told by what was, and the only thing that is.
        made.draining |= self.state.draining
        made.update(self.store, [item.ref for item in self.store.objects() if item.ref.kind == 'Service'])
        return made

    def check(self):
        """Compare with a build from scratch, and what was told with what is."""
        made = self.scratch()
        assert self.state.fragments == made.fragments
        assert dict(self.state.pointers()) == dict(made.pointers())
        assert self.state.all_diagnostics() == made.all_diagnostics()
        assert self.state.dependencies._readers == made.dependencies._readers
        for mine in (self.state, made):
            assert all(owners for demands in mine.dependencies._demanders.values() for owners in demands.values())
        assert strip(self.state.dependencies._demanders) == strip(made.dependencies._demanders)
        assert self.told == model_snapshot.of_state(self.state)


def strip(demanders):
    return {target: demands for target, demands in demanders.items() if demands}


def ref(name, kind='Service', namespace='shop'):
    return Ref(kind, namespace, name)


def web(name='web', **annotations):
    given = {'host': f'{name}.example.com', **{key.replace('_', '-'): value for key, value in annotations.items()}}
    return service(name, annotations=given, ports=HTTP)


def ends(of='web', *addresses, name=None, **conditions):
    entries = [{'addresses': [address], 'conditions': conditions} for address in addresses]
    return endpoint_slice(of, port_name='http', name=name, endpoints=entries)


SLICE = ref('web-1', 'EndpointSlice')
SECRET, NODE = ref('tls', 'Secret'), Ref('Node', '', 'n1')
CANARY = {'canary_service': 'next', 'canary_weight': '10'}
NEXT = service('next', ports=HTTP)
AUTH = secret('users', username='u', password='p')

SEQUENCES = {
    'endpoints come, go, and move between slices': [
        [web()],
        [ends('web', '10.0.0.1')],
        [ends('web', '10.0.0.1', '10.0.0.2')],
        [ends('web', '10.0.0.1'), ends('web', '10.0.0.2', name='web-2')],
        [ends('web', '10.0.0.2', ready=False, serving=True, terminating=True), ref('web-2', 'EndpointSlice')],
        [ends('web', '10.0.0.2', ready=False)],
        [SLICE],
    ],
    'endpoints come before their Service': [[ends('web', '10.0.0.1')], [web()], [ref('web')], [web()]],
    'a slice moves to another Service': [
        [web('a'), web('b'), ends('a', '10.0.0.1', name='s')],
        [ends('b', '10.0.0.1', name='s')],
        [ref('s', 'EndpointSlice')],
    ],
    'endpoints and the Service change in one batch': [
        [web(), ends('web', '10.0.0.1')],
        [web(max_connections='5'), ends('web', '10.0.0.2')],
        [web(host='other.example.com', balance='leastconn'), SLICE],
        [ref('web'), ends('web', '10.0.0.3')],
    ],
    'a Service is opted in, changed, and opted out': [
        [service(ports=HTTP), ends('web', '10.0.0.1')],
        [web()],
        [web(allow='10.0.0.0/8', balance='source', check='http')],
        [web(allow='nonsense')],
        [web(enabled='false')],
        [web()],
        [service(ports=HTTP)],
    ],
    'the port is renamed': [
        [web(), ends('web', '10.0.0.1')],
        [service(annotations={'host': 'web.example.com'}, ports=[{'name': 'web', 'port': 80}])],
        [endpoint_slice(port_name='web', addresses=['10.0.0.1'])],
        [web()],
    ],
    'a Secret comes, changes and goes': [
        [web(tls_secret='tls')],
        [tls_secret()],
        [tls_secret(seed='two')],
        [secret('tls', tls_crt='nonsense', tls_key='nonsense')],
        [tls_secret()],
        [SECRET],
        [tls_secret(), ref('web')],
    ],
    'users and authorities': [
        [web(basic_auth_secret='users', backend_protocol='https', backend_ca_secret='ca'), ends('web', '10.0.0.1')],
        [AUTH],
        [ends('web', '10.0.0.2')],
        [ca_secret()],
        [ends('web', '10.0.0.1', '10.0.0.2')],
        [ref('ca', 'Secret')],
        [ends('web', '10.0.0.3')],
        [ca_secret(seed='two'), ref('users', 'Secret')],
    ],
    'a canary target comes, changes and goes': [
        [web(**CANARY), ends('next', '10.0.0.9')],
        [NEXT],
        [ends('next', '10.0.0.8')],
        [service('next', ports=HTTP, annotations={'balance': 'leastconn'})],
        [service('next', ports=[{'name': 'other', 'port': 80}])],
        [service('next', ports=[{'name': 'other', 'port': 81}])],
        [NEXT],
        [ref('next')],
        [NEXT],
        [web()],
        [web(**CANARY)],
        [ref('web')],
        [ref('next')],
    ],
    'two owners of one canary target, itself exposed': [
        [web('next'), ends('next', '10.0.0.9')],
        [web('a', **CANARY)],
        [web('b', **CANARY)],
        [ref('a')],
        [web('next', enabled='false')],
        [ref('b'), ends('next', '10.0.0.8')],
    ],
    'a canary target that verifies its endpoints': [
        [web(**CANARY), ends('next', '10.0.0.9')],
        [service('next', ports=HTTP, annotations={'backend-protocol': 'https', 'backend-ca-secret': 'ca'})],
        [ends('next', '10.0.0.8')],
        [ca_secret()],
        [ends('next', '10.0.0.9', '10.0.0.8')],
        [ref('ca', 'Secret')],
        [ref('web')],
    ],
    'a Service that is its own canary': [[web('next', **CANARY)], [ends('next', '10.0.0.1')], [web('next')]],
    'a canary of a canary': [
        [web('a', canary_service='b', canary_weight='5')],
        [service('b', ports=HTTP, annotations={'canary-service': 'c'}), service('c', ports=HTTP)],
        [web('b', canary_service='c', canary_weight='5')],
        [ref('c'), ref('a')],
    ],
    'one host wandering between Services': [
        [web('a', host='x.example.com'), web('b', host='x.example.com'), web('c', host='x.example.com')],
        [ref('a')],
        [ref('b'), web('a', host='x.example.com')],
        [ref('a'), ref('c'), web('b', host='x.example.com')],
        [web('b', host='y.example.com'), web('a', host='x.example.com')],
        [web('a', host='y.example.com'), web('b', host='x.example.com')],
    ],
    'Services are made anew with other ages': [
        [
            service('a', created=OLD, annotations={'port': '5000'}),
            service('b', created=NEW, annotations={'port': '5000'}),
        ],
        [
            service('a', created=NEW, annotations={'port': '5000'}),
            service('b', created=OLD, annotations={'port': '5000'}),
        ],
        [ref('b'), service('c', created=OLD, annotations={'port': '5000'})],
        [service('c', created=OLD, annotations={'port': '5001'})],
    ],
    'a certificate that comes, goes and comes, on a host of two': [
        [tls_secret('tls2', seed='two')],
        [
            web('a', host='x.example.com', path='/a', tls_secret='tls'),
            web('b', host='x.example.com', path='/b', tls_secret='tls2'),
        ],
        [tls_secret()],
        [ref('tls', 'Secret')],
        [ref('b')],
        [tls_secret(), web('b', host='x.example.com', path='/b', tls_secret='tls2')],
    ],
    'a default certificate that comes and goes': [
        [web('a', tls_redirect='true'), web('b')],
        [tls_secret()],
        [ref('tls', 'Secret')],
    ],
    'the TLS of one host claimed by several, one with client certificates': [
        [tls_secret(), tls_secret('tls2', seed='two'), ca_secret()],
        [web('b', host='x.example.com', path='/b', tls_secret='tls', client_ca_secret='ca')],
        [web('a', host='x.example.com', path='/a', tls_secret='tls2')],
        [web('a', host='x.example.com', path='/a', tls_secret='tls', client_ca_secret='ca')],
        [web('b', host='x.example.com', path='/bb', tls_secret='tls', client_ca_secret='ca')],
        [ref('ca', 'Secret')],
        [ca_secret(seed='two'), ref('a')],
        [web('a', host='x.example.com', path='/a', tls_secret='tls2'), SECRET],
        [ref('a'), tls_secret()],
    ],
    'broken slices': [
        [web(), endpoint_slice(port_name='http', addresses=['not an address', '10.0.0.1'])],
        [endpoint_slice(port_name='http', addresses=['10.0.0.1'])],
        [endpoint_slice(port_name='http', addresses=['fd00::1'])],
    ],
    'mirrored Endpoints give way to slices': [
        [
            web(),
            {
                'apiVersion': 'v1',
                'kind': 'Endpoints',
                'metadata': {'name': 'web', 'namespace': 'shop'},
                'subsets': [{'addresses': [{'ip': '10.0.0.1'}], 'ports': [{'name': 'http', 'port': 8080}]}],
            },
        ],
        [ends('web', '10.0.0.2')],
        [SLICE],
        [ref('web', 'Endpoints')],
    ],
    'Nodes come and go': [[web(), node()], [node(addresses=['192.0.2.9'])], [node(ready=False)], [NODE]],
}
VIEWS = {
    'edge': {},
    'edge in a zone': {'topology': Topology('n1', 'zone-a')},
    'edge over node ports': {'known': settings(address_source='node-ports')},
    'class with a default certificate': {'known': settings(default_certificate='shop/tls')},
    'class with authorities for all': {'known': settings(defaults={'backend-ca-secret': 'ca'})},
    'offline': {'offline': True},
}


@pytest.mark.parametrize('seen', VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize('batches', SEQUENCES.values(), ids=SEQUENCES)
def test_after_each_batch_the_state_equals_a_build_from_scratch(batches, seen):
    living = Living(**seen)
    for batch in batches:
        living.batch(*batch)
        living.check()


@pytest.mark.parametrize('batches', SEQUENCES.values(), ids=SEQUENCES)
def test_event_by_event_leads_to_the_same_as_all_in_one_batch(batches):
    apart, together = Living(), Living()
    for batch in batches:
        for event in batch:
            apart.batch(event)
            apart.check()
        together.batch(*batch)
    assert apart.state.fragments == together.state.fragments
    assert dict(apart.state.pointers()) == dict(together.state.pointers())


def taken(name='web', **more):
    annotations = {'proxy': 'node', **more.pop('annotations', {})}
    return service(
        name, annotations=annotations, ports=[{'name': 'http', 'port': 80, 'nodePort': 30080}], type='NodePort', **more
    )


NODE_SEQUENCES = {
    'taken over and given back': [
        [taken(clusterIP='10.96.0.1'), ends('web', '10.0.0.1')],
        [ends('web', '10.0.0.2')],
        [taken(clusterIP='10.96.0.1', externalTrafficPolicy='Local', externalIPs=['203.0.113.1'])],
        [service(ports=HTTP, clusterIP='10.96.0.1')],
        [taken(clusterIP='10.96.0.1')],
        [ref('web')],
    ],
    'the node gets other addresses': [
        [taken(clusterIP='10.96.0.1'), node()],
        [node(addresses=['192.0.2.9', 'fd00::9'])],
        [node('n2', addresses=['192.0.2.7'])],
        [NODE],
    ],
    'authorities': [
        [taken(clusterIP='10.96.0.1', annotations={'backend-protocol': 'https', 'backend-ca-secret': 'ca'})],
        [ends('web', '10.0.0.1'), ca_secret()],
        [ca_secret(seed='two')],
        [ref('ca', 'Secret')],
    ],
}


@pytest.mark.parametrize('batches', NODE_SEQUENCES.values(), ids=NODE_SEQUENCES)
def test_on_a_node_too_the_state_equals_a_build_from_scratch(batches):
    living = Living(role=Role.NODE, topology=Topology('n1', 'zone-a'))
    for batch in batches:
        living.batch(*batch)
        living.check()


# --- what an update touches -------------------------------------------------------------------------------------------


def changed(change):
    return {item.ref.name for item in change.fragments}


@pytest.mark.parametrize(
    ('event', 'touched'),
    [
        (ends('a', '10.0.0.9'), {'a'}),
        (web('a', balance='source'), {'a'}),
        (tls_secret(seed='two'), {'tls-user'}),
        (service('next', ports=HTTP, annotations={'balance': 'first'}), {'next', 'owner'}),
        (ends('next', '10.0.0.9'), {'next'}),
        (node(), set()),
        (tls_secret('unused'), set()),
        (tls_secret(namespace='bank'), set()),
        (service('nobody'), set()),
        ({'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': 'shop'}}, set()),
    ],
)
def test_an_event_changes_the_object_itself_and_those_that_read_it(event, touched):
    living = Living(web('a'), web('b'), web('tls-user', tls_secret='tls'), tls_secret(), web('owner', **CANARY), NEXT)
    assert changed(living.batch(event)) == touched


def test_an_update_that_changes_nothing_is_false():
    living = Living(web(), ends('web', '10.0.0.1'))
    change = living.state.update(living.store, [ref('web'), ref('web', 'EndpointSlice'), ref('nobody')])
    assert not change
    assert change.fragments == change.pointers == change.judged == ()


def test_an_endpoint_change_keeps_every_value_that_it_does_not_touch():
    living = Living(web(), ends('web', '10.0.0.1'))
    before = fragment(living.state)
    (change,) = living.batch(ends('web', '10.0.0.2')).fragments
    assert change.old is before
    assert change.new.claims is before.claims
    assert change.new.diagnostics is before.diagnostics
    assert change.new.backends[0].groups == (Group(8080, ('10.0.0.2',)),)


def test_endpoints_of_a_service_that_is_gone_already_fail_no_object():
    living = Living(web(), ends('web', '10.0.0.1'))
    living.store.drop(ref('web'))
    living.store.put(parse.read(ends('web', '10.0.0.2')).object)
    # As when the Service's own turn comes in the next batch.
    change = living.state.update(living.store, [Ref('EndpointSlice', 'shop', 'web')])
    assert (fragment(living.state), change.failures) == (None, ())


def test_endpoints_of_services_that_are_not_served_change_nothing():
    living = Living(web(), service('other'), ends('web', '10.0.0.1'))
    assert living.batch(ends('other', '10.0.0.2'), ends('web', '10.0.0.1')) == changes.Change()


def test_endpoints_of_several_services_change_together():
    names = ('a', 'b', 'c')
    services = [service(name, annotations={'host': f'{name}.com'}, ports=HTTP, created=NEW) for name in names]
    living = Living(*services)
    change = living.batch(*(ends(name, '10.0.0.1') for name in reversed(names)))
    assert [item.ref.name for item in change.fragments] == [*names]
    assert change.judged == tuple(item.ref for item in change.fragments)
    assert change.pointers == ()
    living.check()


def test_an_endpoint_change_exchanges_the_pins_of_clients_that_stay():
    staying = service(annotations={'host': 'a.com'}, ports=HTTP, sessionAffinity='ClientIP')
    living = Living(staying, ends('web', '10.0.0.1', '10.0.0.2'))
    (change,) = living.batch(ends('web', '10.0.0.2', '10.0.0.3')).fragments
    assert {each.pin: [group.addresses for group in each.groups] for each in change.new.backends} == {
        '': [('10.0.0.2', '10.0.0.3')],
        '10.0.0.2:8080': [('10.0.0.2',)],
        '10.0.0.3:8080': [('10.0.0.3',)],
    }


def test_nodes_are_read_by_all_services_when_addresses_are_node_ports():
    ports = [{'name': 'http', 'port': 80, 'nodePort': 30080}]
    living = Living(
        service('a', annotations={'host': 'a.example.com'}, ports=ports, type='NodePort'),
        known=settings(address_source='node-ports'),
    )
    living.batch(node())
    assert fragment(living.state, 'a').backends[0].groups == (Group(30080, ('192.0.2.1',)),)
    living.batch(node('n2', addresses=['192.0.2.2']))
    assert fragment(living.state, 'a').backends[0].groups == (Group(30080, ('192.0.2.1', '192.0.2.2')),)
    living.batch(node(ready=False))
    assert fragment(living.state, 'a').backends[0].groups == (Group(30080, ('192.0.2.2',)),)


# --- canaries ---------------------------------------------------------------------------------------------------------


def test_a_canary_target_is_demanded_in_the_namespace_of_its_owner_only():
    stranger = service('next', 'bank', ports=HTTP)
    living = Living(web(**CANARY), stranger)
    assert fragment(living.state, 'next', 'bank') is None
    assert reasons(living.state) == ['NoEndpoints', 'ServiceMissing']
    living.batch(NEXT)
    assert [backend.name for backend in fragment(living.state, 'next').backends] == ['shop_next_http']
    assert fragment(living.state, 'next').claims == ()
    assert fragment(living.state, 'next', 'bank') is None


def test_a_canary_target_that_is_not_demanded_any_more_is_served_no_more():
    living = Living(web(**CANARY), NEXT)
    assert fragment(living.state, 'next') is not None
    living.batch(web())
    assert fragment(living.state, 'next') is None


# --- fragments that HAProxy refuses -----------------------------------------------------------------------------------


def refused(*documents, accepted=None):
    living = Living(*documents)
    living.state.refuse(fragment(living.state), 'line 3: no', accepted)
    living.told.tell(living.state.update(living.store, [ref('web')]))
    return living


def test_a_refused_fragment_is_closed_with_its_diagnostics_and_what_haproxy_said():
    living = refused(web(nonsense='x'), ends('web', '10.0.0.1'))
    left = fragment(living.state)
    assert left.backends == left.data == left.demands == ()
    assert pointer(living.state, Kind.ROUTE, 'web.example.com/').flags == 'X'
    assert reasons(living.state) == ['RefusedByHaproxy', 'UnknownKey']
    assert living.told == model_snapshot.of_state(living.state)


def test_the_host_of_a_refused_fragment_stays_with_its_namespace():
    younger = service('web', 'bank', annotations={'host': 'web.example.com *.example.com'}, created=NEW)
    living = refused(service(annotations={'host': 'web.example.com'}, ports=HTTP, created=OLD), younger)
    assert pointer(living.state, Kind.ROUTE, 'web.example.com/').backend == 'shop_web_http'
    assert pointer(living.state, Kind.ROUTE, 'web.example.com/').flags == 'X'


def test_what_a_refused_fragment_denies_reaches_no_shorter_route_of_its_namespace():
    said = {'host': 'a.com', 'path': '/admin', 'deny': '0.0.0.0/0', 'canary-service': 'next', 'canary-weight': '5'}
    denied = service(annotations=said, ports=HTTP, created=NEW)
    living = refused(denied, NEXT, service('rest', annotations={'host': 'a.com'}, ports=HTTP, created=OLD))
    assert pointer(living.state, Kind.ROUTE, 'a.com/admin/').flags == 'X'
    assert pointer(living.state, Kind.ROUTE, 'a.com/').backend == 'shop_rest_http'


def test_the_form_that_haproxy_accepted_stands_for_a_refused_one_and_follows_its_endpoints():
    before = Living(web(), ends('web', '10.0.0.1'))
    living = refused(web(balance='source'), ends('web', '10.0.0.1'), accepted=fragment(before.state))
    (backend,) = fragment(living.state).backends
    assert (backend.shape.balance, reasons(living.state)) == ('random', ['RefusedByHaproxy'])
    living.batch(ends('web', '10.0.0.2'))
    (backend,) = fragment(living.state).backends
    assert (backend.shape.balance, backend.groups[0].addresses) == ('random', ('10.0.0.2',))
    living.batch(web(balance='leastconn'))
    assert (fragment(living.state).backends[0].shape.balance, reasons(living.state)) == ('leastconn', [])
    living.check()


def test_a_refused_form_that_haproxy_accepted_once_is_no_last_good_form():
    """As when an override of the administrator is at fault."""
    before = Living(web(), ends('web', '10.0.0.1'))
    living = refused(web(), ends('web', '10.0.0.1'), accepted=fragment(before.state))
    assert fragment(living.state).closed


@pytest.mark.parametrize('role', list(Role))
def test_a_refused_object_of_each_role_is_its_own_again_when_it_changes(role):
    node_service = {'clusterIP': '10.96.0.1', 'clusterIPs': ['10.96.0.1']}
    of = [service(annotations={'host': 'a.com', 'proxy': 'node', **said}, ports=HTTP, **node_service)
          for said in ({}, {'retries': '2'})]  # fmt: skip
    living = Living(of[0], role=role)
    own = fragment(living.state)
    living.state.refuse(own, 'no')
    living.state.update(living.store, [ref('web')])
    assert fragment(living.state).closed
    living.batch(of[1])
    assert not fragment(living.state).closed
    assert living.state.last_good() == []


def test_a_fragment_that_waits_for_a_reload_says_so():
    living = Living(web(), ends('web', '10.0.0.1'))
    living.state.delayed = {ref('web'): 'workers of earlier reloads still hold connections'}
    (diagnostic,) = living.state.diagnostics(ref('web'))
    assert (diagnostic.reason, diagnostic.message) == (
        'ReloadDelayed',
        'a change waits for a reload: workers of earlier reloads still hold connections',
    )


@pytest.mark.parametrize(
    'events',
    [
        [ends('web', '10.0.0.2')],
        [ends('web', '10.0.0.2'), ends('web', '10.0.0.3', name='web-2')],
        [SLICE],
        [node()],
    ],
)
def test_endpoints_that_come_and_go_make_no_refused_fragment_good(events):
    living = refused(web(), ends('web', '10.0.0.1'))
    for event in events:
        living.batch(event)
        living.state.update(living.store, [ref('web')])
        assert reasons(living.state) == ['RefusedByHaproxy']
        assert fragment(living.state).backends == ()


def test_a_refused_fragment_is_served_again_when_its_object_becomes_another_one():
    living = refused(web(), ends('web', '10.0.0.1'))
    living.batch(web(balance='source'))
    assert reasons(living.state) == []
    assert len(fragment(living.state).backends) == 1
    living.check()


def test_an_object_that_has_become_another_one_since_haproxy_read_it_is_not_refused():
    living = Living(web(), ends('web', '10.0.0.1'))
    read = fragment(living.state)
    living.batch(web(balance='source'))
    living.state.refuse(read, 'line 3: no')
    assert not living.state.update(living.store, [ref('web')])
    assert reasons(living.state) == []
    living.check()


def test_a_refused_object_that_is_deleted_and_comes_back_is_tried_again():
    living = refused(web(), ends('web', '10.0.0.1'))
    living.batch(ref('web'))
    assert fragment(living.state) is None
    living.batch(web())
    assert reasons(living.state) == []
    living.check()


def test_to_refuse_what_is_not_there_does_nothing():
    living = Living(web(), ends('web', '10.0.0.1'))
    living.state.refuse(replace(fragment(living.state), ref=ref('nobody')), 'no')
    assert not living.state.update(living.store, [ref('nobody'), ref('web')])


# --- names and removal ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('balance', 'leastconn'), ('cookie', 'true'), ('check', 'http'), ('check-path', '/up'), ('retries', '1'),
        ('max-connections', '5'), ('slow-start', '5s'), ('timeout-server', '5s'), ('allow', '10.0.0.0/8'),
        ('deny', 'nonsense'), ('rate-limit', '5/s'), ('maintenance', 'true'), ('tls-secret', 'tls'),
        ('basic-auth-secret', 'users'), ('redirect-to', '/x'), ('rewrite-path', '/x'), ('hsts', '1h'),
        ('request-headers', 'X-A: b'), ('response-headers', 'X-A:'), ('cors-allow-origin', '*'),
        ('max-body-size', '1k'), ('timeout-client', '5s'), ('canary-service', 'next'), ('path', '/x'),
        ('path-type', 'Exact'), ('mode', 'tcp'), ('client-ip', 'none'), ('backend-protocol', 'h2c'),
        ('host.http', 'other.example.com'), ('nonsense', 'x'), ('class', 'other'), ('enabled', 'false'),
    ],
)  # fmt: skip
def test_removing_a_key_restores_an_equal_fragment(key, value):
    bare = service('a', annotations={'host': 'a.example.com'}, ports=HTTP)
    keyed = service('a', annotations={'host': 'a.example.com', key: value}, ports=HTTP)
    living = Living(bare, NEXT, tls_secret(), AUTH, endpoint_slice('a', addresses=['10.0.0.1'], port_name='http'))
    before, pointers = fragment(living.state, 'a'), dict(living.state.pointers())
    assert living.batch(keyed)
    living.check()
    living.batch(bare)
    living.check()
    assert fragment(living.state, 'a') == before
    assert dict(living.state.pointers()) == pointers
    assert fragment(living.state, 'next') is None


def test_another_shape_is_another_backend_under_the_same_service_and_port():
    living = Living(web())
    plain = fragment(living.state).backends[0]
    (change,) = living.batch(web(balance='leastconn')).fragments
    (shaped,) = change.new.backends
    assert plain.name == 'shop_web_http'
    assert shaped.name == f'shop_web_http_{shaped.shape.suffix}'
    assert (plain.service, plain.port) == (shaped.service, shaped.port)
    assert pointer(living.state, Kind.ROUTE, 'web.example.com/').backend == shaped.name


def test_weightless_changes_of_a_server_keep_the_backends_name():
    living = Living(web())
    (change,) = living.batch(web(max_connections='7', slow_start='5s', client_ip='proxy-v2')).fragments
    assert change.new.backends[0].name == 'shop_web_http'


def test_diagnostics_of_an_object_that_has_none_are_empty():
    assert Living().state.diagnostics(ref('web')) == ()


CLUSTER_IP = {'clusterIP': '10.96.0.1', 'clusterIPs': ['10.96.0.1']}
WEB = Ref('Service', 'shop', 'web')


def served(name='http', **said):
    """Return a node's state of a Service that is ours, and of its endpoint."""
    made = service(annotations={'proxy': 'node', **said}, ports=[{'name': name, 'port': 80}], **CLUSTER_IP)
    slices = endpoint_slice(addresses=['10.0.0.1'], port_name=name)
    return Living(made, slices, role=Role.NODE, topology=Topology('n1'))


def kinds(living):
    held = living.state.fragments.get(WEB)
    return {claim.kind for claim in held.claims} if held else set()


def test_a_service_that_goes_back_lingers_without_virtual_addresses_until_that_is_over():
    living = served()
    assert kinds(living) == {Kind.ADDRESS, Kind.VIRTUAL_ADDRESS}
    change = living.batch(service(ports=HTTP, **CLUSTER_IP))
    assert [(item.key[0], item.new is None) for item in change.pointers] == [
        (Kind.ADDRESS, False),
        (Kind.VIRTUAL_ADDRESS, True),
    ]
    assert change.pointers[0].new == replace(change.pointers[0].old, flags='gl')
    assert living.state.draining == {WEB}
    assert reasons(living.state) == []
    # Its endpoints go on changing.
    living.batch(endpoint_slice(addresses=['10.0.0.2'], port_name='http'))
    assert kinds(living) == {Kind.ADDRESS}
    (backend,) = fragment(living.state).backends
    assert [group.addresses for group in backend.groups] == [('10.0.0.2',)]
    # And to have none is kube-proxy's matter.
    living.batch(Ref('EndpointSlice', 'shop', 'web-1'))
    assert reasons(living.state) == []
    living.state.draining.clear()
    living.state.update(living.store, [WEB])
    assert living.state.fragments.keys().isdisjoint({WEB})
    assert living.state.draining == set()


@pytest.mark.parametrize(
    ('after', 'left'),
    [
        pytest.param(
            service(annotations={'proxy': 'node'}, ports=HTTP, **CLUSTER_IP),
            {Kind.ADDRESS, Kind.VIRTUAL_ADDRESS},
            id='ours again',
        ),
        pytest.param(service(ports=HTTP, clusterIP='None'), set(), id='headless'),
        pytest.param(WEB, set(), id='deleted'),
    ],
)
def test_a_service_ceases_to_linger_when_it_becomes(after, left):
    living = served()
    living.batch(service(ports=HTTP, **CLUSTER_IP))
    living.batch(after)
    assert living.state.draining == set()
    assert kinds(living) == left


def test_what_the_kernel_alone_serves_does_not_linger():
    living = served('tcp', **{'client-ip': 'preserve'})
    assert kinds(living) == {Kind.VIRTUAL_ADDRESS}
    living.batch(service(ports=[{'name': 'tcp', 'port': 80}], **CLUSTER_IP))
    assert living.state.draining == set()
    assert WEB not in living.state.fragments


def moved_to_the_kernel():
    """Return a node's state of a Service that HAProxy served, and that the kernel serves now."""
    living = served()
    change = living.batch(service(annotations={'proxy': 'node'}, sessionAffinity='ClientIP', ports=HTTP, **CLUSTER_IP))
    return living, change


def test_a_port_that_moves_to_the_kernel_lingers_in_haproxy_until_that_is_over():
    living, change = moved_to_the_kernel()
    address, virtual_address = change.pointers
    assert address.new == replace(address.old, flags='gl')
    assert (virtual_address.old.datapath, virtual_address.new.datapath) == ('http', 'kernel')
    assert living.state.draining == {WEB}
    living.check()
    living.batch(endpoint_slice(addresses=['10.0.0.2'], port_name='http'))
    assert kinds(living) == {Kind.ADDRESS, Kind.VIRTUAL_ADDRESS}
    (backend,) = fragment(living.state).backends
    assert [group.addresses for group in backend.groups] == [('10.0.0.2',)]
    living.state.draining.clear()
    change = living.state.update(living.store, [WEB])
    assert [(item.key[0], item.new) for item in change.pointers] == [(Kind.ADDRESS, None)]
    assert living.state.draining == set()


def test_a_port_that_moves_back_to_haproxy_ceases_to_linger():
    living, _ = moved_to_the_kernel()
    change = living.batch(service(annotations={'proxy': 'node'}, ports=HTTP, **CLUSTER_IP))
    address, virtual_address = change.pointers
    assert address.old == replace(address.new, flags='gl')
    assert (virtual_address.old.datapath, virtual_address.new.datapath) == ('kernel', 'http')
    assert living.state.draining == set()
    living.check()
