"""The end-to-end tests of Kubernetes can be started, and nothing of what came of them is left out."""

import json
import os
import subprocess
import sys

import pytest

from conftest import ROOT
from e2e import outcome

_REPORT = """\
<testsuites><testsuite>
<testcase name="[It] [sig-network] Services one [sig-network]" status="passed" time="1"/>
<testcase name="[It] [sig-network] Services two [sig-network]" status="skipped" time="1">
<skipped message="skipped - Requires at least 2 nodes (not -1)"/></testcase>
<testcase name="[It] [sig-network] Services three [sig-network]" status="skipped" time="0">
<skipped message="skipped"/></testcase>
<testcase name="[SynchronizedBeforeSuite]" status="passed" time="1"/>
</testsuite></testsuites>
"""


def test_a_test_that_skips_itself_is_told_with_its_reason(tmp_path):
    (tmp_path / 'services.json').write_text(json.dumps([]))
    (tmp_path / 'ginkgo').mkdir()
    (tmp_path / 'ginkgo' / 'report.xml').write_text(_REPORT)
    found = outcome.read(tmp_path)
    assert [(each.name, each.end, each.why) for each in found] == [
        ('Services one', 'passed', ''),
        ('Services two', 'skipped', 'Requires at least 2 nodes (not -1)'),
    ]
    assert '1 skipped; of 0 of them headrace had all Services, 1 have none' in outcome.lines(found)


@pytest.mark.parametrize(
    ('folder', 'words'),
    [
        pytest.param('tests', ['-m', 'e2e', '--help'], id='run'),
        pytest.param('tools', ['-c', 'import build_e2e; build_e2e.MODULE.version()'], id='build'),
    ],
)
def test_what_make_e2e_starts_finds_all_that_it_needs(folder, words):
    environment = {**os.environ, 'PYTHONPATH': '..'}
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT / folder, env=environment, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
