"""headrace in the cluster: its chart with the image of this checkout, the definitions of the API, and the GatewayClass."""

import hashlib
import time

from conformance import cluster, operator_image
from conftest import ROOT

NAMESPACE, RELEASE, CLASS = 'headrace-system', 'headrace', 'gateway-conformance'
_CHART, _VALUES = ROOT / 'charts' / 'headrace', ROOT / 'tests' / 'conformance' / 'values.yaml'
# The Deployments, and which of their containers is the operator.
_DEPLOYMENTS = {f'deployment/{RELEASE}-edge': 'operator', f'deployment/{RELEASE}-controller': 'controller'}
_CLASS = f"""\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: {CLASS}}}
spec: {{controllerName: headrace.io/gateway-controller}}
"""


def define(found, channel):
    """Let the API server have the Gateway API of a channel."""
    found.kubectl('apply', '--server-side', '--force-conflicts', '-f', ROOT / 'bin' / 'conformance' / 'crds' / channel)
    kinds = ('gatewayclasses', 'gateways', 'httproutes', 'tcproutes', 'udproutes')
    names = [f'crd/{kind}.gateway.networking.k8s.io' for kind in kinds]
    found.kubectl('wait', '--for=condition=Established', '--timeout=60s', *names)


def load(found):
    """Bring the checkout into the cluster: image and chart; return the seconds of each step."""
    seconds, begun = {}, time.monotonic()

    def done(step):
        nonlocal begun
        seconds[step], begun = round(time.monotonic() - begun, 1), time.monotonic()

    built = operator_image.build(cluster.FOLDER, (ROOT / 'bin' / 'node').resolve())
    done('docker build')
    if found.lacks('image', built.archive.stat().st_mtime_ns):
        found.take(built.archive)
        found.record('image', built.archive.stat().st_mtime_ns)
    thin = cluster.FOLDER / 'checkout.tar'
    operator_image.write(built, thin)
    found.take(thin)
    done('import')
    _install(found, f'{operator_image.REPOSITORY}:{operator_image.tag(built)}')
    done('install')
    for name in _DEPLOYMENTS:
        found.kubectl('-n', NAMESPACE, 'rollout', 'status', name, '--timeout=120s')
    done('rollout')
    return seconds


def _install(found, image):
    """Install the chart, or give its pods another image where that is all that differs: Helm takes seconds."""
    digest = hashlib.sha256()
    for path in (*sorted(_CHART.rglob('*')), _VALUES):
        if path.is_file():
            digest.update(path.read_bytes())
    if not found.lacks('chart', digest.hexdigest()):
        for name, container in _DEPLOYMENTS.items():
            found.kubectl('-n', NAMESPACE, 'set', 'image', name, f'{container}={image}')
        return
    repository, _, tag = image.rpartition(':')
    found.run(
        ROOT / 'bin' / 'helm', 'upgrade', '--install', RELEASE, _CHART, '--namespace', NAMESPACE, '--create-namespace',
        '--values', _VALUES, '--set', f'image.repository={repository},image.tag={tag}', '--force-conflicts',
    )  # fmt: skip
    found.kubectl('apply', '-f', '-', text=_CLASS)
    found.record('chart', digest.hexdigest())
