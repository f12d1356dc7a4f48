"""Annotations of one namespace take a bounded part of the memory of every agent and controller."""

import random

import pytest

from headrace.ir.fragment import Kind
from headrace.names import Ref
from headrace.objects import annotation_budget, parse
from headrace.resolve.state import State
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import build_context
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support.objects import endpoint_slice, ingress, service

LARGE = 60_000
MOST = 200_000


def created(age):
    return f'2024-01-01T00:{age // 60:02}:{age % 60:02}Z'


def web(name, age, amount=LARGE, namespace='shop', host=None):
    """Return a Service with so much text in its annotations; a smaller age is an older object."""
    said = {'host': host or f'{name}.{namespace}.example.com', 'request-headers': f'X-Text: {"x" * amount}'}
    return service(name, namespace, created=created(age), annotations=said, ports=[{'name': 'http', 'port': 80}])


def entry(name, age, amount=LARGE, **more):
    said = {'headrace.io/request-headers': f'X-Text: {"x" * amount}', **more}
    hosts = {f'{name}.example.com': 'web'}
    return ingress(name, created=created(age), annotations=said, hosts=hosts, ingressClassName='headrace')


class Living:
    """A store with a small budget, and the state that follows it."""

    def __init__(self, most=MOST):
        self.context = build_context.make(Settings(max_annotation_bytes_per_namespace=most))
        self.store, self.state = Store(most), State(self.context)

    def put(self, *events):
        for event in events:
            if isinstance(event, Ref):
                self.store.drop(event)
            else:
                self.store.put(parse.read(event).object)
        self.state.update(self.store, self.store.take())

    def open(self):
        """Return the names of the objects that have a route which is not closed."""
        return {
            ref.name
            for ref, fragment in self.state.fragments.items()
            if any(claim.kind is Kind.ROUTE and claim.value.flags != 'X' for claim in fragment.claims)
        }

    def complete(self):
        """Return the names of the objects that are kept with all annotations."""
        return {item.ref.name for item in self.store.objects() if not getattr(item, 'omitted', 0)}

    def reasons(self, name, kind='Service'):
        return [item.reason for item in self.state.diagnostics(Ref(kind, 'shop', name))]


def kept(store, namespace):
    """Return how many characters of annotations a store holds of a namespace."""
    items = (item for item in store.objects() if item.ref.namespace == namespace)
    return sum(len(key) + len(value) for item in items for key, value in item.annotations)


@pytest.mark.parametrize(
    'annotations',
    [
        pytest.param({'headrace.io/request-headers': 'x' * LARGE}, id='own'),
        pytest.param({'nginx.ingress.kubernetes.io/configuration-snippet': 'x' * LARGE}, id='of a dialect'),
        pytest.param({f'headrace.io/x{number}': 'y' * 250 for number in range(250)}, id='unknown keys'),
        pytest.param({f'headrace.io/x{number}': '' for number in range(9000)}, id='unknown keys without values'),
        pytest.param({'headrace.io/request-headers': 'x' * 250_000}, id='a value longer than any'),
    ],
)
def test_what_is_kept_of_annotations_is_bounded(annotations):
    store, number = Store(MOST), 300
    for each in range(number):
        made = ingress(f'i{each}', annotations=annotations, hosts={'a.example.com': 'web'})
        store.put(parse.read(made).object)
        said = {key.removeprefix('headrace.io/'): text for key, text in annotations.items()}
        store.put(parse.read(service(f's{each}', annotations=said)).object)
    assert kept(store, 'shop') <= MOST + 2 * number * annotation_budget.FREE


def test_annotations_that_nothing_reads_are_not_kept():
    large = {'kubectl.kubernetes.io/last-applied-configuration': 'x' * LARGE, 'example.com/notes': 'x' * LARGE}
    item = parse.read(ingress(annotations=large, hosts={'a.example.com': 'web'})).object
    assert item.annotations == ()


def test_the_oldest_objects_have_room_and_another_namespace_has_all_of_its_own():
    living = Living()
    living.put(*(web(f's{age}', age) for age in range(6)), web('web', 9, namespace='other'))
    assert living.complete() == living.open() == {'s0', 's1', 's2', 'web'}
    assert living.reasons('s3') == ['BudgetExceeded']


