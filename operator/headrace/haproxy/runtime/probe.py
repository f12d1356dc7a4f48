"""What a build of HAProxy can do: its binary checks a few lines of configuration.

A version's number does not say it: QUIC depends on the library of TLS that HAProxy was built with.
"""

import tempfile
from pathlib import Path

from headrace.haproxy.runtime import check
from headrace.settings.settings import Settings

# Checked only, never started: nothing binds this address.
_QUIC = (
    'defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n'
    'frontend probe\n  bind quic4@127.0.0.1:1 ssl crt-list {} alpn h3 strict-sni\n'
)


def has_quic(binary: str) -> bool:
    """Tell whether a binary was built with a library that has all of QUIC; raises HaproxyMissingError."""
    with (
        tempfile.NamedTemporaryFile(prefix='headrace-probe-') as empty,
        tempfile.NamedTemporaryFile('w', suffix='.cfg', prefix='headrace-probe-') as file,
    ):
        file.write(_QUIC.format(empty.name))
        file.flush()
        return check.check_file(binary, Path(file.name)).accepted


def lacking(settings: Settings, *, quic: bool) -> str:
    """Return what of the class's settings this build of HAProxy cannot do, in words; '' for nothing."""
    if settings.http3 and not quic:
        return 'http3: this HAProxy was built without QUIC, or with a part of it; HTTP/1.1 and HTTP/2 are served'
    return ''
