"""What each change costs on a live HAProxy, by its worker's PID: nothing, commands, or a reload with its reason.

What is found is compared with what is recorded beside this file, from which `make docs` makes docs/reloads.md;
`--update-golden` records it.
"""

import json

import pytest

from agent import changes
from conftest import ROOT, binary
from headrace.annotations import keys
from support.haproxy import Ports
from support.scene import Scene
from support.transitions import TCP_PORTS

RECORDED = ROOT / 'tests' / 'agent' / 'reloads.json'


def recorded():
    """Return what is recorded: what each change cost."""
    rows = json.loads(RECORDED.read_text())
    return {(row['key'], row['what']): row['cost'] for row in rows}


@pytest.fixture(scope='module')
def scene(update_golden):
    """An agent before which all changes are made."""
    ports = Ports(3 + TCP_PORTS)
    made = Scene(binary('haproxy-3.4'), ports, changes.ALL, changes.SHARED)
    made.found = found = {}
    yield made
    made.close()
    ports.close()
    if update_golden and found.keys() >= {item.name for item in changes.ALL}:
        rows = [{'key': item.key, 'what': item.what, 'cost': found[item.name]} for item in changes.ALL]
        RECORDED.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + '\n')


@pytest.mark.parametrize('change', [pytest.param(item, id=item.name) for item in changes.ALL])
def test_a_change_costs_what_the_page_says(scene, change, update_golden):
    scene.found[change.name] = scene.play(change)
    if not update_golden:
        assert scene.found[change.name] == recorded()[change.key, change.what]


def test_each_key_is_changed():
    assert {item.key for item in changes.ALL} - {''} == {key.name for key in keys.KEYS}
