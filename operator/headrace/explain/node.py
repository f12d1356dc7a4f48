"""What becomes of a request to a Service's own address at a node that serves it in kube-proxy's stead.

The address and port decide, whatever the Host header says. Clients are taken to be on other nodes, or in pods of other nodes.
"""

import ipaddress
from dataclasses import dataclass

from headrace.explain import arrival, destinations
from headrace.explain.request import Request, RequestError
from headrace.explain.routing import FoundRoute
from headrace.explain.rules import Rules
from headrace.explain.trace import Destination, Endpoint, Outcome, Stage, Step, Trace
from headrace.ir.fragment import Kind
from headrace.ir.l4 import Action, VirtualAddress
from headrace.ir.pointers import Pointer
from headrace.names import Ref
from headrace.objects.kinds import Protocol, Service
from headrace.resolve.state import State
from headrace.store import Store
from headrace.translate import policies, virtual_addresses

_LISTENER = 'the node role'


@dataclass(frozen=True, slots=True)
class _Place:
    """An address and port that a Service has, and what stands there."""

    shown: str
    owner: Ref
    address: VirtualAddress
    pointer: Pointer | None


def trace(state: State, store: Store, request: Request) -> Trace:
    """Return what becomes of a request at a node; raises RequestError where its URL names no address and no Service."""
    address = _address(store, request)
    place = _place(state, address, request.port)
    shown = f'{address}:{request.port}'
    if place is None:
        because = f'no Service that headrace serves on nodes has {shown}'
        return Trace(
            request, _LISTENER, (Step(Stage.LISTENER, shown, passed=False, because=because),), _closed(because)
        )
    if (refusal := _refusal(request, place)) is not None:
        step = Step(Stage.LISTENER, shown, passed=False, because=refusal.because, owner=place.owner)
        return Trace(request, _LISTENER, (step,), refusal)
    step = Step(Stage.LISTENER, shown, passed=True, because=f'datapath {place.address.datapath}', owner=place.owner)
    if place.pointer is None:
        return Trace(request, _LISTENER, (step,), _by_kernel(state, place))
    return _by_haproxy(state, request, place, step)


def _address(store: Store, request: Request) -> str:
    """Return the address of a URL's host, the first ClusterIP of a Service that it names as DNS of a cluster does."""
    name = request.name.strip('[]').lower()
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    service, namespace, word, *_ = *name.split('.'), '', '', ''
    source = store.source(Ref('Service', namespace, service)) if word == 'svc' else None
    if not isinstance(source, Service) or not source.cluster_ips:
        raise RequestError(f'{request.name} is no address, and no NAME.NAMESPACE.svc of a Service with one')
    return source.cluster_ips[0]


def _place(state: State, address: str, port: int) -> _Place | None:
    key = (Kind.VIRTUAL_ADDRESS, virtual_addresses.key(address, port, Protocol.TCP))
    content = state.claims.content(key, state.fragments)
    if not isinstance(content, VirtualAddress):
        return None
    end = content.synthetic_address or f'{address}:{port}'
    pointer = state.claims.content((Kind.ADDRESS, end), state.fragments) if content.datapath != 'kernel' else None
    owner = state.claims.claimants(key)[0]
    return _Place(end, owner, content, pointer if isinstance(pointer, Pointer) else None)


def _refusal(request: Request, place: _Place) -> Outcome | None:
    """Return why a connection gets nothing, None where it is served."""
    if place.address.ranges is not None and not _is_in(place.address.ranges, request.client):
        return _closed(f'{request.client} is in none of loadBalancerSourceRanges')
    if place.address.external_path.action is Action.SERVE:
        return None
    because = 'refused' if place.address.external_path.action is Action.REFUSE else 'dropped'
    return _closed(f'connections are {because}: no endpoint can be used, or the port cannot be served as asked')


def _by_kernel(state: State, place: _Place) -> Outcome:
    """Return the endpoints among which the kernel balances."""
    group = place.address.external_path.group
    balanced = next((each for each in state.fragments[place.owner].balanced if each.name == group), None)
    endpoints = tuple(
        Endpoint(*each) for each in (balanced.endpoints if balanced else ())[: destinations.MOST_ENDPOINTS]
    )
    destination = Destination(group, place.owner, '', 1.0, endpoints)
    return Outcome('the kernel balances', destinations=(destination,)) if endpoints else _closed('there is no endpoint')


def _by_haproxy(state: State, request: Request, place: _Place, step: Step) -> Trace:
    assert place.pointer is not None
    route = FoundRoute(f'{place.shown}/', place.shown, place.pointer, claim=(Kind.ADDRESS, place.shown))
    arrived = arrival.arrive(state, request, request.port)
    if policies.TLS in place.pointer.flags and not request.secure:
        return Trace(request, _LISTENER, (step,), _closed('the port ends TLS, and the request has none'))
    backend = destinations.find(state, place.pointer.backend)
    is_tcp = backend is not None and backend.shape.mode == 'tcp'
    if isinstance(arrived, Outcome) or is_tcp or backend is None:
        outcome = arrived if isinstance(arrived, Outcome) else destinations.of_connection(state, request, route)
        return Trace(request, _LISTENER, (step,), outcome)
    if request.secure and policies.TLS not in place.pointer.flags:
        return Trace(request, _LISTENER, (step,), _closed('the port ends no TLS'))
    if policies.CLIENT_CERTIFICATE in place.pointer.flags and not request.certificate:
        return Trace(request, _LISTENER, (step,), _closed('the client must show a certificate'))
    rules = Rules(state, arrived, route, request.port)
    outcome = rules.outcome() or destinations.outcome(rules)
    return Trace(request, _LISTENER, (step, *rules.steps), outcome, tuple(rules.provisos))


def _closed(because: str) -> Outcome:
    return Outcome(because, closed=True)


def _is_in(ranges: tuple[str, ...], client: str) -> bool:
    address = ipaddress.ip_address(client)
    return any(address in ipaddress.ip_network(network, strict=False) for network in ranges)
