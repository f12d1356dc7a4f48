"""What a namespace writes beyond its budgets costs only that namespace: it keeps what serves, and the rest is closed."""

import random
import re
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.ir.fragment import Kind
from headrace.names import Ref
from headrace.resolve import changes, claims, state, totals
from headrace.settings.settings import Secrets, Settings
from headrace.translate import build_context, services
from support.following import Following
from support.objects import ca_secret, endpoint_slice, secret, service, tls_secret

HTTP = [{'name': 'http', 'port': 80}]
CRYPT = '$2y$05$'
LIMITS = {
    'max_entries_per_namespace': 'entries',
    'max_bytes_per_namespace': 'bytes',
    'max_certificates_per_namespace': 'certificates',
    'max_crypt_hashes_per_namespace': 'hashes',
    'max_checks_per_namespace': 'checks',
    'max_endpoints_per_namespace': 'servers',
}


class Living(Following):
    """A store and the state that follows it."""

    def __init__(self, **settings):
        super().__init__(Settings(secrets=Secrets(namespaces=('*',)), **settings))

    def scratch(self, seed=0, **settings):
        """Return a state that is built at once, in an order of the seed."""
        seen = (
            build_context.make(Settings(secrets=Secrets(namespaces=('*',)), **settings)) if settings else self.context
        )
        made, refs = state.State(seen), [ref for ref in self.store.services() if ref.kind == 'Service']
        random.Random(seed).shuffle(refs)
        made.update(self.store, refs)
        return made


def ref(name, namespace='shop', kind='Service'):
    return Ref(kind, namespace, name)


def created(age):
    return f'2024-01-01T00:00:{age:02}Z'


def web(name, age, routes=1, namespace='shop', **annotations):
    """Return a Service with so many routes; a smaller age is an older object."""
    paths = ' '.join(f'/{number}' for number in range(routes))
    said = {key.replace('_', '-'): value for key, value in annotations.items()}
    given = {'host': f'{name}.{namespace}.example.com', 'path': paths, **said}
    return service(name, namespace, created=created(age), annotations=given, ports=HTTP)


def users(count, seed='a', namespace='shop', name='users'):
    lines = '\n'.join(f'u{number}:{CRYPT}{seed * 10}{number:043}' for number in range(count))
    return secret(name, namespace, auth=lines)


def ends(of, count, namespace='shop'):
    return endpoint_slice(
        of, namespace, port_name='http', addresses=[f'10.0.0.{number + 1}' for number in range(count)]
    )


def shown(made, namespace='shop'):
    """Return by name what became of each object: it is open with so many routes, closed, or nothing stands for it."""
    found = {}
    for item, fragment in made.fragments.items():
        if item.namespace == namespace and item.kind == 'Service':
            routes = [claim for claim in fragment.claims if claim.kind is Kind.ROUTE]
            closed = all(claim.value.flags == 'X' for claim in routes)
            found[item.name] = ('closed' if closed else len(routes)) if routes else 'nothing'
    return found


def said(made, name, namespace='shop'):
    return [each.message for each in made.diagnostics(ref(name, namespace)) if each.reason == 'BudgetExceeded']


def test_routes_beyond_the_budget_of_a_namespace_are_closed_the_youngest_first():
    living = Living(max_entries_per_namespace=5)
    living.put(web('c', 3), web('a', 1, 2), web('d', 4), web('b', 2, 3), web('other', 9, namespace='bank'))
    assert shown(living.state) == {'a': 2, 'b': 3, 'c': 'closed', 'd': 'closed'}
    assert said(living.state, 'c') == ['6 map entries of namespace shop are more than 5 (maxEntriesPerNamespace)']
    assert shown(living.state, 'bank') == {'other': 1}
    assert not said(living.state, 'other', 'bank')
    for seed in range(5):
        made = living.scratch(seed)
        assert made.fragments == living.state.fragments


