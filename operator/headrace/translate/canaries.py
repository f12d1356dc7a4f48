"""What the edge and the node role share of canaries: which port of the other Service is meant, and what leads to it."""

from headrace import names
from headrace.annotations.settings import RouteSettings
from headrace.ir import routing
from headrace.ir.backend import Shape
from headrace.names import Ref
from headrace.objects.kinds import Protocol, Service, ServicePort
from headrace.translate import backends, policies
from headrace.translate.policies import Policy

# All requests, as a canary's weight.
WHOLE = 10_000


def target(service: Service | None, port: ServicePort) -> ServicePort | None:
    """Return the port of another Service that a canary of this port goes to: that of its name, else of its number."""
    ports = [candidate for candidate in service.ports if candidate.protocol is Protocol.TCP] if service else []
    same_name = next((candidate for candidate in ports if candidate.name and candidate.name == port.name), None)
    return same_name or next((candidate for candidate in ports if candidate.number == port.number), None)


def missing_port(ref: Ref, service: Service | None) -> str:
    """Return what is wrong where there is no such port."""
    return f'{ref} {"has no port of this name or number" if service else "does not exist"}'


def lead(
    policy: Policy, route: RouteSettings, ref: Ref, label: str, spec: backends.BackendSpec, name: str
) -> routing.Canary:
    """Let a part of a policy's requests go to another Service's backend, and return what leads them there.

    What a request needs of that backend's own settings comes with it, whichever route it took.
    """
    backend_policy = Policy(names.policy(ref, label))
    backends.of_policy(backend_policy, spec)
    policy.add(policies.CANARY)
    policies.apply_canary_matches(policy, route)
    weight = min(WHOLE, round(route.canary_weight * WHOLE / route.canary_weight_total))
    return routing.Canary(policy.name, weight, backend_policy.pointer(name))


def stay(policy: Policy, *shapes: Shape) -> None:
    """Let clients that stay with an endpoint, of the route's own backend or of the canary's, stay on one side too."""
    if any(shape.cookie or shape.affinity for shape in shapes):
        policy.add(policies.CANARY_STAYS)
