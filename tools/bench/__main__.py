"""`python -m tools.bench`: measure, print a table, and write the figures as JSON.

Parts can be chosen, and how large the clusters are. Times are of this machine while nothing else runs.
"""

import argparse
import json
import platform
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / 'operator'))

from tools.bench import parts  # noqa: E402


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog='python -m tools.bench', description=__doc__)
    parser.add_argument('parts', nargs='*', metavar='PART', help=f'of {", ".join(parts.PARTS)} (all of them)')
    parser.add_argument('--sizes', type=_numbers, default=[100, 1000, 5000, 10_000], help='Services, as in 100,1000')
    parser.add_argument('--samples', type=int, default=2000, help='of what is measured one by one')
    parser.add_argument('--haproxy', default=str(ROOT / 'bin' / 'haproxy-3.4'), help='the binary')
    parser.add_argument('--output', type=Path, default=ROOT / '.cache' / 'bench.json')
    given = parser.parse_args()
    unknown = set(given.parts) - set(parts.PARTS)
    if unknown:
        parser.error(f'no such part: {", ".join(sorted(unknown))}')
    chosen = parts.Chosen(tuple(given.sizes), given.samples, given.haproxy)
    found: dict[str, dict[str, float]] = {}
    for name in given.parts or parts.PARTS:
        began = time.perf_counter()
        found[name] = {}
        for what, value in parts.run(name, chosen):
            found[name][what] = value
            print(f'{name:10} {what:58} {_shown(value):>12}', flush=True)
        print(f'{name:10} {"(this part took, s)":58} {time.perf_counter() - began:12.1f}', flush=True)
    machine = {'python': platform.python_version(), 'machine': platform.machine(), 'sizes': given.sizes}
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps({**machine, 'samples': given.samples, 'figures': found}, indent=2) + '\n')
    print(f'written to {given.output}')


def _numbers(text: str) -> list[int]:
    return sorted({int(part) for part in text.split(',')})


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f'{value:.4g}'


if __name__ == '__main__':
    main()
