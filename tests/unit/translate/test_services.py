"""From a Service to its fragment at the edge: TLS, Secrets, what closes a route, canaries, and who may connect."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from headrace import names
from headrace.haproxy.encode import routes
from headrace.ir.backend import Demand, ServerTls
from headrace.ir.fragment import Claim, Kind
from headrace.ir.policy import Map, Userlist
from headrace.ir.tls import HostTls, Pem
from headrace.names import Ref
from headrace.objects import parse
from headrace.settings.settings import Secrets, Settings
from headrace.store import Reader, Store
from headrace.translate import build_context, edge_ports, placeholder_certificates, services
from support import certificates
from support.objects import (
    built,
    ca_secret,
    endpoint_slice,
    fragment,
    pointer,
    reasons,
    secret,
    service,
    tls_secret,
)

HTTP = [{'name': 'http', 'port': 80}]
HOST = {'host': 'a.example.com'}
USERS = secret('users', username='ann', password='secret')
FULL = (tls_secret('tls'), ca_secret('ca'), USERS)
READY = endpoint_slice(addresses=['10.0.0.1'], port_name='http')


def settings(**more):
    return Settings(**{'tcp_ports': '5000-5999', 'secrets': Secrets(namespaces=('shop',)), **more})


def served(annotations, *documents, known=None, ports=None, seen=None, **spec):
    """Return the model of a Service `web` that has one ready endpoint, and other documents."""
    document = service(annotations={**HOST, **annotations}, ports=ports or HTTP, **spec)
    return built(document, READY, *documents, settings=known or settings(), **(seen or {}))


def flags(made, key='a.example.com/', kind=Kind.ROUTE):
    return pointer(made, kind, key).flags


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('annotations', 'expected', 'tls'),
    [
        ({}, '', None),
        ({'tls-secret': 'tls'}, 'L', HostTls(certificates=('shop_tls',))),
        ({'tls-secret.http': 'tls'}, 'L', HostTls(certificates=('shop_tls',))),
        ({'tls-secret': 'tls', 'tls-redirect': 'true'}, 'L', HostTls(certificates=('shop_tls',))),
        ({'tls-secret': 'tls', 'tls-redirect': 'false'}, '', HostTls(certificates=('shop_tls',))),
        (
            {'tls-secret': 'tls', 'client-ca-secret': 'ca'},
            'Lv',
            HostTls(certificates=('shop_tls',), client_ca='shop_ca', verify='required'),
        ),
        (
            {'tls-secret': 'tls', 'client-ca-secret': 'ca', 'client-verify': 'optional', 'tls-redirect': 'false'},
            'u',
            HostTls(certificates=('shop_tls',), client_ca='shop_ca', verify='optional'),
        ),
    ],
)
def test_tls_of_a_host(annotations, expected, tls):
    made = served(annotations, *FULL)
    assert flags(made) == expected
    assert pointer(made, Kind.TLS, 'a.example.com') == tls
    assert reasons(made) == []


def test_the_files_of_certificates_are_claimed_with_what_is_in_the_secrets():
    made = served({'tls-secret': 'tls', 'client-ca-secret': 'ca'}, *FULL)
    both, alone = placeholder_certificates.certificate(Ref('Secret', '', 'one'))
    assert pointer(made, Kind.CERTIFICATE, 'shop_tls') == Pem(both)
    assert pointer(made, Kind.AUTHORITY, 'shop_ca') == Pem(alone)
    assert fragment(made).needs == (Ref('Secret', 'shop', 'ca'), Ref('Secret', 'shop', 'tls'))


def test_of_two_certificates_with_keys_of_one_kind_the_first_counts():
    other = certificates.tls_secret('b', *certificates.for_names('a.example.com'))
    same = certificates.tls_secret('c', *certificates.for_names('a.example.com'))
    said = {'host': 'a.example.com', 'tls-secret': 'a, b, c'}
    made = built(
        service(annotations=said),
        endpoint_slice(addresses=['10.0.0.1']),
        tls_secret('a'),
        other,
        same,
        settings=settings(),
    )
    assert pointer(made, Kind.TLS, 'a.example.com').certificates == ('shop_a', 'shop_b')
    assert [(diagnostic.reason, diagnostic.field) for diagnostic in made.all_diagnostics()] == [
        ('ContradictoryKeys', 'metadata.annotations[headrace.io/tls-secret]')
    ]


def test_where_clients_must_show_certificates_http_is_redirected_whatever_is_said():
    made = served({'tls-secret': 'tls', 'client-ca-secret': 'ca', 'tls-redirect': 'false'}, *FULL)
    assert flags(made) == 'Lv'
    assert reasons(made) == ['ContradictoryKeys']


@pytest.mark.parametrize(
    ('annotations', 'known', 'expected', 'said'),
    [
        ({'tls-redirect': 'true'}, settings(default_certificate='shop/tls'), 'L', []),
        ({'tls-redirect': 'true'}, settings(), '', ['NotApplicable']),
        # A default certificate that is only named serves no client: not there, without one in it, in another namespace.
        ({'tls-redirect': 'true'}, settings(default_certificate='shop/no'), '', ['NotApplicable', 'SecretMissing']),
        (
            {'tls-redirect': 'true'},
            settings(default_certificate='shop/users'),
            '',
            ['CertificateUnusable', 'NotApplicable'],
        ),
        ({'tls-redirect': 'false'}, settings(), '', []),
        ({}, settings(default_certificate='shop/tls'), '', []),
    ],
)
def test_without_a_certificate_of_its_own_a_host_is_redirected_to_the_default_one_on_request(
    annotations, known, expected, said
):
    made = served(annotations, *FULL, known=known)
    assert flags(made) == expected
    assert reasons(made) == said


def test_every_host_has_its_own_claim_but_the_catch_all():
    made = served({'host': 'a.example.com *.b.example.com', 'tls-secret': 'tls'}, *FULL)
    keys = [key for (kind, key), _ in made.pointers() if kind is Kind.TLS]
    assert keys == ['*.b.example.com', 'a.example.com']
    made = served({'host': '*', 'tls-secret': 'tls'}, *FULL)
    assert [key for (kind, key), _ in made.pointers() if kind is Kind.TLS] == []
    assert flags(made, '*/') == 'LX'
    assert reasons(made) == ['RouteClosed']


# --- what closes a route ----------------------------------------------------------------------------------------------


KEYS = {
    'tls-secret': ({'tls-secret': 'tls'}, 'tls'),
    'client-ca-secret': ({'tls-secret': 'good', 'client-ca-secret': 'ca'}, 'ca'),
    'basic-auth-secret': ({'basic-auth-secret': 'users'}, 'users'),
    'backend-ca-secret': ({'backend-protocol': 'https', 'backend-ca-secret': 'ca'}, 'ca'),
}
UNUSABLE = {'basic-auth-secret': 'CredentialsUnusable'}


@pytest.mark.parametrize(('annotations', 'name'), KEYS.values(), ids=KEYS)
@pytest.mark.parametrize(
    ('kind', 'namespaces', 'reason'),
    [
        ('missing', ('shop',), 'SecretMissing'),
        ('elsewhere', ('*',), 'SecretMissing'),
        ('unusable', ('shop',), 'unusable'),
        ('whole', (), 'SecretForbidden'),
        ('whole', ('bank',), 'SecretForbidden'),
    ],
)
def test_a_secret_that_cannot_be_used_closes_the_route(annotations, name, kind, namespaces, reason):
    held = {
        'missing': [],
        'elsewhere': [secret(name, 'bank', ca_crt='x')],
        'unusable': [secret(name, nothing='x')],
        'whole': [{'tls': tls_secret, 'ca': ca_secret}.get(name, lambda _: USERS)(name)],
    }[kind]
    good = [tls_secret('good')] if namespaces in (('shop',), ('*',)) else []
    made = served(annotations, *held, *good, known=settings(secrets=Secrets(namespaces=namespaces)))
    assert 'X' in flags(made)
    key = list(annotations)[-1]
    said = {diagnostic.reason for diagnostic in made.all_diagnostics() if f'[headrace.io/{key}]' in diagnostic.field}
    expected = UNUSABLE.get(key, 'CertificateUnusable') if reason == 'unusable' else reason
    assert said == {expected, 'RouteClosed'}
    if key == 'backend-ca-secret':
        assert fragment(made).backends[0].groups == ()


@pytest.mark.parametrize(('annotations', 'name'), KEYS.values(), ids=KEYS)
def test_a_secret_that_can_be_used_closes_nothing(annotations, name):
    made = served(annotations, *FULL, tls_secret('good'))
    assert 'X' not in flags(made)
    assert reasons(made) == []


def test_the_diagnostic_about_a_forbidden_secret_names_the_setting_and_the_namespace():
    made = served({'basic-auth-secret.http': 'users'}, USERS, known=settings(secrets=Secrets()))
    (diagnostic,) = [v for v in made.all_diagnostics() if v.reason == 'SecretForbidden']
    assert 'add shop to secrets.namespaces' in diagnostic.message
    assert diagnostic.field == 'metadata.annotations[headrace.io/basic-auth-secret.http]'


def test_no_diagnostic_and_no_text_of_a_fragment_shows_what_a_secret_holds():
    made = served({'basic-auth-secret': 'users', 'tls-secret': 'tls', 'client-ca-secret': 'ca'}, *FULL)
    shown = repr(made.fragments) + repr(made.all_diagnostics()) + repr(dict(made.pointers()))
    assert "secret'" not in shown
    assert 'BEGIN' not in shown


@pytest.mark.parametrize(
    ('annotations', 'ports', 'kind', 'key'),
    [
        ({'client-ca-secret': 'ca'}, HTTP, Kind.ROUTE, 'a.example.com/'),
        ({'mode': 'tcp', 'port': '5000', 'client-ca-secret': 'ca'}, HTTP, Kind.PORT, '5000'),
        ({'mode': 'tcp', 'port': '5000', 'tls-secret': 'none'}, HTTP, Kind.PORT, '5000'),
        ({'mode': 'tcp', 'port': '5000', 'basic-auth-secret': 'users'}, HTTP, Kind.PORT, '5000'),
        (
            {'mode': 'tcp', 'port': '5000', 'backend-protocol': 'tls', 'backend-ca-secret': 'no'},
            HTTP,
            Kind.PORT,
            '5000',
        ),
        ({'backend-protocol': 'https', 'backend-verify': 'true'}, HTTP, Kind.ROUTE, 'a.example.com/'),
    ],
)
def test_protection_that_cannot_be_given_here_closes_the_route(annotations, ports, kind, key):
    made = served(annotations, *FULL, ports=ports)
    assert 'X' in flags(made, key, kind)
    assert 'RouteClosed' in reasons(made)


@pytest.mark.parametrize('protection', [{'tls-secret': 'tls'}, {'client-ca-secret': 'ca'}, {'allow': 'nonsense'}])
def test_tls_that_is_passed_through_cannot_be_protected_here(protection):
    made = served({'mode': 'tls-passthrough', **protection}, *FULL)
    held = pointer(made, Kind.TLS, 'a.example.com')
    assert held.passthrough.flags == 'X'
    assert (held.certificates, held.client_ca) == ((), '')


def test_a_tcp_port_whose_tls_ends_here_may_demand_certificates_of_its_clients():
    said = {'mode': 'tcp', 'port': '5000', 'tls-secret': 'tls', 'client-ca-secret': 'ca', 'client-verify': 'optional'}
    made = served(said, *FULL)
    assert (reasons(made), flags(made, '5000', Kind.PORT)) == ([], 'eu')
    assert pointer(made, Kind.TLS, 'a.example.com') == HostTls(
        certificates=('shop_tls',), client_ca='shop_ca', verify='optional'
    )
    closed = served({**said, 'client-ca-secret': 'none'}, *FULL)
    assert flags(closed, '5000', Kind.PORT) == 'Xeu'


def test_tls_that_is_passed_through_is_a_claim_for_the_host():
    made = served({'mode': 'tls-passthrough'})
    assert pointer(made, Kind.TLS, 'a.example.com').passthrough.backend.startswith('shop_web_http_')
    assert reasons(made) == []


def test_crypt_hashes_are_served_and_what_they_cost_is_told():
    hashed = f'$6$salt${"h" * 86}'
    made = served({'basic-auth-secret': 'crypt'}, secret('crypt', auth=f'ann:{hashed}\nbob:clear'))
    assert reasons(made) == ['CostlyHash']
    assert flags(made, 'a.example.com/') == 'Bb'
    policy = names.policy(Ref('Service', 'shop', 'web'), 'http')
    assert fragment(made).userlists == (Userlist(policy, (('ann', hashed),)),)
    assert [entry.map for entry in fragment(made).data] == [Map.AUTH]


# --- endpoints that must be verified ----------------------------------------------------------------------------------


def test_an_endpoint_is_verified_with_the_authorities_that_are_named():
    made = served({'backend-protocol': 'https', 'backend-ca-secret': 'ca'}, *FULL)
    mark = pointer(made, Kind.AUTHORITY, 'shop_ca').mark
    assert fragment(made).backends[0].options.tls == ServerTls(verify=True, ca_file='shop_ca', ca_mark=mark)
    assert pointer(made, Kind.AUTHORITY, 'shop_ca') is not None


@pytest.mark.parametrize(
    'documents',
    [
        [],
        [secret('ca', ca_crt='nonsense')],
    ],
)
def test_no_server_names_a_file_of_authorities_without_a_claim(documents):
    annotations = {'backend-protocol': 'https', 'backend-ca-secret': 'ca'}
    other = service('next', ports=HTTP, annotations=annotations)
    slices = endpoint_slice('next', addresses=['10.0.0.2'], port_name='http')
    made = served({**annotations, 'canary-service': 'next', 'canary-weight': '5'}, other, slices, *documents)
    for name in ('web', 'next'):
        assert [backend.groups for backend in fragment(made, name).backends] == [()]
        assert not [claim for claim in fragment(made, name).claims if claim.kind is Kind.AUTHORITY]
    made = served({**annotations, 'canary-service': 'next', 'canary-weight': '5'}, other, slices, ca_secret('ca'))
    for name in ('web', 'next'):
        assert [len(backend.groups) for backend in fragment(made, name).backends] == [1]
        assert [claim.key for claim in fragment(made, name).claims if claim.kind is Kind.AUTHORITY] == ['shop_ca']


def test_authorities_that_are_a_default_of_the_class_are_found_in_each_services_namespace():
    made = served({'backend-protocol': 'https'}, *FULL, known=settings(defaults={'backend-ca-secret': 'ca'}))
    mark = pointer(made, Kind.AUTHORITY, 'shop_ca').mark
    assert fragment(made).backends[0].options.tls == ServerTls(verify=True, ca_file='shop_ca', ca_mark=mark)
    assert len(fragment(made).backends[0].groups) == 1
    assert reasons(made) == []


def test_authorities_that_are_not_used_are_not_needed():
    made = served({'backend-protocol': 'https', 'backend-ca-secret': 'no', 'backend-verify': 'false'})
    assert flags(made) == ''
    assert fragment(made).backends[0].options.tls == ServerTls()


# --- offline ----------------------------------------------------------------------------------------------------------


def test_offline_stand_ins_take_the_place_of_secrets_that_are_not_there():
    annotations = {
        'tls-secret': 'tls', 'client-ca-secret': 'ca', 'backend-protocol': 'https', 'backend-ca-secret': 'ca2',
    }  # fmt: skip
    made = served(annotations, seen={'offline': True}, known=settings(secrets=Secrets()))
    assert flags(made) == 'Lv'
    assert reasons(made) == ['PlaceholderCertificate'] * 3
    assert pointer(made, Kind.CERTIFICATE, 'shop_tls') == Pem(
        placeholder_certificates.certificate(Ref('Secret', 'shop', 'tls'))[0]
    )
    assert pointer(made, Kind.AUTHORITY, 'shop_ca') == Pem(
        placeholder_certificates.certificate(Ref('Secret', 'shop', 'ca'))[1]
    )


def test_offline_a_secret_that_is_there_is_used_and_users_are_never_made_up():
    made = served({'tls-secret': 'tls', 'basic-auth-secret': 'no'}, *FULL, seen={'offline': True})
    assert pointer(made, Kind.CERTIFICATE, 'shop_tls') == Pem(
        placeholder_certificates.certificate(Ref('Secret', '', 'one'))[0]
    )
    assert flags(made) == 'LX'
    assert reasons(made) == ['RouteClosed', 'SecretMissing']


def test_with_a_folder_as_source_all_secrets_that_it_holds_may_be_read():
    made = served({'tls-secret': 'tls'}, *FULL, seen={'all_secrets': True}, known=settings(secrets=Secrets()))
    assert flags(made) == 'L'


# --- who may connect --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('annotations', 'spec', 'expected', 'keys'),
    [
        ({}, {'loadBalancerSourceRanges': ['10.0.0.0/8', ' 192.0.2.0/24 ']}, 'a', [':40A', ':4C00002']),
        ({}, {'loadBalancerSourceRanges': []}, '', []),
        ({}, {'loadBalancerSourceRanges': ['nonsense', '10.0.0.0/8']}, 'X', []),
        ({'allow': '172.16.0.0/12'}, {'loadBalancerSourceRanges': ['10.0.0.0/8']}, 'a', [':4AC1']),
        ({}, {'loadBalancerSourceRanges': ['10.0.0.0/8'], 'type': 'ClusterIP'}, '', []),
    ],
)
def test_source_ranges_of_a_load_balancer_are_an_allow_list_unless_there_is_one(annotations, spec, expected, keys):
    made = served(annotations, **{'type': 'LoadBalancer', **spec})
    assert flags(made) == expected
    assert [entry.key[32:] for entry in fragment(made).data] == keys


def test_clients_that_stay_have_a_flag_and_their_time_as_data():
    made = served({}, sessionAffinity='ClientIP')
    assert flags(made) == 's'
    assert [(entry.map, entry.value) for entry in fragment(made).data] == [(Map.AFFINITY, '10800')]
    assert not made.all_diagnostics()
    other = served({}, sessionAffinity='ClientIP', sessionAffinityConfig={'clientIP': {'timeoutSeconds': 5}})
    assert [backend.name for backend in fragment(other).backends] == [
        backend.name for backend in fragment(made).backends
    ]


def test_a_cookie_counts_more_than_the_clients_address():
    made = served({'cookie': 'true'}, sessionAffinity='ClientIP')
    assert (flags(made), fragment(made).data) == ('', ())


def test_a_canarys_clients_stay_if_its_own_service_says_so():
    other = service('next', ports=HTTP, sessionAffinity='ClientIP')
    made = served({'canary-service': 'next', 'canary-weight': '50'}, other)
    assert flags(made) == 'Kc'
    assert [value.split('|')[3] for value in whole_split(made)] == ['s']
    assert [entry.map for entry in fragment(made, 'next').data] == [Map.AFFINITY]


# --- keys that no port can use ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('annotations', 'ports', 'fields'),
    [
        ({'hsts': '1h', 'mode': 'tcp', 'port': '5000', 'tls-redirect': 'true'}, HTTP, ['hsts', 'host', 'tls-redirect']),
        ({'timeout-client': '5s', 'mode': 'tcp', 'port': '5000'}, HTTP, ['timeout-client', 'host']),
        ({'port': '5000'}, HTTP, ['port']),
        ({'accept-proxy': 'true'}, HTTP, ['accept-proxy']),
        ({'accept-proxy.http': 'true'}, HTTP, ['accept-proxy.http']),
        (
            {'host': '', 'host.http': 'a.example.com', 'port.tcp': '5000', 'hsts.tcp': '1h', 'hsts': '1h'},
            [*HTTP, {'name': 'tcp', 'port': 5432}],
            ['hsts.tcp'],
        ),
    ],
)
def test_a_key_that_no_exposed_port_can_use_is_told(annotations, ports, fields):
    made = served(annotations, ports=ports)
    found = [diagnostic.field for diagnostic in made.all_diagnostics() if diagnostic.reason == 'NotApplicable']
    assert sorted(found) == sorted(f'metadata.annotations[headrace.io/{name}]' for name in fields)


# --- canaries ---------------------------------------------------------------------------------------------------------


def split(made):
    """Return the canary's data: weight and backend."""
    return ['|'.join(value.split('|')[:2]) for value in whole_split(made)]


