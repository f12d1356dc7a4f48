"""What is known of each object besides its fragment, with the way back from a change that could not be applied.

Pure. Everything that outlives an update is in one value for each object, so that an undone change takes all of it back.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.ir.fragment import Fragment
from headrace.names import Ref
from headrace.objects.kinds import Secret
from headrace.resolve.hosts import Rank
from headrace.resolve.totals import Cost
from headrace.store import Translated


@dataclass(frozen=True, slots=True)
class Wait:
    """What an object waits for: room for one of these forms, for its checks (thousandths a second), or for its servers."""

    rank: Rank
    forms: tuple[Cost, ...] = ()
    checks: int = 0
    servers: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """The form of an object that HAProxy refuses, HAProxy's reason, and the last form that HAProxy has accepted."""

    form: Fragment
    message: str
    accepted: Fragment | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one object.

    `made_from` is what its fragment was last made from without an error: its object, and the Secrets that it names.
    `good` is its fragment from before it exceeded a budget, and `replaced` tells that another form than its own stands.
    `failed` tells that an unexpected exception was raised when it was last built.
    """

    made_from: tuple[Translated | Secret, ...] = ()
    good: Fragment | None = None
    replaced: bool = False
    failed: bool = False
    refusal: Refusal | None = None
    wait: Wait | None = None

    @property
    def is_plain(self) -> bool:
        """Tell whether the object's own form stands, as it was last built."""
        return not self.replaced and not self.failed and self.refusal is None and self.wait is None


UNKNOWN = Standing()


class Standings:
    """The standing of all objects, indexed by what is asked of all of them at once."""

    def __init__(self) -> None:
        self._standings: dict[Ref, Standing] = {}
        self._before: dict[Ref, Standing] = {}
        self.failed: set[Ref] = set()
        self.replaced: set[Ref] = set()
        # Those that wait for room, by namespace.
        self.waiting: dict[str, set[Ref]] = {}

    def of(self, ref: Ref) -> Standing:
        """Return the standing of an object."""
        return self._standings.get(ref, UNKNOWN)

    def begin(self) -> None:
        """Begin a change to which `undo` can lead back."""
        self._before.clear()

    def undo(self, refs: Iterable[Ref]) -> None:
        """Give some objects the standing that they had before the change."""
        for ref in refs:
            if (before := self._before.get(ref)) is not None:
                self.put(ref, before)

    def put(self, ref: Ref, standing: Standing) -> None:
        """Note the standing of an object."""
        before = self._standings.get(ref, UNKNOWN)
        self._before.setdefault(ref, before)
        if standing is UNKNOWN:
            self._standings.pop(ref, None)
        else:
            self._standings[ref] = standing
        if before.is_plain and standing.is_plain:
            return
        for marked, refs in ((standing.failed, self.failed), (standing.replaced, self.replaced)):
            (refs.add if marked else refs.discard)(ref)
        if standing.wait is not None:
            self.waiting.setdefault(ref.namespace, set()).add(ref)
        elif before.wait is not None:
            self.waiting[ref.namespace].discard(ref)
            if not self.waiting[ref.namespace]:
                del self.waiting[ref.namespace]
