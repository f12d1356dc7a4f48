"""What a HAProxy can do, by asking it: its binary judges a few lines of configuration, its worker lists its commands.

A version's number says less than that: distributions patch, and features come back to older branches.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from headrace.haproxy import capabilities, check
from headrace.haproxy.capabilities import Capabilities
from headrace.haproxy.runtime import Connection

# Judged only, never started: nothing binds this address.
_SECTION = (
    'defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n'
    'frontend probe\n  bind 127.0.0.1:1\nbackend probed\n'
)
_QUIC = '  bind quic4@127.0.0.1:1 ssl crt-list {} alpn h3 strict-sni\n'
_HEADERS = '  http-request set-headers-bin str(AAAA),b64dec\n'
_SNI = '  server s 127.0.0.1:1 ssl verify none no-sni-auto no-check-sni-auto\n'
_TIMEOUTS = '  http-request set-timeout connect int(1)\n  http-request set-timeout queue int(1)\n'


def of_binary(binary: str) -> Capabilities:
    """Return what a binary can do, as far as its configuration shows; raises HaproxyMissingError and UnknownVersionError."""
    known = capabilities.of_version(check.version(binary))
    return replace(
        known,
        binary_headers=_accepts(binary, f'{_SECTION}{_HEADERS}'),
        data_timeouts=_accepts(binary, f'{_SECTION}{_TIMEOUTS}'),
        tells_sni=_accepts(binary, f'{_SECTION}{_SNI}'),
        quic=_has_quic(binary),
    )


async def of_worker(connection: Connection, of_its_binary: Capabilities) -> Capabilities:
    """Return what a worker can do: what its binary can, with the commands it lists; raises RuntimeSocketError."""
    listed = {line.strip().partition(' <')[0] for line in (await connection.tell('help')).splitlines()}
    commands = {' '.join(line.split()[:2]) for line in listed}
    return replace(
        of_its_binary,
        dynamic_backends={'add backend', 'del backend', 'publish backend'} <= commands,
        waits=any(line.startswith('wait') for line in listed),
    )


def _has_quic(binary: str) -> bool:
    with tempfile.NamedTemporaryFile(prefix='headrace-probe-') as empty:
        return _accepts(binary, _SECTION.replace('  bind 127.0.0.1:1\n', _QUIC.format(empty.name)))


def _accepts(binary: str, text: str) -> bool:
    with tempfile.NamedTemporaryFile('w', suffix='.cfg', prefix='headrace-probe-') as file:
        file.write(text)
        file.flush()
        return check.check_file(binary, Path(file.name)).accepted
