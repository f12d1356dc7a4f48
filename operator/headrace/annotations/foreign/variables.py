"""Variables of nginx in values: an allow-list that headrace's own keys have, under their names.

A variable outside of it is never passed on: what a value with it would mean is unknown.
"""

import re

from headrace.annotations.values import Invalid

_VARIABLE = re.compile(r'\$(?:\{([a-z0-9_]+)\}|([a-z0-9_]+))?', re.ASCII | re.IGNORECASE)
# What headrace has for it in redirects, rewrites and URLs.
URL = {
    'args': '$args',
    'best_http_host': '$host',
    'document_uri': '$uri',
    'escaped_request_uri': '$escaped_request_uri',
    'host': '$host',
    'http_host': '$host',
    'pass_access_scheme': '$scheme',
    'query_string': '$args',
    'request_uri': '$request_uri',
    'scheme': '$scheme',
    'uri': '$uri',
}
_WHOLE = re.compile(r'\$(?:uri|document_uri)\$is_args\$(?:args|query_string)(?![a-z0-9_])', re.ASCII)
_CAPTURE = re.compile('[1-9]')


def names(text: str) -> tuple[str, ...]:
    """Return the names of the variables in a value, captures such as `1` among them; '' for a `$` that names none."""
    return tuple(match[1] or match[2] or '' for match in _VARIABLE.finditer(text))


def translate(text: str, allowed: dict[str, str] = URL, *, captures: bool = False) -> str | Invalid:
    """Return a value with headrace's variables for nginx's, or which variable is not allowed."""
    text = _WHOLE.sub('$request_uri', text)
    for name in names(text):
        if name not in allowed and not (captures and _CAPTURE.fullmatch(name)):
            problem = f'the variable ${name}' if name else 'a $ that names no variable'
            return Invalid(f'without {problem}, which headrace does not have here')
    return _VARIABLE.sub(lambda match: _replacement(match, allowed, text), text)


def _replacement(match: re.Match[str], allowed: dict[str, str], text: str) -> str:
    name = match[1] or match[2] or ''
    variable = allowed.get(name, f'${name}')
    next_character = text[match.end() : match.end() + 1]
    # Without braces the text that follows would belong to the name.
    return f'${{{variable[1:]}}}' if next_character.isalnum() or next_character == '_' else variable
