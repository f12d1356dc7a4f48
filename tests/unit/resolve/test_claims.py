"""Who holds what only one object can have: rule 7 of the contract.

Promises: the oldest creationTimestamp wins, then namespace and name, and without timestamps the name alone; a loser has
a diagnostic and takes over when the winner leaves; a host's TLS is one claim, and a route that wants client certificates is
never reached under another object's TLS.
"""

import itertools
from dataclasses import replace

import pytest

from headrace import store
from headrace.haproxy.encode import syntax
from headrace.ir.fragment import Claim, Kind
from headrace.ir.pointers import Pointer
from headrace.ir.tls import HostTls, Pem
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve import state
from headrace.resolve.changes import FragmentChange
from headrace.settings.settings import Secrets, Settings
from headrace.translate import build_context
from headrace.translate.policies import closed
from support.objects import built, ca_secret, pointer, service, tls_secret

OLD, NEW, LAST = '2024-01-01T00:00:00Z', '2024-06-01T00:00:00Z', '2025-01-01T00:00:00Z'
HTTP = [{'name': 'http', 'port': 80}]
READS = Settings(tcp_ports='5000-5999', secrets=Secrets(namespaces=('*',)))


def owner(made, kind, key):
    """Return namespace/name of the Service that holds a key."""
    found = made.claims.claimants((kind, key))
    return f'{found[0].namespace}/{found[0].name}' if found else None


def conflicts(made):
    return [(str(v.ref), v.message, v.field) for v in made.all_diagnostics() if v.reason == 'Conflict']


@pytest.mark.parametrize(
    ('first', 'second', 'winner'),
    [
        # Age decides before the name.
        (('shop', 'a', NEW), ('shop', 'b', OLD), 'shop/b'),
        (('shop', 'a', OLD), ('shop', 'b', NEW), 'shop/a'),
        (('zoo', 'z', OLD), ('bank', 'a', NEW), 'zoo/z'),
        # The same age: namespace, then name.
        (('shop', 'a', OLD), ('bank', 'b', OLD), 'bank/b'),
        (('shop', 'b', OLD), ('shop', 'a', OLD), 'shop/a'),
        # No timestamps, as in a folder.
        (('shop', 'a', None), ('bank', 'b', None), 'bank/b'),
        (('shop', 'b', None), ('shop', 'a', None), 'shop/a'),
    ],
)
@pytest.mark.parametrize('turned', [False, True])
@pytest.mark.parametrize(
    'claim',
    [
        ({'host': 'a.example.com', 'path': '/x'}, HTTP, Kind.ROUTE, 'a.example.com/x/'),
        ({'host': 'a.example.com', 'path': '/x', 'path-type': 'Exact'}, HTTP, Kind.ROUTE, 'a.example.com/x/#'),
        ({'port': '5000'}, [5432], Kind.PORT, '5000'),
    ],
)
def test_the_oldest_wins_then_namespace_and_name(first, second, winner, turned, claim):
    annotations, ports, kind, key = claim
    documents = [
        service(name, namespace, created=created, annotations=annotations, ports=ports)
        for namespace, name, created in (first, second)
    ]
    made = built(*(reversed(documents) if turned else documents))
    assert owner(made, kind, key) == winner
    loser = next(f'{ns}/{name}' for ns, name, _ in (first, second) if f'{ns}/{name}' != winner)
    (diagnostic,) = conflicts(made)
    assert diagnostic[0] == f'Service {loser}'
    assert diagnostic[1].endswith(f'is held by Service {winner}')


@pytest.mark.parametrize(
    ('annotations', 'ports', 'message', 'field'),
    [
        (
            {'host': 'a.example.com', 'path': '/x'},
            HTTP,
            'a.example.com/x/ (prefix) is held by Service shop/a',
            'metadata.annotations[headrace.io/host]',
        ),
        (
            {'host': 'a.example.com', 'path': '/x', 'path-type': 'Exact'},
            HTTP,
            'a.example.com/x (exactly) is held by Service shop/a',
            'metadata.annotations[headrace.io/host]',
        ),
        (
            {'port': '5000'},
            [5432],
            'TCP port 5000 is held by Service shop/a',
            'metadata.annotations[headrace.io/port]',
        ),
    ],
)
def test_the_loser_is_told_what_is_held_and_by_whom(annotations, ports, message, field):
    made = built(*(service(name, annotations=annotations, ports=ports) for name in 'ab'))
    assert conflicts(made) == [('Service shop/b', message, field)]


