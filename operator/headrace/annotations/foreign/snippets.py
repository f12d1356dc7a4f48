"""Snippets of nginx: the directives that have an equivalent are translated, the others are named.

Nothing of a snippet is executed. A directive whose loss would let requests through, on its own or inside of a block that
is not read, closes the routes of the Ingress.
"""

import re
from collections.abc import Callable

from headrace.annotations import parse
from headrace.annotations.foreign import nginx_syntax, variables
from headrace.annotations.foreign.nginx_syntax import Directive, NginxSyntaxError
from headrace.annotations.foreign.table import Verdict
from headrace.annotations.foreign.translation import Translation
from headrace.annotations.values import Invalid
from headrace.diagnostics import shorten

_MAX_NAMED = 20
_ALL_NETWORKS = '0.0.0.0/0, ::/0'
# Directives that refuse requests, or run a program that may.
_PROTECTING = re.compile(
    r'(?:.*_by_lua.*|auth_.*|deny|internal|js_.*|limit_(?:conn|except|req)|modsecurity.*|secure_link.*'
    r'|ssl_(?:client_certificate|crl|verify_.*)|valid_referers)'
)
_WHOLE_PATH = frozenset(('^', '^/', '.*', '^.*', '^.*$', '/.*', '^/.*$', '(.*)', '^(.*)', '^(.*)$'))
_WHOLE_CAPTURE = frozenset(('(.*)', '^(.*)', '^(.*)$'))
_REST_CAPTURE = frozenset(('^/(.*)', '^/(.*)$'))
_REDIRECTS = frozenset(('301', '302', '303', '307', '308'))
_HEADER = re.compile(r'[A-Za-z0-9_.-]{1,128}')
# Headers that headrace sends to endpoints with the same meaning, by the variable that snippets set them from.
_SENT_ANYWAY = frozenset(
    (
        ('host', '$host'),
        ('host', '$http_host'),
        ('host', '$best_http_host'),
        ('upgrade', '$http_upgrade'),
        ('connection', 'upgrade'),
        ('connection', 'Upgrade'),
        ('connection', '$connection_upgrade'),
        ('connection', '$http_connection'),
        ('x-real-ip', '$remote_addr'),
        ('x-forwarded-for', '$remote_addr'),
        ('x-forwarded-for', '$proxy_add_x_forwarded_for'),
        ('x-forwarded-proto', '$scheme'),
        ('x-forwarded-proto', '$pass_access_scheme'),
        ('x-forwarded-host', '$host'),
        ('x-forwarded-host', '$http_host'),
        ('x-forwarded-port', '$server_port'),
    )
)


def translate(translation: Translation, name: str) -> None:
    """Translate the snippet that is the value of a foreign key."""
    try:
        directives = nginx_syntax.read(translation.value(name))
    except NginxSyntaxError as error:
        translation.close(name, f'the snippet cannot be read: {error}')
        return
    unsupported: dict[str, None] = {}
    _networks(translation, name, [item for item in directives if item.name in ('allow', 'deny')])
    for directive in directives:
        handler = _HANDLERS.get(directive.name)
        if directive.name in ('allow', 'deny'):
            continue
        if handler is None or directive.block is not None:
            unsupported[directive.name] = None
            if _protects(directive):
                translation.close(name, f'{shorten(directive.name)} may refuse requests, and is not read')
        else:
            handler(translation, name, directive.arguments)
    if unsupported:
        summary = ', '.join(shorten(item) for item in list(unsupported)[:_MAX_NAMED])
        partial = len(unsupported) < len({directive.name for directive in directives})
        translation.note(name, Verdict.DIFFERS if partial else Verdict.IGNORED, f'not read: {summary}')
    else:
        translation.note(name, Verdict.DIFFERS, "its directives become headrace's keys")


def _protects(directive: Directive) -> bool:
    """Tell whether a directive that is not read, or one in its block, may refuse requests."""
    if _PROTECTING.fullmatch(directive.name):
        return True
    if directive.name == 'return' and not (
        directive.arguments and directive.arguments[0] in ('200', '204', *_REDIRECTS)
    ):
        return True
    return any(_protects(item) for item in directive.block or ())


def _networks(translation: Translation, name: str, directives: list[Directive]) -> None:
    """Translate the list of `allow` and `deny`: nginx takes the first that matches, headrace judges `deny` first.

    Where the two differ, headrace's reading is the stricter one.
    """
    if not directives:
        return
    if any(item.block is not None or len(item.arguments) != 1 for item in directives):
        translation.close(name, 'allow and deny must name one network each')
        return
    end_index = next((place for place, item in enumerate(directives) if item.arguments == ('all',)), len(directives))
    end = directives[end_index] if end_index < len(directives) else None
    allow = [item.arguments[0] for item in directives[:end_index] if item.name == 'allow']
    deny = [item.arguments[0] for item in directives[:end_index] if item.name == 'deny']
    if deny:
        _protect(translation, name, 'deny', ', '.join(deny))
    if end is not None and end.name == 'deny':
        _protect(translation, name, 'allow' if allow else 'deny', ', '.join(allow) or _ALL_NETWORKS)


