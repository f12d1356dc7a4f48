"""The writer: what is there already is not written, what was refused is tried again, and other controllers are not overwritten.

The cluster here is a client with the writer's four calls that keeps what it was told, and answers as it is set up.
"""

import asyncio
import collections
import contextlib
import dataclasses
import itertools
import time

import pytest

from headrace.controller import conditions, writer
from headrace.controller.conditions import Subject
from headrace.controller.writer import DesiredStatus, Rate, Writer
from headrace.diagnostics import WHOLE, Diagnostic
from headrace.kube.calls import CallError, ConflictError, NotFoundError
from headrace.names import Ref
from headrace.objects import parse
from headrace.objects.status import Status
from support.objects import service

WEB = Ref('Service', 'shop', 'web')
VIP = (('192.0.2.10', ''),)
BAD = Diagnostic(WEB, 'InvalidValue', 'headrace.io/host is no host', 'metadata.annotations[headrace.io/host]')


class Cluster:
    """Keeps statuses and Events, and the time of each write."""

    def __init__(self):
        self.statuses, self.events, self.times, self.repeats = [], {}, [], []
        self.refusals = []
        self.held_by_another = self.forced = False

    def _write(self):
        self.times.append(time.monotonic())
        if self.refusals:
            raise self.refusals.pop(0)

    async def apply_status(self, ref, status, *, force=False):
        self.forced |= force
        self._write()
        if self.held_by_another and 'loadBalancer' in status:
            raise ConflictError('conflict with "cloud": .status.loadBalancer.ingress')
        self.statuses.append((f'{ref.namespace}/{ref.name}', status))

    async def create_event(self, body):
        self._write()
        if body['metadata']['name'] in self.events:
            raise ConflictError('already exists')
        self.events[body['metadata']['name']] = body

    async def event_count(self, namespace, name):
        return dict(self.repeats).get(name, 1)

    async def repeat_event(self, namespace, name, count, at):
        self._write()
        self.repeats.append((name, count))


def read(name='web', namespace='shop', **status):
    document = {**service(name, namespace), 'status': status}
    document['metadata']['uid'] = f'uid-of-{name}'
    return parse.read(document, statuses=True).object


def wish(*found, service=None, ingress=None):
    chosen = service or read()
    subject = conditions.of_service(chosen)
    shown = conditions.conditions(subject, found).get(WHOLE, ())
    return DesiredStatus(subject, chosen.status, shown, ingress, conditions.occurrences(subject, found))


def told(made):
    """Return the service as it reads once a wish was written."""
    shown = [conditions.document(each, (), 'then') for each in made.conditions]
    ingress = [{'ip': ip, 'hostname': host} for ip, host in made.addresses or ()]
    return read(conditions=shown, loadBalancer={'ingress': ingress})


class Work:
    """A writer at work, and what each Service shall say."""

    def __init__(self, cluster, rate=1000, workers=1):
        self.cluster, self.wishes, self.decided = cluster, {}, []
        self.writer = Writer(cluster, 'pod-1', self._decide, Rate(rate), workers)

    def _decide(self, ref):
        self.decided.append(ref)
        return self.wishes.get(ref)

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def ask(self, made):
        """Have one wish looked at, and wait until that has happened and the writer is idle."""
        self.wishes[made.ref] = made
        before = len(self.decided)
        self.writer.ask(made.ref)
        await self.until(lambda: len(self.decided) > before)
        await self.settle()

    async def settle(self):
        # All that is due is done once a Service that says nothing, asked for last, has been looked at.
        marker = Ref('Service', 'shop', f'marker-{len(self.decided)}')
        self.writer.ask(marker)
        await self.until(lambda: marker in self.decided)


def work(script, cluster=None, **how):
    """Run the writer while `script(work)` goes on, and return its work."""

    async def both():
        made = Work(cluster or Cluster(), **how)
        running = asyncio.create_task(made.writer.run())
        try:
            await script(made)
            assert not running.done(), running
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        return made

    return asyncio.run(both())


def asked(*wishes, cluster=None):
    async def script(made):
        for one in wishes:
            await made.ask(one)

    return work(script, cluster)


# --- the status -------------------------------------------------------------------------------------------------------


