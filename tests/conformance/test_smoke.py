"""Some conformance tests of the Gateway API on a real node, of each profile; `make conformance` runs all of them.

They are asked for by HEADRACE_CONFORMANCE=1, and then need what `make conformance` builds.
"""

import os

import pytest

from conformance import cluster, installation, suite
from support.machine import UnableError, hierarchies

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif('HEADRACE_CONFORMANCE' not in os.environ, reason='HEADRACE_CONFORMANCE=1 asks for it'),
]
TESTS = (
    'HTTPRouteSimpleSameNamespace', 'HTTPRouteMatching', 'HTTPRouteWeight', 'HTTPRouteHTTPSListener',
    'HTTPRouteInvalidCrossNamespaceBackendRef', 'GRPCExactMethodMatching', 'TLSRouteSimpleSameNamespace',
    'TCPRouteWeightedRouting', 'UDPRoute',
)  # fmt: skip


@pytest.fixture(scope='module')
def ends():
    """How each of the tests ends."""
    try:
        hierarchies()
    except UnableError as error:
        pytest.skip(f'there can be no node here: {error}')
    kept = cluster.running()
    try:
        yield suite.run(installation.prepare(), TESTS, stay=True)
    finally:
        if not kept:
            cluster.stop()


@pytest.mark.parametrize('name', TESTS)
def test_headrace_passes(ends, name):
    assert ends.get(name, ('FAIL',))[0] == 'PASS', f'see {suite.LOG}'