def test_an_object_that_grows_beyond_the_budget_keeps_what_it_was_and_follows_its_endpoints():
    living = Living()
    living.put(*(web(f's{age}', age) for age in range(3)), web('young', 9, amount=10))
    before = living.state.fragments[Ref('Service', 'shop', 'young')]
    living.put(web('young', 9))
    living.put(endpoint_slice('young', port_name='http', addresses=['10.0.0.1']))
    after = living.state.fragments[Ref('Service', 'shop', 'young')]
    assert (after.claims, after.headers) == (before.claims, before.headers)
    assert [group.addresses for backend in after.backends for group in backend.groups] == [('10.0.0.1',)]
    assert 'BudgetExceeded' in living.reasons('young')
    living.put(web('young', 9, amount=20))
    assert 'BudgetExceeded' not in living.reasons('young')
    assert living.state.fragments[Ref('Service', 'shop', 'young')].headers != before.headers


def test_an_object_without_room_is_closed_and_so_is_an_ingress_that_leads_to_it():
    living = Living()
    living.put(*(web(f's{age}', age) for age in range(3)), web('late', 8), entry('to-late', 9, amount=10))
    living.put(ingress('late', created=created(9), hosts={'l.example.com': 'late'}, ingressClassName='headrace'))
    assert 'late' not in living.open()
    assert 'RouteClosed' in living.reasons('late', 'Ingress')


def test_an_ingress_without_room_is_closed_and_keeps_its_class():
    living = Living()
    living.put(service(), *(web(f's{age}', age) for age in range(3)))
    theirs = entry('theirs', 9, **{'kubernetes.io/ingress.class': 'nginx'})
    del theirs['spec']['ingressClassName']
    living.put(entry('late', 9), theirs)
    assert living.reasons('late', 'Ingress') == ['BudgetExceeded']
    assert living.reasons('theirs', 'Ingress') == []
    assert 'late' not in living.open()


def test_room_that_comes_back_is_for_objects_that_are_read_again():
    living = Living()
    living.put(*(web(f's{age}', age) for age in range(5)))
    assert living.store.incomplete() == []
    living.put(Ref('Service', 'shop', 's0'))
    assert living.store.incomplete() == [Ref('Service', 'shop', 's3')]
    assert 's3' not in living.open()
    living.put(web('s3', 3))
    assert living.open() == {'s1', 's2', 's3'}
    assert living.store.incomplete() == []
    living.put(*(Ref('Service', 'shop', f's{age}') for age in range(1, 5)))
    assert living.store.incomplete() == []


@pytest.mark.parametrize('seed', range(5))
def test_which_objects_have_room_does_not_depend_on_the_order_in_which_they_come(seed):
    chance = random.Random(seed)
    documents = [web(f's{age}', age, amount=1000 * (age * 7 % 60)) for age in range(20)]
    first, second = Living(), Living()
    first.put(*documents)
    for document in chance.sample(documents, len(documents)) * 2:
        second.put(document)
    assert first.complete() == second.complete()
    # What has once been served stays.
    assert first.open() <= second.open()


def test_a_node_says_that_a_service_has_no_room_and_closes_its_ports():
    living = Living(most=0)
    living.context = build_context.make(living.context.settings, role=Role.NODE, topology=Topology('n1'))
    living.state = State(living.context)
    said = {'proxy': 'node', 'deny': ' '.join(['192.0.2.0/24'] * 1000)}
    living.put(
        service(
            annotations=said, ports=[{'name': 'tcp', 'port': 5432}], clusterIP='10.96.0.1', clusterIPs=['10.96.0.1']
        ),
        endpoint_slice(port_name='tcp', addresses=['10.0.0.1']),
    )
    assert living.reasons('web') == ['BudgetExceeded']
    claims = living.state.fragments[Ref('Service', 'shop', 'web')].claims
    assert {flags for claim in claims for flags in getattr(claim.value, 'flags', '')} == {'X'}
