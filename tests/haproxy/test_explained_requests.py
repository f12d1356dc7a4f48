"""What is explained of a request is what a real HAProxy does with it, for drawn objects and drawn requests."""

import contextlib
import http.client
import json
import socket
import ssl

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from headrace.explain import request as requests
from headrace.explain import tracing
from headrace.explain.trace import value
from headrace.objects import parse
from headrace.resolve import state
from headrace.settings.settings import Secrets
from headrace.store import Store
from properties import requested
from support.edge import Edge, Endpoints, client_context
from support.gateways import GATEWAY_CLASS, OWN_NAMESPACE, slot_service
from support.ports import reserve_row

# A process for each example, so they are few, and each of them is asked many times.
EXAMPLES, REQUESTS = 30, 40
# A failure is not shrunk, which would start HAProxy hundreds of times; its message has all that is needed.
FEW = settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, phases=[Phase.generate])


class Answered:
    """What a client saw: a status and headers, and what the endpoint said; no status where the connection ended."""

    def __init__(self, status=None, headers=None, said=None):
        self.status, self.headers, self.said = status, headers or {}, said

    def __repr__(self):
        return f'Answered({self.status}, {self.headers}, {self.said})'


def ask(port, request):
    """Send a request as it was parsed to a port, and return what came."""
    with contextlib.ExitStack() as closing:
        try:
            sock = socket.create_connection(('127.0.0.1', port), timeout=20, source_address=(request.client, 0))
            closing.callback(sock.close)
            if request.secure:
                sock = client_context().wrap_socket(sock, server_hostname=request.sni or None)
                closing.callback(sock.close)
            connection = http.client.HTTPConnection('127.0.0.1', port)
            connection.sock = sock
            connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in (('Host', request.host), *request.headers):
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
        except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected):
            return Answered()
    said = json.loads(body) if body.startswith(b'{"at"') else None
    return Answered(answer.status, {name.lower(): value for name, value in answer.getheaders()}, said)


def difference(trace, answered):
    """Return in which way an explanation differs from an answer, '' where it does not."""
    outcome, statuses = trace.outcome, {each.status for each in trace.provisos}
    if answered.said is None and (answered.status in statuses or 0 in statuses):
        return ''
    # Endpoints speak no TLS, so one that is passed through to them ends.
    ends = outcome.closed or any(not each.path for each in outcome.destinations)
    if ends or answered.status is None:
        return '' if ends and answered.status is None else 'the connection'
    if not outcome.destinations:
        if answered.status != outcome.status or answered.said is not None:
            return 'the status'
        return '' if answered.headers.get('location', '') == outcome.location else 'the location'
    if answered.said is None:
        return 'who answers'
    fitting = [
        each for each in outcome.destinations if answered.said['at'] in {item.address for item in each.endpoints}
    ]
    if not fitting:
        return 'which Service answers'
    path = answered.said['path'].partition('?')[0]
    # The endpoint itself makes one of two leading slashes.
    if not any(each.path == path or each.path.replace('//', '/') == path for each in fitting):
        return 'the path'
    return '' if any(_has_edits(each, answered.said['headers']) for each in fitting) else 'the headers'


def _has_edits(destination, headers):
    return all(
        edit.value in headers.get(edit.name, ()) if edit.action != 'remove' else edit.name not in headers
        for edit in {edit.name: edit for edit in destination.sent}.values()
    )


def check(documents, edge, drawn, *, ports=None):
    """Ask all requests, and compare each answer with what is explained; `ports` are those of a Gateway by scheme."""
    store, model = Store(), state.State(edge.built.context)
    for document in documents:
        store.put(parse.read(document).object)
    model.update(store, store.take())
    found = []
    for method, scheme, host, path, headers, client in drawn:
        line, given_headers = f'{method} {scheme}://{host}{path}', map(requests.parse_header, headers)
        request = requests.parse(line, given_headers, client, 'shop/web' if ports else '')
        try:
            trace = tracing.trace(model, store, request)
        except requests.RequestError:
            continue
        answered = ask(ports[scheme] if ports else edge.https if request.secure else edge.http, request)
        if how := difference(trace, answered):
            found.append(f'{how}: {line} {headers} from {client}: {answered}\n{json.dumps(value(trace), indent=1)}')
    if found:
        pytest.fail('\n'.join(found))


@pytest.fixture(scope='module')
def endpoints():
    with Endpoints() as found:
        yield found


@FEW
@given(data=st.data(), default=st.booleans(), nginx=st.booleans())
def test_what_is_explained_is_what_haproxy_does(endpoints, haproxy_34, data, default, nginx):
    documents = data.draw(requested.worlds(endpoints.port))
    drawn = data.draw(st.lists(requested.requests(), min_size=REQUESTS, max_size=REQUESTS))
    more = {'default_certificate': 'shop/tls'} if default else {}
    if nginx:
        more['ingress_annotations'] = ('ingress-nginx',)
    with Edge(haproxy_34, *documents, secrets=Secrets(namespaces=('*',)), **more) as edge:
        check(documents, edge, drawn)


@FEW
@given(data=st.data())
def test_what_is_explained_of_a_gateways_own_ports_is_what_haproxy_does(endpoints, haproxy_34, data):
    documents = [*data.draw(requested.worlds(endpoints.port)), GATEWAY_CLASS]
    drawn = data.draw(st.lists(requested.requests(), min_size=REQUESTS, max_size=REQUESTS))
    first, held = reserve_row(8)
    try:
        documents.append(slot_service('web', {80: first, 443: first + 2}))
        own = {'gateway_slots': 2, 'gateway_first_slot': first, 'secrets': Secrets(namespaces=('*',))}
        with Edge(haproxy_34, *documents, seen={'own_namespace': OWN_NAMESPACE}, **own) as edge:
            check(documents, edge, drawn, ports={'http': first, 'https': first + 2})
    finally:
        for each in held:
            each.close()
