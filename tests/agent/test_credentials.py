"""Users with crypt hashes come and go: what costs a reload, and what does not."""

import base64
import urllib.error
import urllib.request

import pytest

from support.live import until
from support.objects import secret

BCRYPT = '$2y$04$N9qo8uLOickgx2ZMRZoMyenKJXgBwQmuTsuw5rDZiG8GbL4/WHFLO'
SHA256 = '$5$saltsalt$jbxAgW5X5LNk4yh.NmUXL1XLS9OoRHueeuIinWYHZ9D'
HOST = 'shop.example.com'


@pytest.fixture
def live(make_live):
    """An agent that reloads soon."""
    return make_live(reloadInterval='100ms')


def asks(live, user='ann', host=HOST):
    """Return the status that a user with the right password gets."""
    sent = base64.b64encode(f'{user}:opensesame'.encode()).decode()
    headers = {'Host': host, 'Authorization': f'Basic {sent}'}
    asked = urllib.request.Request(f'http://127.0.0.1:{live.ports["http"]}/', headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_hash_comes_by_a_reload_and_its_users_go_and_move_without_one(live, town):
    pod, said = town.pod(), {'basic-auth-secret': 'users'}
    live.put('users', secret('users', auth=f'ann:{BCRYPT}\n'))
    live.web([pod], town.port, annotations=said)
    live.web([pod], town.port, name='open', host='open.example.com')
    live.start()
    assert (asks(live), asks(live, user='ben')) == (200, 401)

    live.put('users', secret('users', auth=f'ann:{BCRYPT}\nben:{SHA256}\n'))
    until(lambda: asks(live, user='ben') == 200, 'ben is let in')
    until(live.reloads, 'there was a reload')
    assert [item['reasons'] for item in live.reloads()] == [
        ['users: Service shop/web: crypt hashes are used for the first time']
    ]

    worker = live.worker()
    live.put('users', secret('users', auth=f'ben:{SHA256}\n'))
    until(lambda: asks(live) == 401, 'ann is not let in any more')
    assert asks(live, user='ben') == 200
    live.web([pod], town.port, name='open', host='open.example.com', annotations=said)
    until(lambda: asks(live, user='zoe', host='open.example.com') == 401, 'the other host is protected')
    assert asks(live, user='ben', host='open.example.com') == 200
    assert live.worker() == worker

    live.put('users', secret('users', auth='ben:$2y$31$N9qo8uLOickgx2ZMRZoMyenKJXgBwQmuTsuw5rDZiG8GbL4/WHFLO\n'))
    until(lambda: asks(live, user='ben') == 503, 'a hash that would take hours closes the route')
    assert live.worker() == worker


def test_an_agent_that_comes_back_knows_the_hashes_that_its_worker_has(live, town):
    pod = town.pod()
    live.put('users', secret('users', auth=f'ann:{BCRYPT}\n'))
    live.web([pod], town.port, annotations={'basic-auth-secret': 'users'})
    live.start()
    worker = live.worker()
    live.kill()
    live.start()
    assert live.metric('headrace_adoptions_total') == 1
    assert (live.worker(), live.reloads(), asks(live)) == (worker, [], 200)
    live.kill()
    live.put('users', secret('users', auth=f'ann:{SHA256}\n'))
    live.start()
    until(lambda: asks(live) == 200, 'ann is let in')
    assert live.worker() != worker
