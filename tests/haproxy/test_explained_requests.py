"""What is explained of a request is what a real HAProxy does with it, for drawn objects and drawn requests."""

import contextlib
import http.client
import json
import socket
import ssl

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from headrace.explain import destinations, tracing
from headrace.explain import request as requests
from headrace.explain.trace import value
from headrace.settings.settings import Secrets
from properties import requested
from support import explained, wire
from support.edge import Edge, Endpoints, client_context
from support.gateways import GATEWAY_CLASS, OWN_NAMESPACE, slot_service
from support.ports import reserve_row

# A process for each example, so they are few, and each of them is asked many times.
EXAMPLES, REQUESTS = 40, 40
# A failure is not shrunk, which would start HAProxy hundreds of times; its message has all that is needed.
FEW = settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, phases=[Phase.generate])


class Answered:
    """What a client saw: a status and headers, and what the endpoint said; no status where the connection ended."""

    def __init__(self, status=None, headers=None, said=None):
        self.status, self.headers, self.said = status, headers or {}, said

    def __repr__(self):
        return f'Answered({self.status}, {self.headers}, {self.said})'


def ask(port, request, form='plain', certificate=None):
    """Send a request as it was parsed to a port, in a form, by a client that can show a certificate; return what came."""
    with contextlib.ExitStack() as closing:
        try:
            sock = socket.create_connection(('127.0.0.1', port), timeout=20, source_address=(request.client, 0))
            closing.callback(sock.close)
            if request.secure:
                context = client_context(certificate)
                context.set_alpn_protocols(['h2' if form == 'h2' else 'http/1.1'])
                sock = context.wrap_socket(sock, server_hostname=request.sni or None)
                closing.callback(sock.close)
            status, headers, body = (_ask_h2 if form == 'h2' else _ask_h1)(sock, request, form)
        except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected):
            return Answered()
    text = body.decode('latin-1') or headers.get('x-said', '')
    return Answered(status, headers, json.loads(text) if text.startswith('{"at"') else None)


def _body(request):
    return b'x' * int(request.value('content-length') or 0)


def _ask_h1(sock, request, form):
    connection = http.client.HTTPConnection('127.0.0.1')
    connection.sock = sock
    target = f'{request.scheme}://{request.host}{request.target}' if form == 'absolute' else request.target
    connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    for name, text in (('Host', request.host), *request.headers):
        connection.putheader(name, text.encode('latin-1'))
    chunked = request.value('transfer-encoding') is not None
    connection.endheaders(b'3\r\nxxx\r\n0\r\n\r\n' if chunked else _body(request))
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


# HTTP/2 has no such headers.
_OF_CONNECTION = ('connection', 'transfer-encoding', 'upgrade')


def _ask_h2(sock, request, _):
    sent = [item for item in request.headers if item[0] not in _OF_CONNECTION]
    headers = wire.h2_headers(request.host, request.target, *sent, method=request.method, scheme=request.scheme)
    status, found, body = wire.Http2(sock).ask(headers, _body(request) or None)
    if not isinstance(status, int):
        raise ConnectionError(status)
    return status, found, body


def difference(model, trace, answered):
    """Return in which way an explanation differs from an answer, '' where it does not."""
    outcome, statuses = trace.outcome, {each.status for each in trace.provisos}
    if answered.said is None and (answered.status in statuses or 0 in statuses):
        return ''
    # Endpoints speak no TLS, so one that is passed through to them ends.
    ends = outcome.closed or any(not each.path for each in outcome.destinations)
    if ends or answered.status is None:
        shared = not outcome.closed and sum(each.share for each in outcome.destinations) < 1
        return '' if (ends or shared) and answered.status is None else 'the connection'
    if not outcome.destinations:
        if answered.status != outcome.status or answered.said is not None:
            return 'the status'
        texts = {'location': '', **dict(outcome.headers)}
        return next((name for name, text in texts.items() if answered.headers.get(name, '') != text), '')
    if answered.said is None and trace.request.method == 'HEAD' and 'answers in its place' in outcome.because:
        # An error page is asked for with GET, and its body is left out.
        return '' if answered.status == 200 else 'who answers'
    if answered.said is None:
        # Endpoints speak no HTTP/2, as routes of gRPC want it.
        other = any(destinations.find(model, each.backend).options.protocol for each in outcome.destinations)
        return '' if other and answered.status in (502, 503) else 'who answers'
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


