"""Services that a route needs besides the one that serves it: where its error pages come from, and where copies go.

Only Services of the namespace are used. What is missing is left out, with a diagnostic: it protects nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple

from headrace.annotations.authentication import ServiceReference
from headrace.annotations.settings import RouteSettings
from headrace.ir.backend import Demand
from headrace.ir.pointers import Pointer
from headrace.ir.routing import ErrorPages, Lead, Mirror
from headrace.names import Ref
from headrace.translate import backends, external_authentication, policies
from headrace.translate.external_authentication import Authenticator, Lender, Refused
from headrace.translate.policies import Policy


class Origin(NamedTuple):
    """Where answers come from: a Service and the number of its port, and the Ingress that leads there ('' for none)."""

    service: Ref
    port: int
    ingress: str = ''


class Added(NamedTuple):
    """The backend that a Service must make, and what leads there."""

    demand: Demand
    lead: Lead


class _Found(NamedTuple):
    demand: Demand
    pointer: Pointer


def add(policy: Policy, route: RouteSettings, origin: Origin, lender: Lender) -> Iterator[tuple[str, Added | Refused]]:
    """Let a policy use the Services that its settings name, and yield for each its key, and what that needs or why it cannot."""
    namespace = origin.service.namespace
    if route.error_service is not None and route.error_statuses:
        found = _backend(namespace, route.error_service, lender)
        if not isinstance(found, Refused):
            policy.add(policies.ERROR_PAGES)
            lead = ErrorPages(policy.name, found.pointer, route.error_statuses, *origin)
            yield 'error-service', Added(found.demand, lead)
        else:
            yield 'error-service', found
    if route.mirror_service is not None:
        found = _backend(namespace, route.mirror_service, lender)
        if not isinstance(found, Refused):
            policy.add(policies.MIRROR)
            yield 'mirror-service', Added(found.demand, Mirror(policy.name, found.pointer, route.mirror_percent))
        else:
            yield 'mirror-service', found


def _backend(namespace: str, named: ServiceReference, lender: Lender) -> _Found | Refused:
    ref = Ref('Service', namespace, named.name)
    service = lender.reader.other_service(ref)
    port = external_authentication.target(Authenticator(ref, named.port, '', ''), service)
    if service is None or isinstance(port, Refused):
        return port if isinstance(port, Refused) else Refused(f'{ref} does not exist')
    demand, wanted = backends.demand(service, port, 'http', lender.context)
    return _Found(demand, Pointer(wanted.name(ref, lender.variant(service)), ''))
