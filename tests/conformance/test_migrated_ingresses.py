"""What `headrace migrate --gateway-api` writes is what an API server with the definitions of the Gateway API takes."""

import pytest
import yaml

from conftest import ROOT
from headrace.migration import gateway_api, report
from headrace.names import Ref
from headrace.objects import parse
from support import nginx_cases
from support.api import ApiError
from support.controlplane import ControlPlane
from support.objects import ingress, ingress_rule

DEFINITIONS = ROOT / 'bin' / 'conformance' / 'crds' / 'standard'
HOSTS = [f'{number}.example.com' for number in range(100)]
MANY = ingress(
    'many',
    rules=[ingress_rule(HOSTS[0], path=f'/{number}', of=f's{number % 20}') for number in range(900)],
    tls=[{'hosts': HOSTS, 'secretName': 'tls'}],
)


@pytest.fixture(scope='module')
def api():
    """An API server of its own with the definitions of the standard channel."""
    assert DEFINITIONS.is_dir(), 'bin/conformance is missing: run make conformance-tools'
    with ControlPlane() as plane:
        for path in sorted(DEFINITIONS.glob('*.yaml')):
            for document in yaml.safe_load_all(path.read_text()):
                if document and document['kind'] == 'CustomResourceDefinition':
                    plane.api.create(document)
        plane.api.create({'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': 'shop'}})
        yield plane.api


def test_an_api_server_takes_what_the_ingresses_of_all_cases_become(api):
    ingresses = [parse.read(each).object for each in (*nginx_cases.ingresses(nginx_cases.read()), MANY)]
    found = gateway_api.translate(
        report.make(ingresses, (), 'ingress-nginx'), (), Ref('Gateway', 'shop', 'web'), 'headrace'
    )
    assert len(found.documents) > 150
    refused = {}
    for each in found.documents:
        try:
            api.create(each)
        except ApiError as error:
            refused[each['kind'], each['metadata']['name']] = str(error)
    assert refused == {}
