"""An agent or a controller on the real control plane, in a namespace of the test's own."""

import json
import os
import subprocess

from conftest import ROOT
from support import network, objects
from support.api import collection
from support.live import HEADRACE, Live

SLICES = 'discovery.k8s.io/v1'
LEASES = 'coordination.k8s.io/v1'
READ = ['list', 'watch']
# What an edge agent may do, and nothing else.
EDGE_RULES = [
    {'apiGroups': [''], 'resources': ['services', 'secrets'], 'verbs': READ},
    {'apiGroups': ['discovery.k8s.io'], 'resources': ['endpointslices'], 'verbs': READ},
    {'apiGroups': ['coordination.k8s.io'], 'resources': ['leases'], 'verbs': ['get', 'create', 'update', 'delete']},
]
CONTROLLER_RULES = [
    {'apiGroups': [''], 'resources': ['services'], 'verbs': ['get', *READ]},
    {'apiGroups': [''], 'resources': ['services/status'], 'verbs': ['patch']},
    {'apiGroups': ['events.k8s.io'], 'resources': ['events'], 'verbs': ['create', 'patch']},
    {'apiGroups': ['coordination.k8s.io'], 'resources': ['leases'], 'verbs': ['get', 'list', 'create', 'update']},
]


class Cluster(Live):
    """A process of headrace that follows the API server, with the rights that its roles need and no others."""

    def __init__(
        self, haproxy, plane, namespace, *, role='edge', name='one', rules=None, url=None, everywhere=False, **settings
    ):
        settings = {'namespaces': [namespace], **settings}
        super().__init__(haproxy, **settings)
        self.plane, self.namespace, self.role, self.name = plane, namespace, role, name
        wanted = (EDGE_RULES if 'edge' in role else []) + (CONTROLLER_RULES if 'controller' in role else [])
        self.account = f'headrace-{name}'
        rules = rules if rules is not None else wanted
        self.token = plane.service_account(namespace, self.account, rules, everywhere=everywhere)
        self.kubeconfig = plane.write_kubeconfig(self.token, url)

    def command(self, *more):
        words = [HEADRACE, 'run', '--source', 'kube', '--kubeconfig', self.kubeconfig, '--role', self.role]
        words += ['--state', self.state, '--config', self.config, '--admin', '127.0.0.1:0', '--log-format', 'json']
        if self.role != 'controller':
            words += ['--start-haproxy', self.haproxy]
        return [str(word) for word in (*words, *more)]

    def begin(self, *more, **environment):
        names = {'POD_NAME': self.name, 'POD_NAMESPACE': self.namespace}
        return super().begin(*more, **names, **environment)

    # The cluster

    def put(self, name, *documents):
        """Apply objects."""
        for document in documents:
            document['metadata']['namespace'] = self.namespace
            self.plane.api.apply(document)

    def path(self, kind, name='', api='v1'):
        found = collection(kind, self.namespace, api)
        return f'{found}/{name}' if name else found

    def drop(self, name):
        """Delete a Service with its slice."""
        self.plane.api.delete(self.path('Service', name))
        self.plane.api.delete(self.path('EndpointSlice', f'{name}-1', SLICES))

    def service(self, name):
        return self.plane.api.get(self.path('Service', name))

    def condition(self, name):
        """Return our condition of a Service, None for none."""
        found = self.service(name).get('status', {}).get('conditions', [])
        return next((item for item in found if item['type'] == 'headrace.io/Programmed'), None)

    def annotate(self, name, **annotations):
        """Set annotations of ours as users do; None removes one."""
        words = [
            f'{objects.PREFIX}{key.replace("_", "-")}' + ('-' if value is None else f'={value}')
            for key, value in annotations.items()
        ]
        self.kubectl('annotate', '--overwrite', 'service', name, *words)

    def kubectl(self, *words):
        """Run kubectl as cluster-admin in the test's namespace, and return what it says."""
        command = [ROOT / 'bin' / 'kubectl', '--kubeconfig', self.plane.kubeconfig, '-n', self.namespace, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
        assert done.returncode == 0, done.stderr
        return done.stdout

    def epochs(self):
        """Return the epochs that agents have applied."""
        found = self.plane.api.list(self.path('Lease', api=LEASES), labelSelector='headrace.io/class=headrace')['items']
        return [int(item['metadata']['annotations']['headrace.io/epoch']) for item in found]

    def leases(self):
        """Return the agents' Leases by name: what their annotations hold."""
        found = self.plane.api.list(self.path('Lease', api=LEASES), labelSelector='headrace.io/class=headrace')['items']
        return {
            item['metadata']['name']: json.loads(item['metadata']['annotations']['headrace.io/verdicts'])
            for item in found
        }


def pod(town):
    """Start a pod at an address that an API server takes."""
    return town.pod(network.pod())
