"""How much one object may become, and what stands for one that would become more.

Pure. Sizes are computed from what an object says, before anything is built. Nothing of such an object is left out: it
keeps its last good fragment, else it is closed. A part that is lost could open what it protects.
"""

from collections.abc import Container, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from headrace import names
from headrace.annotations import parse
from headrace.annotations.parse import Annotations
from headrace.annotations.values import Network
from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Claim, Content, Fragment, Kind, pointers
from headrace.ir.pointers import Pointer
from headrace.ir.tls import HostTls
from headrace.names import Ref, wildcard
from headrace.objects.ingress import Ingress
from headrace.objects.kinds import Service
from headrace.translate import policies
from headrace.translate.build_context import BuildContext
from headrace.translate.edge_ports import route_key
from headrace.translate.exposure import Exposed, Exposures
from headrace.translate.source_ranges import allowed_by_source_ranges

REASON = 'BudgetExceeded'
# What is closed has at least so many routes, where it asks for more than it may have.
MOST_CLOSED = 1000
_SHARING = frozenset((
    'allow', 'class', 'deny', 'enabled', 'host', 'maintenance', 'mode', 'path', 'path-type', 'port', 'tls-redirect', 'tls-secret',
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Excess:
    """A budget that an object exceeds: what is counted, how much it is, the most, and the setting that says so."""

    subject: str
    amount: int
    most: int
    setting: str

    def diagnostic(self, ref: Ref) -> Diagnostic:
        """Return the diagnostic for the object."""
        message = f'{self.amount} {self.subject} are more than {self.most} ({self.setting})'
        return Diagnostic(ref, REASON, message, 'metadata.annotations')


def omitted_annotations(source: Service | Ingress, context: BuildContext) -> Diagnostic:
    """Return the diagnostic of an object whose annotations find no room in its namespace."""
    most = context.settings.max_annotation_bytes_per_namespace
    message = (
        f'{source.omitted} bytes of annotations, with those of older objects of namespace {source.namespace}, '
        f'are more than {most} (maxAnnotationBytesPerNamespace)'
    )
    return Diagnostic(source.ref, REASON, message, 'metadata.annotations')


def shared_policies(
    service: Service, annotations: Annotations, exposures: Exposures, context: BuildContext
) -> dict[str, str]:
    """Return for exposed ports, where there are several, whose policy it has: its own, or that of an earlier port with the same lists.

    Only ports that ask for nothing besides lists of networks share them: rates, users and times are a port's own.
    """
    if len(exposures.ports) == 1:
        return {}
    owner_by_lists: dict[object, str] = {}
    owners: dict[str, str] = {}
    # A list that speaks of all ports is one value, of which the hash is taken once.
    numbers: dict[int, int] = {}
    number_by_networks: dict[tuple[Network, ...] | None, int] = {}

    def number(networks: tuple[Network, ...] | None) -> int:
        if id(networks) not in numbers:
            numbers[id(networks)] = number_by_networks.setdefault(networks, len(number_by_networks))
        return numbers[id(networks)]

    for exposed in exposures.ports:
        label = exposed.port.label
        values, route = annotations.values(label), parse.route(annotations.values(label))
        owners[label] = label
        lists = route.allow or route.deny or service.source_ranges
        if lists and values.keys() <= _SHARING and not service.affinity_seconds and not context.defaults:
            owners[label] = owner_by_lists.setdefault(
                (exposed.spoken.mode == 'http', number(route.allow), number(route.deny)), label
            )
    return owners


def excess(
    service: Service, annotations: Annotations, exposures: Exposures, context: BuildContext, owners: dict[str, str]
) -> Excess | None:
    """Return the budget of an object that a Service exceeds, None where it keeps to all; see `shared_policies`."""
    settings = context.settings
    routes = _routes(exposures) + _redirects(annotations, exposures)
    if routes > settings.max_routes_per_object:
        return Excess('routes', routes, settings.max_routes_per_object, 'maxRoutesPerObject')
    entries, counts, ranges = routes, dict[int, int](), allowed_by_source_ranges(service.source_ranges)
    for label in {owners.get(exposed.port.label, exposed.port.label) for exposed in exposures.ports}:
        if (
            ranges is not None
            and not ranges
            and not {'allow', 'deny', 'rate-limit-except'} & annotations.values(label).keys()
        ):
            continue
        route = parse.route(annotations.values(label))
        allow = route.allow if route.allow is not None else ranges
        for networks in filter(None, (allow, route.deny, route.rate_limit_except)):
            if id(networks) not in counts:
                counts[id(networks)] = sum(map(policies.keys_of, networks))
            entries += counts[id(networks)]
    if entries > settings.max_entries_per_object:
        return Excess('map entries', entries, settings.max_entries_per_object, 'maxEntriesPerObject')
    return None


def _routes(exposures: Exposures) -> int:
    return sum(
        max(1, len(exposed.hosts)) * max(1, len(exposed.paths), len(exposed.expressions)) for exposed in exposures.ports
    )


def _redirects(annotations: Annotations, exposures: Exposures) -> int:
    """Return how many routes there are at most that only redirect."""
    if not annotations.has_any('redirect-root') and not annotations.has_any('www-redirect'):
        return 0
    settings = ((exposed, parse.route(annotations.values(exposed.port.label))) for exposed in exposures.ports)
    return sum(
        len(exposed.hosts) * ((route.redirect_root is not None) + route.www_redirect) for exposed, route in settings
    )


def closed(
    service: Service,
    exposures: Exposures,
    diagnostics: tuple[Diagnostic, ...],
    context: BuildContext,
) -> Fragment:
    """Return what stands for a Service that would become too much: its routes answer 503, its TCP ports a reset.

    Hosts come first, then their paths. Where these are more than an object may have, its hosts are shut.
    """
    most = max(MOST_CLOSED, context.settings.max_routes_per_object)
    complete = _routes(exposures) <= most
    claims: dict[tuple[Kind, str], Claim] = {}
    for kind, key, exposed in _keys(exposures):
        if not complete and len(claims) >= most:
            break
        label = exposed.port.label
        pointer = Pointer(names.backend(service.ref, label), names.policy(service.ref, label), policies.CLOSED)
        value = pointer if kind is not Kind.TLS else HostTls(passthrough=pointer)
        claims.setdefault((kind, key), Claim(kind, key, value, 'metadata.annotations'))
    return Fragment(
        service.ref,
        created=service.created,
        claims=tuple(claims[key] for key in sorted(claims)),
        closed=True,
        shut=() if complete else _closed_host_names({(kind, key) for kind, key, _ in _hosts(exposures)}, claims),
        diagnostics=tuple(sorted(set(diagnostics))),
    )


def closed_hosts(ref: Ref, created: str, hosts: Sequence[str], needs: tuple[Ref, ...], excess: Excess) -> Fragment:
    """Return what stands for an object that would have too many routes: its hosts are shut, and answer 503."""
    claims = []
    for host in sorted(hosts[:MOST_CLOSED]):
        pointer = Pointer(names.backend(ref, 'closed'), names.policy(ref, 'closed'), policies.CLOSED)
        claims.append(Claim(Kind.ROUTE, f'{host}/', pointer, 'spec.rules'))
    return Fragment(
        ref,
        created=created,
        claims=tuple(claims),
        closed=True,
        shut=_closed_host_names({(Kind.ROUTE, f'{host}/') for host in hosts}),
        needs=needs,
        diagnostics=(replace(excess.diagnostic(ref), field='spec.rules'),),
    )


def _closed_host_names(
    keys: AbstractSet[tuple[Kind, str]], claimed: Container[tuple[Kind, str]] = ()
) -> tuple[str, ...]:
    """Return the hosts of some keys, and the wildcards that would serve those hosts that are not claimed."""
    hosts = {item: item[1].partition('/')[0] for item in keys if item[0] in (Kind.ROUTE, Kind.TLS)}
    wildcards = {name for item, host in hosts.items() if item not in claimed for name in (wildcard(host), '*')}
    return tuple(sorted({*hosts.values(), *wildcards} - {''}))


def _keys(exposures: Exposures) -> Iterator[tuple[Kind, str, Exposed]]:
    """Yield what closes some ports: their numbers, then their hosts, then each path of each host."""
    yield from _hosts(exposures)
    for exposed in exposures.ports:
        if exposed.spoken.mode == 'http':
            exact = exposed.exposure.path_type == 'Exact'
            for path in exposed.paths:
                for host in exposed.hosts:
                    yield Kind.ROUTE, route_key(host, path, exact=exact), exposed


def _hosts(exposures: Exposures) -> Iterator[tuple[Kind, str, Exposed]]:
    for exposed in exposures.ports:
        if exposed.number:
            yield Kind.PORT, str(exposed.number), exposed
    for exposed in exposures.ports:
        if not exposed.number:
            is_http = exposed.spoken.mode == 'http'
            for host in exposed.hosts:
                yield Kind.ROUTE if is_http else Kind.TLS, f'{host}/' if is_http else host, exposed


def closed_form(fragment: Fragment) -> Fragment:
    """Return the closed form of a fragment that is to serve nothing."""
    claims = (
        replace(claim, value=value) for claim in fragment.claims if (value := closed_value(claim.value)) is not None
    )
    bare = Fragment(
        fragment.ref, created=fragment.created, closed=True, needs=fragment.needs, diagnostics=fragment.diagnostics
    )
    return replace(bare, claims=tuple(claims), shut=fragment.shut, attachments=fragment.attachments)


def without_claims(fragment: Fragment) -> Fragment:
    """Return what stands for a closed object where its namespace has no room for closed routes either."""
    keys = {(claim.kind, claim.key) for claim in fragment.claims}
    return replace(fragment, claims=(), shut=_closed_host_names(keys | {(Kind.ROUTE, host) for host in fragment.shut}))


def closed_value(value: Content) -> Pointer | HostTls | None:
    """Return what closes a claimed key; None where nothing is needed to keep it closed.

    A route of several backends or conditions becomes one of the first backend, since no request gets there.
    """
    pointer = next(pointers(value), None)
    if pointer is None:
        return None
    closed_pointer = replace(pointer, flags=policies.CLOSED)
    return HostTls(passthrough=closed_pointer) if isinstance(value, HostTls) else closed_pointer
