"""What the controller writes for the Gateway API: Services of Gateways with a slot for each port, and statuses."""

import copy
from dataclasses import replace

import pytest

from headrace.controller import gateway_services
from headrace.controller.gateway_services import GatewayPorts
from headrace.controller.gateways import Gateways
from headrace.diagnostics import Diagnostic, StatusPart
from headrace.ir.l4 import UDPBackend, UDPTarget
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve.state import State
from headrace.settings.address_pools import AddressPool
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import build_context, gateway_listeners
from support.gateways import (
    OWN_NAMESPACE,
    backend,
    backend_tls_policy,
    gateway,
    http_route,
    l4_route,
    listener,
    listener_set,
    rule,
    slot_service,
    tcp_route,
)
from support.objects import service

CONTROLLER = 'headrace.io/gateway-controller'
SELECTOR = {'app.kubernetes.io/component': 'edge'}
WEB, ROUTE = Ref('Gateway', 'shop', 'web'), Ref('HTTPRoute', 'shop', 'r')
CONTEXT = replace(
    build_context.make(Settings(gateway_slots=2, gateway_first_slot=28000)),
    api_server=True,
    own_namespace=OWN_NAMESPACE,
)
CLASS = {
    'apiVersion': 'gateway.networking.k8s.io/v1',
    'kind': 'GatewayClass',
    'metadata': {'name': 'headrace', 'generation': 1, 'resourceVersion': '7'},
    'spec': {'controllerName': CONTROLLER},
}


class Cluster:
    """Objects and the controller's model of them; `asked` are the objects that it wants looked at."""

    def __init__(self, *documents, of_agents=(), context=CONTEXT):
        self.store, self.state, self.asked = Store(), State(context), []
        self.gateways = Gateways(self.state, self.store, SELECTOR, self.asked.append, lambda _: of_agents)
        self.put(CLASS, *documents)

    def put(self, *documents):
        """Let the model follow objects, with their statuses."""
        for document in documents:
            self.store.put(parse.read(document, statuses=True).object)
        self._follow()

    def drop(self, ref):
        """Let the model follow that an object is gone."""
        self.store.drop(ref)
        self._follow()

    def _follow(self):
        touched = self.store.take()
        self.gateways.follow(self.state.update(self.store, touched))
        self.gateways.changed(touched | self.store.take_statuses())

    def written(self, document):
        """Return an object as it is once what the controller writes is written."""
        ref = parse.read(document).object.ref
        write = self.gateways.decide(ref)
        after = copy.deepcopy(document)
        after['metadata']['resourceVersion'] = str(int(after['metadata'].get('resourceVersion', '1')) + 1)
        after.setdefault('status', {}).update(write.status if write else {})
        return after


def addressed(name='web', targets=None, address='203.0.113.1'):
    """Return the Service of a Gateway with an address."""
    document = slot_service(name, targets or {80: 28000})
    return {**document, 'status': {'loadBalancer': {'ingress': [{'ip': address}]}}}


def conditions(entry):
    """Return the conditions in a part of a status, as status and reason by type."""
    return {each['type']: (each['status'], each['reason']) for each in entry['conditions']}


def ports(write):
    """Return the target of each port of the Service in a write."""
    return {port['port']: port['targetPort'] for port in write.service['spec']['ports']}


def test_a_gateway_gets_a_service_with_a_slot_for_each_port():
    cluster = Cluster(gateway('web', listener(), listener('more', 8080), listener('same', hostname='a.com')))
    write = cluster.gateways.decide(WEB)
    assert ports(write) == {80: 28000, 8080: 28001}
    assert write.service['spec']['selector'] == SELECTOR
    assert write.service['metadata']['labels']['gateway.networking.k8s.io/gateway-name'] == 'web'
    assert write.service['metadata']['annotations'] == {'headrace.io/enabled': 'false'}


def test_a_port_keeps_its_slot_and_no_two_have_the_same():
    cluster = Cluster(gateway('web', listener('b', 8080)), slot_service('web', {8080: 28001}))
    assert cluster.gateways.decide(WEB).service is None
    cluster.put(gateway('other', listener()))
    # The Service does not show yet, so what was given is remembered.
    assert ports(cluster.gateways.decide(Ref('Gateway', 'shop', 'other'))) == {80: 28000}
    cluster.put(gateway('third', listener()))
    write = cluster.gateways.decide(Ref('Gateway', 'shop', 'third'))
    assert write.service is None
    assert conditions(write.status)['Programmed'] == ('False', 'AddressNotAssigned')
    cluster.drop(WEB)
    assert cluster.gateways.decide(WEB).removed == gateway_listeners.service_of(WEB, CONTEXT)
    cluster.drop(gateway_listeners.service_of(WEB, CONTEXT))
    assert ports(cluster.gateways.decide(Ref('Gateway', 'shop', 'third'))) == {80: 28001}