def whole_split(made):
    return [entry.value for lead in fragment(made).leads for entry in routes.lead(lead)]


@pytest.mark.parametrize(
    ('ports', 'own', 'value'),
    [
        # The port of the same name, else of the same number, and never one that is not TCP.
        ([{'name': 'http', 'port': 8080}, {'name': 'other', 'port': 80}], HTTP, '2500|shop_next_http'),
        ([{'name': 'other', 'port': 80}], HTTP, '2500|shop_next_other'),
        ([{'name': 'other', 'port': 81}], HTTP, None),
        ([{'port': 80}], [{'port': 80}], '2500|shop_next_80'),
        ([{'name': 'quic', 'port': 80, 'protocol': 'UDP'}, {'name': 'web', 'port': 80}], HTTP, '2500|shop_next_web'),
        ([{'name': 'http', 'port': 80, 'protocol': 'UDP'}], HTTP, None),
        # Used as HTTP whatever it says of itself.
        ([{'name': 'tcp', 'port': 80}], HTTP, '2500|shop_next_tcp'),
    ],
)
def test_a_canary_is_the_port_of_the_same_name_else_number(ports, own, value):
    other = service('next', ports=ports)
    made = served({'canary-service': 'next', 'canary-weight': '25'}, other, ports=own)
    assert split(made) == ([value] if value else [])
    assert ('c' in flags(made)) is (value is not None)
    assert ('ServiceMissing' in reasons(made)) is (value is None)
    backends = fragment(made, 'next').backends if fragment(made, 'next') else ()
    assert [backend.name for backend in backends] == ([value.partition('|')[2]] if value else [])


