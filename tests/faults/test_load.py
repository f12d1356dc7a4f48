"""All at once, at the strength that is promised: endpoints roll, reloads come, the agent is killed, and nothing is lost."""

import itertools
import time

import pytest

from support.live import until
from support.pressure import pressure

_KILL_SECONDS = 2.5
_RELOAD_SECONDS = 1.5


@pytest.mark.parametrize('retries', ['3', '0'])
@pytest.mark.timeout(900)
def test_rolling_endpoints_reloads_and_kills_lose_no_request(make_live, town, request, retries):
    seconds = request.config.getoption('--load-seconds')
    live = make_live(maxconn=2000, reloadInterval='1s')
    pods = town.pods(4)
    settings = {'retries': retries} if retries != '3' else {}
    live.web(pods, town.port, annotations=settings)
    live.start()
    first = live.worker()
    kills, rolls = 0, 0
    with pressure(live) as load:
        end = time.monotonic() + seconds
        kill, another = time.monotonic() + _KILL_SECONDS, time.monotonic()
        shapes = itertools.count()
        # On a busy machine fewer rolls and kills go into a second.
        while time.monotonic() < end or kills < seconds / 10:
            if time.monotonic() >= another:
                live.web(pods[:1], town.port, 'other', 'other.example.com', {'balance': f'hdr:x-{next(shapes)}'})
                another += _RELOAD_SECONDS
            if time.monotonic() >= kill:
                live.kill()
                live.start()
                kills, kill = kills + 1, time.monotonic() + _KILL_SECONDS
            rolls += 1
            held = [pod for number, pod in enumerate(pods) if number != rolls % len(pods)]
            live.web(held, town.port, annotations=settings)
            live.serves(held, 'shop_web_80' if retries == '3' else _backend(live))
    said = f'{load["answered"]} answered, slowest {load["slowest"]:.3f} s, {kills} kills, {rolls} rolls'
    print(f'retries {retries}: {said}')  # noqa: T201
    assert rolls > kills
    assert load['answered'] > 200 * seconds
    assert set(load['pods']) == set(pods)
    assert live.worker() != first
    until(lambda: live.admin('/healthz')[0] == 200, 'all is well')


def _backend(live):
    return next(name for name in live.ask('show backend').split() if name.startswith('shop_web_80'))
