"""The workflows and scripts, as far as they can be judged without being run: ActionLint, ShellCheck, pins, rights."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import headrace
from conftest import ROOT, binary
from support import chart
from support.chart_matrix import MATRIX

WORKFLOWS = sorted((ROOT / '.github' / 'workflows').glob('*.yaml'))
VENV = Path(sys.executable).parent
DIGEST = f'sha256:{"1" * 64}'


def judged(*command, text=None):
    """Return what a judge has to say; nothing if all is well."""
    where = {**os.environ, 'PATH': f'{VENV}:{os.environ["PATH"]}'}
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=where, cwd=ROOT)
    return done.stdout + done.stderr


def test_actionlint_finds_nothing_in_workflows_and_their_scripts():
    assert judged(binary('actionlint', 'make controlplane'), '-no-color', *WORKFLOWS) == ''
    # It has looked at scripts, too.
    wrong = 'on: push\njobs: {a: {runs-on: ubuntu-24.04, steps: [{run: "echo $A"}]}}\n'
    assert 'SC2086' in judged(binary('actionlint', 'make controlplane'), '-no-color', '-', text=wrong)


def test_what_containers_of_the_chart_run_is_sound_shell():
    specs = chart.pod_specs(chart.render(MATRIX['the node role'])).values()
    scripts = {
        command[2]
        for spec in specs
        for container in chart.containers(spec).values()
        for command in [container.get('command', ())]
        if command[:2] == ['/bin/sh', '-euc']
    }
    assert len(scripts) == 3
    for script in scripts:
        # `arrow` and `rest` only take their place.
        assert judged(VENV / 'shellcheck', '--shell=sh', '--exclude=SC2034', '-', text=script) == ''


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_their_content_and_say_their_version(path):
    used = re.findall(r'uses: (.*)', path.read_text())
    assert used
    for each in used:
        assert re.fullmatch(r'[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+', each), each


def test_no_workflow_may_write_but_the_one_that_releases():
    may = {}
    for path in WORKFLOWS:
        document = yaml.safe_load(path.read_text())
        for name, job in document['jobs'].items():
            assert job['timeout-minutes'], name
            rights = job.get('permissions', document['permissions'])
            may[name] = {what for what, how in rights.items() if how != 'read'}
    assert {name: rights for name, rights in may.items() if rights} == {'publish': {'packages', 'id-token'}}


def tracked_locks():
    """Return the lock files of Python packages."""
    listed = subprocess.run(['git', 'ls-files', '*.lock'], cwd=ROOT, check=True, capture_output=True, text=True)
    return sorted(name for name in listed.stdout.split() if '--hash=' in (ROOT / name).read_text())


@pytest.mark.parametrize('vulnerable', ['', 'tools/go.lock', 'requirements.lock'])
def test_an_audit_reads_every_lock_file_strictly_and_fails_where_one_fails(tmp_path, vulnerable):
    asked, program = tmp_path / 'asked', tmp_path / 'pip-audit'
    program.write_text(f'#!/bin/sh\necho "$*" >>{asked}\ncase "$*" in *" {vulnerable or "none"}") exit 1 ;; esac\n')
    program.chmod(0o755)
    environment = {**os.environ, 'PIP_AUDIT': str(program)}
    done = subprocess.run([ROOT / 'tools/audit.sh'], env=environment, cwd='/', check=False, capture_output=True)
    assert done.returncode == int(bool(vulnerable))
    lines = asked.read_text().splitlines()
    assert sorted(line.rpartition(' ')[2] for line in lines) == tracked_locks()
    # Without it, a package that PyPI does not know passes.
    assert all('--strict' in line.split() for line in lines)


def test_the_audit_runs_daily_and_when_a_lock_file_changes():
    document = yaml.safe_load((ROOT / '.github/workflows/audit.yaml').read_text())
    when = document[True]
    assert when['schedule']
    assert all('**.lock' in when[event]['paths'] for event in ('push', 'pull_request'))
    assert [step['run'] for step in document['jobs']['audit']['steps'] if 'run' in step] == ['make audit']


def test_where_releases_go_is_said_once():
    text = '\n'.join(path.read_text() for path in WORKFLOWS)
    assert text.count('ghcr.io') == 1


def test_the_chart_of_a_release_names_its_image(tmp_path):
    where = {**os.environ, 'HELM': binary('helm')}
    words = [ROOT / 'tools' / 'package.sh', 'registry.example.com/o/headrace', DIGEST, tmp_path]
    subprocess.run(words, env=where, check=True, capture_output=True)
    (made,) = tmp_path.iterdir()
    assert made.name == f'headrace-{headrace.__version__}.tgz'
    shown = subprocess.run([binary('helm'), 'template', 'hr', made], check=True, capture_output=True, text=True).stdout
    images = set(re.findall(r'image: (.*)', shown))
    assert images == {
        f'registry.example.com/o/headrace:{headrace.__version__}@{DIGEST}',
        'docker.io/library/haproxy:3.4',
    }
