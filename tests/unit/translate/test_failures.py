"""An unexpected exception about one object costs that object's change, and nothing of the others."""

import pytest

from headrace import store
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve import changes, hosts, model_snapshot, state
from headrace.settings.settings import Secrets, Settings
from headrace.translate import build_context, exposure, services
from headrace.translate.fragment_builder import FragmentBuilder
from support.objects import endpoint_slice, secret, service

NAMES = ('a', 'b', 'bad', 'c', 'd')
BAD = Ref('Service', 'shop', 'bad')


def ref_of(thing):
    """Return the object that an argument of a stage is about."""
    return getattr(thing, 'ref', None) or getattr(getattr(thing, 'service', None), 'ref', None)


class Poison:
    """Makes functions fail while they are about some objects."""

    def __init__(self, monkeypatch):
        self._patch, self.bad, self.raised = monkeypatch, {BAD}, 0

    def __call__(self, where, name):
        real = getattr(where, name)

        def poisoned(*given, **named):
            if self.bad & {ref_of(each) for each in given}:
                self.raised += 1
                raise KeyError(name)
            return real(*given, **named)

        self._patch.setattr(where, name, poisoned)


@pytest.fixture
def poison(monkeypatch):
    return Poison(monkeypatch)


class Living:
    """A store, the state that follows it, and a snapshot of what was told."""

    def __init__(self):
        self.store, self.told = store.Store(), model_snapshot.ModelSnapshot()
        self.state = state.State(
            build_context.make(Settings(tcp_ports='5000-5999', secrets=Secrets(namespaces=('*',))))
        )

    def put(self, *documents):
        for document in documents:
            self.store.put(parse.read(document).object)
        change = self.state.update(self.store, self.store.take())
        self.told.tell(change)
        assert self.told == model_snapshot.of_state(self.state)
        return change


def web(name, host=None, **annotations):
    said = {'host': host or f'{name}.example.com', **{key.replace('_', '-'): text for key, text in annotations.items()}}
    return service(name, namespace='shop', annotations=said)


def routes(living):
    """Return who serves which host."""
    found = {}
    for (kind, key), content in living.state.pointers():
        if kind == 'route':
            found[key.partition('/')[0]] = content.backend.split('_')[1]
    return found


def reasons(diagnostics):
    return sorted({diagnostic.reason for diagnostic in diagnostics} - {'NoEndpoints'})


STAGES = [
    pytest.param(services, 'translate', id='translate'),
    pytest.param(exposure, 'expose', id='exposure'),
    pytest.param(hosts, 'rank', id='claims'),
    pytest.param(changes.FragmentChange, 'key_changes', id='change'),
]


@pytest.mark.parametrize(('where', 'name'), STAGES)
def test_an_object_that_fails_keeps_its_previous_fragment_and_the_others_change(poison, where, name):
    living = Living()
    living.put(*(web(each) for each in NAMES))
    poison(where, name)
    # Its age changes too, so that it is ranked anew.
    bad = web('bad', 'new-bad.example.com')
    bad['metadata']['creationTimestamp'] = '2024-01-01T00:00:00Z'
    change = living.put(*(web(each, f'new-{each}.example.com') for each in NAMES if each != 'bad'), bad)
    assert routes(living) == {f'new-{each}.example.com': each for each in 'abcd'} | {'bad.example.com': 'bad'}
    assert [(failure.ref, type(failure.error)) for failure in change.failures] == [(BAD, KeyError)]
    assert reasons(living.state.diagnostics(BAD)) == ['InternalError']
    assert BAD in change.judged


@pytest.mark.parametrize(('where', 'name'), STAGES)
def test_a_new_object_that_fails_is_left_out_and_reported(poison, where, name):
    living = Living()
    poison(where, name)
    living.put(*(web(each) for each in NAMES))
    assert routes(living) == {f'{each}.example.com': each for each in 'abcd'}
    assert reasons(living.state.diagnostics(BAD)) == ['InternalError']


@pytest.mark.parametrize(('where', 'name'), STAGES)
def test_an_object_that_failed_is_tried_again_when_it_changes_and_not_before(poison, where, name):
    living = Living()
    poison(where, name)
    living.put(*(web(each) for each in NAMES))
    raised = poison.raised
    living.put(web('a', 'other.example.com'))
    assert poison.raised == raised
    change = living.put(web('bad', 'again.example.com'))
    assert poison.raised > raised
    assert [failure.ref for failure in change.failures] == [BAD]
    poison.bad = set()
    living.put(web('bad', 'good.example.com'))
    assert routes(living)['good.example.com'] == 'bad'
    assert reasons(living.state.diagnostics(BAD)) == []
    assert living.state.failed == set()


def test_an_object_that_failed_is_tried_again_when_what_it_reads_changes(poison):
    living = Living()
    poison(FragmentBuilder, 'fragment')
    living.put(web('bad', basic_auth_secret='users'))
    assert living.state.fragments[BAD].needs == (Ref('Secret', 'shop', 'users'),)
    poison.bad = set()
    living.put(secret('users', namespace='shop', username='ann', password='x'))
    assert routes(living) == {'bad.example.com': 'bad'}


