"""The queue of objects to look at: each once, at its time, and namespaces in turn."""

import asyncio

import pytest

from headrace.controller.workqueue import WorkQueue
from headrace.names import Ref


def ref(text):
    namespace, name = text.split('/')
    return Ref('Service', namespace, name)


@pytest.fixture
def queue():
    """Let what a test asks of a queue have one event loop."""
    with asyncio.Runner() as Taken.runner:
        yield Taken()


class Taken(WorkQueue):
    """A queue that says what is taken from it, in order; a `*` marks what comes from the background."""

    runner: asyncio.Runner

    def put(self, *texts, **how):
        for text in texts:
            self.add(ref(text), **how)

    def all(self, seconds=0.05):
        async def take():
            found = []
            while True:
                try:
                    async with asyncio.timeout(seconds):
                        taken, background = await self.take()
                except TimeoutError:
                    return found
                self.done(taken)
                found.append(f'{taken.namespace}/{taken.name}' + '*' * background)

        return self.runner.run(take())


def test_an_object_is_in_the_queue_once(queue):
    queue.put('a/1', 'a/2', 'a/1')
    assert queue.all() == ['a/1', 'a/2']


def test_namespaces_take_turns(queue):
    queue.put('a/1', 'a/2', 'a/3', 'b/1', 'b/2', 'c/1')
    assert queue.all() == ['a/1', 'b/1', 'c/1', 'a/2', 'b/2', 'a/3']


def test_what_is_in_the_background_comes_after_all_else_of_its_namespace_only(queue):
    queue.put('a/1', 'a/2', 'b/1', background=True)
    queue.put('a/3', 'a/4', 'a/1')
    assert queue.all() == ['a/3', 'b/1*', 'a/4', 'a/1', 'a/2*']


def test_what_is_urgent_already_stays_so(queue):
    queue.put('a/1', 'a/2')
    queue.put('a/2', background=True)
    assert queue.all() == ['a/1', 'a/2']


def test_what_is_asked_for_later_comes_at_its_time(queue):
    queue.put('a/1', after=0.02)
    queue.put('a/2', after=600)
    queue.put('a/3')
    assert queue.all() == ['a/3', 'a/1']


def test_the_earlier_of_two_times_counts(queue):
    queue.put('a/1', after=600)
    queue.put('a/1', after=0.01)
    queue.put('a/1', after=600)
    queue.put('a/2', after=600)
    queue.put('a/2')
    queue.put('a/2', after=0.01)
    assert queue.all() == ['a/2', 'a/1']
    assert queue._due == {}


def test_times_that_are_out_of_date_do_not_pile_up(queue):
    for number in range(1000):
        queue.put('a/1', after=2000 - number)
    assert len(queue._later) < 200


def test_others_get_the_loop_before_each_object_is_taken(queue):
    queue.put(*(f'a/{number}' for number in range(50)))

    async def run():
        turns = 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        running = asyncio.create_task(other())
        for _ in range(50):
            await queue.take()
        running.cancel()
        return turns

    assert queue.runner.run(run()) >= 49


def test_an_object_that_is_added_while_it_is_worked_on_comes_again_after_that(queue):
    async def work():
        queue.put('a/1', 'a/2')
        first, _ = await queue.take()
        queue.put('a/1')
        queue.put('a/1', background=True)
        second, _ = await queue.take()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await queue.take()
        queue.done(first)
        queue.done(second)
        return await queue.take()

    assert queue.runner.run(work()) == (ref('a/1'), False)


def test_what_is_added_in_the_background_while_it_is_worked_on_stays_in_the_background(queue):
    async def work():
        queue.put('a/1')
        taken, _ = await queue.take()
        queue.put('a/1', background=True)
        queue.done(taken)
        return await queue.take()

    assert queue.runner.run(work()) == (ref('a/1'), True)


def test_consumers_that_wait_get_one_object_each(queue):
    async def work():
        tasks = [asyncio.create_task(queue.take()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.put('a/1', 'a/2', 'b/1')
        return {taken for taken, _ in await asyncio.gather(*tasks)}

    assert queue.runner.run(work()) == {ref('a/1'), ref('a/2'), ref('b/1')}