def test_gateways_of_a_namespace_leave_slots_to_others():
    limited = Settings(gateway_slots=4, gateway_first_slot=28000, max_gateway_ports_per_namespace=2)
    names = ('web', 'second', 'third')
    cluster = Cluster(*(gateway(name, listener()) for name in names), context=replace(CONTEXT, settings=limited))
    given = [cluster.gateways.decide(Ref('Gateway', 'shop', name)).service for name in names]
    assert [service is not None for service in given] == [True, True, False]
    cluster.put(gateway('theirs', listener(), namespace='bank'))
    assert cluster.gateways.decide(Ref('Gateway', 'bank', 'theirs')).service is not None


def test_a_gateway_of_another_class_loses_its_service_and_gets_no_status():
    cluster = Cluster(gateway('web', class_name='other'))
    assert cluster.gateways.decide(WEB) is None
    cluster = Cluster(gateway('web', class_name='other'), slot_service('web', {80: 28000}))
    write = cluster.gateways.decide(WEB)
    assert (write.removed, write.status) == (gateway_listeners.service_of(WEB, CONTEXT), {})


def test_a_gateway_is_programmed_once_its_service_has_an_address():
    cluster = Cluster(gateway(), slot_service('web', {80: 28000}))
    assert conditions(cluster.gateways.decide(WEB).status) == {
        'Accepted': ('True', 'Accepted'),
        'Programmed': ('False', 'AddressNotAssigned'),
        'ResolvedRefs': ('True', 'ResolvedRefs'),
    }
    cluster.put(addressed())
    assert WEB in cluster.asked
    status = cluster.gateways.decide(WEB).status
    assert status['addresses'] == [{'type': 'IPAddress', 'value': '203.0.113.1'}]
    assert conditions(status)['Programmed'] == ('True', 'Programmed')
    assert conditions(status['listeners'][0]) == {
        'Accepted': ('True', 'Accepted'),
        'Conflicted': ('False', 'NoConflicts'),
        'Programmed': ('True', 'Programmed'),
        'ResolvedRefs': ('True', 'ResolvedRefs'),
    }


@pytest.mark.parametrize(
    ('form', 'is_rewritten'), [('1', False), ('2', True)], ids=['of the known form', 'of a newer version']
)
def test_a_service_of_a_newer_form_is_no_record_of_slots_and_is_written_anew(form, is_rewritten):
    shown = addressed(targets={80: 28001})
    shown['metadata']['labels'] = {'headrace.io/form': form}
    write = Cluster(gateway(), shown).gateways.decide(WEB)
    assert (write.service is not None) is is_rewritten
    programmed = conditions(write.status['listeners'][0])['Programmed']
    assert programmed == (('False', 'Pending') if is_rewritten else ('True', 'Programmed'))
    if is_rewritten:
        assert ports(write) == {80: 28000}
        assert write.service['metadata']['labels']['headrace.io/form'] == '1'


def test_a_gateway_that_lets_clients_in_without_a_valid_certificate_says_so():
    reference = {'group': '', 'kind': 'ConfigMap', 'name': 'ca'}
    validation = {'mode': 'AllowInsecureFallback', 'caCertificateRefs': [reference]}
    document = gateway()
    document['spec']['tls'] = {'frontend': {'default': {'validation': validation}}}
    status = Cluster(document).gateways.decide(WEB).status
    assert conditions(status)['InsecureFrontendValidationMode'] == ('True', 'ConfigurationChanged')
    # Without it the condition goes.
    cluster = Cluster({**gateway('web'), 'status': status})
    assert 'InsecureFrontendValidationMode' not in conditions(cluster.gateways.decide(WEB).status)


def test_attached_routes_are_counted_as_they_come_and_go():
    cluster = Cluster(gateway(), addressed(), service('one', ports=[{'port': 80}]))
    for number in range(3):
        cluster.put(http_route(f'r{number}', rule('one')))
        assert cluster.asked.pop() == WEB
    cluster.put(http_route('elsewhere', rule('one'), parents=[{'name': 'web', 'sectionName': 'none'}]))
    assert cluster.gateways.decide(WEB).status['listeners'][0]['attachedRoutes'] == 3
    cluster.drop(Ref('HTTPRoute', 'shop', 'r1'))
    assert cluster.gateways.decide(WEB).status['listeners'][0]['attachedRoutes'] == 2


