"""What is wrong with an object, field by field, collected while it is read."""

from collections.abc import Mapping, Sequence

from headrace.diagnostics import Diagnostic
from headrace.names import Ref
from headrace.objects import fields

_MAX_PROBLEMS = 100


class Problems:
    """The problems of an object or of a part of it; of those beyond the first hundred none is kept."""

    __slots__ = ('_diagnostics', 'ref')

    def __init__(self, ref: Ref) -> None:
        self.ref = ref
        self._diagnostics: list[Diagnostic] = []

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return the problems, in the order of the document."""
        return tuple(self._diagnostics)

    def add(self, field: str, message: str) -> None:
        """Add a problem of a field."""
        if len(self._diagnostics) < _MAX_PROBLEMS:
            self._diagnostics.append(Diagnostic(self.ref, 'InvalidObject', message, field))

    def entries(self, document: fields.Document, key: str, field: str) -> Sequence[object]:
        """Return the list under `key`; an empty one for null, and with a problem for another type."""
        value = document.get(key)
        if isinstance(value, list):
            return value
        if value is not None:
            self.add(f'{field}.{key}', f'{field}.{key} is of the wrong type and ignored')
        return ()

    def add_misfits(self, document: fields.Document, kinds: Mapping[str, type], prefix: str = '') -> None:
        """Add a problem for each field whose value is of another type than `kinds` says."""
        for key in fields.misfits(document, kinds):
            self.add(f'{prefix}{key}', f'{prefix}{key} is of the wrong type and ignored')