def test_an_error_is_told_by_a_condition_and_an_event():
    made = wish(BAD)
    done = asked(made)
    ((name, status),) = done.cluster.statuses
    (condition,) = status['conditions']
    assert name == 'shop/web'
    assert set(status) == {'conditions'}
    assert (condition['type'], condition['status'], condition['reason']) == (
        'headrace.io/Programmed',
        'False',
        'InvalidValue',
    )
    (event,) = done.cluster.events.values()
    assert event.pop('eventTime').endswith('Z')
    assert event == {
        'apiVersion': 'events.k8s.io/v1',
        'kind': 'Event',
        'metadata': {'name': made.events[0].name, 'namespace': 'shop'},
        'type': 'Warning',
        'reason': 'InvalidValue',
        'note': 'headrace.io/host is no host',
        'action': 'Program',
        'regarding': {
            'apiVersion': 'v1',
            'kind': 'Service',
            'namespace': 'shop',
            'name': 'web',
            'uid': 'uid-of-web',
            'fieldPath': 'metadata.annotations[headrace.io/host]',
        },
        'reportingController': 'headrace.io/controller',
        'reportingInstance': 'pod-1',
    }
    assert (done.writer.counts.statuses, done.writer.counts.events, done.writer.counts.failures) == (1, 1, 0)


def test_an_event_has_lengths_that_kubernetes_allows():
    async def script(made):
        made.writer.identity = 'p' * 300
        await made.ask(wish(dataclasses.replace(BAD, message='x' * 5000)))

    (event,) = work(script).cluster.events.values()
    assert (len(event['note']), len(event['reportingInstance'])) == (1024, 128)


def test_addresses_are_written_with_the_ip_mode():
    done = asked(wish(ingress=VIP))
    assert done.cluster.statuses == [
        ('shop/web', {'loadBalancer': {'ingress': [{'ip': '192.0.2.10', 'ipMode': 'Proxy'}]}})
    ]


@pytest.mark.parametrize(
    'made',
    [
        pytest.param(wish(), id='nothing to say, and nothing said'),
        pytest.param(wish(ingress=()), id='no addresses, and none there'),
        pytest.param(wish(ingress=VIP, service=read(loadBalancer={'ingress': [{'ip': '192.0.2.10'}]})), id='addresses'),
        pytest.param(wish(service=read(loadBalancer={'ingress': [{'ip': '192.0.2.99'}]})), id='addresses of others'),
        pytest.param(dataclasses.replace(wish(BAD), current=told(wish(BAD)).status, events=()), id='a condition'),
    ],
)
def test_what_is_there_already_is_not_written(made):
    assert asked(made).cluster.times == []


def test_what_is_there_and_no_longer_holds_is_withdrawn():
    old = told(wish(BAD, ingress=VIP))
    assert asked(wish(service=old, ingress=())).cluster.statuses == [('shop/web', {})]


def test_what_was_just_written_is_not_written_again_before_the_watch_shows_it():
    made = dataclasses.replace(wish(BAD), events=())
    assert len(asked(made, made, made).cluster.statuses) == 1


def test_what_was_just_written_is_written_again_when_it_shall_be_another():
    first, second = wish(ingress=VIP), wish(ingress=(('192.0.2.11', ''),))
    assert len(asked(first, second, first).cluster.statuses) == 3


def test_what_was_written_and_does_not_show_is_written_again(monkeypatch):
    monkeypatch.setattr(writer, '_WATCH_SECONDS', -0.9)

    async def script(made):
        await made.ask(wish(ingress=VIP))
        # The writer itself looks again.
        await made.until(lambda: len(made.cluster.statuses) == 2)

    work(script)


def test_what_another_controller_took_away_after_it_was_seen_is_written_again():
    made = dataclasses.replace(wish(BAD), events=())
    shown = dataclasses.replace(made, current=told(made).status)
    assert len(asked(made, shown, made).cluster.statuses) == 2


def test_no_more_writes_are_made_than_the_rate_allows():
    async def script(made):
        for number in range(6):
            ref = Ref('Service', 'shop', f's-{number}')
            made.wishes[ref] = wish(dataclasses.replace(BAD, ref=ref), service=read(ref.name))
        for ref in made.wishes:
            made.writer.ask(ref)
        await made.until(lambda: len(made.cluster.times) == 12)

    times = work(script, rate=20, workers=16).cluster.times
    assert times[-1] - times[0] >= 10 / 20