def test_an_object_that_grows_beyond_keeps_what_it_was_and_follows_its_endpoints():
    living = Living(max_entries_per_namespace=5)
    living.put(web('a', 1, 2), web('b', 2, 2), ends('a', 1))
    living.put(web('a', 1, 4))
    assert shown(living.state) == {'a': 2, 'b': 2}
    assert said(living.state, 'a')
    living.put(ends('a', 3))
    (backend,) = living.state.fragments[ref('a')].backends
    assert len(backend.groups[0].addresses) == 3
    living.put(web('a', 1, 3))
    assert shown(living.state) == {'a': 3, 'b': 2}
    assert not said(living.state, 'a')


def test_when_room_comes_back_the_oldest_that_fit_are_served():
    living = Living(max_entries_per_namespace=6)
    living.put(web('a', 1, 3), web('b', 2, 3), web('c', 3, 4), web('d', 4, 2), web('e', 5, 1), web('f', 6, 1))
    assert shown(living.state) == {'a': 3, 'b': 3, 'c': 'closed', 'd': 'closed', 'e': 'nothing', 'f': 'nothing'}
    change = living.put(ref('a'))
    assert shown(living.state) == {'b': 3, 'c': 'closed', 'd': 2, 'e': 1, 'f': 'closed'}
    assert {item.ref.name for item in change.fragments} == {'a', 'd', 'e', 'f'}
    living.put(web('b', 2, 1))
    assert shown(living.state) == {'b': 1, 'c': 'closed', 'd': 2, 'e': 1, 'f': 1}
    # At a start age alone decides; what serves is not taken away for it.
    assert shown(living.scratch()) == {'b': 1, 'c': 4, 'd': 'closed', 'e': 1, 'f': 'closed'}
    assert shown(living.scratch(max_entries_per_namespace=9)) == {'b': 1, 'c': 4, 'd': 2, 'e': 1, 'f': 1}


def test_one_that_waits_is_served_when_another_one_shrinks_in_the_same_batch():
    living = Living(max_entries_per_namespace=4)
    living.put(web('a', 1, 2), web('b', 2, 2))
    living.put(web('a', 1, 3), web('b', 2, 1))
    assert shown(living.state) == {'a': 3, 'b': 1}


def test_closed_objects_are_bounded_too():
    living = Living(max_entries_per_namespace=3)
    living.put(web('a', 1, 3), *(web(f'b{number}', 2, 2) for number in range(4)))
    assert list(shown(living.state).values()).count('closed') == 1
    assert list(shown(living.state).values()).count('nothing') == 3
    assert len(dict(living.state.pointers())) <= 6 + 8
    living.put(ref('a'))
    assert shown(living.state) == {'b0': 2, 'b1': 'closed', 'b2': 'nothing', 'b3': 'nothing'}


def test_bytes_of_headers_are_bounded():
    large = '\n'.join(f'X-{number}: {"x" * 200}' for number in range(20))
    living = Living(max_bytes_per_namespace=12_000)
    living.put(*(web(f'a{number}', number, request_headers=large) for number in range(4)))
    assert shown(living.state) == {'a0': 1, 'a1': 1, 'a2': 'closed', 'a3': 'closed'}
    assert re.fullmatch(
        r'1\d{4} bytes of namespace shop are more than 12000 \(maxBytesPerNamespace\)', *said(living.state, 'a2')
    )


def test_codes_whose_answers_are_replaced_count_as_bytes():
    def size(statuses):
        living = Living()
        living.put(web('pages', 0), web('a', 1, error_service='pages', error_statuses=statuses))
        return living.state.admission.totals.of('shop').bytes

    assert size(','.join(map(str, range(400, 600)))) - size('400') == 199 * len('400,')


def test_certificates_count_for_each_host():
    living = Living(max_certificates_per_namespace=3)
    hosts = {'host': 'x.example.com y.example.com', 'tls_secret': 'tls'}
    living.put(tls_secret(), web('a', 1, **hosts), web('b', 2, tls_secret='tls'), web('c', 3, tls_secret='tls'))
    assert shown(living.state) == {'a': 2, 'b': 1, 'c': 'closed'}
    assert said(living.state, 'c') == ['4 certificates of namespace shop are more than 3 (maxCertificatesPerNamespace)']


