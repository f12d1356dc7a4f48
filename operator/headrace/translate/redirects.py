"""Routes of a port that only redirect: from the root of its hosts, and between a host with `www.` and the one without."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from headrace import names
from headrace.annotations.settings import RouteSettings
from headrace.ir.pointers import Pointer
from headrace.ir.policy import Entry
from headrace.names import Ref, wildcard
from headrace.translate import policies
from headrace.translate.policies import Policy

_WWW = 'www.'
_FOUND, _PERMANENT = '302', '308'
_HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class Redirect:
    """A route that redirects: host, path, whether the path is an exact one, and what leads there."""

    host: str
    path: str
    exact: bool
    pointer: Pointer
    data: tuple[Entry, ...]


def roots(service: Ref, label: str, settings: RouteSettings, hosts: Iterable[str], backend: str) -> Iterator[Redirect]:
    """Yield the redirects of requests for exactly `/`; the redirect is the same for all hosts."""
    if settings.redirect_root is None:
        return
    policy = Policy(names.policy(service, f'{label}/root'))
    policies.apply_redirect(policy, _FOUND, settings.redirect_root)
    for host in hosts:
        yield Redirect(host, '/', exact=True, pointer=policy.pointer(backend), data=tuple(policy.entries))


def others(
    service: Ref, label: str, hosts: tuple[str, ...], backend: str, https_port: int | None
) -> Iterator[Redirect]:
    """Yield the redirects to hosts from those that differ by `www.`; `https_port` is None where the scheme stays.

    A host whose other one is served too has none, nor has a wildcard.
    """
    for host in hosts:
        if (counterpart := other(host)) in hosts or '*' in host:
            continue
        policy = Policy(names.policy(service, f'{label}/www/{counterpart}'))
        suffix = '' if https_port in (None, _HTTPS_PORT) else f':{https_port}'
        scheme = '${scheme}' if https_port is None else 'https'
        policies.apply_redirect(policy, _PERMANENT, f'{scheme}://{host}{suffix}${{request_uri}}')
        yield Redirect(counterpart, '/', exact=False, pointer=policy.pointer(backend), data=tuple(policy.entries))


def other(host: str) -> str:
    """Return the host that differs by `www.`."""
    return host.removeprefix(_WWW) if host.startswith(_WWW) else _WWW + host


def is_named(host: str, certificate: Iterable[str]) -> bool:
    """Tell whether the names of a certificate hold for a host."""
    return not {host, wildcard(host)}.isdisjoint(certificate)
