"""Certificates of clients that listeners of Gateways validate, by a real HAProxy: who gets in at which port."""

import contextlib
import socket
import ssl

import pytest

from conftest import binary
from headrace.settings.settings import Secrets
from support import certificates
from support.changing_edge import ChangingEdge
from support.edge import Edge, Endpoints, client_context, web
from support.gateways import GATEWAY_CLASS, OWN_NAMESPACE, gateway, http_route, listener, rule, slot_service
from support.objects import ca_config_map
from support.ports import reserve_row

CLIENTS = {name: certificates.for_names(f'{name}.clients.com') for name in ('known', 'other')}
AUTHORITY = ca_config_map('clients', pem=CLIENTS['known'][1].decode())
OTHERS = ca_config_map('others', pem=CLIENTS['other'][1].decode())
SECRETS = Secrets(namespaces=('shop',))
OWN = certificates.tls_secret('own', *certificates.for_names('a.com'))
ROUTE = http_route('r', rule('web'), hostnames=['a.com'])


def validation(mode=None, name='clients'):
    """Return how clients' certificates are validated."""
    refs = {'caCertificateRefs': [{'group': '', 'kind': 'ConfigMap', 'name': name}]}
    return {'validation': {**refs, **({'mode': mode} if mode else {})}}


def listeners(*ports):
    """Return listeners for TLS."""
    return [listener(f'p{port}', port, 'HTTPS', tls={'certificateRefs': [{'name': 'own'}]}) for port in ports]


def guarded(ports, default=None, **by_port):
    """Return a Gateway that validates its clients."""
    frontend = {
        **({'default': default} if default else {}),
        'perPort': [{'port': int(port[1:]), 'tls': tls} for port, tls in by_port.items()],
    }
    return gateway('web', *listeners(*ports), spec={'tls': {'frontend': frontend}})


@pytest.fixture(scope='module')
def shown(tmp_path_factory):
    """The files with the certificates that clients show, by name; None for none."""
    folder = tmp_path_factory.mktemp('clients')
    for name, (key, certificate) in CLIENTS.items():
        (folder / name).write_bytes(key + certificate)
    return {'none': None, **{name: folder / name for name in CLIENTS}}


@pytest.fixture(scope='module')
def endpoints():
    """A Service."""
    with Endpoints() as found:
        yield web('web', found, host='', **{'class': 'other'})


@contextlib.contextmanager
def in_cluster(*documents):
    """Return an edge in a cluster, and its slots by the ports that clients know."""
    first, held = reserve_row(16)
    ports = {443: first + 4, 8443: first + 5, 9443: first + 6, 7443: first + 7}
    settings = {'gateway_slots': 4, 'gateway_first_slot': first, 'secrets': SECRETS}
    fixed = (GATEWAY_CLASS, OWN, ROUTE, slot_service('web', ports))
    for each in held:
        each.close()
    seen = {'own_namespace': OWN_NAMESPACE}
    with ChangingEdge(binary('haproxy-3.4'), *documents, *fixed, seen=seen, **settings) as edge:
        yield edge, ports, fixed


@pytest.fixture(scope='module')
def guarded_edge(endpoints):
    """An edge with a Gateway, and its ports: 443 wants valid certificates, 8443 lets all in, 9443 asks for none, 7443 has other authorities."""
    guards = {'p8443': validation('AllowInsecureFallback'), 'p9443': {}, 'p7443': validation(name='others')}
    documents = (guarded((443, 7443, 8443, 9443), validation(), **guards), AUTHORITY, OTHERS)
    with in_cluster(*endpoints, *documents) as (edge, ports, _):
        yield edge, ports


@pytest.fixture(scope='module')
def slots(guarded_edge):
    """The ports of the Gateway."""
    return guarded_edge[1]


def status(port, certificate, session=None, keep=None):
    """Return the status that a client gets who shows a certificate, None where the connection is refused."""
    context = keep or client_context(certificate)
    with (
        contextlib.suppress(ssl.SSLError, ConnectionError),
        socket.create_connection(('127.0.0.1', port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname='a.com', session=session) as secured,
    ):
        secured.sendall(b'GET / HTTP/1.1\r\nHost: a.com\r\nConnection: close\r\n\r\n')
        answer = secured.recv(65536)
        if keep is not None:
            keep.kept, keep.reused = secured.session, secured.session_reused
        return int(answer.split()[1]) if answer else None
    return None


class Keeping(ssl.SSLContext):
    """A client's context that keeps its session, and whether it was used."""

    kept = reused = None


@pytest.mark.parametrize(
    ('port', 'client', 'expected'),
    [
        (443, 'none', None),
        (443, 'other', None),
        (443, 'known', 200),
        (8443, 'none', 200),
        (8443, 'other', 200),
        (8443, 'known', 200),
        (9443, 'none', 200),
        (9443, 'other', 200),
        (7443, 'known', None),
        (7443, 'other', 200),
    ],
)
def test_a_port_lets_in_whom_its_validation_says(slots, shown, port, client, expected):
    assert status(slots[port], shown[client]) == expected


@pytest.mark.parametrize('client_port', [443, 8443])
def test_a_host_header_that_begins_with_a_bound_port_is_no_way_around_a_validation(guarded_edge, client_port):
    edge, ports = guarded_edge
    assert edge.get(f'{ports[client_port]}:a.com').status == 404


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ('port', 'client'), [(8443, 'none'), (8443, 'other'), (9443, 'none'), (9443, 'other'), (7443, 'other')]
)
def test_a_session_of_another_port_is_no_way_around_a_validation(slots, shown, client, version, port):
    context = Keeping(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if shown[client] is not None:
        context.load_cert_chain(shown[client])
    assert status(slots[port], None, keep=context) == 200
    assert status(slots[port], None, context.kept, keep=context) == 200
    assert context.reused
    assert status(slots[443], None, context.kept, keep=context) is None


def test_authorities_and_validation_change_without_a_reload(endpoints, shown):
    guard, open_gateway = guarded((443,), validation()), guarded((443,))
    other = ca_config_map('clients', pem=CLIENTS['other'][1].decode())
    steps = [
        ((*endpoints, open_gateway, AUTHORITY), {'none': 200, 'known': 200, 'other': 200}),
        ((*endpoints, guard, AUTHORITY), {'none': None, 'known': 200, 'other': None}),
        ((*endpoints, guard, other), {'none': None, 'known': None, 'other': 200}),
        ((*endpoints, guard), {'none': None, 'known': None, 'other': None}),
        ((*endpoints, open_gateway, AUTHORITY), {'none': 200, 'known': 200, 'other': 200}),
    ]
    with in_cluster(*steps[0][0]) as (edge, ports, fixed):
        for before, (after, expected) in zip([each for each, _ in steps], steps[1:], strict=False):
            assert edge.change(before, after, fixed) == []
            assert {name: status(ports[443], shown[name]) for name in shown} == expected


@pytest.mark.parametrize(
    ('mode', 'expected'),
    [
        ('AllowValidOnly', {'none': None, 'known': 200, 'other': None}),
        ('AllowInsecureFallback', {'none': 200, 'known': 200, 'other': 200}),
    ],
)
def test_at_the_port_of_the_class_a_listener_lets_in_whom_its_validation_says(endpoints, shown, mode, expected):
    documents = (*endpoints, guarded((443,), validation(mode)), AUTHORITY, OWN, ROUTE)
    with Edge(binary('haproxy-3.4'), *documents, secrets=SECRETS) as edge:
        assert {name: status(edge.https, shown[name]) for name in shown} == expected