def test_a_client_ca_counts_in_bytes_for_each_host_that_asks_for_it():
    living = Living()
    one, many = (' '.join(f'h{number}.example.com' for number in range(count)) for count in (1, 50))
    material = {'tls_secret': 'tls', 'client_ca_secret': 'ca'}
    living.put(tls_secret(), ca_secret(), web('a', 1, host=one, **material))
    before = living.state.admission.totals.of('shop')
    living.put(web('a', 1, host=many, **material))
    after = living.state.admission.totals.of('shop')
    size = len(next(c.value.data for c in living.state.fragments[ref('a')].claims if c.kind is Kind.AUTHORITY))
    assert after.bytes - before.bytes > 49 * size
    assert (before.certificates, after.certificates) == (2, 51)


def test_hashes_count_once_by_namespace_and_the_oldest_have_them():
    living = Living(max_crypt_hashes_per_namespace=5)
    auth = {'basic_auth_secret': 'users'}
    living.put(
        users(4),
        web('a', 1, **auth),
        web('b', 2, **auth),
        users(2, 'b', name='more'),
        web('c', 3, basic_auth_secret='more'),
    )
    assert shown(living.state) == {'a': 1, 'b': 1, 'c': 'closed'}
    assert said(living.state, 'c') == ['6 crypt hashes of namespace shop are more than 5 (maxCryptHashesPerNamespace)']
    living.put(users(3))
    assert shown(living.state) == {'a': 1, 'b': 1, 'c': 1}
    living.put(users(9))
    assert shown(living.state) == {'a': 1, 'b': 1, 'c': 1}
    assert len(living.state.admission.totals.of('shop').hashes) == 5
    living.put(users(1))
    assert len(living.state.admission.totals.of('shop').hashes) == 3


def test_hashes_of_all_namespaces_are_bounded_and_one_that_waits_gets_what_another_namespace_leaves():
    living = Living(max_crypt_hashes=5)
    auth = {'basic_auth_secret': 'users'}
    living.put(users(3), web('a', 1, **auth), users(3, 'b', 'bank'), web('b', 2, namespace='bank', **auth))
    assert (shown(living.state), shown(living.state, 'bank')) == ({'a': 1}, {'b': 'closed'})
    assert said(living.state, 'b', 'bank') == ['6 crypt hashes of all namespaces are more than 5 (maxCryptHashes)']
    living.put(users(2))
    assert shown(living.state, 'bank') == {'b': 1}


def test_beyond_the_budget_of_checks_an_object_is_served_without_them():
    living = Living(max_checks_per_namespace=10)
    often = {'check': 'tcp', 'check_interval': '500ms'}
    living.put(web('a', 1, **often), ends('a', 3), web('b', 2, **often), ends('b', 3))
    checked = {item.name: living.state.fragments[item].backends[0].options.check for item in (ref('a'), ref('b'))}
    assert checked == {'a': True, 'b': False}
    assert shown(living.state) == {'a': 1, 'b': 1}
    assert said(living.state, 'b') == ['12 checks a second of namespace shop are more than 10 (maxChecksPerNamespace)']
    living.put(ends('b', 2))
    assert living.state.fragments == living.scratch().fragments
    assert not said(living.state, 'b')
    # Endpoints that come are served, whatever it costs the checks.
    living.put(ends('a', 200))
    assert said(living.state, 'a')
    (backend,) = living.state.fragments[ref('a')].backends
    assert (len(backend.groups[0].addresses), backend.options.check) == (200, False)
    assert living.state.admission.totals.of('shop').checks == 4000
    living.put(web('b', 2))
    living.put(ends('a', 5))
    assert (living.state.admission.totals.of('shop').checks, said(living.state, 'a')) == (10_000, [])


