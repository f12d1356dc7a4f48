"""External authentication of a route: which Service is asked, and how.

Only Services of the namespace are asked. What cannot be asked closes the route.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from headrace.annotations import values
from headrace.annotations.authentication import Url
from headrace.annotations.settings import RouteSettings
from headrace.ir.backend import Demand, Mode
from headrace.ir.pointers import Pointer
from headrace.ir.policy import Map
from headrace.ir.routing import Authentication
from headrace.names import Ref
from headrace.objects.kinds import Protocol, Service, ServicePort
from headrace.store import Reader
from headrace.translate import backends, policies
from headrace.translate.build_context import BuildContext
from headrace.translate.policies import Policy

SERVICE_COUNTS = 'headrace.io/external-auth-service counts'
KEYS = ('external-auth-service', 'external-auth-url')
_SERVICE_HOST = re.compile(r'([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\..+)?')


class Refused(NamedTuple):
    """Why a route's authentication cannot be asked: it closes the route."""

    why: str


@dataclass(frozen=True, slots=True)
class Authenticator:
    """What is asked: a Service and its port ('' for its only one), by which Host and path, and whether the URL wants TLS."""

    service: Ref
    port: str
    authority: str
    target: str
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Lender:
    """Where backends of other Services come from: the objects, the class, and which of a Service's backends is used."""

    reader: Reader
    context: BuildContext
    variant: Callable[[Service], str] = lambda _: ''


def key(route: RouteSettings) -> str:
    """Return the key that names the authenticator."""
    return KEYS[route.external_auth_service is None]


def authenticator(namespace: str, route: RouteSettings) -> Authenticator | Refused | None:
    """Return the authenticator of a route, or why it cannot be asked; None for a route without authentication."""
    if (reference := route.external_auth_service) is not None:
        port = f':{reference.port}' if reference.port.isdecimal() else ''
        host = f'{reference.name}.{namespace}.svc{port}'
        return Authenticator(Ref('Service', namespace, reference.name), reference.port, host, route.external_auth_path)
    return _of_url(namespace, route.external_auth_url) if route.external_auth_url is not None else None


def _of_url(namespace: str, url: Url) -> Authenticator | Refused:
    match = _SERVICE_HOST.fullmatch(url.host)
    if match is None:
        return Refused(f'{url.host} is outside of the cluster; name a Service of type ExternalName that leads there')
    ref = Ref('Service', match[2], match[1])
    if ref.namespace != namespace:
        return Refused(f'{ref} is in another namespace')
    return Authenticator(ref, url.port, url.authority, url.target, url.scheme == 'https')


def target(authenticator: Authenticator, service: Service | None) -> ServicePort | Refused:
    """Return the port that is asked."""
    ports = [port for port in service.ports if port.protocol is Protocol.TCP] if service else []
    if not authenticator.port and len(ports) > 1:
        return Refused(f'{authenticator.service} has several ports; name one')
    by_name = [port for port in ports if authenticator.port in ('', port.name)]
    by_number = [port for port in ports if authenticator.port == str(port.number)]
    reason = f'{authenticator.service} {"has no such port" if service else "does not exist"}'
    return next(iter(by_name + by_number), Refused(reason))


def add(
    policy: Policy,
    namespace: str,
    route: RouteSettings,
    mode: Mode,
    lender: Lender,
) -> tuple[Demand, Authentication] | Refused | None:
    """Let a policy ask a Service, and return the backend that needs and what leads there; None where nothing is to be asked."""
    server = authenticator(namespace, route)
    if server is None or isinstance(server, Refused):
        return server
    if mode != 'http':
        return Refused('only HTTP has authentication')
    service = lender.reader.other_service(server.service)
    port = target(server, service)
    if service is None or isinstance(port, Refused):
        return port if isinstance(port, Refused) else None
    demand, spec = backends.demand(service, port, mode, lender.context)
    if server.tls and spec.options.tls is None:
        return Refused(f'the URL wants TLS, which port {port.label} of {server.service} does not speak')
    if spec.shape.external and not isinstance(values.plain_host(service.external_name), values.Invalid):
        server = replace(server, authority=service.external_name)
    _apply(policy, route)
    return demand, Authentication(
        policy.name,
        Pointer(spec.name(service.ref, lender.variant(service)), ''),
        timeout=route.external_auth_timeout,
        method=route.external_auth_method,
        url=f'{server.authority}{server.target}',
        headers=route.external_auth_response_headers,
        signin=route.external_auth_signin or '',
        cache=route.external_auth_cache,
        body=route.external_auth_body_size or 0,
        cookie=spec.shape.cookie,
    )


def _apply(policy: Policy, route: RouteSettings) -> None:
    skip_paths = (f'{policy.name}:{path.rstrip("/")}/' for path in route.external_auth_skip_paths)
    policy.add(policies.EXTERNAL_AUTH, *((Map.EXTERNAL_AUTH_SKIP, path, '1') for path in dict.fromkeys(skip_paths)))
    if route.external_auth_body_size:
        policy.add(policies.EXTERNAL_AUTH_BODY)
