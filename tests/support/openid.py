"""A small OpenID provider: each request is signed in as one user, at once."""

import base64
import json
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLIENT, SECRET, CODE = 'headrace', 'client-secret', 'one-time-code'
_SECONDS = 20.0
_LIFETIME = 3600


def _encoded(data):
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b'=').decode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    timeout = _SECONDS

    def do_GET(self):
        """Answer discovery, keys, and the request to sign in, which ends at the client's redirect URL."""
        place, asked = urlsplit(self.path), {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
        if place.path == '/.well-known/openid-configuration':
            self._say(self.server.configuration())
        elif place.path == '/keys':
            self._say({'keys': [self.server.public_key()]})
        elif place.path == '/authorize' and asked.get('client_id') == CLIENT:
            self.server.nonce = asked.get('nonce')
            there = f'{asked["redirect_uri"]}?{urlencode({"code": CODE, "state": asked["state"]})}'
            self._say({}, 302, ('Location', there))
        else:
            self._say({}, 404)

    def do_POST(self):
        """Give the tokens for a code."""
        given = parse_qs(self.rfile.read(int(self.headers.get('Content-Length') or 0)).decode())
        good = self.path == '/token' and given.get('code') == [CODE]
        token = self.server.token() if good else ''
        answer = {'access_token': 'a', 'token_type': 'Bearer', 'expires_in': _LIFETIME, 'id_token': token}
        self._say(answer if good else {}, 200 if good else 400)

    def _say(self, value, status=200, *headers):
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (*headers, ('Content-Type', 'application/json'), ('Content-Length', str(len(body)))):
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


class Provider(socketserver.ThreadingTCPServer):
    """The provider; `email` is of the user who is signed in."""

    daemon_threads = True

    def __init__(self, address='127.0.8.9', email='ann@example.com'):
        super().__init__((address, 0), _Handler)
        self.email, self.nonce = email, None
        self.issuer = f'http://{address}:{self.server_address[1]}'
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True)
        self._thread.start()

    def configuration(self):
        """Return what discovery says."""
        return {
            'issuer': self.issuer,
            'authorization_endpoint': f'{self.issuer}/authorize',
            'token_endpoint': f'{self.issuer}/token',
            'jwks_uri': f'{self.issuer}/keys',
            'response_types_supported': ['code'],
            'subject_types_supported': ['public'],
            'id_token_signing_alg_values_supported': ['RS256'],
        }

    def public_key(self):
        """Return the key that tokens are signed with."""
        numbers = self._key.public_key().public_numbers()
        parts = {
            name: _encoded(value.to_bytes((value.bit_length() + 7) // 8))
            for name, value in (('n', numbers.n), ('e', numbers.e))
        }
        return {'kty': 'RSA', 'use': 'sig', 'alg': 'RS256', 'kid': 'one', **parts}

    def token(self):
        """Return a signed token of the user."""
        now = int(time.time())
        claims = {
            'iss': self.issuer, 'aud': CLIENT, 'sub': 'ann', 'email': self.email, 'email_verified': True,
            'iat': now, 'exp': now + _LIFETIME, 'nonce': self.nonce,
        }  # fmt: skip
        text = f'{_encoded({"alg": "RS256", "kid": "one", "typ": "JWT"})}.{_encoded(claims)}'
        return f'{text}.{_encoded(self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}'

    def handle_error(self, *_):
        """Pass over clients that go away."""

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()
