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

Versioned = tuple[int, Object]


@dataclass(slots=True, eq=False)
class Listing:
    """A list that is being read: what its pages held, and when the watch has told deletions since its first page.

    `failures` are objects in it that could not be parsed: what is known of them stays.

    Equal only to itself: of two that have read the same so far, one may be abandoned.
    """

    objects: dict[Ref, Versioned] = field(default_factory=dict)
    deletions: dict[Ref, int] = field(default_factory=dict)
    failures: set[Ref] = field(default_factory=set)

    def page(self, items: Iterable[Versioned], failures: Iterable[Ref] = ()) -> None:
        """Take one page's objects with their resource versions, and those that could not be parsed."""
        for version, item in items:
            self.objects[item.ref] = (version, item)
        self.failures.update(failures)


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
        listing = Listing()
        self._open.append(listing)
        return listing

    def abandon(self, listing: Listing) -> None:
        """Forget a listing that did not come to its end."""
        if listing in self._open:
            self._open.remove(listing)

    def finish(self, listing: Listing, version: int) -> Difference:
        """Return what a whole list at a resource version changes; one older than the last list changes nothing."""
        self.abandon(listing)
        if self.synced and version <= self.version:
            return Difference()
        present = listing.objects.keys() | listing.failures
        removals = [
            ref for ref, known_version in self.versions.items() if known_version <= version and ref not in present
        ]
        additions = [
            (ref, entry)
            for ref, entry in listing.objects.items()
            if entry[0] > max(listing.deletions.get(ref, 0), self.versions.get(ref, 0))
        ]
        for ref in removals:
            del self.versions[ref]
        for ref, (known_version, _) in additions:
            self.versions[ref] = known_version
        self.version, self.synced = version, True
        return Difference(tuple(item for _, (_, item) in additions), tuple(removals))

    def forget(self, refs: Iterable[Ref]) -> None:
        """Let the next list tell objects anew; what is there stays."""
        self.versions.update(dict.fromkeys(self.versions.keys() & set(refs), 0))

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
            listing.deletions[ref] = max(version, listing.deletions.get(ref, 0))
        return self.versions.pop(ref, None) is not None
