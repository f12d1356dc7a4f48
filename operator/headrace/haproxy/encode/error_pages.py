"""Answers that are no endpoint's: short texts, or the pages that an administrator gave for their status.

A page's file carries a mark of its content in its name, so that another page is another configuration.
"""

from http import HTTPStatus

from headrace import names
from headrace.haproxy.encode import syntax
from headrace.settings.settings import OWN_PAGES, Settings


def file(status: str, text: str) -> str:
    """Return the reference of a page's file."""
    return f'{syntax.ERRORS}/{status}-{names.digest(text, 8)}'


def files(settings: Settings) -> dict[str, bytes]:
    """Return the files of all pages."""
    pages = settings.error_pages.items()
    bodies = {file(status, text): _body(text) for status, text in pages}
    return bodies | {f'{file(status, text)}.http': _message(settings, status, text) for status, text in pages}


def answer(settings: Settings, status: int, text: str) -> str:
    """Return the words of a rule that answers with a status: its page, or a line of text."""
    if (page := settings.error_pages.get(str(status))) is None:
        return f'status {status} content-type text/plain string "{text}\\n"'
    return f'status {status} content-type {syntax.quoted(settings.error_page_type)} file {file(str(status), page)}'


def lines(settings: Settings) -> tuple[str, ...]:
    """Return the lines for answers that HAProxy gives by itself, to what is no request among others."""
    return tuple(
        f'errorfile {status} {file(status, text)}.http'
        for status, text in sorted(settings.error_pages.items())
        if int(status) in OWN_PAGES
    )


def _body(text: str) -> bytes:
    return text.encode(errors='replace')


def _message(settings: Settings, status: str, text: str) -> bytes:
    """Return a page as a whole answer."""
    body = _body(text)
    head = f'HTTP/1.1 {status} {HTTPStatus(int(status)).phrase}\r\nContent-Type: {settings.error_page_type}\r\n'
    return f'{head}Cache-Control: no-cache\r\nContent-Length: {len(body)}\r\n\r\n'.encode() + body