@pytest.mark.parametrize(
    ('made', 'wanted'),
    [
        pytest.param({}, {'Accepted': ('True', 'Accepted'), 'ResolvedRefs': ('True', 'ResolvedRefs')}, id='in order'),
        pytest.param({'backend': 'absent'}, {'ResolvedRefs': ('False', 'BackendNotFound')}, id='no backend'),
        pytest.param(
            {'backend': {'name': 'one', 'namespace': 'other', 'port': 80}},
            {'ResolvedRefs': ('False', 'RefNotPermitted')},
            id='no grant',
        ),
        pytest.param(
            {'backend': {'name': 'one', 'kind': 'Pod'}}, {'ResolvedRefs': ('False', 'InvalidKind')}, id='kind'
        ),
        pytest.param({'section': 'none'}, {'Accepted': ('False', 'NoMatchingParent')}, id='no such listener'),
        pytest.param(
            {'hostnames': ['b.com'], 'section': 'named'},
            {'Accepted': ('False', 'NoMatchingListenerHostname')},
            id='no common host',
        ),
        pytest.param({'namespace': 'other'}, {'Accepted': ('False', 'NotAllowedByListeners')}, id='another namespace'),
    ],
)
def test_a_route_shows_for_its_parent_whether_it_is_attached_and_its_references_are_good(made, wanted):
    parent = {'name': 'web', 'namespace': 'shop', **({'sectionName': made['section']} if 'section' in made else {})}
    namespace = made.get('namespace', 'shop')
    route = http_route(
        'r',
        rule(made.get('backend', 'one')),
        hostnames=made.get('hostnames', ()),
        parents=[parent],
        namespace=namespace,
        generation=4,
    )
    cluster = Cluster(
        gateway('web', listener(), listener('named', hostname='a.com')),
        addressed(),
        service('one', ports=[{'port': 80}]),
        service('one', 'other', ports=[{'port': 80}]),
        route,
    )
    (entry,) = cluster.gateways.decide(Ref('HTTPRoute', namespace, 'r')).status['parents']
    assert entry['controllerName'] == CONTROLLER
    assert entry['parentRef'] == {'group': 'gateway.networking.k8s.io', 'kind': 'Gateway', **parent}
    assert conditions(entry).items() >= wanted.items()
    assert {each['observedGeneration'] for each in entry['conditions']} == {4}


def test_a_route_that_waits_for_an_older_one_is_accepted_and_says_so():
    younger = tcp_route('younger', 'one', created='2025-01-01T00:00:00Z')
    slot = CONTEXT.slots['TCP'][0]
    cluster = Cluster(
        gateway('web', listener('tcp', 9000, 'TCP')),
        addressed(targets={9000: slot}),
        service('one', ports=[{'port': 80}]),
        tcp_route('older', 'one'),
        younger,
    )
    (entry,) = cluster.gateways.decide(Ref('TCPRoute', 'shop', 'younger')).status['parents']
    assert conditions(entry)['Accepted'] == ('True', 'Accepted')
    assert 'TCPRoute shop/older' in entry['conditions'][0]['message']
    assert cluster.gateways.decide(WEB).status['listeners'][0]['attachedRoutes'] == 2


def test_a_route_that_is_closed_shows_why():
    context = replace(CONTEXT, settings=Settings(gateway_slots=2, gateway_first_slot=28000, max_routes_per_object=1))
    many = http_route('r', rule('one', path='/a'), rule('one', path='/b'))
    cluster = Cluster(gateway(), addressed(), service('one', ports=[{'port': 80}]), many, context=context)
    (entry,) = cluster.gateways.decide(ROUTE).status['parents']
    assert conditions(entry)['Accepted'] == ('False', 'BudgetExceeded')
    assert cluster.gateways.decide(WEB).status['listeners'][0]['attachedRoutes'] == 1


def udp(*documents):
    """Return a cluster with a Gateway of one port for UDP and TCP, and a Service for each."""
    shown = slot_service('web', {53: CONTEXT.slots['TCP'][0]})
    shown['spec']['ports'].append({'name': 'u53', 'port': 53, 'protocol': 'UDP', 'targetPort': 'headrace-udp'})
    return Cluster(
        gateway('web', listener('udp', 53, 'UDP'), listener('tcp', 53, 'TCP')),
        {**shown, 'status': {'loadBalancer': {'ingress': [{'ip': '203.0.113.1'}]}}},
        *(service(name, ports=[{'port': 53, 'protocol': 'UDP', 'name': 'dns'}]) for name in ('one', 'two')),
        *documents,
    )