def test_writes_do_not_wait_for_the_answers_to_others_and_an_object_has_one_at_a_time():
    cluster, running = Cluster(), collections.Counter()
    answers, most = asyncio.Event(), []
    apply = cluster.apply_status

    async def hanging(ref, status, *, force):
        running[ref] += 1
        most.append(max(running.values()))
        await answers.wait()
        running[ref] -= 1
        await apply(ref, status)

    cluster.apply_status = hanging

    async def script(made):
        for number in range(8):
            ref = Ref('Service', 'shop', f's-{number}')
            made.wishes[ref] = wish(ingress=VIP, service=read(ref.name))
            made.writer.ask(ref)
        await made.until(lambda: running.total() == 8)
        for ref in made.wishes:
            made.writer.ask(ref)
        answers.set()
        await made.until(lambda: len(made.cluster.statuses) == 8)

    work(script, cluster, workers=8)
    assert max(most) == 1


def test_many_services_that_need_no_write_leave_the_loop_to_others():
    looked = []

    async def script(made):
        async def other():
            while True:
                looked.append(len(made.decided))
                await asyncio.sleep(0)

        running = asyncio.create_task(other())
        await made.until(lambda: looked)
        for number in range(500):
            made.writer.ask(Ref('Service', 'shop', f's-{number}'))
        await made.until(lambda: len(made.decided) == 500)
        running.cancel()

    work(script)
    assert max(after - before for before, after in itertools.pairwise(looked)) <= 2


def test_the_address_of_one_namespace_does_not_wait_for_the_mistakes_of_another():
    good, before = Ref('Service', 'other', 'web'), []

    async def script(made):
        for number in range(100):
            ref = Ref('Service', 'shop', f's-{number}')
            made.wishes[ref] = wish(dataclasses.replace(BAD, ref=ref), service=read(ref.name))
            made.writer.ask(ref)
        await made.until(lambda: made.cluster.statuses)
        found = read('web', 'other')
        made.wishes[good] = wish(service=found, ingress=VIP)
        # However long the first took to be seen: one may be on its way, and one may have the next turn.
        before.append(len(made.cluster.statuses))
        made.writer.ask(good)
        await made.until(lambda: any(name == 'other/web' for name, _ in made.cluster.statuses))

    names = [name for name, _ in work(script, rate=20).cluster.statuses]
    assert names.index('other/web') <= before[0] + 2


def test_one_object_with_many_mistakes_has_turns_of_one_event():
    good = Ref('Service', 'other', 'web')
    mistakes = tuple(dataclasses.replace(BAD, message=f'no {number}') for number in range(100))

    async def script(made):
        made.wishes[WEB] = wish(*mistakes)
        made.writer.ask(WEB)
        await made.until(lambda: made.cluster.statuses)
        made.wishes[good] = wish(service=read('web', 'other'), ingress=VIP)
        made.writer.ask(good)
        await made.until(lambda: len(made.cluster.statuses) == 2)
        assert len(made.cluster.events) <= 2
        await made.until(lambda: len(made.cluster.events) >= 4)

    work(script, rate=20)


# --- who is gone, and what is refused ---------------------------------------------------------------------------------


def test_a_service_that_is_gone_is_forgotten():
    async def script(made):
        made.writer.conflicts[WEB] = BAD
        made.writer.ask(WEB)
        await made.until(lambda: made.decided == [WEB])
        await made.settle()

    done = work(script)
    assert (done.writer.conflicts, done.cluster.times) == ({}, [])


def test_a_service_that_goes_while_it_is_written_is_not_tried_again():
    cluster = Cluster()
    cluster.refusals = [NotFoundError('gone')]
    done = asked(wish(ingress=VIP), cluster=cluster)
    assert (done.writer.counts.failures, done.writer.counts.statuses, done.decided.count(WEB)) == (0, 0, 1)


def test_what_could_not_be_written_is_counted_told_and_tried_again(monkeypatch, caplog):
    monkeypatch.setattr(writer, '_RETRY_SECONDS', 0.01)
    cluster = Cluster()
    cluster.refusals = [CallError('the server is away'), CallError('the server is away')]

    async def script(made):
        await made.ask(wish(ingress=VIP))
        await made.until(lambda: made.cluster.statuses)

    done = work(script, cluster)
    assert (done.writer.counts.failures, done.writer.counts.statuses) == (2, 1)
    assert [record.error for record in caplog.records] == ['the server is away'] * 2


