"""Hosts and the namespaces that they belong to.

Owns the contract's rule of hosts: a host belongs to the namespace of the oldest object that names it in a route or for
TLS. An older `*.x` of another namespace keeps `a.x` too, unless `hostPolicy` gives `a.x` to a namespace by a narrower
pattern; `*` reserves nothing. `NAME.NAMESPACE.DOMAIN`, where DOMAIN is the class's `domain`, belongs to NAMESPACE
whatever the age of its objects: ports without a host get such a name.
"""

from bisect import insort
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.names import Ref, wildcard
from headrace.translate.build_context import BuildContext

Rank = tuple[str, str, str, str]
NamersByHost = Mapping[str, tuple['Namer', ...]]
ANY = '*'


def rank(fragment: Fragment) -> Rank:
    """Return what orders objects that claim the same: age, then namespace, name and kind."""
    return (fragment.created, fragment.ref.namespace, fragment.ref.name, fragment.ref.kind)


@dataclass(frozen=True, slots=True, order=True)
class Namer:
    """An object that names a host; those of the namespace in the host's name (not `foreign`) come first, then the oldest."""

    foreign: bool
    rank: Rank

    @property
    def ref(self) -> Ref:
        """Return the object."""
        return Ref(self.rank[3], self.rank[1], self.rank[2])


def host_of(claim: Claim) -> str:
    """Return the host that a claim names, '' where it names none, `*`, or one of a Gateway, which says itself who may have it."""
    host = claim.key.partition('/')[0] if claim.kind in (Kind.ROUTE, Kind.TLS) else ''
    return '' if host == ANY or ':' in host else host


class Hosts:
    """Who names which host, the oldest first. Keeps nothing where hosts are shared without limits."""

    def __init__(self, context: BuildContext) -> None:
        self._context = context
        self.sharing = context.settings.host_sharing
        self._namers: dict[str, tuple[Namer, ...]] = {}
        self._below: dict[str, set[str]] = {}
        self._outside: dict[str, set[str]] = {}

    def __iter__(self) -> Iterator[str]:
        """Iterate over all hosts that are named."""
        return iter(self._namers)

    def namers(self, host: str) -> tuple[Ref, ...]:
        """Return the objects that name a host, the oldest first."""
        return tuple(each.ref for each in self._namers.get(host, ()))

    def below(self, host: str) -> Iterable[str]:
        """Return the named hosts that a wildcard matches."""
        return self._below.get(host[2:], ()) if host.startswith('*.') else ()

    def outside(self, host: str) -> Collection[str]:
        """Return the named hosts below a named wildcard that belong to other namespaces than it does."""
        return self._outside.get(host, ())

    def is_shared(self, host: str, changes: NamersByHost) -> bool:
        """Tell whether one of those who name a host, before or after a change, is not of the namespace of its wildcard."""
        if not (namespace := self.owner(wildcard(host))):
            return False
        namers = {*self._namers.get(host, ()), *changes.get(host, ())}
        return any(each.ref.namespace != namespace for each in namers)

    def holder(self, host: str, overrides: NamersByHost | None = None) -> tuple[Ref, str] | None:
        """Return the object by which a named host belongs to its namespace, and the host or wildcard that it names.

        `overrides` tells who names some hosts instead of what is noted.
        """
        current, new = self._namers, overrides or {}
        namers = new[host] if host in new else current.get(host, ())
        if not namers:
            return None
        by = wildcard(host)
        above = (new[by] if by in new else current.get(by, ()))[:1]
        if not above:
            return namers[0].ref, host
        over = above[0].ref
        for each in namers:
            namespace = each.ref.namespace
            if namespace == over.namespace or each < above[0] or self._is_given(namespace, host, over.namespace):
                return each.ref, host
        return over, by

    def owner(self, host: str) -> str:
        """Return the namespace that a named host belongs to, '' where it belongs to none."""
        holder = self.holder(host)
        return holder[0].namespace if holder else ''

    def admits(self, namespace: str, claim: Claim) -> bool:
        """Tell whether a namespace may have what one of its objects claims of a host."""
        host = host_of(claim)
        if not host or self.sharing == 'all' or (self.sharing == 'paths' and claim.kind is Kind.ROUTE):
            return True
        return self.owner(host) in ('', namespace)

    def _is_given(self, namespace: str, host: str, rival: str) -> bool:
        """Tell whether the host policy gives a host to a namespace more narrowly than to another one."""
        return self._context.grant(namespace, host) > self._context.grant(rival, host)

    def after(self, changes: Iterable[tuple[Fragment | None, Fragment | None]]) -> tuple[NamersByHost, set[str]]:
        """Return who names each host whose names change with fragments, and which hosts another object holds then.

        Notes nothing, so that what stands at the keys of those hosts can be read before.
        """
        if self.sharing == 'all':
            return {}, set()
        names = self._names_after(changes)
        hosts = set(names)
        for host, namers in names.items():
            if namers[:1] != self._namers.get(host, ())[:1]:
                hosts.update(self.below(host))
        return names, {host for host in hosts if self.holder(host) != self.holder(host, names)}

    def _names_after(self, changes: Iterable[tuple[Fragment | None, Fragment | None]]) -> NamersByHost:
        names: dict[str, tuple[Namer, ...]] = {}
        for old, new in changes:
            if old and new and old.claims == new.claims and old.created == new.created:
                continue
            before, after = _hosts(old), _hosts(new)
            for host in before | after:
                old_namer, new_namer = self._namer(old, host), self._namer(new, host)
                if host in before and host in after and old_namer == new_namer:
                    continue
                namers = [each for each in names.get(host, self._namers.get(host, ())) if each != old_namer]
                if new_namer and host in after:
                    insort(namers, new_namer)
                names[host] = tuple(namers)
        return names

    def _namer(self, fragment: Fragment | None, host: str) -> Namer | None:
        if fragment is None:
            return None
        home = f'.{fragment.ref.namespace}.{self._context.settings.domain}'
        return Namer('.' in host.removesuffix(home), rank(fragment))

    def snapshot(self, hosts: Iterable[str]) -> NamersByHost:
        """Return who names some hosts now, so that `note` can lead back."""
        return {host: self._namers.get(host, ()) for host in hosts}

    def note(self, names: NamersByHost) -> None:
        """Note who names some hosts."""
        for host, namers in names.items():
            self._set(host, namers)
        for host in names:
            for each in (host, *self.below(host)):
                self._place(each, wildcard(each))

    def _place(self, host: str, above: str) -> None:
        """Note whether a host belongs to another namespace than the wildcard above it."""
        if (owner := self.owner(host)) and (over := self.owner(above)) and owner != over:
            self._outside.setdefault(above, set()).add(host)
        elif (hosts := self._outside.get(above)) is not None:
            hosts.discard(host)
            if not hosts:
                del self._outside[above]

    def _set(self, host: str, namers: tuple[Namer, ...]) -> None:
        domain = '' if host.startswith('*.') else host.partition('.')[2]
        if namers:
            self._namers[host] = namers
            if domain:
                self._below.setdefault(domain, set()).add(host)
            return
        self._namers.pop(host, None)
        if domain and (below := self._below.get(domain)) is not None:
            below.discard(host)
            if not below:
                del self._below[domain]


def _hosts(fragment: Fragment | None) -> dict[str, None]:
    """Return the hosts that a fragment names."""
    hosts = dict.fromkeys(map(host_of, fragment.claims if fragment else ()))
    hosts.pop('', None)
    return hosts