@pytest.mark.parametrize(
    ('own', 'other', 'stays'),
    [
        ({}, {}, False),
        ({'cookie': 'true'}, {}, True),
        ({}, {'cookie': 'true'}, True),
        ({'cookie': 'a'}, {'cookie': 'a'}, True),
    ],
)
def test_clients_that_stay_with_an_endpoint_stay_on_one_side_of_a_canary(own, other, stays):
    made = served(
        {'canary-service': 'next', 'canary-weight': '50', **own}, service('next', ports=HTTP, annotations=other)
    )
    assert flags(made) == ('Kc' if stays else 'c')


def test_a_canary_that_does_not_exist_is_left_out():
    made = served({'canary-service': 'next', 'canary-weight': '25'})
    assert split(made) == []
    assert flags(made) == ''
    assert reasons(made) == ['ServiceMissing']


def test_a_canary_has_the_shape_that_its_own_annotations_give_it():
    other = service('next', ports=HTTP, annotations={'balance': 'leastconn', 'backend-protocol': 'h2c'})
    made = served({'canary-service': 'next'}, other)
    (backend,) = fragment(made, 'next').backends
    assert backend.shape.balance == 'leastconn'
    assert backend.options.protocol == 'h2'
    assert split(made) == [f'0|{backend.name}']


