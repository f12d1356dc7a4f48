"""What is never shown: credentials in headers, parameters and texts of the answers of agents."""

import re

HIDDEN = '(hidden)'
# Parts of names of headers and parameters whose values may let somebody in.
_SENSITIVE = re.compile(
    r'auth|cookie|token|secret|passw|credential|session|signature|api[-_]?key|access[-_]?key|(?:^|[-_])key(?:$|[-_])',
    re.IGNORECASE,
)
# As explained requests tell of them: `header NAME is 'VALUE', not 'VALUE'`.
_TOLD = re.compile(r"\b(header|query parameter|cookie) ([!#$%&*+.^_`|~0-9A-Za-z-]+) is '.*", re.DOTALL)
_USER = re.compile(r'(\b[a-z][a-z0-9+.-]*://)[^/@\s]*@', re.IGNORECASE)
_PARAMETER = re.compile(r'([?&;])([^=&;#\s]+)=([^&;#\s]*)')


def is_sensitive(name: str) -> bool:
    """Tell whether the value of a header or parameter of this name is not for display."""
    return _SENSITIVE.search(name) is not None


def value(name: str, text: str) -> str:
    """Return the value of a header or parameter, or what stands for it."""
    return HIDDEN if is_sensitive(name) and text else url(text)


def told(text: str) -> str:
    """Return a sentence of an explanation without values of sensitive headers and parameters."""
    found = _TOLD.search(text)
    if found is not None and (is_sensitive(found[2]) or found[1] == 'cookie'):
        return f'{text[: found.start()]}{found[1]} {found[2]} is another one {HIDDEN}'
    return url(text)


def url(text: str) -> str:
    """Return a text without users, passwords and sensitive parameters of the URLs in it."""
    text = _USER.sub(rf'\1{HIDDEN}@', text)
    return _PARAMETER.sub(lambda found: f'{found[1]}{found[2]}={value_of_parameter(found[2], found[3])}', text)


def value_of_parameter(name: str, text: str) -> str:
    """Return the value of a parameter of a query, or what stands for it."""
    return HIDDEN if is_sensitive(name) and text else text
