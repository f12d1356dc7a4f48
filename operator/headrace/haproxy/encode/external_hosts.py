"""Hosts outside of the cluster that external authentication may ask: a backend of its own for each, made by a reload."""

from typing import NamedTuple

from headrace.annotations import authentication
from headrace.annotations.authentication import Url
from headrace.translate import external_authentication, refused_addresses
from headrace.translate.build_context import BuildContext


class ExternalHost(NamedTuple):
    """A backend's name, the host that it leads to, and whether that port is one that headrace listens on."""

    backend: str
    name: str
    port: str
    tls: bool
    own: bool


def backend(origin: str) -> str:
    """Return the name of the backend of an origin, '' for none. Names of Services' backends have a `_`, and no `/`."""
    return f'external-auth:{origin.replace("://", ":")}' if origin else ''


def of_class(context: BuildContext) -> tuple[ExternalHost, ...]:
    """Return the hosts that the class allows."""
    hosts = []
    for origin in external_authentication.origins(context.settings):
        url = authentication.url(origin)
        assert isinstance(url, Url)
        own = refused_addresses.is_own_port(int(url.port), context)
        hosts.append(ExternalHost(backend(origin), url.host, url.port, url.scheme == 'https', own))
    return tuple(hosts)
