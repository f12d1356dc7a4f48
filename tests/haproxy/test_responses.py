"""What keys of routes change in the answers of endpoints, by a real HAProxy."""

import contextlib
import http.client
import json
import re
import socketserver
import threading

import pytest

from conftest import binary
from headrace import names
from headrace.names import Ref
from support.edge import Edge, Endpoints, web
from support.haproxy import Ports
from support.objects import endpoint_slice, tls_secret

LONG = f'/{"o" * 200}'


def answer(*headers, **more):
    """Return the header that asks an endpoint for an answer."""
    return (('X-Answer', json.dumps({'headers': headers, **more})),)


@pytest.fixture(scope='module')
def edge():
    with contextlib.ExitStack() as closing:
        endpoints = closing.enter_context(Endpoints())
        services = (
            web('plain', endpoints),
            web('domain', endpoints, response_cookie_domain='.Old.example new.example'),
            web('path', endpoints, response_cookie_path='/old /new'),
            web('long', endpoints, response_cookie_path=f'{LONG} /new'),
            web('both', endpoints, response_cookie_path='/ /app/', response_cookie_domain='a.com b.com', cookie='true'),
            web('location', endpoints, location_rewrite='http://old.example/ https://new.example/x/'),
            web('scheme', endpoints, location_rewrite='http:// https://'),
            web('off', endpoints, location_rewrite='off'),
            web('away', endpoints, location_rewrite='/a /b', redirect_to='/a'),
        )
        yield closing.enter_context(Edge(binary('haproxy-3.4'), *[item for group in services for item in group]))


def cookies(edge, host, *values):
    """Return the cookies that a client gets, in their order, where an endpoint sets some."""
    connection = http.client.HTTPConnection('127.0.0.1', edge.http, timeout=10)
    with contextlib.closing(connection):
        asked = answer(*(('Set-Cookie', value) for value in values))
        connection.request('GET', '/', headers={'Host': host, **dict(asked)})
        return connection.getresponse().headers.get_all('Set-Cookie')


@pytest.mark.parametrize(
    ('host', 'before', 'after'),
    [
        pytest.param('domain.com', 'a=1; Domain=old.example', 'a=1; Domain=new.example', id='a domain'),
        pytest.param('domain.com', 'a=1; domain=.OLD.example; Path=/', 'a=1; domain=new.example; Path=/', id='a dot'),
        pytest.param('domain.com', 'a=1;Domain=old.example;Secure', 'a=1;Domain=new.example;Secure', id='no blanks'),
        pytest.param('domain.com', 'a=1; Domain=x.old.example', 'a=1; Domain=x.old.example', id='another domain'),
        pytest.param('domain.com', 'a=domain=old.example', 'a=domain=old.example', id='a value'),
        pytest.param('domain.com', 'a=x|y|z', 'a=x|y|z', id='bars'),
        pytest.param('path.com', 'a=1; Path=/old/x; Secure', 'a=1; Path=/new/x; Secure', id='a path'),
        pytest.param('path.com', 'a=1; path=/older', 'a=1; path=/newer', id='the beginning of an element'),
        pytest.param('path.com', 'a=1; path=/OLD', 'a=1; path=/OLD', id='letters of a path'),
        pytest.param('path.com', 'a=1; path=/x/old', 'a=1; path=/x/old', id='not the beginning'),
        pytest.param('path.com', 'a=path=/old', 'a=path=/old', id='a value that looks like a path'),
        pytest.param(
            'plain.com', 'a=1; Path=/old; Domain=old.example', 'a=1; Path=/old; Domain=old.example', id='no key'
        ),
    ],
)
def test_a_cookie_of_an_endpoint_gets_another_domain_or_path(host, before, after, edge):
    assert cookies(edge, host, before) == [after]


