"""The process around the agent: it starts it again, passes signals on, and ends when that is meant."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.live import until

# A child that does as it is told by a file of words: one for each start.
CHILD = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
words = (folder / 'words').read_text().split()
number = len(list(folder.glob('start-*')))
(folder / f'start-{number}').write_text(f'{os.getpid()} {time.monotonic()}')
word = words[min(number, len(words) - 1)]
if word == 'wait':
    def told(number, _):
        (folder / f'told-{number}').touch()
        if number == signal.SIGTERM:
            sys.exit(0)
    for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(each, told)
    (folder / 'waits').touch()
    while True:
        time.sleep(0.05)
if word == 'orphan':
    if os.fork() == 0:
        time.sleep(0.1)
        os._exit(0)
    word = '1'
if word == 'killed':
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(word))
"""
SUPERVISE = (
    'import sys; from headrace.supervisor import Supervisor; '
    'sys.exit(Supervisor([sys.executable, "-c", open(sys.argv[1] + "/child").read(), sys.argv[1]]).run())'
)


@pytest.fixture
def supervised(tmp_path):
    """What starts a supervisor whose child ends as the words say, one for each of its starts."""
    started = []

    def start(*words):
        (tmp_path / 'words').write_text(' '.join(words))
        (tmp_path / 'child').write_text(CHILD)
        process = subprocess.Popen(
            [sys.executable, '-c', SUPERVISE, str(tmp_path)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


def starts(folder):
    """Return when the child was started, one time for each start."""
    found = sorted(folder.glob('start-*'), key=lambda path: int(path.name.partition('-')[2]))
    # One that is just being written has no words yet.
    said = [path.read_text().split() for path in found]
    return [float(words[1]) for words in said if len(words) > 1]


def test_a_child_that_fails_is_started_again_after_pauses_that_grow(supervised, tmp_path):
    process = supervised('1', 'killed', '4', 'orphan', '0')
    assert process.wait(30) == 0
    times = starts(tmp_path)
    assert len(times) == 5
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(pause >= least for pause, least in zip(pauses, (0.2, 0.4, 0.8, 1.6), strict=True))
    said = process.stderr.read().decode()
    assert 'ended with 1; it starts again in 0.2 s' in said
    assert 'ended with 137; it starts again in 0.4 s' in said


@pytest.mark.parametrize('code', ['0', '2'])
def test_a_child_that_is_done_or_cannot_work_is_not_started_again(supervised, tmp_path, code):
    assert supervised(code).wait(30) == int(code)
    assert len(starts(tmp_path)) == 1


def test_signals_are_passed_on_and_sigterm_ends_both(supervised, tmp_path):
    process = supervised('wait')
    until((tmp_path / 'waits').exists, 'the child waits')
    for number in (signal.SIGHUP, signal.SIGUSR1):
        process.send_signal(number)
        until((tmp_path / f'told-{int(number)}').exists, 'the child is told')
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert len(starts(tmp_path)) == 1


def test_who_is_told_to_stop_in_a_pause_does_not_wait_for_its_end(supervised, tmp_path):
    process = supervised('1')
    until(lambda: len(starts(tmp_path)) >= 4 and not _children(process.pid), 'a pause that is long')
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 1
    assert time.monotonic() - began < 1.5


def test_an_agent_that_dies_under_its_supervisor_comes_back_and_finds_its_haproxy(live, town):
    one, two = town.pods(2)
    live.web([one], town.port)
    live.start('--supervised')
    worker = live.worker()
    agents = _children(live.process.pid)
    assert len(agents) == 1
    told = live.times('serving')
    os.kill(agents[0], signal.SIGKILL)
    until(lambda: live.times('serving') > told, 'the next one serves')
    live.web([two], town.port)
    live.serves([two])
    assert live.worker() == worker
    assert live.stop() == 0
    until(lambda: not live.haproxies(), 'HAProxy has ended')


def _children(pid):
    return [int(word) for word in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]
