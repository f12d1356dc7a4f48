"""The grammar of values that speak of requests: places to redirect to, bursts, and what is compared or hashed.

As in `values`, each function returns the value, or `Invalid` with a phrase that completes "the value must be …".
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from headrace.annotations import values
from headrace.annotations.values import LOCATION, MAX_PATH, Invalid

# What each variable of a place stands for when the whole is judged.
_EXAMPLES = {
    'scheme': 'https',
    'host': 'host',
    'request_uri': '/path',
    'escaped_request_uri': '%2Fpath',
    'uri': '/path',
    'args': 'args',
}
_VARIABLE = re.compile(r'\$is_args\$args|\$(\{)?([a-z_]+)(?(1)\})')
_START = re.compile(r'https?://|\$\{scheme\}://|/', re.IGNORECASE)
_BURST = re.compile(r'(\d{1,7})(x?)', re.ASCII)
_MAX_BURST = 1_000_000
_PORT = re.compile(r'(?:[^:]+)(?::([1-9]\d{0,4}))?', re.ASCII)
_REALM = re.compile(r'[\x21\x23-\x5b\x5d-\x7e](?:[\x20\x21\x23-\x5b\x5d-\x7e]{0,126}[\x21\x23-\x5b\x5d-\x7e])?')
# What can be hashed of a request, besides headers, parameters and cookies by their names.
_HASHED = (
    'request_uri',
    'uri',
    'args',
    'host',
    'http_host',
    'scheme',
    'request_method',
    'remote_addr',
    'binary_remote_addr',
)
_HASHED_VARIABLE = re.compile(r'\$(\{)?((?:http|arg|cookie)_[A-Za-z0-9_]{1,64}|[a-z_]+)(?(1)\})', re.ASCII)
_HASHED_TEXT = re.compile(r'[\x21\x23-\x3b\x3d\x3f-\x5b\x5d-\x7a\x7e]*')
_MAX_HASHED = 256
_PATTERN = re.compile(r'[\x21-\x7e](?:[\x20-\x7e]{0,254}[\x21-\x7e])?')
_MAX_PORT = 65535
_EXPRESSION = re.compile(r'\^?/[\x21-\x7e]{0,255}')
# What stands for them must fit one entry of a map.
_MAX_EXPRESSIONS = 20
_CAPTURES = re.compile(r'(?:[^$]|\$[1-9])*')


@dataclass(frozen=True, slots=True)
class PathExpressions:
    """Paths that may be regular expressions: `path-type` says so for each port. The text is as it was given."""

    text: str

    @property
    def items(self) -> tuple[str, ...]:
        """Return the expressions, in their order."""
        return tuple(dict.fromkeys(self.text.split()))


@dataclass(frozen=True, slots=True)
class Burst:
    """How many events beyond a rate may come at once: a number, or a multiple of the rate's."""

    number: int
    multiple: bool = False

    def of(self, count: int) -> int:
        """Return the number for a rate of `count` events in its period."""
        return min(self.number * count if self.multiple else self.number, _MAX_BURST)


def burst(text: str) -> Burst | Invalid:
    """Return a burst: a number of events, or a multiple of a rate such as `5x`."""
    match = _BURST.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= _MAX_BURST:
        return Invalid(f'a whole number from 1 to {_MAX_BURST}, or a multiple of the rate such as 5x')
    return Burst(int(match[1]), bool(match[2]))


def balance(text: str) -> str | Invalid:
    """Return an algorithm; `hash:TEXT` hashes a text with variables, which are returned as `${name}`."""
    template = text.removeprefix('hash:')
    if template == text:
        algorithm = values.balance(text)
        return (
            algorithm
            if isinstance(algorithm, str)
            else Invalid(f'{algorithm.expected}, or hash:VARIABLES such as hash:$request_uri')
        )
    variables = [match[2] for match in _HASHED_VARIABLE.finditer(template)]
    allowed = all(
        ('_' in name and name.split('_')[0] in ('http', 'arg', 'cookie')) or name in _HASHED for name in variables
    )
    literal = _HASHED_VARIABLE.sub('', template)
    if (
        variables
        and allowed
        and len(template) <= _MAX_HASHED
        and '$' not in literal
        and _HASHED_TEXT.fullmatch(literal)
    ):
        return 'hash:' + _HASHED_VARIABLE.sub(r'${\2}', template)
    choices = ', '.join(f'${name}' for name in _HASHED)
    return Invalid(f'hash: and {choices}, $http_NAME, $arg_NAME or $cookie_NAME, one or several')


def authority(text: str) -> str | Invalid:
    """Return a host, perhaps with a port."""
    host, port = values.plain_host(text.partition(':')[0]), _PORT.fullmatch(text)
    if isinstance(host, str) and port and int(port[1] or 0) <= _MAX_PORT:
        return f'{host}:{port[1]}' if port[1] else host
    return Invalid('a host such as shop.example.com, perhaps with a port')


def realm(text: str) -> str | Invalid:
    """Return a text that can stand between quotes in a header."""
    return text if _REALM.fullmatch(text) else Invalid('at most 128 printable ASCII characters without " and \\')


def pattern(text: str) -> str | Invalid:
    """Return what may be a regular expression; whether it is one is for `regular_expressions`."""
    return (
        text if _PATTERN.fullmatch(text) else Invalid('a regular expression of at most 256 printable ASCII characters')
    )


def path_expressions(text: str) -> PathExpressions | Invalid:
    """Return regular expressions of paths, separated by white space; whether each is one is for `regular_expressions`."""
    expressions = PathExpressions(text)
    if 1 <= len(expressions.items) <= _MAX_EXPRESSIONS and all(map(_EXPRESSION.fullmatch, expressions.items)):
        return expressions
    return Invalid(
        f'at most {_MAX_EXPRESSIONS} regular expressions of ASCII that begin with /, separated by white space'
    )


def has_captures_only(template: str) -> bool:
    """Tell whether each `$` of a path names a group, `$1` to `$9`."""
    return _CAPTURES.fullmatch(template) is not None


class Template(NamedTuple):
    """A text with variables as `${name}`, and an example of what a request makes of it."""

    text: str
    example: str


def template(text: str) -> Template | Invalid:
    """Return a text whose variables each stand for a part of a request; `$args` comes after a question mark only."""
    written = _VARIABLE.sub(lambda match: f'${{{match[2] or "query"}}}', text)
    example = _VARIABLE.sub(lambda match: _EXAMPLES.get(match[2], '$') if match[2] else '?args', text)
    if (
        len(text) <= MAX_PATH
        and '$' not in example
        and all('?' in text[: match.start()] for match in _VARIABLE.finditer(text) if match[2] == 'args')
    ):
        return Template(written, example)
    variables = ', '.join(f'${name}' for name in _EXAMPLES)
    return Invalid(f'with no variables but {variables} and $is_args$args, where they fit')


def location(text: str) -> str | Invalid:
    """Return a place to redirect to: an http or https URL, or a path, with variables as `${name}`.

    Nothing that a client sends can become part of the host, but for its Host header, or make a host of a path's beginning.
    """
    found = template(text)
    if isinstance(found, Invalid):
        return Invalid(f'an http or https URL, or a path, {found.expected}')
    path = found.text.partition('?')[0]
    if _START.match(path) and path.find('${scheme}', 1) < 0 and LOCATION.fullmatch(found.example):
        return found.text
    return Invalid('an http or https URL, or a path; $scheme stands at its beginning, or in the query')


def below_root(text: str) -> str | Invalid:
    """Return a path that is not the root itself."""
    return values.path(text) if text != '/' else Invalid('a path below /')