def test_each_of_several_cookies_is_rewritten_by_itself_and_the_session_cookie_is_not(edge):
    first, second, third, own = cookies(
        edge, 'both.com', 'a=1; Path=/x; Domain=a.com', 'b=2; Domain=c.com', 'c=3; Path=/'
    )
    assert (first, second, third) == ('a=1; Path=/app/x; Domain=b.com', 'b=2; Domain=c.com', 'c=3; Path=/app/')
    assert own.startswith('headrace=')
    assert 'path=/;' in own


def test_cookies_that_leave_no_room_stay_as_they_are(edge):
    sent = [f'c{number}=|{"x|" * 20}; Path={LONG}/{number}' for number in range(48)]
    after = cookies(edge, 'long.com', *sent)
    assert [value.replace('=/new', f'={LONG}') for value in after] == sent
    assert set(after) & set(sent)


@pytest.mark.parametrize(
    ('host', 'name', 'before', 'after'),
    [
        pytest.param('location.com', 'Location', 'http://old.example/a', 'https://new.example/x/a', id='Location'),
        pytest.param('location.com', 'Location', 'http://old.example', 'http://old.example', id='less than FROM'),
        pytest.param('location.com', 'Location', '/a', '/a', id='another location'),
        pytest.param(
            'location.com', 'Refresh', '5; URL=http://old.example/', '5; URL=https://new.example/x/', id='Refresh'
        ),
        pytest.param('location.com', 'Refresh', '5', '5', id='Refresh without a URL'),
        pytest.param('scheme.com', 'Location', 'http://any.example/a?b', 'https://any.example/a?b', id='a scheme'),
        pytest.param('off.com', 'Location', 'http://old.example/a', 'http://old.example/a', id='off'),
    ],
)
def test_a_location_of_an_endpoint_begins_with_other_text(host, name, before, after, edge):
    assert edge.get(host, headers=answer((name, before))).headers[name.lower()] == after


def test_a_redirect_of_headrace_is_no_location_of_an_endpoint(edge):
    assert edge.get('away.com').headers['location'] == '/a'


SAFARI = 'Mozilla/5.0 (iPhone; CPU iPhone OS 12_1 like Mac OS X) AppleWebKit/605.1 (KHTML, like Gecko) Version/12.0 Safari/604.1'
FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'


@pytest.fixture(scope='module')
def sessions():
    with contextlib.ExitStack() as closing:
        endpoints = closing.enter_context(Endpoints())
        dead = closing.enter_context(contextlib.closing(Ports(1))).numbers[0]
        stays = {'cookie': 'true', 'balance': 'roundrobin', 'retries': '1'}
        kept, changed = (
            web('kept', endpoints, cookie_change_on_failure='false', **stays),
            web('changed', endpoints, **stays),
        )
        services = (
            tls_secret('t'),
            *web('usual', endpoints, cookie='true', cookie_path='/', tls_secret='t', tls_redirect='false'),
            *web('all', endpoints, cookie='s.x', cookie_path='/a', cookie_domain='x.com', cookie_max_age='2m', cookie_same_site='Strict'),
            *web('none', endpoints, cookie='true', cookie_same_site='None', cookie_conditional_same_site_none='true', cookie_secure='true'),
            *web('never', endpoints, cookie='true', cookie_secure='false', tls_secret='t', tls_redirect='false'),
            *kept, *changed,
            *(endpoint_slice(name, name=f'{name}-2', addresses=['127.0.9.2'], port=dead, port_name='http') for name in ('kept', 'changed')),
            web('main', endpoints, canary_service='all', canary_weight='100')[0],
        )  # fmt: skip
        yield dead, closing.enter_context(Edge(binary('haproxy-3.4'), *services, seen={'all_secrets': True}))