def _protect(translation: Translation, name: str, key: str, text: str) -> None:
    """Set `allow` or `deny`, and close the routes where that does not succeed."""
    success = translation.set(name, key, text, joined_by=', ' if key == 'deny' else '')
    if not success and key not in translation.own_keys:
        translation.close(name, f'{key} {shorten(text)} cannot be applied')


def set_header(translation: Translation, name: str, key: str, header: str, value: str | Invalid) -> None:
    """Set a header of requests or responses; '' removes it. A header of requests that cannot be set closes the routes."""
    result = value
    if isinstance(value, str):
        result = variables.translate(value, {}) if value.isprintable() else Invalid('one line of text')
    if (
        isinstance(result, str)
        and _HEADER.fullmatch(header)
        and translation.append(name, key, f'{header}: {result}'.rstrip())
    ):
        return
    if key in translation.own_keys:
        return
    reason = result.expected if isinstance(result, Invalid) else 'a header that headrace can set'
    text = f'the header {shorten(header)} must be {reason}'
    if key == 'request-headers':
        # The endpoint may believe the header, and would get the client's.
        translation.close(name, text)
    else:
        translation.note(name, Verdict.IGNORED, text)


def _more_set(key: str, *, clears: bool = False) -> Callable[[Translation, str, tuple[str, ...]], None]:
    """Return a handler of the directives of the headers-more module."""

    def handle(translation: Translation, name: str, arguments: tuple[str, ...]) -> None:
        if any(argument.startswith('-') for argument in arguments) or not arguments:
            text = 'headers by status or type are not read'
            if key == 'request-headers':
                translation.close(name, text)
            else:
                translation.note(name, Verdict.IGNORED, text)
            return
        for argument in arguments:
            header, _, value = argument.partition(':')
            set_header(translation, name, key, header.strip(), '' if clears else value.strip())

    return handle


def _add_header(translation: Translation, name: str, arguments: tuple[str, ...]) -> None:
    header, value, *flags = (*arguments, '', '')
    if flags[:1] != ['always']:
        translation.note(name, Verdict.DIFFERS, 'add_header without always: the header is set on all answers')
    set_header(translation, name, 'response-headers', header, value)


def _proxy_set_header(translation: Translation, name: str, arguments: tuple[str, ...]) -> None:
    header, value, *_ = (*arguments, '', '')
    if (header.lower(), value) in _SENT_ANYWAY:
        return
    if header.lower() == 'host' and '$' not in value:
        if not translation.set(name, 'host-header', value):
            translation.note(name, Verdict.IGNORED, "the Host header is the request's")
        return
    set_header(translation, name, 'request-headers', header, value)


def _proxy_hide_header(translation: Translation, name: str, arguments: tuple[str, ...]) -> None:
    set_header(translation, name, 'response-headers', ' '.join(arguments), '')


def _return(translation: Translation, name: str, arguments: tuple[str, ...]) -> None:
    code, place, *_ = (*arguments, '', '')
    if code.startswith(('http://', 'https://')):
        code, place = '302', code
    if code in _REDIRECTS:
        redirect(translation, name, place, code)
    elif code == '403':
        _protect(translation, name, 'deny', _ALL_NETWORKS)
    elif code == '503':
        if not translation.set(name, 'maintenance', 'true'):
            translation.close(name, 'return 503 cannot be applied')
    else:
        translation.close(name, f'return {shorten(code)} has no equivalent')


def redirect(translation: Translation, name: str, place: str, code: str) -> None:
    """Set a redirect to a place with nginx's variables; one that cannot be set closes the routes."""
    text = variables.translate(place)
    if isinstance(text, Invalid):
        translation.close(name, f'the place to redirect to must be {text.expected}')
    elif translation.set(name, 'redirect-to', text):
        translation.set(name, 'redirect-code', code)
    elif 'redirect-to' not in translation.own_keys:
        translation.close(name, f'{parse.PREFIX}redirect-to cannot be {shorten(place)}')


def _rewrite(translation: Translation, name: str, arguments: tuple[str, ...]) -> None:
    expression, place, flag, *_ = (*arguments, '', '', '')
    code = {'permanent': '301', 'redirect': '302'}.get(
        flag, '302' if place.startswith(('http://', 'https://', '$scheme')) else ''
    )
    if code and expression in _WHOLE_CAPTURE:
        place = place.replace('$1', '$uri')
    elif code and expression in _REST_CAPTURE:
        place = place.replace('/$1', '$uri')
    if not code or expression not in _WHOLE_PATH | _REST_CAPTURE:
        translation.note(name, Verdict.IGNORED, f'rewrite {shorten(expression)} is not read')
    elif place.endswith('?'):
        redirect(translation, name, place.removesuffix('?'), code)
    else:
        # nginx adds the query of the request, unless the place ends in `?`.
        place = place.replace('$uri', '$request_uri') if place.endswith('$uri') else place
        redirect(translation, name, place, code)


_HANDLERS: dict[str, Callable[[Translation, str, tuple[str, ...]], None]] = {
    'add_header': _add_header,
    'more_clear_headers': _more_set('response-headers', clears=True),
    'more_clear_input_headers': _more_set('request-headers', clears=True),
    'more_set_headers': _more_set('response-headers'),
    'more_set_input_headers': _more_set('request-headers'),
    'proxy_hide_header': _proxy_hide_header,
    'proxy_set_header': _proxy_set_header,
    'return': _return,
    'rewrite': _rewrite,
}
