"""Requests that are lost while everything happens at once: endpoints roll, reloads come, the agent is killed, a listener comes and goes.

Every address answers, so that what is lost is headrace's. The agent is killed, and another one adopts the running HAProxy.
"""

import sys
import time
from itertools import count

from tools.bench import steady
from tools.bench.figures import Figures
from tools.bench.parts import Chosen
from tools.bench.town import Town, until

CLIENTS = 20
# A minute for 2,000 samples.
_FEWEST_SECONDS, _MOST_SECONDS, _A_SECOND, _SHARE = 3.0, 60.0, 33.0, 0.6
_TCP_PORT = 19999
_SETTINGS = {
    'reloadInterval': '1s', 'reloadsPerMinute': 1000, 'totalReloadsPerMinute': 1000, 'hardStopAfter': '10m',
    'maxconn': 2000, 'tcpPorts': str(_TCP_PORT),
}  # fmt: skip
# Every so many seconds.
_ROLL, _LISTENER, _RELOAD, _KILL = 0.1, 1.0, 1.5, 6.0


def measure(chosen: Chosen) -> Figures:
    """Yield what clients lost in a minute."""
    with Town(chosen.haproxy, 0, **_SETTINGS) as town:
        town.put(0, town.fresh())
        until(lambda: town.answer(0) not in ('404', '503'), 'the host is served')
        events = list[str]()
        with steady.Steady((town.address, town.http), 'p0.example.com', CLIENTS) as clients:
            done = _disturb(town, min(_seconds(chosen.samples), chosen.seconds * _SHARE), events)
        yield from done.items()
        yield 'requests answered', clients.count.answered
        yield 'requests lost', clients.count.lost
        for why in clients.count.named:
            print(f'lost: {why}', file=sys.stderr)
        if clients.count.lost:
            print('meanwhile:', *events, sep='\n  ', file=sys.stderr)


def _seconds(samples: int) -> float:
    return max(_FEWEST_SECONDS, min(_MOST_SECONDS, samples / _A_SECOND))


def _disturb(town: Town, seconds: float, events: list[str]) -> dict[str, float]:
    """Do all of it for so long, note when, and return how often each was done."""
    began, shapes, listening = time.monotonic(), count(1), False
    due = {'rolls': _ROLL, 'listener came or went': _LISTENER, 'shapes that need a reload': _RELOAD, 'kills': _KILL}
    every, done = dict(due), dict.fromkeys(due, 0)
    while (now := time.monotonic() - began) < seconds:
        what = min(due, key=lambda name: due[name])
        time.sleep(max(0.0, due[what] - now))
        due[what] = max(due[what], now) + every[what]
        done[what] += 1
        if what != 'rolls':
            events.append(f'{time.strftime("%H:%M:%S")} {what}')
        match what:
            case 'rolls':
                town.put(0, town.fresh())
            case 'kills':
                town.restart()
            case 'shapes that need a reload':
                town.put(2, town.fresh(), balance=f'hdr:x-{next(shapes)}')
            case _ if listening:
                town.drop(1)
                listening = False
            case _:
                town.put(1, town.fresh(), mode='tcp', port=str(_TCP_PORT))
                listening = True
    return dict(done)