def test_an_object_that_waits_for_two_budgets_gets_its_checks_when_there_is_room():
    living = Living(max_entries_per_namespace=3, max_checks_per_namespace=1)
    living.put(web('a', 1, 2, check='tcp'), ends('a', 1))
    living.put(web('a', 1, 4, check='tcp'), ends('a', 5))
    assert shown(living.state) == {'a': 2}
    assert len(said(living.state, 'a')) == 2
    living.put(ends('a', 4))
    assert len(said(living.state, 'a')) == 2
    living.put(ends('a', 2))
    assert said(living.state, 'a') == ['4 map entries of namespace shop are more than 3 (maxEntriesPerNamespace)']
    assert living.state.fragments[ref('a')].backends[0].options.check
    living.put(web('a', 1, 3, check='tcp'))
    assert shown(living.state) == {'a': 3}
    assert not said(living.state, 'a')


def served(made, name, namespace='shop'):
    """Return how many endpoints each backend of an object has, pins left out."""
    found = made.fragments[ref(name, namespace)].backends
    return [sum(len(group.addresses) for group in backend.groups) for backend in found if not backend.pin]


def test_beyond_the_budget_of_endpoints_an_object_is_served_by_the_first_of_its_own():
    living = Living(max_endpoints_per_namespace=5)
    living.put(
        web('a', 1), ends('a', 2), web('b', 2), ends('b', 4), web('o', 3, namespace='bank'), ends('o', 5, 'bank')
    )
    assert (served(living.state, 'a'), served(living.state, 'b'), served(living.state, 'o', 'bank')) == ([2], [3], [5])
    assert said(living.state, 'b') == ['6 endpoints of namespace shop are more than 5 (maxEndpointsPerNamespace)']
    assert living.state.fragments[ref('b')].backends[0].groups[0].addresses == ('10.0.0.1', '10.0.0.2', '10.0.0.3')
    assert shown(living.state) == {'a': 1, 'b': 1}
    assert not said(living.state, 'o', 'bank')
    assert living.state.fragments == living.scratch().fragments
    # What serves is not taken away for an older object that grows.
    living.put(ends('a', 5))
    assert (served(living.state, 'a'), served(living.state, 'b')) == ([2], [3])
    living.put(ends('b', 1))
    assert (served(living.state, 'a'), served(living.state, 'b')) == ([4], [1])
    living.put(ref('b'))
    assert (served(living.state, 'a'), said(living.state, 'a')) == ([5], [])


def test_ports_share_the_endpoints_that_an_object_may_have():
    living = Living(max_endpoints_per_namespace=5)
    ports = [{'name': name, 'port': number} for name, number in (('http-a', 80), ('http-b', 81), ('http-c', 82))]
    said = {f'host.{port["name"]}': f'{port["name"]}.example.com' for port in ports}
    pieces = [
        endpoint_slice(
            'a', name=f'a-{port["name"]}', port_name=port['name'], addresses=[f'10.0.0.{n}' for n in range(count)]
        )
        for port, count in zip(ports, (1, 9, 9), strict=True)
    ]
    living.put(service('a', annotations=said, ports=ports), *pieces)
    assert served(living.state, 'a') == [1, 2, 2]


def test_endpoints_with_which_clients_stay_count_twice():
    living = Living(max_endpoints_per_namespace=7)
    living.put(web('a', 1) | {'spec': {'ports': HTTP, 'sessionAffinity': 'ClientIP'}}, ends('a', 9))
    assert served(living.state, 'a') == [3]
    assert sum(bool(backend.pin) for backend in living.state.fragments[ref('a')].backends) == 3
    living.put(ends('a', 2))
    assert (served(living.state, 'a'), said(living.state, 'a')) == ([2], [])


def test_a_change_that_is_undone_leaves_the_totals_as_they_were():
    living = Living(max_entries_per_namespace=4)
    living.put(web('a', 1, 2))
    before = living.state.admission.totals.of('shop')
    change = living.put(web('b', 2, 2))
    living.state.undo(change)
    assert living.state.admission.totals.of('shop') == before
    living.put(web('c', 3, 2))
    assert shown(living.state) == {'a': 2, 'c': 2}


