"""Claims: who holds what only one object can have.

Owns rule 7 of the contract: the oldest creationTimestamp wins, then namespace and name; the loser waits and takes over
when the winner leaves. Objects that want the same TLS for a host, or the same file, share it without a conflict. A claim
for a host's TLS that nothing can be made of yields to one that serves. A host belongs to a namespace (`hosts`): claims
of others for it wait whatever their age.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Claim, Content, Fragment, Kind
from headrace.ir.l4 import TrafficPath, VirtualAddress
from headrace.ir.pointers import NoRoute, Reserved
from headrace.ir.routing import Candidates, Conditions, is_of_gateway
from headrace.ir.tls import HostTls
from headrace.names import Ref, wildcard
from headrace.resolve.hosts import Hosts, NamersByHost, Rank, host_of, rank
from headrace.resolve.virtual_hosts import Offer, merged, offers, serving
from headrace.translate.policies import closed, closed_route

ClaimKey = tuple[Kind, str]
Fragments = Mapping[Ref, Fragment]
Snapshot = Mapping[ClaimKey, tuple[tuple[Ref, ...], tuple[Ref, ...], frozenset[Ref]]]
_ADDRESSES = (Kind.ADDRESS, Kind.VIRTUAL_ADDRESS)
# All who claim one want the same: a file is of one Secret, and some have yet to be built from the Secret as it is now.
SHARED = (Kind.CERTIFICATE, Kind.AUTHORITY, Kind.GATEWAY_PORT)
# HAProxy shows a line of a crt-list in one buffer (tune.bufsize, 16,384 by default), and a line that it cuts cannot be found.
_MOST_EXCLUDED_BYTES = 10_000


def find(fragment: Fragment, key: ClaimKey) -> Claim | None:
    """Return a fragment's claim for a key; its claims are sorted, so a search by halves needs no index in memory."""
    claims = fragment.claims
    place = bisect_left(claims, key, key=_key_of)
    return claims[place] if place < len(claims) and _key_of(claims[place]) == key else None


def routes_of(fragment: Fragment | None, host: str) -> Iterator[ClaimKey]:
    """Yield the keys of a fragment's routes of one host."""
    claims, start = fragment.claims if fragment else (), f'{host}/'
    for place in range(bisect_left(claims, (Kind.ROUTE, start), key=_key_of), len(claims)):
        claim = claims[place]
        if claim.kind is not Kind.ROUTE or not claim.key.startswith(start):
            return
        yield claim.kind, claim.key


def _key_of(claim: Claim) -> ClaimKey:
    return claim.kind, claim.key


def _order(fragment: Fragment, key: ClaimKey) -> tuple[bool, Rank]:
    """Return what orders the claimants of a key: who would serve nothing comes last, else the rank decides.

    An address belongs to the Service whose ClusterIP it is, whichever others name it.
    """
    claim = find(fragment, key)
    tls = claim.value if claim is not None and isinstance(claim.value, HostTls) else None
    idle = tls is not None and not tls.certificates and not tls.passthrough
    idle = idle or (claim is not None and isinstance(claim.value, NoRoute))
    foreign = key[0] in _ADDRESSES and claim is not None and claim.field != 'spec.clusterIPs'
    return idle or foreign, rank(fragment)


