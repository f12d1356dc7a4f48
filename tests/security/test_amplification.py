"""A small object becomes no large configuration: equal lists are shared, and beyond a budget the object stays as it was."""

import pytest

from conftest import binary
from headrace.haproxy.encode import map_entries
from headrace.ir.fragment import Kind
from headrace.ir.policy import Map
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.settings.settings import Settings
from support.edge import Edge, Endpoints, ended, tcp, web
from support.following import Following
from support.objects import built, endpoint_slice, fragment, pointer, reasons, service
from support.steps import counted

REF = Ref('Service', 'shop', 'web')
# 2,000 keys: 17 bits are four digits and a half of one.
NETWORKS = ' '.join(f'{number // 250 + 1}.{number % 250}.0.0/17' for number in range(1000))


class Living(Following):
    """A store and the state that follows it."""

    def __init__(self, **settings):
        super().__init__(Settings(tcp_ports='5000-5999', **settings))

    @property
    def held(self):
        return self.state.fragments[REF]


def square(ports, hosts, paths):
    """Return a Service with so many ports that each have all hosts and paths."""
    said = {}
    for number in range(ports):
        said[f'host.p{number}'] = ','.join(f'h{host}.a.com' for host in range(hosts))
        said[f'path.p{number}'] = ','.join(f'/{path}' for path in range(paths))
        said[f'mode.p{number}'] = 'http'
    return service(annotations=said, ports=[{'name': f'p{number}', 'port': number + 1} for number in range(ports)])


def listed(ports, **more):
    """Return a Service whose ports all have the networks as `allow`."""
    numbers = [{'name': f'p{number}', 'port': 5000 + number} for number in range(ports)]
    return service(annotations={'enabled': 'true', 'allow': NETWORKS, **more}, ports=numbers)


def diagnosed(document):
    made = built(document)
    return made, made.all_diagnostics()


def count(made):
    return len(map_entries.of_fragment(fragment(made))) + len(dict(made.pointers()))


def test_a_service_of_some_kilobytes_with_forty_thousand_routes_costs_no_more_than_one_of_as_many_as_it_may_have():
    made, steps = counted(lambda: built(square(4, 100, 100)))
    assert 'BudgetExceeded' in reasons(made)
    assert steps < 3 * counted(lambda: built(square(1, 32, 64)))[1]
    # Each of its hosts is closed, and as many of their paths as an object may have.
    assert count(made) == 2048
    assert pointer(made, Kind.ROUTE, 'h7.a.com/').flags == 'X'


def test_the_most_routes_that_an_object_may_have_cost_as_much_as_their_number():
    (made, diagnostics), steps = counted(lambda: diagnosed(square(1, 32, 64)))
    assert diagnostics
    assert steps < 1.5 * 8 * counted(lambda: diagnosed(square(1, 16, 16)))[1]
    assert (len(dict(made.pointers())), 'BudgetExceeded' in reasons(made)) == (2080, False)


def test_ports_with_one_list_have_its_entries_once():
    made = built(listed(400), settings=Settings(tcp_ports='5000-5999'))
    assert 'BudgetExceeded' not in reasons(made)
    assert sum(entry.map is Map.ALLOW for entry in fragment(made).data) == 8000
    policies = {content.policy for _, content in made.pointers()}
    assert len(policies) == 1


@pytest.mark.parametrize('own', [{'rate-limit': '5/s'}, {'max-connections': '5'}])
def test_ports_that_ask_for_more_than_lists_share_nothing_and_are_bounded(own):
    settings = Settings(tcp_ports='5000-5999')
    assert sum(entry.map is Map.ALLOW for entry in fragment(built(listed(3, **own), settings=settings)).data) == 24000
    made = built(listed(400, **own), settings=settings)
    (diagnostic,) = [each for each in made.all_diagnostics() if each.reason == 'BudgetExceeded']
    assert diagnostic.message == '3200400 map entries are more than 100000 (maxEntriesPerObject)'
    assert count(made) == 400
    assert pointer(made, Kind.PORT, '5399').flags == 'X'


