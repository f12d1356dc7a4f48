"""The Host that endpoints get, by a real HAProxy."""

import contextlib
import subprocess

import pytest

from conftest import binary
from support.edge import Edge, Endpoints, web
from support.haproxy import Haproxy, Ports

# It answers with the authority and the Host of a request.
ECHO = """
defaults
  mode http
  timeout client 10s
frontend echo
  bind 127.0.0.1:{port} proto h2
  http-request return status 200 content-type text/plain lf-string "%[req.hdr(host)] %[url]"
"""


@pytest.fixture(scope='module')
def edge(tmp_path_factory):
    """An edge with endpoints of HTTP/1.1 and HTTP/2."""
    with contextlib.ExitStack() as closing:
        endpoints, ports = closing.enter_context(Endpoints()), Ports(1)
        closing.callback(ports.close)
        folder = tmp_path_factory.mktemp('echo')
        (folder / 'haproxy').mkdir()
        sockets = 'global\n  stats socket "${HEADRACE_SOCKETS}/runtime.sock" level admin\n'
        (folder / 'haproxy' / 'echo.cfg').write_text(sockets + ECHO.format(port=ports.numbers[0]))
        closing.enter_context(Haproxy(binary('haproxy-3.4'))).start(folder)
        service, slice_ = web('two', endpoints, host_header='inner.example.com:8080', backend_protocol='h2c')
        slice_['ports'][0]['port'] = ports.numbers[0]
        slice_['endpoints'][0]['addresses'] = ['127.0.0.1']
        documents = (
            *web('one', endpoints, host_header='inner.example.com', request_headers='Host: other\nX-A: 1'),
            *web('set', endpoints, request_headers='Host: other.example.com'),
            service,
            slice_,
        )
        yield closing.enter_context(Edge(binary('haproxy-3.4'), *documents))


def test_endpoints_get_the_host_and_are_told_the_clients(edge):
    headers = edge.get('one.com').said['headers']
    assert (headers['host'], headers['x-forwarded-host'], headers['x-a']) == (['inner.example.com'], ['one.com'], ['1'])
    assert edge.get('set.com').said['headers']['host'] == ['other.example.com']


def test_over_http_2_the_authority_is_the_host(edge):
    assert edge.get('two.com', '/a').body.split()[0] == b'inner.example.com:8080'
    sent = ['curl', '-s', '--http2-prior-knowledge', '-H', 'Host: two.com', f'http://127.0.0.1:{edge.http}/a']
    found = subprocess.run(sent, capture_output=True, timeout=10, check=True).stdout
    assert found.startswith(b'inner.example.com:8080 '), found
    assert b'two.com' not in found.replace(b'inner.example.com:8080', b'')
