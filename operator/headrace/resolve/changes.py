"""What an update of the model changed: fragments, what stands at claimed keys, and the objects that failed.

Pure values; two changes that follow one another are one change, and each has an inverse.
"""

from dataclasses import dataclass

from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Claim, Content, Fragment
from headrace.names import Ref
from headrace.resolve.claims import ClaimKey


@dataclass(frozen=True, slots=True)
class FragmentChange:
    """A fragment before and after; None where there is none."""

    ref: Ref
    old: Fragment | None
    new: Fragment | None

    def key_changes(self) -> tuple[list[ClaimKey], list[ClaimKey]]:
        """Return the keys whose claims differ: those to take away, and those to make; all when the rank differs."""
        old = self.old.claims if self.old else ()
        new = self.new.claims if self.new else ()
        same_rank = self.old is not None and self.new is not None and self.old.created == self.new.created
        if same_rank and old == new:
            return [], []
        same = set(old) & set(new) if same_rank else frozenset[Claim]()
        removals = [(claim.kind, claim.key) for claim in old if not same or claim not in same]
        additions = [(claim.kind, claim.key) for claim in new if not same or claim not in same]
        return removals, additions


@dataclass(frozen=True, slots=True)
class PointerChange:
    """What stands at a claimed key, before and after; None where nothing does."""

    key: ClaimKey
    old: Content | None
    new: Content | None


@dataclass(frozen=True, slots=True)
class Failure:
    """An unexpected exception about one object: a defect of headrace, which costs that object's change only."""

    ref: Ref
    stage: str
    error: Exception

    @property
    def diagnostic(self) -> Diagnostic:
        """Return what the object's author sees; the exception's text may hold anything, and is for the log."""
        return Diagnostic(self.ref, 'InternalError', f'{self.stage}: {type(self.error).__name__}')


@dataclass(frozen=True, slots=True)
class Change:
    """All that an update changed.

    `judged` are the objects whose diagnostics may be others now, `failures` those that keep their previous fragment.
    """

    fragments: tuple[FragmentChange, ...] = ()
    pointers: tuple[PointerChange, ...] = ()
    judged: tuple[Ref, ...] = ()
    failures: tuple[Failure, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether anything changed."""
        return bool(self.fragments or self.pointers)

    def then(self, later: 'Change') -> 'Change':
        """Return this change and a later one as one."""
        if not (self.fragments or self.pointers or self.judged or self.failures):
            return later
        fragments = {item.ref: item for item in self.fragments}
        for item in later.fragments:
            old = fragments[item.ref].old if item.ref in fragments else item.old
            fragments[item.ref] = FragmentChange(item.ref, old, item.new)
        pointers = {item.key: item for item in self.pointers}
        for each in later.pointers:
            before = pointers[each.key].old if each.key in pointers else each.old
            pointers[each.key] = PointerChange(each.key, before, each.new)
        return Change(
            tuple(fragments[ref] for ref in sorted(fragments) if fragments[ref].old != fragments[ref].new),
            tuple(pointers[key] for key in sorted(pointers) if pointers[key].old != pointers[key].new),
            tuple(sorted({*self.judged, *later.judged})),
            (*self.failures, *later.failures),
        )

    @property
    def inverse(self) -> 'Change':
        """Return what leads back."""
        return Change(
            tuple(FragmentChange(item.ref, item.new, item.old) for item in self.fragments),
            tuple(PointerChange(item.key, item.new, item.old) for item in self.pointers),
            self.judged,
        )
