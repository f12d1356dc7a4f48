"""What an administrator sets for answers that are no endpoint's, and for the access log, by a real HAProxy."""

import contextlib
import json
import socket
import ssl

import pytest

from conftest import binary
from support.edge import Edge, Endpoints, client_context, ended, tcp, web
from support.live import until
from support.objects import secret, tls_secret

STATUSES = (400, 401, 403, 404, 408, 411, 413, 414, 421, 429, 431, 500, 501, 502, 503, 504)
PAGES = {str(status): f'<p>It\'s "{status}" % $HOME äöü\n# \\n</p>' for status in STATUSES}


def services(endpoints):
    return (
        secret('users', username='ann', password='x'),
        tls_secret('t'),
        web('plain', endpoints),
        web('safe', endpoints, tls_secret='t'),
        (web('nobody', endpoints)[0],),
        web('slow', endpoints, timeout_server='50ms'),
        web('shut', endpoints, maintenance='true'),
        web('denied', endpoints, deny='127.0.0.0/8'),
        web('locked', endpoints, basic_auth_secret='users'),
        web('small', endpoints, max_body_size='1'),
        web('rare', endpoints, rate_limit='1/h'),
        tcp('db', endpoints, 0),
        tcp('tls', endpoints, 1, tls_secret='t', host='tls.com'),
        web('pass', endpoints, host='pass.com', mode='tls-passthrough'),
    )


def flat(endpoints):
    return [item for group in services(endpoints) for item in (group if isinstance(group, tuple) else (group,))]


@pytest.fixture(scope='module')
def start():
    """Start edges on the same Services."""
    with contextlib.ExitStack() as closing:
        endpoints = closing.enter_context(Endpoints())

        def made(**settings):
            edge = Edge(
                binary('haproxy-3.4'),
                *flat(endpoints),
                tcp_ports=2,
                seen={'all_secrets': True},
                **settings,
            )
            return closing.enter_context(edge)

        yield made


# --- pages ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def paged(start):
    return start(error_pages=PAGES, error_page_type='text/html; charset=utf-8')


@pytest.mark.parametrize(
    ('status', 'host', 'how'),
    [
        pytest.param(404, 'unknown.com', {}, id='no route'),
        pytest.param(503, 'nobody.com', {}, id='no endpoint that answers'),
        pytest.param(504, 'slow.com', {'path': '/wait'}, id='an endpoint that takes too long'),
        pytest.param(503, 'shut.com', {}, id='maintenance'),
        pytest.param(403, 'denied.com', {}, id='denied'),
        pytest.param(401, 'locked.com', {}, id='no password'),
        pytest.param(413, 'small.com', {'body': b'12'}, id='too large'),
        pytest.param(421, 'plain.com', {'sni': 'safe.com'}, id='another host'),
    ],
)
def test_an_answer_that_is_no_endpoints_has_the_page_of_its_status(paged, status, host, how):
    answer = paged.get(host, **how)
    assert (answer.status, answer.body.decode()) == (status, PAGES[str(status)])
    assert answer.headers['content-type'] == 'text/html; charset=utf-8'


def test_too_many_requests_have_their_page_and_say_when_to_come_again(paged):
    assert paged.get('rare.com').status == 200
    answer = paged.get('rare.com')
    assert (answer.status, answer.body.decode()) == (429, PAGES['429'])
    assert answer.headers['retry-after'] == '3600'


def test_what_is_no_request_has_its_page(paged):
    came = ended(paged.http, b'GET / HTTP/1.1\r\nBad Name: x\r\n\r\n')[0]
    assert came.startswith(b'HTTP/1.1 400 ')
    assert came.endswith(PAGES['400'].encode())


@pytest.mark.parametrize(
    ('status', 'target', 'value'), [(414, 'a' * 17000, ''), (431, 'a', 'a' * 17000)], ids=['URL', 'header']
)
def test_what_is_too_long_has_its_page(paged, status, target, value):
    came = ended(paged.http, f'GET /{target} HTTP/1.1\r\nHost: plain.com\r\nX: {value}\r\n\r\n'.encode())[0]
    assert came.startswith(f'HTTP/1.1 {status} '.encode())
    assert came.endswith(PAGES[str(status)].encode())


def test_a_body_without_a_length_has_its_page(paged):
    request = b'POST / HTTP/1.1\r\nHost: small.com\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n'
    came = ended(paged.http, request)[0]
    assert came.startswith(b'HTTP/1.1 411 ')
    assert came.endswith(PAGES['411'].encode())


def test_an_endpoints_own_answer_is_left_alone(paged):
    assert paged.get('plain.com', '/status').said['path'] == '/status'


# --- the access log ---------------------------------------------------------------------------------------------------


def lines(edge):
    """Return the lines of the log that are JSON."""
    text = (edge.haproxy.sockets / 'log').read_bytes()
    return [
        json.loads(line) for line in text.splitlines(keepends=True) if line.startswith(b'{') and line.endswith(b'\n')
    ]


def line_of(edge, what, send):
    """Return the one line that something sent makes; `what` tells it from others."""
    before = len(lines(edge))
    send()
    return until(lambda: [line for line in lines(edge)[before:] if what(line)], 'there is a line', 5)[0]


@pytest.fixture(scope='module')
def logged(start):
    return start(access_log='stdout')


