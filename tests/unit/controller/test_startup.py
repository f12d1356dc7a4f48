"""Which patch takes a startup taint from a Node, and when a Node is looked at."""

import asyncio

import pytest

from headrace.controller.agents import Agent
from headrace.controller.startup import Startup, without
from headrace.kube.calls import ConflictError

TAINT = 'headrace.io/starting'


def node(*keys, version='5'):
    return {'metadata': {'resourceVersion': version}, 'spec': {'taints': [{'key': key} for key in keys]}}


@pytest.mark.parametrize(
    ('found', 'left'),
    [
        pytest.param(node(TAINT), None, id='the only one'),
        pytest.param(node('a', TAINT, 'b'), [{'key': 'a'}, {'key': 'b'}], id='one of some'),
        pytest.param(node(TAINT, TAINT), None, id='with several effects'),
    ],
)
def test_the_taint_goes_and_no_other_from_the_node_that_was_read(found, left):
    assert without(found, TAINT) == {'metadata': {'resourceVersion': '5'}, 'spec': {'taints': left}}


@pytest.mark.parametrize('found', [node(), node('a'), {'metadata': {'resourceVersion': '5'}, 'spec': {}}])
def test_a_node_without_the_taint_is_left_alone(found):
    assert without(found, TAINT) is None


class Calls:
    """Nodes that all have the taint; the first patch meets a conflict."""

    def __init__(self):
        self.asked, self.patched = [], []

    async def node(self, name):
        self.asked.append(name)
        return node(TAINT)

    async def patch_node(self, name, body):
        if not self.patched:
            self.patched.append('')
            raise ConflictError(name)
        self.patched.append(name)


def test_each_agent_that_serves_has_its_node_looked_at_once_and_again_after_a_conflict():
    agents = [Agent('a1', 'node', 3, (), 'n1'), Agent('a2', 'node', 2, (), 'n2'), Agent('e', 'edge', 9, (), '')]
    calls = Calls()
    made = Startup(TAINT, calls, lambda: tuple(agents), lambda: 3)
    for _ in range(3):
        asyncio.run(made.advance())
    assert (calls.asked, calls.patched) == (['n1', 'n1'], ['', 'n1'])
    # The Node came again, with another agent.
    agents[0] = Agent('a3', 'node', 3, (), 'n1')
    asyncio.run(made.advance())
    assert calls.asked == ['n1', 'n1', 'n1']
