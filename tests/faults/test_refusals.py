"""HAProxy refuses what it is given, or there is no room for it: the last good configuration serves, until all is well."""

import os
import resource
import subprocess
from pathlib import Path

from support.live import until
from support.objects import endpoint_slice, service
from support.traffic import under_load

NEW_SHAPE = {'retries': '7'}


def healthy(live):
    until(lambda: live.admin('/healthz')[0] == 200, 'all is well')


def troubled(live, subject):
    return until(lambda: live.status()['problems'].get(subject), f'{subject} is said to stand in the way')


def failed_reloads(live):
    return [item for item in live.status()['reloads'] if not item['good']]


def limit_descriptors(pid, number):
    """Let a process, and those that it starts, have so many descriptors; only fewer than before, for good."""
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (number, number))


def test_an_override_that_haproxy_refuses_leaves_the_last_good_configuration(live, town):
    one, two = town.pods(2)
    live.overrides = live.root / 'overrides'
    live.overrides.mkdir()
    live.web([one], town.port)
    live.start()
    worker = live.worker()
    with under_load(town, live):
        live.kill()
        (live.overrides / 'global.cfg').write_text('no-such-keyword at all\n')
        live.start()
        assert 'no-such-keyword' in troubled(live, 'configuration')
        until(lambda: failed_reloads(live), 'the reload is refused')
        assert live.worker() == worker
        assert live.readiness() == 200
        live.web([two], town.port)
        live.serves([two])
        live.kill()
        (live.overrides / 'global.cfg').write_text('tune.comp.maxlevel 2\n')
        live.start()
        until(live.reloads, 'the reload is good')
        healthy(live)
    live.serves([two])
    assert live.worker() != worker


def test_an_object_that_haproxy_refuses_is_served_again_when_it_is_mended(live, town):
    one, two = town.pods(2)
    live.overrides = live.root / 'overrides'
    (live.overrides / 'snippets').mkdir(parents=True)
    (live.overrides / 'snippets' / 'broken.cfg').write_text('no-such-keyword at all\n')
    live.web([one], town.port)
    live.start()
    with under_load(town, live):
        live.web([two], town.port, name='bad', host='bad.example.com', annotations={'snippets': 'broken'})
        until(lambda: [item['name'] for item in live.status()['diagnostics']] == ['bad'], 'the diagnostic')
        live.web([two], town.port, name='bad', host='bad.example.com')
        live.serves([two], 'shop_bad_80')
        until(lambda: not live.status()['diagnostics'], 'the diagnostic is gone')
        healthy(live)


def test_a_reload_that_needs_more_descriptors_than_there_are_is_not_tried(make_live, town):
    one, two = town.pods(2)
    live = make_live(reloadInterval='100ms')
    live.web([one], town.port)
    live.start()
    worker = live.worker()
    with under_load(town, live):
        limit_descriptors(live.master(), 700)
        live.web([two], town.port, annotations=NEW_SHAPE)
        assert 'descriptors' in troubled(live, 'configuration')
        live.serves([two], 'shop_web_80')
        assert live.worker() == worker
        assert len(live.haproxies()) == 2
        # Fewer connections need fewer of them.
        live.set(maxconn=100)
        until(live.reloads, 'the reload has come')
        healthy(live)
    assert live.worker() != worker


def test_a_reload_that_fails_after_its_check_leaves_the_worker_and_the_files_that_serve(make_sidecar, town):
    """Of a container's HAProxy the agent cannot see how many descriptors it may have."""
    one, two = town.pods(2)
    sidecar = make_sidecar(reloadInterval='100ms')
    sidecar.web([one], town.port)
    sidecar.start()
    worker = sidecar.worker()
    limit_descriptors(sidecar.container.pid, 1500)
    with under_load(town, sidecar):
        current = (sidecar.state / 'current').readlink()
        sidecar.set(maxconn=5000)
        assert troubled(sidecar, 'reload')
        assert failed_reloads(sidecar)[0]['reasons'] == ['settings: maxconn']
        sidecar.web([two], town.port)
        sidecar.serves([two])
        assert sidecar.worker() == worker
        assert sidecar.readiness() == 200
        # What would not start is nothing to start from.
        assert (sidecar.state / 'current').readlink() == current
        sidecar.set(maxconn=200)
        until(lambda: 'Maxconn: 400\n' in sidecar.ask('show info'), 'the reload has come')
        healthy(sidecar)
    sidecar.serves([two])
    assert sidecar.worker() != worker


def test_a_full_disk_stops_no_change_and_is_caught_up_when_there_is_room(make_live, town):
    one, two = town.pods(2)
    live = make_live(reloadInterval='100ms')
    live.web([one], town.port)
    live.state.mkdir()
    live.sockets = live.root / 'sock'
    on_a_small_disk(live, '24m')
    live.start('--sockets', str(live.sockets))
    worker = live.worker()
    with under_load(town, live):
        full = fill(live)
        put_many(live, [two], town)
        live.serves([two], 'shop_many-0_80')
        live.web([two], town.port)
        live.serves([two], 'shop_web_80')
        assert 'No space left on device' in troubled(live, 'files')
        live.web([two], town.port, 'other', 'other.example.com', NEW_SHAPE)
        assert 'No space left on device' in troubled(live, 'reload')
        assert live.worker() == worker
        assert live.readiness() == 200
        assert live.metric('headrace_files_behind_seconds') > 0
        full.unlink()
        until(live.reloads, 'the reload has come')
        healthy(live)
    live.serves([two], 'shop_web_80')
    assert live.metric('headrace_files_behind_seconds') == 0
    # A HAProxy that starts from the files now has it all.
    for pid in live.haproxies():
        os.kill(pid, 9)
    until(lambda: live.metric('headrace_haproxy_starts_total') == 2, 'HAProxy is started again')
    healthy(live)
    live.serves([two], 'shop_many-0_80')


def on_a_small_disk(live, size):
    """Give the agent's state a file system of its own, which only the agent and what it starts see."""
    script = f'mount -t tmpfs -o size={size} none "$0" && exec "$@"'
    command = live.command
    own = ['unshare', '--mount', *(['--map-root-user'] if os.geteuid() else []), 'sh', '-c', script, str(live.state)]
    live.command = lambda *more: [*own, *command(*more)]


def fill(live):
    """Leave no byte on the agent's disk; return the file that takes all of it."""
    full = Path(f'/proc/{live.process.pid}/root{live.state}/full')
    subprocess.run(['dd', 'if=/dev/zero', f'of={full}', 'bs=4k'], check=False, capture_output=True)
    return full


def put_many(live, pods, town):
    """Write Services whose shards need room."""
    live.put(
        'many',
        *(
            document
            for number in range(20)
            for document in (
                service(f'many-{number}', annotations={'host': f'{number}.example.com'}),
                endpoint_slice(f'many-{number}', addresses=pods, port=town.port),
            )
        ),
    )
