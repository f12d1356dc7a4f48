"""The fragments that stand, and what stands at the keys that they claim.

Promises: changes of fragments take effect together or, where that raises, not at all; the cost is that of the keys that
they touch.
"""

from collections.abc import Iterable, Iterator

from headrace.ir.fragment import Content, Fragment, Kind
from headrace.names import Ref
from headrace.resolve import claims
from headrace.resolve.changes import Change, FragmentChange, PointerChange
from headrace.resolve.claims import FILES, ClaimKey, Claims
from headrace.resolve.hosts import Hosts, Named
from headrace.translate.build_context import BuildContext

# A change, the keys whose claims it takes away, and those whose claims it makes.
_Moved = tuple[FragmentChange, list[ClaimKey], list[ClaimKey]]


class Installation:
    """Fragments and their claims, changed together."""

    def __init__(self, context: BuildContext) -> None:
        self.fragments: dict[Ref, Fragment] = {}
        self.claims = Claims(Hosts(context))

    def exchange(self, changes: tuple[FragmentChange, ...]) -> Change:
        """Put fragments in the place of others, and return what that changed at claimed keys."""
        named, rehosted = self.claims.hosts.after((change.old, change.new) for change in changes)
        moved = [(change, *change.moved()) for change in changes]
        keys = self._keys(moved, rehosted, named)
        before = {key: self.claims.content(key, self.fragments) for key in keys}
        saved, hosts = self.claims.saved(keys), self.claims.hosts.noted(named)
        try:
            for change in changes:
                self._put(change.ref, change.new)
            self.claims.hosts.note(named)
            # All go before any comes: who comes is ranked among the claimants, none of whom may be gone from the fragments.
            ranked = [_ranked(each) for each in moved]
            for change, gone, _ in ranked:
                self.claims.replace(change.ref, gone, (), self.fragments)
            for change, _, come in ranked:
                self.claims.replace(change.ref, (), come, self.fragments)
            if rehosted:
                # Claims that have just come are judged by the hosts of now already.
                fresh = {key for _, _, come in moved for key in come}
                others = [key for key in keys if key not in fresh or len(self.claims.parties(key)) > 1]
                self.claims.settle(others, self.fragments)
            pointers = tuple(
                PointerChange(key, before[key], after)
                for key in sorted(keys)
                if (after := self.claims.content(key, self.fragments)) != before[key]
            )
        except Exception:
            for change in changes:
                self._put(change.ref, change.old)
            self.claims.hosts.note(hosts)
            self.claims.restore(saved)
            raise
        judged = {change.ref for change in changes}
        for key, parties in saved.items():
            # Nothing is said about a file that others claim too.
            if key[0] not in FILES:
                judged.update(*parties, self.claims.parties(key))
        return Change(changes, pointers, tuple(sorted(judged)))

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

    def _keys(self, moved: Iterable[_Moved], rehosted: Iterable[str], named: Named) -> set[ClaimKey]:
        """Return the keys at which something else can stand after some changes."""
        keys = {key for host in rehosted for key in self.claims.of_host(host, named, self.fragments)}
        shut: set[str] = set()
        for change, gone, come in moved:
            for key in (*gone, *come):
                keys.add(key)
                if key[0] is Kind.TLS:
                    keys.update(claims.routes_of(change.old, key[1]), claims.routes_of(change.new, key[1]))
            if (before := _shut(change.old)) != (after := _shut(change.new)):
                shut |= {*before} ^ {*after}
        if shut:
            keys |= self.claims.on(shut)
        for key in tuple(keys):
            keys |= self.claims.dependents(key, self.fragments)
        return keys

    def _put(self, ref: Ref, fragment: Fragment | None) -> None:
        before, after = _shut(self.fragments.get(ref)), _shut(fragment)
        if fragment is None:
            self.fragments.pop(ref, None)
        else:
            self.fragments[ref] = fragment
        if before != after:
            self.claims.shut(ref, before, after)


def _ranked(moved: _Moved) -> _Moved:
    """Return a change with the keys at which its object gets another place: not those of files, which go by age alone."""
    change, gone, come = moved
    if change.old is None or change.new is None or change.old.created != change.new.created:
        return moved
    stays = {key for key in gone if key[0] in FILES}.intersection(come)
    if not stays:
        return moved
    return change, [key for key in gone if key not in stays], [key for key in come if key not in stays]


def _shut(fragment: Fragment | None) -> tuple[str, ...]:
    return fragment.shut if fragment else ()
