"""Regular expressions of users: a subset of RE2's syntax is parsed, and written anew for PCRE2.

Nothing that a user wrote reaches PCRE2 as it came. The subset has no back references, no look-around, no flags but `(?i)` at
the start, no named groups, and no classes of Unicode. An expression is for the whole text, or for its beginning without regard
to case, as ingress-nginx takes those of paths. It is about bytes: a character that is not ASCII is a sequence of bytes, which
can be repeated as one, but not be part of a class.

PCRE2 searches by trial, so an expression can take exponential time. A repetition that is repeated as a whole is refused,
and the number of trials is bounded: beyond that an expression does not match.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

MAX_LENGTH = 256
MAX_DEPTH = 10
# The largest count of one repetition, and how many single characters all of them can stand for together.
MAX_COUNT = 100
MAX_SIZE = 1000
TRIALS = 5000
_EMPTY = '()'
START, END = f'(*LIMIT_MATCH={TRIALS})', r'\z'
_BYTES = frozenset(range(256))
_DIGITS = frozenset(b'0123456789')
_WORD = frozenset(b'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_') | _DIGITS
_SPACE = frozenset(b'\t\n\f\r ')
_CLASSES = {'d': _DIGITS, 'D': _BYTES - _DIGITS, 'w': _WORD, 'W': _BYTES - _WORD, 's': _SPACE, 'S': _BYTES - _SPACE}
_CONTROLS = {'t': 9, 'n': 10, 'v': 11, 'f': 12, 'r': 13}
_ANCHORS = {'^': r'\A', '$': END, r'\A': r'\A', r'\z': END, r'\b': r'\b', r'\B': r'\B'}
_ANY = _BYTES - {10}
_COUNTS = re.compile(r'\{(\d{1,4})(,(\d{1,4})?)?\}', re.ASCII)
_HEX = re.compile(r'\\x([0-9A-Fa-f]{2})', re.ASCII)


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Why an expression is refused: a phrase that follows "the regular expression"."""

    reason: str


class _SyntaxError(Exception):
    """The parser's way out; it never leaves this module."""


class _Node(NamedTuple):
    """A parsed part. `varies`: it is nothing but a repetition with several lengths, or one of its branches is.

    `groups` is how many of its groups capture. All of them do whenever the part matches, by an empty text where the expression
    leaves them out: Lua gets captures only up to the first one that is not set.
    """

    text: str
    size: int
    varies: bool = False
    anchor: bool = False
    groups: int = 0


def parse(text: str) -> str | Unsupported:
    """Return an expression of a whole text in the form that `Regex.new` takes, or why it is refused."""
    start = '(?i:' if text.startswith('(?i)') else '(?:'
    expression = _rewrite(text, captures=False)
    return expression if isinstance(expression, Unsupported) else rf'{START}\A{start}{expression}){END}'


def parse_beginning(text: str) -> str | Unsupported:
    """Return an expression of a text's beginning, without regard to case, whose groups capture; or why it is refused."""
    expression = _rewrite(text, captures=True)
    return expression if isinstance(expression, Unsupported) else rf'{START}\A(?i:{expression})'


def parse_anywhere(text: str) -> str | Unsupported:
    """Return an expression of any part of a text, or why it is refused."""
    start = '(?i:' if text.startswith('(?i)') else '(?:'
    expression = _rewrite(text, captures=False)
    return expression if isinstance(expression, Unsupported) else f'{START}{start}{expression})'


def _rewrite(text: str, *, captures: bool) -> str | Unsupported:
    if len(text) > MAX_LENGTH:
        return Unsupported(f'is longer than {MAX_LENGTH} characters')
    try:
        return _Parser(text, len('(?i)') if text.startswith('(?i)') else 0, captures=captures).whole()
    except _SyntaxError as error:
        return Unsupported(str(error))


