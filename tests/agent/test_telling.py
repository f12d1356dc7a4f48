"""What the agent tells about itself: health, readiness, metrics, traffic of Services, status; and how it ends."""

import json
import os
import signal
import subprocess
import sys

from support import prefork
from support.live import until
from support.traffic import Client, Load, Talk


def ask(town, live, path='/', host='shop.example.com'):
    """Ask once; return the status."""
    client = Client(live.ports['http'])
    try:
        return town.run(client.ask(path, host))[0]
    finally:
        town.loop.call_soon_threadsafe(client.close)


def status(live, *arguments):
    """Run `headrace status`, and return its exit code and what it printed."""
    where = [line['admin'] for line in live.lines() if line['message'] == 'listening'][-1]
    return prefork.run('status', '--admin', where, *arguments)


def test_a_healthy_agent_says_so_everywhere(live, town):
    live.web([town.pod()], town.port)
    live.start()
    assert live.admin('/livez') == (200, 'alive\n')
    assert live.admin('/healthz') == (200, 'healthy\n')
    assert live.admin('/readyz') == (200, 'ready\n')
    assert live.readiness() == 200


def test_an_agent_without_a_worker_is_alive_and_not_ready_and_says_why(sidecar, town):
    sidecar.web([town.pod()], town.port)
    sidecar.start()
    sidecar.runtime.refuse()
    until(lambda: sidecar.admin('/readyz') == (503, 'not ready\n'), 'it is not ready')
    code, said = sidecar.admin('/healthz')
    assert code == 503
    assert said.startswith('worker: ')
    assert sidecar.admin('/livez')[0] == 200
    assert sidecar.metric('headrace_worker_connected') == 0
    assert sidecar.metric('headrace_problems') == 1


def test_metrics_count_what_was_done(live, town):
    one, two = town.pods(2)
    live.web([one], town.port)
    live.start()
    events, commands = live.metric('headrace_events_total'), live.metric('headrace_commands_total')
    live.web([two], town.port)
    live.serves([two])
    live.web([two], town.port, annotations={'retries': '7'})
    until(lambda: live.metric('headrace_reloads_total', reason='profile', result='good') == 1)
    live.web([two], town.port, name='bad', host='bad.example.com', annotations={'balance': 'nonsense'})
    until(
        lambda: (
            live.metric('headrace_diagnostics', level='error') or live.metric('headrace_diagnostics', level='warning')
        )
    )
    assert live.metric('headrace_events_total') > events
    assert live.metric('headrace_commands_total') > commands
    assert live.metric('headrace_plans_total', kind='runtime') >= 1
    assert live.metric('headrace_plans_total', kind='reload') == 1
    assert live.metric('headrace_event_to_applied_seconds_count') >= 3
    assert live.metric('headrace_checks_total') >= 1
    assert live.metric('headrace_worker_connected') == 1
    assert live.metric('headrace_commands_refused_total') in (None, 0)
    assert live.metric('headrace_drift_total') == 0


def test_traffic_of_a_service_is_counted_over_shapes_reloads_and_old_workers(live, town):
    pod = town.pod()
    live.web([pod], town.port)
    live.tcp([pod], town.port)
    live.start()
    labels = {'namespace': 'shop', 'service': 'web', 'port': '80'}

    def responses(kind):
        return live.metric('headrace_service_responses_total', **labels, **{'class': kind})

    talk = Talk(town, live.ports['tcp'])
    assert [ask(town, live, '/') for _ in range(5)] == [200] * 5
    assert [ask(town, live, '/status/404') for _ in range(3)] == [404] * 3
    # A shape of the base set, at run time, and then one that needs a reload: each time the backend has another name.
    for annotations in ({'balance': 'leastconn'}, {'retries': '7'}):
        until(lambda: responses('2xx') is not None, 'they were read')
        reloads = len(live.reloads())
        live.web([pod], town.port, annotations=annotations)
        until(lambda: 'shop_web_80\n' not in live.ask('show backend'))
        if 'retries' in annotations:
            until(lambda reloads=reloads: len(live.reloads()) > reloads, 'a reload is over')
        assert [ask(town, live, '/') for _ in range(5)] == [200] * 5
    assert talk.say('here') == 'here'
    until(lambda: responses('2xx') == 15, 'all are counted')
    assert responses('4xx') == 3
    assert live.metric('headrace_service_usable_endpoints', **labels) == 1
    # The connection that an old worker still has is one of now.
    assert live.metric('headrace_service_current_sessions', service='db') == 1
    talk.close()