def test_one_that_cannot_be_written_holds_up_no_other():
    cluster = Cluster()
    cluster.refusals = [CallError('this one cannot be')]
    done = asked(wish(ingress=VIP), wish(ingress=VIP, service=read('other')), cluster=cluster)
    assert [name for name, _ in done.cluster.statuses] == ['shop/other']


def test_an_unexpected_error_about_one_object_costs_that_object_alone(caplog):
    async def script(made):
        def decide(ref):
            made.decided.append(ref)
            if ref.name == 'bad':
                raise ValueError('a defect')
            return made.wishes.get(ref)

        made.writer.decide = decide
        made.writer.ask(Ref('Service', 'shop', 'bad'))
        await made.ask(wish(ingress=VIP))

    assert work(script).writer.counts.statuses == 1
    assert [(record.message, record.object) for record in caplog.records] == [('internal error', 'Service shop/bad')]


def test_to_ask_later_does_not_put_off_what_is_due_sooner():
    async def script(made):
        made.writer.ask(WEB, after=600)
        made.writer.ask(WEB)
        made.writer.ask(WEB, after=600)
        await made.until(lambda: made.decided == [WEB])

    work(script)


def test_what_is_due_later_is_looked_at_then():
    async def script(made):
        made.writer.ask(WEB, after=600)
        made.writer.ask(Ref('Service', 'shop', 'soon'), after=0.05)
        await made.until(lambda: made.decided)

    assert work(script).decided == [Ref('Service', 'shop', 'soon')]


# --- another controller -----------------------------------------------------------------------------------------------


def test_addresses_that_another_controller_holds_stay_and_a_diagnostic_says_so():
    cluster = Cluster()
    cluster.held_by_another = True
    done = asked(dataclasses.replace(wish(BAD, ingress=VIP), events=()), cluster=cluster)
    ((_, status),) = done.cluster.statuses
    assert set(status) == {'conditions'}
    held = done.writer.conflicts[WEB]
    assert (held.reason, held.field) == ('HeldByAnother', 'status.loadBalancer')
    assert 'conflict with "cloud"' in held.message


def test_the_diagnostic_that_another_holds_the_addresses_is_told_and_they_are_not_tried_again(monkeypatch):
    monkeypatch.setattr(writer, '_RETRY_SECONDS', 0.01)
    cluster = Cluster()
    cluster.held_by_another = True

    async def script(made):
        def decide(ref):
            # As the controller does it: in a conflict the diagnostic is told, and the addresses are not wanted.
            made.decided.append(ref)
            held = made.writer.conflicts.get(ref)
            if ref != WEB:
                return None
            return dataclasses.replace(wish(held), events=()) if held else wish(ingress=VIP)

        made.writer.decide = decide
        made.writer.ask(WEB)
        await made.until(lambda: len(made.cluster.statuses) == 2)
        for _ in range(3):
            made.writer.ask(WEB)
            await made.settle()

    done = work(script, cluster)
    assert [status.get('conditions', [{}])[0].get('reason') for _, status in done.cluster.statuses] == [
        None,
        'HeldByAnother',
    ]
    assert done.writer.conflicts[WEB].reason == 'HeldByAnother'


def test_a_conflict_is_over_once_the_addresses_could_be_written():
    async def script(made):
        made.cluster.held_by_another = True
        await made.ask(wish(ingress=VIP))
        assert WEB in made.writer.conflicts
        made.cluster.held_by_another = False
        await made.ask(wish(ingress=(('192.0.2.11', ''),)))

    assert work(script).writer.conflicts == {}


def test_a_field_that_another_holds_empty_is_not_tried_again_and_again(monkeypatch):
    monkeypatch.setattr(writer, '_RETRY_SECONDS', 0.01)
    cluster = Cluster()
    cluster.held_by_another = True
    refused = []

    async def script(made):
        apply = cluster.apply_status

        async def counting(ref, status, *, force):
            refused.append('loadBalancer' in status)
            await apply(ref, status)

        cluster.apply_status = counting

        def decide(ref):
            # As the controller does it; the Service shows no addresses all the time.
            made.decided.append(ref)
            if ref != WEB:
                return None
            made.writer.reconsider(WEB, read().status)
            held = made.writer.conflicts.get(ref)
            return dataclasses.replace(wish(held), events=()) if held else wish(ingress=VIP)

        made.writer.decide = decide
        made.writer.ask(WEB)
        await made.until(lambda: len(cluster.statuses) == 2)
        for _ in range(3):
            made.writer.ask(WEB)
            await made.settle()
        assert sum(refused) == 1
        # After a while, its holder may have gone.
        monkeypatch.setattr(writer, '_CONFLICT_SECONDS', 0.0)
        cluster.held_by_another = False
        made.writer.ask(WEB)
        await made.until(lambda: sum(refused) == 2)

    assert work(script, cluster).writer.conflicts == {}