@pytest.mark.parametrize(
    ('one', 'two'),
    [
        ({'host': 'a.example.com'}, {'host': 'b.example.com'}),
        ({'host': 'a.example.com'}, {'host': '*.example.com'}),
        ({'host': 'a.example.com'}, {'host': 'a.example.com', 'path': '/x'}),
        ({'host': 'a.example.com', 'path': '/x'}, {'host': 'a.example.com', 'path': '/x', 'path-type': 'Exact'}),
        ({'host': 'a.example.com', 'path': '/x'}, {'host': 'a.example.com', 'path': '/X'}),
    ],
)
def test_other_hosts_paths_and_kinds_of_path_do_not_conflict(one, two):
    made = built(service('a', annotations=one, ports=HTTP), service('b', annotations=two, ports=HTTP))
    assert conflicts(made) == []


@pytest.mark.parametrize(('one', 'two'), [('/x', '/x/'), ('/', '/')])
def test_a_prefix_is_the_same_with_and_without_a_final_slash(one, two):
    made = built(
        service('a', annotations={'host': 'a.example.com', 'path': one}, ports=HTTP),
        service('b', annotations={'host': 'A.example.com', 'path': two}, ports=HTTP),
    )
    assert len(conflicts(made)) == 1


def test_two_ports_of_one_service_that_claim_the_same_leave_it_to_the_first():
    ports = [{'name': 'one', 'port': 5001}, {'name': 'two', 'port': 5002}]
    made = built(service(annotations={'port.one': '5000', 'port.two': '5000'}, ports=ports))
    assert pointer(made, Kind.PORT, '5000').backend.startswith('shop_web_one_')
    assert [diagnostic.reason for diagnostic in made.all_diagnostics()].count('Conflict') == 1


class Living:
    """A store and the state that follows it, event by event."""

    def __init__(self, *documents):
        self.store, self.state = store.Store(), state.State(build_context.make(READS))
        self.put(*documents)

    def put(self, *documents):
        for document in documents:
            self.store.put(parse.read(document).object)
        return self.state.update(self.store, self.store.take())

    def drop(self, *names):
        for name in names:
            self.store.drop(Ref('Service', 'shop', name))
        return self.state.update(self.store, self.store.take())


def three(name):
    created = {'a': LAST, 'b': NEW, 'c': OLD}[name]
    return service(name, created=created, annotations={'port': '5000'}, ports=[5432])


@pytest.mark.parametrize('order', list(itertools.permutations('abc')))
def test_each_loser_takes_over_when_the_winner_leaves_whatever_the_order_of_arrival(order):
    living = Living()
    for name in order:
        living.put(three(name))
    for winner, left in (('c', 2), ('b', 1), ('a', 0)):
        assert owner(living.state, Kind.PORT, '5000') == f'shop/{winner}'
        assert len(conflicts(living.state)) == left
        change = living.drop(winner)
        assert [item.key for item in change.pointers] == [(Kind.PORT, '5000')]
    assert owner(living.state, Kind.PORT, '5000') is None
    assert pointer(living.state, Kind.PORT, '5000') is None


def test_a_loser_that_leaves_changes_no_pointer():
    living = Living(three('a'), three('c'))
    assert living.drop('a').pointers == ()


@pytest.mark.parametrize(('gone', 'come'), [('b', 'a'), ('a', 'b'), ('b', 'c'), ('c', 'b')])
def test_a_key_that_one_leaves_and_another_takes_in_one_batch_changes_hands(gone, come):
    living = Living(three(gone))
    living.store.drop(Ref('Service', 'shop', gone))
    change = living.put(three(come))
    assert owner(living.state, Kind.PORT, '5000') == f'shop/{come}'
    (item,) = change.pointers
    assert item.old.backend.startswith(f'shop_{gone}_')
    assert item.new.backend.startswith(f'shop_{come}_')


