"""What all tests share: the real binaries, and the options: golden files anew, load for longer."""

import contextlib
import os
import secrets
from pathlib import Path

import pytest
from hypothesis import settings
from pytest_rerunfailures import StatusDB
from xdist.scheduler import LoadFileScheduling

from support import logs, network
from support.api import collection
from support.controlplane import ControlPlane

# How long an example takes says more of the machine than of what is tested.
settings.register_profile('headrace', deadline=None)
settings.load_profile('headrace')
ROOT = Path(__file__).resolve().parent.parent
# Each process of headrace that a test starts would compile all of its modules anew.
os.environ.pop('PYTHONDONTWRITEBYTECODE', None)
READ_BY_DATA_PLANES = (
    ('Pod', 'v1'),
    ('Service', 'v1'),
    ('Secret', 'v1'),
    ('Ingress', 'networking.k8s.io/v1'),
    ('EndpointSlice', 'discovery.k8s.io/v1'),
)


def pytest_addoption(parser):
    parser.addoption('--update-golden', action='store_true', help='write what is rendered to the golden folders')
    parser.addoption('--load-seconds', type=float, default=14.0, help='how long tests under full load go on')


# They start no process, so only what an earlier test has left behind can make them fail once and not again.
PURE = ('unit', 'golden', 'properties')


# About how many seconds a test takes, by its folder or file: what is expected to be long is begun first.
SECONDS = {
    'realnode': 12.0,
    'conformance/test_smoke.py': 12.0,
    'bench': 12.0,
    'node': 4.0,
    'node/test_versions.py': 18.0,
    'faults': 4.0,
    'faults/test_load.py': 15.0,
    'kube': 4.0,
    'kube/test_classes.py': 12.0,
    'kube/test_epochs.py': 8.0,
    'kube/test_floods.py': 15.0,
    'kube/test_versions.py': 7.0,
    'demo': 3.0,
    'controlplane': 1.5,
    'agent': 1.0,
    'agent/test_drawn.py': 12.0,
    'security': 0.4,
    'security/test_slow_checks.py': 4.0,
    'properties': 0.2,
    'properties/test_adoptions.py': 4.0,
    'properties/test_models.py': 5.0,
    'properties/test_plans.py': 3.0,
    'cli': 0.2,
    'cli/test_hostile.py': 1.2,
    'chart': 0.2,
    'chart/test_helm.py': 5.0,
    'chart/test_gateway_release.py': 15.0,
    'chart/test_pod.py': 4.0,
    'chart/test_release.py': 4.0,
    'golden': 0.2,
    'haproxy': 0.1,
    'haproxy/test_transitions.py': 0.3,
    'web': 4.0,
    'web/test_browser.py': 12.0,
    'unit': 0.01,
    'unit/kube/test_kopf.py': 1.5,
}


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    # pytest-rerunfailures asks its controller over TCP before each test whether it crashed a worker, and waits 40 ms for
    # a delayed acknowledgement. No worker is replaced here, so no test comes back after a crash.
    if hasattr(config, 'workerinput'):
        config.failures_db.sock.close()
        config.failures_db = StatusDB()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        folder = item.path.relative_to(ROOT / 'tests').parts[0]
        # A loaded machine fails one of thousands of tests of live processes now and then; the summary names each. What a
        # fuzzer finds is a finding at once: a second try draws other examples.
        pure = folder in PURE or item.path.name.startswith('test_fuzz_')
        item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=['UnraisableException'] if pure else None))


class Files(LoadFileScheduling):
    """Gives each worker whole files, so that what a module shares is started once, and long ones first.

    The tests on real nodes, which follow each other, stay together too: one such node is enough at a time.
    """

    def _split_scope(self, nodeid):
        on_node = nodeid.startswith(('tests/realnode/', 'tests/conformance/test_smoke'))
        return 'real node' if on_node else super()._split_scope(nodeid)

    def _assign_work_unit(self, node):
        self.workqueue.move_to_end(max(self.workqueue, key=self._expected), last=False)
        super()._assign_work_unit(node)

    def _expected(self, scope):
        """Return about how many seconds a scope takes."""
        nodeids = self.workqueue[scope]
        file = next(iter(nodeids)).partition('::')[0].removeprefix('tests/')
        return len(nodeids) * SECONDS.get(file, SECONDS.get(file.partition('/')[0], 1.0))


def pytest_xdist_make_scheduler(config, log):
    return Files(config, log) if config.getvalue('dist') == 'loadfile' else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed:
        report.sections += [(f'the end of {path}', text) for path, text in logs.shown()]
    return report


def pytest_terminal_summary(terminalreporter):
    """Report each test that had a second try as a finding; on GitHub as an annotation of the run."""
    found = sorted({report.nodeid for report in terminalreporter.stats.get('rerun', ())})
    if not found:
        return
    mark = '::warning title=second try::' if os.environ.get('GITHUB_ACTIONS') else 'FINDING '
    terminalreporter.section('findings: tests that failed at their first try', yellow=True)
    for nodeid in found:
        terminalreporter.line(f'{mark}{nodeid} failed at its first try: find the cause')


@pytest.fixture(scope='session')
def update_golden(request):
    """Whether golden files are to be written instead of compared."""
    return request.config.getoption('--update-golden')


def binary(name, made_by='make setup'):
    """Return the path of a binary in bin/; its absence is a failure, never a skip."""
    path = ROOT / 'bin' / name
    if not os.access(path, os.X_OK):
        pytest.fail(f'{path} is missing: run {made_by}')
    return str(path)


@pytest.fixture(scope='session')
def haproxy_34():
    """The binary of HAProxy 3.4."""
    return binary('haproxy-3.4')


@pytest.fixture(scope='session')
def control_plane():
    """A real Kubernetes control plane, shared by all tests that ask for it."""
    for name in ('etcd', 'kube-apiserver', 'kube-controller-manager'):
        binary(name, 'make controlplane')
    network.isolate()
    with ControlPlane() as plane:
        yield plane


def node_names(api):
    """Return the names of the Nodes of a control plane."""
    return {item['metadata']['name'] for item in api.get(collection('Node'))['items']}


@contextlib.contextmanager
def temporary_namespace(api):
    """Yield the name of a new namespace; what a data plane could read in it is gone at its end, and so are Nodes."""
    name, before = f'test-{secrets.token_hex(4)}', node_names(api)
    api.create({'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': name}})
    try:
        yield name
    finally:
        # A Node that a failed test leaves would hold up every hand-over of later tests.
        for node in node_names(api) - before:
            api.delete(f'{collection("Node")}/{node}')
        # The namespace itself needs more than five seconds to go.
        api.delete(f'{collection("Namespace")}/{name}')
        for kind, version in READ_BY_DATA_PLANES:
            # No kubelet would end a pod gracefully.
            api.request('DELETE', collection(kind, name, version), gracePeriodSeconds=0)


@pytest.fixture
def namespace(control_plane):
    """The name of a new namespace, for one test."""
    with temporary_namespace(control_plane.api) as name:
        yield name