@pytest.mark.parametrize(
    ('own', 'flags', 'entries'),
    [
        ({}, '', []),
        ({'client-ip': 'none'}, 'n', []),
        ({'client-ip': 'proxy-v2', 'timeout-server': '2s'}, 'nt', [(2000, 0)]),
        ({'timeout-server': '2s', 'timeout-tunnel': '3s'}, 't', [(2000, 3000)]),
    ],
)
@pytest.mark.parametrize('exposed', [False, True], ids=['only a canary', 'exposed too'])
def test_a_canary_has_the_timeouts_and_the_client_ip_of_its_own_annotations(own, flags, entries, exposed):
    other = service('next', ports=HTTP, annotations={**own, **({'host': 'b.example.com'} if exposed else {})})
    made = served({'canary-service': 'next', 'timeout-server': '9s', 'client-ip': 'forwarded'}, other)
    policy = names.policy(Ref('Service', 'shop', 'next'), 'http')
    assert [value.split('|')[2:] for value in whole_split(made)] == [[policy, flags]]
    found = fragment(made, 'next').timeouts
    assert [(item.policy, item.server, item.tunnel) for item in found] == [(policy, *values) for values in entries]


@pytest.mark.parametrize(
    ('said', 'always', 'never'),
    [
        ({'canary-header': 'X-Beta'}, ['x-beta:%20always<'], ['x-beta:%20never<']),
        ({'canary-header': 'X-Beta: yes, 5%'}, ['x-beta:%20yes%2C%205%25<'], []),
        ({'canary-cookie': 'beta'}, ['beta=always<'], ['beta=never<']),
        ({'canary-header': 'X-B: 1', 'canary-cookie': 'b'}, ['b=always<', 'x-b:%201<'], ['b=never<']),
    ],
)
def test_what_a_request_says_to_go_to_the_canary_is_data(said, always, never):
    made = served({'canary-service': 'next', **said}, service('next', ports=HTTP))
    policy = names.policy(Ref('Service', 'shop', 'web'), 'http')
    found = {
        where: [e.key for e in fragment(made).data if e.map is where] for where in (Map.CANARY_ALWAYS, Map.CANARY_NEVER)
    }
    assert found == {
        Map.CANARY_ALWAYS: [f'{policy}>{text}' for text in always],
        Map.CANARY_NEVER: [f'{policy}>{text}' for text in never],
    }
    assert flags(made) == 'ck'
    assert 'NotYet' not in reasons(made)


