"""nginx's grammar: directives, blocks, quotes, escapes and comments. It is read, and never executed.

Limits hold the work to what the text's length allows: a text that is longer, deeper or broken is refused whole.
"""

from dataclasses import dataclass

# Reading takes some 5 µs a character, and one object holds the event loop for as long.
_MAX_LENGTH = 16384
_MAX_DEPTH = 16
_ENDS = frozenset(';{}')
_SPACE = frozenset(' \t\r\n')
_ESCAPES = {'t': '\t', 'r': '\r', 'n': '\n'}


class NginxSyntaxError(Exception):
    """The text is not what nginx would take."""


@dataclass(frozen=True, slots=True)
class Directive:
    """A directive: its name, its arguments without quotes, and for a block what it holds."""

    name: str
    arguments: tuple[str, ...] = ()
    block: 'tuple[Directive, ...] | None' = None


def read(text: str) -> tuple[Directive, ...]:
    """Return the directives of a text; raises NginxSyntaxError."""
    if len(text) > _MAX_LENGTH:
        raise NginxSyntaxError(f'longer than {_MAX_LENGTH} characters')
    stack: list[list[Directive]] = [[]]
    headers: list[tuple[str, ...]] = []
    words: list[str] = []
    for word, quoted in _words(text):
        if quoted or word not in _ENDS:
            words.append(word)
        elif word == '{':
            if not words or len(stack) > _MAX_DEPTH:
                raise NginxSyntaxError('a block without a name, or blocks too deep')
            headers.append(tuple(words))
            stack.append([])
            words = []
        elif word == ';':
            if not words:
                raise NginxSyntaxError('a ; without a directive')
            stack[-1].append(Directive(words[0], tuple(words[1:])))
            words = []
        else:
            if words or not headers:
                raise NginxSyntaxError('a } that ends no block, or a directive without ;')
            block, header = tuple(stack.pop()), headers.pop()
            stack[-1].append(Directive(header[0], header[1:], block))
    if words or headers:
        raise NginxSyntaxError('the last directive or block has no end')
    return tuple(stack[0])


def _words(text: str) -> list[tuple[str, bool]]:
    """Return the words of a text, and of each whether it was quoted; `;`, `{` and `}` are words of their own."""
    words: list[tuple[str, bool]] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character in _SPACE:
            position += 1
        elif character == '#':
            end = text.find('\n', position)
            position = len(text) if end < 0 else end
        elif character in _ENDS:
            words.append((character, False))
            position += 1
        elif character in '"\'':
            word, position = _quoted(text, position)
            words.append((word, True))
        else:
            word, position = _bare(text, position)
            words.append((word, False))
    return words


def _quoted(text: str, start: int) -> tuple[str, int]:
    quote, word, position = text[start], [], start + 1
    while position < len(text):
        character = text[position]
        if character == '\\' and position + 1 < len(text):
            word.append(_unescaped(text[position + 1]))
            position += 2
        elif character == quote:
            if text[position + 1 : position + 2] not in ('', *_SPACE, *_ENDS, ')'):
                raise NginxSyntaxError('text directly behind a quote')
            return ''.join(word), position + 1
        else:
            word.append(character)
            position += 1
    raise NginxSyntaxError('a quote without an end')


def _bare(text: str, start: int) -> tuple[str, int]:
    word, position = [], start
    while position < len(text):
        character = text[position]
        if character == '\\' and position + 1 < len(text):
            word.append(_unescaped(text[position + 1]))
            position += 2
        elif text.startswith('${', position):
            end = text.find('}', position)
            if end < 0:
                raise NginxSyntaxError('a ${ without an end')
            word.append(text[position : end + 1])
            position = end + 1
        elif character in _SPACE or character in _ENDS:
            break
        else:
            word.append(character)
            position += 1
    return ''.join(word), position


def _unescaped(character: str) -> str:
    """Return what an escape stands for; nginx keeps the backslash before what is no escape."""
    return _ESCAPES.get(character) or (character if character in '"\'\\' else f'\\{character}')
