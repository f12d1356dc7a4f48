"""Snapshot of the model as last sent to one worker of HAProxy or written to one folder: its fragments and pointers.

Pure. The difference of two snapshots is what `plan` takes, so a worker that started from an older snapshot is brought up
to date by exactly what has changed since.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from headrace.ir.backend import Backend, Group
from headrace.ir.fragment import Content, Fragment, Kind
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.resolve.changes import Change, FragmentChange, PointerChange
from headrace.resolve.claims import ClaimKey
from headrace.resolve.state import State


@dataclass(slots=True)
class ModelSnapshot:
    """Fragments by reference, and what stands at each claimed key. Only its owner changes it."""

    fragments: dict[Ref, Fragment] = field(default_factory=dict)
    pointers: dict[ClaimKey, Content] = field(default_factory=dict)

    def copy(self) -> 'ModelSnapshot':
        """Return a snapshot that later changes of this one do not reach."""
        return ModelSnapshot(dict(self.fragments), dict(self.pointers))

    def change_to(self, target: 'ModelSnapshot', refs: Iterable[Ref], keys: Iterable[ClaimKey]) -> Change:
        """Return what leads from here to `target`, looking at these references and keys only."""
        fragments = tuple(
            FragmentChange(ref, old, new)
            for ref in sorted(refs)
            if (old := self.fragments.get(ref)) is not (new := target.fragments.get(ref)) and old != new
        )
        pointers = tuple(
            PointerChange(key, before, after)
            for key in sorted(keys)
            if (before := self.pointers.get(key)) is not (after := target.pointers.get(key)) and before != after
        )
        return Change(fragments, pointers)

    def whole_change_to(self, target: 'ModelSnapshot') -> Change:
        """Return all that leads from here to `target`."""
        return self.change_to(
            target,
            self.fragments.keys() | target.fragments.keys(),
            self.pointers.keys() | target.pointers.keys(),
        )

    def tell(self, change: Change) -> None:
        """Note that a change was sent."""
        for item in change.fragments:
            if item.new is None:
                self.fragments.pop(item.ref, None)
            else:
                self.fragments[item.ref] = item.new
        for pointer in change.pointers:
            if pointer.new is None:
                self.pointers.pop(pointer.key, None)
            else:
                self.pointers[pointer.key] = pointer.new

    def tell_endpoints(self, item: FragmentChange) -> None:
        """Note that of a change only the endpoints of backends that stay were sent; the rest waits."""
        current = self.fragments.get(item.ref)
        if current is not None and item.new is not None:
            self.fragments[item.ref] = with_endpoints(current, item.new)


def with_endpoints(current: Fragment, target: Fragment) -> Fragment:
    """Return a fragment with the endpoints of another one, whose backends may have other shapes and so other names."""
    same = {backend.name: backend for backend in target.backends}
    alike = {_port(backend): backend for backend in target.backends}
    return replace(
        current,
        backends=tuple(
            same.get(backend.name)
            or replace(
                backend, groups=alike[_port(backend)].groups if _port(backend) in alike else _remaining_groups(backend)
            )
            for backend in current.backends
        ),
    )


def _remaining_groups(backend: Backend) -> tuple[Group, ...]:
    """Return the endpoints of a backend that is not wanted any more: those it has, but for a pin, whose endpoint is gone."""
    return () if backend.pin else backend.groups


def _port(backend: Backend) -> tuple[Ref, str, str, str]:
    return backend.service, backend.port, backend.shape.mode, backend.pin


def passing(snapshot: ModelSnapshot) -> frozenset[str]:
    """Return the hosts whose TLS is passed through."""
    return frozenset(
        key
        for (kind, key), content in snapshot.pointers.items()
        if kind is Kind.TLS and isinstance(content, HostTls) and content.passthrough
    )


def files_of(content: Content | None) -> list[ClaimKey]:
    """Return the files that TLS names."""
    if not isinstance(content, HostTls):
        return []
    authority = [(Kind.AUTHORITY, content.client_ca)] if content.client_ca else []
    return [*((Kind.CERTIFICATE, name) for name in content.certificates), *authority]


def of_state(state: State) -> ModelSnapshot:
    """Return the snapshot of a whole state."""
    return ModelSnapshot(dict(state.fragments), dict(state.pointers()))
