"""Clients in a process of their own, so that many of them do not slow others down: `python -m support.pressure PORT HOST …`.

They ask until their standard input ends, then finish what they have asked, and print what came as one JSON object.
"""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

from support.traffic import Load, Town

TESTS = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def pressure(live, *, kept=50, new_each_second=200.0, pause=0.05, host='shop.example.com'):
    """Let clients ask meanwhile, a third of the requests as POST; what they lost fails the test.

    Yields a dictionary, which has `answered`, `pods`, `lost` and `slowest` afterwards.
    """
    command = [sys.executable, '-m', 'support.pressure', live.ports['http'], host, kept, new_each_second, pause]
    found = {}
    process = subprocess.Popen(
        [*map(str, command)], cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == 'asking\n'
        yield found
        said, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    found |= json.loads(said)
    assert found['answered'] > 0
    assert not found['lost'], found['lost'][:5]


def _main():
    port, host, kept, new_each_second, pause = sys.argv[1:]
    town = Town()
    load = Load(town, int(port), kept=int(kept), new_each_second=float(new_each_second), host=host, pause=float(pause))
    sys.stdout.write('asking\n')
    sys.stdout.flush()
    sys.stdin.read()
    load.stop()
    slowest = max(load.times, default=0.0)
    print(json.dumps({'answered': load.answered, 'lost': load.lost, 'pods': load.pods, 'slowest': slowest}))  # noqa: T201
    town.close()


if __name__ == '__main__':
    _main()
