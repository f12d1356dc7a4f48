"""Services that a route needs besides its own: for error pages, in the place of missing endpoints, and for copies.

Only Services of the namespace are used. What is missing is left out, with a diagnostic: it protects nothing.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from headrace.annotations.authentication import ServiceReference
from headrace.annotations.settings import RouteSettings
from headrace.ir.backend import Demand
from headrace.ir.pointers import Pointer
from headrace.ir.routing import ErrorPages, Fallback, Lead, Mirror, Mirrors
from headrace.names import Ref
from headrace.translate import backends, external_authentication, policies
from headrace.translate.external_authentication import Authenticator, Lender, Refused
from headrace.translate.policies import Policy


class Origin(NamedTuple):
    """Where answers come from: a Service and the number of its port, and the Ingress that leads there ('' for none).

    A route of the Gateway API can lead to a Service of another namespace.
    """

    service: Ref
    port: int
    ingress: str = ''


class FurtherBackend(NamedTuple):
    """The backend that a Service must make, and what leads there."""

    demand: Demand
    lead: Lead


class _Destination(NamedTuple):
    demand: Demand
    pointer: Pointer


def add(
    policy: Policy, route: RouteSettings, origin: Origin, namespace: str, lender: Lender
) -> Iterator[tuple[str, FurtherBackend | Refused]]:
    """Let a policy use the Services of its namespace that its settings name.

    Yield for each its key, and what that needs or why it cannot be.
    """
    error_service = route.error_service if route.error_statuses else None
    services: tuple[tuple[str, ServiceReference | None, str, Callable[[Pointer], Lead]], ...] = (
        ('error-service', error_service, policies.ERROR_PAGES,
         lambda pointer: ErrorPages(policy.name, pointer, route.error_statuses, *origin)),
        ('fallback-service', route.fallback_service, policies.FALLBACK, lambda pointer: Fallback(policy.name, pointer)),
        ('mirror-service', route.mirror_service, policies.MIRROR,
         lambda pointer: Mirrors(policy.name, namespace, (Mirror(pointer, route.mirror_percent),))),
    )  # fmt: skip
    for key, reference, flag, lead in services:
        if reference is None:
            continue
        destination = _backend(namespace, reference, lender)
        if isinstance(destination, Refused):
            yield key, destination
        else:
            policy.add(flag)
            yield key, FurtherBackend(destination.demand, lead(destination.pointer))


def _backend(namespace: str, reference: ServiceReference, lender: Lender) -> _Destination | Refused:
    ref = Ref('Service', namespace, reference.name)
    service = lender.reader.other_service(ref)
    port = external_authentication.target(Authenticator(ref, reference.port, '', ''), service)
    if service is None or isinstance(port, Refused):
        return port if isinstance(port, Refused) else Refused(f'{ref} does not exist')
    demand, spec = backends.demand(service, port, 'http', lender.context)
    return _Destination(demand, Pointer(spec.name(ref, lender.variant(service)), ''))
