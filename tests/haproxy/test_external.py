"""Services of type ExternalName: names outside of the cluster, which HAProxy asks a name server for."""

import contextlib
import socket
import socketserver
import threading

import pytest

from conftest import binary
from support import edge as edges
from support.edge import Edge, Endpoints, ended
from support.objects import service

OUT = '127.0.9.7'
PAGE = '<p>Sorry</p>'


class _Names(socketserver.BaseRequestHandler):
    """Knows `out.example.net`, and says of all other names that there are none (RFC 1035, section 4)."""

    def handle(self):
        question, way = self.request
        end = question.index(b'\0', 12) + 5
        known = question[12:end].lower().startswith(b'\x03out\x07example\x03net\0')
        flags, count = (b'\x81\x80', b'\0\1') if known else (b'\x81\x83', b'\0\0')
        answer = b'\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4' + socket.inet_aton(OUT) if known else b''
        way.sendto(
            question[:2] + flags + b'\0\1' + count + b'\0\0\0\0' + question[12:end] + answer, self.client_address
        )


@pytest.fixture(scope='module')
def name_server():
    with socketserver.ThreadingUDPServer(('127.0.0.1', 0), _Names) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.02})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope='module')
def endpoints():
    with Endpoints() as found:
        yield found


def out(name, number, external, **annotations):
    said = {key.replace('_', '-'): value for key, value in annotations.items()}
    ports = [{'name': 'http' if 'host' in annotations else 'tcp', 'port': number}]
    return service(name, annotations=said, ports=ports, type='ExternalName', externalName=external)


@contextlib.contextmanager
def served(name_server, documents, **options):
    """Serve documents by a HAProxy that asks this name server."""
    found = Edge(binary('haproxy-3.4'), *documents, allow_external_name=True, error_pages={'503': PAGE}, **options)

    def write(folder, rendered):
        # The machine's own name servers are asked otherwise.
        name = 'haproxy/10-defaults.cfg'
        assert b'  parse-resolv-conf\n' in rendered[name]
        own = f'  nameserver test 127.0.0.1:{name_server}\n'.encode()
        edges_write(folder, {**rendered, name: rendered[name].replace(b'  parse-resolv-conf\n', own)})

    edges_write = edges.files.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edges.files, 'write', write)
        found.__enter__()
    try:
        yield found
    finally:
        found.__exit__(None, None, None)


@pytest.fixture(scope='module')
def edge(endpoints, name_server):
    documents = (
        out('good', endpoints.port, 'Out.example.net', host='good.com'),
        out('gone', endpoints.port, 'gone.example.net', host='gone.com'),
        out('bad', endpoints.port, 'not a host', host='bad.com'),
        out('db', endpoints.port, 'out.example.net', port='TCP0'),
        out('lost', endpoints.port, 'gone.example.net', port='TCP1'),
    )
    with served(name_server, documents, tcp_ports=2) as found:
        yield found


@pytest.mark.parametrize(
    'seen',
    [
        pytest.param({'api_server': True}, id='from an API server, a name that leads to loopback'),
        pytest.param({'admin_ports': None}, id='from a folder, a name that leads to an own listener'),
    ],
)
def test_a_name_does_not_lead_to_headraces_own_network_or_listeners(endpoints, name_server, seen):
    seen = {key: frozenset((endpoints.port,)) if value is None else value for key, value in seen.items()}
    documents = (
        out('good', endpoints.port, 'out.example.net', host='good.com'),
        out('db', endpoints.port, 'out.example.net', port='TCP0'),
    )
    with served(name_server, documents, tcp_ports=1, seen=seen) as found:
        assert found.get('good.com').status == 503
        assert ended(found.tcp[0], b'GET / HTTP/1.0\r\n\r\n')[0] == b''


def test_a_name_outside_of_the_cluster_is_asked_for_and_served(edge):
    assert edge.get('good.com').said['at'] == OUT


@pytest.mark.parametrize('host', ['gone.com', 'bad.com'])
def test_a_name_that_leads_nowhere_is_503_with_its_page(edge, host):
    answer = edge.get(host)
    assert (answer.status, answer.body.decode()) == (503, PAGE)


def test_tcp_goes_to_such_a_name_too(edge):
    came, _ = ended(edge.tcp[0], b'GET / HTTP/1.0\r\n\r\n')
    assert OUT.encode() in came
    assert ended(edge.tcp[1], b'GET / HTTP/1.0\r\n\r\n')[0] == b''
