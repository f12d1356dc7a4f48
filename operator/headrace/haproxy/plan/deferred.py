"""What waits for a reload in one worker, and which of it a change has to be planned with.

Pure. An object or a claimed key that waits is planned again when it changes, and when something changes that it is linked
with: a backend that one of them leads to and the other one has, a policy, a file of TLS, or the layout of listeners.
Everything else that waits would come to the same plan, so the cost of a change does not grow with what waits.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from headrace.haproxy.plan import plan
from headrace.haproxy.plan.plan import Plan
from headrace.ir.fragment import Kind, pointers
from headrace.names import Ref
from headrace.resolve.changes import Change, FragmentChange, PointerChange
from headrace.resolve.claims import ClaimKey
from headrace.resolve.model_snapshot import ModelSnapshot, files_of

# The name of a backend or a policy, a file of TLS, or the kind of all listeners.
Link = str | ClaimKey | Kind
Item = Ref | ClaimKey


class Deferred:
    """The objects and keys that wait for a reload, each with its links."""

    def __init__(self) -> None:
        self._refs: dict[Ref, frozenset[Link]] = {}
        self._keys: dict[ClaimKey, frozenset[Link]] = {}
        self._linked: dict[Link, dict[Item, None]] = {}

    @property
    def refs(self) -> AbstractSet[Ref]:
        """Return the objects that wait."""
        return self._refs.keys()

    @property
    def keys(self) -> AbstractSet[ClaimKey]:
        """Return the claimed keys that wait."""
        return self._keys.keys()

    def __bool__(self) -> bool:
        """Tell whether anything waits."""
        return bool(self._refs or self._keys)

    def planned_with(
        self, refs: AbstractSet[Ref], keys: AbstractSet[ClaimKey], current: ModelSnapshot, desired: ModelSnapshot
    ) -> tuple[AbstractSet[Ref], AbstractSet[ClaimKey]]:
        """Return the objects and keys that a change of some of them is planned with, themselves included.

        `current` is the snapshot that the worker has.
        """
        if not self:
            return refs, keys
        change = current.change_to(desired, refs, keys)
        links = [link for item in change.fragments for link in _of_fragment(item)]
        links += [link for item in change.pointers for link in _of_pointer(item)]
        links += [link for ref in refs & self._refs.keys() for link in self._refs[ref]]
        links += [link for key in keys & self._keys.keys() for link in self._keys[key]]
        found_refs, found_keys, visited = set(refs), set(keys), set[Link]()
        while links:
            link = links.pop()
            if link in visited:
                continue
            visited.add(link)
            for item in self._linked.get(link, ()):
                if isinstance(item, Ref):
                    if item not in found_refs:
                        found_refs.add(item)
                        links += self._refs[item]
                elif item not in found_keys:
                    found_keys.add(item)
                    links += self._keys[item]
        return found_refs, found_keys

    def note(self, refs: Iterable[Ref], keys: Iterable[ClaimKey], change: Change, steps: Plan) -> None:
        """Note what waits of the objects and keys that were planned; of these, `change` holds those that differ."""
        if not self and not steps.deferred and not steps.deferred_keys:
            return
        for ref in refs:
            self._forget(ref, self._refs.pop(ref, frozenset()))
        for key in keys:
            self._forget(key, self._keys.pop(key, frozenset()))
        for item in change.fragments:
            if item.ref in steps.deferred:
                self._refs[item.ref] = self._keep(item.ref, _of_fragment(item))
        for pointer in change.pointers:
            if pointer.key in steps.deferred_keys:
                self._keys[pointer.key] = self._keep(pointer.key, _of_pointer(pointer))

    def _keep(self, item: Item, links: Iterable[Link]) -> frozenset[Link]:
        link_set = frozenset(links)
        for link in link_set:
            self._linked.setdefault(link, {})[item] = None
        return link_set

    def _forget(self, item: Item, links: Iterable[Link]) -> None:
        for link in links:
            del self._linked[link][item]
            if not self._linked[link]:
                del self._linked[link]


def of_difference(
    current: ModelSnapshot, desired: ModelSnapshot, refs: Iterable[Ref], keys: Iterable[ClaimKey]
) -> Deferred:
    """Return what waits in a worker to which some objects and keys were not sent as they are wanted."""
    change, deferred = current.change_to(desired, refs, keys), Deferred()
    changed_refs = frozenset(item.ref for item in change.fragments)
    deferred.note(
        (), (), change, Plan(deferred=changed_refs, deferred_keys=frozenset(item.key for item in change.pointers))
    )
    return deferred


def _of_fragment(change: FragmentChange) -> set[Link]:
    links = set[Link]()
    for fragment in (change.old, change.new):
        links |= plan.needed(fragment)
        links |= fragment.policies if fragment else set()
    return links


def _of_pointer(change: PointerChange) -> set[Link]:
    targets = (pointer for content in (change.old, change.new) for pointer in pointers(content))
    links: set[Link] = {part for pointer in targets for part in (pointer.backend, pointer.policy) if part}
    links |= {file for content in (change.old, change.new) for file in files_of(content)}
    if change.key[0] in (Kind.CERTIFICATE, Kind.AUTHORITY):
        links.add(change.key)
    elif change.key[0] is Kind.LISTENER:
        links.add(Kind.LISTENER)
    return links