def test_an_exposed_service_that_is_also_demanded_has_one_backend():
    made = served({'canary-service': 'next'}, service('next', ports=HTTP, annotations={'host': 'b.example.com'}))
    assert [backend.name for backend in fragment(made, 'next').backends] == ['shop_next_http']


def test_a_demand_for_a_port_that_is_not_there_adds_nothing():
    item = parse.read(service(annotations=HOST, ports=HTTP)).object
    seen, demands = build_context.make(settings()), frozenset({Demand(item.ref, 'gone', 'http')})
    made = services.translate(item, Reader(Store(), item.ref), seen, demands)
    assert [backend.port for backend in made.backends] == ['http']


@pytest.mark.parametrize(
    ('host', 'path', 'exact', 'key'),
    [
        ('h', '/', False, 'h/'),
        ('h', '/a', False, 'h/a/'),
        ('h', '/a/', False, 'h/a/'),
        ('h', '/a', True, 'h/a/#'),
        ('h', '/a/', True, 'h/a//#'),
        ('h', '/', True, 'h//#'),
        ('*', '/', False, '*/'),
    ],
)
def test_keys_of_routes(host, path, exact, key):
    assert edge_ports.route_key(host, path, exact=exact) == key


def test_claims_of_a_fragment_are_sorted_and_speak_of_the_field():
    made = served({'host': 'b.example.com a.example.com', 'path': '/y /x'})
    found = fragment(made).claims
    assert [claim.key for claim in found] == [
        'a.example.com/x/',
        'a.example.com/y/',
        'b.example.com/x/',
        'b.example.com/y/',
    ]
    assert {claim.field for claim in found} == {'metadata.annotations[headrace.io/host]'}
    assert isinstance(found[0], Claim)


