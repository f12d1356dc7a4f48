"""The state of one translation: foreign values in, headrace's texts, structure and remarks out.

Promises: no foreign text becomes a setting unless the parser of headrace's own key takes it; a key that protects
something and is not applied, for whatever reason, is in `closed`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.annotations import parse
from headrace.annotations.foreign import forms
from headrace.annotations.foreign.table import Form, Row, Verdict
from headrace.annotations.keys import BY_NAME
from headrace.annotations.values import MAX_HEADERS, MAX_LENGTH, Invalid
from headrace.diagnostics import Diagnostic, shorten
from headrace.names import Ref

_ORDER = (Verdict.EXACT, Verdict.DIFFERS, Verdict.IGNORED)
_REASONS = {Verdict.DIFFERS: 'ForeignAnnotationDiffers', Verdict.IGNORED: 'ForeignAnnotationIgnored'}
# Each takes a diagnostic, and an object may have thousands.
_MAX_UNKNOWN = 50
_MAX_NOTES = 10
_MAX_SHOWN = 128


@dataclass(frozen=True, slots=True)
class Remark:
    """What became of one foreign annotation: its full key, a verdict, why, the field, and whether it closes the routes."""

    key: str
    verdict: Verdict
    text: str
    field: str
    closes: bool = False

    def diagnostic(self, ref: Ref) -> Diagnostic | None:
        """Return the diagnostic of the remark; what is served exactly needs none."""
        if self.closes:
            return Diagnostic(ref, 'ForeignAnnotationCloses', f'{self.key}: {self.text}', self.field)
        reason = _REASONS.get(self.verdict)
        return Diagnostic(ref, reason, f'{self.key}: {self.text}', self.field) if reason else None


@dataclass(frozen=True, slots=True)
class CanaryRole:
    """An Ingress that takes a part of the requests of another one with the same host and path.

    A header without `value` and `pattern`, and a cookie, decide by the words `always` and `never`; `weight` is out of `total`.
    """

    weight: int = 0
    total: int = 100
    header: str = ''
    value: str = ''
    pattern: str = ''
    cookie: str = ''


@dataclass(frozen=True, slots=True)
class Structure:
    """What foreign annotations say of an Ingress that none of headrace's keys holds.

    `use_regex`: all paths of its hosts, in all Ingresses, are regular expressions without regard to case, matched at the
    beginning. `path_type` is `regex` where ImplementationSpecific paths are expressions. `https`: requests without TLS are
    redirected whether or not there is a certificate.
    """

    use_regex: bool = False
    path_type: str = ''
    canary: CanaryRole | None = None
    aliases: tuple[str, ...] = ()
    passthrough: bool = False
    https: bool = False


@dataclass(frozen=True, slots=True)
class Foreign:
    """What foreign annotations become.

    `texts` are headrace's own annotations that mean the same, without their prefix; `values` the same, parsed; `closed`
    the full keys that close all routes of the Ingress; `structure` what is no key; `remarks` one for each annotation.
    """

    texts: tuple[tuple[str, str], ...] = ()
    values: Mapping[str, object] = field(default_factory=dict)
    closed: tuple[str, ...] = ()
    structure: Structure = Structure()
    remarks: tuple[Remark, ...] = ()


class Translation:
    """The foreign annotations of one Ingress while they are translated."""

    def __init__(
        self, table: Mapping[str, Row], values: Mapping[str, str], own_keys: frozenset[str], namespace: str
    ) -> None:
        """Begin with the table of the dialect, the values by foreign name, and the names of headrace's keys on the object."""
        self.table = table
        self.values = values
        self.own_keys = own_keys
        self.namespace = namespace
        self.structure = Structure()
        self._texts: dict[str, str] = {}
        self._lines: dict[str, list[str]] = {}
        self._sizes: dict[str, int] = {}
        self._values: dict[str, object] = {}
        self._closed: dict[str, None] = {}
        self._notes: dict[str, dict[tuple[Verdict, str], None]] = {}

    def value(self, name: str) -> str:
        """Return the value of a foreign key, '' where it is absent, empty or too long to be one."""
        text = self.values.get(name, '')
        return text.strip() if len(text) <= MAX_LENGTH else ''

    def boolean(self, name: str) -> bool | None:
        """Return a boolean, and None where there is none; one that does not parse is a remark."""
        return self._truth(name, forms.boolean)

    def switch(self, name: str) -> bool:
        """Return whether nginx's switch (`on`, `off`) is on; one that does not parse is a remark."""
        return self._truth(name, forms.on_off) or False

    def _truth(self, name: str, form: Form) -> bool | None:
        if name not in self.values:
            return None
        text = form(self.value(name))
        if isinstance(text, Invalid):
            self.invalid(name, text)
            return None
        return text == 'true'

    def note(self, name: str, verdict: Verdict, text: str = '') -> None:
        """Say of a key that is present how this value is served, instead of what the table says."""
        notes = self._notes.setdefault(name, {}) if name in self.values else {}
        if len(notes) < _MAX_NOTES or all(verdict is not other for other, _ in notes):
            notes[verdict, text] = None

    def close(self, name: str, text: str) -> None:
        """Close the routes, because a key that protects them cannot be applied."""
        self.note(name, Verdict.IGNORED, f'{text}; the routes of the Ingress are closed')
        self._closed[name] = None

    def refuse(self, name: str, text: str) -> None:
        """Leave a value out, which closes the routes where its key protects them, unless headrace's own keys do that."""
        row = self.table[name]
        if row.sets and self.own_keys.issuperset(row.sets):
            self.note(name, Verdict.IGNORED, f'{parse.PREFIX}{row.sets[0]} on the same object counts')
        elif row.closes:
            self.close(name, text)
        else:
            self.note(name, Verdict.IGNORED, text)

    def invalid(self, name: str, invalid: Invalid) -> None:
        """Leave a value out that is not what the dialect allows."""
        self.refuse(name, f'the value must be {invalid.expected}, not {shorten(self.value(name))}')

    def understands(self, key: str, sample: str) -> bool:
        """Tell whether this version has a key of headrace, and its parser takes such a value."""
        return key in BY_NAME and not isinstance(BY_NAME[key].parse(sample), Invalid)

    def set(self, name: str, key: str, text: str, *, joined_by: str = '') -> bool:
        """Set a key of headrace on behalf of a foreign one, and tell whether it is set.

        A second value is joined to the first by `joined_by`; without that the first one counts.
        """
        if key in self.own_keys:
            self.note(name, Verdict.IGNORED, f'{parse.PREFIX}{key} on the same object counts')
            return False
        if key not in BY_NAME:
            self.refuse(name, f'not yet: headrace has no key {key}')
            return False
        if key in self._texts and self._texts[key] != text:
            if not joined_by:
                self.refuse(name, f'another annotation sets {parse.PREFIX}{key}')
                return False
            text = f'{self._texts[key]}{joined_by}{text}'
        value = BY_NAME[key].parse(text)
        if isinstance(value, Invalid):
            self.refuse(name, f'{parse.PREFIX}{key} must be {value.expected}, not {shorten(text)}')
            return False
        self._texts[key], self._values[key] = text, value
        return True

    def append(self, name: str, key: str, line: str) -> bool:
        """Add a line to a key of headrace that has one item a line, and tell whether it is added."""
        size = self._sizes.get(key, 0) + len(line) + 1
        if key in self.own_keys:
            self.note(name, Verdict.IGNORED, f'{parse.PREFIX}{key} on the same object counts')
            return False
        if size > MAX_HEADERS or isinstance(BY_NAME[key].parse(line), Invalid):
            return False
        self._sizes[key] = size
        self._lines.setdefault(key, []).append(line)
        return True

    def text(self, key: str) -> str:
        """Return the text that a key of headrace has been set to, '' for none."""
        return self._texts.get(key, '')

    def shape(self, **changes: Any) -> None:
        """Change the structure of the Ingress."""
        self.structure = replace(self.structure, **changes)

    def finish(self, prefixes: Mapping[str, str]) -> Foreign:
        """Return what has been translated; `prefixes` has the prefix under which each key was given."""
        for key, lines in self._lines.items():
            self._texts[key] = '\n'.join(lines)
            self._values[key] = BY_NAME[key].parse(self._texts[key])
        remarks = []
        unknown = 0
        for name in sorted(self.values):
            row = self.table.get(name)
            unknown += row is None
            if row is None and unknown > _MAX_UNKNOWN:
                continue
            verdict, text = self._judge(name, row)
            key = prefixes[name] + name
            display_key = key if len(key) <= _MAX_SHOWN and key.isprintable() else shorten(key)
            remarks.append(
                Remark(display_key, verdict, text, f'metadata.annotations[{display_key}]', name in self._closed)
            )
        closed = tuple(sorted(prefixes[name] + name for name in self._closed))
        texts = tuple(sorted(self._texts.items()))
        return Foreign(texts, dict(sorted(self._values.items())), closed, self.structure, tuple(remarks))

    def _judge(self, name: str, row: Row | None) -> tuple[Verdict, str]:
        notes = self._notes.get(name)
        if row is None:
            return Verdict.IGNORED, 'the dialect has no such key'
        if notes is None:
            return row.served
        verdict = max((verdict for verdict, _ in notes), key=_ORDER.index)
        return verdict, '; '.join(text for _, text in notes if text)
