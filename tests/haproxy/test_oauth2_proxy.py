"""A real oauth2-proxy behind a real HAProxy, with a small OpenID provider: who is not signed in is sent to sign in, and comes back."""

import contextlib
import http.client
import re
import socket
import subprocess
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from conftest import binary
from support.edge import Edge, Endpoints, web
from support.openid import CLIENT, SECRET, Provider
from support.waiting import until

ADDRESS = '127.0.8.3'
ASKING = {
    'external_auth_service': 'oauth2-proxy',
    'external_auth_path': '/oauth2/auth',
    'external_auth_signin': '/oauth2/start',
    'external_auth_response_headers': 'X-Auth-Request-User, X-Auth-Request-Email',
}


@dataclass
class Proxy:
    """Where oauth2-proxy listens."""

    port: int


@pytest.fixture(scope='module')
def edge(tmp_path_factory):
    """An edge with an application that oauth2-proxy guards, on the same host."""
    with contextlib.ExitStack() as closing:
        endpoints, provider = closing.enter_context(Endpoints()), closing.enter_context(Provider())
        with socket.socket() as free:
            free.bind((ADDRESS, 0))
            proxy = Proxy(free.getsockname()[1])
        documents = [
            *web('app', endpoints, **ASKING),
            *web('oauth2-proxy', proxy, host='app.com', path='/oauth2', address=ADDRESS),
        ]
        found = closing.enter_context(Edge(binary('haproxy-3.4'), *documents))
        log = closing.enter_context((tmp_path_factory.mktemp('oauth2') / 'log').open('w+b'))
        process = subprocess.Popen(
            [binary('oauth2-proxy', 'make controlplane'), *options(provider, proxy.port)], stdout=log, stderr=log
        )
        closing.callback(ended, process)
        until(lambda: answers(proxy.port, process), 'oauth2-proxy answers')
        found.issuer = provider.issuer
        yield found


def options(provider, port):
    """Return the options of oauth2-proxy that the guide names, and those of the provider."""
    return [
        '--reverse-proxy=true', '--set-xauthrequest=true', '--upstream=static://202', '--whitelist-domain=app.com',
        '--redirect-url=http://app.com/oauth2/callback', f'--http-address={ADDRESS}:{port}', '--cookie-secure=false',
        '--provider=oidc', f'--oidc-issuer-url={provider.issuer}', f'--client-id={CLIENT}', f'--client-secret={SECRET}',
        '--email-domain=example.com', f'--cookie-secret={"0" * 32}', '--skip-provider-button=true',
    ]  # fmt: skip


def ended(process):
    """End oauth2-proxy."""
    process.terminate()
    process.wait(10)


def answers(port, process):
    """Tell whether oauth2-proxy answers; fail when it has ended."""
    assert process.poll() is None
    with contextlib.suppress(OSError), socket.create_connection((ADDRESS, port), 1):
        return True
    return False


class Browser:
    """A client that keeps cookies; all of its requests for app.com go to the edge."""

    def __init__(self, edge):
        self.edge, self.cookies = edge, {}

    def get(self, url, **headers):
        """Send one request, and return the answer."""
        place = urlsplit(url)
        at = ('127.0.0.1', self.edge.http) if place.hostname == 'app.com' else (place.hostname, place.port)
        connection = http.client.HTTPConnection(*at, timeout=10)
        with contextlib.closing(connection):
            known = '; '.join(f'{name}={value}' for name, value in self.cookies.items())
            more = {'Host': place.netloc, **({'Cookie': known} if known else {}), **headers}
            connection.request('GET', f'{place.path or "/"}?{place.query}'.rstrip('?'), headers=more)
            answer = connection.getresponse()
            answer.text = answer.read()
        for line in answer.headers.get_all('Set-Cookie') or ():
            name, value = re.match(r'([^=]+)=([^;]*)', line).groups()
            self.cookies[name] = value
        return answer

    def follow(self, url):
        """Follow redirects, and return the places and the last answer."""
        places = []
        while (answer := self.get(url)).status == 302:
            there = answer.headers['Location']
            url = there if '://' in there else f'http://app.com{there}'
            places.append(url.partition('?')[0])
            assert len(places) < 10, places
        return places, answer


def test_a_client_signs_in_and_comes_back_to_where_it_wanted_to_go(edge):
    browser = Browser(edge)
    places, answer = browser.follow('http://app.com/private?a=b&c')
    assert places == [
        'http://app.com/oauth2/start',
        f'{edge.issuer}/authorize',
        'http://app.com/oauth2/callback',
        'http://app.com/private',
    ]
    assert answer.status == 200
    assert b'"path": "/private?a=b&c"' in answer.text
    assert b'"x-auth-request-email": ["ann@example.com"]' in answer.text


def test_a_client_without_a_session_reaches_nothing(edge):
    for headers in ({}, {'Cookie': '_oauth2_proxy=forged'}, {'X-Auth-Request-Email': 'ann@example.com'}):
        answer = Browser(edge).get('http://app.com/private', **headers)
        assert (answer.status, answer.text) == (302, b'')


def test_headers_about_the_user_are_those_of_the_session(edge):
    browser = Browser(edge)
    browser.follow('http://app.com/')
    answer = browser.get(
        'http://app.com/', **{'X-Auth-Request-Email': 'root@example.com', 'X_Auth_Request_User': 'root'}
    )
    assert answer.status == 200
    assert b'"x-auth-request-email": ["ann@example.com"]' in answer.text
    assert b'root' not in answer.text


def test_who_signs_out_is_asked_again(edge):
    browser = Browser(edge)
    browser.follow('http://app.com/')
    browser.get('http://app.com/oauth2/sign_out')
    assert browser.get('http://app.com/').status == 302
