"""Builders of Kubernetes documents with what a test does not speak of left at its default."""

from headrace.cluster import reading, store
from headrace.model import state, view
from headrace.settings import Settings

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
    """Return the model of some documents; `seen` goes to `view.make` (role, place, offline, snippets)."""
    made = state.State(view.make(settings or Settings(tcp_ports='5000-5999,20000-29999'), **seen))
    held = store.Store()
    for document in documents:
        found = reading.read(document).object
        assert found is not None, document
        held.put(found)
    made.update(held, held.take())
    return made


def reasons(made):
    """Return the reasons of all verdicts, sorted."""
    return sorted(verdict.reason for verdict in made.all_verdicts())
