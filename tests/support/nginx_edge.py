"""What the Ingresses of ingress-nginx's cases need besides: Services with real endpoints, Secrets and ConfigMaps."""

import contextlib

from support import certificates, nginx_cases
from support.authentication import Authentication
from support.edge import Endpoints, web
from support.objects import config_map, endpoint_slice, secret, service

# Of `opensesame`, in the forms that htpasswd has.
USERS = 'sha:{SHA}F2GPAaOiG5EcklvLUlodIavTBnM=\nbcrypt:$2y$04$N9qo8uLOickgx2ZMRZoMyenKJXgBwQmuTsuw5rDZiG8GbL4/WHFLO\n'
APR1 = 'apr1:$apr1$abcdefgh$hnz8AY7O7E7QvKAVjuw920\n'
SETTINGS = {
    'ingress_annotations': ('ingress-nginx',),
    'allowed_response_headers': ('x-custom', 'Cache-Control', 'X-Bank'),
    'seen': {'all_secrets': True},
}


def _decide(asked):
    """Answer for external authentication: a token names the user."""
    token = asked.header('x-token')
    if token is None:
        return 401, (), b''
    return {'forbidden': 403, 'broken': 500}.get(token, 200), (('X-User', token),), b''


@contextlib.contextmanager
def surroundings():
    """Run the endpoints of all cases, and return the documents."""
    key, certificate = certificates.for_names('*.example')
    context = certificates.server_context(key, certificate)
    with contextlib.ExitStack() as closing:
        endpoints, secured, auth = map(closing.enter_context, (Endpoints(), Endpoints(context), Authentication()))
        auth.answer = _decide
        yield [
            secret('users', auth=USERS),
            secret('apr1', auth=APR1),
            secret('mapped', **dict(line.split(':', 1) for line in (USERS.splitlines()[0], APR1.strip()))),
            certificates.tls_secret('tls', key, certificate),
            config_map('headers', X_Custom='a, "b" %[x]', Cache_Control='no-store'),
            config_map('refused', X_Custom='1', X_Other='2'),
            config_map('headers', 'bank', X_Bank='1'),
            *(document for group in _services(endpoints, secured, auth) for document in group),
        ]


def _services(endpoints, secured, auth):
    for name, last in nginx_cases.PLACES.items():
        yield web(name, secured if name == 'secured' else endpoints, address=f'127.0.9.{last}', host='')
    yield web('auth', auth, address=auth.address, host='')
    for name, addresses in (('dead', []), ('many', [f'127.0.9.{last}' for last in nginx_cases.SEVERAL])):
        yield (
            service(name, ports=[{'name': 'http', 'port': 80}]),
            endpoint_slice(name, addresses=addresses, port=endpoints.port, port_name='http'),
        )