def test_a_request_is_a_line_of_json(logged):
    headers = [('User-Agent', 'curl/8')]
    line = line_of(
        logged, lambda line: line['uri'] == '/a?b=c', lambda: logged.get('plain.com', '/a?b=c', headers=headers)
    )
    assert line['time'][:2] == '20'
    assert line['time'][-1] == 'Z'
    known = {
        'client',
        'port',
        'tls',
        'version',
        'method',
        'host',
        'uri',
        'agent',
        'status',
        'backend',
        'retries',
        'ended',
    }
    assert {key: line[key] for key in known} == {
        'client': '127.0.0.1', 'port': logged.http, 'tls': '', 'version': 'HTTP/1.1', 'method': 'GET', 'host': 'plain.com',
        'uri': '/a?b=c', 'agent': 'curl/8', 'status': 200, 'backend': 'shop_plain_http', 'retries': 0, 'ended': '--',
    }  # fmt: skip
    assert line['server'].startswith('127.0.9.1:')
    assert line['bytes'] > 0
    assert all(line[key] >= 0 for key in ('duration', 'queued', 'connecting', 'response'))


def test_a_request_over_tls_is_one_line_though_it_goes_a_hop_further(logged):
    before = len(lines(logged))
    assert logged.get('safe.com', '/over-tls', sni='safe.com').status == 200
    line = until(
        lambda: [line for line in lines(logged)[before:] if line.get('uri') == '/over-tls'], 'there is a line'
    )[0]
    assert (line['tls'], line['port'], line['client']) == ('TLSv1.3', logged.https, '127.0.0.1')
    assert len(lines(logged)) == before + 1


NASTY = b'"\\,}\x01\x7f\xff\xc3\xa4</script>%s%%\t$HOME\xe2\x80\xa8'


def test_what_a_client_sends_is_escaped(logged):
    def send():
        request = b'GET /"}{"status":1,\\? HTTP/1.1\r\nHost: plain.com\r\nConnection: close\r\nUser-Agent: ' + NASTY
        assert b' 200 ' in ended(logged.http, request + b'\r\n\r\n')[0]

    raw = (logged.haproxy.sockets / 'log').stat().st_size
    line = line_of(logged, lambda line: line['uri'] == '/"}{"status":1,\\?', send)
    assert (line['status'], line['agent'][:4]) == (200, '"\\,}')
    text = (logged.haproxy.sockets / 'log').read_bytes()[raw:]
    assert all(32 <= byte < 127 or byte == 10 for byte in text)


@pytest.mark.parametrize(
    'sent', [b'\x01\x02\r\n\r\n', b'GET / HTTP/1.1\r\nHost: a\r\nHost: \xff"\r\n\r\n', b'GET\0/\r\n\r\n']
)
def test_what_is_no_request_is_a_line_too(logged, sent):
    line = line_of(logged, lambda line: line['status'] == 400, lambda: ended(logged.http, sent))
    assert line['client'] == '127.0.0.1'


def test_a_tcp_connection_is_a_line_of_json(logged):
    line = line_of(
        logged,
        lambda line: line['backend'].startswith('shop_db_tcp'),
        lambda: ended(logged.tcp[0], b'GET / HTTP/1.0\r\n\r\n'),
    )
    assert (line['port'], line['client'], line['received']) == (logged.tcp[0], '127.0.0.1', 18)
    assert line['bytes'] > 0


def test_a_tcp_connection_whose_tls_ends_here_is_one_line_with_its_name(logged):
    def send():
        with (
            socket.create_connection(('127.0.0.1', logged.tcp[1]), timeout=10) as plain,
            client_context().wrap_socket(plain, server_hostname='tls.com') as secured,
        ):
            secured.sendall(b'GET / HTTP/1.0\r\n\r\n')
            assert b' 200 ' in secured.recv(1000)

    before = len(lines(logged))
    line = line_of(logged, lambda line: line['backend'].startswith('shop_tls_tcp'), send)
    assert (line['sni'], line['port']) == ('tls.com', logged.tcp[1])
    assert len(lines(logged)) == before + 1


def test_a_connection_that_is_passed_through_is_a_line_with_its_name(logged):
    def send():
        with (
            contextlib.suppress(OSError, ssl.SSLError),
            socket.create_connection(('127.0.0.1', logged.https), timeout=10) as plain,
        ):
            client_context().wrap_socket(plain, server_hostname='pass.com')

    line = line_of(logged, lambda line: line['backend'].startswith('shop_pass_http'), send)
    assert line['sni'] == 'pass.com'


def test_the_line_can_have_another_form(start):
    edge = start(access_log='stderr', access_log_http='request: %HM %HP it\'s %ST "%b" %[var(txn.host)]')
    edge.get('plain.com', '/x')
    log = edge.haproxy.sockets / 'log'
    until(lambda: 'request: GET /x it\'s 200 "shop_plain_http" plain.com\n' in log.read_text(), 'there is a line', 5)


def test_nothing_is_logged_unless_it_is_asked_for(paged):
    paged.get('plain.com')
    assert '"client"' not in (paged.haproxy.sockets / 'log').read_text(errors='replace')


def test_a_syslog_server_gets_the_lines(start):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(('127.0.0.1', 0))
        server.settimeout(10)
        edge = start(access_log=f'127.0.0.1:{server.getsockname()[1]}')
        edge.get('plain.com', '/syslog')
        head, _, text = server.recv(8192).decode().partition(' - {')
        assert head.startswith('<30>1 ')
        assert json.loads('{' + text)['uri'] == '/syslog'
