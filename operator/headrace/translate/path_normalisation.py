"""How an endpoint could read a request's path, as the rules of HAProxy have it: the other reading of a path that is odd."""

import re
import string

_ODD = re.compile(r'[%;\\]|/[/.]')
_ESCAPE = re.compile('%([0-9A-Fa-f]{2})?')
_CONTROL = re.compile('%([01][0-9A-Fa-f]|7[Ff])')
# Around an element; some endpoints take them away.
_BLANKS = re.compile('(?:%20)+(?=[/;]|$)|(?<=/)(?:%20)+')
_DOTS = re.compile(r'/\.\.?(?:;|/|$)')
# What needs no escape; `\` is a `/` to some.
_DECODED = frozenset(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/\\")


def is_odd(path: str) -> bool:
    """Tell whether an endpoint could read a path as another one."""
    return _ODD.search(path) is not None


def other(path: str) -> str | None:
    """Return a path as the most forgiving endpoint reads it; None for one that is refused.

    That are dot segments, control characters, and broken escapes.
    """
    if not is_odd(path):
        return path
    if _CONTROL.search(path) or any(found[1] is None for found in _ESCAPE.finditer(path)):
        return None
    plain = _BLANKS.sub('', _ESCAPE.sub(_decoded, path).replace('\\', '/'))
    if _DOTS.search(plain):
        return None
    return re.sub('/+', '/', re.sub(';[^/]*', '', plain))


def _decoded(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _DECODED else escape[0].upper()
