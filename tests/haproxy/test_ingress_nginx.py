"""Requests to Ingresses with ingress-nginx's annotations by a real HAProxy: the answers are those of its documentation."""

import contextlib
import ssl

import pytest

from conftest import binary
from support import certificates, nginx_cases
from support.authentication import Authentication
from support.edge import Edge, Endpoints, web
from support.objects import config_map, endpoint_slice, ingress_class, secret, service

CASES = nginx_cases.read()
REQUESTS = nginx_cases.requests(CASES)
# Of `opensesame`, in the forms that htpasswd has.
USERS = 'sha:{SHA}F2GPAaOiG5EcklvLUlodIavTBnM=\nbcrypt:$2y$04$N9qo8uLOickgx2ZMRZoMyenKJXgBwQmuTsuw5rDZiG8GbL4/WHFLO\n'
APR1 = 'apr1:$apr1$abcdefgh$hnz8AY7O7E7QvKAVjuw920\n'


def decide(asked):
    """Answer for external authentication: a token names the user."""
    token = asked.header('x-token')
    if token is None:
        return 401, (), b''
    return {'forbidden': 403, 'broken': 500}.get(token, 200), (('X-User', token),), b''


@pytest.fixture(scope='module')
def edge(tmp_path_factory):
    """One edge with the Ingresses of all cases."""
    key, certificate = certificates.for_names('*.example')
    file = tmp_path_factory.mktemp('tls') / 'tls.pem'
    file.write_bytes(key + certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    with contextlib.ExitStack() as closing:
        endpoints, secured, auth = map(closing.enter_context, (Endpoints(), Endpoints(context), Authentication()))
        auth.answer = decide
        services = [
            *(
                web(name, endpoints, address=f'127.0.9.{last}', host='')
                for name, last in nginx_cases.PLACES.items()
                if name != 'secured'
            ),
            web('secured', secured, address=f'127.0.9.{nginx_cases.PLACES["secured"]}', host=''),
            web('auth', auth, address=auth.address, host=''),
            (
                service('dead', ports=[{'name': 'http', 'port': 80}]),
                endpoint_slice('dead', addresses=[], port=1, port_name='http'),
            ),
            (
                service('many', ports=[{'name': 'http', 'port': 80}]),
                endpoint_slice(
                    'many',
                    addresses=[f'127.0.9.{last}' for last in nginx_cases.SEVERAL],
                    port=endpoints.port,
                    port_name='http',
                ),
            ),
        ]
        documents = [
            ingress_class(default=True),
            secret('users', auth=USERS),
            secret('apr1', auth=APR1),
            secret('mapped', **dict(line.split(':', 1) for line in (USERS.splitlines()[0], APR1.strip()))),
            certificates.tls_secret('tls', key, certificate),
            config_map('headers', X_Custom='a, "b" %[x]', Cache_Control='no-store'),
            config_map('refused', X_Custom='1', X_Other='2'),
            config_map('headers', 'bank', X_Bank='1'),
            *(document for group in services for document in group),
            *nginx_cases.ingresses(CASES),
        ]
        settings = {
            'ingress_annotations': ('ingress-nginx',),
            'allowed_response_headers': ('x-custom', 'Cache-Control', 'X-Bank'),
            'seen': {'all_secrets': True},
        }
        yield closing.enter_context(Edge(binary('haproxy-3.4'), *documents, **settings))


@pytest.mark.parametrize('request_', REQUESTS, ids=[item.name for item in REQUESTS])
def test_a_request_is_answered_as_documented(edge, request_):
    assert request_.outcome(edge.get) == request_.expected
