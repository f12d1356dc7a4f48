"""The dashboard of a live agent: what its pages show, who gets them, and what they never hold."""

import re
import socket

import pytest

from headrace.web.application import NAVIGATION
from support import certificates
from support.live import until
from support.objects import endpoint_slice, ingress, ingress_rule, secret, service
from support.traffic import Client

PATHS = [path for path, _ in NAVIGATION]
# A name that an API server would refuse, and texts that it does not judge.
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}'


@pytest.fixture
def pods(town):
    """The addresses of two pods."""
    return town.pods(2)


@pytest.fixture
def shop(live, dashboard, town, pods):
    """The dashboard of an agent that serves a shop."""
    live.web(pods, town.port)
    live.put('late', service('late', 'zoo', annotations={'host': 'shop.example.com'}))
    live.start('--web', '127.0.0.1:0')
    return dashboard


def test_each_page_is_shown_with_its_title(shop):
    for path, title in NAVIGATION:
        assert title in shop.text(path)


def test_no_page_runs_a_script_or_style_of_its_own(shop):
    for path in (*PATHS, '/objects/Service/shop/web', '/route?kind=route&key=shop.example.com/', '/nothing'):
        _, headers, body = shop.get(path)
        assert "script-src 'self'" in headers['Content-Security-Policy']
        assert 'unsafe' not in headers['Content-Security-Policy']
        assert headers['X-Content-Type-Options'] == 'nosniff'
        assert headers['Cache-Control'] == 'no-store'
        assert not re.search(r'<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:', body, re.IGNORECASE)


def test_a_route_is_found_with_its_holder_and_those_who_wait(shop):
    text = shop.text('/routes?search=shop.example')
    assert 'shop.example.com/' in text
    assert 'Service shop/web' in text
    assert 'Service zoo/late' in text
    assert 'No routes match' in shop.text('/routes?search=nothing-like-it')


def test_the_page_of_a_route_shows_policy_backends_and_endpoints(live, dashboard, town, pods):
    live.web(
        pods,
        town.port,
        annotations={'deny': '10.9.0.0/16', 'max-body-size': '1k'},
    )
    live.start('--web', '127.0.0.1:0')
    live.serves(pods)
    text = dashboard.text('/route?kind=route&key=shop.example.com/')
    for shown in (
        'Service shop/web',
        '50.0%',
        f'{pods[0]}:{town.port}',
        'is in no denied network',
        'bytes',
        'no check',
    ):
        assert shown in text, shown


def test_the_page_of_an_object_tells_what_is_wrong_with_it(shop):
    text = shop.text('/objects/Service/shop/web')
    assert 'Conflict' in text + shop.text('/objects/Service/zoo/late')
    assert 'there is no Service shop/none' in shop.text('/objects/Service/shop/none')
    assert 'Conflict' in shop.text('/problems?level=error')


def test_a_request_is_explained(shop, town):
    url = 'http://shop.example.com/cart'
    for text in (shop.text(f'/explain?url={url}'), shop.text('/explain', data={'method': 'GET', 'url': url})):
        assert 'It comes to the listener' in text
        assert 'one of 2 endpoints answers' in text
    wrong = shop.text('/explain', data={'method': 'GET', 'url': 'http://elsewhere.example.com/'})
    assert 'The client gets 404' in wrong
    assert 'http' in shop.text('/explain', data={'method': 'GET', 'url': 'http://a b'})


def test_changes_are_in_the_journal_with_their_times(live, shop, town, pods):
    live.web([*pods, town.pod()], town.port)
    shop.shows('/journal', 'Service shop/web changed: +1 endpoint')
    text = shop.text('/journal?search=shop/web')
    assert re.search(r'[\d.]+ ms', text)
    assert re.search(r'\d+ commands?', text)
    assert 'No change is of such an object' in shop.text('/journal?search=none/none')


def test_requests_are_counted_by_service_and_endpoint(live, shop, town):
    client = Client(live.ports['http'])
    until(lambda: town.run(client.ask())[0] == 200, 'the shop answers')
    shop.text('/traffic')
    for _ in range(20):
        town.run(client.ask())
    town.loop.call_soon_threadsafe(client.close)
    shop.shows('/traffic', 'Service shop/web')
    assert re.search(r'2[1-9] sessions', shop.text('/objects/Service/shop/web'))


