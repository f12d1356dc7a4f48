"""The counter of epochs: in the Lease first, never back, and never to be guessed."""

import asyncio

import pytest

from headrace.controller.counter import MOST_ADOPTED, Counter
from headrace.kube.calls import CallError, ConflictError
from headrace.kube.lease import EPOCH, EPOCH_HOLDER, Leases
from support.leases import LeaseApi

KEY = ('headrace', 'headrace-controller')


class World(LeaseApi):
    """The Lease of the election, and so many conflicts when it is written."""

    def __init__(self, counter=None, conflicts=0, by='one'):
        super().__init__()
        self.conflicts = conflicts
        self.put(*KEY, 'one', {EPOCH: counter, EPOCH_HOLDER: by} if counter else None)

    @property
    def annotations(self):
        return self.leases[KEY]['metadata']['annotations']

    async def call(self, method, path, body=None, **how):
        if method == 'PUT' and self.conflicts:
            self.conflicts -= 1
            raise ConflictError('it is another by now')
        return await super().call(method, path, body, **how)


def begun(leases, *found):
    made = Counter(Leases(leases), *KEY)
    asyncio.run(made.begin(list(found)))
    return made


def test_a_controller_that_starts_goes_on_from_the_lease_whatever_services_say():
    made = begun(World('41'), 999, 10**18 - 1)
    assert made.value == 41
    assert made.upcoming > 41


def test_without_a_counter_it_goes_on_from_what_an_older_controller_left_up_to_a_bound():
    leases = World()
    made = begun(leases, 7, MOST_ADOPTED + 1, 3)
    assert 7 < made.value <= 7 + 10**6
    assert leases.annotations == {EPOCH: str(made.value), EPOCH_HOLDER: 'one'}


def test_a_number_is_in_the_lease_before_it_is_used_and_the_next_is_not_the_one_after():
    leases = World('41')
    made = begun(leases)
    steps = []
    for _ in range(5):
        before, wanted = made.value, made.upcoming
        asyncio.run(made.use())
        assert leases.annotations == {EPOCH: str(wanted), EPOCH_HOLDER: 'one'}
        assert made.value == wanted
        steps.append(wanted - before)
    assert len(set(steps)) > 1


def test_a_renewal_of_the_election_in_between_is_no_obstacle():
    leases = World('41', conflicts=2)
    made = begun(leases)
    asyncio.run(made.use())
    assert leases.annotations == {EPOCH: str(made.value), EPOCH_HOLDER: 'one'}


@pytest.mark.parametrize(
    ('change', 'value'),
    [
        pytest.param(lambda world: setattr(world, 'conflicts', 9), 41, id='it changes all the time'),
        pytest.param(lambda world: world.put(*KEY, 'one', {EPOCH: '90'}), 90, id='another controller has counted'),
        pytest.param(lambda world: world.leases.clear(), 41, id='the Lease is gone'),
        pytest.param(lambda world: world.put(*KEY, 'two', {EPOCH: '41'}), 41, id='another controller leads'),
    ],
)
def test_what_cannot_be_kept_is_not_used(change, value):
    world = World('41')
    made = begun(world)
    change(world)
    with pytest.raises(CallError):
        asyncio.run(made.use())
    assert made.value == value


def test_a_controller_that_takes_over_says_that_it_keeps_the_counter():
    leases = World('41', by='a controller of before')
    made = begun(leases)
    assert made.value == 41
    assert leases.annotations == {EPOCH: '41', EPOCH_HOLDER: 'one'}


def test_a_counter_of_a_newer_form_counts_as_none_and_gets_the_known_form():
    leases = World('999')
    leases.leases[KEY]['metadata']['labels'] = {'headrace.io/form': '2', 'team': 'a'}
    made = begun(leases, 7)
    assert 7 < made.value <= 7 + 10**6
    assert leases.annotations[EPOCH] == str(made.value)
    labels = leases.leases[KEY]['metadata']['labels']
    assert (labels['headrace.io/form'], labels['team']) == ('1', 'a')
