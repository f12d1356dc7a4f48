"""Claims: who holds what only one object can have.

Owns rule 7 of the contract: the oldest creationTimestamp wins, then namespace and name; the loser waits and takes over
when the winner leaves. Objects that want the same TLS for a host, or the same file, share it without a conflict. A claim
for a host's TLS that nothing can be made of yields to one that serves.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping

from headrace.model.ir import Claim, Content, Fragment, HostTls, Kind
from headrace.model.policies import CLOSED
from headrace.names import Ref
from headrace.verdicts import Verdict

ClaimKey = tuple[Kind, str]
Fragments = Mapping[Ref, Fragment]
_ADDRESSES = (Kind.ADDRESS, Kind.DOOR)
_SHARED = (Kind.TLS, Kind.CERTIFICATE, Kind.AUTHORITY)


def rank(fragment: Fragment) -> tuple[str, str, str, str]:
    """Return what orders objects that claim the same: age, then namespace, name and kind."""
    return (fragment.created, fragment.ref.namespace, fragment.ref.name, fragment.ref.kind)


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


def _order(fragment: Fragment, key: ClaimKey) -> tuple[bool, tuple[str, str, str, str]]:
    """Return what orders the claimants of a key: who would serve nothing comes last, else the rank decides.

    An address belongs to the Service whose ClusterIP it is, whoever else names it.
    """
    claim = find(fragment, key)
    tls = claim.value if claim is not None and isinstance(claim.value, HostTls) else None
    idle = tls is not None and not tls.certificates and not tls.passthrough
    foreign = key[0] in _ADDRESSES and claim is not None and claim.field != 'spec.clusterIPs'
    return idle or foreign, rank(fragment)


class Claims:
    """The claimants of each key, the winner first. Holds references only; what they claim is in their fragments."""

    def __init__(self) -> None:
        self._claimants: dict[Kind, dict[str, Ref | tuple[Ref, ...]]] = {kind: {} for kind in Kind}

    def claimants(self, key: ClaimKey) -> tuple[Ref, ...]:
        """Return who claims a key, the winner first."""
        found = self._claimants[key[0]].get(key[1], ())
        return (found,) if isinstance(found, Ref) else found

    def replace(self, ref: Ref, old: Iterable[ClaimKey], new: Iterable[ClaimKey], fragments: Fragments) -> None:
        """Exchange the claims of one object; `fragments` has its new fragment already, if there is one."""
        for kind, key in old:
            left = tuple(item for item in self.claimants((kind, key)) if item != ref)
            self._put(kind, key, left)
        for kind, key in new:
            found = [item for item in self.claimants((kind, key)) if item != ref]
            # A claimant whose place would be another one goes and comes anew, so those that stay are in their order.
            insort(found, ref, key=lambda item: _order(fragments[item], (kind, key)))
            self._put(kind, key, tuple(found))

    def _put(self, kind: Kind, key: str, refs: tuple[Ref, ...]) -> None:
        if refs:
            self._claimants[kind][key] = refs[0] if len(refs) == 1 else refs
        else:
            self._claimants[kind].pop(key, None)

    def content(self, key: ClaimKey, fragments: Fragments) -> Content | None:
        """Return what stands at a key: the winner's value; None when nobody claims it."""
        found = self._claimants[key[0]].get(key[1])
        if found is None:
            return None
        winner = fragments[found if isinstance(found, Ref) else found[0]]
        claim = find(winner, key)
        assert claim is not None
        if key[0] is Kind.ROUTE and isinstance(claim.value, str) and self._unprotected(winner, key[1], fragments):
            return closed(claim.value)
        return claim.value

    def _unprotected(self, winner: Fragment, route: str, fragments: Fragments) -> bool:
        """Tell whether a route wants client certificates, but another object's TLS holds for its host."""
        key = (Kind.TLS, route.partition('/')[0])
        own = find(winner, key)
        if own is None or not isinstance(own.value, HostTls) or not own.value.client_ca:
            return False
        return self.content(key, fragments) != own.value

    def dependents(self, key: ClaimKey, fragments: Fragments) -> set[ClaimKey]:
        """Return the routes whose content depends on who holds this key besides their own."""
        if key[0] is not Kind.TLS:
            return set()
        return {route for ref in self.claimants(key) for route in routes_of(fragments[ref], key[1])}

    def verdicts(self, fragment: Fragment, fragments: Fragments) -> list[Verdict]:
        """Return a verdict for each key that a fragment claims and another object holds."""
        found: list[Verdict] = []
        for claim in fragment.claims:
            holder = self.claimants((claim.kind, claim.key))[0]
            if holder == fragment.ref:
                continue
            if claim.kind in _SHARED and self.content((claim.kind, claim.key), fragments) == claim.value:
                continue
            message = f'{_shown(claim)} is held by {holder}'
            found.append(Verdict(fragment.ref, 'Conflict', message, claim.field))
        return found

    def keys_of(self, kind: Kind) -> list[str]:
        """Return all keys of a kind that anybody claims, as of now."""
        return list(self._claimants[kind])

    def keys(self) -> Iterable[ClaimKey]:
        """Return all keys that anybody claims."""
        return ((kind, key) for kind, held in self._claimants.items() for key in held)


def closed(pointer: str) -> str:
    """Return a pointer's value with the flag that closes its route."""
    backend, policy, flags = pointer.split('|')
    return f'{backend}|{policy}|{"".join(sorted({*flags, CLOSED}))}'


def _shown(claim: Claim) -> str:
    """Return a claim's key as its owner wrote it."""
    if claim.kind is Kind.ROUTE:
        exact = claim.key.endswith('/#')
        host, _, path = claim.key.removesuffix('/#').partition('/')
        return f'{host}/{path} ({"exactly" if exact else "prefix"})'
    if claim.kind is Kind.DOOR:
        # Where HAProxy serves it, both claims are told in the same words, and so once.
        return f'address {claim.key.removesuffix("/TCP")}'
    return {Kind.PORT: 'TCP port', Kind.ADDRESS: 'address', Kind.TLS: 'TLS of host'}.get(
        claim.kind, claim.kind
    ) + f' {claim.key}'
