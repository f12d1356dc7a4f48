"""What is killed, refused or cut while clients ask: the last good state serves, and all heals."""

import contextlib
import os
import signal
import time

from support.live import until
from support.traffic import Load, Talk, under_load

KILLS = 5


def test_an_agent_that_is_killed_again_and_again_loses_no_request(live, town):
    pods = town.pods(3)
    live.web(pods, town.port)
    live.start()
    worker = live.worker()
    with under_load(town, live):
        for number in range(KILLS):
            live.kill()
            live.web(pods[number % 2 :], town.port)
            live.start()
            live.serves(pods[number % 2 :])
    assert live.worker() == worker
    assert not live.reloads()


def test_a_worker_that_is_killed_comes_back_with_what_was_told_since(live, town):
    one, two = town.pods(2)
    live.web([one], town.port)
    live.start()
    live.web([two], town.port)
    live.serves([two])
    os.kill(live.worker(), signal.SIGKILL)
    until(lambda: _alive(live) and live.addresses() == {two}, 'the next worker serves')
    load = Load(town, live.ports['http'], kept=2, new_each_second=10.0)
    until(lambda: load.pods.get(two), 'clients are answered')
    load.stop()
    assert set(load.pods) == {two}


def _alive(live):
    try:
        return bool(live.worker())
    except (OSError, TypeError):
        return False


def test_a_master_that_is_killed_is_started_again_from_good_files(live, town):
    one, two = town.pods(2)
    live.web([one], town.port)
    live.start()
    live.web([one, two], town.port)
    live.serves([one, two])
    for pid in live.haproxies():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: _alive(live) and live.addresses() == {one, two}, 'HAProxy serves again')
    assert live.metric('headrace_haproxy_starts_total') >= 2


def test_reloads_lose_no_request_and_long_connections_stay_open(live, town):
    one, two = town.pods(2)
    live.web([one, two], town.port)
    live.tcp([one], town.port)
    live.start()
    talk = Talk(town, live.ports['tcp'])
    with under_load(town, live):
        for retries in (5, 6, 7):
            before = len(live.reloads())
            live.web([one, two], town.port, annotations={'retries': str(retries)})
            until(lambda before=before: len(live.reloads()) > before, 'a reload is over')
    assert talk.say('still here') == 'still here'
    talk.close()


def test_files_that_cannot_be_written_stop_nothing_and_are_caught_up(live, town):
    one, two = town.pods(2)
    live.web([one], town.port)
    live.start()
    folder = live.state / 'candidate' / 'haproxy'
    folder.rename(folder.with_name('away'))
    try:
        live.web([two], town.port)
        live.serves([two])
        until(lambda: 'files' in live.admin('/healthz')[1], 'it is said')
        assert live.readiness() == 200
    finally:
        folder.with_name('away').rename(folder)
    until(lambda: live.admin('/healthz')[0] == 200, 'the files are caught up')


def test_an_object_that_haproxy_refuses_costs_itself_and_says_so(live, town):
    one, two = town.pods(2)
    overrides = live.root / 'overrides'
    (overrides / 'snippets').mkdir(parents=True)
    (overrides / 'snippets' / 'broken.cfg').write_text('no-such-keyword at all\n')
    live.overrides = overrides
    live.web([one], town.port)
    live.start()
    live.web([two], town.port, name='bad', host='bad.example.com', annotations={'snippets': 'broken'})
    until(lambda: any(item['reason'] == 'RefusedByHaproxy' for item in live.status()['diagnostics']), 'the diagnostic')
    live.web([two], town.port)
    live.serves([two])
    assert live.admin('/healthz')[0] == 200


def test_changes_do_not_wait_for_a_reload_that_hangs(live, town):
    one, two = town.pods(2)
    live.web([one], town.port)
    live.start()
    master = live.master()
    os.kill(master, signal.SIGSTOP)
    try:
        live.web([one], town.port, name='odd', host='odd.example.com', annotations={'retries': '9'})
        time.sleep(0.2)
        live.web([two], town.port)
        until(lambda: two in live.addresses('shop_web_80'), 'the endpoint serves')
    finally:
        os.kill(master, signal.SIGCONT)
    until(lambda: len(live.reloads()) == 1, 'the reload is over')
