"""Certificates of Gateways' listeners: which are used, for which hosts, and what is wrong with the others."""

import pytest

from headrace.ir.fragment import Kind
from headrace.ir.pointers import GatewayPort
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.settings.settings import Secrets, Settings
from support import certificates
from support.gateways import GATEWAY_CLASS, OWN_NAMESPACE, gateway, grant, listener, slot_service
from support.objects import built, ca_config_map, secret, tls_secret

SLOT = 28064
SETTINGS = Settings(secrets=Secrets(namespaces=('shop', 'other')))
ECDSA = certificates.tls_secret('ecdsa', *certificates.for_names('a.com', '*.b.com'))
OTHER = certificates.tls_secret('second', *certificates.for_names('c.com'))
EDDSA = tls_secret('eddsa')


def https(*refs, hostname=None):
    """Return a listener that ends TLS with certificates."""
    named = [ref if isinstance(ref, dict) else {'name': ref} for ref in refs]
    return listener('https', 443, 'HTTPS', hostname, tls={'certificateRefs': named})


def model(*documents, settings=SETTINGS, **seen):
    """Return the model of a cluster in which the Gateway has a port for TLS."""
    return built(
        GATEWAY_CLASS, slot_service('web', {443: SLOT}), *documents, settings=settings, own_namespace=OWN_NAMESPACE, **seen
    )  # fmt: skip


def claims(made, kind):
    """Return what the Gateway claims of a kind."""
    fragment = made.fragments[Ref('Gateway', 'shop', 'web')]
    return {claim.key: claim.value for claim in fragment.claims if claim.kind is kind}


def wrong(made):
    """Return the reasons of what is wrong with the Gateway's listener."""
    found = made.fragments[Ref('Gateway', 'shop', 'web')].diagnostics
    assert {each.part.section for each in found} <= {'https'}
    return [each.reason for each in found]


def test_a_listener_with_a_certificate_has_it_in_the_list_of_its_slot():
    made = model(gateway('web', https('ecdsa')), ECDSA)
    assert claims(made, Kind.GATEWAY_TLS) == {f'{SLOT}:*': HostTls(certificates=('shop_ecdsa',))}
    assert not claims(made, Kind.TLS)
    assert wrong(made) == []


@pytest.mark.parametrize(
    ('refs', 'documents', 'reasons'),
    [
        pytest.param((), (), ['InvalidCertificateRef'], id='no certificate'),
        pytest.param(('absent',), (), ['InvalidCertificateRef'], id='no Secret'),
        pytest.param(('bad',), (secret('bad', a='b'),), ['InvalidCertificateRef'], id='no certificate in the Secret'),
        pytest.param(({'name': 'x', 'kind': 'ConfigMap'},), (), ['InvalidCertificateRef'], id='no Secret by its kind'),
        pytest.param(({'name': 'x', 'group': 'a.io'},), (), ['InvalidCertificateRef'], id='no Secret by its group'),
        pytest.param(({'name': 'x', 'namespace': 'other'},), (), ['RefNotPermitted'], id='not granted'),
        pytest.param(({'name': 'x', 'namespace': 'third'},), (grant(namespace='third', kind='Gateway', target='Secret'),), ['InvalidCertificateRef'], id='a namespace that is not read'),
        pytest.param(('eddsa',), (EDDSA,), ['InvalidCertificateRef'], id='Ed25519 without a host'),
    ],
)  # fmt: skip
def test_a_listener_without_a_usable_certificate_has_none(refs, documents, reasons):
    made = model(gateway('web', https(*refs)), *documents)
    assert claims(made, Kind.GATEWAY_TLS) == {f'{SLOT}:*': HostTls()}
    assert wrong(made) == reasons


def test_a_host_without_a_usable_certificate_gets_none_of_another_listener():
    made = model(gateway('web', https('absent', hostname='a.com')))
    assert claims(made, Kind.GATEWAY_TLS) == {f'{SLOT}:a.com': HostTls(certificates=('nobody',))}


def test_a_certificate_that_can_be_used_serves_beside_one_that_cannot():
    made = model(gateway('web', https('absent', 'ecdsa')), ECDSA)
    assert claims(made, Kind.GATEWAY_TLS) == {f'{SLOT}:*': HostTls(certificates=('shop_ecdsa',))}
    assert wrong(made) == ['InvalidCertificateRef']


def test_of_certificates_with_keys_of_one_kind_the_first_counts():
    made = model(gateway('web', https('second', 'ecdsa')), ECDSA, OTHER)
    assert claims(made, Kind.GATEWAY_TLS) == {f'{SLOT}:*': HostTls(certificates=('shop_second',))}
    assert wrong(made) == ['ContradictoryKeys']


def test_a_host_can_have_a_key_of_the_placeholder_s_kind():
    made = model(gateway('web', https('eddsa', hostname='a.com')), EDDSA)
    assert claims(made, Kind.GATEWAY_TLS) == {f'{SLOT}:a.com': HostTls(certificates=('shop_eddsa',))}


def test_a_grant_lets_a_listener_use_a_certificate_of_another_namespace():
    foreign = {**ECDSA, 'metadata': {'name': 'ecdsa', 'namespace': 'other'}}
    listeners = https({'name': 'ecdsa', 'namespace': 'other'})
    made = model(gateway('web', listeners), foreign, grant(namespace='other', kind='Gateway', target='Secret'))
    assert claims(made, Kind.GATEWAY_TLS) == {f'{SLOT}:*': HostTls(certificates=('other_ecdsa',))}