def test_addresses_that_another_took_away_are_ours_to_write():
    held = read(loadBalancer={'ingress': [{'ip': '198.51.100.9'}]})
    cluster = Cluster()
    cluster.held_by_another = True

    async def script(made):
        await made.ask(wish(ingress=VIP, service=held))
        made.writer.reconsider(WEB, held.status)
        assert WEB in made.writer.conflicts
        made.writer.reconsider(WEB, read().status)
        assert WEB not in made.writer.conflicts

    work(script, cluster)


def test_addresses_that_another_gave_up_are_written_at_once():
    held = read(loadBalancer={'ingress': [{'ip': '198.51.100.9'}]})
    cluster = Cluster()
    cluster.held_by_another = True

    async def script(made):
        await made.ask(wish(ingress=VIP, service=held))
        cluster.held_by_another = False
        made.writer.reconsider(WEB, read().status)
        await made.ask(wish(ingress=VIP))

    assert 'loadBalancer' in work(script, cluster).cluster.statuses[-1][1]


def test_a_condition_that_another_controller_holds_is_not_tried_again_soon(monkeypatch):
    monkeypatch.setattr(writer, '_RETRY_SECONDS', 0.01)
    cluster = Cluster()
    cluster.refusals = [ConflictError('conflict with "other": .status.conditions')] * 9
    done = asked(*[served()] * 4, wish(service=read('next'), ingress=VIP), cluster=cluster)
    assert len(cluster.refusals) == 6
    assert (done.writer.counts.failures, done.writer.conflicts.keys()) == (0, {read('next').ref})


def test_neither_the_addresses_nor_the_condition_is_tried_again_when_another_holds_both():
    cluster = Cluster()
    cluster.refusals = [ConflictError('conflict'), ConflictError('conflict')]
    made = dataclasses.replace(wish(BAD, ingress=VIP), events=())
    assert asked(made, made, cluster=cluster).cluster.statuses == []
    assert len(cluster.times) == 2


def test_an_ingress_whose_addresses_another_holds_is_not_written_a_second_time():
    cluster = Cluster()
    cluster.held_by_another = True
    subject = Subject(Ref('Ingress', 'shop', 'web'), 'u-1', 1)
    asked(DesiredStatus(subject, Status('u-1', 1), (), VIP), cluster=cluster)
    assert (len(cluster.times), cluster.statuses) == (1, [])


def test_what_another_controller_has_written_is_taken_over_where_that_is_wanted():
    cluster = Cluster()
    asked(wish(ingress=VIP), cluster=cluster)
    assert not cluster.forced
    asked(dataclasses.replace(wish(ingress=VIP), force=True), cluster=cluster)
    assert cluster.forced


# --- that it is served ------------------------------------------------------------------------------------------------


def served(service=None):
    chosen = service or read()
    subject = conditions.of_service(chosen)
    return DesiredStatus(subject, chosen.status, conditions.conditions(subject, (), {WHOLE: 'served'})[WHOLE])


def test_that_a_service_is_served_is_told_after_all_else_of_its_namespace():
    async def script(made):
        for name in ('a', 'b', 'c'):
            made.wishes[Ref('Service', 'shop', name)] = served(read(name))
        made.wishes[WEB] = wish(ingress=VIP)
        for ref in made.wishes:
            made.writer.ask(ref)
        await made.until(lambda: len(made.cluster.statuses) == 4)

    assert work(script).cluster.statuses[0][0] == 'shop/web'


def test_that_a_mistake_is_gone_does_not_wait_for_other_writes():
    async def script(made):
        made.wishes[Ref('Service', 'shop', 'a')] = served(read('a'))
        made.wishes[WEB] = served(told(wish(BAD)))
        for ref in made.wishes:
            made.writer.ask(ref)
        await made.until(lambda: len(made.cluster.statuses) == 2)

    assert work(script).cluster.statuses[0][0] == 'shop/web'


