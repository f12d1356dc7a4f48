"""headrace in the cluster: its chart with the image of this checkout, the definitions of the API, and the GatewayClass."""

import collections
import hashlib
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

from conformance import cluster, operator_image
from conftest import ROOT

NAMESPACE, RELEASE, CLASS = 'headrace-system', 'headrace', 'gateway-conformance'
_CHART, _VALUES = ROOT / 'charts' / 'headrace', ROOT / 'tests' / 'conformance' / 'values.yaml'
# The workloads, and which of their containers is the operator.
_WORKLOADS = {
    f'deployment/{RELEASE}-edge': 'operator',
    f'deployment/{RELEASE}-controller': 'controller',
    f'daemonset/{RELEASE}-node': 'operator',
}
# A backend whose route is gone has no server for a moment.
_PROBLEM = re.compile(r'"level": "(warning|error|critical)"|\] \[ALERT\](?!.*has no server available)')
_ROUTES = 'httproutes,grpcroutes,tlsroutes,tcproutes,udproutes,backendtlspolicies,listenersets,referencegrants'
_BASE_GATEWAYS = ('same-namespace', 'same-namespace-with-https-listener', 'all-namespaces', 'backend-namespaces')
# Where an agent tells its metrics.
_ADMIN = 8405
_CLASS = f"""\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: {CLASS}}}
spec: {{controllerName: headrace.io/gateway-controller}}
"""


def prepare(channel='experimental', *, anew=False):
    """Return the cluster, started if none runs, with this checkout in it; print how long each step took.

    Its image is one that Docker has built `anew`, or the files that differ over an older one.
    """
    begun = time.monotonic()
    with ThreadPoolExecutor(1) as beside:
        building = beside.submit(operator_image.build, cluster.FOLDER, (ROOT / 'bin' / 'node').resolve(), anew=anew)
        found = cluster.start()
        built = building.result()
    if not found.has('channel', channel):
        _define(found, channel)
    seconds = {'cluster and image': round(time.monotonic() - begun, 1), **_load(found, built)}
    print(', '.join(f'{step} {took} s' for step, took in seconds.items()), flush=True)  # noqa: T201
    return found


def _define(found, channel):
    """Let the API server have the Gateway API of a channel."""
    found.kubectl('apply', '--server-side', '--force-conflicts', '-f', ROOT / 'bin' / 'conformance' / 'crds' / channel)
    kinds = ('gatewayclasses', 'gateways', 'httproutes', 'tcproutes', 'udproutes')
    names = [f'crd/{kind}.gateway.networking.k8s.io' for kind in kinds]
    found.kubectl('wait', '--for=condition=Established', '--timeout=60s', *names)
    found.record('channel', channel)


def _load(found, built):
    """Bring the checkout into the cluster: the chart, and the image over one that Docker has built; return seconds by step."""
    seconds, begun = {}, time.monotonic()

    def done(step):
        nonlocal begun
        seconds[step], begun = round(time.monotonic() - begun, 1), time.monotonic()

    if not found.has('image', built.archive.stat().st_mtime_ns):
        found.take(built.archive)
        found.record('image', built.archive.stat().st_mtime_ns)
    thin = cluster.FOLDER / 'checkout.tar'
    operator_image.write(built, thin)
    found.take(thin)
    done('import')
    _install(found, f'{operator_image.REPOSITORY}:{operator_image.tag(built)}')
    done('install')
    for name in _WORKLOADS:
        found.kubectl('-n', NAMESPACE, 'rollout', 'status', name, '--timeout=120s')
    done('rollout')
    return seconds


def reloads(found):
    """Return how often HAProxy has been reloaded, by reason and result, in all pods of the edge that run."""
    counts = collections.Counter()
    selected = ('--selector=app.kubernetes.io/component=edge', '--output=json')
    for pod in json.loads(found.kubectl('-n', NAMESPACE, 'get', 'pods', *selected))['items']:
        if 'deletionTimestamp' in pod['metadata']:
            continue
        path = f'/api/v1/namespaces/{NAMESPACE}/pods/{pod["metadata"]["name"]}:{_ADMIN}/proxy/metrics'
        for line in found.kubectl('get', '--raw', path).splitlines():
            if line.startswith('headrace_reloads_total{'):
                labels, _, count = line.removeprefix('headrace_reloads_total').rpartition(' ')
                counts[labels] += int(float(count))
    return counts


def problems(found, seconds):
    """Return the warnings and errors that headrace and HAProxy logged in the last seconds, the newest at the end."""
    selected = ('--selector', f'app.kubernetes.io/instance={RELEASE}')
    text = found.kubectl(
        '-n', NAMESPACE, 'logs', *selected, '--all-containers', '--prefix', f'--since={seconds:.0f}s', '--tail=-1',
        '--max-log-requests=20',
    )  # fmt: skip
    return [line for line in text.splitlines() if _PROBLEM.search(line)]


def clear(found):
    """Remove what an interrupted run has left, which would serve beside what the next tests make."""
    found.kubectl('delete', _ROUTES, '--all', '--all-namespaces', '--wait=false')
    gateways = found.kubectl(
        'get',
        'gateways',
        '--all-namespaces',
        '--output=jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\\n"}{end}',
    )
    for line in gateways.splitlines():
        namespace, name = line.split()
        if name not in _BASE_GATEWAYS:
            found.kubectl('-n', namespace, 'delete', 'gateway', name, '--wait=false')


def _install(found, image):
    """Install the chart, or give its pods another image where that is all that differs: Helm takes seconds."""
    digest = hashlib.sha256()
    for path in (*sorted(_CHART.rglob('*')), _VALUES):
        if path.is_file():
            digest.update(path.read_bytes())
    if found.has('chart', digest.hexdigest()):
        for name, container in _WORKLOADS.items():
            found.kubectl('-n', NAMESPACE, 'set', 'image', name, f'{container}={image}')
        return
    repository, _, tag = image.rpartition(':')
    found.run(
        ROOT / 'bin' / 'helm', 'upgrade', '--install', RELEASE, _CHART, '--namespace', NAMESPACE, '--create-namespace',
        '--values', _VALUES, '--set', f'image.repository={repository},image.tag={tag}', '--force-conflicts',
    )  # fmt: skip
    found.kubectl('apply', '-f', '-', text=_CLASS)
    found.record('chart', digest.hexdigest())