def test_an_older_twin_of_a_service_that_is_made_anew_loses_its_place():
    living = Living(three('a'), three('b'))
    assert owner(living.state, Kind.PORT, '5000') == 'shop/b'
    living.drop('b')
    living.put(service('b', created='2026-01-01T00:00:00Z', annotations={'port': '5000'}, ports=[5432]))
    assert owner(living.state, Kind.PORT, '5000') == 'shop/a'


def test_two_whose_ages_change_in_one_batch_change_places():
    living = Living(three('a'), three('b'))
    turned = [
        service(name, created=created, annotations={'port': '5000'}, ports=[5432])
        for name, created in (('a', OLD), ('b', LAST))
    ]
    living.put(*turned)
    assert living.state.claims.claimants((Kind.PORT, '5000')) == (
        Ref('Service', 'shop', 'a'),
        Ref('Service', 'shop', 'b'),
    )


def test_objects_whose_diagnostics_may_be_others_are_named():
    living = Living(three('a'), three('b'), three('c'))
    assert living.drop('c').judged == tuple(Ref('Service', 'shop', name) for name in 'abc')


# --- TLS of a host ----------------------------------------------------------------------------------------------------


def secured(name, created=None, *, path='/', **more):
    annotations = {
        'host': 'a.example.com',
        'path': path,
        **{key.replace('_', '-'): value for key, value in more.items()},
    }
    return service(name, created=created, annotations=annotations, ports=HTTP)


SECRETS = (tls_secret('one', seed='one'), tls_secret('two', seed='two'), ca_secret('ca'), ca_secret('ca2', seed='two'))


def is_closed(made, path):
    return 'X' in pointer(made, Kind.ROUTE, f'a.example.com{path}').flags


def test_the_tls_of_a_host_is_one_claim_and_its_losers_are_told():
    made = built(
        *SECRETS,
        secured('a', NEW, path='/a', tls_secret='one'),
        secured('b', OLD, path='/b', tls_secret='two'),
        settings=READS,
    )
    assert pointer(made, Kind.TLS, 'a.example.com') == HostTls(certificates=('shop_two',))
    field = 'metadata.annotations[headrace.io/tls-secret]'
    assert conflicts(made) == [('Service shop/a', 'TLS of host a.example.com is held by Service shop/b', field)]
    assert not is_closed(made, '/a/')
    assert not is_closed(made, '/b/')


def test_those_that_want_the_same_tls_share_it():
    made = built(
        *SECRETS,
        secured('a', path='/a', tls_secret='one', client_ca_secret='ca'),
        secured('b', path='/b', tls_secret='one', client_ca_secret='ca'),
        settings=READS,
    )
    assert conflicts(made) == []
    assert not is_closed(made, '/a/')
    assert not is_closed(made, '/b/')


@pytest.mark.parametrize(
    ('winner', 'loser', 'shut'),
    [
        # The loser wants client certificates that the winner's TLS does not ask for, or not those.
        ({'tls_secret': 'one'}, {'tls_secret': 'one', 'client_ca_secret': 'ca'}, True),
        ({'tls_secret': 'two'}, {'tls_secret': 'one', 'client_ca_secret': 'ca'}, True),
        (
            {'tls_secret': 'one', 'client_ca_secret': 'ca2'},
            {'tls_secret': 'one', 'client_ca_secret': 'ca'},
            True,
        ),
        (
            {'tls_secret': 'one', 'client_ca_secret': 'ca', 'client_verify': 'optional'},
            {'tls_secret': 'one', 'client_ca_secret': 'ca'},
            True,
        ),
        # The loser asks for none.
        ({'tls_secret': 'one', 'client_ca_secret': 'ca'}, {'tls_secret': 'two'}, False),
        ({'tls_secret': 'one', 'client_ca_secret': 'ca'}, {}, False),
    ],
)
def test_a_loser_with_a_client_ca_is_closed_until_its_own_tls_holds(winner, loser, shut):
    living = Living(*SECRETS, secured('w', OLD, path='/w', **winner), secured('l', NEW, path='/l', **loser))
    assert is_closed(living.state, '/l/') is shut
    assert not is_closed(living.state, '/w/')
    change = living.drop('w')
    assert not is_closed(living.state, '/l/')
    assert ((Kind.ROUTE, 'a.example.com/l/') in [item.key for item in change.pointers]) is shut
    living.put(secured('w', OLD, path='/w', **winner))
    assert is_closed(living.state, '/l/') is shut