def to(*names):
    """Return the target of the UDP port 53."""
    return UDPTarget(WEB, 53, tuple(UDPBackend(Ref('Service', 'shop', name), 'dns') for name in names))


NODES = replace(CONTEXT, settings=Settings(gateway_slots=2, gateway_first_slot=28000, node_role=True))
TAKEN_OVER = {'service.kubernetes.io/service-proxy-name': 'headrace'}


def weighted(*documents, context=NODES, labels=None, listeners=(), **annotations):
    """Return a cluster with a Gateway for UDP, a route with weights and the Service of the Gateway."""
    shown = slot_service('web', {})
    shown['metadata'] |= {'labels': labels or {}, 'annotations': {'headrace.io/enabled': 'false', **annotations}}
    shown['spec']['ports'] = [{'name': 'u53', 'port': 53, 'protocol': 'UDP', 'targetPort': 'headrace-udp'}]
    return Cluster(
        gateway('web', listener('udp', 53, 'UDP'), *listeners),
        {**shown, 'status': {'loadBalancer': {'ingress': [{'ip': '203.0.113.1'}]}}},
        *(service(name, ports=[{'port': 53, 'protocol': 'UDP', 'name': 'dns'}]) for name in ('one', 'two')),
        *(documents or [l4_route('UDPRoute', 'r', backend('one', 7, port=53), backend('two', 3, port=53))]),
        context=context,
    )


def test_a_service_for_udp_with_weights_is_left_to_the_node_role_which_keeps_them():
    made = weighted().gateways.decide(WEB).service
    assert made['metadata']['annotations'] == {
        'headrace.io/enabled': 'false',
        'headrace.io/proxy': 'node',
        'headrace.io/class': 'headrace',
    }
    assert weighted(**{'headrace.io/proxy': 'node'}).gateways.decide(WEB).service is None


@pytest.mark.parametrize(
    'cluster',
    [
        pytest.param({'context': CONTEXT}, id='no node role'),
        pytest.param({'listeners': [listener('http', 80)]}, id='a port of the edge'),
    ],
)
def test_a_service_stays_kube_proxys_where_the_node_role_cannot_have_it(cluster):
    found = weighted(**cluster)
    made = found.gateways.decide(WEB).service
    assert made is None or 'headrace.io/proxy' not in made['metadata']['annotations']
    (entry,) = found.gateways.decide(Ref('UDPRoute', 'shop', 'r')).status['parents']
    assert 'weights are not kept' in entry['conditions'][0]['message']


def test_a_service_goes_back_to_kube_proxy_when_weights_are_equal():
    equal = l4_route('UDPRoute', 'r', backend('one', 3, port=53), backend('two', 3, port=53))
    cluster = weighted(**{'headrace.io/proxy': 'node'})
    cluster.asked.clear()
    cluster.put(equal)
    assert WEB in cluster.asked
    assert 'headrace.io/proxy' not in cluster.gateways.decide(WEB).service['metadata']['annotations']


def test_weights_are_kept_once_kube_proxy_has_left_the_service():
    cluster = weighted(labels=TAKEN_OVER, **{'headrace.io/proxy': 'node'})
    (entry,) = cluster.gateways.decide(Ref('UDPRoute', 'shop', 'r')).status['parents']
    assert entry['conditions'][0]['message'] == 'the route is attached'


def test_a_udp_port_leads_past_the_edge():
    made = Cluster(gateway('web', listener('udp', 53, 'UDP'), listener('tcp', 53, 'TCP')))
    assert made.gateways.decide(WEB).service['spec']['ports'] == [
        {'name': 'p53', 'port': 53, 'targetPort': CONTEXT.slots['TCP'][0], 'protocol': 'TCP'},
        {'name': 'u53', 'port': 53, 'targetPort': 'headrace-udp', 'protocol': 'UDP'},
    ]
    write = udp().gateways.decide(WEB)
    assert write.service is None
    assert [conditions(each)['Programmed'][0] for each in write.status['listeners']] == ['True', 'True']


def test_a_udp_port_of_a_listener_set_leads_past_the_edge():
    extra = listener_set('extra', listener('udp', 53, 'UDP'))
    cluster = Cluster(gateway('web', admits='Same'), extra)
    assert ports(cluster.gateways.decide(WEB)) == {80: 28000, 53: 'headrace-udp'}
    shown = slot_service('web', {80: 28000})
    shown['spec']['ports'].append({'name': 'u53', 'port': 53, 'protocol': 'UDP', 'targetPort': 'headrace-udp'})
    parent = {'kind': 'ListenerSet', 'name': 'extra'}
    route = l4_route('UDPRoute', 'r', backend('one', port=53))
    route['spec']['parentRefs'] = [parent]
    cluster.put(shown, service('one', ports=[{'port': 53, 'protocol': 'UDP', 'name': 'dns'}]), route)
    assert list(cluster.gateways.udp_targets().values()) == [{53: to('one')}]