def test_the_endpoints_of_an_object_that_failed_are_followed(poison):
    living = Living()
    living.put(web('bad'), endpoint_slice('bad', namespace='shop', addresses=['10.0.0.1']))
    poison(services, 'translate')
    living.put(web('bad', 'new-bad.example.com'))
    living.put(endpoint_slice('bad', namespace='shop', addresses=['10.0.0.2']))
    (backend,) = living.state.fragments[BAD].backends
    assert [group.addresses for group in backend.groups] == [('10.0.0.2',)]
    assert routes(living) == {'bad.example.com': 'bad'}


def test_an_object_that_failed_and_is_removed_is_forgotten(poison):
    living = Living()
    living.put(web('bad'))
    poison(services, 'translate')
    living.put(web('bad', 'new-bad.example.com'))
    living.store.drop(BAD)
    living.put()
    assert BAD not in living.state.fragments
    assert living.state.failed == set()


def test_a_change_that_cannot_be_applied_is_undone_and_an_object_goes_back_to_what_could():
    living = Living()
    living.put(web('a'), web('bad', 'a.example.com'))
    before = model_snapshot.of_state(living.state)
    previous = living.state.fragments[BAD]
    living.store.put(parse.read(web('bad', 'new-bad.example.com')).object)
    change = living.state.update(living.store, living.store.take())
    living.state.undo(change)
    assert model_snapshot.of_state(living.state) == before
    again = living.state.rebuild(living.store, [BAD])
    assert again == change
    change = living.state.fail(living.store, changes.Failure(BAD, 'plan', KeyError('x')), previous)
    living.told.tell(again)
    living.told.tell(change)
    assert living.told == model_snapshot.of_state(living.state)
    assert living.told.pointers == before.pointers
    assert reasons(living.state.diagnostics(BAD)) == ['Conflict', 'InternalError']


def test_an_object_that_fails_again_as_it_did_changes_nothing():
    living = Living()
    living.put(web('bad'))
    failure = changes.Failure(BAD, 'plan', KeyError('x'))
    assert living.state.fail(living.store, failure, living.state.fragments[BAD]).fragments
    assert living.state.fail(living.store, failure, living.state.fragments[BAD]) == changes.Change(failures=(failure,))


def test_a_change_that_is_undone_leaves_the_last_good_form_as_it_was():
    living = Living()
    living.put(web('bad'))
    previous = living.state.fragments[BAD]
    living.store.put(parse.read(web('bad', 'new-bad.example.com')).object)
    # It is built without an error, and what is made of it cannot be applied.
    living.state.undo(living.state.update(living.store, living.store.take()))
    living.state.fail(living.store, changes.Failure(BAD, 'plan', KeyError('x')), previous)
    assert [dict(item.annotations)['host'] for item in living.state.last_good()] == ['bad.example.com']


def test_two_changes_after_each_other_are_one():
    living = Living()
    living.put(web('a'), web('b', 'a.example.com'))
    before = model_snapshot.of_state(living.state)
    first = living.put(web('a', 'other.example.com'))
    second = living.put(web('a'))
    assert first.then(second) == changes.Change(judged=first.judged)
    before.tell(first.then(second))
    assert before == living.told


@pytest.mark.parametrize(('where', 'name'), STAGES)
def test_an_object_that_fails_keeps_its_previous_fragment_when_settings_change(monkeypatch, poison, where, name):
    living = Living()
    living.put(*(web(each) for each in NAMES))
    real = getattr(where, name)

    def failing(*given, **named):
        # Only the new form of the object fails.
        if BAD in {ref_of(each) for each in given} and 'new-bad.example.com' in repr(given):
            raise KeyError(name)
        return real(*given, **named)

    monkeypatch.setattr(where, name, failing)
    bad = web('bad', 'new-bad.example.com')
    bad['metadata']['creationTimestamp'] = '2024-01-01T00:00:00Z'
    living.put(bad)
    made = state.State(build_context.make(Settings(tcp_client_timeout='50s')))
    change = made.succeed(living.state, living.store)
    living.state = made
    assert routes(living) == {f'{each}.example.com': each for each in NAMES}
    assert reasons(made.diagnostics(BAD)) == ['InternalError']
    assert [failure.ref for failure in change.failures] == [BAD]
    bad = web('bad', 'good.example.com')
    living.told = model_snapshot.of_state(made)
    living.put(bad)
    assert routes(living)['good.example.com'] == 'bad'
    assert reasons(made.diagnostics(BAD)) == []


def test_an_object_that_is_its_own_canary_and_fails_is_tried_once(poison):
    living = Living()
    living.put(web('bad'))
    poison(changes.FragmentChange, 'key_changes')
    change = living.put(web('bad', 'new-bad.example.com', canary_service='bad', canary_weight='5'))
    assert [failure.ref for failure in change.failures] == [BAD]
    assert poison.raised == 1
    assert routes(living) == {'bad.example.com': 'bad'}


def test_a_namespace_that_stays_beyond_a_budget_is_judged_again_once(poison, monkeypatch):
    living = Living()
    living.put(*(web(name) for name in NAMES))
    monkeypatch.setattr(living.state.admission.totals, 'exceeds', lambda _: True)
    poison(changes.FragmentChange, 'key_changes')
    # What a demands of the Service that fails changes with a, so both are built again together.
    canary = {'canary_service': 'bad', 'canary_weight': '5'}
    change = living.put(web('a', 'new-a.example.com', **canary), web('bad', 'new-bad.example.com'))
    assert {failure.ref for failure in change.failures} == {BAD}
    assert routes(living)['new-a.example.com'] == 'a'
    assert routes(living)['bad.example.com'] == 'bad'
