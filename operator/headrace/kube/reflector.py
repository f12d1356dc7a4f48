"""One watched URL as its lists and its watch tell it, joined by one rule of order.

Pure. A list at resourceVersion L is the truth at L: what it lacks and was not changed after L is gone, what it holds and
is newer than what is known is taken, and events that are not newer than L tell nothing. So a list may be read while the
watch goes on, page by page, and deletions that no watch has told are found. Resource versions are compared as integers
(KEP-5504); objects are known by reference, because one name never holds two objects at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.names import Ref
from headrace.objects.kinds import Object

Listed = tuple[int, Object]


@dataclass(slots=True, eq=False)
class Listing:
    """A list that is being read: what its pages held, and when the watch has told deletions since its first page.

    `failed` are objects in it that could not be parsed: what is known of them stays.

    Equal only to itself: of two that have read the same so far, one may be abandoned.
    """

    listed: dict[Ref, Listed] = field(default_factory=dict)
    deleted: dict[Ref, int] = field(default_factory=dict)
    failed: set[Ref] = field(default_factory=set)

    def page(self, items: Iterable[Listed], failed: Iterable[Ref] = ()) -> None:
        """Take one page's objects with their resource versions, and those that could not be parsed."""
        for version, item in items:
            self.listed[item.ref] = (version, item)
        self.failed.update(failed)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a list found that was not known: objects to keep, and references to forget."""

    put: tuple[Object, ...] = ()
    drop: tuple[Ref, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(self.put or self.drop)


@dataclass(slots=True)
class Reflector:
    """What is known of one URL: the resource version of each object, and that of the last whole list."""

    versions: dict[Ref, int] = field(default_factory=dict)
    version: int = 0
    synced: bool = False
    _open: list[Listing] = field(default_factory=list)

    def begin(self) -> Listing:
        """Return a listing, to be called before the first page is asked for."""
        made = Listing()
        self._open.append(made)
        return made

    def abandon(self, listing: Listing) -> None:
        """Forget a listing that did not come to its end."""
        if listing in self._open:
            self._open.remove(listing)

    def finish(self, listing: Listing, version: int) -> Difference:
        """Return what a whole list at a resource version changes; one older than the last list changes nothing."""
        self.abandon(listing)
        if self.synced and version <= self.version:
            return Difference()
        there = listing.listed.keys() | listing.failed
        gone = [ref for ref, held in self.versions.items() if held <= version and ref not in there]
        come = [
            (ref, found)
            for ref, found in listing.listed.items()
            if found[0] > max(listing.deleted.get(ref, 0), self.versions.get(ref, 0))
        ]
        for ref in gone:
            del self.versions[ref]
        for ref, (held, _) in come:
            self.versions[ref] = held
        self.version, self.synced = version, True
        return Difference(tuple(item for _, (_, item) in come), tuple(gone))

    def put(self, ref: Ref, version: int) -> bool:
        """Note an event that an object was added or changed; return whether it tells anything new."""
        if version <= max(self.version, self.versions.get(ref, 0)):
            return False
        self.versions[ref] = version
        return True

    def drop(self, ref: Ref, version: int) -> bool:
        """Note an event that an object was deleted; return whether it tells anything new."""
        if version <= self.version or version < self.versions.get(ref, 0):
            return False
        for listing in self._open:
            # The deletion of an earlier object of this name may be told after that of a later one.
            listing.deleted[ref] = max(version, listing.deleted.get(ref, 0))
        return self.versions.pop(ref, None) is not None
