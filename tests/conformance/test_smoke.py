"""Some conformance tests of the Gateway API on a real node, of each profile; `make conformance` runs all of them."""

import pytest

from conformance import cluster, installation, suite
from conftest import ROOT
from support.machine import UnableError, hierarchies

pytestmark = pytest.mark.timeout(900)
TESTS = (
    'HTTPRouteSimpleSameNamespace', 'HTTPRouteMatching', 'HTTPRouteWeight', 'HTTPRouteHTTPSListener',
    'HTTPRouteInvalidCrossNamespaceBackendRef', 'GRPCExactMethodMatching', 'TLSRouteSimpleSameNamespace',
    'TCPRouteWeightedRouting', 'UDPRoute',
)  # fmt: skip


@pytest.fixture(scope='module')
def ends():
    """How each of the tests ends."""
    for folder in ('node', 'conformance'):
        missing = ROOT / 'bin' / f'{folder}.missing'
        if missing.exists():
            pytest.skip(f'there can be no node here: {missing.read_text().strip()}')
        assert (ROOT / 'bin' / folder).is_dir(), f'bin/{folder} is missing: run make conformance-tools'
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
