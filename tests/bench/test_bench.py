"""The benchmark measures: each part gives figures on a tiny cluster. How good they are is no test's affair."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from tools.bench import parts, varied
from tools.bench.catalogue import PARTS

from conftest import ROOT, binary
from headrace.diagnostics import Level
from support.objects import built

ROOM = 60
LONG = ('soak', 'loss')


def bench(*arguments):
    return subprocess.run(
        [sys.executable, '-m', 'tools.bench', *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def figures(output):
    return {
        name: {figure['name']: figure for figure in part['figures']}
        for name, part in json.loads(output.read_text())['parts'].items()
    }


def test_every_part_gives_figures_and_no_command_is_refused(tmp_path):
    output = tmp_path / 'bench.json'
    asked = ['--sizes', '10,20', '--samples', '10', '--output', output, '--haproxy', binary('haproxy-3.4')]
    ran = bench(*(name for name, part in PARTS.items() if not part.builds and name not in LONG), *asked)
    assert ran.returncode == 0, ran.stderr
    report = json.loads(output.read_text())
    found = figures(output)
    # A machine that cannot have networks of its own says so, and measures the rest.
    able = os.geteuid() == 0 and shutil.which('nft')
    assert able or not os.environ.get('HEADRACE_SKIP_NOTHING')
    assert bool(found['node']) == bool(able)
    assert [name for name, part in report['parts'].items() if part['hole']] == ([] if able else ['node'])
    if not able:
        del found['node']
    else:
        assert len([name for name in found['node'] if name.endswith('ratio to direct')]) == 2 * 5
        direct = {item['value'] for name, item in found['node'].items() if name.endswith('direct: ratio to direct')}
        assert direct == {1}
    assert all(part for part in found.values())
    never = {
        name: item['value']
        for part in found.values()
        for name, item in part.items()
        if name.endswith(('reloads', 'refused'))
    }
    assert len(never) == 17
    assert set(never.values()) == {0}
    assert [found['live'][f'{size}: reloads, all']['value'] for size in (10, 20)] == [0, 0]
    assert len([name for name in found['requests'] if name.endswith('ratio')]) == 9
    # What has neither a unit nor a direction is a number of things.
    counts = [item for part in found.values() for item in part.values() if not item['unit']]
    assert [item['name'] for item in counts if item['value'] != int(item['value'])] == []


def test_a_soak_leaves_nothing_behind_and_no_request_is_lost(tmp_path):
    output = tmp_path / 'bench.json'
    asked = ['--sizes', '10', '--samples', '10', '--reloads', '2', '--changes', '300', '--output', output]
    ran = bench(*LONG, *asked, '--haproxy', binary('haproxy-3.4'))
    assert ran.returncode == 0, ran.stderr
    soak, loss = figures(output)['soak'], figures(output)['loss']
    assert soak['reloads: reloads done']['value'] == 2
    assert soak['reloads: idle clients at last']['value'] == 500
    assert soak['changes: changes done']['value'] >= 300
    assert loss['requests answered']['value'] > 0
    ends = ('left over', 'lost', 'refused', 'errors', 'more than at first', 'changes: reloads')
    never = {name: item['value'] for name, item in {**soak, **loss}.items() if name.endswith(ends)}
    assert len(never) == 18
    assert {name: value for name, value in never.items() if value > 0} == {}


def test_a_part_on_a_control_plane_gives_figures(tmp_path):
    output = tmp_path / 'bench.json'
    ran = bench('cluster', '--sizes', '10', '--samples', '20', '--output', output)
    assert ran.returncode == 0, ran.stderr
    if json.loads(output.read_text())['parts']['cluster']['hole']:
        assert not os.environ.get('HEADRACE_SKIP_NOTHING'), ran.stderr
        pytest.skip(ran.stderr)
    found = figures(output)['cluster']
    assert found['10: API write to request, ms, p50']['value'] >= found['10: API write alone, ms, p50']['value'] > 0


@pytest.mark.parametrize('seed', [7, 1234])
def test_a_varied_cluster_is_whole_and_has_its_kinds_in_their_shares(seed):
    documents = list(varied.cluster(1000, seed))
    made = built(*documents)
    assert [diagnostic for diagnostic in made.all_diagnostics() if diagnostic.level is not Level.INFO] == []
    assert sum(ref.kind == 'Service' for ref in made.fragments) == 1000
    settings = [set(item['metadata']['annotations']) for item in documents[::2]]
    exposed = {f'headrace.io/{key}' for key in ('enabled', 'mode', 'host')}
    plain = sum(not given - exposed for given in settings)
    assert abs(plain - 400) < ROOM
    backend = sum(
        any(key.startswith(('headrace.io/check', 'headrace.io/timeout')) for key in given) for given in settings
    )
    assert abs(backend - 300) < ROOM
    access = sum(bool(given & {'headrace.io/allow', 'headrace.io/rate-limit'}) for given in settings)
    # A TCP Service has these in the place of headers, a redirect or CORS.
    assert abs(access - (100 + 200 / 5)) < ROOM


@pytest.mark.parametrize('network', [10, parts.HERE])
def test_every_endpoint_of_a_varied_cluster_is_a_server(network):
    model = parts.Model(parts.objects(50, network=network))
    assert {each.reason for each in model.state.all_diagnostics()} & {'EndpointRefused', 'NoEndpoints'} == set()
    backends = [name for name in model.files() if 'backends' in name]
    assert sum(model.files()[name].count(b'\n  server ') for name in backends) == 50 * 10


def test_another_seed_changes_settings_only():
    first, second = list(varied.cluster(100, 7)), list(varied.cluster(100, 8))
    assert [item for item in first if item['kind'] == 'EndpointSlice'] == [
        item for item in second if item['kind'] == 'EndpointSlice'
    ]
    assert first != second
    assert list(varied.cluster(100, 7)) == first
