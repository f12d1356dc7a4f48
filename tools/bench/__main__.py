"""`python -m tools.bench`: measure, print a table, and write the figures as JSON.

Parts can be chosen, and how large the clusters are. All parts together take less than an hour; each has a budget of time,
and a part that cannot run on this machine says so. Times are of a machine that does nothing else.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / 'operator'))

from tools.bench import against, report, running, targets  # noqa: E402
from tools.bench.catalogue import PARTS  # noqa: E402
from tools.bench.figures import Figure  # noqa: E402
from tools.bench.parts import Chosen  # noqa: E402
from tools.bench.report import PartReport, Report, ReportError  # noqa: E402

_MINUTE = 60.0
# A part with less time than this says nothing.
_SHORTEST = 10.0


def main() -> int:
    """Measure what was asked for; return the exit code, which is 1 where a part failed."""
    parser = _parser()
    given = parser.parse_args()
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error(f'no such part: {", ".join(sorted(unknown))}')
    try:
        earlier = report.load(given.against) if given.against else None
        found = report.load(given.compare) if given.compare else _measured(given)
    except ReportError as error:
        parser.error(str(error))
    for what, bound, value, met in targets.rows(found):
        if value != '–':
            print(f'target: {what}: {bound}: {value}{"" if met == "yes" else ", missed"}')
    if earlier:
        print('\n'.join(against.lines(earlier, found, given.margin)))
    holes = {name: part for name, part in found.parts.items() if part.hole}
    for name, part in holes.items():
        print(f'{name}: {part.hole}', file=sys.stderr)
    return int(any(part.failed for part in holes.values()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='python -m tools.bench', description=__doc__)
    parser.add_argument('parts', nargs='*', metavar='PART', help=f'of {", ".join(PARTS)} (all of them)')
    parser.add_argument('--sizes', type=_numbers, default=[100, 1000, 5000, 10_000], help='Services, as in 100,1000')
    parser.add_argument('--samples', type=int, default=2000, help='of what is measured one by one')
    parser.add_argument('--haproxy', default=str(ROOT / 'bin' / 'haproxy-3.4'), help='the binary')
    parser.add_argument('--reloads', type=int, default=200, help='of a soak, as far as its time goes (200)')
    parser.add_argument('--changes', type=int, default=1_000_000, help='the same of endpoints (a million)')
    parser.add_argument('--minutes', type=float, default=60.0, help='for all parts, and what has to be built for them')
    parser.add_argument(
        '--output', type=Path, default=ROOT / '.cache' / 'bench.json', help='parts that are named replace those in it'
    )
    parser.add_argument('--against', type=Path, metavar='FILE', help='compare with an earlier run')
    parser.add_argument('--compare', type=Path, metavar='FILE', help='measure nothing, compare this run with --against')
    parser.add_argument(
        '--margin', type=float, default=0.2, help='by which a figure may be worse (0.2); tails three times'
    )
    return parser


def _measured(given: argparse.Namespace) -> Report:
    """Measure the parts that were asked for, one after the other, and write the file after each."""
    deadline = time.monotonic() + given.minutes * _MINUTE
    chosen = Chosen(tuple(given.sizes), given.samples, given.haproxy, given.reloads, given.changes)
    names = list(dict.fromkeys(given.parts)) or list(PARTS)
    unbuilt = _build({script: None for name in names for script in PARTS[name].builds})
    asked = {'sizes': given.sizes, 'samples': given.samples}
    found = Report(report.machine(given.haproxy))
    if given.parts and given.output.is_file():
        before = report.load(given.output)
        if before.machine == found.machine:
            found.parts.update(before.parts)
    for name in names:
        # Parts that are asked for by name share all the time that there is.
        left = deadline - time.monotonic()
        seconds = left if given.parts else min(PARTS[name].seconds, left)
        problem = next((unbuilt[script] for script in PARTS[name].builds if script in unbuilt), '')
        if not problem and seconds < _SHORTEST:
            problem = f'no time is left of {given.minutes:.0f} minutes'
        begun = report.begun(asked, seconds)
        found.parts[name] = replace(begun, hole=problem) if problem else _part(name, begun, chosen, seconds)
        # In their order, whichever of them came before.
        found = replace(found, parts={each: found.parts[each] for each in PARTS if each in found.parts})
        report.write(given.output, found)
    print(f'written to {given.output}')
    return found


def _part(name: str, made: PartReport, chosen: Chosen, seconds: float) -> PartReport:
    began = time.monotonic()
    figures = list[Figure]()
    for said in running.run(partial(PARTS[name].measure, replace(chosen, seconds=seconds)), seconds):
        if isinstance(said, Figure):
            figures.append(said)
            print(f'{name:14} {said.name:70} {said.text:>12} {said.unit}'.rstrip(), flush=True)
        else:
            made = replace(made, hole=said.why, failed=said.failed)
            print(f'{name:14} {said.why}', flush=True)
    took = round(time.monotonic() - began, 1)
    print(f'{name:14} {"(this part took)":70} {took:12.1f} s', flush=True)
    return replace(made, seconds=took, figures=tuple(figures))


def _build(scripts: Iterable[str]) -> dict[str, str]:
    """Build what parts need, and return why that was not possible, by script."""
    if os.geteuid():
        return dict.fromkeys(scripts, 'a network namespace of its own needs root')
    failed = {}
    for script in scripts:
        done = subprocess.run(
            [sys.executable, f'tools/{script}'], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            failed[script] = f'tools/{script}: {" ".join(done.stderr.split())[-300:]}'
    return failed


def _numbers(text: str) -> list[int]:
    return sorted({int(part) for part in text.split(',')})


if __name__ == '__main__':
    sys.exit(main())