def standing(made):
    """Return what stands, what it takes, and what waits for room."""
    taken = {namespace: made.admission.totals.of(namespace) for namespace in ('shop', 'bank')}
    return dict(made.fragments), dict(made.pointers()), taken, waiting(made)


def waiting(made):
    return sorted(item for refs in made.admission.standings.waiting.values() for item in refs)


def test_a_change_that_is_undone_leaves_what_waits_as_it_was():
    living = Living(max_entries_per_namespace=4, max_checks_per_namespace=2)
    living.put(web('a', 1, 3), web('b', 2, 2), web('c', 3, check='tcp'), ends('c', 9))
    before = standing(living.state)
    assert waiting(living.state) == [ref('b'), ref('c')]
    change = living.put(ref('a'), ends('c', 1))
    assert not waiting(living.state)
    living.state.undo(change)
    assert standing(living.state) == before
    # Once more it is let in, by its own form, and no closed one counts as its last good form.
    living.state.rebuild(living.store, [item.ref for item in change.fragments])
    assert shown(living.state) == {'b': 2, 'c': 1}
    living.put(web('b', 2, 9))
    assert shown(living.state) == {'b': 2, 'c': 1}


EVENTS = st.lists(
    st.one_of(
        st.builds(
            web,
            st.sampled_from('abcd'),
            st.integers(1, 3),
            st.integers(1, 4),
            namespace=st.sampled_from(('shop', 'bank')),
            check=st.sampled_from(('off', 'tcp')),
            basic_auth_secret=st.sampled_from(('none', 'users')),
            canary_service=st.sampled_from('abcd'),
            canary_weight=st.just('5'),
        ),
        st.builds(ends, st.sampled_from('abcd'), st.integers(0, 6), st.sampled_from(('shop', 'bank'))),
        st.builds(users, st.integers(1, 6), st.sampled_from('xy'), st.sampled_from(('shop', 'bank'))),
        st.builds(ref, st.sampled_from('abcd'), st.sampled_from(('shop', 'bank'))),
    ),
    max_size=6,
)
TIGHT = {
    'max_entries_per_namespace': 14,
    'max_bytes_per_namespace': 1800,
    'max_crypt_hashes_per_namespace': 4,
    'max_crypt_hashes': 6,
    'max_checks_per_namespace': 4,
    'max_endpoints_per_namespace': 5,
}


@given(batches=st.lists(EVENTS, max_size=6))
def test_totals_never_exceed_and_what_is_alone_has_room_again(batches):
    living = Living(**TIGHT)
    for batch in batches:
        living.put(*batch)
        for namespace in ('shop', 'bank'):
            found = living.state.admission.totals.of(namespace)
            assert found.entries <= 14
            assert found.closed <= 14
            assert found.bytes <= 1800
            assert len(found.hashes) <= 4
            assert found.checks <= 4000
            fragments = [each for item, each in living.state.fragments.items() if item.namespace == namespace]
            costs = [totals.cost(each) for each in fragments]
            assert found.entries == sum(each.entries for each in costs)
            assert found.checks == sum(each.checks for each in costs)
            assert found.hashes == frozenset().union(*(each.hashes for each in costs))
    made = living.scratch()
    assert living.scratch(1).fragments == made.fragments
    # With all but one object gone, that one is what it would be alone.
    rest = sorted(item for item in living.store.services())
    living.put(*(ref(item.name, item.namespace) for item in rest[1:]))
    made = living.scratch()
    if not any(each.reason == 'BudgetExceeded' for each in made.all_diagnostics()):
        assert living.state.fragments == made.fragments


def faulty(owner, name, bad):
    """Make a function of the model fail for some objects, whichever argument they are."""
    real = getattr(owner, name)

    def poisoned(*given, **named):
        if bad & {each if isinstance(each, Ref) else getattr(each, 'ref', None) for each in given}:
            raise LookupError(name)
        return real(*given, **named)

    return mock.patch.object(owner, name, poisoned)


