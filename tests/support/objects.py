"""Builders of Kubernetes documents with what a test does not speak of left at its default."""

from dataclasses import replace

from headrace import store
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve import state
from headrace.settings.settings import Settings
from headrace.translate import build_context, placeholder_certificates

PREFIX = 'headrace.io/'


def service(name='web', namespace='shop', *, annotations=None, ports=None, created=None, labels=None, **spec):
    """Return a Service; annotations are given without our prefix, ports as dictionaries or numbers."""
    wanted = [{'port': port} if isinstance(port, int) else port for port in ports or [80]]
    metadata = {'name': name, 'namespace': namespace}
    if annotations:
        metadata['annotations'] = {PREFIX + key: value for key, value in annotations.items()}
    if created:
        metadata['creationTimestamp'] = created
    if labels:
        metadata['labels'] = labels
    return {'apiVersion': 'v1', 'kind': 'Service', 'metadata': metadata, 'spec': {'ports': wanted, **spec}}


def ingress(name='web', namespace='shop', *, annotations=None, created=None, rules=None, hosts=None, **spec):
    """Return an Ingress; annotations with their whole keys. `hosts` maps hosts to a Service, whose port 80 gets all paths."""
    metadata = {'name': name, 'namespace': namespace}
    if annotations:
        metadata['annotations'] = annotations
    if created:
        metadata['creationTimestamp'] = created
    found = rules if rules is not None else [ingress_rule(host, of) for host, of in (hosts or {}).items()]
    return {
        'apiVersion': 'networking.k8s.io/v1',
        'kind': 'Ingress',
        'metadata': metadata,
        'spec': {**({'rules': found} if found else {}), **spec},
    }


def ingress_rule(host='', of='web', path='/', path_type='Prefix', port=80):
    """Return a rule of an Ingress with one path; no host with ''."""
    where = {'number': port} if isinstance(port, int) else {'name': port}
    entry = {'path': path, 'pathType': path_type, 'backend': {'service': {'name': of, 'port': where}}}
    return {**({'host': host} if host else {}), 'http': {'paths': [entry]}}


def ingress_class(name='headrace', controller='headrace.io/ingress-controller', *, default=False):
    """Return an IngressClass."""
    marks = {'annotations': {'ingressclass.kubernetes.io/is-default-class': 'true'}} if default else {}
    return {
        'apiVersion': 'networking.k8s.io/v1',
        'kind': 'IngressClass',
        'metadata': {'name': name, **marks},
        'spec': {'controller': controller},
    }


def endpoint_slice(
    of='web',
    namespace='shop',
    *,
    addresses=(),
    port=8080,
    port_name='',
    name=None,
    family='IPv4',
    protocol='TCP',
    endpoints=None,
):
    """Return an EndpointSlice of ready addresses, or of endpoints as given."""
    items = endpoints if endpoints is not None else [{'addresses': [address]} for address in addresses]
    return {
        'apiVersion': 'discovery.k8s.io/v1',
        'kind': 'EndpointSlice',
        'metadata': {'name': name or f'{of}-1', 'namespace': namespace, 'labels': {'kubernetes.io/service-name': of}},
        'addressType': family,
        'ports': [{'name': port_name, 'port': port, 'protocol': protocol}],
        'endpoints': items,
    }


def built(*documents, settings=None, **seen):
    """Return the model of some documents; `seen` are fields of the view (role, place, offline, snippets, …)."""
    more = {
        key: seen.pop(key)
        for key in ('api_server', 'labelled', 'own_namespace', 'own_addresses', 'admin_ports')
        if key in seen
    }
    found = build_context.make(settings or Settings(tcp_ports='5000-5999,20000-29999'), **seen)
    made = state.State(replace(found, **more))
    held = store.Store()
    for document in documents:
        found = parse.read(document).object
        assert found is not None, document
        held.put(found)
    made.update(held, held.take())
    return made


def reasons(made):
    """Return the reasons of all diagnostics, sorted."""
    return sorted(diagnostic.reason for diagnostic in made.all_diagnostics())


def config_map(name='headers', namespace='shop', **data):
    """Return a ConfigMap; `_` in a key stands for `-`."""
    entries = {key.replace('_', '-'): value for key, value in data.items()}
    return {
        'apiVersion': 'v1',
        'kind': 'ConfigMap',
        'metadata': {'name': name, 'namespace': namespace},
        'data': entries,
    }


def secret(name='tls', namespace='shop', **texts):
    """Return a Secret; the texts' keys are written with `_` for `.`, as in `ca_crt`."""
    return {
        'apiVersion': 'v1',
        'kind': 'Secret',
        'metadata': {'name': name, 'namespace': namespace},
        'stringData': {key.replace('_', '.'): value for key, value in texts.items()},
    }


def tls_secret(name='tls', namespace='shop', seed='one'):
    """Return a Secret with a certificate and its key that HAProxy accepts; another seed makes another one."""
    both, alone = (pem.decode() for pem in placeholder_certificates.certificate(Ref('Secret', '', seed)))
    return {**secret(name, namespace, tls_crt=alone, tls_key=both.removeprefix(alone)), 'type': 'kubernetes.io/tls'}


def ca_secret(name='ca', namespace='shop', seed='one'):
    """Return a Secret with an authority."""
    return secret(name, namespace, ca_crt=placeholder_certificates.certificate(Ref('Secret', '', seed))[1].decode())


def ca_config_map(name='ca', namespace='shop', seed='one', pem=None):
    """Return a ConfigMap with an authority."""
    text = pem or ca_secret(name, namespace, seed)['stringData']['ca.crt']
    metadata = {'name': name, 'namespace': namespace}
    return {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': metadata, 'data': {'ca.crt': text}}


def node(name='n1', *, zone='', addresses=('192.0.2.1',), ready=True, labels=None):
    """Return a Node."""
    wanted = {**({'topology.kubernetes.io/zone': zone} if zone else {}), **(labels or {})}
    return {
        'apiVersion': 'v1',
        'kind': 'Node',
        'metadata': {'name': name, 'labels': wanted},
        'status': {
            'addresses': [{'type': 'InternalIP', 'address': address} for address in addresses],
            'conditions': [{'type': 'Ready', 'status': 'True' if ready else 'False'}],
        },
    }


def fragment(made, name='web', namespace='shop', *, kind='Service'):
    """Return the fragment of an object in a model; None when it has none."""
    return made.fragments.get(Ref(kind, namespace, name))


def pointer(made, kind, key):
    """Return what stands at a claimed key; None when nothing does."""
    return made.claims.content((kind, key), made.fragments)
