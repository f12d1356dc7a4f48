"""What settings of a backend do to real endpoints: checks, ejection, slow start, retries, PROXY headers, and HTTP/2.

Each test fails where the setting does nothing: the endpoints misbehave as they are told, and say what reached them.
"""

import contextlib
import re
import socket
import socketserver
import struct
import threading
from collections import Counter

import pytest

from conftest import binary
from support import servers
from support.edge import Edge, ended, tcp, web
from support.live import until
from support.objects import ca_secret

ONE, TWO, AWAY, LEAVES = '127.0.9.1', '127.0.9.2', '127.0.9.3', '127.0.9.4'
CLIENT = '127.0.3.7'


class _Handler(socketserver.BaseRequestHandler):
    timeout = 10

    def handle(self):
        """Answer one request as the mood of the address is."""
        at = self.request.getsockname()[0]
        self.request.settimeout(self.timeout)
        with contextlib.suppress(OSError):
            reader = self.request.makefile('rb')
            head = reader.readline()
            proxy = b''
            if head.startswith(b'PROXY '):
                proxy, head = head, reader.readline()
            elif head == b'\r\n':
                rest = reader.read(14)
                proxy = rest[10:] + reader.read(struct.unpack('>H', rest[12:])[0])
                head = reader.readline()
            if not head:
                return
            headers = b''
            while (line := reader.readline()).strip():
                headers += line
            path = head.split()[1].decode()
            self.server.came.append((at, path, proxy, headers.decode().lower()))
            status = self.server.moods.get((at, path), self.server.moods.get(at, 200))
            if status:
                body = at.encode()
                answer = f'HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n'
                self.request.sendall(answer.encode() + body)


