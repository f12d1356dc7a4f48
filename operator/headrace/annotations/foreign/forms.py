"""Forms: from a foreign value to the text that headrace's own key takes for the same, or to what was expected.

'' means that the value is headrace's default and nothing is to be set.
"""

import re
from collections.abc import Callable

from headrace.annotations.values import Invalid, split

_TRUE = frozenset(('1', 't', 'T', 'TRUE', 'true', 'True'))
_FALSE = frozenset(('0', 'f', 'F', 'FALSE', 'false', 'False'))
_NUMBER = re.compile(r'\d{1,9}', re.ASCII)
_NGINX_SIZE = re.compile(r'(\d{1,12})([kKmMgG]?)', re.ASCII)
_HAPROXY_TIME = re.compile(r'(\d{1,10})(us|ms|s|m|h|d)?', re.ASCII)
_ADDRESSES = re.compile(r'[0-9A-Fa-f:./]+', re.ASCII)


def boolean(text: str) -> str | Invalid:
    """Return `true` or `false` for what Go reads as a boolean."""
    if text in _TRUE:
        return 'true'
    return 'false' if text in _FALSE else Invalid('true or false')


def on_off(text: str) -> str | Invalid:
    """Return `true` or `false` for nginx's `on` and `off`."""
    return {'on': 'true', 'off': 'false'}.get(text, Invalid('on or off'))


def seconds(text: str) -> str | Invalid:
    """Return a duration for a number of seconds."""
    return f'{int(text)}s' if _NUMBER.fullmatch(text) and int(text) else Invalid('a whole number of seconds above 0')


def count(text: str) -> str | Invalid:
    """Return a whole number above 0."""
    return str(int(text)) if _NUMBER.fullmatch(text) and int(text) else Invalid('a whole number above 0')


def kilobytes(text: str) -> str | Invalid:
    """Return a size for a number of kilobytes; 0 is no limit."""
    return f'{int(text)}k' * bool(int(text)) if _NUMBER.fullmatch(text) else Invalid('a whole number of kilobytes')


def rate_per_second(text: str) -> str | Invalid:
    """Return a rate for a number of events a second."""
    number = count(text)
    return number if isinstance(number, Invalid) else f'{number}/s'


def haproxy_size(text: str) -> str | Invalid:
    """Return a size in headrace's form; `unlimited` is no limit."""
    return '' if text == 'unlimited' else size(text)


def size(text: str) -> str | Invalid:
    """Return a size in headrace's form; 0 is no limit."""
    match = _NGINX_SIZE.fullmatch(text)
    if match is None:
        return Invalid('a size such as 64k or 10m')
    return f'{int(match[1])}{match[2].lower()}' if int(match[1]) else ''


def haproxy_time(text: str) -> str | Invalid:
    """Return a duration for a time of HAProxy, which is in milliseconds without a unit."""
    match = _HAPROXY_TIME.fullmatch(text)
    if match is None or not int(match[1]):
        return Invalid('a time such as 500ms, 5s or 1m')
    if match[2] == 'us':
        return f'{max(1, int(match[1]) // 1000)}ms'
    return f'{int(match[1])}{match[2] or "ms"}'


def networks(text: str) -> str | Invalid:
    """Return a list of addresses and networks."""
    parts = split(text)
    if parts and all(_ADDRESSES.fullmatch(part) for part in parts):
        return ', '.join(parts)
    return Invalid('a list of addresses and networks such as 10.0.0.0/8,192.168.1.1')


def plain(text: str) -> str | Invalid:
    """Return a text without variables, as it is."""
    return text if text and '$' not in text else Invalid('a text without variables')


def choice(**forms: str) -> Callable[[str], str | Invalid]:
    """Return a form of words that each stand for one of headrace's; `_` in a word stands for `-`."""
    choices = {word.replace('_', '-'): form for word, form in forms.items()}

    def form(text: str) -> str | Invalid:
        return choices.get(text, Invalid('one of ' + ', '.join(choices)))

    return form