@pytest.mark.parametrize(
    ('host', 'how', 'attributes'),
    [
        pytest.param('usual.com', {}, 'path=/; HttpOnly; SameSite=Lax', id='usual'),
        pytest.param('usual.com', {'sni': 'usual.com'}, 'path=/; HttpOnly; Secure; SameSite=Lax', id='usual, TLS'),
        pytest.param('all.com', {}, 'path=/a; domain=x.com; Max-Age=120; HttpOnly; SameSite=Strict', id='all'),
        pytest.param('main.com', {}, 'path=/a; domain=x.com; Max-Age=120; HttpOnly; SameSite=Strict', id='of a canary'),
        pytest.param(
            'none.com',
            {'headers': (('User-Agent', FIREFOX),)},
            'path=/; HttpOnly; SameSite=None; Secure',
            id='SameSite=None',
        ),
        pytest.param(
            'none.com', {'headers': (('User-Agent', SAFARI),)}, 'path=/; HttpOnly; Secure', id='an old browser'
        ),
        pytest.param(
            'none.com',
            {'headers': (('User-Agent', 'x' * 300 + SAFARI),)},
            'path=/; HttpOnly; SameSite=None; Secure',
            id='only the beginning of a User-Agent counts',
        ),
        pytest.param('never.com', {'sni': 'never.com'}, 'path=/; HttpOnly; SameSite=Lax', id='never Secure'),
    ],
)
def test_the_session_cookie_has_the_attributes_that_the_service_gives_it(host, how, attributes, sessions):
    name, _, rest = sessions[1].get(host, **how).headers['set-cookie'].partition('; ')
    assert re.fullmatch('(headrace|s.x)=[0-9a-f]{16}', name)
    assert rest == attributes


@pytest.mark.parametrize('host', ['kept', 'changed'])
def test_a_client_whose_endpoint_fails_keeps_its_cookie_where_the_service_says_so(host, sessions):
    dead, edge = sessions
    own = names.endpoint_identity(Ref('Service', 'shop', host), 'http', '127.0.9.2', dead)
    answered = edge.get(f'{host}.com', headers=(('Cookie', f'a=b; headrace={own}; c=d'),))
    assert (answered.status, answered.said['at']) == (200, '127.0.9.1')
    assert (f'headrace={own};' in answered.headers['set-cookie']) is (host == 'kept')


def test_a_client_with_a_cookie_of_no_endpoint_gets_another_one(sessions):
    sent = r'headrace=\x0d\x0aX-A:\x20b'
    answered = sessions[1].get('kept.com', headers=(('Cookie', sent),))
    assert re.match('headrace=[0-9a-f]{16};', answered.headers['set-cookie'])


@pytest.fixture(scope='module')
def retried():
    """An edge before pairs of endpoints, of which one answers at `.1` and the other closes connections, and what that was sent."""
    with contextlib.ExitStack() as closing:
        endpoints = closing.enter_context(Endpoints())
        closer = closing.enter_context(Closer())
        tried = {'balance': 'roundrobin', 'retry_on': 'empty-response conn-failure response-timeout', 'retries': '2'}
        services = (
            *web('tried', endpoints, **tried),
            endpoint_slice('tried', name='tried-2', addresses=['127.0.9.2'], port=closer.port, port_name='http'),
        )
        yield closer, closing.enter_context(Edge(binary('haproxy-3.4'), *services))


class Closer(socketserver.ThreadingTCPServer):
    """An endpoint that reads the beginning of each request and closes the connection; `seen` are their methods."""

    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.9.2', 0), socketserver.StreamRequestHandler)
        self.seen, self.port = [], self.server_address[1]
        self._thread = threading.Thread(target=self.serve_forever, kwargs={'poll_interval': 0.02})
        self._thread.start()

    def finish_request(self, request, _):
        """Read something, and end."""
        self.seen.append(request.recv(65536).split(b' ')[0].decode())

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()


def test_a_request_whose_endpoint_gives_no_answer_goes_to_another_one_unless_it_could_count_twice(retried):
    closer, edge = retried
    assert [edge.get('tried.com').status for _ in range(4)] == [200] * 4
    assert 'GET' in closer.seen
    assert sorted(edge.get('tried.com', method='POST', body=b'x').status for _ in range(4)) == [200, 200, 502, 502]
