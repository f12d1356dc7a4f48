"""Whatever objects and files hold: nothing is raised, time is bounded, and HAProxy accepts what becomes of it."""

import json
import tempfile
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import folder
from headrace.annotations import keys
from headrace.haproxy.runtime import check, files
from headrace.objects import parse
from headrace.resolve import state
from headrace.store import Store
from properties import strategies
from properties.living import RENDERER, VIEW
from security.fuzzing import EXAMPLES, FUZZ, TIMEOUT, VALUES, bounded, changed_document
from support.objects import endpoint_slice, ingress, ingress_class, ingress_rule, secret, service, tls_secret

pytestmark = TIMEOUT
HTTP = [{'name': 'http', 'port': 80}]
METADATA = {
    'name': 'n',
    'labels': {'topology.kubernetes.io/zone': 'z', 'a': 'b'},
    'creationTimestamp': '2026-01-01T00:00:00Z',
}
SECRETS = [secret('users', username='u', password='p'), tls_secret()]
SEEDS = [
    service(annotations={'host': 'a.example.com', 'path': '/x'}, ports=HTTP, clusterIP='10.0.0.1', clusterIPs=['10.0.0.1', 'fd00::1'],
            ipFamilies=['IPv4', 'IPv6'], externalIPs=['192.0.2.1'], type='LoadBalancer', sessionAffinity='ClientIP',
            sessionAffinityConfig={'clientIP': {'timeoutSeconds': 10}}, loadBalancerSourceRanges=['10.0.0.0/8'])
    | {'status': {'loadBalancer': {'ingress': [{'ip': '192.0.2.9', 'ipMode': 'VIP', 'hostname': 'h'}]},
                  'conditions': [{'type': 'headrace.io/Programmed', 'status': 'True', 'reason': 'R', 'message': 'm'}]}},
    endpoint_slice(endpoints=[{'addresses': ['10.1.0.1'], 'nodeName': 'n', 'conditions': {'ready': True, 'serving': None, 'terminating': False},
                               'hints': {'forZones': [{'name': 'z'}], 'forNodes': [{'name': 'n'}]}}]),
    {'apiVersion': 'v1', 'kind': 'Endpoints', 'metadata': {'name': 'web', 'namespace': 'shop'},
     'subsets': [{'addresses': [{'ip': '10.1.0.2', 'nodeName': 'n'}], 'notReadyAddresses': [{'ip': 'fd00::2'}], 'ports': [{'port': 80}]}]},
    {'apiVersion': 'v1', 'kind': 'Node', 'metadata': METADATA, 'spec': {'podCIDRs': ['10.2.0.0/24']},
     'status': {'conditions': [{'type': 'Ready', 'status': 'True'}], 'addresses': [{'type': 'InternalIP', 'address': '192.0.2.3'}]}},
    {'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': METADATA},
    *SECRETS,
    ingress(annotations={'headrace.io/allow': '10.0.0.0/8', 'nginx.ingress.kubernetes.io/rewrite-target': '/$1'}, ingressClassName='headrace',
            rules=[ingress_rule('a.example.com', path='/a'), ingress_rule('*.b.example.com', path_type='Exact', port='http'), {'host': 'c.example.com'}],
            tls=[{'hosts': ['a.example.com'], 'secretName': 'tls'}], defaultBackend={'service': {'name': 'web', 'port': {'number': 80}}})
    | {'status': {'loadBalancer': {'ingress': [{'ip': '192.0.2.9', 'hostname': 'h'}]}}},
    ingress(defaultBackend={'resource': {'apiGroup': 'k8s.example.com', 'kind': 'Bucket', 'name': 'b'}}),
    ingress_class(default=True) | {'spec': {'controller': 'c', 'parameters': {'apiGroup': 'g', 'kind': 'P', 'name': 'p', 'namespace': 'n', 'scope': 'Namespace'}}},
]  # fmt: skip


def parsed(document):
    """Return the object of a document, if it holds one."""
    with bounded():
        found = parse.read(document)
    assert found.failed is None, (found.failed, document)
    return found.object


