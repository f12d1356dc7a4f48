"""One tenant asks for reloads as often as it can: others lose no connection by it, and get theirs in time."""

import time

from support.live import until
from support.objects import endpoint_slice, service
from support.traffic import Talk

WINDOW = 20.0


def tenant(live, town, pod, namespace, **annotations):
    """Write a namespace's Service, and its endpoint."""
    documents = [
        service('web', namespace, annotations={'host': f'{namespace}.example.com', **annotations}),
        endpoint_slice('web', namespace, addresses=[pod], port=town.port),
    ]
    live.put(namespace, *documents)


def ask_for_reloads(live, town, pod, seconds, every=0.4):
    """Rename tenant-b's cookie again and again, for some time."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        tenant(live, town, pod, 'tenant-b', cookie=f'c{time.monotonic_ns()}')
        time.sleep(every)


def delayed(live):
    """Return the objects of which a diagnostic says that they wait for a reload."""
    return {
        f'{item["kind"]} {item["namespace"]}/{item["name"]}'
        for item in live.status()['diagnostics']
        if item['reason'] == 'ReloadDelayed'
    }


def reloads(live):
    """Return how many reloads were good."""
    return live.metric('headrace_reloads_total', reason='profile', result='good') or 0


def test_a_tenant_that_renames_its_cookie_at_will_gets_its_budget_and_delays_no_other(make_live, town):
    pod = town.pod()
    live = make_live(reloadInterval='100ms', maxOldWorkers=100, reloadsPerMinute=5, totalReloadsPerMinute=20)
    tenant(live, town, pod, 'tenant-a')
    live.start()
    talk = Talk(town, live.ports['http'], 'tenant-a.example.com')
    ask_for_reloads(live, town, pod, WINDOW)
    assert reloads(live) <= 5 + WINDOW / 12
    assert delayed(live) == {'Service tenant-b/web'}
    tenant(live, town, pod, 'tenant-c', cookie='legitimate')
    until(lambda: 'tenant-c_web_80' in str(live.servers()), "tenant-c's reload comes at once", 5)
    assert talk.say('here') == 'here'
    talk.close()
    assert live.metric('headrace_old_workers_ended_total') == 0


def test_reloads_of_tenants_end_no_old_worker_and_those_of_the_administrator_do(make_live, town):
    pod = town.pod()
    live = make_live(reloadInterval='100ms', maxOldWorkers=6, oldWorkerTimeout='1s')
    tenant(live, town, pod, 'tenant-a')
    live.start()
    talks = []
    for _ in range(6):
        # Each worker that there has been holds a connection of tenant-a.
        talks.append(Talk(town, live.ports['http'], 'tenant-a.example.com'))
        ask_for_reloads(live, town, pod, 1.2)
    assert live.metric('headrace_old_workers_ended_total') == 0
    assert len(live.old_workers()) == 2
    assert delayed(live) == {'Service tenant-b/web'}
    assert live.metric('headrace_reloads_waiting') == 1
    assert [item['objects'] for item in live.status()['waiting']] == [['Service tenant-b/web']]
    # What tenant-b may not have alone is there for others.
    tenant(live, town, pod, 'tenant-c', cookie='legitimate')
    until(lambda: 'tenant-c_web_80' in str(live.servers()), "tenant-c's reload comes at once", 5)
    assert delayed(live) == set()
    assert [talk.say('here') for talk in talks] == ['here'] * 6
    for name in ('tenant-d', 'tenant-e'):
        talks.append(Talk(town, live.ports['http'], 'tenant-a.example.com'))
        tenant(live, town, pod, name, cookie=name)
        until(lambda name=name: f'{name}_web_80' in str(live.servers()) or delayed(live), f'{name} is served or waits')
    assert delayed(live) == {'Service tenant-e/web'}
    for number in range(3):
        talks.append(Talk(town, live.ports['http'], 'tenant-a.example.com'))
        live.set(maxconn=510 + number)
        until(
            lambda number=number: f'Maxconn: {2 * (510 + number)}\n' in live.ask('show info'),
            'the settings are applied',
        )
    assert live.metric('headrace_old_workers_ended_total') == 1
    assert talks[0].say('here') == ''
    for talk in talks:
        talk.close()