def test_of_several_udp_routes_the_oldest_one_has_the_port():
    older = l4_route('UDPRoute', 'older', backend('one', port=53))
    younger = l4_route('UDPRoute', 'younger', backend('two', port=53), created='2025-01-01T00:00:00Z')
    cluster = udp(older, younger)
    assert cluster.gateways.udp_targets() == {gateway_listeners.service_of(WEB, CONTEXT): {53: to('one')}}
    (entry,) = cluster.gateways.decide(Ref('UDPRoute', 'shop', 'younger')).status['parents']
    assert conditions(entry)['Accepted'] == ('True', 'Accepted')
    assert 'UDPRoute shop/older' in entry['conditions'][0]['message']
    assert cluster.gateways.decide(WEB).status['listeners'][0]['attachedRoutes'] == 2


def test_a_udp_route_says_that_weights_are_not_kept_and_which_backends_are_none():
    weighted = l4_route('UDPRoute', 'r', backend('one', 7, port=53), backend('two', 3, port=53), backend('no', 0))
    (entry,) = udp(weighted).gateways.decide(Ref('UDPRoute', 'shop', 'r')).status['parents']
    assert conditions(entry) == {'Accepted': ('True', 'Accepted'), 'ResolvedRefs': ('False', 'BackendNotFound')}
    assert 'weights are not kept' in entry['conditions'][0]['message']


def test_a_udp_route_with_a_backend_that_cannot_be_read_leads_to_the_others():
    cluster = udp(l4_route('UDPRoute', 'r', {'port': 53}, backend('one', port=53)))
    (targets,) = cluster.gateways.udp_targets().values()
    assert targets[53] == to('one')


def test_a_udp_route_of_no_gateway_of_this_class_leads_nowhere():
    cluster = udp(l4_route('UDPRoute', 'r', backend('one', port=53), gateway='absent'))
    assert cluster.gateways.udp_targets() == {}
    assert cluster.gateways.decide(Ref('UDPRoute', 'shop', 'r')) is None


def test_entries_of_other_controllers_stay_and_what_is_there_is_not_written_again():
    foreign = {'parentRef': {'name': 'theirs'}, 'controllerName': 'example.com/other', 'conditions': []}
    route = {**http_route('r', rule('one')), 'status': {'parents': [foreign]}}
    cluster = Cluster(gateway(), addressed(), service('one', ports=[{'port': 80}]), route)
    after = cluster.written(route)
    assert after['status']['parents'][0] == foreign
    assert len(after['status']['parents']) == 2
    cluster.put(after)
    assert cluster.gateways.decide(ROUTE) is None
    # A route that leaves loses what this class has written, and nothing else.
    gone = copy.deepcopy(after)
    gone['spec']['parentRefs'] = [{'name': 'theirs'}]
    cluster.put(gone)
    assert cluster.gateways.decide(ROUTE).status == {'parents': [foreign]}


def test_a_route_without_a_parent_of_this_class_is_left_alone():
    route = http_route('r', rule('one'), parents=[{'name': 'theirs'}])
    assert Cluster(gateway('theirs', class_name='other'), route).gateways.decide(ROUTE) is None


def test_a_transition_keeps_its_time_while_the_status_is_the_same():
    route = http_route('r', rule('one'))
    cluster = Cluster(gateway(), addressed(), service('one', ports=[{'port': 80}]), route)
    after = cluster.written(route)
    for entry in after['status']['parents'][0]['conditions']:
        entry['lastTransitionTime'] = '2020-01-01T00:00:00Z'
    after['spec']['rules'][0]['backendRefs'][0]['name'] = 'absent'
    after['metadata']['generation'] = 2
    cluster.put(after)
    (entry,) = cluster.gateways.decide(ROUTE).status['parents']
    times = {each['type']: each['lastTransitionTime'] for each in entry['conditions']}
    assert times['Accepted'] == '2020-01-01T00:00:00Z'
    assert times['ResolvedRefs'] > '2025'


def test_a_class_of_ours_is_accepted_and_names_its_features():
    write = Cluster().gateways.decide(Ref('GatewayClass', '', 'headrace'))
    assert (write.version, conditions(write.status)) == ('7', {'Accepted': ('True', 'Accepted')})
    names = [each['name'] for each in write.status['supportedFeatures']]
    assert names == sorted(names)
    assert {'Gateway', 'HTTPRoute', 'ReferenceGrant'} <= set(names)
    assert 'UDPRoute' not in names


