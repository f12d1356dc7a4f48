"""The certificate of a wildcard is not shown for hosts of other namespaces, whatever the kinds of keys and the client's SNI."""

import ssl

import pytest

from conftest import binary
from headrace.ir.fragment import Kind
from headrace.ir.pointers import Reserved
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.settings.settings import Secrets, Settings
from headrace.translate import placeholder_certificates
from support import certificates, http3
from support.edge import Edge, Endpoints, shown
from support.objects import built, ca_secret, endpoint_slice, pointer, reasons, secret, service, tls_secret

OLD, NEW = '2024-01-01T00:00:00Z', '2024-06-01T00:00:00Z'
HOST, WILD = 'shop.example.com', '*.example.com'
# Names of 253 characters, the most that there can be, of which each label has at most 63.
LONG = '.'.join(('a' * 63, 'b' * 63, 'c' * 63, 'd' * 49, 'example.com'))
HTTP = [{'name': 'http', 'port': 80}]
A, B = '127.0.9.1', '127.0.9.2'
KINDS = {
    'wildcard ECDSA, host RSA': ('ECDSA', 'RSA'),
    'wildcard RSA, host ECDSA': ('RSA', 'ECDSA'),
    'both ECDSA': ('ECDSA', 'ECDSA'),
}


def claimed(namespace, created, name='web', **annotations):
    said = {'host': HOST, **{key.replace('_', '-'): value for key, value in annotations.items()}}
    return service(name, namespace, created=created, annotations=said, ports=HTTP)


@pytest.fixture(scope='module')
def keys():
    """Return keys and certificates by owner and kind."""
    return {(owner, kind): certificates.for_names(owner, kind=kind) for owner in 'abd' for kind in ('ECDSA', 'RSA')}


def held(name, namespace, pair):
    private, certificate = pair
    found = secret(name, namespace, tls_crt=certificate.decode(), tls_key=private.decode())
    return {**found, 'type': 'kubernetes.io/tls'}


@pytest.fixture(scope='module')
def endpoints(tmp_path_factory):
    """Endpoints that speak in the clear, and those of tenant-b, which end TLS themselves."""
    path = tmp_path_factory.mktemp('endpoint') / 'endpoint.pem'
    path.write_bytes(placeholder_certificates.certificate(Ref('Secret', '', 'passed'))[0])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with Endpoints() as plain, Endpoints(context) as passed:
        yield plain, passed


def serves(document, endpoints, address):
    metadata = document['metadata']
    found = endpoint_slice(
        metadata['name'], metadata['namespace'], addresses=[address], port=endpoints.port, port_name='http'
    )
    return document, found


def edge(*documents, default=False, **settings):
    given = {'default_certificate': 'tenant-a/default' if default else '', **settings}
    return Edge(binary('haproxy-3.4'), *documents, seen={'all_secrets': True}, **given)


def attack(endpoints, keys, kind, **annotations):
    """Return a wildcard of tenant-b with a certificate and an authority for clients."""
    said = {'host': WILD, 'tls-secret': 'tls', 'client-ca-secret': 'ca', **annotations}
    theirs = claimed('tenant-b', NEW, **said)
    return *serves(theirs, endpoints[0], B), held('tls', 'tenant-b', keys['b', kind]), ca_secret('ca', 'tenant-b')


