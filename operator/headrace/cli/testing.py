"""`headrace test`: a table of requests with expected outcomes, judged offline, for a user's CI."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import click
import yaml

from headrace.cli import inputs, output
from headrace.cli.rendering import FILES
from headrace.explain import cases, tracing
from headrace.explain.cases import Case, CaseError
from headrace.explain.request import RequestError
from headrace.resolve.state import State
from headrace.settings.settings import UNREADABLE
from headrace.store import Store

_FAILED = 1
Result = tuple[Path, Case, tuple[str, ...]]


@click.command()
@FILES
@click.option(
    '-t',
    '--cases',
    'tables',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help='Requests and what is expected of each: a file of YAML, may be given more than once.',
)
@click.option(
    '--junit',
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help='Write the results to this file, in the form of JUnit.',
)
@inputs.view_options()
def test(sources: tuple[Path, ...], tables: tuple[Path, ...], junit: Path | None, **options: Any) -> None:
    """Tell of a table of requests whether each has the expected outcome, as `explain --request` finds it.

    Exit code 1: some have not; 2: a table cannot be used.
    """
    view = inputs.view_of(options)
    wanted = [(table, case) for table in tables for case in _read(table)]
    contents = inputs.load(sources, view)
    for line in output.diagnostic_lines(contents.diagnostics):
        click.echo(line, err=True)
    store, state = inputs.build(view, contents.objects)
    began = time.monotonic()
    results = [(table, case, _judge(store, state, table, case)) for table, case in wanted]
    seconds = time.monotonic() - began
    if junit is not None:
        junit.write_bytes(_junit(results, seconds))
    failed = sum(bool(differences) for _, _, differences in results)
    if view.json:
        output.echo_json(
            {'passed': len(results) - failed, 'failed': failed, 'cases': [_value(*each) for each in results]}
        )
    else:
        for line in _lines(results):
            click.echo(line)
        click.echo(f'{len(results) - failed} passed, {failed} failed, in {seconds:.2f} s')
    if failed:
        sys.exit(_FAILED)


def _read(table: Path) -> tuple[Case, ...]:
    """Return the cases of a file; raises CaseError."""
    try:
        return cases.read(yaml.safe_load(table.read_text()))
    except (OSError, CaseError, *UNREADABLE) as error:
        raise CaseError(output.printable(f'{table}: {" ".join(str(error).split())}')) from error


def _judge(store: Store, state: State, table: Path, case: Case) -> tuple[str, ...]:
    try:
        return cases.judge(case.expect, tracing.trace(state, store, case.parsed()))
    except RequestError as error:
        raise CaseError(output.printable(f'{table}: {case.title}: {error}')) from error


def _lines(results: Iterable[Result]) -> Iterable[str]:
    for _, case, differences in results:
        if differences:
            yield click.style('failed', fg='red') + f'  {output.printable(case.title)}'
            yield from (f'        {output.printable(difference)}' for difference in differences)


def _value(table: Path, case: Case, differences: tuple[str, ...]) -> dict[str, object]:
    return {'file': str(table), 'name': case.title, 'request': case.request, 'differences': list(differences)}


def _junit(results: list[Result], seconds: float) -> bytes:
    """Return the results in the form of JUnit, as CI systems read it: a suite for each file, a case for each request."""
    root = ET.Element('testsuites', time=f'{seconds:.3f}')
    suites: dict[Path, ET.Element] = {}
    for table, case, differences in results:
        name = output.printable(str(table))
        if table not in suites:
            suites[table] = ET.SubElement(root, 'testsuite', name=name, tests='0', failures='0')
        suite = suites[table]
        suite.set('tests', str(int(suite.get('tests', '0')) + 1))
        element = ET.SubElement(suite, 'testcase', name=output.printable(case.title), classname=name)
        if differences:
            suite.set('failures', str(int(suite.get('failures', '0')) + 1))
            lines = list(map(output.printable, differences))
            ET.SubElement(element, 'failure', message=lines[0]).text = '\n'.join(lines)
    return bytes(ET.tostring(root, encoding='utf-8', xml_declaration=True))