def test_a_class_with_the_node_role_supports_udp_routes():
    write = Cluster(context=NODES).gateways.decide(Ref('GatewayClass', '', 'headrace'))
    assert 'UDPRoute' in [each['name'] for each in write.status['supportedFeatures']]


def asking(*addresses):
    """Return a Gateway that asks for addresses."""
    document = gateway()
    document['spec']['addresses'] = list(addresses)
    return document


def answered(asked, address=None):
    """Return the Service of a Gateway that asks for an address and has one, if any."""
    document = addressed(address=address) if address else slot_service('web', {80: 28000})
    document['spec']['loadBalancerIP'] = asked
    return document


def test_the_service_of_a_gateway_asks_for_its_address():
    cluster = Cluster(asking({'value': '203.0.113.9'}), addressed())
    write = cluster.gateways.decide(WEB)
    assert write.service['spec']['loadBalancerIP'] == '203.0.113.9'
    assert conditions(write.status)['Programmed'] == ('False', 'AddressNotUsable')
    cluster.put(answered('203.0.113.9', '203.0.113.9'))
    write = cluster.gateways.decide(WEB)
    assert (write.service, conditions(write.status)['Programmed']) == (None, ('True', 'Programmed'))
    cluster.put(gateway())
    assert 'loadBalancerIP' not in cluster.gateways.decide(WEB).service['spec']


@pytest.mark.parametrize('value', [{}, {'value': ''}])
def test_an_address_can_be_left_open(value):
    cluster = Cluster(asking({'type': 'IPAddress', **value}), addressed())
    write = cluster.gateways.decide(WEB)
    assert (write.service, conditions(write.status)['Programmed']) == (None, ('True', 'Programmed'))


def test_one_address_can_be_had():
    cluster = Cluster(
        asking({'value': '203.0.113.9'}, {'value': '203.0.113.10'}), answered('203.0.113.9', '203.0.113.9')
    )
    (message,) = (
        each['message'] for each in cluster.gateways.decide(WEB).status['conditions'] if each['type'] == 'Programmed'
    )
    assert message == 'the Service of the Gateway does not get the address 203.0.113.10'


@pytest.mark.parametrize(
    ('spec', 'reason'),
    [
        ({'addresses': [{'type': 'Hostname', 'value': 'a.com'}]}, 'UnsupportedAddress'),
        ({'infrastructure': {'parametersRef': {'group': 'x.io', 'kind': 'X', 'name': 'x'}}}, 'InvalidParameters'),
    ],
)
def test_a_gateway_that_asks_for_what_it_cannot_have_is_not_accepted_and_gets_no_service(spec, reason):
    document = gateway()
    document['spec'].update(spec)
    write = Cluster(document).gateways.decide(WEB)
    assert write.service is None
    assert conditions(write.status) == {
        'Accepted': ('False', reason),
        'Programmed': ('False', 'Invalid'),
        'ResolvedRefs': ('True', 'ResolvedRefs'),
    }


SET = Ref('ListenerSet', 'shop', 'extra')


def test_ports_of_admitted_listener_sets_are_in_the_service_of_their_gateway():
    cluster = Cluster(
        gateway('web', listener(), admits='Same'),
        listener_set('extra', listener('a', 8080)),
        listener_set('foreign', listener('a', 9090), parent={'name': 'web', 'namespace': 'shop'}, namespace='other'),
    )
    assert ports(cluster.gateways.decide(WEB)) == {80: 28000, 8080: 28001}
    cluster.asked.clear()
    cluster.drop(SET)
    assert WEB in cluster.asked
    assert ports(cluster.gateways.decide(WEB)) == {80: 28000}


def test_a_listener_set_gets_the_conditions_of_its_listeners_and_its_gateway_their_number():
    documents = [
        gateway('web', listener(hostname='w.com'), admits='Same'),
        listener_set('extra', listener('a', 8080, hostname='a.com'), listener('b', hostname='w.com')),
        http_route('r', rule('one'), hostnames=['a.com'], parents=[{'kind': 'ListenerSet', 'name': 'extra'}]),
    ]
    cluster = Cluster(*documents, addressed(targets={80: 28000, 8080: 28001}))
    after = cluster.written(documents[1])
    assert conditions(after['status']) == {
        'Accepted': ('True', 'ListenersNotValid'),
        'Programmed': ('True', 'Programmed'),
    }
    first, second = after['status']['listeners']
    assert (first['name'], first['attachedRoutes']) == ('a', 1)
    assert conditions(first)['Programmed'] == ('True', 'Programmed')
    assert conditions(second)['Conflicted'] == ('True', 'HostnameConflict')
    assert cluster.written(documents[0])['status']['attachedListenerSets'] == 1
    cluster.put(after)
    assert cluster.gateways.decide(SET) is None


