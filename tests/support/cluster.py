"""An agent or a controller on the real control plane, in a namespace of the test's own."""

import contextlib
import datetime as dt
import json
import os
import subprocess

from conftest import ROOT
from headrace.kube import agent_lease, rights
from support import network, objects
from support.api import ApiError, collection
from support.live import HEADRACE, Live

SLICES = 'discovery.k8s.io/v1'
LEASES = 'coordination.k8s.io/v1'
NETWORKING = 'networking.k8s.io/v1'
# All that may be in one namespace, which is that of the process here.
NAMESPACED = (rights.Where.NAMESPACES, rights.Where.SECRETS, rights.Where.OWN)
EDGE_RULES = rights.rules(['edge'], NAMESPACED, [rights.When.INGRESS, rights.When.GATEWAY_API])


class Cluster(Live):
    """A process of headrace that follows the API server, with the rights that its roles need and no others."""

    def __init__(
        self,
        haproxy,
        plane,
        namespace,
        *,
        role='edge',
        name='one',
        rules=None,
        when=(),
        url=None,
        everywhere=False,
        **settings,
    ):
        settings = {'namespaces': [namespace], **settings}
        super().__init__(haproxy, **settings)
        self.plane, self.namespace, self.role, self.name = plane, namespace, role, name
        roles = role.split(',')
        when = [*when, *([rights.When.INGRESS] if settings.get('ingress', True) else [])]
        when += [rights.When.GATEWAY_API, rights.When.CONFIG_MAPS] if settings.get('gatewayApi', True) else []
        wide = (rights.Where.CLUSTER, rights.Where.UNLIMITED, rights.Where.CLASS)
        places = (*NAMESPACED, *wide) if everywhere else NAMESPACED
        wanted = rights.rules(roles, places, when) if rules is None else rules
        self.account = f'headrace-{name}'
        self.token = plane.service_account(namespace, self.account, wanted, everywhere=everywhere)
        if not everywhere and (more := rights.rules(roles, [rights.Where.CLUSTER], when)):
            plane.grant(namespace, self.account, more, everywhere=True)
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

    def ingress_status(self, name='web'):
        """Return the entries of an Ingress's `status.loadBalancer.ingress`."""
        item = self.plane.api.get(self.path('Ingress', name, NETWORKING))
        return item['status'].get('loadBalancer', {}).get('ingress', [])

    def dns_records(self):
        """Return the DNS records that a reader of Ingresses, as external-dns is one, would make: targets by host."""
        found = {}
        for item in self.plane.api.list(self.path('Ingress', api=NETWORKING))['items']:
            entries = (item.get('status') or {}).get('loadBalancer', {}).get('ingress') or []
            targets = sorted(entry.get('hostname') or entry.get('ip') for entry in entries)
            hosts = [rule.get('host') for rule in item['spec'].get('rules', ())]
            found |= {host: targets for host in hosts if host and targets}
        return found

    def epochs(self):
        """Return the epochs that agents have applied."""
        found = self.plane.api.list(self.path('Lease', api=LEASES), labelSelector='headrace.io/class=headrace')['items']
        return [int(item['metadata']['annotations']['headrace.io/epoch']) for item in found]

    def report(self, node, epoch=0):
        """Write the Lease of an agent that serves a Node, and has applied an epoch."""
        me = agent_lease.Identity(self.namespace, f'agent-{node}', 'headrace', 'node', node=node)
        annotations = agent_lease.annotations(epoch, ())
        self.plane.api.apply(agent_lease.document(me, annotations, dt.datetime.now(dt.UTC)))

    def leases(self):
        """Return the agents' Leases by name: what their annotations hold."""
        found = self.plane.api.list(self.path('Lease', api=LEASES), labelSelector='headrace.io/class=headrace')['items']
        return {
            item['metadata']['name']: json.loads(item['metadata']['annotations']['headrace.io/diagnostics'])
            for item in found
        }


def forget_class(api, name='headrace'):
    """Let another release have a class at once, as after an uninstall."""
    with contextlib.suppress(ApiError):
        api.delete(f'{collection("Lease", rights.CLASS_NAMESPACE, LEASES)}/{rights.class_lease(name)}')


def pod(town):
    """Start a pod at an address that an API server takes."""
    return town.pod(network.pod())
