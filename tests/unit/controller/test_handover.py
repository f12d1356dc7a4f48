"""Each step of a hand-over, and that none is taken too early."""

import pytest

from headrace.cluster import reading
from headrace.controller import handover
from headrace.controller.handover import Facts
from support.objects import service

CHOSEN, HANDED = 'headrace.io/node', 'service.kubernetes.io/service-proxy-name'
OURS = {CHOSEN: 'headrace'}


def facts(**given):
    known = {'wished': True, 'blocked': False, 'behind': (), 'waited': 0.0, 'next_epoch': 8}
    return Facts(class_name='headrace', **{**known, **given})


def read(labels=None, **annotations):
    return reading.read(service(labels=labels, annotations=annotations or None, clusterIP='10.96.0.1')).object


@pytest.mark.parametrize(
    ('labels', 'given', 'expected'),
    [
        pytest.param(None, {}, {'labels': OURS, 'annotations': {'headrace.io/epoch': '8'}}, id='a wish is chosen'),
        pytest.param(None, {'blocked': True}, None, id='what cannot be served is not'),
        pytest.param(None, {'wished': False}, None, id='nobody asked'),
        pytest.param(OURS, {'behind': ('n2',)}, None, id='a Node is behind'),
        pytest.param(OURS, {'blocked': True}, None, id='it has become one that cannot be served'),
        pytest.param(OURS, {}, {'labels': {HANDED: 'headrace'}}, id='all have applied it'),
        pytest.param({**OURS, HANDED: 'headrace'}, {}, None, id='done'),
        pytest.param({**OURS, HANDED: 'headrace'}, {'behind': ('n3',)}, None, id='a new Node changes nothing'),
        pytest.param({**OURS, HANDED: 'headrace'}, {'blocked': True}, None, id='a mistake later does not bounce it'),
        pytest.param({**OURS, HANDED: 'headrace'}, {'wished': False}, {'labels': {HANDED: None}}, id='back, first step'),
        pytest.param(OURS, {'wished': False, 'waited': 9.0}, None, id='kube-proxy gets time'),
        pytest.param(OURS, {'wished': False, 'waited': 10.0}, {'labels': {CHOSEN: None}, 'annotations': {'headrace.io/epoch': None}}, id='back, last step'),
        pytest.param({HANDED: 'headrace'}, {'wished': False}, None, id='set by hand to our name'),
        pytest.param({HANDED: 'other'}, {}, None, id='set by hand to another name'),
        pytest.param({**OURS, HANDED: 'other'}, {'wished': False}, {'labels': {CHOSEN: None}, 'annotations': {'headrace.io/epoch': None}}, id='taken by another one'),
    ],
)  # fmt: skip
def test_a_service_takes_the_next_step(labels, given, expected):
    waited = {'waited': 10.0} if labels and labels.get(HANDED) == 'other' else {}
    found = handover.step(read(labels), facts(**{**waited, **given}))
    assert (found or {}).get('metadata') == expected


def test_a_node_is_behind_until_its_agent_has_applied_the_epoch():
    nodes, applied = ('n1', 'n2', 'n3'), {'n1': 5, 'n2': 4}
    assert handover.behind(read(OURS, epoch='5'), nodes, applied) == ('n2', 'n3')
    assert handover.behind(read(OURS, epoch='5'), (), applied) == ()
    # What carries no epoch has been applied by nobody.
    assert handover.behind(read(OURS), nodes, applied) == nodes
