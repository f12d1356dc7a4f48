"""A run of the benchmark: what its file says, how parts come to their end, and how two runs are compared."""

import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from tools.bench import against, figures, report, running
from tools.bench.catalogue import PARTS
from tools.bench.figures import Better, Figure, Hole
from tools.bench.report import PartReport, Report

from conftest import ROOT
from support import waiting

READ = (
    ('5000: cold start, s', 's', Better.LOWER),
    ('100: to HAProxy, ms, p99', 'ms', Better.LOWER),
    ('HTTP/1.1, one map: rendered, µs of CPU', 'µs', Better.LOWER),
    ('keep-alive: direct: p50, µs', 'µs', Better.LOWER),
    ('agent RSS, MB', 'MB', Better.LOWER),
    ('an endpoint, bytes (tracemalloc)', 'bytes', Better.LOWER),
    ('HTTP/1.1, one map: requests per CPU second, ratio', 'ratio', Better.HIGHER),
    ('keep-alive: headrace, TCP: ratio to direct', 'ratio', Better.HIGHER),
    ('100: request p99, ratio', 'ratio', Better.LOWER),
    ('keep-alive: direct: requests/s', 'requests/s', Better.HIGHER),
    ('plain, requests a CPU second', 'requests/s', Better.HIGHER),
    ('10 Services: statuses written in a second', '1/s', Better.HIGHER),
    ('10 Services: CPU when idle, percent of a core', '% of a core', Better.LOWER),
    ('reloads, all', '', Better.LOWER),
    ('reloads by profile, good', '', Better.LOWER),
    ('20: with a Service: answers 503', '', Better.LOWER),
    ('20: answers other than 404 and 200', '', Better.LOWER),
    ('20: add all: commands', '', Better.NEITHER),
    ('propagation: samples', '', Better.NEITHER),
)


@pytest.mark.parametrize(('name', 'unit', 'better'), READ, ids=[row[0] for row in READ])
def test_unit_and_direction_follow_from_the_name(name, unit, better):
    assert figures.read(name, 1.5) == Figure(name, 1.5, unit, better)


@pytest.mark.parametrize(
    ('name', 'size'),
    [('5000: cold start, s', 5000), ('10 Services: statuses', 10), ('50 changes/s: to HAProxy, ms', 0)],
)
def test_a_name_begins_with_the_size_of_the_cluster(name, size):
    assert figures.read(name, 1).size == size


def run_of(**values):
    found = tuple(figures.read(name, value) for name, value in values.items())
    part = PartReport('abc', '2026-01-01T00:00:00+00:00', 0.1, {'sizes': [10]}, 2.0, 60.0, figures=found)
    return Report({'cores': 2}, {'live': part})


def test_the_file_of_a_run_is_read_back_and_has_a_line_for_each_figure(tmp_path):
    made = run_of(**{'10: cold start, s': 1.25, '10: reloads, all': 0, 'µs of "CPU"': 3})
    path = tmp_path / 'new' / 'bench.json'
    report.write(path, made)
    assert report.load(path) == made
    assert len(path.read_text().splitlines()) == 3 + 4
    assert [item.name for item in path.parent.iterdir()] == ['bench.json']


@pytest.mark.parametrize('content', ['', '{}', '{"format": 7, "machine": {}}'])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / 'bench.json'
    path.write_text(content)
    with pytest.raises(report.ReportError, match=r'bench\.json'):
        report.load(path)


@pytest.mark.parametrize(
    ('name', 'before', 'after', 'verdict'),
    [
        ('cold start, s', 1.0, 1.19, ''),
        ('cold start, s', 1.0, 1.3, 'worse'),
        ('cold start, s', 1.0, 0.5, 'better'),
        ('requests/s', 100, 50, 'worse'),
        ('requests/s', 100, 150, 'better'),
        ('to HAProxy, ms, p99', 1.0, 1.5, ''),
        ('to HAProxy, ms, p99', 1.0, 1.7, 'worse'),
        ('reloads', 0, 0, ''),
        ('reloads', 0, 1, 'worse'),
        ('reloads', 1, 0, 'better'),
    ],
)
def test_a_figure_is_worse_beyond_the_margin_in_its_own_direction(name, before, after, verdict):
    (row,) = against.rows(run_of(**{name: before}), run_of(**{name: after}), 0.2)
    assert row.verdict == verdict


def test_a_comparison_marks_what_is_worse_and_names_what_is_missing():
    earlier = run_of(**{'cold start, s': 1.0, 'agent RSS, MB': 80, 'gone, s': 1, 'commands': 5})
    now = run_of(**{'cold start, s': 2.0, 'agent RSS, MB': 80, 'commands': 9})
    now = replace(now, machine={'cores': 4})
    first, _, *rows, summary, missing = against.lines(earlier, now, 0.2)
    assert first == 'the runs differ in cores'
    assert [row.split()[0:3] for row in rows] == [['live', 'cold', 'start,'], ['live', 'agent', 'RSS,']]
    assert [row.endswith('2.00 worse') for row in rows] == [True, False]
    assert summary == '1 of 2 figures are worse by more than 20% (tails: 60%)'
    assert missing == 'live: 1 figures of the earlier run are missing'


def test_a_run_is_compared_from_its_file_without_measuring(tmp_path):
    for name, value in (('old', 1.0), ('new', 3.0)):
        report.write(tmp_path / name, run_of(**{'cold start, s': value}))
    command = [sys.executable, '-m', 'tools.bench', '--against', tmp_path / 'old', '--compare', tmp_path / 'new']
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, '')
    assert '3.00 worse' in ran.stdout


def has_a_hole():
    yield 'first, s', 1.0
    raise Hole('there is no second')


def fails():
    yield 'first, s', 1.0
    raise ValueError('broken')


def takes_long(folder):
    process = subprocess.Popen(['/bin/sleep', '60'])
    (folder / 'pid').write_text(str(process.pid))
    try:
        yield 'first, s', 1.0
        time.sleep(60)
    finally:
        (folder / 'cleaned').touch()


@pytest.mark.parametrize(
    ('measure', 'problem'),
    [
        (has_a_hole, running.Problem('there is no second')),
        (fails, running.Problem('ValueError: broken', failed=True)),
    ],
)
def test_a_part_keeps_the_figures_that_came_before_its_problem(measure, problem):
    assert list(running.run(measure, 60)) == [Figure('first, s', 1.0, 's', Better.LOWER), problem]


def test_a_part_ends_at_its_budget_with_all_that_it_has_started(tmp_path):
    found = list(running.run(partial(takes_long, tmp_path), 10))
    assert found[1:] == [running.Problem('ended at its budget of 10 s')]
    assert (tmp_path / 'cleaned').exists()
    status = Path('/proc') / (tmp_path / 'pid').read_text() / 'status'
    # An ended process stays as a zombie until its parent waits for it.
    waiting.until(lambda: not status.exists() or 'zombie' in status.read_text(), 'the process is gone')


def test_all_parts_and_ten_minutes_of_building_are_within_an_hour():
    assert sum(part.seconds for part in PARTS.values()) <= 50 * 60