def check(documents, edge, drawn, certificate, *, ports=None):
    """Ask all requests, and compare each answer with what is explained; `ports` are those of Gateways by name and scheme."""
    store, model = explained.of_context(edge.built.context, documents)
    found = []
    for number, asked in enumerate(drawn):
        # Of listeners for TLS the first Gateway has one, at another port.
        if asked.scheme == 'tls' and (not ports or ':' in asked.host):
            continue
        place = f'https://{asked.host}:8443' if asked.scheme == 'tls' else f'{asked.scheme}://{asked.host}'
        line, headers = f'{asked.method} {place}{asked.path}', map(requests.parse_header, asked.headers)
        listener = '' if not ports else 'shop/web' if asked.scheme == 'tls' else sorted(ports)[number % len(ports)]
        request = requests.parse(line, headers, asked.client, listener, certificate=asked.certificate)
        try:
            trace = tracing.trace(model, store, request)
        except requests.RequestError:
            continue
        port = ports[listener][asked.scheme] if ports else edge.https if request.secure else edge.http
        form = 'plain' if asked.scheme == 'tls' else asked.form
        answered = ask(port, request, form, certificate if asked.certificate else None)
        if how := difference(model, trace, answered):
            found.append(f'{how}: {asked}: {answered}\n{json.dumps(value(trace), indent=1)}')
    if found:
        pytest.fail('\n'.join(found))


@pytest.fixture(scope='module')
def endpoints():
    with Endpoints() as found:
        yield found


@pytest.fixture(scope='module')
def certificate(tmp_path_factory):
    """The file with the certificate that clients show."""
    file = tmp_path_factory.mktemp('clients') / 'known.pem'
    file.write_bytes(b''.join(requested.CLIENT))
    return file


@FEW
@given(data=st.data(), own=requested.settings())
def test_what_is_explained_is_what_haproxy_does(endpoints, certificate, haproxy_34, data, own):
    documents = data.draw(requested.worlds(endpoints.port))
    drawn = data.draw(st.lists(requested.requests(), min_size=REQUESTS, max_size=REQUESTS))
    with Edge(haproxy_34, *documents, secrets=Secrets(namespaces=('*',)), **own) as edge:
        check(documents, edge, drawn, certificate)


@FEW
@given(data=st.data(), own=requested.settings())
def test_what_is_explained_of_a_gateways_own_ports_is_what_haproxy_does(endpoints, certificate, haproxy_34, data, own):
    documents = [*data.draw(requested.worlds(endpoints.port)), GATEWAY_CLASS]
    drawn = data.draw(st.lists(requested.requests(), min_size=REQUESTS, max_size=REQUESTS))
    first, held = reserve_row(8)
    try:
        ports = {
            'shop/web': {'http': first, 'https': first + 2, 'tls': first + 4},
            'bank/own': {'http': first + 1, 'https': first + 3},
        }
        for name, slots in ports.items():
            namespace, _, short = name.partition('/')
            targets = {80: slots['http'], 443: slots['https'], 8443: slots.get('tls')}
            documents.append(
                slot_service(short, {port: slot for port, slot in targets.items() if slot}, namespace=namespace)
            )
        slotted = {'gateway_slots': 2, 'gateway_first_slot': first, 'secrets': Secrets(namespaces=('*',)), **own}
        with Edge(haproxy_34, *documents, seen={'own_namespace': OWN_NAMESPACE}, **slotted) as edge:
            check(documents, edge, drawn, certificate, ports=ports)
    finally:
        for each in held:
            each.close()