class Claims:
    """The claimants of each key, the winner first. Holds references only; what they claim is in their fragments."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts = hosts
        self._claimants: dict[Kind, dict[str, Ref | tuple[Ref, ...]]] = {kind: {} for kind in Kind}
        self._excluded: dict[ClaimKey, tuple[Ref, ...]] = {}
        # By route: the claimants that have candidates with conditions, and once asked for, whose candidates serve.
        self._conditional: dict[str, frozenset[Ref]] = {}
        self._owners: dict[str, dict[Conditions, Ref]] = {}
        # Hosts that objects beyond a limit name, and these objects.
        self._closed_hosts: dict[str, frozenset[Ref]] = {}

    def claimants(self, key: ClaimKey) -> tuple[Ref, ...]:
        """Return who claims a key and may have it, the winner first."""
        refs = self._claimants[key[0]].get(key[1], ())
        return (refs,) if isinstance(refs, Ref) else refs

    def parties(self, key: ClaimKey) -> tuple[Ref, ...]:
        """Return all who claim a key: those of namespaces that its host does not belong to come last."""
        return (*self.claimants(key), *self._excluded.get(key, ()))

    def replace(self, ref: Ref, old: Iterable[ClaimKey], new: Iterable[ClaimKey], fragments: Fragments) -> None:
        """Exchange the claims of one object; `fragments` has its new fragment already, if there is one."""
        for kind, key in old:
            self._note(kind, key, ref, None)
            others = tuple(item for item in self.claimants((kind, key)) if item != ref)
            self._set(kind, key, others)
            self._put_excluded((kind, key), {*self._excluded.get((kind, key), ())} - {ref})
        for kind, key in new:
            claim = find(fragments[ref], (kind, key))
            if claim is not None and not self.hosts.admits(ref.namespace, claim):
                self._put_excluded((kind, key), {*self._excluded.get((kind, key), ()), ref})
                continue
            claimants = [item for item in self.claimants((kind, key)) if item != ref]
            if claimants:
                # A claimant whose place would be another one goes and comes anew, so those that stay are in their order.
                insort(claimants, ref, key=lambda item: _order(fragments[item], (kind, key)))
            self._set(kind, key, tuple(claimants) or (ref,))
            self._note(kind, key, ref, claim)

    def _note(self, kind: Kind, key: str, ref: Ref, claim: Claim | None) -> None:
        """Note whether a claim that is admitted holds candidates, so that routes without cost nothing more."""
        if kind is not Kind.ROUTE:
            return
        self._owners.pop(key, None)
        before = self._conditional.get(key, frozenset())
        after = before | {ref} if claim is not None and isinstance(claim.value, Candidates) else before - {ref}
        if after:
            self._conditional[key] = after
        elif before:
            del self._conditional[key]

    def settle(self, keys: Iterable[ClaimKey], fragments: Fragments) -> None:
        """Judge anew who may have some keys, after their hosts have come to other namespaces."""
        for key in keys:
            claims = {ref: claim for ref in self.parties(key) if (claim := find(fragments[ref], key))}
            claimants = [ref for ref, claim in claims.items() if self.hosts.admits(ref.namespace, claim)]
            self._set(*key, tuple(sorted(claimants, key=lambda item: _order(fragments[item], key))))
            self._put_excluded(key, claims.keys() - set(claimants))
            for ref, claim in claims.items():
                self._note(*key, ref, claim if ref in claimants else None)

    def snapshot(self, keys: Iterable[ClaimKey]) -> Snapshot:
        """Return who claims some keys now, admitted or not, for `restore`."""
        return {key: (self.claimants(key), self._excluded.get(key, ()), self._conditional_at(key)) for key in keys}

    def restore(self, claims: Snapshot) -> None:
        """Return to the claimants of before, after a change of claims that has failed in the middle."""
        for key, (claimants, excluded, conditional) in claims.items():
            self._set(*key, claimants)
            self._put_excluded(key, excluded)
            if key[0] is Kind.ROUTE:
                self._owners.pop(key[1], None)
                self._conditional.pop(key[1], None)
                if conditional:
                    self._conditional[key[1]] = conditional

    def _conditional_at(self, key: ClaimKey) -> frozenset[Ref]:
        return self._conditional.get(key[1], frozenset()) if key[0] is Kind.ROUTE else frozenset()

    def _set(self, kind: Kind, key: str, refs: tuple[Ref, ...]) -> None:
        if refs:
            self._claimants[kind][key] = refs[0] if len(refs) == 1 else refs
        else:
            self._claimants[kind].pop(key, None)

    def _put_excluded(self, key: ClaimKey, refs: Iterable[Ref]) -> None:
        if claimants := tuple(sorted(refs)):
            self._excluded[key] = claimants
        else:
            self._excluded.pop(key, None)

    def content(self, key: ClaimKey, fragments: Fragments) -> Content | None:
        """Return what stands at a key: the winner's value, or what keeps wildcards of other namespaces out; else None."""
        claimants = self._claimants[key[0]].get(key[1])
        if claimants is None:
            return self._reservation(key)
        if key[0] is Kind.ROUTE:
            return self._route(key, fragments)
        winner = fragments[claimants if isinstance(claimants, Ref) else claimants[0]]
        claim = find(winner, key)
        assert claim is not None
        if isinstance(claim.value, HostTls) and claim.value.passthrough and self._closing_object(winner.ref, claim):
            return HostTls(passthrough=closed(claim.value.passthrough))
        if isinstance(claim.value, VirtualAddress) and not self._has_synthetic_address(winner.ref, claim.value):
            return replace(claim.value, external_path=TrafficPath(), local_path=TrafficPath())
        if isinstance(claim.value, HostTls) and claim.value.certificates and (hosts := self.hosts.outside(key[1])):
            return _excluding(claim.value, hosts)
        return claim.value

    def _route(self, key: ClaimKey, fragments: Fragments) -> Content:
        """Return what stands at a route: the target of the oldest claimant, or what the candidates of several become."""
        if key[1] not in self._conditional:
            return self._safe(fragments[self.claimants(key)[0]], key, fragments)
        content, host = merged(self._offers(key, fragments)), _host_of_whole(key)
        return (
            replace(content, reserved=self.hosts.owner(host)) if isinstance(content, Candidates) and host else content
        )

    def _offers(self, key: ClaimKey, fragments: Fragments) -> list[Offer]:
        """Return the candidates of the namespace of the oldest claimant, and of all where a Gateway lets them in.

        Of targets without conditions the oldest one is enough.
        """
        refs, conditional = self.claimants(key), self._conditional[key[1]]
        claimants = refs if is_of_gateway(key[1]) else [ref for ref in refs if ref.namespace == refs[0].namespace]
        plain = next((ref for ref in claimants if ref not in conditional), None)
        every = (fragments[ref] for ref in claimants if ref in conditional or ref == plain)
        return [offer for fragment in every for offer in offers(fragment, self._safe(fragment, key, fragments))]

    def owner(self, key: str, conditions: Conditions, fragments: Fragments) -> Ref:
        """Return the object whose candidate with these conditions serves at a route."""
        if key not in self._conditional:
            return self.claimants((Kind.ROUTE, key))[0]
        if (owners := self._owners.get(key)) is None:
            candidates = serving(self._offers((Kind.ROUTE, key), fragments))
            owners = self._owners[key] = {conditions: offer.owner for conditions, offer in candidates.items()}
        return owners[conditions]

    def _safe(self, fragment: Fragment, key: ClaimKey, fragments: Fragments) -> Content:
        """Return what a fragment claims at a route, closed where what protects it is not in force."""
        claim = find(fragment, key)
        assert claim is not None
        unsafe = self._lacks_client_ca(fragment, key[1], fragments) or self._closing_object(fragment.ref, claim)
        return closed_route(claim.value) if unsafe else claim.value

    def exchange_closed_hosts(self, ref: Ref, old: Iterable[str], new: Iterable[str]) -> None:
        """Exchange the hosts that an object beyond a limit names without a claim for all of their paths."""
        for host in old:
            self._closed_hosts[host] -= {ref}
            if not self._closed_hosts[host]:
                del self._closed_hosts[host]
        for host in new:
            self._closed_hosts[host] = self._closed_hosts.get(host, frozenset()) | {ref}

    def _closing_object(self, ref: Ref, claim: Claim) -> Ref | None:
        """Return the object of the same namespace that shuts the host of a claim, so that the claim leads nowhere."""
        refs = self._closed_hosts.get(claim.key.partition('/')[0], ()) if self._closed_hosts else ()
        return min((each for each in refs if each.namespace == ref.namespace and each != ref), default=None)

    def on(self, hosts: AbstractSet[str]) -> set[ClaimKey]:
        """Return all claimed keys of routes and TLS of some hosts, of all objects."""
        keys = {(Kind.TLS, host) for host in hosts}
        return keys.union((Kind.ROUTE, key) for key in self._claimants[Kind.ROUTE] if key.partition('/')[0] in hosts)

    def _has_synthetic_address(self, ref: Ref, virtual_address: VirtualAddress) -> bool:
        """Tell whether the address that HAProxy sees behind a virtual address is its owner's; two addresses can have the same one."""
        return not virtual_address.synthetic_address or self.claimants(
            (Kind.ADDRESS, virtual_address.synthetic_address)
        )[:1] == (ref,)

    def _lacks_client_ca(self, winner: Fragment, route: str, fragments: Fragments) -> bool:
        """Tell whether a route wants client certificates, but another object's TLS holds for its host."""
        key = (Kind.TLS, route.partition('/')[0])
        claim = find(winner, key)
        if claim is None or not isinstance(claim.value, HostTls) or not claim.value.client_ca:
            return False
        return not _is_same_tls(self.content(key, fragments), claim.value)

    def _reservation(self, key: ClaimKey) -> Reserved | None:
        """Return what stands at a key of a named host that no object holds: the namespace of the host, where it is needed.

        At its route `/`, so that no wildcard of another namespace gets what the host's own routes leave. For its TLS only
        where that route is one of another namespace, and so does not tell whose the host is.
        """
        host = (
            _host_of_whole(key)
            if key[0] is Kind.ROUTE
            else key[1]
            if key[0] is Kind.TLS and self.hosts.sharing == 'paths'
            else ''
        )
        owner = self.hosts.owner(host) if host else ''
        if key[0] is Kind.TLS and all(ref.namespace == owner for ref in self.claimants((Kind.ROUTE, f'{host}/'))[:1]):
            return None
        return Reserved(owner) if owner else None

    def of_host(self, host: str, namers: NamersByHost, fragments: Fragments) -> set[ClaimKey]:
        """Return all keys whose content depends on the namespace of a host; `namers` tells who names hosts from now on."""
        keys: set[ClaimKey] = {(Kind.ROUTE, f'{host}/'), (Kind.TLS, host)}
        if self.hosts.is_shared(host, namers):
            keys.add((Kind.TLS, wildcard(host)))
        for ref in self.hosts.namers(host):
            keys.update(routes_of(fragments.get(ref), host))
        return keys

    def dependents(self, key: ClaimKey, fragments: Fragments) -> set[ClaimKey]:
        """Return the keys whose content depends on what stands at this one besides their own claims."""
        if key[0] is Kind.ADDRESS:
            addresses = (find(fragments[ref], key) for ref in self.claimants(key))
            return {_virtual_address(claim) for claim in addresses if claim is not None and claim.address}
        if key[0] is Kind.ROUTE and self.hosts.sharing == 'paths' and (host := _host_of_whole(key)):
            return {(Kind.TLS, host)}
        if key[0] is not Kind.TLS:
            return set()
        return {route for ref in self.claimants(key) for route in routes_of(fragments[ref], key[1])}

    def diagnostics(self, fragment: Fragment, fragments: Fragments) -> list[Diagnostic]:
        """Return a diagnostic for each key that a fragment claims and another object holds."""
        diagnostics: list[Diagnostic] = []
        for claim in fragment.claims:
            if claim.kind in SHARED:
                continue
            holder = next(iter(self.claimants((claim.kind, claim.key))), None)
            if holder == fragment.ref:
                diagnostics += self._closures(claim, fragment, fragments)
                continue
            if fragment.ref in self._excluded.get((claim.kind, claim.key), ()):
                diagnostics.append(Diagnostic(fragment.ref, 'Conflict', self._ownership(host_of(claim)), claim.field))
                continue
            if isinstance(claim.value, NoRoute):
                continue
            if claim.kind in (Kind.L4_ROUTE, Kind.UDP_PORT):
                message = f'{holder}, which is older, has what comes to {claim.key}'
                diagnostics.append(Diagnostic(fragment.ref, 'OlderRoute', message, claim.field))
                continue
            if claim.kind is Kind.ROUTE and holder is not None and _shares(claim.key, holder, fragment.ref):
                diagnostics += self._shadows(claim, fragment, fragments)
                continue
            if claim.kind is Kind.TLS and _is_same_tls(self.content((claim.kind, claim.key), fragments), claim.value):
                continue
            message = f'{claim.shown} is held by {holder}'
            if claim.address and self.claimants(_virtual_address(claim))[:1] == (fragment.ref,):
                message = f'what stands for address {claim.address} in HAProxy stands for one of {holder} too'
            diagnostics.append(Diagnostic(fragment.ref, 'Conflict', message, claim.field))
        return diagnostics

    def serves(self, fragment: Fragment, claim: Claim, fragments: Fragments) -> bool:
        """Tell whether a claim has what it is for: it is the first one, or one of a route whose candidates can serve too."""
        refs = self.claimants((claim.kind, claim.key))
        if refs[:1] == (fragment.ref,) or claim.kind in SHARED:
            return True
        if claim.key not in self._conditional or claim.kind is not Kind.ROUTE:
            return False
        if fragment.ref not in refs or not _shares(claim.key, refs[0], fragment.ref):
            return False
        return not self._shadows(claim, fragment, fragments)

    def _shadows(self, claim: Claim, fragment: Fragment, fragments: Fragments) -> list[Diagnostic]:
        """Return what keeps candidates of a claim from ever serving: others of equal conditions, of older objects."""
        every = (offer.candidate.conditions for offer in offers(fragment, claim.value))
        by = {self.owner(claim.key, conditions, fragments) for conditions in every} - {fragment.ref}
        return [
            Diagnostic(fragment.ref, 'Conflict', f'{claim.shown} is held by {ref}', claim.field) for ref in sorted(by)
        ]

    def _closures(self, claim: Claim, fragment: Fragment, fragments: Fragments) -> list[Diagnostic]:
        """Return why a claim that a fragment holds leads nowhere: its host is shut, or too many are below a wildcard."""
        if claim.kind not in (Kind.ROUTE, Kind.TLS):
            return []
        if by := self._closing_object(fragment.ref, claim):
            message = f'host {claim.key.partition("/")[0]} is closed: {by} names it, and is closed'
            return [Diagnostic(fragment.ref, 'RouteClosed', message, claim.field)]
        hosts = self.hosts.outside(claim.key) if claim.kind is Kind.TLS else ()
        if hosts and self.content((claim.kind, claim.key), fragments) == HostTls() != claim.value:
            message = (
                f'{claim.shown} is refused: {len(hosts)} hosts below it belong to other namespaces, which are too many'
            )
            return [Diagnostic(fragment.ref, 'Conflict', message, claim.field)]
        return []

    def keys_of(self, kind: Kind) -> list[str]:
        """Return all keys of a kind that an object holds, as of now."""
        return list(self._claimants[kind])

    def _ownership(self, host: str) -> str:
        """Return whose a host is, for an object that may not have it."""
        ownership = self.hosts.holder(host)
        assert ownership is not None
        holder, by = ownership
        return f'host {host} belongs to namespace {holder.namespace}: {by if by != host else "it"} is held by {holder}'

    def keys(self) -> set[ClaimKey]:
        """Return all keys at which anything can stand."""
        keys = {(kind, key) for kind, claimants in self._claimants.items() for key in claimants}
        keys.update((Kind.ROUTE, f'{host}/') for host in self.hosts)
        if self.hosts.sharing == 'paths':
            keys.update((Kind.TLS, host) for host in self.hosts)
        return keys


def _shares(route: str, holder: Ref, ref: Ref) -> bool:
    """Tell whether the holder of a route and another object can both have candidates there."""
    return holder.namespace == ref.namespace or is_of_gateway(route)


def _host_of_whole(key: ClaimKey) -> str:
    """Return the host of a route that is its whole host's, '' for others."""
    host, _, path = key[1].partition('/')
    return '' if path else host


def _excluding(tls: HostTls, hosts: Collection[str]) -> HostTls:
    """Return a wildcard's TLS without some hosts below it; no TLS at all where they do not fit into one line of HAProxy's."""
    if sum(map(len, hosts)) + 2 * len(hosts) > _MOST_EXCLUDED_BYTES:
        return HostTls()
    return replace(tls, excluded=tuple(sorted(hosts)))


def _is_same_tls(content: Content | None, claim: Content) -> bool:
    """Tell whether what stands at a key is what an object wants there, apart from hosts that are left out."""
    return content == claim or (isinstance(content, HostTls) and replace(content, excluded=()) == claim)


def _virtual_address(claim: Claim) -> ClaimKey:
    """Return the key of the virtual address that leads to a stand-in."""
    return Kind.VIRTUAL_ADDRESS, f'{claim.address}/TCP'
