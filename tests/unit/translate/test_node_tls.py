"""TLS of Services' own addresses: which port ends it, with what, and what closes it instead."""

import pytest

from headrace import names
from headrace.ir.fragment import Kind
from headrace.ir.l4 import Action
from headrace.ir.pointers import Pointer
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.settings.settings import Secrets, Settings
from headrace.translate import build_context
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support import certificates
from support.objects import built, ca_secret, endpoint_slice, fragment, pointer, secret, service, tls_secret

IP = {'clusterIP': '10.96.0.1', 'clusterIPs': ['10.96.0.1']}
AT = '10.96.0.1:443'
GOOD = certificates.tls_secret('tls', *certificates.for_names('a.example.com'))
POLICY = names.policy(Ref('Service', 'shop', 'web'), 'p')


def on_node(said, *more, port=None, **spec):
    """Return the model of a Service with one port on a node."""
    ports = [{'name': 'p', 'port': 443, **(port or {})}]
    label = ports[0]['name']
    document = service(annotations={'proxy': 'node', **said}, ports=ports, **IP, **spec)
    known = Settings(secrets=Secrets(namespaces=('shop',)))
    ends = endpoint_slice(addresses=['10.0.0.1'], port_name=label)
    return built(document, ends, *more, settings=known, role=Role.NODE, topology=Topology('n1'))


def listeners(made):
    return {claim.key: claim.value for claim in fragment(made).claims if claim.kind is Kind.LISTENER}


def virtual_address(made):
    return pointer(made, Kind.VIRTUAL_ADDRESS, f'{AT}/TCP')


@pytest.mark.parametrize('mode', ['http', 'tcp'])
def test_a_port_with_a_certificate_leads_to_the_listener_of_tls_and_has_one_behind_it(mode):
    made = on_node({'tls-secret': 'tls', 'mode': mode}, GOOD)
    assert listeners(made) == {f'{mode}/{POLICY}': HostTls(certificates=('shop_tls',))}
    assert (
        virtual_address(made).datapath,
        virtual_address(made).external_path.action,
        virtual_address(made).external_path.spare,
    ) == ('tls', Action.SERVE, ())
    assert pointer(made, Kind.ADDRESS, AT) == Pointer(fragment(made).backends[0].name, POLICY, 'e')
    assert made.all_diagnostics() == ()


def test_clients_certificates_are_judged_by_the_listener():
    said = {'tls-secret': 'tls', 'mode': 'http', 'client-ca-secret': 'ca'}
    made = on_node(said, GOOD, ca_secret())
    value = HostTls(certificates=('shop_tls',), client_ca='shop_ca', verify='required')
    assert listeners(made) == {f'http/{POLICY}': value}
    assert pointer(made, Kind.ADDRESS, AT).flags == 'ev'
    made = on_node({**said, 'client-verify': 'optional'}, GOOD, ca_secret())
    assert [held.verify for held in listeners(made).values()] == ['optional']
    assert pointer(made, Kind.ADDRESS, AT).flags == 'eu'


@pytest.mark.parametrize(
    ('said', 'reason'),
    [
        pytest.param({'tls-secret': 'missing'}, 'SecretMissing', id='no Secret'),
        pytest.param({'tls-secret': 'tls, missing'}, 'SecretMissing', id='one of two'),
        pytest.param({'tls-secret': 'broken'}, 'CertificateUnusable', id='nothing in it'),
        pytest.param({'tls-secret': 'ed25519'}, 'CertificateUnusable', id='a key that a listener has already'),
        pytest.param({'tls-secret': 'No Name'}, 'InvalidValue', id='no name'),
        pytest.param({'tls-secret': 'tls', 'client-ca-secret': 'missing'}, 'SecretMissing', id='no authority'),
        pytest.param({'tls-secret': 'tls', 'client-ca-secret': 'No Name'}, 'InvalidValue', id='no name of one'),
        pytest.param({'client-ca-secret': 'ca'}, 'RouteClosed', id='an authority, and no TLS'),
        pytest.param({'tls-secret': 'tls', 'mode': 'tls-passthrough'}, 'RouteClosed', id='TLS that is passed through'),
    ],
)
@pytest.mark.parametrize('mode', ['http', 'tcp'])
def test_without_what_its_tls_needs_a_port_is_closed_and_never_in_the_clear(mode, said, reason):
    broken = {**secret('broken', tls_crt='none', tls_key='none'), 'type': 'kubernetes.io/tls'}
    made = on_node({'mode': mode, **said}, GOOD, broken, tls_secret('ed25519'), ca_secret())
    assert (listeners(made), virtual_address(made).external_path.action, virtual_address(made).local_path.action) == (
        {},
        Action.REFUSE,
        Action.REFUSE,
    )
    assert 'X' in pointer(made, Kind.ADDRESS, AT).flags
    assert reason in [diagnostic.reason for diagnostic in made.all_diagnostics()]


