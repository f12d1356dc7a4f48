"""What the documentation tells people to do can be done: links, values, metrics, alerts, commands."""

import json
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from conftest import ROOT, binary
from headrace.cli import main as command_line
from support import chart, prefork

PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').rglob('*.md'))]
HAND = [page for page in PAGES if page.parent.name != 'decisions']
TEXT = '\n'.join(page.read_text() for page in HAND)


def blocks(text):
    """Return the lines of indented blocks, continued ones joined."""
    return re.sub(
        r'\\\n\s*', '', '\n'.join(re.findall(r'^ {4}(\S.*|\s+\S.*)$', re.sub(r'\\\n\s*', '', text), re.MULTILINE))
    ).splitlines()


COMMANDS = sorted({line.strip() for page in HAND for line in blocks(page.read_text())})
CODE = '\n'.join(path.read_text() for path in (ROOT / 'operator' / 'headrace').rglob('*.py'))


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_something(page):
    for target in re.findall(r'\]\(([^)\s]+)\)', page.read_text()):
        if not target.startswith(('http://', 'https://', '#')):
            path, _, anchor = target.partition('#')
            there = (page.parent / path).resolve()
            assert there.exists(), target
            if anchor and there.suffix == '.md':
                titles = re.findall(r'^#+ (.*)$', there.read_text(), re.MULTILINE)
                slugs = {re.sub(r'[^a-z0-9 -]', '', title.lower()).replace(' ', '-') for title in titles}
                assert anchor in slugs or f'id="{anchor}"' in there.read_text(), target


def assignments():
    """Return all values of the chart that the pages set."""
    named = '|'.join(json.loads((chart.CHART / 'values.schema.json').read_text())['properties'])
    return sorted(set(re.findall(rf'(?<![\w.])((?:{named})\.[\w.]+=[^\s`,|]+(?:,\w+\}})?)', TEXT)))


@pytest.mark.parametrize('text', assignments())
def test_every_value_that_is_named_can_be_set(text):
    option = '--set-string' if f'--set-string {text}' in TEXT else '--set'
    assert chart.render(more=[option, text])


def test_the_pages_set_many_values():
    assert len(assignments()) > 10


@pytest.mark.parametrize(
    'text',
    sorted(
        set(
            re.findall(
                r'`((?:edge|haproxy|service|settings(?!\.py)|shutdown|metrics|networkPolicy|image|secrets(?=\.namespaces))\.[\w.]+)`',
                TEXT,
            )
        )
    ),
)
def test_every_value_that_is_spoken_of_is_there(text):
    schema = json.loads((chart.CHART / 'values.schema.json').read_text())
    rule = schema
    for part in text.split('.'):
        rule = schema['$defs'][rule['$ref'].rpartition('/')[2]] if '$ref' in rule else rule
        assert part in rule['properties'], text
        rule = rule['properties'][part]


def metrics():
    """Return the metrics that pages and dashboard speak of."""
    dashboard = (chart.CHART / 'dashboards' / 'headrace.json').read_text()
    return sorted(set(re.findall(r'headrace_\w+[a-z]', f'{TEXT}{dashboard}')))


@pytest.mark.parametrize('name', metrics())
def test_every_metric_that_is_spoken_of_is_there(name):
    assert f"'{re.sub('_(total|bucket)$', '', name)}'" in CODE


def test_the_dashboard_and_the_alerts_can_be_read():
    dashboard = json.loads((chart.CHART / 'dashboards' / 'headrace.json').read_text())
    assert len([one for one in dashboard['panels'] if one['type'] == 'timeseries']) >= 10
    text = (ROOT / 'docs' / 'operations.md').read_text().partition('## Alerts')[2].partition('## ')[0]
    rules = yaml.safe_load(text)['groups'][0]['rules']
    assert all({'alert', 'expr', 'annotations'} <= rule.keys() for rule in rules)


@pytest.mark.parametrize('line', [line for line in COMMANDS if re.match(r'(\.venv/bin/)?headrace ', line)])
def test_every_command_of_ours_has_the_options_it_is_shown_with(line):
    words = shlex.split(line)[1:]
    command = command_line.cli.commands[words[0]]
    if isinstance(command, click.Group) and words[1] in command.commands:
        command = command.commands[words[1]]
    known = {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
    assert {word for word in words if word.startswith('-')} <= known


@pytest.mark.parametrize('target', sorted(set(re.findall(r'`make ([a-z][a-z0-9]*)', TEXT))))
def test_every_make_target_is_there(target):
    assert re.search(rf'^{target}:', (ROOT / 'Makefile').read_text(), re.MULTILINE) or target in (
        'a',
        'the',
        'them',
        'room',
    )


@pytest.mark.parametrize('path', sorted((ROOT / 'examples' / 'services').glob('*.yaml')), ids=lambda path: path.name)
def test_the_examples_are_served(path):
    # The Secret, and the annotation of http.yaml, are the reader's; nothing else may be missing.
    code, text = prefork.run('check', '-f', path, '--tcp-ports', '5432', '--haproxy', binary('haproxy-3.4'))
    assert code == 0, text


def test_every_manifest_is_named_in_the_pages():
    for path in Path(ROOT / 'manifests').iterdir():
        assert f'manifests/{path.name}' in TEXT
