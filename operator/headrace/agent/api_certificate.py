"""The certificate of the port for those who show a token: an administrator's, from files that are followed, or the own one.

Promises: files that cannot be used change nothing: what was shown before stays, at the start the certificate that is signed
by itself. Traffic never depends on them.
"""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

from headrace.agent import own_certificate
from headrace.kube.access import load_certificate

_SECONDS = 10.0
_MOST_BYTES = 64 * 1024
CERTIFICATE, KEY = 'tls.crt', 'tls.key'


class ApiCertificate:
    """What the port shows; `tls` is one context for all time, and new connections get what it holds then."""

    def __init__(self, name: str, folder: Path | None) -> None:
        self.tls = own_certificate.context(name)
        self._folder = folder
        self._content: tuple[bytes, bytes] | None = None
        self._problem = ''

    def read(self) -> str:
        """Show what the files hold, if that has changed; return what is wrong with them, '' for nothing."""
        if self._folder is None:
            return ''
        try:
            content = _whole(self._folder / CERTIFICATE), _whole(self._folder / KEY)
        except OSError as error:
            return f'{error.filename}: {error.strerror}'
        if content == self._content:
            return self._problem
        self._content = content
        try:
            # A context that has refused a key has taken the certificate already.
            load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *content)
            load_certificate(self.tls, *content)
        except (OSError, ValueError) as error:
            self._problem = (
                f'{self._folder}: {CERTIFICATE} and {KEY} cannot be used: {getattr(error, "reason", None) or error}'
            )
        else:
            self._problem = ''
        return self._problem

    async def follow(self, note: Callable[[str], None]) -> None:
        """Read the files again and again; `note` gets what is wrong with them, '' for nothing."""
        while True:
            note(self.read())
            await asyncio.sleep(_SECONDS)


def _whole(path: Path) -> bytes:
    with path.open('rb') as file:
        return file.read(_MOST_BYTES)