def test_of_two_certificates_with_keys_of_one_kind_the_first_counts():
    other = certificates.tls_secret('other', *certificates.for_names('b.example.com'))
    made = on_node({'tls-secret': 'tls, other', 'mode': 'http'}, GOOD, other)
    assert [held.certificates for held in listeners(made).values()] == [('shop_tls',)]
    assert [diagnostic.reason for diagnostic in made.all_diagnostics()] == ['ContradictoryKeys']


def test_a_service_at_the_edge_has_tls_there_and_its_own_address_in_the_clear():
    made = on_node({'tls-secret': 'tls', 'host': 'a.example.com', 'mode': 'http', 'tls-redirect': 'true'}, GOOD)
    assert (listeners(made), virtual_address(made).datapath) == ({}, 'http')
    assert pointer(made, Kind.ADDRESS, AT).policy == POLICY
    assert made.all_diagnostics() == ()


@pytest.mark.parametrize(
    ('said', 'datapath', 'encrypted'),
    [
        pytest.param({'datapath': 'haproxy'}, 'tcp', False, id='as it comes'),
        pytest.param({'tls-secret': 'tls'}, 'tls', True, id='ended, and made anew to the endpoint'),
        pytest.param({'tls-secret': 'tls', 'backend-protocol': 'http1'}, 'tls', False, id='ended for good'),
    ],
)
def test_tls_that_the_endpoint_speaks_is_ended_only_if_asked_for(said, datapath, encrypted):
    made = on_node(said, GOOD, port={'name': 'https'})
    assert virtual_address(made).datapath == datapath
    assert [backend.options.tls is not None for backend in fragment(made).backends] == [encrypted]
    assert [key.partition('/')[0] for key in listeners(made)] == (['http'] if datapath == 'tls' else [])


def test_no_client_is_sent_from_a_services_own_port_to_another_one():
    made = on_node({'tls-secret': 'tls', 'mode': 'http', 'tls-redirect': 'true'}, GOOD)
    assert [diagnostic.reason for diagnostic in made.all_diagnostics()] == ['NotApplicable']
    made = on_node({'tls-secret': 'tls', 'mode': 'http', 'tls-redirect': 'false'}, GOOD)
    assert made.all_diagnostics() == ()


def test_haproxy_keeps_clients_with_their_endpoints_behind_tls():
    made = on_node({'tls-secret': 'tls'}, GOOD, sessionAffinity='ClientIP')
    assert virtual_address(made).datapath == 'tls'
    assert pointer(made, Kind.ADDRESS, AT).flags == 'es'


@pytest.mark.parametrize(
    ('said', 'datapath'),
    [
        pytest.param({'client-ip': 'preserve'}, 'kernel', id='nothing else is asked'),
        pytest.param({'client-ip': 'preserve', 'max-connections': '5'}, 'tcp', id='something that HAProxy does'),
        pytest.param({'client-ip': 'preserve', 'tls-secret': 'tls'}, 'tls', id='TLS'),
        pytest.param({'client-ip': 'preserve', 'mode': 'http'}, 'http', id='HTTP'),
        pytest.param({'client-ip': 'none'}, 'kernel', id='not asked for'),
    ],
)
def test_clients_addresses_are_kept_where_the_kernel_alone_serves_a_port(said, datapath):
    made = on_node(said, GOOD)
    assert virtual_address(made).datapath == datapath
    refused = [diagnostic.message for diagnostic in made.all_diagnostics() if diagnostic.reason == 'NotYet']
    assert bool(refused) is (datapath not in ('kernel', 'tcp') or 'max-connections' in said)
    if 'max-connections' in said:
        assert refused[0].endswith('and here is max-connections')


def test_the_needs_of_a_service_name_the_secrets_of_its_tls_on_the_node_alone():
    made = on_node({'tls-secret': 'tls', 'client-ca-secret': 'ca'})
    assert {ref.name for ref in fragment(made).needs if ref.kind == 'Secret'} == {'tls', 'ca'}
    made = on_node({'tls-secret': 'tls', 'client-ca-secret': 'ca', 'host': 'a.example.com'})
    assert {ref.name for ref in fragment(made).needs if ref.kind == 'Secret'} == set()


def test_each_seat_has_ports_of_its_own_for_tls():
    seen = build_context.make(Settings(), role=Role.NODE)
    assert seen.node_ports == (10280, 10281, 10282, 10283, 10286, 10287)
    assert Settings().node_ports(1) == (10288, 10289, 10290, 10291, 10294, 10295)
