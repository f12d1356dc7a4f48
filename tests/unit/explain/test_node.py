"""What becomes of a request at a node: the address and port decide, and the datapath."""

import pytest

from headrace.explain import request as requests
from headrace.explain import tracing
from headrace.explain.request import RequestError
from headrace.settings.settings import Secrets, Settings
from headrace.translate import build_context
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support import certificates, explained
from support.objects import endpoint_slice, service

IP = {'clusterIP': '10.96.0.1', 'clusterIPs': ['10.96.0.1']}
READY = endpoint_slice(addresses=['10.0.0.1'], port_name='http')
CERTIFICATE = certificates.tls_secret('tls', *certificates.for_names('a.example.com'))
OTHER = service('other', ports=[{'name': 'http', 'port': 80}], clusterIP='10.96.0.9', clusterIPs=['10.96.0.9'])


def web(**annotations):
    given = {key.replace('_', '-'): text for key, text in annotations.items()}
    return service(annotations={'proxy': 'node', **given}, ports=[{'name': 'http', 'port': 80}], **IP)


def trace(line, *documents, client='192.0.2.1', certificate=False):
    settings = Settings(secrets=Secrets(namespaces=('*',)))
    held, made = explained.of_context(build_context.make(settings, role=Role.NODE, topology=Topology('n1')), documents)
    return tracing.trace(made, held, requests.parse(line, (), client, certificate=certificate))


URL = 'http://10.96.0.1/x'
CASES = {
    'HTTP': (URL, [web(mode='http', rewrite_path='/new'), READY], 'the endpoint answers', '/new/x'),
    'a name of the cluster': ('http://web.shop.svc.cluster.local/x', [web(mode='http'), READY], 'the endpoint answers', '/x'),
    'TCP': (URL, [web(mode='tcp', deny='198.51.100.0/24'), READY], 'an endpoint gets the connection as it comes', ''),
    'the fallback': (URL, [web(mode='http', fallback_service='other'), endpoint_slice('other', addresses=['10.0.0.2'], port_name='http'), OTHER], 'the endpoint answers', '/x'),
    'the kernel': (
        'http://10.96.0.1:5432/', [service(annotations={'proxy': 'node', 'client-ip': 'preserve'}, ports=[5432], **IP), endpoint_slice(addresses=['10.0.0.1'])],
        'the kernel balances', '',
    ),
    'the kernel, as asked for': (
        'http://10.96.0.1:5432/', [service(annotations={'proxy': 'node', 'datapath': 'kernel'}, ports=[5432], **IP), endpoint_slice(addresses=['10.0.0.1'])],
        'the kernel balances', '',
    ),
    'TLS': ('https://10.96.0.1:80/x', [web(mode='http', tls_secret='tls'), READY, CERTIFICATE], 'the endpoint answers', '/x'),
}  # fmt: skip


@pytest.mark.parametrize(('line', 'documents', 'because', 'path'), CASES.values(), ids=CASES)
def test_what_is_served(line, documents, because, path):
    outcome = trace(line, *documents).outcome
    assert (outcome.because, [each.path for each in outcome.destinations]) == (because, [path])


ENDED = {
    'an address of no Service': ('http://10.96.0.2/', [web(), READY], 'no Service that headrace serves on nodes has 10.96.0.2:80'),
    'no endpoint': (URL, [web(mode='http')], 'connections are refused: no endpoint can be used, or the port cannot be served as asked'),
    'no TLS where it is ended': (URL, [web(mode='http', tls_secret='tls'), READY, CERTIFICATE], 'the port ends TLS, and the request has none'),
    'TLS where none is ended': ('https://10.96.0.1:80/', [web(mode='http'), READY], 'the port ends no TLS'),
    'a client outside of the ranges': (
        'http://198.51.100.8/',
        [service(annotations={'proxy': 'node'}, ports=[80], type='LoadBalancer', loadBalancerClass='x/y', loadBalancerSourceRanges=['10.0.0.0/8'], **IP)
         | {'status': {'loadBalancer': {'ingress': [{'ip': '198.51.100.8'}]}}}, endpoint_slice(addresses=['10.0.0.1'])],
        '192.0.2.1 is in none of loadBalancerSourceRanges',
    ),
    'a denied client of TCP': (URL, [web(mode='tcp', deny='192.0.2.0/24'), READY], '192.0.2.1 is in a denied network'),
}  # fmt: skip


@pytest.mark.parametrize(('line', 'documents', 'because'), ENDED.values(), ids=ENDED)
def test_what_ends_without_an_answer(line, documents, because):
    outcome = trace(line, *documents).outcome
    assert (outcome.because, outcome.closed) == (because, True)


def test_a_policy_answers_as_at_the_edge():
    assert trace(URL, web(mode='http', deny='192.0.2.0/24'), READY).outcome.status == 403


@pytest.mark.parametrize('name', ['a.com', 'none.shop.svc'])
def test_a_host_that_is_no_address(name):
    with pytest.raises(RequestError, match='is no address, and no NAME'):
        trace(f'http://{name}/', web(), READY)
