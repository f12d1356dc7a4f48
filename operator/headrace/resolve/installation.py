"""The fragments that stand, and what stands at the keys that they claim.

Promises: changes of fragments take effect together or, where that raises, not at all; the cost is that of the keys that
they touch.
"""

from collections.abc import Iterable, Iterator

from headrace.ir.fragment import Content, Fragment, Kind
from headrace.names import Ref
from headrace.resolve import claims
from headrace.resolve.changes import Change, FragmentChange, PointerChange
from headrace.resolve.claims import SHARED, ClaimKey, Claims
from headrace.resolve.hosts import Hosts, NamersByHost
from headrace.translate.build_context import BuildContext

# A change, the keys whose claims it takes away, and those whose claims it makes.
_KeyChange = tuple[FragmentChange, list[ClaimKey], list[ClaimKey]]


class Installation:
    """Fragments and their claims, changed together."""

    def __init__(self, context: BuildContext) -> None:
        self.fragments: dict[Ref, Fragment] = {}
        self.claims = Claims(Hosts(context))

    def exchange(self, changes: tuple[FragmentChange, ...]) -> Change:
        """Put fragments in the place of others, and return what that changed at claimed keys."""
        namers, hosts_moved = self.claims.hosts.after((change.old, change.new) for change in changes)
        key_changes = [(change, *change.key_changes()) for change in changes]
        keys = self._keys(key_changes, hosts_moved, namers)
        before = {key: self.claims.content(key, self.fragments) for key in keys}
        claimants, hosts = self.claims.snapshot(keys), self.claims.hosts.snapshot(namers)
        try:
            for change in changes:
                self._set(change.ref, change.new)
            self.claims.hosts.note(namers)
            # All removals come before any addition: a new claimant is ranked among the claimants, which must all have fragments.
            ranked_changes = [_rank_changes(each) for each in key_changes]
            for change, removals, _ in ranked_changes:
                self.claims.replace(change.ref, removals, (), self.fragments)
            for change, _, additions in ranked_changes:
                self.claims.replace(change.ref, (), additions, self.fragments)
            if hosts_moved:
                # Claims that have just come are judged by the hosts of now already.
                fresh = {key for _, _, additions in key_changes for key in additions}
                rest = [key for key in keys if key not in fresh or len(self.claims.parties(key)) > 1]
                self.claims.settle(rest, self.fragments)
            pointers = tuple(
                PointerChange(key, before[key], after)
                for key in sorted(keys)
                if (after := self.claims.content(key, self.fragments)) != before[key]
            )
        except Exception:
            for change in changes:
                self._set(change.ref, change.old)
            self.claims.hosts.note(hosts)
            self.claims.restore(claimants)
            raise
        refs = {change.ref for change in changes}
        for key, parties in claimants.items():
            # Nothing is said about a file that others claim too.
            if key[0] not in SHARED:
                refs.update(*parties, self.claims.parties(key))
        return Change(changes, pointers, tuple(sorted(refs)))

    def follow(self, changes: tuple[FragmentChange, ...]) -> Change:
        """Put fragments in the place of others that differ in endpoints alone, and so claim the same."""
        for change in changes:
            assert change.new is not None
            self.fragments[change.ref] = change.new
        return Change(changes, (), tuple([change.ref for change in changes]))

    def pointers(self) -> Iterator[tuple[ClaimKey, Content]]:
        """Yield all claimed keys, sorted, and what stands there."""
        for key in sorted(self.claims.keys()):
            if (content := self.claims.content(key, self.fragments)) is not None:
                yield key, content

    def _keys(self, key_changes: Iterable[_KeyChange], hosts: Iterable[str], namers: NamersByHost) -> set[ClaimKey]:
        """Return the keys at which something else can stand after some changes."""
        keys = {key for host in hosts for key in self.claims.of_host(host, namers, self.fragments)}
        closed: set[str] = set()
        for change, removals, additions in key_changes:
            for key in (*removals, *additions):
                keys.add(key)
                if key[0] is Kind.TLS:
                    keys.update(claims.routes_of(change.old, key[1]), claims.routes_of(change.new, key[1]))
            if (before := _closed_hosts(change.old)) != (after := _closed_hosts(change.new)):
                closed |= {*before} ^ {*after}
        if closed:
            keys |= self.claims.on(closed)
        for key in tuple(keys):
            keys |= self.claims.dependents(key, self.fragments)
        return keys

    def _set(self, ref: Ref, fragment: Fragment | None) -> None:
        before, after = _closed_hosts(self.fragments.get(ref)), _closed_hosts(fragment)
        if fragment is None:
            self.fragments.pop(ref, None)
        else:
            self.fragments[ref] = fragment
        if before != after:
            self.claims.exchange_closed_hosts(ref, before, after)


def _rank_changes(key_change: _KeyChange) -> _KeyChange:
    """Return a change with the keys at which its object gets another place: not those of files, which go by age alone."""
    change, removals, additions = key_change
    if change.old is None or change.new is None or change.old.created != change.new.created:
        return key_change
    stays = {key for key in removals if key[0] in SHARED}.intersection(additions)
    if not stays:
        return key_change
    return change, [key for key in removals if key not in stays], [key for key in additions if key not in stays]


def _closed_hosts(fragment: Fragment | None) -> tuple[str, ...]:
    return fragment.shut if fragment else ()
