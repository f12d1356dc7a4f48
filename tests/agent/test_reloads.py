"""What each change costs on a live HAProxy, by its worker's PID: nothing, commands, or a reload with its reason.

What is found is compared with what is recorded beside this file, from which `make docs` makes docs/reloads.md;
`--update-golden` records it.
"""

import json

import pytest

from agent import changes
from conftest import ROOT, binary
from headrace.annotations import keys
from headrace.haproxy import capabilities
from support.haproxy import Ports
from support.scene import Scene
from support.transitions import TCP_PORTS

RECORDED = ROOT / 'tests' / 'agent' / 'reloads'


def recorded(version):
    """Return what is recorded of a version: what each change cost."""
    rows = json.loads((RECORDED / f'{version}.json').read_text())
    return {(row['key'], row['what']): row['cost'] for row in rows}


@pytest.fixture(scope='module')
def scene(request, update_golden):
    """An agent with one version of HAProxy, before which all changes are made."""
    version, found = request.param, {}
    ports = Ports(3 + TCP_PORTS)
    made = Scene(binary(f'haproxy-{version}'), capabilities.of_version(version), ports, changes.ALL, changes.SHARED)
    made.version, made.found = version, found
    yield made
    made.close()
    ports.close()
    if update_golden and found.keys() >= {item.name for item in changes.ALL}:
        rows = [{'key': item.key, 'what': item.what, 'cost': found[item.name]} for item in changes.ALL]
        path = RECORDED / f'{version}.json'
        path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + '\n')


# The tests of one version share an agent, and so a process of pytest.
VERSIONS = [pytest.param(name, marks=pytest.mark.xdist_group(f'reloads-{name}')) for name in ('3.4', '3.0')]


@pytest.mark.parametrize('scene', VERSIONS, indirect=True)
@pytest.mark.parametrize('change', [pytest.param(item, id=item.name) for item in changes.ALL])
def test_a_change_costs_what_the_page_says(scene, change, update_golden):
    scene.found[change.name] = scene.play(change)
    if not update_golden:
        assert scene.found[change.name] == recorded(scene.version)[change.key, change.what]


def test_each_key_is_changed():
    assert {item.key for item in changes.ALL} - {''} == {key.name for key in keys.KEYS}
