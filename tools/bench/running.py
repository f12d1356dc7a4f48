"""Runs a part of the bench: in a process of its own, within its budget of time, and says what came of it.

A part that cannot run here, fails, or takes too long leaves a hole with its reason, and the figures that came before. All that it
has started is in the process group of its process, and ends with it.
"""

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

from tools.bench import figures
from tools.bench.figures import Figure, Figures, Hole

# What a part has for ending what it has started, once its time is over.
_END_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Problem:
    """Why figures are missing; a part that failed has a defect, the others could not run here or not longer."""

    why: str
    failed: bool = False


def run(measure: Callable[[], Figures], seconds: float) -> Iterator[Figure | Problem]:
    """Run a part, which has to be picklable, for at most so long, and yield its figures as they come."""
    context = multiprocessing.get_context('spawn')
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(measure, there))
    deadline = time.monotonic() + seconds
    process.start()
    there.close()
    try:
        while here.poll(max(0.0, deadline - time.monotonic())):
            yield here.recv()
        yield Problem(f'ended at its budget of {seconds:.0f} s')
    except EOFError:
        process.join()
        if process.exitcode:
            yield Problem(f'its process ended with {process.exitcode}', failed=True)
    finally:
        _end(process)


def _end(process: multiprocessing.process.BaseProcess) -> None:
    """End a process with all that it has started: first so that it can clean up."""
    if process.is_alive():
        process.terminate()
        process.join(_END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()


def _work(measure: Callable[[], Figures], there: Connection) -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, _leave)
    with there:
        try:
            for name, value in measure():
                there.send(figures.read(name, value))
        except Hole as hole:
            there.send(Problem(str(hole)))
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and error.code == signal.SIGTERM:
                raise
            traceback.print_exc()
            there.send(Problem(' '.join(f'{type(error).__name__}: {error}'.split())[:500], failed=True))


def _leave(*_: object) -> None:
    """Unwind, so that each context ends what it has started."""
    raise SystemExit(signal.SIGTERM)
