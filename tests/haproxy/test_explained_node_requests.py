"""What is explained of requests to Services' own addresses is what a real HAProxy of the node role does with them."""

import contextlib
import http.client
import json

import pytest

from conftest import binary
from headrace.explain import request as requests
from headrace.explain import tracing
from headrace.settings.settings import Secrets
from headrace.translate.build_context import Role
from support import explained
from support.edge import Edge, Endpoints
from support.objects import endpoint_slice, secret, service
from support.ports import reserve_row

ADDRESSES = tuple(f'127.0.7.{number}' for number in range(1, 12))
POLICIES = (
    {}, {'deny': '127.0.0.9'}, {'allow': '192.0.2.0/24'}, {'basic-auth-secret': 'users'}, {'rewrite-path': '/new'}, {'rewrite-path': '/'},
    {'redirect-to': '/there'}, {'maintenance': 'true'}, {'canary-service': 's0', 'canary-header': 'X-Canary'}, {'fallback-service': 's0'},
    {'request-headers': 'X-A: b', 'max-body-size': '4'},
)  # fmt: skip
REQUESTS = (
    ('GET', '/', ()), ('GET', '/x/y?q=1', ()), ('POST', '/x', ('Content-Length: 9',)), ('GET', '/', ('Authorization: Basic dTpw',)),
    ('GET', '/x', ('X-Canary: always',)), ('GET', '/x/../y', ()), ('GET', '/', ('Host: other.com',)),
)  # fmt: skip


@pytest.fixture(scope='module')
def node():
    """A HAProxy of the node role that clients reach at the Services' addresses by themselves, at its own port."""
    first, held = reserve_row(8)
    documents = []
    with Endpoints() as endpoints:
        for place, (address, policy) in enumerate(zip(ADDRESSES, POLICIES, strict=True)):
            annotations = {'proxy': 'node', 'mode': 'http', **policy}
            ports = [{'name': 'http', 'port': first}]
            documents.append(
                service(f's{place}', annotations=annotations, ports=ports, clusterIP=address, clusterIPs=[address])
            )
            if 'fallback-service' not in policy:
                ends = [f'127.1.9.{place + 1}']
                documents.append(endpoint_slice(f's{place}', addresses=ends, port=endpoints.port, port_name='http'))
        documents.append(secret('users', username='u', password='p'))
        own = {
            'node_http_port': first,
            'node_tcp_port': first + 2,
            'node_tls_port': first + 4,
            'node_health_port': first + 6,
        }
        secrets = Secrets(namespaces=('*',))
        edge = Edge(
            binary('haproxy-3.4'), *documents, seen={'role': Role.NODE}, addresses=ADDRESSES, secrets=secrets, **own
        )
        with edge as found:
            yield *explained.of_context(found.built.context, documents), first
    for each in held:
        each.close()


def ask(request):
    """Return the status of a request, and what the endpoint said."""
    address = (request.client, 0)
    with contextlib.closing(http.client.HTTPConnection(request.name, request.port, 20, address)) as connection:
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in (('Host', request.host), *request.headers):
            connection.putheader(name, value)
        connection.endheaders(b'123456789' if request.value('content-length') else None)
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if body.startswith(b'{"at"') else None


@pytest.mark.parametrize('client', ['127.0.0.1', '127.0.0.9'])
@pytest.mark.parametrize('place', range(len(ADDRESSES)))
def test_what_is_explained_is_what_haproxy_does(node, place, client):
    store, model, port = node
    for method, path, headers in REQUESTS:
        line = f'{method} http://{ADDRESSES[place]}:{port}{path}'
        request = requests.parse(line, map(requests.parse_header, headers), client)
        outcome = tracing.trace(model, store, request).outcome
        status, said = ask(request)
        if outcome.destinations:
            (destination,) = outcome.destinations
            assert said['at'] in {each.address for each in destination.endpoints}, line
            assert said['path'].partition('?')[0] == destination.path
        else:
            assert (status, said) == (outcome.status, None), line
