"""Which listener a request comes to, and whether its connection gets through: server names, certificates, TLS passed through."""

from collections.abc import Iterator
from dataclasses import dataclass

from headrace import names
from headrace.explain.request import Request, RequestError
from headrace.explain.trace import Outcome
from headrace.ir.fragment import Content, Kind, pointers
from headrace.ir.pointers import GatewayPort, Pointer, Reserved
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.objects.gateways import Gateway, ListenerSet
from headrace.resolve import route_lookup
from headrace.resolve.state import State
from headrace.store import Store
from headrace.translate import class_fragment, placeholder_certificates
from headrace.translate.class_fragment import DEFAULT_CERTIFICATE
from headrace.translate.judged_listeners import ANY, hosts_above

CLASS = 'class'


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener: how it is shown, the port that HAProxy has bound, and the port that clients know.

    `of_class`: it is one of the class's own, which all hosts share; else it is one of a Gateway.
    """

    shown: str
    port: int
    number: int
    of_class: bool = False


def of_request(state: State, store: Store, request: Request) -> Iterator[Listener]:
    """Yield the listeners that a request can come to: the one that it names, else the class's own, then those of Gateways.

    Raises RequestError where it names one that is not there.
    """
    if request.listener and request.listener != CLASS:
        yield _named(state, store, request)
        return
    yield _own(state, request)
    if not request.listener:
        yield from _of_gateways(state, request)


def _own(state: State, request: Request) -> Listener:
    settings, protocol = state.context.settings, request.scheme.upper()
    port = settings.https_port if request.secure else settings.http_port
    return Listener(f'{protocol} of class {state.context.class_name}', port, port, of_class=True)


def _of_gateways(state: State, request: Request) -> Iterator[Listener]:
    """Yield the ports that are bound for Gateways alone and that clients know by the request's port."""
    for port in _slots(state, request):
        content = state.claims.content((Kind.GATEWAY_PORT, str(port)), state.fragments)
        if isinstance(content, GatewayPort) and content.number == request.port:
            owner = state.claims.claimants((Kind.GATEWAY_PORT, str(port)))[0]
            yield Listener(f'port {content.number} of {owner}', port, content.number)


def _slots(state: State, request: Request) -> list[int]:
    slots = state.context.slots
    protocols = ('HTTPS', 'TLS') if request.secure else ('HTTP',)
    return [port for protocol in protocols for port in slots.get(protocol, ())]


def _named(state: State, store: Store, request: Request) -> Listener:
    """Return the listener that a request names, as `NAMESPACE/GATEWAY` or `NAMESPACE/GATEWAY/LISTENER`."""
    namespace, _, rest = request.listener.partition('/')
    name, _, section = rest.partition('/')
    ref, number = Ref('Gateway', namespace, name), request.port
    for each in (ref, Ref('ListenerSet', namespace, name)):
        source = store.source(each)
        if isinstance(source, Gateway | ListenerSet):
            ref = each
            if section:
                number = next((item.port for item in source.listeners if item.name == section), 0)
            break
    else:
        raise RequestError(f'there is no listener {request.listener}: NAMESPACE/GATEWAY[/LISTENER], or {CLASS}')
    fragment = state.fragments.get(ref)
    for claim in fragment.claims if fragment else ():
        if claim.kind is not Kind.GATEWAY_PORT or not isinstance(claim.value, GatewayPort):
            continue
        if claim.value.number == number and (not state.context.slots or int(claim.key) in _slots(state, request)):
            of_class = not state.context.slots
            return Listener(f'port {number} of {ref}', int(claim.key), number, of_class=of_class)
    what = f'{section} of {ref}' if section else f'port {number} of {ref}'
    raise RequestError(f'{what} is not served for {request.scheme}')


def handshake(state: State, request: Request, listener: Listener) -> Outcome | Pointer | str:
    """Return what comes of a connection with TLS: its end, the backend that it is passed through to, or the certificate."""
    if not listener.of_class:
        return _at_slot(state, request, listener)
    if (pointer := _passthrough(state, request.sni)) is not None:
        return pointer
    if (tls := _ended(state, request)) is not None:
        return _shown(request, tls)
    if has_default_certificate(state):
        return 'the default certificate of the class'
    return Outcome(f'no certificate for server name {request.sni or "(none)"}', closed=True)


def _ended(state: State, request: Request) -> HostTls | None:
    """Return the TLS of the host that a connection to the class's own listeners is made for."""
    for host in (request.sni, names.wildcard(request.sni)) if request.sni else ():
        tls = _tls(state, host)
        if isinstance(tls, HostTls) and tls.certificates and request.sni not in tls.excluded:
            return tls
    return None


