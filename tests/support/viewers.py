"""Administrators who see the pages of an installed headrace through the API server's proxy."""

import contextlib
import json
import subprocess

from support.live import HEADRACE
from support.waiting import until

_ACCOUNT, _SEES = 'viewer', 'viewer-sees'
_PROXY = [{'apiGroups': [''], 'resources': ['pods/proxy'], 'verbs': ['get']}]


def status(cluster, namespace, pod, within):
    """Return what `headrace status --pod` shows of a pod to an account that the chart's ClusterRole lets in."""
    with _account(cluster, namespace) as config:
        where = f'{namespace}/{pod["metadata"]["name"]}:{_port(cluster, namespace, pod)}'
        command = [HEADRACE, 'status', '--pod', where, '--kubeconfig', config]
        said = []

        def shown():
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            said[:] = [done.stdout + done.stderr]
            return not done.returncode

        until(shown, 'the page is shown', within=within)
        return said[0]


def _port(cluster, namespace, pod):
    lines = cluster.kubectl('-n', namespace, 'logs', pod['metadata']['name'], '-c', 'operator').splitlines()
    shown = [found['api'] for found in map(_read, lines) if found.get('message') == 'listening']
    return shown[-1].rpartition(':')[2]


def _read(line):
    try:
        return json.loads(line)
    except ValueError:
        return {}


@contextlib.contextmanager
def _account(cluster, namespace):
    """Make an account with the rights of a viewer, and yield its kubeconfig."""
    kubectl, plane = cluster.kubectl, cluster.plane
    roles = kubectl('get', 'clusterrole', '-l', 'app.kubernetes.io/component=view', '-o', 'name').split()
    (role,) = [each for each in roles if each.partition('/')[2].startswith(f'{namespace}-')]
    try:
        token = plane.service_account(namespace, _ACCOUNT, _PROXY)
        bound = [f'--clusterrole={role.partition("/")[2]}', f'--serviceaccount={namespace}:{_ACCOUNT}']
        kubectl('-n', namespace, 'create', 'rolebinding', _SEES, *bound)
        yield plane.write_kubeconfig(token)
    finally:
        names = [f'serviceaccount/{_ACCOUNT}', f'role/{_ACCOUNT}', f'rolebinding/{_ACCOUNT}', f'rolebinding/{_SEES}']
        kubectl('-n', namespace, 'delete', '--ignore-not-found', *names)
