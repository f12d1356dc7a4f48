"""An agent refuses a HAProxy that is older than it needs, before it changes anything."""

import pytest

from conftest import binary
from support import fakes
from support.live import Live, until

REFUSED = 'is HAProxy 3.0.11; headrace needs HAProxy 3.4 or later'


@pytest.fixture
def make(tmp_path):
    made = []

    def start(haproxy, **how):
        made.append(Live(haproxy, **how))
        return made[-1]

    yield start
    for each in made:
        each.close()


def ended(live):
    """Start an agent that ends by itself, and return its exit code and what it said."""
    live.begin()
    return live.process.wait(20), live.log.read_text()


def test_an_old_binary_is_refused_and_not_started(make, tmp_path):
    live = make(fakes.old(tmp_path))
    code, said = ended(live)
    assert code == 4
    assert f'{live.haproxy} {REFUSED}' in said
    assert (tmp_path / 'called').read_text() == '-v\n'
    assert not (live.state / 'current').exists()


@pytest.mark.parametrize('start', [False, True], ids=['attached to', 'left by another agent'])
def test_an_old_haproxy_that_runs_is_refused_and_told_nothing(make, start):
    live = make(binary('haproxy-3.4'), start=start)
    with fakes.running(live.sockets) as heard:
        code, said = ended(live)
    assert code == 4
    assert f'the HAProxy that runs {REFUSED}' in said
    assert {line.partition(' ')[0] for line in heard} == {'prompt', 'show'}
    assert not live.haproxies()


def test_an_old_haproxy_that_comes_later_is_refused_too(make):
    live = make(binary('haproxy-3.4'), start=False)
    live.begin()
    until(lambda: live.times('lost the worker'), 'the agent looks for a worker')
    with fakes.running(live.sockets) as heard:
        assert live.process.wait(20) == 4
    assert f'the HAProxy that runs {REFUSED}' in live.log.read_text()
    assert {line.partition(' ')[0] for line in heard} == {'prompt', 'show'}