def test_figures_of_services_can_be_left_out(make_live, town):
    live = make_live(serviceMetrics=False)
    live.web([town.pod()], town.port)
    live.start()
    assert ask(town, live) == 200
    assert live.metric('headrace_service_sessions_total') is None
    assert live.metric('headrace_worker_connected') == 1


def test_status_shows_services_reloads_and_diagnostics_and_one_service_with_its_servers(live, town):
    one, two = town.pods(2)
    live.web([one, two], town.port)
    live.web([one], town.port, name='late', host='shop.example.com')
    live.start()
    live.web([one, two], town.port, annotations={'retries': '7'})
    until(live.reloads)
    code, said = status(live)
    assert code == 0
    for part in ('shop/web', 'http shop.example.com/', f'PID {live.worker()}', 'Conflict', 'profile: ', 'reload'):
        assert part in said
    code, said = status(live, '--format', 'json')
    assert code == 0
    assert {item['name'] for item in json.loads(said)['objects']} >= {'web', 'late'}
    code, said = status(live, 'shop/web')
    assert code == 0
    assert [f'{pod}:{town.port}' in said for pod in (one, two)] == [True, True]
    assert 'up' in said
    code, said = status(live, 'shop/nobody')
    assert code == 4
    assert 'no Service shop/nobody' in said


def test_status_without_an_agent_says_so():
    done = subprocess.run(
        [sys.executable, '-m', 'headrace', 'status', '--admin', '127.0.0.1:1'],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 4
    assert '127.0.0.1:1' in done.stderr


def test_an_agent_that_is_told_to_stop_says_no_first_and_finishes_what_was_asked(make_live, town):
    live = make_live(drainDelay='600ms')
    pod = town.pod()
    live.web([pod], town.port)
    live.start()
    slow = Client(live.ports['http'])
    asked = town.start(slow.ask('/wait/2'))
    until(lambda: town.seen(pod) == 1, 'a slow request is under way')
    live.process.send_signal(signal.SIGTERM)
    until(lambda: live.readiness() == 503, 'HAProxy says no')
    assert live.admin('/readyz')[0] == 503
    # Who has not heard yet is still served.
    assert ask(town, live) == 200
    assert asked.result(20)[0] == 200
    assert live.process.wait(20) == 0
    assert not live.haproxies()


def test_a_second_signal_ends_it_at_once(make_live, town):
    live = make_live(drainDelay='60s')
    live.web([town.pod()], town.port)
    live.tcp([town.pod()], town.port)
    live.start()
    talk = Talk(town, live.ports['tcp'])
    live.process.send_signal(signal.SIGTERM)
    until(lambda: live.readiness() == 503, 'HAProxy says no')
    live.process.send_signal(signal.SIGTERM)
    assert live.process.wait(20) == 0
    assert not live.haproxies()
    assert talk.say('here') == ''
    talk.close()


def test_an_agent_that_keeps_its_haproxy_leaves_clients_alone(live, town):
    live.web([town.pod()], town.port)
    live.start('--keep-haproxy')
    worker = live.worker()
    load = Load(town, live.ports['http'], kept=4, new_each_second=20.0)
    assert live.stop() == 0
    assert live.readiness() == 200
    load.stop()
    assert not load.lost
    assert live.worker() == worker
    os.kill(worker, 0)