def test_at_the_port_of_the_class_a_listener_without_a_host_has_those_of_its_certificate():
    made = built(gateway('web', https('ecdsa')), ECDSA, settings=SETTINGS)
    own = HostTls(certificates=('shop_ecdsa',))
    assert claims(made, Kind.GATEWAY_TLS) == {'8443:*': GatewayPort(443)}
    assert claims(made, Kind.TLS) == {'a.com': own, '*.b.com': own}


def test_at_the_port_of_the_class_the_host_policy_holds():
    settings = Settings(secrets=Secrets(namespaces=('shop',)), host_policy={'shop': ('a.com',)})
    made = built(gateway('web', https('ecdsa')), ECDSA, settings=settings)
    assert list(claims(made, Kind.TLS)) == ['a.com']
    assert wrong(made) == ['HostForbidden']


def test_offline_a_placeholder_takes_the_place_of_a_missing_secret():
    made = model(gateway('web', https('absent')), offline=True)
    assert claims(made, Kind.GATEWAY_TLS) == {f'{SLOT}:*': HostTls(certificates=('shop_absent',))}
    assert wrong(made) == ['PlaceholderCertificate']


def guarded(*refs, mode='AllowValidOnly', ports=()):
    """Return a Gateway that validates its clients."""
    default = {
        'validation': {'mode': mode, 'caCertificateRefs': [{'group': '', 'kind': 'ConfigMap', **ref} for ref in refs]}
    }
    frontend = {'default': default, 'perPort': [{'port': port, 'tls': {}} for port in ports]}
    return gateway('web', https('ecdsa'), spec={'tls': {'frontend': frontend}})


@pytest.mark.parametrize(('mode', 'verify'), [('AllowValidOnly', 'required'), ('AllowInsecureFallback', 'optional')])
def test_clients_are_validated_by_the_authorities_of_the_gateway(mode, verify):
    made = model(guarded({'name': 'ca'}, mode=mode), ECDSA, ca_config_map('ca'))
    file = 'shop_web_clients_443'
    value = HostTls(certificates=('shop_ecdsa',), client_ca=file, verify=verify)
    assert claims(made, Kind.GATEWAY_TLS) == {f'{SLOT}:*': value}
    assert claims(made, Kind.GATEWAY_PORT) == {f'{SLOT}': GatewayPort(443, verify == 'required')}
    assert list(claims(made, Kind.AUTHORITY)) == [file]
    assert wrong(made) == []


def test_a_port_can_go_without_the_validation_of_the_others():
    made = model(guarded({'name': 'ca'}, ports=[443]), ECDSA, ca_config_map('ca'))
    assert claims(made, Kind.GATEWAY_TLS) == {f'{SLOT}:*': HostTls(certificates=('shop_ecdsa',))}
    assert claims(made, Kind.GATEWAY_PORT) == {f'{SLOT}': GatewayPort(443)}


@pytest.mark.parametrize(
    ('ref', 'reason'),
    [
        ({'name': 'absent'}, 'InvalidCACertificateRef'),
        ({'name': 'x', 'kind': 'Thing', 'group': 'a.io'}, 'InvalidCACertificateKind'),
        ({'name': 'ca', 'namespace': 'other'}, 'RefNotPermitted'),
    ],
)
def test_a_listener_that_cannot_validate_its_clients_is_not_served(ref, reason):
    made = model(guarded(ref), ECDSA, ca_config_map('ca', 'other'))
    assert claims(made, Kind.GATEWAY_TLS) == {f'{SLOT}:*': HostTls()}
    assert sorted(wrong(made)) == sorted([reason, 'NoValidCACertificate'])


def test_of_several_authorities_those_that_can_be_used_count():
    made = model(guarded({'name': 'absent'}, {'name': 'ca'}), ECDSA, ca_config_map('ca'))
    assert claims(made, Kind.GATEWAY_TLS)[f'{SLOT}:*'].verify == 'required'
    assert wrong(made) == ['InvalidCACertificateRef']


def test_a_grant_lets_a_gateway_use_authorities_of_another_namespace():
    granted = grant(namespace='other', kind='Gateway', target='ConfigMap')
    made = model(guarded({'name': 'ca', 'namespace': 'other'}), ECDSA, ca_config_map('ca', 'other'), granted)
    assert claims(made, Kind.GATEWAY_TLS)[f'{SLOT}:*'].verify == 'required'


@pytest.mark.parametrize(
    ('mode', 'client_ca'), [('AllowValidOnly', 'shop_web_clients_443'), ('AllowInsecureFallback', '')]
)
def test_at_the_port_of_the_class_hosts_have_the_validation_where_clients_must_be_valid(mode, client_ca):
    made = built(guarded({'name': 'ca'}, mode=mode), ECDSA, ca_config_map('ca'), settings=SETTINGS)
    assert {value.client_ca for value in claims(made, Kind.TLS).values()} == {client_ca}
    assert claims(made, Kind.GATEWAY_TLS) == {'8443:*': GatewayPort(443, bool(client_ca))}
