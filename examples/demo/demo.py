"""The demonstration: a small shop of YAML files, followed by headrace and served by a real HAProxy (`make demo`).

Everything that it says is checked; what is not as it says makes the exit code 1. What it plays is in `acts.py`.
Exit codes: 0 all is as said; 1 something is not; 2 it could not be played; 130 it was interrupted.
"""

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from acts import ACTS
from performance import Performance
from pods import PodsError
from stage import Stage, StageError

from agent import HEADRACE, AgentError

HERE = Path(__file__).resolve().parent
DEFAULT_HAPROXY = HERE.parent.parent / 'bin' / 'haproxy-3.4'
WRONG, UNPLAYABLE, INTERRUPTED = 1, 2, 130
GONE = 'headrace, HAProxy and the pods have ended, and their folder is gone.'


class Interruptions:
    """SIGINT and SIGTERM as KeyboardInterrupt, but not in the middle of what has to be whole."""

    def __init__(self) -> None:
        self._held = self._pending = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._come)

    def _come(self, *_: object) -> None:
        if not self._held:
            raise KeyboardInterrupt
        self._pending = True

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold an interruption back until this is left."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._pending:
            raise KeyboardInterrupt


@dataclass(frozen=True)
class Wish:
    """What the command line asks for."""

    haproxy: str
    folder: Path
    stay: bool


def _wish() -> Wish:
    parser = argparse.ArgumentParser(description='Show a small shop, followed by headrace and served by HAProxy.')
    parser.add_argument('--haproxy', default=str(DEFAULT_HAPROXY), metavar='PATH', help='the HAProxy to use')
    parser.add_argument('--folder', type=Path, default=HERE, metavar='PATH', help="another folder with the shop's YAML")
    parser.add_argument('--stay', action='store_true', help='leave it running until Ctrl-C, to try it by hand')
    return Wish(**vars(parser.parse_args()))


def _stay(stage: Stage) -> None:
    print('\nStill running; to try it by hand:')
    print(f"  curl -i -H 'Host: shop.example.com' http://127.0.0.1:{stage.ports['http']}/catalog/shoes")
    print(f'  {HEADRACE} status --admin {stage.agent.admin}')
    print(f'Whoever edits a file of {stage.objects} sees the traffic follow.')
    print('Ctrl-C ends it.', flush=True)
    threading.Event().wait()


def _play(wish: Wish, interruptions: Interruptions) -> int:
    stage = Stage(wish.haproxy)
    performance = Performance(stage)
    try:
        stage.set_up(wish.folder, interruptions.held())
        for act in ACTS:
            act(performance)
        if wish.stay:
            _stay(stage)
    finally:
        # What is half cleaned up is not clean: a second Ctrl-C has to wait.
        with interruptions.held():
            stage.close()
    if performance.wrong:
        print(f'\n{performance.wrong} of {performance.said} things are not as said.')
        return WRONG
    print(f'\nAll {performance.said} things are as said; {GONE}')
    return 0


def main() -> int:
    """Play all acts, and return the exit code."""
    try:
        return _play(_wish(), Interruptions())
    except (StageError, AgentError, PodsError) as error:
        print(f'demo: {error}', file=sys.stderr)
        return UNPLAYABLE
    except KeyboardInterrupt:
        print(f'\nInterrupted; {GONE}')
        return INTERRUPTED


if __name__ == '__main__':
    sys.exit(main())