@pytest.mark.parametrize(
    'older',
    [{'tls_secret': 'none'}, {'tls_secret': 'none', 'client_ca_secret': 'ca'}],
    ids=['no Secret', 'no Secret, but an authority'],
)
def test_tls_without_a_certificate_yields_the_host_to_a_claim_with_one(older):
    living = Living(*SECRETS, secured('a', OLD, path='/a', **older), secured('b', NEW, path='/b', tls_secret='one'))
    key = (Kind.TLS, 'a.example.com')
    assert living.state.claims.content(key, living.state.fragments) == HostTls(certificates=('shop_one',))
    assert not is_closed(living.state, '/b/')
    living.drop('b')
    assert owner(living.state, *key) == 'shop/a'


def test_tls_that_is_passed_through_holds_its_host_against_younger_certificates():
    older = secured('a', OLD, mode='tls-passthrough')
    living = Living(*SECRETS, older, secured('b', NEW, path='/b', tls_secret='one'))
    assert owner(living.state, Kind.TLS, 'a.example.com') == 'shop/a'


def test_the_older_has_its_host_back_when_its_certificate_is_there():
    older = secured('a', OLD, path='/a', tls_secret='late')
    living = Living(*SECRETS, older, secured('b', NEW, path='/b', tls_secret='one'))
    living.put(tls_secret('late', seed='late'))
    assert owner(living.state, Kind.TLS, 'a.example.com') == 'shop/a'
    assert not is_closed(living.state, '/a/')


def test_the_tls_of_another_host_closes_nothing():
    made = built(
        *SECRETS,
        secured('a', path='/a', tls_secret='one', client_ca_secret='ca'),
        service('b', created=OLD, annotations={'host': 'b.example.com', 'tls-secret': 'two'}, ports=HTTP),
        settings=READS,
    )
    assert not is_closed(made, '/a/')


@pytest.mark.parametrize(('flags', 'expected'), [('', 'b|p|X'), ('La', 'b|p|LXa'), ('X', 'b|p|X'), ('SXd', 'b|p|SXd')])
def test_a_closed_pointer_has_the_flag_once_and_in_order(flags, expected):
    assert syntax.pointer(closed(Pointer('b', 'p', flags))) == expected


def test_a_claim_says_its_kind_where_it_has_no_better_word():
    one = service('a', annotations={'host': 'a.example.com'}, ports=HTTP)
    made = built(one)
    fragment = made.fragments[Ref('Service', 'shop', 'a')]
    stranger = fragment.__class__(ref=Ref('Service', 'shop', 'b'), claims=(Claim(Kind.LISTENER, 'f', 'x'),))
    made.fragments[stranger.ref] = stranger
    other = fragment.__class__(ref=Ref('Service', 'shop', 'c'), claims=(Claim(Kind.LISTENER, 'f', 'y'),))
    made.fragments[other.ref] = other
    for each in (stranger, other):
        made.claims.replace(each.ref, (), [(Kind.LISTENER, 'f')], made.fragments)
    assert [diagnostic.message for diagnostic in made.diagnostics(other.ref)] == [
        'listener f is held by Service shop/b'
    ]


def test_a_file_of_a_secret_that_has_changed_for_some_objects_is_no_conflict():
    """Many objects that read one Secret are built in steps."""
    made = built(
        tls_secret('one'), *(secured(name, path=f'/{name}', tls_secret='one') for name in 'ab'), settings=READS
    )
    a, b = (made.fragments[Ref('Service', 'shop', name)] for name in 'ab')
    renewed = tuple(replace(each, value=Pem(b'new')) if each.kind is Kind.CERTIFICATE else each for each in a.claims)
    change = made._installation.exchange((FragmentChange(a.ref, a, replace(a, claims=renewed)),))
    assert [(each.key, each.new) for each in change.pointers] == [((Kind.CERTIFICATE, 'shop_one'), Pem(b'new'))]
    assert change.judged == (a.ref,)
    assert 'Conflict' not in {each.reason for each in made.diagnostics(b.ref)}
