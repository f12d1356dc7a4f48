"""The sockets between the agent and HAProxy fail, and HAProxy does not: what it was told last goes on, and all heals."""

import pytest

from support.live import until
from support.objects import endpoint_slice, secret, service
from support.traffic import Client, under_load

MANY = 40
HASH_DIGITS = 64


def healthy(live):
    until(lambda: live.admin('/healthz')[0] == 200, 'all is well')


def troubled(live, subject):
    return until(lambda: live.status()['problems'].get(subject), f'{subject} is said to stand in the way')


def put_many(live, pods, town):
    """Write a file with many Services, which become one plan of some hundred commands."""
    documents = [
        document
        for number in range(MANY)
        for document in (
            service(f'many-{number}', annotations={'host': f'{number}.example.com', 'request-headers': 'X-A: b'}),
            endpoint_slice(f'many-{number}', addresses=pods, port=town.port),
        )
    ]
    live.put('many', *documents)


def all_answer(town, live):
    """Tell whether each of the many Services answers."""
    client = Client(live.ports['http'])
    try:
        return all(town.run(client.ask('/', f'{number}.example.com'))[0] == 200 for number in range(MANY))
    finally:
        town.loop.call_soon_threadsafe(client.close)


def test_a_haproxy_of_another_supervisor_is_followed_and_left_alone_at_the_end(sidecar, town):
    one, two = town.pods(2)
    sidecar.web([one], town.port)
    sidecar.start()
    worker = sidecar.worker()
    with under_load(town, sidecar):
        sidecar.web([two], town.port)
        sidecar.serves([two])
        sidecar.web([two], town.port, annotations={'retries': '7'})
        until(sidecar.reloads, 'a reload that the master was asked for')
    assert sidecar.worker() != worker
    assert sidecar.stop() == 0
    assert sidecar.readiness() == 503
    assert sidecar.container.poll() is None


def test_a_haproxy_that_its_container_starts_again_is_told_what_came_since(sidecar, town):
    one, two = town.pods(2)
    sidecar.web([one], town.port)
    sidecar.start()
    sidecar.web([two], town.port)
    sidecar.serves([two])
    sidecar.container.kill()
    sidecar.container.wait()
    until(lambda: not sidecar.haproxies(), 'the workers have ended with their master')
    troubled(sidecar, 'worker')
    sidecar.start_container()
    healthy(sidecar)
    sidecar.serves([two])
    assert sidecar.readiness() == 200


def test_a_runtime_socket_that_refuses_is_waited_for_and_then_told(sidecar, town):
    one, two = town.pods(2)
    sidecar.web([one], town.port)
    sidecar.start()
    worker = sidecar.worker()
    with under_load(town, sidecar) as load:
        sidecar.runtime.refuse()
        sidecar.web([two], town.port)
        assert 'runtime.sock' in troubled(sidecar, 'worker')
        assert sidecar.admin('/readyz')[0] == 503
        assert sidecar.readiness() == 200
        assert set(load.pods) == {one}
        sidecar.runtime.accept()
        sidecar.serves([two])
    healthy(sidecar)
    assert sidecar.admin('/readyz')[0] == 200
    assert sidecar.worker() == worker
    assert not sidecar.reloads()


def test_a_runtime_socket_that_is_silent_is_given_up_and_tried_again(sidecar, town):
    one, two = town.pods(2)
    sidecar.web([one], town.port)
    sidecar.start()
    worker = sidecar.worker()
    with under_load(town, sidecar):
        sidecar.runtime.silent = True
        sidecar.web([two], town.port)
        assert 'no answer' in troubled(sidecar, 'worker')
        assert sidecar.admin('/livez')[0] == 200
        assert sidecar.readiness() == 200
        sidecar.runtime.accept()
        sidecar.serves([two])
    healthy(sidecar)
    assert sidecar.worker() == worker
    assert not sidecar.reloads()


def test_a_runtime_socket_that_answers_nonsense_changes_nothing_and_is_believed_again_later(make_sidecar, town):
    one, two = town.pods(2)
    sidecar = make_sidecar(reloadInterval='200ms')
    sidecar.web([one], town.port)
    sidecar.start()
    with under_load(town, sidecar):
        sidecar.runtime.garbled = True
        sidecar.web([two], town.port)
        troubled(sidecar, 'worker')
        assert sidecar.readiness() == 200
        sidecar.runtime.accept()
        sidecar.serves([two])
        healthy(sidecar)
    assert sidecar.metric('headrace_commands_refused_total') > 0