def has_default_certificate(state: State) -> bool:
    """Tell whether connections without a certificate of their own get the class's."""
    fragment = state.fragments.get(class_fragment.ref(state.context))
    return fragment is not None and any(claim.key == DEFAULT_CERTIFICATE for claim in fragment.claims)


def _tls(state: State, host: str) -> Content | None:
    return state.claims.content((Kind.TLS, host), state.fragments)


def _shown(request: Request, tls: HostTls) -> Outcome | str:
    certificates = f'certificate {", ".join(tls.certificates)}'
    if tls.verify == 'required' and not request.certificate:
        return Outcome(f'{certificates}; the client must show a certificate', closed=True)
    return certificates


def _at_slot(state: State, request: Request, listener: Listener) -> Outcome | Pointer | str:
    port = state.claims.content((Kind.GATEWAY_PORT, str(listener.port)), state.fragments)
    if isinstance(port, GatewayPort) and port.validates and not request.certificate:
        return Outcome('the client must show a certificate', closed=True)
    # HAProxy's lists of certificates know wildcards of one label.
    for host in dict.fromkeys((request.sni, names.wildcard(request.sni), ANY)):
        tls = state.claims.content((Kind.GATEWAY_TLS, f'{listener.port}:{host}'), state.fragments)
        if isinstance(tls, HostTls):
            if not tls.certificates or placeholder_certificates.NAME in tls.certificates:
                break
            return _shown(request, tls)
    return Outcome(f'no listener has a certificate for server name {request.sni or "(none)"}', closed=True)


def _passthrough(state: State, sni: str) -> Pointer | None:
    """Return where a connection is passed through by its server name, None where TLS is ended here."""
    if not sni:
        return None
    holder = ''
    for host in (sni, names.wildcard(sni), '*'):
        tls = _tls(state, host) if host else None
        pointer = tls.passthrough if isinstance(tls, HostTls) else None
        if pointer is not None and holder in ('', pointer.backend.partition('_')[0]):
            return pointer
        # What is ended here by its own name is not passed through by a wildcard.
        if isinstance(tls, Reserved) or (isinstance(tls, HostTls) and tls.certificates):
            return None
        holder = holder or _holder(state, host)
    return None


def _holder(state: State, host: str) -> str:
    """Return the namespace that has a host's route `/`, '' for none."""
    content = route_lookup.content(state, f'{host}/') if host else None
    if isinstance(content, Reserved):
        return content.namespace
    return next((pointer.backend.partition('_')[0] for pointer in pointers(content)), '')


def misdirected(state: State, request: Request, listener: Listener) -> Outcome | None:
    """Return what a request over TLS for another listener than that of its connection gets, None where it is well directed.

    At the class's own listeners that is one for another host than the server name, unless there is a default certificate.
    """
    if not request.secure or (listener.of_class and has_default_certificate(state)):
        return None
    host, text = request.bare_host, 'the connection was made for another host'
    if listener.of_class:
        return None if request.sni == host else Outcome(text, 421)
    return at_port(state, request, listener)


def at_port(state: State, request: Request, listener: Listener) -> Outcome | None:
    """Return what a request over TLS gets whose host is another listener's, or has none, at a port of Gateways."""
    port = listener.port
    own = _listener_of(state, port, request.bare_host)
    if own is None or not own[1]:
        return Outcome(f'no listener with a certificate has host {request.bare_host}', 404)
    content = state.claims.content((Kind.GATEWAY_TLS, own[0]), state.fragments)
    if isinstance(content, GatewayPort) and content.validates and not _shows_certificate(state, request, listener):
        return Outcome('the listener of this host wants a certificate of the client', 421)
    if request.sni != request.bare_host and _listener_of(state, port, request.sni) != own:
        return Outcome("the host is another listener's than that of the connection", 421)
    return None


def _shows_certificate(state: State, request: Request, listener: Listener) -> bool:
    """Tell whether the client has shown a certificate: one that has one shows it where the connection asks for it."""
    tls = _ended(state, request) if listener.of_class else None
    return request.certificate and (not listener.of_class or (tls is not None and bool(tls.client_ca)))


def _listener_of(state: State, port: int, host: str) -> tuple[str, bool] | None:
    """Return the key of the listener that has a host, and whether it has a certificate."""
    for each in hosts_above(host):
        content = state.claims.content((Kind.GATEWAY_TLS, f'{port}:{each}'), state.fragments)
        if content is not None:
            has_one = isinstance(content, GatewayPort) or (isinstance(content, HostTls) and bool(content.certificates))
            return f'{port}:{each}', has_one
    return None