@pytest.mark.parametrize(('wild', 'kind'), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize('default', [True, False], ids=['a default certificate', 'none'])
@pytest.mark.parametrize('own', [True, False], ids=['own certificate', 'no own certificate'])
def test_a_wildcard_of_another_namespace_is_never_shown_for_a_host(endpoints, keys, wild, kind, default, own):
    """HAProxy prefers ECDSA, also where the host has a line of its own with an RSA key."""
    said = {'tls-secret': 'tls'} if own else {}
    documents = [
        *serves(claimed('tenant-a', OLD, path='/app', **said), endpoints[0], A),
        held('tls', 'tenant-a', keys['a', kind]),
        held('default', 'tenant-a', keys['d', kind]),
        *attack(endpoints, keys, wild, **{'client-verify': 'optional'}),
    ]
    with edge(*documents, default=default, http3=True) as found:
        expected = keys['a', kind][1] if own else keys['d', kind][1] if default else None
        assert shown(found, HOST) == expected
        assert shown(found, 'other.example.com') == keys['b', wild][1]
        assert found.get('other.example.com', sni='other.example.com').said['at'] == B
        if expected is None:
            with pytest.raises(ConnectionError):
                http3.get(found.https, HOST)
        else:
            assert http3.get(found.https, HOST, path='/app')[0].said['at'] == A


def test_a_host_with_a_secret_that_is_missing_is_not_served_with_the_certificate_of_a_wildcard(endpoints, keys):
    documents = [
        *serves(claimed('tenant-a', OLD, path='/app', tls_secret='gone'), endpoints[0], A),
        *attack(endpoints, keys, 'ECDSA', **{'client-verify': 'optional'}),
    ]
    with edge(*documents) as found:
        assert shown(found, HOST) is None


@pytest.mark.parametrize('default', [True, False], ids=['a default certificate', 'none'])
def test_a_tcp_port_of_another_namespace_shows_no_wildcard_for_a_host(endpoints, keys, default):
    theirs = service(
        'db', 'tenant-b', created=NEW, ports=[{'name': 'tcp', 'port': 80}],
        annotations={'port': 'TCP0', 'tls-secret': 'tls', 'host': WILD},
    )  # fmt: skip
    documents = [
        *serves(claimed('tenant-a', OLD, path='/app'), endpoints[0], A),
        theirs,
        held('tls', 'tenant-b', keys['b', 'ECDSA']),
        held('default', 'tenant-a', keys['d', 'RSA']),
    ]
    with edge(*documents, default=default, tcp_ports=1) as found:
        assert shown(found, HOST) == (keys['d', 'RSA'][1] if default else None)


@pytest.mark.parametrize('http_3', [False, True], ids=['HTTP/1.1', 'HTTP/3'])
@pytest.mark.parametrize(('first', 'second'), [(HOST, 'other.example.com'), ('other.example.com', HOST)])
def test_a_connection_for_one_host_serves_no_request_for_a_host_of_another_namespace(
    endpoints, keys, first, second, http_3
):
    documents = [
        *serves(claimed('tenant-a', OLD, tls_secret='tls'), endpoints[0], A),
        held('tls', 'tenant-a', keys['a', 'RSA']),
        *attack(endpoints, keys, 'ECDSA', **{'client-verify': 'optional'}),
    ]
    with edge(*documents, http3=True) as found:
        if http_3:
            answers = http3.get(found.https, first, second)
        else:
            answers = [found.get(host, sni=first) for host in (first, second)]
        assert [answer.status for answer in answers] == [200, 421]


def spellings(host):
    return [host, host.upper(), f'{host}.', f'{host.upper()}.']


@pytest.mark.parametrize('host', [HOST, LONG], ids=['short', 'of 253 characters'])
@pytest.mark.parametrize('wild', ['*', 'the wildcard above'])
def test_tls_of_a_host_goes_to_no_passthrough_of_another_namespace_however_the_name_is_written(endpoints, host, wild):
    above = f'*.{host.partition(".")[2]}' if wild != '*' else wild
    documents = [
        *serves(claimed('tenant-a', OLD, host=host, tls_secret='tls'), endpoints[0], A),
        tls_secret('tls', 'tenant-a', 'ours'),
        *serves(claimed('tenant-a', OLD, 'plain', host=f'plain-{host}'[-253:].lstrip('.')), endpoints[0], A),
        *serves(claimed('tenant-b', NEW, host=above, mode='tls-passthrough'), endpoints[1], B),
    ]
    passed = ssl.DER_cert_to_PEM_cert(
        ssl.PEM_cert_to_DER_cert(placeholder_certificates.certificate(Ref('Secret', '', 'passed'))[1].decode())
    )
    with edge(*documents) as found:
        ours = placeholder_certificates.certificate(Ref('Secret', '', 'ours'))[1]
        assert [shown(found, name) for name in spellings(host)][:2] == [ours, ours]
        assert passed.encode() not in [shown(found, name) for name in spellings(host)]
        other = f'x{host[1:]}'
        assert [shown(found, name) for name in spellings(other)] == [passed.encode()] * 4


def test_a_passthrough_is_found_however_the_name_is_written(endpoints):
    documents = serves(claimed('tenant-a', OLD, mode='tls-passthrough'), endpoints[1], A)
    with edge(*documents) as found:
        assert None not in [shown(found, name) for name in spellings(HOST)]


@pytest.mark.parametrize('wild', ['*', WILD])
def test_a_path_that_is_shared_does_not_open_the_tls_of_its_host_to_a_wildcard(endpoints, keys, wild):
    documents = [
        *serves(claimed('tenant-a', OLD, path='/app'), endpoints[0], A),
        *serves(claimed('tenant-b', NEW, 'path'), endpoints[0], B),
        *serves(claimed('tenant-b', NEW, 'passed', host=wild, mode='tls-passthrough'), endpoints[1], B),
        held('default', 'tenant-a', keys['d', 'RSA']),
    ]
    with edge(*documents, default=True, host_sharing='paths') as found:
        assert found.get(HOST).said['at'] == B
        assert shown(found, HOST) == keys['d', 'RSA'][1]


def test_the_namespace_of_a_host_is_noted_while_another_one_has_its_route():
    ours, theirs = claimed('tenant-a', OLD, path='/app'), claimed('tenant-b', NEW, 'path')
    assert pointer(model(ours, theirs, host_sharing='paths'), Kind.TLS, HOST) == Reserved('tenant-a')
    for documents, sharing in (((ours, theirs), 'none'), ((ours,), 'paths'), ((ours, theirs), 'all')):
        assert pointer(model(*documents, host_sharing=sharing), Kind.TLS, HOST) is None


def model(*documents, **settings):
    return built(*documents, settings=Settings(secrets=Secrets(namespaces=('*',)), **settings))


def wildcard(created=OLD, **annotations):
    return claimed('tenant-b', created, host=WILD, tls_secret='tls', **annotations), tls_secret('tls', 'tenant-b', 'b')


GIVEN = {'tenant-a': (HOST, 'b.example.com'), '*': ('*',)}


def test_a_wildcard_names_the_hosts_that_it_leaves_out():
    own = claimed('tenant-b', NEW, 'own', host='own.example.com')
    documents = claimed('tenant-a', NEW), claimed('tenant-a', NEW, 'b', host='b.example.com'), own
    made = model(*wildcard(), *documents, host_policy=GIVEN)
    assert pointer(made, Kind.TLS, WILD) == HostTls(certificates=('tenant-b_tls',), excluded=('b.example.com', HOST))
    assert reasons(made).count('Conflict') == 0


@pytest.mark.parametrize(('sharing', 'excluded'), [('none', (HOST,)), ('paths', (HOST,)), ('all', ())])
def test_hosts_that_are_shared_have_the_wildcard_s_certificate(sharing, excluded):
    made = model(*wildcard(NEW), claimed('tenant-a', OLD), host_sharing=sharing)
    assert pointer(made, Kind.TLS, WILD).excluded == excluded


def test_a_route_of_a_wildcard_with_client_certificates_stays_open_while_hosts_are_left_out():
    made = model(*wildcard(NEW, client_ca_secret='ca'), ca_secret('ca', 'tenant-b'), claimed('tenant-a', OLD))
    assert pointer(made, Kind.TLS, WILD).excluded == (HOST,)
    assert 'X' not in pointer(made, Kind.ROUTE, f'{WILD}/').flags


def test_a_second_object_of_the_namespace_shares_the_tls_of_a_wildcard():
    second = claimed('tenant-b', NEW, 'second', host=WILD, path='/second', tls_secret='tls')
    made = model(*wildcard(NEW), second, claimed('tenant-a', OLD))
    assert pointer(made, Kind.TLS, WILD).excluded == (HOST,)
    assert 'Conflict' not in reasons(made)


def test_a_wildcard_below_which_too_many_hosts_belong_to_others_shows_no_certificate():
    hosts = [f'host-{number:04d}.example.com' for number in range(600)]
    named = [
        claimed('tenant-a', OLD, f's{first}', host=','.join(hosts[first : first + 50])) for first in range(0, 600, 50)
    ]
    made = model(*named, *wildcard(NEW))
    assert pointer(made, Kind.TLS, WILD) == HostTls()
    (told,) = [each for each in made.all_diagnostics() if each.reason == 'Conflict']
    assert (told.ref.namespace, told.message) == (
        'tenant-b',
        f'TLS of host {WILD} is refused: 600 hosts below it belong to other namespaces, which are too many',
    )
