"""Services that a route needs besides the one that serves it: where its error pages come from.

Only Services of the namespace are used. What is missing is left out, with a diagnostic: it protects nothing.
"""

from typing import NamedTuple

from headrace.annotations.authentication import ServiceReference
from headrace.annotations.settings import RouteSettings
from headrace.ir.backend import Demand
from headrace.ir.pointers import Pointer
from headrace.ir.routing import ErrorPages
from headrace.names import Ref
from headrace.translate import backends, external_authentication, policies
from headrace.translate.external_authentication import Authenticator, Lender, Refused
from headrace.translate.policies import Policy


class Origin(NamedTuple):
    """Where answers come from: a Service and the number of its port, and the Ingress that leads there ('' for none)."""

    service: Ref
    port: int
    ingress: str = ''


def error_pages(
    policy: Policy, route: RouteSettings, origin: Origin, lender: Lender
) -> tuple[Demand, ErrorPages] | Refused | None:
    """Let another Service answer in the place of errors; return the backend that needs and what leads there."""
    if route.error_service is None or not route.error_statuses:
        return None
    found = _backend(origin.service.namespace, route.error_service, lender)
    if isinstance(found, Refused):
        return found
    demand, pointer = found
    policy.add(policies.ERROR_PAGES)
    return demand, ErrorPages(policy.name, pointer, route.error_statuses, *origin)


def _backend(namespace: str, named: ServiceReference, lender: Lender) -> tuple[Demand, Pointer] | Refused:
    ref = Ref('Service', namespace, named.name)
    service = lender.reader.other_service(ref)
    port = external_authentication.target(Authenticator(ref, named.port, '', ''), service)
    if service is None or isinstance(port, Refused):
        return port if isinstance(port, Refused) else Refused(f'{ref} does not exist')
    demand, wanted = backends.demand(service, port, 'http', lender.context)
    return demand, Pointer(wanted.name(ref, lender.variant(service)), '')
