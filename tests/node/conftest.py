"""What the tests of the node role share: the nodes, and an agent on the first of them."""

import os
import shutil
import subprocess

import pytest

from support.fixtures import make_live  # noqa: F401
from support.nodes import NODE, PODS, SECOND, Nodes
from support.objects import node


@pytest.fixture(scope='module')
def nodes():
    """Two nodes, their pods, and a host outside."""
    missing = '' if os.geteuid() == 0 else 'networks of their own need root'
    missing = missing or ('' if shutil.which('nft') else 'nft is missing: run make setup')
    if missing and os.environ.get('HEADRACE_SKIP_NOTHING'):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    made = Nodes()
    yield made
    made.close()


@pytest.fixture
def make_agent(nodes, make_live):  # noqa: F811
    """What makes an agent of the role node on the first node, not started yet; its table goes with the test."""

    def make(**settings):
        made = make_live(addresses=['0.0.0.0', '::'], tcpPorts='', **settings)
        made.role = ('--role', 'node', '--node', 'n1')
        made.put('nodes', *documents())
        return made

    nodes.forget_flows()
    yield make
    subprocess.run(['nft', 'delete', 'table', 'inet', 'headrace'], capture_output=True, check=False)


@pytest.fixture
def agent(make_agent):
    """Such an agent, with HAProxy 3.4."""
    return make_agent()


def documents():
    """Return the Nodes as a cluster knows them."""
    found = []
    for name, addresses, number in (('n1', NODE, 1), ('n2', SECOND, 2)):
        made = node(name, addresses=addresses)
        made['spec'] = {'podCIDRs': [f'10.244.{number}.0/24', f'fd00:244:{number}::/64']}
        found.append(made)
    return found


__all__ = ['PODS', 'agent', 'make_agent', 'nodes']
