"""Connections that live long: they stay where they began, over any number of reloads, up to a limit of old workers."""

import time

from support.live import until
from support.traffic import Talk, under_load

RELOADS = 6


def reload(live, town, pods, number):
    """Bring a shape that is new, and wait until the reload for it is over."""
    before = len(live.reloads())
    live.web(pods, town.port, 'other', 'other.example.com', {'balance': f'hdr:x-{number}'})
    until(lambda: len(live.reloads()) > before, 'a reload is over')


def set_maxconn(live, number):
    """Change a setting that needs a reload, and wait until that is over."""
    before = len(live.reloads())
    live.set(maxconn=number)
    until(lambda: len(live.reloads()) > before, 'a reload is over')


def test_plain_and_upgraded_connections_stay_open_over_six_reloads_and_a_killed_agent(make_live, town):
    one, two = town.pods(2)
    live = make_live(reloadInterval='50ms', maxOldWorkers=2 * RELOADS + 2)
    live.web([one], town.port)
    live.tcp([two], town.port)
    live.start()
    talks = [Talk(town, live.ports['tcp']), Talk(town, live.ports['http'], 'shop.example.com')]
    assert [talk.pod for talk in talks] == [two, one]
    with under_load(town, live):
        for number in range(RELOADS):
            reload(live, town, [one], number)
            if number == RELOADS // 2:
                live.kill()
                live.start()
            # One more begins on each worker.
            talks.append(Talk(town, live.ports['http'], 'shop.example.com'))
            assert [talk.say(f'after {number}') for talk in talks] == [f'after {number}'] * len(talks)
    until(lambda: len(live.old_workers()) == RELOADS, 'the old workers are kept by their connections')
    assert live.metric('headrace_old_workers_ended_total') == 0
    for talk in talks[:-1]:
        talk.close()
    until(lambda: not live.old_workers(), 'old workers end with their last connection')
    assert talks[-1].say('still') == 'still'
    talks[-1].close()


def test_an_endpoint_that_leaves_keeps_its_long_connection_on_an_old_worker_too(make_live, town):
    one, two = town.pods(2)
    live = make_live(reloadInterval='50ms')
    live.web([one, two], town.port)
    live.start()
    talks = [Talk(town, live.ports['http'], 'shop.example.com') for _ in range(4)]
    assert {talk.pod for talk in talks} == {one, two}
    reload(live, town, [one], 0)
    talks.append(Talk(town, live.ports['http'], 'shop.example.com'))
    live.web([two], town.port)
    live.serves([two], 'shop_web_80')
    assert [talk.say('here') for talk in talks] == ['here'] * len(talks)
    for talk in talks:
        talk.close()
    until(lambda: not live.old_workers(), 'the old worker has ended')
    until(lambda: f'shop_web_80/{one}' not in live.all_servers(), 'the endpoint is forgotten')


def test_at_the_limit_of_old_workers_a_reload_for_settings_waits_and_then_ends_the_oldest(make_live, town):
    pod = town.pod()
    live = make_live(reloadInterval='50ms', maxOldWorkers=2, oldWorkerTimeout='2s')
    live.web([pod], town.port)
    live.tcp([pod], town.port)
    live.start()
    talks = []
    with under_load(town, live):
        for number in range(2):
            talks.append(Talk(town, live.ports['tcp']))
            set_maxconn(live, 400 + number)
        talks.append(Talk(town, live.ports['tcp']))
        began = time.monotonic()
        set_maxconn(live, 402)
        assert time.monotonic() - began >= 2
        # Only the oldest was ended, and what it held; everything else goes on.
        assert [talk.say('here') for talk in talks] == ['', 'here', 'here']
    assert live.metric('headrace_old_workers_ended_total') == 1
    assert len(live.old_workers()) == 2
    for talk in talks:
        talk.close()


def test_a_reload_that_waits_for_an_old_worker_comes_as_soon_as_one_ends(make_live, town):
    one, two = town.pods(2)
    live = make_live(reloadInterval='50ms', maxOldWorkers=1)
    live.web([one], town.port)
    live.tcp([one], town.port)
    live.start()
    talk = Talk(town, live.ports['tcp'])
    reload(live, town, [one], 0)
    later = Talk(town, live.ports['tcp'])
    before = len(live.reloads())
    live.web([one], town.port, 'other', 'other.example.com', {'balance': 'hdr:x-last'})
    until(lambda: live.metric('headrace_reloads_waiting', why='old-workers'), 'the reload waits')
    # What needs no reload does not wait.
    live.web([two], town.port)
    live.serves([two], 'shop_web_80')
    assert talk.say('here') == 'here'
    assert len(live.reloads()) == before
    talk.close()
    until(lambda: len(live.reloads()) > before, 'the reload has come')
    assert later.say('here') == 'here'
    assert live.metric('headrace_old_workers_ended_total') == 0
    later.close()