def test_a_listener_set_that_is_not_admitted_says_so():
    documents = [gateway('web'), listener_set('extra', listener('a', 8080))]
    status = Cluster(*documents).written(documents[1])['status']
    assert conditions(status) == {'Accepted': ('False', 'NotAllowed'), 'Programmed': ('False', 'NotAllowed')}
    assert Cluster(gateway('web', class_name='else'), documents[1]).gateways.decide(SET) is None
    assert Cluster().gateways.decide(SET) is None


def test_a_listener_set_waits_for_its_port():
    documents = [gateway('web', admits='Same'), listener_set('extra', listener('a', 8080))]
    status = Cluster(*documents).written(documents[1])['status']
    assert conditions(status) == {'Accepted': ('True', 'Accepted'), 'Programmed': ('False', 'Pending')}


POLICY = Ref('BackendTLSPolicy', 'shop', 'policy')


def test_a_policy_gets_conditions_for_each_gateway_that_leads_to_its_targets():
    policy = backend_tls_policy('policy', 'one', system=True)
    foreign = {'ancestorRef': {'name': 'x'}, 'controllerName': 'other', 'conditions': []}
    policy['status'] = {'ancestors': [foreign]}
    cluster = Cluster(
        gateway('web', listener(), admits='Same'),
        listener_set('extra', listener('a', 8080)),
        http_route('r', rule('one'), parents=[{'name': 'web'}, {'kind': 'ListenerSet', 'name': 'extra'}]),
        service('one', ports=[{'name': 'http', 'port': 80}]),
        policy,
    )
    assert POLICY in cluster.asked
    after = cluster.written(policy)
    other, own = after['status']['ancestors']
    assert other == foreign
    assert (own['ancestorRef']['name'], own['controllerName']) == ('web', CONTROLLER)
    assert conditions(own) == {'Accepted': ('True', 'Accepted'), 'ResolvedRefs': ('True', 'ResolvedRefs')}
    cluster.put(after)
    assert cluster.gateways.decide(POLICY) is None
    cluster.drop(ROUTE)
    assert cluster.written(after)['status']['ancestors'] == [foreign]
    cluster.drop(POLICY)
    assert cluster.gateways.decide(POLICY) is None


@pytest.mark.parametrize(
    ('said', 'told', 'expected'),
    [
        ({'authorities': [{'group': 'a.io', 'kind': 'Thing', 'name': 'x'}]}, ['NoValidCACertificate'], {'Accepted': ('False', 'NoValidCACertificate'), 'ResolvedRefs': ('False', 'InvalidKind')}),
        ({'system': True, 'created': '2030-01-01T00:00:00Z'}, [], {'Accepted': ('False', 'Conflicted'), 'ResolvedRefs': ('True', 'ResolvedRefs')}),
    ],
)  # fmt: skip
def test_a_policy_that_is_not_kept_says_why(said, told, expected):
    policy = backend_tls_policy('policy', 'one', **said)
    cluster = Cluster(
        gateway(),
        http_route('r', rule('one')),
        service('one', ports=[{'name': 'http', 'port': 80}]),
        backend_tls_policy('rival', 'one', system=True, created='2025-01-01T00:00:00Z'),
        policy,
        of_agents=[Diagnostic(POLICY, reason, 'as an agent says') for reason in told],
    )
    (own,) = cluster.written(policy)['status']['ancestors']
    assert conditions(own) == expected


def test_what_agents_alone_know_of_certificates_is_theirs_to_tell():
    wrong = Diagnostic(WEB, 'InvalidCertificateRef', 'no certificate', 'spec.listeners[0]', StatusPart(section='https'))
    document = gateway('web', listener('https', 443, 'HTTPS', tls={'certificateRefs': [{'name': 'x'}]}))
    for of_agents, expected in (((), ('True', 'ResolvedRefs')), ((wrong,), ('False', 'InvalidCertificateRef'))):
        cluster = Cluster(document, addressed(targets={443: 28002}), of_agents=of_agents)
        status = cluster.written(document)['status']
        (entry,) = status['listeners']
        assert conditions(entry)['ResolvedRefs'] == expected
        assert conditions(entry)['Programmed'][0] == expected[0]
        of_whole = ('False', 'ListenersNotResolved') if of_agents else expected
        assert conditions(status)['ResolvedRefs'] == of_whole