class Moody(socketserver.ThreadingTCPServer):
    """Endpoints at two addresses; `moods` has a status by address, or by address and path; 0 hangs up without a word."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, address, port=0):
        super().__init__((address, port), _Handler)
        self.moods, self.came = {}, []
        threading.Thread(target=self.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True).start()

    @property
    def port(self):
        """The port of the endpoints."""
        return self.server_address[1]

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


@pytest.fixture(scope='module')
def endpoints():
    """Endpoints at ONE and TWO; none is at AWAY."""
    with Moody(ONE) as one, Moody(TWO, one.port) as two:
        two.moods, two.came = one.moods, one.came
        yield one


@pytest.fixture
def moods(endpoints):
    """How the endpoints behave, good for one test."""
    endpoints.came.clear()
    yield endpoints.moods
    endpoints.moods.clear()


def both(name, endpoints, *, at=(ONE, TWO), **annotations):
    """Return a Service with several endpoints."""
    document, piece = web(name, endpoints, **annotations)
    return document, {**piece, 'endpoints': [{'addresses': [address]} for address in at]}


QUICK = {'check_interval': '500ms', 'check_rise': '1', 'check_fall': '1'}


@pytest.fixture(scope='module')
def h2_endpoints():
    """Endpoints that speak HTTP/2, those at their second port over TLS with a certificate of the authority `one`."""
    with servers.Endpoints() as found:
        yield found


class At:
    """Endpoints at another port of the same."""

    def __init__(self, port):
        self.port = port


@pytest.fixture(scope='module')
def edge(endpoints, h2_endpoints):
    """All Services."""
    over_tls, h2, https = At(h2_endpoints.tls_port), {'backend_protocol': 'h2'}, {'backend_protocol': 'https'}
    path = {'check': 'http', 'check_path': '/up', 'check_host': 'probe.example.com', 'check_status': '204', **QUICK}
    seldom = {'balance': 'roundrobin', 'check': 'http', 'check_interval': '1h', 'retries': '0'}
    groups = (
        both('status', endpoints, **path),
        both('usual', endpoints, check='http', **QUICK),
        both('port', endpoints, at=(ONE, AWAY), check='tcp', retries='0', **QUICK),
        both('thrice', endpoints, check='http', check_interval='500ms', check_rise='3', check_fall='2'),
        both('unasked', endpoints, at=(ONE, AWAY), balance='roundrobin', retries='0'),
        both('again', endpoints, at=(ONE, AWAY), balance='roundrobin', retries='2'),
        both('eject', endpoints, at=(ONE, LEAVES), **seldom, eject_after='3'),
        both('patient', endpoints, at=(ONE, LEAVES), **seldom),
        both('slow', endpoints, balance='roundrobin', check='http', slow_start='10m', **QUICK),
        both('repeat', endpoints, balance='roundrobin', retry_on='503, empty-response'),
        both('once', endpoints, balance='roundrobin'),
        both('v1', endpoints, at=(ONE,), client_ip='proxy-v1'),
        both('v2', endpoints, at=(ONE,), client_ip='proxy-v2'),
        tcp('tv0', endpoints, 0, addresses=(ONE,)),
        tcp('tv1', endpoints, 1, addresses=(ONE,), client_ip='proxy-v1'),
        tcp('tv2', endpoints, 2, addresses=(ONE,), client_ip='proxy-v2'),
        tcp('through', endpoints, 3, addresses=(ONE,), client_ip='proxy-v1', accept_proxy='true'),
        tcp('checked', endpoints, 4, addresses=(ONE, AWAY), check='tcp', retries='0', **QUICK),
        tcp('secret', over_tls, 5, addresses=(ONE,), backend_protocol='tls', backend_ca_secret='one', retries='0'),
        tcp('stranger', over_tls, 6, addresses=(ONE,), backend_protocol='tls', backend_ca_secret='two', retries='0'),
        web('h2c', h2_endpoints, backend_protocol='h2c'),
        web('h2', over_tls, **h2, backend_ca_secret='one', retries='0'),
        web('h2wrong', over_tls, **h2, backend_ca_secret='two', retries='0'),
        web('h2blind', over_tls, **h2),
        web('https', over_tls, **https, backend_ca_secret='one', retries='0'),
        web('httpswrong', over_tls, **https, backend_ca_secret='two', retries='0'),
        (ca_secret('one', seed='one'), ca_secret('two', seed='two')),
    )  # fmt: skip
    documents = [item for group in groups for item in group]
    known = {'seen': {'all_secrets': True}, 'tcp_ports': 7, 'trusted_proxies': ('127.0.0.1/32',)}
    with Edge(binary('haproxy-3.4'), *documents, **known) as found:
        with Moody(LEAVES, endpoints.port) as leaves:
            # Its first checks are good, and the next ones are in an hour.
            until(lambda: len(leaves.came) == 2, 'it was checked', 15)
        yield found


def at(edge, name, times=8, **how):
    """Return from where, or by which status, requests were answered."""
    answers = [edge.get(f'{name}.com', **how) for _ in range(times)]
    return Counter(answer.body.decode() if answer.status == 200 else answer.status for answer in answers)


def up(edge, name, address):
    """Tell whether HAProxy thinks that an endpoint is up."""
    backend = next(word for word in edge.haproxy.command('show backend').split() if word.startswith(f'shop_{name}_'))
    rows = [line.split(' ') for line in edge.haproxy.command(f'show servers state {backend}').splitlines()[2:]]
    return next(row[5] != '0' for row in rows if row[4] == address)


# --- checks -----------------------------------------------------------------------------------------------------------


def test_a_check_asks_for_its_path_and_host_and_wants_its_status(edge, endpoints, moods):
    moods[ONE, '/up'] = 204
    moods[TWO, '/up'] = 200
    until(lambda: up(edge, 'status', ONE) and not up(edge, 'status', TWO), 'only one has the status', 15)
    assert at(edge, 'status') == {ONE: 8}
    seen = next(headers for _, path, _, headers in endpoints.came if path == '/up')
    assert 'host: probe.example.com\r\n' in seen
    moods[ONE, '/up'], moods[TWO, '/up'] = 204, 204
    until(lambda: up(edge, 'status', TWO), 'the other is back', 15)


@pytest.mark.parametrize(('status', 'good'), [(200, True), (399, True), (400, False), (503, False), (0, False)])
def test_usual_checks_want_a_status_below_400(edge, moods, status, good):
    moods[TWO] = status
    until(lambda: up(edge, 'usual', TWO) is good, 'the check has seen it', 15)
    until(lambda: up(edge, 'usual', ONE), 'the other is good', 15)


def test_a_check_of_tcp_finds_who_is_away(edge, moods):
    for name in ('port', 'checked'):
        until(lambda name=name: up(edge, name, ONE) and not up(edge, name, AWAY), 'the check has seen it', 15)
    assert at(edge, 'port') == {ONE: 8}
    for _ in range(4):
        assert ended(edge.tcp[4], b'GET / HTTP/1.0\r\n\r\n')[0].endswith(ONE.encode())


def test_it_takes_some_bad_checks_to_go_and_some_good_ones_to_come_back(edge, moods):
    until(lambda: up(edge, 'thrice', TWO), 'it is up', 15)

    def stands():
        backend = next(word for word in edge.haproxy.command('show backend').split() if word.startswith('shop_thrice_'))
        text = edge.haproxy.command('show stat')
        head = text.splitlines()[0].lstrip('# ').split(',')
        rows = [dict(zip(head, line.split(','), strict=False)) for line in text.splitlines()[1:]]
        return next(row for row in rows if row['pxname'] == backend and row['svname'].startswith(TWO))

    assert (stands()['check_rise'], stands()['check_fall']) == ('3', '2')
    moods[TWO] = 500
    until(lambda: not up(edge, 'thrice', TWO), 'it is down', 15)
    moods[TWO] = 200
    until(lambda: up(edge, 'thrice', TWO), 'it is up again', 15)


# --- ejection, slow start, retries ------------------------------------------------------------------------------------


def test_who_refuses_connections_is_put_aside_where_that_is_asked_for(edge, moods):
    assert at(edge, 'eject', 20) == {ONE: 17, 503: 3}
    assert not up(edge, 'eject', LEAVES)
    assert at(edge, 'patient', 20) == {ONE: 10, 503: 10}


def test_an_endpoint_that_comes_back_gets_its_share_little_by_little(edge, moods):
    moods[TWO] = 500
    until(lambda: not up(edge, 'slow', TWO), 'it is down', 15)
    moods[TWO] = 200
    until(lambda: up(edge, 'slow', TWO), 'it is up again', 15)
    assert at(edge, 'slow', 30)[TWO] <= 5
    assert at(edge, 'once', 30) == {ONE: 15, TWO: 15}


def test_a_connection_that_fails_is_tried_again_elsewhere_unless_retries_are_off(edge, moods):
    assert at(edge, 'again', 10) == {ONE: 10}
    assert at(edge, 'unasked', 10) == {ONE: 5, 503: 5}


def test_an_answer_that_is_none_is_asked_for_again_where_that_is_said_and_does_no_harm(edge, endpoints, moods):
    for status in (503, 0):
        moods[TWO] = status
        assert at(edge, 'repeat', 10) == {ONE: 10}
        assert at(edge, 'once', 10) == {ONE: 5, status or 502: 5}
        # What may not arrive twice is not repeated.
        assert at(edge, 'repeat', 10, method='POST', body=b'x') == {ONE: 5, status or 502: 5}


# --- PROXY headers ----------------------------------------------------------------------------------------------------


def asks(port, sent=b'', host='x'):
    """Send a request from CLIENT."""
    with socket.create_connection(('127.0.0.1', port), timeout=10, source_address=(CLIENT, 0)) as connection:
        connection.sendall(sent + f'GET /proxied HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'.encode())
        assert b' 200 ' in connection.recv(4096)
        return connection.getsockname()[1]


def v1(header):
    """Return the addresses and ports in a header of version 1."""
    found = re.fullmatch(rb'PROXY TCP4 (\S+) (\S+) (\d+) (\d+)\r\n', header)
    return found[1].decode(), found[2].decode(), int(found[3]), int(found[4])


def v2(header):
    """Return the addresses and ports in what follows the signature of version 2."""
    assert header[:2] == b'\x21\x11'
    source, target, first, second = struct.unpack('>4s4sHH', header[4:16])
    return socket.inet_ntoa(source), socket.inet_ntoa(target), first, second


@pytest.mark.parametrize(('name', 'read'), [('v1', v1), ('v2', v2)])
def test_the_endpoint_of_a_request_learns_the_client_by_a_proxy_header(edge, endpoints, moods, name, read):
    source = asks(edge.http, host=f'{name}.com')
    proxy, headers = next(item[2:] for item in endpoints.came if item[1] == '/proxied')
    assert read(proxy) == (CLIENT, '127.0.0.1', source, edge.http)
    assert 'x-forwarded' not in headers


@pytest.mark.parametrize(('index', 'read'), [(1, v1), (2, v2)])
def test_the_endpoint_of_a_tcp_connection_learns_the_client_by_a_proxy_header(edge, endpoints, moods, index, read):
    source = asks(edge.tcp[index])
    proxy = next(item[2] for item in endpoints.came if item[1] == '/proxied')
    assert read(proxy) == (CLIENT, '127.0.0.1', source, edge.tcp[index])


def test_without_it_the_endpoint_gets_what_the_client_sent(edge, endpoints, moods):
    asks(edge.tcp[0])
    assert [item[2] for item in endpoints.came if item[1] == '/proxied'] == [b'']


def test_a_proxy_header_that_comes_in_goes_out_with_the_client_that_it_names(edge, endpoints, moods):
    sent = b'PROXY TCP4 192.0.2.9 198.51.100.1 1234 5678\r\nGET /proxied HTTP/1.0\r\n\r\n'
    assert b' 200 ' in ended(edge.tcp[3], sent)[0]
    proxy = next(item[2] for item in endpoints.came if item[1] == '/proxied')
    assert v1(proxy) == ('192.0.2.9', '198.51.100.1', 1234, 5678)
    with pytest.raises((ConnectionError, AssertionError)):
        asks(edge.tcp[3], b'PROXY TCP4 192.0.2.9 198.51.100.1 1234 5678\r\n')


# --- HTTP/2 and TLS to endpoints --------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', ['h2c', 'h2', 'h2blind'])
def test_endpoints_are_spoken_to_in_http_2(edge, name):
    answer = edge.get(f'{name}.com')
    assert (answer.status, answer.said['path']) == (200, 'h2')


def test_endpoints_are_spoken_to_over_tls(edge):
    assert edge.get('https.com', '/x').said['path'] == '/x'
    assert ended(edge.tcp[5], b'GET /y HTTP/1.0\r\n\r\n')[0].startswith(b'HTTP/1.1 200 ')


def test_an_endpoint_whose_certificate_is_of_another_authority_gets_nothing(edge):
    assert edge.get('h2wrong.com').status == 503
    assert edge.get('httpswrong.com').status == 503
    assert ended(edge.tcp[6], b'GET /y HTTP/1.0\r\n\r\n')[0] == b''