def test_certificates_are_shown_without_keys(live, dashboard, town):
    key, certificate = certificates.for_names('shop.example.com')
    live.put('tls', certificates.tls_secret('tls', key, certificate))
    live.web(town.pods(1), town.port, annotations={'tls-secret': 'tls'})
    live.start('--web', '127.0.0.1:0')
    text = dashboard.text('/certificates')
    assert 'shop/tls' in text
    assert 'shop.example.com' in text
    assert 'Service shop/web' in text
    assert 'BEGIN' not in ''.join(dashboard.get(path)[2] for path in PATHS)


def test_no_page_shows_credentials(live, dashboard, town):
    word = 'hunter2-not-for-display'
    live.put('users', secret('users', auth=f'jane:{{PLAIN}}{word}\n'))
    live.web(
        town.pods(1),
        town.port,
        annotations={'basic-auth-secret': 'users', 'request-headers': f'Authorization: Bearer {word}'},
    )
    live.start('--web', '127.0.0.1:0')
    pages = [*PATHS, '/objects/Service/shop/web', '/route?kind=route&key=shop.example.com/',
             '/explain?url=http://shop.example.com/']  # fmt: skip
    bodies = [dashboard.get(path)[2] for path in pages]
    asked = {'method': 'GET', 'url': 'http://shop.example.com/', 'headers': 'X-One: 1'}
    bodies.append(dashboard.get('/explain', data=asked)[2])
    assert not any(word in body for body in bodies)


def test_hostile_texts_are_shown_as_texts(live, dashboard):
    live.put(
        'hostile',
        service('web', annotations={'host': 'shop.example.com', 'timeout-server': HOSTILE, 'path': f'/{HOSTILE}'}),
        service('odd', annotations={'host': HOSTILE}),
        {
            **service('x'),
            'metadata': {'name': HOSTILE, 'namespace': 'shop', 'annotations': {'headrace.io/host': 'a.example.com'}},
        },
        ingress('odd', rules=[ingress_rule(HOSTILE, path=f'/{HOSTILE}')]),
        endpoint_slice('web', addresses=[HOSTILE]),
    )
    live.start('--web', '127.0.0.1:0')
    hostile = '%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%7B%7B7*7%7D%7D'
    pages = [*PATHS, f'/routes?search={hostile}&sort={hostile}', f'/objects/{hostile}/{hostile}/{hostile}', f'/journal?search={hostile}',
             f'/explain?url={hostile}', f'/route?kind={hostile}&key={hostile}', f'/{hostile}', f'/problems?level={hostile}',
             f'/traffic/series?of={hostile}', '/objects/Service/shop/odd', '/objects/Service/shop/web']  # fmt: skip
    for path in pages:
        status, headers, body = dashboard.get(path)
        assert status in (200, 404, 502), f'{path}: {status}'
        if headers['Content-Type'].startswith('text/html'):
            assert '<script>alert' not in body
            assert '<img' not in body
            assert '49' not in re.findall(r'value="([^"]*)"', body)


def test_it_changes_nothing_and_is_for_this_host(shop):
    for path in PATHS:
        status, _, _ = shop.get(path, data={'x': '1'})
        assert status in (405, 200)
        assert status == 405 or path == '/explain'
    status, _, body = shop.get('/', headers={'Host': 'rebound.example.com'})
    assert (status, 'Service' in body) == (403, False)


@pytest.mark.parametrize(
    'name', ['../application.py', '..%2fapplication.py', 'vendor/../../access.py', '%2fetc%2fpasswd', '']
)
def test_only_its_own_files_are_static(shop, name):
    assert shop.get(f'/static/{name}')[0] == 404


def test_beyond_loopback_it_does_not_begin_without_a_setting(live):
    live.begin('--web', '0.0.0.0:0')
    assert live.process.wait(60) == 2
    assert 'beyond loopback' in live.log.read_text()


def test_a_proxy_says_who_asks(live, dashboard):
    live.start('--web', '127.0.0.1:0', '--web-auth', 'header:X-User', '--web-trusted-proxy', '127.0.0.0/8')
    assert dashboard.get('/')[0] == 403
    assert dashboard.get('/', headers={'X-User': 'jane', 'Host': 'dashboard.example.com'})[0] == 200


def test_a_port_that_is_taken_is_told(live):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        live.begin('--web', f'127.0.0.1:{taken.getsockname()[1]}')
        assert live.process.wait(60) == 4
    assert '--web' in live.log.read_text()
