"""The chart as Helm renders it: its objects, and what a pod of it may do."""

import copy
import functools
import os
import subprocess

import yaml

from conftest import ROOT, binary
from headrace.kube import rights
from support import api

CHART = ROOT / 'charts' / 'headrace'
NAMESPACE = 'edge'
RELEASE = 'hr'
# Helm 4, and the oldest series that the chart is for.
HELMS = ('helm', 'helm3')
# No controller here would make pods of these, and no node would run them.
WITH_PODS = {'Deployment', 'DaemonSet', 'HorizontalPodAutoscaler'}


class RefusedError(Exception):
    """Helm did not render; the message is what it said."""


def render(values=None, *, namespace=NAMESPACE, more=(), helm='helm'):
    """Return the objects of a release with these values; raises RefusedError."""
    return copy.deepcopy(_objects(text(values, namespace=namespace, more=more, helm=helm)))


@functools.cache  # many tests look at the same objects
def _objects(rendered):
    return [one for one in yaml.load_all(rendered, yaml.CSafeLoader) if one]


def text(values=None, *, namespace=NAMESPACE, more=(), helm='helm'):
    """Return what a Helm (4, or `helm3`) writes for these values; raises RefusedError."""
    return _text(binary(helm, 'make setup controlplane'), yaml.safe_dump(values or {}), namespace, tuple(more))


@functools.cache
def _text(helm, values, namespace, more):
    command = [helm, 'template', RELEASE, CHART, '--namespace', namespace, '--values', '-', *more]
    done = subprocess.run(command, input=values, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusedError(done.stderr)
    return done.stdout


def environment(plane, folder):
    """Return the environment in which Helm works on a control plane."""
    # It keeps nothing of the person who runs the tests.
    homes = {f'HELM_{name}_HOME': str(folder / name.lower()) for name in ('CACHE', 'CONFIG', 'DATA')}
    return {**os.environ, **homes, 'KUBECONFIG': str(plane.kubeconfig)}


def hooks(documents):
    """Return the objects that Helm makes at its own time only."""
    return [document for document in documents if 'helm.sh/hook' in document['metadata'].get('annotations', {})]


def installed(documents):
    """Return the objects that an installation makes."""
    return [document for document in documents if document not in hooks(documents)]


def find(documents, kind, name=''):
    """Return the only object of a kind, whose name ends so."""
    (found,) = [one for one in documents if one['kind'] == kind and one['metadata']['name'].endswith(name)]
    return found


def pod_specs(documents):
    """Return the specs of all pods that the objects make, by name."""
    found = {}
    for document in documents:
        if document['kind'] == 'Pod':
            found[document['metadata']['name']] = document['spec']
        elif 'template' in document.get('spec', {}):
            found[document['metadata']['name']] = document['spec']['template']['spec']
    return found


def containers(spec):
    """Return all containers of a pod, by name."""
    return {one['name']: one for one in (*spec.get('initContainers', ()), *spec['containers'])}


def settings(documents):
    """Return the settings of the class as the operator reads them, as text."""
    maps = [one for one in documents if one['kind'] == 'ConfigMap' and 'settings.yaml' in one['data']]
    return maps[0]['data']['settings.yaml']


def gateway_rules(account):
    """Return what an account has rights for that are used only where the API server has the CRDs of the Gateway API."""
    return {
        (rule.group, rule.resource, verb)
        for rule in rights.RULES
        if account in rule.roles and rule.when in {rights.When.GATEWAY_API, rights.When.CONFIG_MAPS}
        for verb in rule.verbs
    }


def rules(documents, account):
    """Return what a ServiceAccount may: (namespace or '*', API group, resource, verb)."""
    found = set()
    for binding in documents:
        if not binding['kind'].endswith('RoleBinding') or f'{RELEASE}-headrace-{account}' not in {
            subject['name'] for subject in binding['subjects']
        }:
            continue
        namespace = binding['metadata'].get('namespace', '*')
        there = [one for one in documents if one['metadata'].get('namespace', '*') == namespace]
        role = find(there, binding['roleRef']['kind'], binding['roleRef']['name'])
        for rule in role['rules']:
            found |= {
                (namespace, group, resource, verb)
                for group in rule['apiGroups']
                for resource in rule['resources']
                for verb in rule['verbs']
            }
    return found


def home(document):
    """Return the path of an object at the API server."""
    return api.home(document)[1]
