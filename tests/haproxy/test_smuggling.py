"""No request reaches an endpoint that was not judged: whatever one reader could see and another one not.

The endpoint keeps each byte, and reads as strictly as can be; /hidden is denied to all clients.
"""

import contextlib

import pytest

from conftest import binary
from haproxy import smuggling
from support import wire
from support.edge import Edge, web
from support.objects import tls_secret
from support.recorder import Recorder


@pytest.fixture(scope='module')
def recorder():
    """The endpoint of all Services."""
    with Recorder() as found:
        yield found


@pytest.fixture(scope='module')
def edge(recorder):
    """An edge before it."""
    services = (
        web('open', recorder, host='a.com'),
        web('hidden', recorder, host='a.com', path='/hidden', deny='0.0.0.0/0, ::/0'),
        web('other', recorder, host='b.com', deny='0.0.0.0/0, ::/0'),
        web('secure', recorder, host='t.com', tls_secret='one'),
    )
    documents = [*(item for group in services for item in group), tls_secret('one')]
    with Edge(binary('haproxy-3.4'), *documents, seen={'all_secrets': True}) as found:
        yield found


def judge(recorder, body):
    """Fail when an endpoint got what it must not get: anything malformed or hidden, or not the one request."""
    assert recorder.faults == []
    assert {(message.target, message.host) for message in recorder.messages} <= {('/', 'a.com')}
    assert [message.body for message in recorder.messages] == ([] if body is None else [body])


@pytest.mark.parametrize(('sent', 'body'), smuggling.HTTP1.values(), ids=smuggling.HTTP1)
def test_an_ambiguous_request_is_refused_or_made_plain(edge, recorder, sent, body):
    recorder.clear()
    with contextlib.closing(wire.connect(edge.http)) as connection:
        # What follows shows where the edge takes the request to end.
        came = wire.send(connection, sent + b'GET /end HTTP/1.1\r\nHost: end.com\r\nConnection: close\r\n\r\n')
    judge(recorder, body)
    assert (wire.statuses(came)[:1] == [200]) is (body is not None), came


@pytest.mark.parametrize(('sent', 'body'), smuggling.HTTP2.values(), ids=smuggling.HTTP2)
def test_what_http_2_can_say_and_http_1_cannot_is_refused(edge, recorder, sent, body):
    recorder.clear()
    headers, data = sent
    with contextlib.closing(wire.Http2(wire.connect(edge.http))) as client:
        status, _, _ = client.ask(headers, data)
    judge(recorder, body)
    assert (status == 200) is (body is not None)


def ask(edge, text):
    """Send a request by HTTP/1.1, and one without a host behind it; return all that comes."""
    end = 'GET /end HTTP/1.1\r\nHost: end.com\r\nConnection: close\r\n\r\n'
    with contextlib.closing(wire.connect(edge.http)) as connection:
        return wire.send(connection, (text + end).encode())


@pytest.mark.parametrize(
    'named', ['X-Forwarded-For', 'close, X-Forwarded-For', 'Upgrade, X-Forwarded-For', 'X-A\r\nConnection: Upgrade']
)
def test_a_client_has_no_header_taken_away_on_the_way(edge, recorder, named):
    recorder.clear()
    ask(edge, f'GET / HTTP/1.1\r\nHost: a.com\r\nX-A: 1\r\nUpgrade: other\r\nConnection: {named}\r\n\r\n')
    judge(recorder, b'')
    headers = recorder.messages[0].headers
    assert 'connection' not in headers
    assert (headers['x-forwarded-for'], headers['x-a']) == (['127.0.0.1'], ['1'])


def test_a_connection_does_not_become_http_2_without_rules(edge, recorder):
    recorder.clear()
    upgrade = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n'
    came = ask(edge, f'GET / HTTP/1.1\r\nHost: a.com\r\n{upgrade}\r\n')
    judge(recorder, b'')
    assert not {'upgrade', 'connection'} & recorder.messages[0].headers.keys()
    assert wire.statuses(came) == [200, 404]


def test_a_request_behind_an_upgrade_that_is_not_answered_is_judged(edge, recorder):
    recorder.clear()
    upgrade = 'Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
    came = ask(edge, f'GET / HTTP/1.1\r\nHost: a.com\r\n{upgrade}\r\n{smuggling.HIDDEN}')
    judge(recorder, b'')
    assert recorder.messages[0].headers['connection'] == ['Upgrade']
    assert wire.statuses(came) == [200, 403, 404]


def test_a_redirect_of_a_whole_url_leads_to_its_path(edge):
    came = ask(edge, 'GET http://t.com/a?b HTTP/1.1\r\nHost: t.com\r\n\r\n')
    assert b'location: https://t.com/a?b\r\n' in came


def test_headers_without_end_are_refused(edge, recorder):
    recorder.clear()
    for headers in ('X-A: 1\r\n' * 200, f'X-A: {"a" * 20000}\r\n'):
        assert wire.statuses(ask(edge, f'GET / HTTP/1.1\r\nHost: a.com\r\n{headers}\r\n'))[0] in (400, 431)
    assert recorder.messages == []
