"""Profiles: the `defaults` sections that shapes become, and which of them an installation renders."""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.haproxy.encode import syntax
from headrace.ir.backend import DEFAULT_RETRY_ON, Shape
from headrace.ir.fragment import Fragment
from headrace.translate import shapes

_CONSISTENT = ('source', 'uri', 'hash')


class Usage:
    """How many backends use each shape; the shapes in use are rendered beside the base set."""

    def __init__(self, *cookies: str, external: bool = False) -> None:
        self.base = {shape.profile: shape for shape in shapes.base_set(*cookies, external=external)}
        self._counts: dict[Shape, int] = {}

    def exchange(self, old: Fragment | None, new: Fragment | None) -> bool:
        """Count the shapes of a new fragment, and no longer those of the old one; return whether others are in use."""
        changed = False
        for fragment, step in ((new, 1), (old, -1)):
            for backend in fragment.backends if fragment else ():
                count = self._counts.get(backend.shape, 0)
                new_count = count + step
                changed = changed or not count or not new_count
                if new_count:
                    self._counts[backend.shape] = new_count
                else:
                    del self._counts[backend.shape]
        return changed

    def profiles(self) -> dict[str, Shape]:
        """Return all shapes to render, by the name of their profile."""
        return self.base | {shape.rendered.profile: shape.rendered for shape in self._counts}


def in_use(fragments: Iterable[Fragment], *cookies: str, external: bool = False) -> dict[str, Shape]:
    """Return the shapes to render for some fragments, by the name of their profile."""
    usage = Usage(*cookies, external=external)
    for fragment in fragments:
        usage.exchange(None, fragment)
    return usage.profiles()


@dataclass(frozen=True, slots=True)
class Section:
    """A profile as its template takes it; `lines` are those that only an unusual shape needs, `about` is for people."""

    name: str
    about: str
    mode: str
    balance: str
    consistent: bool
    check: str
    expect: str
    cookie: str
    cookie_pattern: str
    affinity: bool
    external: bool
    lines: tuple[str, ...]
    snippets: tuple[str, ...]


def section(name: str, shape: Shape, snippets: dict[str, tuple[str, ...]]) -> Section:
    """Return a shape's section; `snippets` are the administrator's lines by name."""
    lines: list[str] = []
    plain = Shape(mode=shape.mode)
    if shape.retries != plain.retries:
        lines.append(f'retries {shape.retries}')
    if shape.retry_on != DEFAULT_RETRY_ON:
        lines.append(f'retry-on {" ".join(shape.retry_on)}')
        # HAProxy repeats whole requests then: only those that may arrive twice without harm.
        lines.append('http-request disable-l7-retry if !{ method GET HEAD OPTIONS TRACE PUT DELETE }')
    lines += [
        f'timeout {key} {syntax.duration(getattr(shape, key))}'
        for key in ('connect', 'server', 'tunnel', 'queue')
        if getattr(shape, key) != getattr(plain, key)
    ]
    algorithm = shape.balance
    if algorithm.startswith('hdr:'):
        algorithm = f'hdr({algorithm[4:]})'
    elif algorithm == 'hash':
        algorithm = 'hash var(txn.hashed)'
    return Section(
        name=name,
        about=_about(shape),
        mode=shape.mode,
        balance=algorithm,
        consistent=shape.balance in _CONSISTENT or shape.balance.startswith('hdr:'),
        check=shape.check,
        expect=shape.expect,
        cookie=shape.cookie,
        cookie_pattern=shape.cookie.replace('.', '[.]'),
        affinity=shape.affinity,
        external=shape.external,
        lines=tuple(lines),
        snippets=tuple(line for name in shape.snippets for line in snippets.get(name, ())),
    )


def _about(shape: Shape) -> str:
    """Return what a shape is, without texts of users."""
    words = [shape.mode, shape.balance.partition(':')[0]]
    if shape.check != 'off':
        words.append(f'check {shape.check}')
    words += [word for word in ('cookie', 'affinity', 'external') if getattr(shape, word)]
    fields = {key: getattr(shape, key) for key in ('mode', 'balance', 'check', 'cookie', 'affinity', 'external')}
    return ', '.join(words) + ('' if Shape(**fields) == shape else ', with other values')