def test_a_condition_that_another_controller_takes_away_is_not_written_again_at_once(monkeypatch):
    async def script(made):
        await made.ask(served())
        for _ in range(3):
            await made.ask(served(told(served())))
            await made.ask(served())
        assert len(made.cluster.statuses) == 1
        monkeypatch.setattr(writer, '_WATCH_SECONDS', 0.0)
        made.writer._last_writes[WEB] = (served(), time.monotonic() + 0.05)
        await made.ask(served())
        await made.until(lambda: len(made.cluster.statuses) == 2)
        await made.until(lambda: WEB in made.writer._last_writes)
        made.wishes[WEB] = served(told(served()))
        made.writer.ask(WEB)
        await made.until(lambda: WEB not in made.writer._last_writes)

    work(script)


# --- Events -----------------------------------------------------------------------------------------------------------


def test_the_same_news_is_told_once():
    done = asked(wish(BAD), wish(BAD), wish(BAD))
    assert (len(done.cluster.events), done.writer.counts.events, done.cluster.repeats) == (1, 1, [])


def test_other_news_is_told_too():
    assert len(asked(wish(BAD), wish(dataclasses.replace(BAD, message='another'))).cluster.events) == 2


def test_what_still_holds_is_told_again_before_its_event_is_forgotten(monkeypatch):
    monkeypatch.setattr(writer, '_REPEAT_SECONDS', -0.9)

    async def script(made):
        await made.ask(wish(BAD))
        # The writer itself looks again.
        await made.until(lambda: len(made.cluster.repeats) == 2)

    done = work(script)
    assert [count for _, count in done.cluster.repeats] == [2, 3]
    assert len(done.cluster.events) == 1


def test_an_event_is_told_again_though_its_service_was_looked_at_meanwhile(monkeypatch):
    monkeypatch.setattr(writer, '_REPEAT_SECONDS', 0.3)
    monkeypatch.setattr(writer, '_WATCH_SECONDS', -0.9)

    async def script(made):
        shown = dataclasses.replace(wish(BAD), current=told(wish(BAD)).status)
        await made.ask(shown)
        made.writer.ask(WEB)
        await made.until(lambda: made.cluster.repeats)

    work(script)


def test_an_event_that_the_controller_before_has_told_is_told_again_and_not_twice():
    cluster = Cluster()
    asked(wish(BAD), cluster=cluster)
    done = asked(wish(BAD), cluster=cluster)
    assert (len(cluster.events), [count for _, count in cluster.repeats]) == (1, [2])
    assert done.writer.counts.events == 1


def test_the_number_of_an_event_goes_on_when_another_controller_leads():
    cluster = Cluster()
    asked(wish(BAD), cluster=cluster)
    for count in (2, 3, 4):
        asked(wish(BAD), cluster=cluster)
        assert cluster.repeats[-1][1] == count


def test_what_was_told_of_is_forgotten_with_the_service_and_with_time(monkeypatch):
    other = dataclasses.replace(BAD, message='another')

    async def script(made):
        await made.ask(wish(BAD))
        await made.ask(wish(other))
        assert len(made.writer._event_times[WEB]) == 2
        monkeypatch.setattr(writer, '_REPEAT_SECONDS', -0.9)
        await made.ask(dataclasses.replace(wish(other), events=()))
        assert WEB not in made.writer._event_times
        monkeypatch.setattr(writer, '_REPEAT_SECONDS', 2700.0)
        await made.ask(wish(BAD))
        assert WEB in made.writer._event_times
        del made.wishes[WEB]
        made.writer.ask(WEB)
        await made.settle()
        assert WEB not in made.writer._event_times

    work(script)


def test_an_event_that_could_not_be_told_is_tried_again(monkeypatch):
    monkeypatch.setattr(writer, '_RETRY_SECONDS', 0.01)
    cluster = Cluster()
    made = wish(BAD)
    cluster.refusals = [CallError('away')]

    async def script(at_work):
        await at_work.ask(dataclasses.replace(made, current=told(made).status))
        await at_work.until(lambda: cluster.events)

    assert work(script, cluster).writer.counts.failures == 1