@given(
    batches=st.lists(
        st.tuples(
            EVENTS,
            st.booleans(),
            st.sets(st.builds(ref, st.sampled_from('abcd'), st.sampled_from(('shop', 'bank'))), max_size=2),
            st.sampled_from(((services, 'refresh'), (claims.Claims, 'replace'), (services, 'translate'))),
        ),
        max_size=6,
    )
)
def test_after_faults_and_undone_changes_totals_and_waits_are_those_of_what_stands(batches):
    living, plain = Living(**TIGHT), Living(**TIGHT)
    faults = False
    for batch, undone, bad, stage in batches:
        before = standing(living.state)
        with faulty(*stage, bad if undone else set()):
            change = living.put(*batch)
        if undone:
            faults |= bool(change.failures)
            living.state.undo(change)
            if not change.failures:
                assert standing(living.state) == before
            # No more than that: what a diagnostic counts of others is that of when its object was built.
            again = (*change.fragments, *change.failures)
            living.state.rebuild(living.store, {item.ref for item in again})
        scratch = totals.Totals(living.context.settings)
        for item, fragment in living.state.fragments.items():
            scratch.charge(item, fragment)
        for namespace in ('shop', 'bank'):
            assert living.state.admission.totals.of(namespace) == scratch.of(namespace)
        plain.put(*batch)
        if not faults:
            assert standing(living.state) == standing(plain.state)


@given(batches=st.lists(EVENTS, max_size=6))
def test_no_object_of_another_namespace_is_affected(batches):
    limits = {key: value for key, value in TIGHT.items() if key != 'max_crypt_hashes'}
    both, alone = Living(**limits), Living(**limits)

    def of_bank(event):
        return (event.namespace if isinstance(event, Ref) else event['metadata']['namespace']) == 'bank'

    for batch in batches:
        both.put(*batch)
        alone.put(*(event for event in batch if of_bank(event)))
        held = {item: each for item, each in both.state.fragments.items() if item.namespace == 'bank'}
        assert held == {item: each for item, each in alone.state.fragments.items() if item.namespace == 'bank'}


@pytest.mark.parametrize('key', LIMITS)
def test_the_cost_of_an_endpoint_change_is_that_of_endpoints_and_checks_alone(key):
    living = Living()
    living.put(web('a', 1, check='tcp'), ends('a', 1))
    before = living.state.admission.totals.of('shop')
    living.put(ends('a', 5))
    after = living.state.admission.totals.of('shop')
    field = LIMITS[key]
    assert (getattr(before, field) == getattr(after, field)) is (field not in ('checks', 'servers'))


def test_a_closed_path_does_not_lead_to_an_older_object_of_its_host():
    living = Living(max_routes_per_object=3)
    living.put(
        web('root', 1, host='x.example.com', path='/'),
        web('admin', 2, host='x.example.com', path='/admin /b /c /d', deny='10.0.0.0/8'),
    )
    found = {key: content for (kind, key), content in living.state.pointers() if kind is Kind.ROUTE}
    assert found['x.example.com/admin/'].flags == 'X'
    assert found['x.example.com/d/'].flags == 'X'
    assert found['x.example.com/'].flags != 'X'


def exchanged(living, **settings):
    """Return the state that other settings of the class make of the one that serves."""
    made = state.State(build_context.make(Settings(secrets=Secrets(namespaces=('*',)), **settings)))
    made.succeed(living.state, living.store)
    return made


def test_an_object_beyond_a_budget_keeps_what_it_was_when_settings_change():
    living = Living(max_entries_per_namespace=5)
    living.put(web('a', 1, 2), web('b', 2, 2), ends('a', 1))
    living.put(web('a', 1, 4), web('c', 3, 3))
    made = exchanged(living, max_entries_per_namespace=5, tcp_client_timeout='50s')
    assert shown(made) == {'a': 2, 'b': 2, 'c': 'closed'}
    assert said(made, 'a')
    # It goes on as in the state before: endpoints are followed, and room lets it in.
    living.state = made
    living.put(ends('a', 3))
    (backend,) = made.fragments[ref('a')].backends
    assert len(backend.groups[0].addresses) == 3
    living.put(ref('b'), ref('c'))
    assert shown(made) == {'a': 4}


