"""Which fragments make HAProxy refuse a configuration: found by halving, with a real `haproxy -c` each time.

A configuration that takes HAProxy too long is refused as well. What costs the time may be many fragments together, none
of which is at fault alone, so the slowest are searched then, first by namespace.
"""

import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from pathlib import Path

from headrace.haproxy.render.render import Renderer
from headrace.haproxy.runtime import check, files
from headrace.haproxy.runtime.check import LONGEST_SECONDS, Outcome
from headrace.ir.fragment import Content, pointers
from headrace.names import Ref
from headrace.resolve.claims import ClaimKey
from headrace.resolve.model_snapshot import ModelSnapshot
from headrace.translate import budgets

Owners = Mapping[ClaimKey, AbstractSet[Ref]]
# All reloads wait for a search: after this time the rest of the namespaces at fault is left out whole.
_SEARCH_SECONDS = 30.0
# Some fragments alone may take so many times as long as none of them, and so many seconds, before they are slow.
_TIMES, _SHORTEST_SECONDS = 3.0, 2.0


class SearchAbandonedError(Exception):
    """A search was abandoned before it came to a result."""


class Search:
    """A search for the fragments at fault in one snapshot, whose pointers have these `owners`.

    `longest` are the seconds that HAProxy may take for the whole. Setting `abandoned` ends the search after the check that
    is running. All methods raise HaproxyMissingError, WriteError, TemplateError and SearchAbandonedError.
    """

    def __init__(
        self,
        binary: str,
        renderer: Renderer,
        snapshot: ModelSnapshot,
        owners: Owners,
        *,
        longest: float = LONGEST_SECONDS,
    ) -> None:
        self.binary, self.renderer, self.snapshot, self.owners = binary, renderer, snapshot, owners
        self.longest = longest
        self.deadline = time.monotonic() + _SEARCH_SECONDS
        self.abandoned = threading.Event()

    @property
    def _late(self) -> bool:
        return time.monotonic() > self.deadline

    def refused(self, suspects: Sequence[Ref]) -> tuple[Ref, ...]:
        """Return the suspects without which HAProxy accepts the rest; none when it is not their fault.

        Of several that are refused only together, the last one is returned. Costs about log2(suspects) checks for each
        one found; where that takes long, all suspects of a namespace with one that was found are returned.
        """
        if not suspects or self._accepted([]) or not self._accepted(suspects):
            return ()
        culprits: list[Ref] = []
        remainder = list(suspects)
        while remainder:
            # With none of those left it is accepted, with all of them it is not: somewhere between, one makes the difference.
            good, bad = 0, len(remainder)
            while bad - good > 1:
                middle = (good + bad) // 2
                if self._accepted([*culprits, *remainder[middle:]]):
                    good = middle
                else:
                    bad = middle
            culprits.append(remainder[good])
            # Those before the one found are all right together.
            remainder = remainder[bad:]
            if self._late:
                at_fault = {ref.namespace for ref in culprits}
                culprits += [ref for ref in remainder if ref.namespace in at_fault]
                remainder = [ref for ref in remainder if ref.namespace not in at_fault]
            if self._accepted(culprits):
                break
        return tuple(sorted(culprits))

    def slow(self, suspects: Sequence[Ref]) -> tuple[Ref, ...]:
        """Return the suspects without which HAProxy reads the rest in time; none when it is not their fault.

        The slowest namespace is found by comparing halves, and in it the slowest fragment. When that one alone does not
        explain it, all suspects of the namespace are returned.
        """
        bare = self._outcome(suspects, self.longest)
        if not suspects or not bare.accepted:
            return ()
        limit = min(self.longest, max(_SHORTEST_SECONDS, _TIMES * bare.seconds))
        culprits: set[Ref] = set()
        while len(culprits) < len(suspects):
            by_namespace: dict[str, list[Ref]] = {}
            for ref in suspects:
                if ref not in culprits:
                    by_namespace.setdefault(ref.namespace, []).append(ref)
            members = self._slowest([*by_namespace.values()], suspects, limit)
            worst = [] if self._late else self._slowest([[ref] for ref in members], suspects, limit)
            remainder = [ref for ref in members if ref not in worst]
            culprits.update(worst if worst and not self._alone(remainder, suspects, limit).timed_out else members)
            # Half of the time, so that the next change does not begin it all anew.
            if self._outcome(culprits, self.longest / 2).accepted:
                break
        return tuple(sorted(culprits))

    def _slowest(self, groups: Sequence[list[Ref]], suspects: Sequence[Ref], limit: float) -> list[Ref]:
        """Return the group that takes HAProxy longest, as far as comparing halves tells."""
        while len(groups) > 1:
            halves = groups[: len(groups) // 2], groups[len(groups) // 2 :]
            first, second = (self._alone(chain.from_iterable(half), suspects, limit) for half in halves)
            groups = halves[0] if first.seconds >= second.seconds else halves[1]
        return groups[0]

    def _alone(self, members: Iterable[Ref], suspects: Sequence[Ref], limit: float) -> Outcome:
        """Return what becomes of some of the suspects, without all others."""
        return self._outcome({*suspects} - {*members}, limit)

    def _accepted(self, left_out: Iterable[Ref]) -> bool:
        return self._outcome(left_out, self.longest).accepted

    def _outcome(self, left_out: Iterable[Ref], seconds: float) -> Outcome:
        if self.abandoned.is_set():
            raise SearchAbandonedError
        snapshot = without(self.snapshot, self.owners, frozenset(left_out))
        with tempfile.TemporaryDirectory(prefix='headrace-suspect-') as folder:
            files.write(Path(folder), self.renderer.snapshot(snapshot))
            return check.check(self.binary, Path(folder), seconds)


def owners(snapshot: ModelSnapshot) -> Owners:
    """Return the objects that make what stands at each pointer: several where they share a certificate or a host's TLS."""
    refs_by_key: dict[ClaimKey, set[Ref]] = {}
    for ref, fragment in snapshot.fragments.items():
        for claim in fragment.claims:
            key = claim.kind, claim.key
            if _stands(claim.value, snapshot.pointers.get(key)):
                refs_by_key.setdefault(key, set()).add(ref)
    return refs_by_key


def _stands(value: Content, content: Content | None) -> bool:
    """Tell whether a pointer is what a claim asks for; a route that is closed has other flags."""
    targets = {(pointer.backend, pointer.policy) for pointer in pointers(content)}
    return value == content or any((pointer.backend, pointer.policy) in targets for pointer in pointers(value))


def without(snapshot: ModelSnapshot, owners: Owners, left_out: frozenset[Ref]) -> ModelSnapshot:
    """Return a snapshot that lacks some fragments; what no other object makes of their pointers is closed, or lacks too."""
    fragments = {ref: fragment for ref, fragment in snapshot.fragments.items() if ref not in left_out}
    pointers = dict[ClaimKey, Content]()
    for key, content in snapshot.pointers.items():
        refs = owners.get(key, frozenset())
        value = budgets.closed_value(content) if refs and refs <= left_out else content
        if value is not None:
            pointers[key] = value
    return ModelSnapshot(fragments, pointers)