@pytest.mark.parametrize(
    'ranges',
    [
        pytest.param('10.0.0.0/8', id='a text for the list'),
        pytest.param([5], id='a number'),
        pytest.param(['10.0.0.0/8', None], id='null among CIDRs'),
        pytest.param([''], id='an empty text'),
        pytest.param({'cidr': '10.0.0.0/8'}, id='a mapping'),
    ],
)
def test_source_ranges_that_cannot_be_read_close_the_route(ranges):
    made = served({}, type='LoadBalancer', loadBalancerClass='headrace.io/headrace', loadBalancerSourceRanges=ranges)
    assert 'X' in flags(made)
    assert 'RouteClosed' in reasons(made)


def test_a_service_that_asks_for_the_edge_without_a_port_is_told():
    made = built(
        {'apiVersion': 'v1', 'kind': 'Service', 'metadata': service(annotations={'enabled': 'true'})['metadata']}
    )
    assert reasons(made) == ['InvalidObject']


def test_an_authority_of_endpoints_that_does_not_parse_closes_the_route_and_no_endpoint_is_used_unverified():
    made = served({'backend-protocol': 'https', 'backend-ca-secret': 'No Name'})
    assert 'X' in flags(made)
    assert [backend.groups for backend in fragment(made).backends] == [()]
    assert [v.reason for v in made.all_diagnostics()] == ['InvalidValue', 'RouteClosed']