@pytest.mark.parametrize('reason', ['InvalidClientCertificateRef', 'RefNotPermitted'])
def test_a_certificate_for_endpoints_that_cannot_be_used_leaves_the_gateway_programmed(reason):
    reference = {'name': 'client', **({'namespace': 'safe'} if reason == 'RefNotPermitted' else {})}
    document = gateway('web', spec={'tls': {'backend': {'clientCertificateRef': reference}}})
    wrong = Diagnostic(WEB, reason, 'as an agent says', 'spec.tls.backend.clientCertificateRef')
    cluster = Cluster(document, addressed(), of_agents=(wrong,) if reason == 'InvalidClientCertificateRef' else ())
    assert conditions(cluster.written(document)['status']) == {
        'Accepted': ('True', 'Accepted'),
        'Programmed': ('True', 'Programmed'),
        'ResolvedRefs': ('False', reason),
    }


def test_the_service_gets_the_annotations_that_the_class_lists():
    document = gateway()
    document['spec']['infrastructure'] = {
        'annotations': {'metallb.io/address-pool': 'a', 'cloud.example.com/paid': 'yes', 'headrace.io/enabled': 'true'},
        'labels': {'team': 'a', 'app.kubernetes.io/name': 'x'},
    }
    settings = Settings(gateway_service_annotations=('metallb.io/address-pool', 'headrace.io/enabled'))
    found = gateway_services.document(
        parse.read(document).object, GatewayPorts({80: 28000}), SELECTOR, replace(CONTEXT, settings=settings)
    )
    assert found['metadata']['annotations'] == {'metallb.io/address-pool': 'a', 'headrace.io/enabled': 'false'}
    assert found['metadata']['labels'].items() >= {('team', 'a')}
    assert 'app.kubernetes.io/name' not in found['metadata']['labels']


POOLS = Settings(address_pools=(AddressPool(name='public', addresses=('192.0.2.0/24', '2001:db8::/120')),))
IN_POOLS = replace(CONTEXT, settings=POOLS)


def service_in_pools(spec=(), **annotations):
    document = gateway(spec=spec)
    document['metadata']['annotations'] = {f'headrace.io/{key}': value for key, value in annotations.items()}
    made = parse.read(document).object
    ports = GatewayPorts({80: 28000})
    return made, ports, gateway_services.document(made, ports, SELECTOR, IN_POOLS)


def test_with_pools_the_service_asks_them_for_the_addresses_of_the_gateway():
    asked = {'addresses': [{'type': 'IPAddress', 'value': each} for each in ('192.0.2.7', '2001:db8::7')]}
    _, _, found = service_in_pools(asked, **{'address-pool': 'public', 'allow': '10.0.0.0/8'})
    assert found['metadata']['annotations'] == {
        'headrace.io/enabled': 'false',
        'headrace.io/address': '192.0.2.7 2001:db8::7',
        'headrace.io/address-pool': 'public',
    }
    spec = {key: found['spec'].get(key) for key in ('loadBalancerClass', 'ipFamilyPolicy', 'loadBalancerIP')}
    assert spec == {
        'loadBalancerClass': 'headrace.io/headrace', 'ipFamilyPolicy': 'PreferDualStack', 'loadBalancerIP': None,
    }  # fmt: skip


def test_the_service_of_a_gateway_is_made_anew_when_pools_come_and_go():
    made, ports, document = service_in_pools()
    in_pools = parse.read(document).object
    without = parse.read(gateway_services.document(made, ports, SELECTOR, CONTEXT)).object
    assert gateway_services.is_current(in_pools, made, ports, IN_POOLS)
    assert not gateway_services.has_other_class(in_pools, IN_POOLS)
    assert gateway_services.has_other_class(in_pools, CONTEXT)
    assert gateway_services.has_other_class(without, IN_POOLS)
    assert not gateway_services.has_other_class(None, IN_POOLS)


def test_a_gateway_that_asks_for_another_address_has_its_service_changed():
    made, ports, document = service_in_pools({'addresses': [{'value': '192.0.2.7'}]})
    shown = parse.read(document).object
    assert gateway_services.is_current(shown, made, ports, IN_POOLS)
    other, *_ = service_in_pools({'addresses': [{'value': '192.0.2.8'}]})
    assert not gateway_services.is_current(shown, other, ports, IN_POOLS)
    assert not gateway_services.is_current(shown, service_in_pools(**{'address-pool': 'x'})[0], ports, IN_POOLS)
