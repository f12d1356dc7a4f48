"""From a request to its trace: the listener, the connection, the route, the policy, the backend."""

from collections.abc import Generator

from headrace.explain import arrival, destinations, listeners, node
from headrace.explain.arrival import Arrival
from headrace.explain.expressions import Judgements, PauseError
from headrace.explain.listeners import Listener
from headrace.explain.request import Request, RequestError
from headrace.explain.routing import FoundRoute, Routing
from headrace.explain.rules import Rules
from headrace.explain.trace import Outcome, Stage, Step, Trace
from headrace.ir.fragment import Kind
from headrace.ir.pointers import GatewayPort, Pointer
from headrace.ir.routing import Split
from headrace.names import wildcard
from headrace.resolve.state import State
from headrace.store import Store
from headrace.translate import policies
from headrace.translate.build_context import Role
from headrace.translate.judged_listeners import hosts_above

_NOT_FOUND = 404
# In a running agent the expressions of one request get so many turns.
_MOST_TURNS = 100


def trace(state: State, store: Store, request: Request) -> Trace:
    """Return what becomes of a request; raises RequestError where it names a listener that is not there.

    Without a listener a request to the edge comes to the class's own, and where that has no route for it, to the first Gateway that has one.
    """
    if state.context.role is Role.NODE:
        return node.trace(state, store, request)
    traces = (_at(state, request, listener) for listener in listeners.of_request(state, store, request))
    first = next(traces)
    if first.outcome.status != _NOT_FOUND and not first.outcome.closed:
        return first
    others = (each for each in traces if each.outcome.status != _NOT_FOUND and not each.outcome.closed)
    return next(others, first)


def tracing(state: State, store: Store, request: Request) -> Generator[str, None, Trace]:
    """As `trace`, and yield each time that expressions have taken long the next one, for the caller to have it compiled.

    Raises RequestError too where they take too long together.
    """
    judgements = Judgements()
    for _ in range(_MOST_TURNS):
        try:
            with judgements.turn():
                return trace(state, store, request)
        except PauseError as error:
            yield error.form
    raise RequestError('the regular expressions of its routes take too long together; explain it from files')


def _at(state: State, request: Request, listener: Listener) -> Trace:
    """Return the trace of a request that comes to a listener."""
    steps: list[Step] = []
    if request.secure and listener.port in state.context.slots.get('TLS', ()):
        return _at_tls_listener(state, request, listener)
    if request.secure:
        shown = listeners.handshake(state, request, listener)
        if isinstance(shown, Outcome):
            steps.append(Step(Stage.LISTENER, request.sni or '(no server name)', passed=False, because=shown.because))
            return Trace(request, listener.shown, tuple(steps), shown)
        if isinstance(shown, Pointer):
            return _passed_through(state, request, listener, shown)
        steps.append(Step(Stage.LISTENER, request.sni or '(no server name)', passed=True, because=shown))
    arrived = arrival.arrive(state, request, listener.number)
    if isinstance(arrived, Outcome):
        steps.append(Step(Stage.LISTENER, str(request), passed=False, because=arrived.because))
        return Trace(request, listener.shown, tuple(steps), arrived)
    routing = Routing(state, arrived.request)
    found = _route(state, arrived.request, listener, routing)
    steps += routing.steps
    if isinstance(found, Outcome):
        return Trace(request, listener.shown, tuple(steps), found)
    return _by_policy(state, arrived, listener, found, steps)


def _route(state: State, request: Request, listener: Listener, routing: Routing) -> FoundRoute | Outcome:
    if not listener.of_class:
        astray = routing.senseless() or listeners.misdirected(state, request, listener)
        return astray or routing.at_gateway(listener.port)
    astray = listeners.misdirected(state, request, listener)
    if astray is not None and routing.is_written_as_held():
        return astray
    if (found := routing.at_class(astray)) is not None:
        return found
    if not _has_gateways(state, listener.port):
        return routing.no_route()
    if astray is None and (astray := routing.refusal()) is None and request.secure:
        astray = listeners.at_port(state, request, listener)
    return astray or routing.left_to_gateway(listener.port)


def _has_gateways(state: State, port: int) -> bool:
    return state.claims.content((Kind.GATEWAY_PORT, str(port)), state.fragments) is not None


def _by_policy(state: State, arrived: Arrival, listener: Listener, route: FoundRoute, steps: list[Step]) -> Trace:
    rules = Rules(state, arrived, route, _number(state, listener, route))
    outcome = rules.outcome() or destinations.outcome(rules)
    return Trace(arrived.request, listener.shown, (*steps, *rules.steps), outcome, tuple(rules.provisos))


def _number(state: State, listener: Listener, route: FoundRoute) -> int:
    """Return the port that clients know, of a Gateway's listener where the route is one of these."""
    port = route.stem.partition(':')[0] if ':' in route.stem else ''
    content = state.claims.content((Kind.GATEWAY_PORT, port), state.fragments) if port else None
    return content.number if isinstance(content, GatewayPort) else listener.number


def _at_tls_listener(state: State, request: Request, listener: Listener) -> Trace:
    """Return the trace of a connection to listeners of a Gateway for TLS, whose routes know server names alone."""
    subject = request.sni or '(no server name)'
    hosts = (f'{listener.port}:{host}' for host in hosts_above(request.sni))
    key = next((each for each in hosts if state.claims.claimants((Kind.L4_ROUTE, each))), '')
    claim = (Kind.L4_ROUTE, key)
    target = state.claims.content(claim, state.fragments)
    if not isinstance(target, Pointer | Split):
        outcome = Outcome(f'no TLSRoute for server name {subject}', closed=True)
        step = Step(Stage.LISTENER, subject, passed=False, because=outcome.because)
        return Trace(request, listener.shown, (step,), outcome)
    ended = policies.TLS in target.flags
    outcome = destinations.of_connection(
        state, request, FoundRoute(key, key, target, claim=claim), request.path if ended else ''
    )
    shown = listeners.handshake(state, request, listener) if ended and not outcome.closed else 'TLS is passed through'
    if isinstance(shown, Outcome):
        outcome = shown
    because = outcome.because if outcome.closed else str(shown)
    owner = next(iter(state.claims.claimants(claim)))
    step = Step(Stage.LISTENER, subject, passed=not outcome.closed, because=because, owner=owner)
    return Trace(request, listener.shown, (step,), outcome)


def _passed_through(state: State, request: Request, listener: Listener, pointer: Pointer) -> Trace:
    """Return the trace of a connection whose TLS goes on to an endpoint as it comes."""
    step = Step(Stage.LISTENER, request.sni, passed=True, because='TLS is passed through by its server name')
    hosts = (request.sni, wildcard(request.sni), '*')
    host = next((each for each in hosts if state.claims.claimants((Kind.TLS, each))), '')
    route = FoundRoute(f'{host}/', host, pointer, claim=(Kind.TLS, host))
    return Trace(request, listener.shown, (step,), destinations.of_connection(state, request, route))
