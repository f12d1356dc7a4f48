"""External authentication of a route: who is asked, and how.

Services of the namespace are asked, and what the class names: its `externalAuthHosts`, and the URL of its `globalAuth`. What
cannot be asked closes the route.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec

from headrace.annotations import authentication, values
from headrace.annotations.authentication import OWN_HOST, Url
from headrace.annotations.settings import RouteSettings
from headrace.ir.backend import Demand, Mode
from headrace.ir.pointers import Pointer
from headrace.ir.policy import Map
from headrace.ir.routing import Authentication
from headrace.names import Ref
from headrace.objects.kinds import Protocol, Service, ServicePort
from headrace.settings.settings import Settings
from headrace.store import Reader
from headrace.translate import backends, policies
from headrace.translate.build_context import BuildContext, Role
from headrace.translate.policies import Policy

SERVICE_COUNTS = 'headrace.io/external-auth-service counts'
KEYS = ('external-auth-service', 'external-auth-url')
_SERVICE_HOST = re.compile(r'([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\..+)?')


class Refused(NamedTuple):
    """Why a route's authentication cannot be asked: it closes the route."""

    why: str


@dataclass(frozen=True, slots=True)
class Authenticator:
    """What is asked: a Service and its port ('' for its only one), by which Host and path, and whether the URL wants TLS.

    Without a Service it is an `origin` outside of the cluster, or with an empty one who serves the host of the request.
    """

    service: Ref | None
    port: str
    authority: str
    target: str
    tls: bool = False
    origin: str = ''


@dataclass(frozen=True, slots=True)
class Lender:
    """Where backends of other Services come from: the objects, the class, and which of a Service's backends is used.

    `own_routes` tells that the host of a request can be asked by the class's own routes, which those of Gateways are not.
    """

    reader: Reader
    context: BuildContext
    variant: Callable[[Service], str] = lambda _: ''
    own_routes: bool = True


def key(route: RouteSettings) -> str:
    """Return the key that names the authenticator."""
    return KEYS[route.external_auth_service is None]


def origin(url: Url) -> str:
    """Return scheme, host and port of a URL."""
    return f'{url.scheme}://{url.host}:{url.port}'


def origins(settings: Settings) -> tuple[str, ...]:
    """Return the origins outside of the cluster that the class allows to be asked."""
    texts = (*settings.external_auth_hosts, *filter(None, [settings.global_auth.get('url')]))
    urls = [url for text in texts if isinstance(url := authentication.url(text), Url)]
    return tuple(
        dict.fromkeys(origin(url) for url in urls if not _SERVICE_HOST.fullmatch(url.host) and url.host != OWN_HOST)
    )


def authenticator(
    namespace: str, route: RouteSettings, context: BuildContext, *, of_class: bool = False
) -> Authenticator | Refused | None:
    """Return the authenticator of a route, or why it cannot be asked; None for a route without authentication.

    `of_class`: the class says who is asked, and so can name any Service.
    """
    if (reference := route.external_auth_service) is not None:
        port = f':{reference.port}' if reference.port.isdecimal() else ''
        host = f'{reference.name}.{namespace}.svc{port}'
        return Authenticator(Ref('Service', namespace, reference.name), reference.port, host, route.external_auth_path)
    if (url := route.external_auth_url) is None:
        return None
    if url.host == OWN_HOST:
        if context.role is not Role.EDGE:
            return Refused('a URL with the host of the request is for the edge alone')
        return Authenticator(None, '', url.authority, url.target)
    match = _SERVICE_HOST.fullmatch(url.host)
    if match is None:
        if origin(url) in origins(context.settings):
            return Authenticator(None, '', url.authority, url.target, origin=origin(url))
        return Refused(f"{origin(url)} is outside of the cluster, and not one of the class's externalAuthHosts")
    ref = Ref('Service', match[2], match[1])
    if (
        ref.namespace != namespace
        and not of_class
        and f'{match[1]}.{match[2]}.svc' not in context.settings.external_auth_hosts
    ):
        return Refused(f'{ref} is in another namespace')
    return Authenticator(ref, url.port, url.authority, url.target, url.scheme == 'https')


def with_class(route: RouteSettings, mode: Mode, context: BuildContext) -> RouteSettings | None:
    """Return a route's settings with the authentication that the class asks for, None where it asks for none."""
    asks = route.external_auth_service is not None or route.external_auth_url is not None
    if asks or not context.global_auth or not route.global_auth or mode != 'http' or context.role is not Role.EDGE:
        return None
    fields: dict[str, Any] = dict(context.global_auth)
    return msgspec.structs.replace(route, **fields)


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
    policy: Policy, namespace: str, route: RouteSettings, mode: Mode, lender: Lender, *, of_class: bool = False
) -> tuple[Demand | None, Authentication] | Refused | None:
    """Let a policy ask, and return the backend that needs, if any, and what leads there; None where nothing is to be server."""
    server = authenticator(namespace, route, lender.context, of_class=of_class)
    if server is None or isinstance(server, Refused):
        return server
    if server.service is None and not server.origin and not lender.own_routes:
        return Refused('a URL with the host of the request is for Services and Ingresses')
    if mode != 'http':
        return Refused('only HTTP has authentication')
    lead = Authentication(
        policy.name,
        None,
        namespace,
        server.origin,
        timeout=route.external_auth_timeout,
        method=route.external_auth_method,
        url=f'{server.authority}{server.target}',
        headers=route.external_auth_response_headers,
        signin=route.external_auth_signin or '',
        cache=route.external_auth_cache,
        body=route.external_auth_body_size or 0,
    )
    if server.service is None:
        _apply(policy, route)
        return None, lead
    service = lender.reader.other_service(server.service)
    port = target(server, service)
    if service is None or isinstance(port, Refused):
        return port if isinstance(port, Refused) else None
    demand, spec = backends.demand(service, port, mode, lender.context)
    if server.tls and spec.options.tls is None:
        return Refused(f'the URL wants TLS, which port {port.label} of {server.service} does not speak')
    if spec.shape.external and not isinstance(values.plain_host(service.external_name), values.Invalid):
        lead = replace(lead, url=f'{service.external_name}{server.target}')
    _apply(policy, route)
    pointer = Pointer(spec.name(service.ref, lender.variant(service)), '')
    return demand, replace(lead, pointer=pointer, cookie=spec.shape.cookie)


def _apply(policy: Policy, route: RouteSettings) -> None:
    skip_paths = (f'{policy.name}:{path.rstrip("/")}/' for path in route.external_auth_skip_paths)
    policy.add(policies.EXTERNAL_AUTH, *((Map.EXTERNAL_AUTH_SKIP, path, '1') for path in dict.fromkeys(skip_paths)))
    if route.external_auth_body_size:
        policy.add(policies.EXTERNAL_AUTH_BODY)