def test_a_canary_whose_authority_does_not_parse_gets_no_traffic_unverified():
    said = {'backend-protocol': 'https', 'backend-ca-secret': 'No Name'}
    made = served(
        {'canary-service': 'next', 'canary-weight': '50'},
        service('next', annotations=said, ports=HTTP),
        endpoint_slice('next', addresses=['10.0.0.9'], port_name='http'),
    )
    assert [backend.groups for backend in fragment(made, 'next').backends] == [()]


@pytest.mark.parametrize('name', ['Bad_Name', '', 'a b'])
@pytest.mark.parametrize(('known', 'said'), [({}, ['InvalidValue']), ({'class_name': 'other'}, [])])
def test_a_service_whose_class_does_not_parse_is_not_served_and_reported_by_the_default_one(name, known, said):
    made = served({'class': name}, known=settings(**known))
    assert pointer(made, Kind.ROUTE, 'a.example.com/') is None
    assert reasons(made) == said


@pytest.mark.parametrize('port', ['\u202eevil', 'a' * 1_000_000], ids=['unprintable', 'long'])
def test_the_diagnostic_of_a_closing_key_can_be_printed_whatever_port_it_names(port):
    (found,) = [v for v in served({f'allow.{port}': '10.0.0.0/8'}).all_diagnostics() if v.reason == 'RouteClosed']
    assert found.field == 'metadata.annotations[headrace.io/allow]'
    assert found.message.isprintable()


def test_a_protecting_key_for_a_port_that_does_not_exist_is_told_as_that():
    found = [v for v in served({'allow.nope': '10.0.0.0/8'}).all_diagnostics() if v.reason == 'RouteClosed']
    assert [(v.field, v.message) for v in found] == [(
        'metadata.annotations[headrace.io/allow.nope]',
        'headrace.io/allow.nope: port http is closed: the Service has no port of this name or number',
    )]  # fmt: skip


def test_basic_auth_on_a_tcp_port_is_told_once():
    document = service(annotations={'port': '5000', 'mode': 'tcp', 'basic-auth-secret': 'users'})
    made = built(document, endpoint_slice(addresses=['10.0.0.1']), USERS, settings=settings())
    assert reasons(made) == ['RouteClosed']


