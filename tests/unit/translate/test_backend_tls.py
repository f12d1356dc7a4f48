"""BackendTLSPolicies: which one counts for a port, what HAProxy can do of it, and what is wrong with the others."""

import pytest

from headrace import names
from headrace.ir.backend import SYSTEM_AUTHORITIES
from headrace.ir.fragment import Kind
from headrace.ir.pointers import Pointer
from headrace.names import Ref
from headrace.settings.settings import Secrets, Settings
from support.gateways import backend, backend_tls_policy, gateway, http_route, rule
from support.objects import built, ca_config_map, ca_secret, endpoint_slice, service

SETTINGS = Settings(http_port=80, https_port=443, health_port=8099, secrets=Secrets(namespaces=('shop',)))
PORTS = [{'name': 'web', 'port': 443, 'appProtocol': 'HTTPS'}, {'name': 'plain', 'port': 80}]
OLD, NEW = '2024-01-02T00:00:00Z', '2024-01-03T00:00:00Z'
CA = ca_config_map('ca')


def model(*documents, settings=SETTINGS, **seen):
    """Return the model of a route to both ports of a Service."""
    return built(
        gateway(),
        http_route('r', rule(backend('web', port=443), path='/tls'), rule('web', path='/plain'), hostnames=['a.com']),
        service('web', ports=PORTS, annotations={'class': 'other'}),
        endpoint_slice('web', addresses=['10.0.0.1'], port=8443, port_name='web'),
        endpoint_slice('web', addresses=['10.0.0.1'], port=8080, port_name='plain', name='web-2'),
        *documents,
        settings=settings,
        **seen,
    )


def tls(made, path='tls'):
    """Return the TLS to the endpoints that a route leads to, '' where its requests get the status 500."""
    route = next(
        claim.value
        for claim in made.fragments[Ref('HTTPRoute', 'shop', 'r')].claims
        if claim.key == f'80:a.com/{path}/'
    )
    assert isinstance(route, Pointer)
    if route.backend == names.UNRESOLVED:
        return ''
    fragment = made.fragments[Ref('Service', 'shop', 'web')]
    (found,) = [each for each in fragment.backends if each.name == route.backend]
    assert found.groups
    return found.options.tls


def wrong(made, name='policy'):
    return [each.reason for each in made.fragments[Ref('BackendTLSPolicy', 'shop', name)].diagnostics]


def test_endpoints_are_validated_by_the_authorities_and_the_host_of_a_policy():
    made = model(backend_tls_policy('policy', 'web', authorities=['ca']), CA)
    found = tls(made)
    assert (found.verify, found.ca_file, found.sni) == (True, 'shop_policy_policy', 'a.example.com')
    claims = made.fragments[Ref('Service', 'shop', 'web')].claims
    assert [claim.key for claim in claims if claim.kind is Kind.AUTHORITY] == ['shop_policy_policy']
    assert tls(made, 'plain') == found
    assert wrong(made) == []


def test_a_policy_for_a_port_leaves_the_others():
    made = model(backend_tls_policy('policy', ('web', 'web'), authorities=['ca']), CA)
    assert tls(made).verify
    assert tls(made, 'plain') is None


def test_without_a_policy_a_service_has_its_own_tls():
    assert not tls(model()).verify


def test_other_authorities_make_other_servers():
    other = ca_config_map('ca', seed='two')
    marks = {tls(model(backend_tls_policy('policy', 'web', authorities=['ca']), each)).ca_mark for each in (CA, other)}
    assert len(marks) == 2


def test_the_policy_that_names_the_port_counts_and_then_the_oldest():
    policies = [
        backend_tls_policy('new', 'web', hostname='new.com', authorities=['ca'], created=NEW),
        backend_tls_policy('old', 'web', hostname='old.com', authorities=['ca'], created=OLD),
        backend_tls_policy('port', ('web', 'web'), hostname='port.com', authorities=['ca'], created=NEW),
    ]
    made = model(*policies, CA)
    assert (tls(made).sni, tls(made, 'plain').sni) == ('port.com', 'old.com')
    assert [wrong(made, name) for name in ('new', 'old', 'port')] == [['Conflicted'], [], []]


def test_the_authorities_of_the_system_are_no_file_of_ours():
    made = model(backend_tls_policy('policy', 'web', system=True))
    assert tls(made).ca_file == SYSTEM_AUTHORITIES
    assert wrong(made) == []


@pytest.mark.parametrize(
    ('policy', 'reasons'),
    [
        pytest.param({'authorities': ['absent']}, ['InvalidCACertificateRef', 'NoValidCACertificate'], id='absent'),
        pytest.param({'authorities': ['empty']}, ['InvalidCACertificateRef', 'NoValidCACertificate'], id='no certificate'),
        pytest.param({'authorities': [{'group': 'a.io', 'kind': 'Thing', 'name': 'x'}]}, ['InvalidKind', 'NoValidCACertificate'], id='kind'),
        pytest.param({'authorities': ['ca'], 'names': [{'type': 'Hostname', 'hostname': 'b.com'}]}, ['UnsupportedValue'], id='another name'),
        pytest.param({'authorities': ['ca'], 'names': [{'type': 'URI', 'uri': 'spiffe://a/b'}]}, ['UnsupportedValue'], id='URI'),
        pytest.param({'system': 'example.com/own'}, ['UnsupportedValue'], id='unknown set'),
        pytest.param({'authorities': ['ca'], 'hostname': 'A B'}, ['InvalidObject'], id='no host'),
    ],
)  # fmt: skip
def test_what_leads_to_the_targets_of_a_policy_that_cannot_be_kept_is_closed(policy, reasons):
    empty = {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'empty', 'namespace': 'shop'}, 'data': {}}
    made = model(backend_tls_policy('policy', 'web', **policy), CA, empty)
    assert tls(made) == ''
    assert wrong(made) == reasons
    route = made.fragments[Ref('HTTPRoute', 'shop', 'r')]
    assert not route.diagnostics


def test_names_equal_to_the_host_can_be_kept():
    same = [{'type': 'Hostname', 'hostname': 'a.example.com'}]
    assert tls(model(backend_tls_policy('policy', 'web', authorities=['ca'], names=same), CA)).verify


def test_of_several_references_those_that_can_be_used_count():
    made = model(backend_tls_policy('policy', 'web', authorities=['absent', 'ca']), CA)
    assert tls(made).verify
    assert wrong(made) == ['InvalidCACertificateRef']


def test_authorities_can_be_in_a_secret():
    secret = {'group': '', 'kind': 'Secret', 'name': 'own'}
    assert tls(model(backend_tls_policy('policy', 'web', authorities=[secret]), ca_secret('own'))).verify


def test_authorities_of_a_namespace_that_is_not_read_are_not_used():
    made = model(backend_tls_policy('policy', 'web', authorities=['ca']), CA, settings=Settings(http_port=80))
    assert tls(made) == ''
    assert wrong(made) == ['InvalidCACertificateRef', 'NoValidCACertificate']


@pytest.mark.parametrize(
    'target', ['absent', ('web', 'absent'), {'group': 'a.io', 'kind': 'Thing', 'name': 'web'}], ids=str
)
def test_a_target_that_is_not_there_is_told(target):
    made = model(backend_tls_policy('policy', target, authorities=['ca']), CA)
    assert wrong(made) == ['TargetNotFound']
