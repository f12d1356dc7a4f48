"""TLS that is ended on TCP ports: the certificate is found by the server name, the Service by the port."""

import json
import socket
import ssl
import struct

import pytest

from conftest import binary
from headrace.names import Ref
from headrace.translate import placeholder_certificates
from support.edge import Edge, Endpoints, client_context, tcp, web
from support.objects import ca_secret, tls_secret

NAMES = ('named', 'denied', 'stays', 'proxied', 'plain', 'shown', 'maybe', 'wild')
FIRST, SECOND = '127.0.9.1', '127.0.9.2'


@pytest.fixture(scope='module')
def endpoints():
    with Endpoints() as found:
        yield found


@pytest.fixture(scope='module')
def edge(endpoints):
    stays = tcp('stays', endpoints, 2, addresses=[FIRST, SECOND], tls_secret='tls', host='stays.com')
    stays[0]['spec']['sessionAffinity'] = 'ClientIP'
    groups = (
        tcp('named', endpoints, 0, tls_secret='tls', host='named.com'),
        tcp('denied', endpoints, 1, tls_secret='tls', host='denied.com', deny='127.0.0.0/8'),
        stays,
        tcp('proxied', endpoints, 3, tls_secret='tls', host='proxied.com', accept_proxy='true', allow='192.0.2.0/24'),
        tcp('plain', endpoints, 4, addresses=[SECOND]),
        tcp('shown', endpoints, 5, tls_secret='tls', host='shown.com', client_ca_secret='ca'),
        tcp('maybe', endpoints, 6, tls_secret='tls', host='maybe.com', client_ca_secret='ca', client_verify='optional'),
        tcp('wild', endpoints, 7, tls_secret='tls', host='*.wild.com', client_ca_secret='ca2'),
        web('shop', endpoints, tls_secret='other'),
        web('exact', endpoints, host='x.wild.com', tls_secret='other'),
        (ca_secret('ca', seed='client'), ca_secret('ca2', seed='other')),
        (tls_secret('tls', seed='tcp'), tls_secret('other', seed='web')),
    )
    documents = [item for group in groups for item in group]
    known = {'seen': {'all_secrets': True}, 'tcp_ports': len(NAMES), 'trusted_proxies': ('127.0.0.1/32',)}
    with Edge(binary('haproxy-3.4'), *documents, **known) as found:
        yield found


def who(edge, name, sni, *, header=b'', client='127.0.0.1', certificate=None):
    """Return which endpoint answers on a port, and which certificate was shown: `tcp`, `web` or another."""
    port = edge.tcp[NAMES.index(name)]
    # Made before it connects: Python leaves one open that it wraps when the other side has reset it already.
    with client_context(certificate).wrap_socket(
        socket.socket(), server_hostname=sni, do_handshake_on_connect=False
    ) as secured:
        secured.settimeout(10)
        secured.bind((client, 0))
        secured.connect(('127.0.0.1', port))
        # What comes before TLS is sent as it is.
        socket.socket.sendall(secured, header)
        secured.do_handshake()
        shown = ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True)).encode()
        secured.sendall(b'GET / HTTP/1.0\r\n\r\n')
        came = b''
        while part := secured.recv(65536):
            came += part
    if not came:
        raise ConnectionError('closed without a byte')
    seeds = [
        seed for seed in ('tcp', 'web') if shown in placeholder_certificates.certificate(Ref('Secret', '', seed))[0]
    ]
    return json.loads(came.partition(b'\r\n\r\n')[2])['at'], *seeds


def test_tls_is_ended_on_the_port_with_the_certificate_of_its_host(edge):
    assert who(edge, 'named', 'named.com') == (FIRST, 'tcp')


def test_the_port_decides_who_answers_whatever_certificate_is_asked_for(edge):
    assert who(edge, 'named', 'shop.com') == (FIRST, 'web')


@pytest.mark.parametrize('sni', [None, 'unknown.com'])
def test_without_a_default_certificate_other_names_are_refused(edge, sni):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        who(edge, 'named', sni)


def test_the_rules_of_the_port_come_before_any_tls(edge):
    with pytest.raises(ConnectionError):
        who(edge, 'denied', 'denied.com')


def test_a_client_stays_with_its_endpoint_behind_tls(edge):
    assert len({who(edge, 'stays', 'stays.com', client='127.0.3.7') for _ in range(6)}) == 1
    assert len({who(edge, 'stays', 'stays.com', client=f'127.0.3.{number}') for number in range(8, 20)}) == 2


@pytest.mark.parametrize(('source', 'good'), [('192.0.2.7', True), ('198.51.100.7', False)])
def test_a_proxys_client_is_judged_by_its_own_address(edge, source, good):
    addresses = socket.inet_aton(source) + socket.inet_aton('127.0.0.1') + struct.pack('>HH', 1000, 1001)
    header = b'\r\n\r\n\0\r\nQUIT\n' + bytes([0x21, 0x11]) + struct.pack('>H', len(addresses)) + addresses
    if good:
        assert who(edge, 'proxied', 'proxied.com', header=header)[0] == FIRST
    else:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            who(edge, 'proxied', 'proxied.com', header=header)


@pytest.fixture(scope='module')
def certificates(tmp_path_factory):
    """Files with a certificate of each authority and its key."""
    found = {}
    for seed in ('client', 'other', 'stranger'):
        path = tmp_path_factory.mktemp('client') / f'{seed}.pem'
        path.write_bytes(placeholder_certificates.certificate(Ref('Secret', '', seed))[0])
        found[seed] = str(path)
    return found


@pytest.mark.parametrize(
    ('name', 'sni', 'shows'),
    [
        pytest.param('shown', 'shown.com', 'client', id='required'),
        pytest.param('maybe', 'maybe.com', 'client', id='optional, and shown'),
        pytest.param('maybe', 'maybe.com', None, id='optional, and not shown'),
        pytest.param('wild', 'a.wild.com', 'other', id='below a wildcard'),
    ],
)
def test_a_client_with_the_certificate_of_the_ports_authority_is_served(edge, certificates, name, sni, shows):
    assert who(edge, name, sni, certificate=certificates.get(shows))[0] == FIRST


@pytest.mark.parametrize(
    ('name', 'sni', 'shows'),
    [
        pytest.param('shown', 'shown.com', None, id='none'),
        pytest.param('shown', 'shown.com', 'stranger', id="a stranger's"),
        pytest.param('maybe', 'maybe.com', 'stranger', id="optional, and a stranger's"),
        pytest.param('shown', 'named.com', 'client', id='for a host that asks for none'),
        pytest.param('shown', 'a.wild.com', 'other', id='for a host of another authority'),
        pytest.param('shown', 'maybe.com', None, id='none, for a host that does not insist'),
        pytest.param('wild', 'x.wild.com', 'other', id='for a host below the wildcard that asks for none'),
        pytest.param('maybe', 'named.com', None, id='optional, for a host that asks for none'),
    ],
)
def test_others_are_not(edge, certificates, name, sni, shows):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        who(edge, name, sni, certificate=certificates.get(shows))


def test_other_ports_are_as_before(edge):
    with socket.create_connection(('127.0.0.1', edge.tcp[4]), timeout=10) as connection:
        connection.sendall(b'GET / HTTP/1.0\r\n\r\n')
        assert SECOND.encode() in connection.makefile('rb').read()
