"""The page about performance has the tables of its run, and the plot shows the same figures."""

import xml.etree.ElementTree as ET

import pytest
from tools.bench import figures, plot, report, tables, targets
from tools.bench.report import PartReport, Report
from tools.bench.targets import Target

from conftest import ROOT

PAGE = """before
<!-- bench: live -->
| by hand |
<!-- end of bench -->
after
"""


def run_of(part, **values):
    found = tuple(figures.read(name, value) for name, value in values.items())
    made = PartReport('abc', '2026-01-01T00:00:00+00:00', 0.1, {'samples': 10}, 2.0, 60.0, 'no nft', figures=found)
    return Report({'cores': 2}, {part: made})


def test_what_stands_between_the_marks_is_made_anew_and_the_rest_stays():
    values = {'100: cold start, s': 4.04, '5000: cold start, s': 3, '100: agent RSS, MB': 82.26}
    made = tables.filled(PAGE, run_of('live', **values))
    assert made.startswith('before\n<!-- bench: live -->\n| N | cold start, s | agent, MB |')
    assert made.endswith('<!-- end of bench -->\nafter\n')
    assert [line.split(' | ')[:3] for line in made.splitlines() if line[2:3].isdigit()] == [
        ['| 100', '4.04', '82.3'],
        ['| 5,000', '3', '–'],
    ]
    assert '`live`: 2026-01-01, commit abc' in made
    assert 'no nft' in made
    assert tables.filled(made, run_of('live', **values)) == made


def test_a_part_without_figures_says_so():
    assert 'The part `live` was not measured.' in tables.filled(PAGE, run_of('node'))


def test_an_unknown_table_is_an_error():
    with pytest.raises(tables.UnknownTableError, match='lively'):
        tables.filled(PAGE.replace('live', 'lively'), run_of('live'))


@pytest.mark.parametrize(
    ('target', 'value', 'met'),
    [
        (Target('', 'ms', 4, 'live', 'a, ms'), 5.0, False),
        (Target('', 'ms', 4, 'live', 'a, ms', minus='b, ms'), 3.0, True),
        (Target('', '', 2, 'live', 'a, ms', over='b, ms', at_least=True), 2.5, True),
        (Target('', '', 3, 'live', '[ab], ms', at_least=True), 2.0, False),
        (Target('', '', 3, 'live', '[ab], ms'), 5.0, False),
    ],
)
def test_a_target_is_judged_by_the_worst_of_its_figures(target, value, met):
    found = target.found(run_of('live', **{'a, ms': 5.0, 'b, ms': 2.0}))
    assert (found, target.met(found)) == (value, met)


def test_a_target_that_was_not_measured_is_neither_met_nor_missed():
    assert {row[2:] for row in targets.rows(run_of('live'))} == {('–', '–')}


def test_the_plot_has_a_point_for_each_figure_within_its_panel():
    values = {f'{n}: cold start, s': n / 1000 for n in (100, 1000, 10_000)}
    values |= {f'{n}: 50 changes/s: to the first request, ms, p99': n / 50 for n in (100, 10_000)}
    latency, start = plot.panels(run_of('live', **values))
    assert [text for _, text in start.across.ticks] == ['0', '5,000', '10,000']
    assert [text for _, text in start.up.ticks] == ['0', '2', '4', '6', '8', '10']
    assert start.lines[0].places == ((2.3, 188.1), (23.0, 171.0), (230.0, 0.0))
    assert [text for _, text in latency.up.ticks] == ['1', '10', '100', '1,000']
    assert latency.lines[0].dashed


def test_the_plot_of_the_page_is_a_picture_with_all_that_its_run_has():
    run = report.load(ROOT / 'docs' / 'performance.json')
    drawn = ET.parse(ROOT / 'docs' / 'performance.svg')
    circles = list(drawn.iter('{http://www.w3.org/2000/svg}circle'))
    assert len(circles) == sum(len(line.places) for panel in plot.panels(run) for line in panel.lines)
    assert circles
