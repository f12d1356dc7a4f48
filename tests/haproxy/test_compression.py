"""Compression: a reload when it is switched on, and then a real HAProxy compresses."""

import gzip
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from headrace.haproxy.encode.profiles import in_use
from headrace.haproxy.plan import plan
from headrace.haproxy.plan.plan import Loaded
from headrace.haproxy.render.render import Renderer
from headrace.haproxy.runtime import files
from headrace.objects import parse
from headrace.resolve import state
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import build_context
from support.haproxy import Haproxy, Ports
from support.objects import built, endpoint_slice, service

TEXT = b'the same words again and again ' * 100
HOST = {'host': 'a.example.com'}


class Answer(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Type', 'text/plain')
        self.send_header('Content-Length', str(len(TEXT)))
        self.end_headers()
        self.wfile.write(TEXT)

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint():
    server = ThreadingHTTPServer(('127.0.0.1', 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize('said', ['true', 'false'])
def test_answers_are_compressed_where_the_service_says_so(said, endpoint, haproxy_34, tmp_path):
    ports = Ports(3)
    main, https, health = ports.numbers
    known = Settings(addresses=('127.0.0.1',), http_port=main, https_port=https, health_port=health, maxconn=100)
    made = built(
        service(annotations={**HOST, 'compression': said}),
        endpoint_slice(addresses=['127.0.0.1'], port=endpoint),
        settings=known,
    )
    files.write(tmp_path, Renderer(made.context).render(made))
    with Haproxy(haproxy_34) as haproxy:
        haproxy.start(tmp_path)
        asked = http.client.HTTPConnection('127.0.0.1', main, timeout=10)
        asked.request('GET', '/', headers={'Host': 'a.example.com', 'Accept-Encoding': 'gzip'})
        answer = asked.getresponse()
        body = answer.read()
        asked.close()
    ports.close()
    if said == 'true':
        assert answer.headers['Content-Encoding'] == 'gzip'
        assert gzip.decompress(body) == TEXT
    else:
        assert (answer.headers['Content-Encoding'], body) == (None, TEXT)


def test_compression_is_switched_on_by_a_reload_with_that_reason_and_off_without():
    store, living = Store(), state.State(build_context.make(Settings()))

    def say(value):
        for document in (service(annotations={**HOST, 'compression': value}), endpoint_slice(addresses=['10.0.0.1'])):
            store.put(parse.read(document).object)
        change = living.update(store, store.take())
        return plan.plan(change, Loaded(frozenset(in_use((), 'headrace'))))

    assert not say('false').reasons
    on = say('true')
    assert [reason.word for reason in on.reasons] == ['compression']
    assert not any(command.line.startswith('add backend') for command in on.commands)
    off = say('false')
    assert not off.reasons
    assert any(command.line.startswith('add backend') for command in off.commands)
