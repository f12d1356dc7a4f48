"""The file of a run: the machine, what was asked for, and what each part has found, one figure a line.

Each part says for itself when it was measured, of which commit, with which sizes, and how busy the machine was, because parts can
be measured one by one into the same file.
"""

import datetime as dt
import json
import os
import platform
import re
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shutil import which

import msgspec
from tools.bench.figures import Figure

ROOT = Path(__file__).resolve().parent.parent.parent
FORMAT = 1
_LOOKS = 20


@dataclass(frozen=True, slots=True)
class PartReport:
    """What a part has found; `hole` says why figures are missing, and `load` how many others ran or waited for a core before."""

    commit: str
    began: str
    load: float
    asked: dict[str, int | list[int]] = field(default_factory=dict)
    seconds: float = 0.0
    budget: float = 0.0
    hole: str = ''
    failed: bool = False
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A run of the bench."""

    machine: dict[str, str | int]
    parts: dict[str, PartReport] = field(default_factory=dict)
    format: int = FORMAT

    def figure(self, part: str, name: str) -> Figure | None:
        """Return a figure by its whole name, None where it was not found."""
        found = self.parts.get(part)
        return next((each for each in found.figures if each.name == name), None) if found else None


class ReportError(Exception):
    """A file is not one of a run of this bench."""


def load(path: Path) -> Report:
    """Read a file of a run; raises ReportError."""
    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError) as error:
        raise ReportError(f'{path}: {error}') from error
    if report.format != FORMAT:
        raise ReportError(f'{path}: format {report.format}, and not {FORMAT}')
    return report


def text(report: Report) -> str:
    """Return the file of a run: JSON with a line for each figure, so that two runs can be compared as text too."""
    head = {'format': report.format, 'machine': report.machine}
    parts = []
    for name, part in report.parts.items():
        facts = {key: value for key, value in asdict(part).items() if key != 'figures'}
        lines = ',\n'.join(f'   {json.dumps(asdict(figure), ensure_ascii=False)}' for figure in part.figures)
        parts.append(
            f'  {json.dumps(name)}: {json.dumps(facts, ensure_ascii=False)[:-1]}, "figures": [\n{lines}\n  ]}}'
        )
    return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "parts": {{\n' + ',\n'.join(parts) + '\n}}\n'


def write(path: Path, report: Report) -> None:
    """Write the file of a run, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.new')
    temporary.write_text(text(report), encoding='utf-8')
    temporary.replace(path)


def begun(asked: dict[str, int | list[int]], budget: float = 0.0) -> PartReport:
    """Return the report of a part that begins now."""
    moment = dt.datetime.now(dt.UTC).isoformat(timespec='seconds')
    return PartReport(commit(), moment, round(_running(), 1), asked, budget=round(budget))


def _running() -> float:
    """Return how many other threads ran or waited for a core during a second; the load of a minute has the part before too."""
    found = list[int]()
    for _ in range(_LOOKS):
        found.append(int(Path('/proc/stat').read_text().partition('procs_running ')[2].split()[0]) - 1)
        time.sleep(1 / _LOOKS)
    return sum(found) / _LOOKS


def commit() -> str:
    """Return the commit that is measured, with a + where files differ from it; '' outside of a repository."""
    head = _said('git', '-C', str(ROOT), 'rev-parse', '--short=12', 'HEAD')
    changed = head and _said('git', '-C', str(ROOT), 'status', '--porcelain', '--untracked-files=no')
    return f'{head}+' if changed else head


def machine(haproxy: str) -> dict[str, str | int]:
    """Return what this machine is, and the versions that matter."""
    processor = re.search(r'^model name\s*: (.*)$', Path('/proc/cpuinfo').read_text(), re.MULTILINE)
    pages = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    api_server = ROOT / 'bin' / 'kube-apiserver'
    return {
        'processor': processor[1] if processor else platform.machine(),
        'cores': len(os.sched_getaffinity(0)),
        'memory, GB': round(pages / 2**30),
        'kernel': platform.release(),
        'python': platform.python_version(),
        'haproxy': _version(_said(haproxy, '-v')),
        'kubernetes': _version(_said(str(api_server), '--version')),
        'nft': _version(_said('nft', '--version')),
    }


def _version(said: str) -> str:
    found = re.search(r'\d+\.\d+(\.\d+)?', said)
    return found[0] if found else ''


def _said(*command: str) -> str:
    if not which(command[0]):
        return ''
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
