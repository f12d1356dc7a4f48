"""How much one object may become, and what stands for one that would become more.

Pure. Sizes are computed from what an object says, before anything is built. Nothing of such an object is left out: it
keeps its last good fragment, else it is closed. A part that is lost could open what it protects.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from headrace import names
from headrace.annotations import reading
from headrace.annotations.reading import Annotations
from headrace.annotations.values import Network
from headrace.cluster.objects import Service
from headrace.model import policies
from headrace.model.exposure import Exposed, Exposures
from headrace.model.ir import Claim, Fragment, HostTls, Kind, Pointer
from headrace.model.ports import route_key
from headrace.model.source_ranges import allowed_by_source_ranges
from headrace.model.view import View
from headrace.names import Ref
from headrace.verdicts import Verdict

REASON = 'BudgetExceeded'
# What is closed has at least so many routes, where it asks for more than it may have.
MOST_CLOSED = 1000
_SHARING = frozenset((
    'allow', 'class', 'deny', 'enabled', 'host', 'maintenance', 'mode', 'path', 'path-type', 'port', 'tls-redirect', 'tls-secret',
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Excess:
    """A budget that an object exceeds: what is counted, how much it is, the most, and the setting that says so."""

    what: str
    amount: int
    most: int
    setting: str

    def verdict(self, ref: Ref) -> Verdict:
        """Return the diagnostic for the object."""
        message = f'{self.amount} {self.what} are more than {self.most} ({self.setting})'
        return Verdict(ref, REASON, message, 'metadata.annotations')


def shared(service: Service, said: Annotations, exposures: Exposures, view: View) -> dict[str, str]:
    """Return for exposed ports, where there are several, whose policy it has: its own, or that of an earlier port with the same lists.

    Only ports that ask for nothing besides lists of networks share them: rates, users and times are a port's own.
    """
    if len(exposures.ports) == 1:
        return {}
    first: dict[object, str] = {}
    found: dict[str, str] = {}
    # A list that speaks of all ports is one value, of which the hash is taken once.
    known: dict[int, int] = {}
    values_seen: dict[tuple[Network, ...] | None, int] = {}

    def number(networks: tuple[Network, ...] | None) -> int:
        if id(networks) not in known:
            known[id(networks)] = values_seen.setdefault(networks, len(values_seen))
        return known[id(networks)]

    for exposed in exposures.ports:
        label = exposed.port.label
        values, route = said.values(label), reading.route(said.values(label))
        found[label] = label
        lists = route.allow or route.deny or service.source_ranges
        if lists and values.keys() <= _SHARING and not service.affinity_seconds and not view.defaults:
            found[label] = first.setdefault(
                (exposed.spoken.mode == 'http', number(route.allow), number(route.deny)), label
            )
    return found


def excess(
    service: Service, said: Annotations, exposures: Exposures, view: View, sharing: dict[str, str]
) -> Excess | None:
    """Return the budget of an object that a Service exceeds, None where it keeps to all; see `shared`."""
    settings = view.settings
    routes = sum(max(1, len(exposed.hosts)) * max(1, len(exposed.paths)) for exposed in exposures.ports)
    if routes > settings.max_routes_per_object:
        return Excess('routes', routes, settings.max_routes_per_object, 'maxRoutesPerObject')
    found, known, ranges = routes, dict[int, int](), allowed_by_source_ranges(service.source_ranges)
    for label in {sharing.get(exposed.port.label, exposed.port.label) for exposed in exposures.ports}:
        if ranges is not None and not ranges and not {'allow', 'deny'} & said.values(label).keys():
            continue
        route = reading.route(said.values(label))
        allow = route.allow if route.allow is not None else ranges
        for networks in filter(None, (allow, route.deny)):
            if id(networks) not in known:
                known[id(networks)] = sum(map(policies.keys_of, networks))
            found += known[id(networks)]
    if found > settings.max_entries_per_object:
        return Excess('map entries', found, settings.max_entries_per_object, 'maxEntriesPerObject')
    return None


def closed(
    service: Service, exposures: Exposures, needs: tuple[Ref, ...], verdicts: tuple[Verdict, ...], view: View
) -> Fragment:
    """Return what stands for a Service that would become too much: its routes answer 503, its TCP ports a reset.

    Hosts come first, then their paths, up to the number of routes that an object may have.
    """
    most = max(MOST_CLOSED, view.settings.max_routes_per_object)
    claims: dict[tuple[Kind, str], Claim] = {}
    for kind, key, exposed in _keys(exposures):
        if len(claims) >= most:
            break
        label = exposed.port.label
        shut = Pointer(names.backend(service.ref, label), names.policy(service.ref, label), policies.CLOSED)
        value = shut if kind is not Kind.TLS else HostTls(passthrough=shut)
        claims.setdefault((kind, key), Claim(kind, key, value, 'metadata.annotations'))
    return Fragment(
        service.ref,
        created=service.created,
        claims=tuple(claims[key] for key in sorted(claims)),
        needs=needs,
        verdicts=tuple(sorted(set(verdicts))),
    )


def _keys(exposures: Exposures) -> Iterator[tuple[Kind, str, Exposed]]:
    """Yield what closes some ports: their numbers, then their hosts, then each path of each host."""
    http = [exposed for exposed in exposures.ports if exposed.spoken.mode == 'http']
    for exposed in exposures.ports:
        if exposed.number:
            yield Kind.PORT, str(exposed.number), exposed
    for exposed in exposures.ports:
        if not exposed.number:
            is_http = exposed.spoken.mode == 'http'
            for host in exposed.hosts:
                yield Kind.ROUTE if is_http else Kind.TLS, f'{host}/' if is_http else host, exposed
    for exposed in http:
        exact = exposed.exposure.path_type == 'Exact'
        for path in exposed.paths:
            for host in exposed.hosts:
                yield Kind.ROUTE, route_key(host, path, exact=exact), exposed


def closed_form(built: Fragment) -> Fragment:
    """Return the closed form of a fragment for which its namespace has no room."""
    claims = (replace(claim, value=value) for claim in built.claims if (value := _closed(claim)) is not None)
    return Fragment(built.ref, created=built.created, claims=tuple(claims), needs=built.needs, verdicts=built.verdicts)


def _closed(claim: Claim) -> Pointer | HostTls | None:
    """Return what closes a claimed key; None where nothing is needed to keep it closed."""
    value = claim.value
    if isinstance(value, Pointer):
        return replace(value, flags=policies.CLOSED)
    if isinstance(value, HostTls) and value.passthrough:
        return HostTls(passthrough=replace(value.passthrough, flags=policies.CLOSED))
    return None