def test_a_second_change_of_settings_keeps_it_too_and_a_larger_budget_lets_it_in():
    living = Living(max_entries_per_namespace=3)
    living.put(web('a', 1, 2))
    living.put(web('a', 1, 4))
    for text in ('50s', '40s'):
        living.state = exchanged(living, max_entries_per_namespace=3, tcp_client_timeout=text)
        assert shown(living.state) == {'a': 2}
    living.state = exchanged(living, max_entries_per_namespace=4)
    assert shown(living.state) == {'a': 4}


def test_a_host_that_a_new_policy_refuses_is_not_kept():
    living = Living(max_entries_per_namespace=3)
    living.put(web('a', 1, 2))
    living.put(web('a', 1, 4))
    made = exchanged(living, max_entries_per_namespace=3, host_policy={'bank': ['*.shop.example.com']})
    assert shown(made) == {'a': 'nothing'}


def test_users_beyond_a_budget_are_not_let_in_when_settings_change():
    living = Living(max_crypt_hashes_per_namespace=3)
    living.put(users(2), web('a', 1, basic_auth_secret='users'))
    living.put(users(9))
    living.state = exchanged(living, max_crypt_hashes_per_namespace=3, tcp_client_timeout='50s')
    assert shown(living.state) == {'a': 1}
    (found,) = living.state.fragments[ref('a')].userlists
    assert len(found.users) == 2
    living.put(ref('a'))
    assert shown(living.state) == {}


def test_an_object_that_fails_to_be_installed_leaves_no_room_that_it_has_not_given_up(monkeypatch):
    living = Living(max_entries_per_namespace=20)
    living.put(web('old', 1, 15), web('young', 2, 5))
    real = changes.FragmentChange.key_changes

    def failing(change):
        if change.ref == ref('old'):
            raise KeyError(change.ref)
        return real(change)

    with monkeypatch.context() as patch:
        patch.setattr(changes.FragmentChange, 'key_changes', failing)
        change = living.put(web('old', 1, 5), web('young', 2, 15))
        assert [item.ref for item in change.failures] == [ref('old')]
    assert living.state.admission.totals.of('shop').entries == 20
    # The younger one waits for the room, and has it as soon as it is there.
    living.put(web('old', 1, 4))
    assert living.state.admission.totals.of('shop').entries == 19


@pytest.mark.parametrize(
    ('kind', 'name', 'age'),
    [
        pytest.param('Service', 'old', 1, id='a Service'),
        pytest.param('EndpointSlice', 'young', 2, id='slices are as old as their Service'),
        pytest.param('Secret', 'users', 1, id='a Secret is as old as the oldest Service that names it'),
        pytest.param('Secret', 'other', None, id='what no Service names comes first'),
        pytest.param('Service', 'gone', None, id='what is gone comes first'),
    ],
)
def test_changed_objects_have_the_age_of_the_oldest_service_that_is_built_from_them(kind, name, age):
    living = Living()
    living.put(users(1), *(web(each, age, basic_auth_secret='users') for each, age in (('young', 2), ('old', 1))))
    assert living.state.age(living.store, ref(name, kind=kind))[0] == (created(age) if age else '')


def test_endpoints_that_leave_room_let_in_what_waits_for_it():
    living = Living(max_endpoints_per_namespace=4)
    living.put(web('a', 1), web('b', 2), ends('a', 3), ends('b', 3))
    assert [totals.servers(living.state.fragments[ref(name)]) for name in ('a', 'b')] == [3, 1]
    living.put(ends('a', 2))
    assert [totals.servers(living.state.fragments[ref(name)]) for name in ('a', 'b')] == [2, 2]


def test_of_endpoints_that_come_together_those_of_the_oldest_are_served():
    living = Living(max_endpoints_per_namespace=4)
    living.put(web('a', 3), web('b', 1), web('c', 2))
    living.put(ends('a', 3), ends('b', 3), ends('c', 3))
    assert [totals.servers(living.state.fragments[ref(name)]) for name in ('a', 'b', 'c')] == [0, 3, 1]