class _Parser:
    """One pass over a text, by recursive descent."""

    def __init__(self, text: str, place: int, *, captures: bool) -> None:
        self.text, self.place, self.captures = text, place, captures

    def whole(self) -> str:
        """Parse all of the text, and return what is written for it."""
        node = self._alternatives(0)
        if not self._ended:
            raise _SyntaxError('has a `)` without a `(`')
        return node.text

    @property
    def _ended(self) -> bool:
        return self.place >= len(self.text)

    def _at(self, text: str) -> bool:
        return self.text.startswith(text, self.place)

    def _take(self, text: str) -> bool:
        if not self._at(text):
            return False
        self.place += len(text)
        return True

    def _alternatives(self, depth: int) -> _Node:
        """Parse branches up to the end of their group."""
        branches = [self._branch(depth)]
        while self._take('|'):
            branches.append(self._branch(depth))
        size, groups = sum(branch.size for branch in branches), sum(branch.groups for branch in branches)
        varies = any(branch.varies for branch in branches)
        if len(branches) == 1 or not groups:
            return _Node('|'.join(branch.text for branch in branches), size, varies, groups=groups)
        # Each branch has the groups of the others too, so that numbers and count are the same in all.
        before, parts = 0, list[str]()
        for branch in branches:
            after = groups - before - branch.groups
            parts.append(f'{_EMPTY * before}{branch.text}{_EMPTY * after}')
            before += branch.groups
        return _Node(f'(?|{"|".join(parts)})', size, varies, groups=groups)

    def _branch(self, depth: int) -> _Node:
        parts: list[_Node] = []
        while not self._ended and not self._at('|') and not self._at(')'):
            parts.append(self._repetition(self._atom(depth)))
        size = sum(part.size for part in parts)
        if size > MAX_SIZE:
            raise _SyntaxError(f'stands for more than {MAX_SIZE} characters')
        varies, groups = len(parts) == 1 and parts[0].varies, sum(part.groups for part in parts)
        return _Node(''.join(part.text for part in parts), size, varies, groups=groups)

    def _repetition(self, atom: _Node) -> _Node:
        low, high, count = self._count()
        if not count:
            return atom
        if atom.anchor:
            raise _SyntaxError('repeats an anchor')
        lazy = '?' if self._take('?') else ''
        if self._count()[2]:
            raise _SyntaxError('repeats a repetition; put a group between them')
        if atom.varies and high != 1:
            raise _SyntaxError('repeats a repetition as a whole, which can take exponential time')
        size = atom.size * max(1, low, high or 0)
        if size > MAX_SIZE:
            raise _SyntaxError(f'stands for more than {MAX_SIZE} characters')
        text = atom.text + count + lazy
        if atom.groups and not low:
            # That it is left out is a branch of its own, in which its groups are empty.
            repeat = '' if high == 1 else '+' if high is None else f'{{1,{high}}}'
            parts = [atom.text + repeat + (lazy if repeat else ''), _EMPTY * atom.groups]
            text = f'(?|{"|".join(reversed(parts) if lazy else parts)})' if high != 0 else _EMPTY * atom.groups
        return _Node(text, size, low != high or atom.varies, groups=atom.groups)

    def _count(self) -> tuple[int, int | None, str]:
        """Parse a count: the least, the most (None without a bound), and how it is written, '' for no count."""
        for sign, low, high in (('*', 0, None), ('+', 1, None), ('?', 0, 1)):
            if self._take(sign):
                return low, high, sign
        match = _COUNTS.match(self.text, self.place)
        if match is None:
            return 1, 1, ''
        self.place = match.end()
        low, high = int(match[1]), int(match[3]) if match[3] else None
        if match[2] is None:
            high = low
        if max(low, high or 0) > MAX_COUNT or (high is not None and high < low):
            raise _SyntaxError(f'has a count that is above {MAX_COUNT} or ends below its start')
        return low, high, f'{{{low},{"" if high is None else high}}}'

    def _atom(self, depth: int) -> _Node:
        for sign, anchor in _ANCHORS.items():
            if self._take(sign):
                return _Node(anchor, 0, anchor=True)
        if self._take('('):
            return self._group(depth + 1)
        if self._take('['):
            return _Node(_class_text(self._class()), 1)
        if self._take('.'):
            return _Node(_class_text(_ANY), 1)
        if any(map(self._at, '*+?{')):
            raise _SyntaxError(f'has a `{self.text[self.place]}` with nothing to repeat; write it with a backslash')
        return _literal(self._escape() if self._at('\\') else self._character())

    def _group(self, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise _SyntaxError(f'has more than {MAX_DEPTH} groups in each other')
        plain = self._take('?:')
        if not plain and self._at('?'):
            raise _SyntaxError('has a group of a kind that is not supported; `(…)` and `(?:…)` are')
        inner = self._alternatives(depth)
        if not self._take(')'):
            raise _SyntaxError('has a `(` without a `)`')
        captures = self.captures and not plain
        return _Node(
            f'({"" if captures else "?:"}{inner.text})', inner.size, inner.varies, groups=inner.groups + captures
        )

    def _character(self) -> str:
        character = self.text[self.place]
        self.place += 1
        return character

    def _escape(self) -> str | frozenset[int]:
        """Parse what a backslash begins: a character, or the bytes of a class."""
        if match := _HEX.match(self.text, self.place):
            self.place = match.end()
            return frozenset((int(match[1], 16),))
        sign = self.text[self.place + 1 : self.place + 2]
        self.place += 2
        if sign in _CLASSES:
            return _CLASSES[sign]
        if sign in _CONTROLS:
            return frozenset((_CONTROLS[sign],))
        if not sign or not sign.isascii() or sign.isalnum():
            raise _SyntaxError(f'has the escape `{ascii(sign)[1:-1]}` that is not supported')
        return sign

    def _class(self) -> frozenset[int]:
        """Parse a class after its `[`."""
        negated, members = self._take('^'), frozenset[int]()
        # A `]` that comes first is a member.
        while not (members and self._take(']')):
            first = self._member()
            if not self._at('-') or self._at('-]'):
                members |= first
                continue
            self.place += 1
            last = self._member()
            if len(first) != 1 or len(last) != 1 or min(first) > min(last):
                raise _SyntaxError('has an invalid range in a class')
            members |= frozenset(range(min(first), min(last) + 1))
        result = _BYTES - members if negated else members
        if not result:
            raise _SyntaxError('has a class without a character')
        return result

    def _member(self) -> frozenset[int]:
        if self._ended:
            raise _SyntaxError('has a `[` without a `]`')
        if self._at('['):
            raise _SyntaxError('has a `[` in a class; write it with a backslash')
        member = self._escape() if self._at('\\') else self._character()
        if isinstance(member, frozenset):
            return member
        if not member.isascii():
            raise _SyntaxError('has a character in a class that is not ASCII')
        return frozenset(member.encode())


def _literal(value: str | frozenset[int]) -> _Node:
    if isinstance(value, frozenset):
        return _Node(_class_text(value), 1)
    if value.isascii():
        return _Node(_byte(ord(value)), 1)
    data = value.encode(errors='surrogatepass')
    return _Node(f'(?:{"".join(map(_byte, data))})', len(data))


def _byte(value: int) -> str:
    """Return one byte as PCRE2 reads it in and outside of classes."""
    return chr(value) if value in _WORD else f'\\x{value:02x}'


def _class_text(members: Iterable[int]) -> str:
    """Return bytes as a class: ranges in ascending order; one byte stands for itself."""
    ranges: list[list[int]] = []
    for value in sorted(members):
        if ranges and ranges[-1][1] == value - 1:
            ranges[-1][1] = value
        else:
            ranges.append([value, value])
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return _byte(ranges[0][0])
    parts = (_byte(first) if first == last else f'{_byte(first)}-{_byte(last)}' for first, last in ranges)
    return f'[{"".join(parts)}]'
