"""Which addresses get into `status.loadBalancer`, of which Services, and when they leave it."""

import pytest

from headrace import store
from headrace.controller import addresses
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve import state
from headrace.settings.settings import Secrets, Settings
from headrace.translate import build_context
from support.objects import node, service

HTTP = [{'name': 'http', 'port': 80}]
VIP = '192.0.2.10'
OURS = {'type': 'LoadBalancer', 'loadBalancerClass': 'headrace.io/headrace'}


class Cluster:
    """A store, and the controller's model of it."""

    def __init__(self, *documents, **settings):
        given = {'status_addresses': (VIP,), 'domain': 'example.com', 'secrets': Secrets(), **settings}
        self.store = store.Store()
        self.state = state.State(build_context.make(Settings(**given)))
        for document in documents:
            self.store.put(parse.read(document, statuses=True).object)
        self.state.update(self.store, self.store.take())

    def published(self):
        return addresses.edge_addresses_of(self.state.context.settings, self.store)

    def _service(self, name):
        (found,) = [item for item in self.store.objects() if item.ref.kind == 'Service' and item.name == name]
        return found

    def speaks_of(self, name='web'):
        return addresses.speaks_of(self._service(name), self.state)

    def wanted(self, name='web'):
        return addresses.desired(self._service(name).ref, self.state, self.published())


def balanced(*ingress, name='edge', namespace='headrace'):
    return {**service(name, namespace, type='LoadBalancer'), 'status': {'loadBalancer': {'ingress': list(ingress)}}}


@pytest.mark.parametrize(
    ('said', 'documents', 'expected'),
    [
        pytest.param((), [], (), id='nothing'),
        pytest.param((VIP, 'fd00::1'), [], ((VIP, ''), ('fd00::1', '')), id='addresses'),
        pytest.param(('lb.example.com',), [], (('', 'lb.example.com'),), id='a host name'),
        pytest.param((VIP, VIP), [], ((VIP, ''),), id='the same twice'),
        pytest.param(('service:headrace/edge',), [], (), id='a Service that is not there'),
        pytest.param(('service:headrace/edge',), [balanced({'ip': '192.0.2.2'}, {'hostname': 'a.example.com'})], (('', 'a.example.com'), ('192.0.2.2', '')), id='those of a Service'),
        pytest.param(('service:headrace/edge',), [balanced({'ip': '192.0.2.2', 'hostname': 'a.example.com'})], (('192.0.2.2', ''),), id='of an entry with both the address'),
        pytest.param(('service:headrace/edge',), [balanced({'ports': []})], (), id='an entry with neither'),
        pytest.param(('service:headrace/edge',), [balanced(namespace='shop')], (), id='a Service of another namespace'),
        pytest.param(('nodes',), [node('n1', addresses=['192.0.2.3', 'fd00::3']), node('n2', addresses=['192.0.2.4']), node('n3', addresses=['192.0.2.5'], ready=False)], (('192.0.2.3', ''), ('192.0.2.4', ''), ('fd00::3', '')), id='those of the usable Nodes'),
    ],
)  # fmt: skip
def test_what_is_published_is_what_the_settings_name(said, documents, expected):
    assert Cluster(*documents, status_addresses=said).published() == expected


@pytest.mark.parametrize(
    ('spec', 'annotations', 'settings', 'expected'),
    [
        pytest.param(OURS, {}, {}, True, id='of our class'),
        pytest.param(OURS, {}, {'status_addresses': ()}, False, id='nothing is published'),
        pytest.param({}, {'host': 'a.example.com'}, {}, False, id='no load balancer'),
        pytest.param({'type': 'LoadBalancer'}, {}, {}, False, id='without a class, and we are not the default'),
        pytest.param({'type': 'LoadBalancer'}, {}, {'default_class': True}, True, id='without a class, and we are the default'),
        pytest.param({**OURS, 'loadBalancerClass': 'headrace.io/other'}, {}, {}, False, id='of another class of headrace'),
        pytest.param(OURS, {'class': 'other'}, {}, False, id='given to another class by its annotation'),
        pytest.param({**OURS, 'loadBalancerClass': 'metallb.io/l2'}, {'host': 'a.example.com'}, {'default_class': True}, False, id="another load balancer's, which is served here too"),
        pytest.param({**OURS, 'loadBalancerClass': 'metallb.io/l2'}, {'class': 'headrace', 'host': 'a.example.com'}, {}, False, id="another load balancer's, given to us by its annotation"),
    ],
)  # fmt: skip
def test_only_services_of_our_loadbalancerclass_are_spoken_of(spec, annotations, settings, expected):
    cluster = Cluster(service(ports=HTTP, annotations=annotations, **spec), **settings)
    assert cluster.speaks_of() is expected


def test_a_service_that_is_served_gets_the_addresses():
    assert Cluster(service(ports=HTTP, **OURS)).wanted() == ((VIP, ''),)


@pytest.mark.parametrize(
    'annotations',
    [{'enabled': 'false'}, {'host': 'a.example.com', 'mode': 'tcp'}],
    ids=['switched off', 'a diagnostic'],
)
def test_a_service_of_which_nothing_is_at_the_edge_gets_none(annotations):
    cluster = Cluster(service(ports=HTTP, annotations=annotations, **OURS))
    assert (cluster.speaks_of(), cluster.wanted()) == (True, ())


def test_a_service_that_lost_all_that_it_claims_gets_none():
    old = service('old', ports=HTTP, annotations={'host': 'a.example.com'}, created='2024-01-01T00:00:00Z')
    new = service(ports=HTTP, annotations={'host': 'a.example.com'}, created='2024-06-01T00:00:00Z', **OURS)
    assert Cluster(old, new).wanted() == ()


def test_a_service_outside_of_the_namespaces_gets_none():
    assert Cluster(service(ports=HTTP, **OURS), namespaces=('other',)).wanted() == ()


def test_service_proxies_are_told_to_take_no_way_around():
    assert addresses.entries(Ref('Service', 'a', 'b'), ((VIP, ''), ('', 'lb.example.com'))) == [
        {'ip': VIP, 'ipMode': 'Proxy'},
        {'hostname': 'lb.example.com'},
    ]


def test_entries_of_an_ingress_have_no_mode():
    assert addresses.entries(Ref('Ingress', 'a', 'b'), ((VIP, ''),)) == [{'ip': VIP}]