def modelled(documents):
    """Return the model that documents become."""
    held, made = Store(), state.State(VIEW)
    for document in documents:
        if (found := parsed(document)) is not None:
            held.put(found)
    with bounded():
        made.update(held, held.take())
        made.all_diagnostics()
    return made


@FUZZ
@given(st.lists(st.sampled_from(SEEDS).flatmap(changed_document), min_size=1, max_size=4))
def test_documents(documents):
    modelled(documents)


@FUZZ
@given(VALUES)
def test_any_document(value):
    parsed(value)
    parsed({'apiVersion': 'v1', 'kind': 'Service', 'metadata': value, 'spec': value})
    parsed({'apiVersion': 'v1', 'kind': 'Secret', 'metadata': {'name': 's'}, 'data': value, 'stringData': value})
    parsed(
        {
            'apiVersion': 'networking.k8s.io/v1',
            'kind': 'Ingress',
            'metadata': {'name': 'i', 'annotations': value},
            'spec': value,
        }
    )


ANNOTATIONS = st.dictionaries(
    st.sampled_from([*keys.BY_NAME, 'host.http', 'path.http', 'mode.80']),
    st.sampled_from(sorted(set(strategies.BENIGN.values()))) | strategies.hostile() | st.text(max_size=20)
    | st.text('0123456789./:,-smh*', max_size=30) | st.sampled_from(['9' * 5000, ',' * 5000, '10.0.0.0/8,' * 500, '::/0 ' * 200]),
    max_size=6,
)  # fmt: skip


def exposed(annotations):
    return service(annotations={'host': 'a.example.com', **annotations}, ports=HTTP)


SHARED = [endpoint_slice(addresses=['10.1.0.1'], port_name='http'), *SECRETS, service('next', ports=HTTP)]


@FUZZ
@given(ANNOTATIONS)
def test_annotations(annotations):
    modelled([exposed(annotations), *SHARED])


def test_what_is_made_of_annotations_is_accepted_by_haproxy(haproxy_34):
    # One run of HAProxy judges many Services.
    @settings(FUZZ, max_examples=max(3, EXAMPLES // 50))
    @given(st.lists(ANNOTATIONS, min_size=20, max_size=20))
    def fuzz(several):
        made = [exposed({**found, 'host': f'h{number}.example.com'}) for number, found in enumerate(several)]
        for number, document in enumerate(made):
            document['metadata']['name'] = f's{number}'
        rendered = RENDERER.render(modelled([*made, *SHARED]))
        with tempfile.TemporaryDirectory() as place:
            files.write(Path(place), rendered)
            found = check.check(haproxy_34, Path(place))
        assert found.accepted, found.output

    fuzz()


@FUZZ
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode(errors='surrogatepass')) | st.lists(
    st.sampled_from(['a: ', '&a ', '*a', '[', ']', '{', '}', '<<: ', '- ', '\n', '  ', '!!int ', '!!bool ', '!!set ', '!!binary ', '!!python/object ',
                     '? ', ': ', '|\n', '"', '1:2:3', '0x', '9' * 5000, '.inf', '2020-13-45', '---\n', '%YAML 9.9\n', '\t', 'kind: List\nitems: ']),
    max_size=30).map(lambda parts: ''.join(parts).encode()))  # fmt: skip
def test_files(data):
    with bounded():
        folder.parse(data, 'in.yaml')


@FUZZ
@given(st.lists(st.sampled_from(SEEDS).flatmap(changed_document), max_size=3), st.booleans(), st.data())
def test_files_of_documents(documents, as_json, data):
    listed = {'apiVersion': 'v1', 'kind': 'List', 'items': documents}
    try:
        text = json.dumps(listed) if as_json else yaml.safe_dump(listed)
    except (ValueError, yaml.YAMLError):
        # Python writes no number of more than 4,300 digits.
        return
    made = bytearray(text.encode(errors='surrogatepass'))
    for _ in range(data.draw(st.integers(0, 3))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    with bounded():
        folder.parse(bytes(made), 'in')