def test_ports_with_other_lists_share_nothing():
    document = service(
        annotations={'enabled': 'true', 'allow.a': '10.0.0.0/8', 'allow.b': '10.0.0.0/9', 'allow.c': '10.0.0.0/8'},
        ports=[{'name': name, 'port': 5000 + number} for number, name in enumerate('abc')],
    )
    made = built(document)
    names = [pointer(made, Kind.PORT, str(5000 + number)).policy for number in range(3)]
    assert names[0] == names[2] != names[1]


def test_source_ranges_are_shared_by_ports_too():
    ports = [{'name': f'p{number}', 'port': 5000 + number} for number in range(3)]
    made = built(
        service(
            ports=ports,
            type='LoadBalancer',
            loadBalancerClass='headrace.io/headrace',
            loadBalancerSourceRanges=['10.0.0.0/8'],
        )
    )
    assert sum(entry.map is Map.ALLOW for entry in fragment(made).data) == 1
    assert [content.flags for _, content in made.pointers()] == ['a', 'a', 'a']


def test_an_object_that_grows_beyond_a_budget_keeps_what_it_was_and_follows_its_endpoints():
    living = Living(max_routes_per_object=3)
    living.put(square(1, 1, 2))
    before = living.held.claims
    living.put(square(2, 2, 2))
    assert living.held.claims == before
    assert [each.reason for each in living.held.diagnostics] == ['BudgetExceeded']
    living.put(endpoint_slice(addresses=['10.0.0.1'], port_name='p0'))
    assert [group.addresses for backend in living.held.backends for group in backend.groups] == [('10.0.0.1',)]
    living.put(service(annotations={'host': 'other.a.com', 'path': '/1,/2,/3,/4'}, ports=[{'name': 'new', 'port': 1}]))
    assert living.held.claims == before
    living.put(endpoint_slice(addresses=['10.0.0.2'], port_name='p0'))
    assert living.held.claims == before
    living.put(square(1, 1, 3))
    assert 'BudgetExceeded' not in [each.reason for each in living.held.diagnostics]
    assert len(living.held.claims) == 3


def test_an_object_that_returns_after_it_was_removed_is_closed():
    living = Living(max_routes_per_object=3)
    living.put(square(1, 1, 2))
    living.put(square(1, 2, 2))
    living.store.drop(REF)
    living.state.update(living.store, living.store.take())
    living.put(square(1, 2, 2))
    assert {claim.value.flags for claim in living.held.claims} == {'X'}


def test_a_closed_object_has_a_bounded_number_of_hosts():
    ports = [{'name': f'p{number}', 'port': number + 1} for number in range(20)]
    said = {f'mode.p{number}': 'http' for number in range(20)}
    said |= {f'host.p{port}': ','.join(f'h{port}-{host}.a.com' for host in range(90)) for port in range(20)}
    made = built(service(annotations=said, ports=ports), settings=Settings(max_routes_per_object=100))
    assert len(dict(made.pointers())) == 1000


def test_a_closed_passthrough_passes_nothing():
    document = service(
        annotations={'host': 'a.a.com b.a.com', 'mode': 'tls-passthrough'}, ports=[{'name': 'tls', 'port': 443}]
    )
    made = built(document, settings=Settings(max_routes_per_object=1))
    found = pointer(made, Kind.TLS, 'a.a.com')
    assert isinstance(found, HostTls)
    assert found.passthrough.flags == 'X'


def test_clients_of_a_closed_object_get_503_or_a_reset():
    with Endpoints() as endpoints:
        documents = [
            *web('web', endpoints, path='/a /b /c'),
            *web('good', endpoints),
            *tcp('db', endpoints, 0, deny='192.0.2.0/24 198.51.100.0/24 203.0.113.0/24'),
        ]
        settings = {'max_routes_per_object': 2, 'max_entries_per_object': 3}
        with Edge(binary('haproxy-3.4'), *documents, tcp_ports=1, **settings) as edge:
            assert edge.get('web.com', '/a').status == 503
            assert edge.get('web.com', '/').status == 503
            assert edge.get('good.com').status == 200
            assert ended(edge.tcp[0], b'GET / HTTP/1.0\r\n\r\n') == (b'', 'reset')