@pytest.mark.parametrize('answers', [False, True], ids=['half of it arrives', 'its answers are lost'])
def test_a_plan_that_is_cut_in_the_middle_is_brought_to_its_end(make_sidecar, town, answers):
    one, two = town.pods(2)
    sidecar = make_sidecar(reloadInterval='200ms')
    sidecar.web([one], town.port)
    sidecar.start()
    worker = sidecar.worker()
    with under_load(town, sidecar):
        sidecar.runtime.cut(MANY, answers=answers)
        put_many(sidecar, [two], town)
        until(lambda: sidecar.runtime.cuts, 'the plan is cut')
        until(lambda: all_answer(town, sidecar), 'all are served')
        healthy(sidecar)
    many = [item for item in sidecar.servers() if 'many' in item]
    assert len(many) == MANY
    assert all(two in item for item in many)
    assert sidecar.worker() == worker
    assert not sidecar.reloads()


def test_a_master_that_does_not_answer_delays_reloads_and_nothing_else(make_sidecar, town):
    one, two = town.pods(2)
    sidecar = make_sidecar(reloadInterval='200ms')
    sidecar.web([one], town.port)
    sidecar.start()
    worker = sidecar.worker()
    with under_load(town, sidecar):
        sidecar.masters.refuse()
        sidecar.web([one], town.port, annotations={'retries': '7'})
        troubled(sidecar, 'reload')
        sidecar.web([two], town.port, annotations={'retries': '7'})
        sidecar.serves([two], 'shop_web_80')
        assert sidecar.worker() == worker
        sidecar.masters.accept()
        until(sidecar.reloads, 'the reload has come')
    healthy(sidecar)
    assert sidecar.worker() != worker


def test_what_needs_a_reload_once_the_new_worker_serves_gets_the_next_one(make_sidecar, town):
    pod, live = town.pod(), make_sidecar(reloadInterval='100ms')
    live.web([pod], town.port)
    live.start()
    applied = live.times('applied')
    live.masters.hold_after(b'reload')
    live.web([pod], town.port, annotations={'retries': '7'})
    until(lambda: live.times('applied') == applied + 2, 'the old worker, and then the new one, is told')
    # The reload is not at its end: the agent has not heard yet which workers are old.
    live.web([pod], town.port, annotations={'retries': '8'})
    until(lambda: live.times('applied') == applied + 3, 'the new worker is told')
    assert live.times('reloaded') == 0
    live.masters.release()
    until(lambda: live.times('reloaded') == 2, 'there is a reload for it')


def test_the_hash_of_a_password_is_never_shown_whatever_becomes_of_its_command(make_sidecar, town):
    one, two = town.pods(2)
    sidecar = make_sidecar(reloadInterval='200ms')
    sidecar.web([one], town.port, annotations={'basic-auth-secret': 'users'})
    sidecar.put('users', secret('users', username='ann', password='one'))
    sidecar.start()
    until(lambda: ':' in sidecar.ask('show map maps/auth.map'), 'the user is known')
    hashes = _digits(sidecar.ask('show map maps/auth.map'))
    # The entry is removed, so that the command about it is refused.
    key = sidecar.ask('show map maps/auth.map').split(' ')[1]
    sidecar.ask(f'del map maps/auth.map {key}')
    sidecar.put('users', secret('users', username='ann', password='two'))
    until(lambda: _digits(sidecar.ask('show map maps/auth.map')) - hashes, 'the other password is known')
    hashes |= _digits(sidecar.ask('show map maps/auth.map'))
    # Nothing is understood any more, and then nothing arrives.
    sidecar.runtime.garbled = True
    sidecar.put('users', secret('users', username='ann', password='three'))
    troubled(sidecar, 'worker')
    sidecar.runtime.accept()
    healthy(sidecar)
    hashes |= _digits(sidecar.ask('show map maps/auth.map'))
    sidecar.runtime.cut(0)
    sidecar.web([two], town.port)
    healthy(sidecar)
    until(lambda: not sidecar.ask('show map maps/auth.map').strip(), 'the user is gone')
    assert sidecar.metric('headrace_commands_refused_total') > 0
    said = [sidecar.log.read_text(), *(sidecar.admin(path)[1] for path in ('/status', '/metrics', '/healthz'))]
    said.append(sidecar.admin('/status/shop/web')[1])
    for text in said:
        assert not [one for one in hashes if one in text]


def _digits(text):
    """Return the hashes in the answer about a map."""
    return {part for word in text.split() for part in word.split(':') if len(part) == HASH_DIGITS}
