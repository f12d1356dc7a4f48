"""Who may have a reload when: token buckets by namespace and for all, and a limit of old workers."""

import pytest

from headrace.haproxy.plan.reload_reasons import Reason
from headrace.haproxy.runtime import reload_budget
from headrace.haproxy.runtime.reload_budget import Budget, Limits, Why
from headrace.names import Ref
from headrace.settings.settings import Settings

ALLOWED = Limits(by_namespace=5, total=20, old_workers=6)
SETTINGS = Reason('settings', 'maxconn', administrator=True)
UNKNOWN = Reason('refused', 'add: nothing to be seen of whose it is')
NOBODY = frozenset[str]()


def of(namespace, word='profile'):
    return Reason(word, 'is used for the first time', (Ref('Service', namespace, 'web'),))


class Asked:
    """A budget over time: asks for reloads, and counts those that come."""

    def __init__(self, allowed=ALLOWED):
        self.budget, self.allowed, self.now = Budget(), allowed, 1000.0

    def decide(self, *reasons, left=()):
        return self.budget.decide(reasons, left, self.now, self.allowed)

    def reload(self, *reasons):
        payers = self.budget.payers(reasons, self.now, self.allowed)
        self.budget = self.budget.charge(payers, self.now, self.allowed)
        return set(payers)

    def often(self, seconds, *reasons, every=0.5):
        """Ask every now and then, and return how many reloads there were."""
        made, ends = 0, self.now + seconds
        while self.now < ends:
            if self.decide(*reasons).now:
                self.reload(*reasons)
                made += 1
            self.now += every
        return made


def test_a_namespace_gets_its_tokens_at_once_and_then_so_many_a_minute():
    asked = Asked()
    assert asked.often(5, of('b')) == 5
    found = asked.decide(of('b'))
    assert (found.now, [item.why for item in found.delayed]) == (False, [Why.NAMESPACE])
    assert found.seconds == pytest.approx(7.0)
    asked.now += found.seconds
    assert asked.decide(of('b')).now


def test_a_tenant_that_asks_all_the_time_gets_fifty_reloads_in_ten_minutes_and_those_of_its_full_bucket():
    assert Asked().often(600, of('b')) == 5 + 49


def test_a_namespace_without_tokens_delays_no_other_and_the_other_ones_reload_costs_it_nothing():
    asked = Asked()
    asked.often(5, of('b'))
    assert asked.decide(of('b'), of('c')).now
    assert asked.reload(of('b'), of('c')) == {'c'}
    assert asked.decide(of('b')).seconds == pytest.approx(7.0)


def test_a_batch_charges_every_namespace_in_it():
    asked = Asked()
    assert [asked.reload(of('b'), of('c')) for _ in range(5)] == [{'b', 'c'}] * 5
    assert not asked.decide(of('c')).now


def test_all_namespaces_together_have_a_bucket():
    asked = Asked()
    for number in range(20):
        assert asked.decide(of(f'tenant-{number}')).now
        asked.reload(of(f'tenant-{number}'))
    found = asked.decide(of('another'))
    assert ([item.why for item in found.delayed], found.seconds) == ([Why.TOTAL], pytest.approx(3.0))
    # Nor is it for what is known of no namespace.
    assert [item.why for item in asked.decide(UNKNOWN).delayed] == [Why.TOTAL]


def test_the_administrators_reload_waits_for_nothing_and_costs_no_token():
    asked = Asked()
    asked.often(5, of('b'))
    assert asked.decide(of('b'), SETTINGS, left=[NOBODY] * 20).now
    assert asked.budget.payers([of('c'), SETTINGS], asked.now, ALLOWED) == NOBODY


def test_reloads_of_namespaces_wait_while_there_are_too_many_old_workers():
    found = Asked().decide(of('b'), UNKNOWN, left=[NOBODY] * 6)
    assert (found.now, {item.why for item in found.delayed}) == (False, {Why.OLD_WORKERS})
    assert Asked().decide(of('b'), left=[NOBODY] * 5).now


def test_one_namespaces_reloads_leave_half_of_the_old_workers_and_others_may_have_the_rest():
    left = [frozenset({'b'})] * 3
    assert [item.why for item in Asked().decide(of('b'), left=left).delayed] == [Why.OLD_WORKERS]
    assert Asked().decide(of('b'), of('c'), left=left).now


def test_buckets_that_are_full_again_are_forgotten():
    asked = Asked()
    asked.reload(of('b'))
    asked.now += 60
    asked.reload(of('c'))
    assert set(asked.budget.namespaces) == {'c'}


def test_nothing_asked_for_is_no_reload():
    assert Asked().decide() == reload_budget.Decision(now=False)


@pytest.mark.parametrize(('workers', 'allowed'), [(1, 1), (2, 1), (3, 1), (8, 6)])
def test_two_old_workers_are_kept_for_the_administrators_reloads(workers, allowed):
    assert reload_budget.limits(Settings(max_old_workers=workers)) == Limits(5, 20, allowed)


def test_each_reason_to_wait_is_said_in_words():
    assert [why.words(Settings()) for why in Why] == [
        'the namespace has caused the 5 reloads a minute that it may',
        'all namespaces have caused the 20 reloads a minute that they may',
        'workers of earlier reloads still hold connections',
    ]


def test_a_reason_that_is_paid_needs_no_token_and_still_waits_for_old_workers():
    asked = Asked()
    asked.often(5, of('b'))
    paid = {of('b')}
    assert asked.budget.decide([of('b')], [], asked.now, ALLOWED, paid).now
    assert not asked.budget.decide([of('b', 'users')], [], asked.now, ALLOWED, paid).now
    found = asked.budget.decide([of('b')], [NOBODY] * 6, asked.now, ALLOWED, paid)
    assert [item.why for item in found.delayed] == [Why.OLD_WORKERS]
    asked.budget = asked.budget.charge((), asked.now + 600, Limits(5, 1, 6))
    asked.now += 600
    assert asked.budget.decide([of('b')], [], asked.now, Limits(5, 1, 6), paid).now