@pytest.mark.parametrize(
    ('annotations', 'key'),
    [
        ({'redirect-code': '301'}, 'redirect-code'),
        ({'redirect-code.http': '301'}, 'redirect-code.http'),
        ({'client-verify': 'optional'}, 'client-verify'),
        ({'cors-allow-methods': 'GET'}, 'cors-allow-methods'),
        ({'cors-allow-headers': 'X-A'}, 'cors-allow-headers'),
        ({'cors-expose-headers': 'X-A'}, 'cors-expose-headers'),
        ({'cors-allow-credentials': 'true'}, 'cors-allow-credentials'),
        ({'cors-max-age': '5m'}, 'cors-max-age'),
        ({'canary-weight': '5'}, 'canary-weight'),
        ({'canary-header': 'X-Canary'}, 'canary-header'),
        ({'canary-cookie': 'canary'}, 'canary-cookie'),
        ({'host.http': 'b.example.com'}, 'host'),
        ({'path': '/a', 'path.http': '/b'}, 'path'),
    ],
)
def test_a_key_without_effect_is_told(annotations, key):
    found = [(v.reason, v.field) for v in served(annotations).all_diagnostics()]
    assert found == [('NotApplicable', f'metadata.annotations[headrace.io/{key}]')]


@pytest.mark.parametrize('key', ['path', 'path-type'])
def test_a_key_about_paths_of_a_service_that_asks_for_nothing_is_told(key):
    made = built(service(annotations={key: {'path': '/a', 'path-type': 'Exact'}[key]}), settings=settings())
    assert [(v.reason, v.field) for v in made.all_diagnostics()] == [
        ('NotApplicable', f'metadata.annotations[headrace.io/{key}]')
    ]
    assert fragment(made).claims == ()


# --- TLS of TCP ports -------------------------------------------------------------------------------------------------


def test_the_certificate_of_a_tcp_port_is_for_its_hosts_or_for_those_that_it_names(named_certificate):
    for host, wanted in (({'host': 'db.example.com'}, ['db.example.com']), ({}, ['*.b.example.com', 'a.example.com'])):
        made = built(
            service(annotations={'port': '5000', 'mode': 'tcp', 'tls-secret': 'named', **host}, ports=HTTP),
            named_certificate,
            settings=settings(),
        )
        claims = [(claim.key, claim.value) for claim in fragment(made).claims if claim.kind is Kind.TLS]
        assert claims == [(key, HostTls(certificates=('shop_named',))) for key in wanted]
        assert flags(made, '5000', Kind.PORT) == 'e'


def test_a_tcp_port_whose_certificate_no_client_can_ask_for_is_reported():
    made = served({'port': '5000', 'mode': 'tcp', 'tls-secret': 'tls', 'host': ''}, *FULL)
    assert 'NotApplicable' in reasons(made)


@pytest.fixture
def named_certificate():
    """A Secret with a certificate for three names, one of which is no host."""
    names = ('A.example.com', '*.b.example.com', 'not a host')
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'db')])
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2036, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form, encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    texts = {
        'tls_crt': made.public_bytes(serialization.Encoding.PEM).decode(),
        'tls_key': key.private_bytes(serialization.Encoding.PEM, form, encryption).decode(),
    }
    return {**secret('named', **texts), 'type': 'kubernetes.io/tls'}


@pytest.mark.parametrize(
    ('weight', 'total', 'wanted'), [('1', '3', 3333), ('2', '3', 6667), ('5', '4', 10_000), ('7', '1000000', 0)]
)
def test_the_weight_of_a_canary_is_its_part_of_the_total(weight, total, wanted):
    said = {'canary-service': 'next', 'canary-weight': weight, 'canary-weight-total': total}
    made = served(said, service('next', ports=HTTP))
    assert [lead.weight for lead in fragment(made).leads] == [wanted]


@pytest.mark.parametrize(
    ('header', 'pattern', 'wanted'),
    [('X-B', 'a|b', [r'x-b|(*LIMIT_MATCH=5000)(?:a|b)']), ('X-B', '(a+)+', []), ('X-B: c', 'a', [])],
)
def test_the_pattern_of_a_canarys_header_is_data(header, pattern, wanted):
    said = {'canary-service': 'next', 'canary-header': header, 'canary-header-pattern': pattern}
    made = served(said, service('next', ports=HTTP))
    assert [entry.value for entry in fragment(made).data if entry.map is Map.CANARY_PATTERN] == wanted
    assert ('InvalidValue' in [diagnostic.reason for diagnostic in made.all_diagnostics()]) is not bool(wanted)
