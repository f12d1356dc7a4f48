"""What a HAProxy can do at run time, as a value that rendering and planning take."""

import re
from dataclasses import dataclass

from headrace.settings import Settings


class UnknownVersionError(Exception):
    """The version is none that headrace works with."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What differs between versions.

    `dynamic_backends`: the command `add backend`; `binary_headers`: the action `set-headers-bin`; `data_timeouts`:
    `set-timeout connect` and `queue` from variables; `waits`: the command `wait`; `deletes_one`: of a key that stands in a
    map twice, `del map` takes the first away and not both; `tells_sni`: endpoints are told the client's Host as SNI unless
    `no-sni-auto` says otherwise; `keeps_sessions_apart`: a TLS session is resumed only for the host and the authority of
    clients that it was made for; `escapes_bytes`: JSON in its log has no bytes beyond ASCII;
    `says_what_is_long`: it answers a request that is too long with 414 or 431 rather than with 400;
    `quic`: it was built with a library that has all of QUIC.
    """

    version: str
    dynamic_backends: bool
    binary_headers: bool
    data_timeouts: bool
    waits: bool
    deletes_one: bool
    tells_sni: bool
    keeps_sessions_apart: bool
    escapes_bytes: bool
    says_what_is_long: bool
    quic: bool


_OLDEST = (3, 0)
_FULL = (3, 4)
_SNI_AUTO = (3, 3)


def of_version(version: str) -> Capabilities:
    """Return what a version such as `3.4` or `3.0.11` can do; raises UnknownVersionError below 3.0."""
    found = re.match(r'(\d{1,3})\.(\d{1,3})', version)
    number = (int(found[1]), int(found[2])) if found else (0, 0)
    if number < _OLDEST:
        raise UnknownVersionError(f'{version} is no HAProxy version from 3.0 on')
    full = number >= _FULL
    return Capabilities(
        version=f'{number[0]}.{number[1]}',
        dynamic_backends=full,
        binary_headers=full,
        data_timeouts=full,
        waits=number >= (3, 1),
        deletes_one=full,
        tells_sni=number >= _SNI_AUTO,
        keeps_sessions_apart=full,
        escapes_bytes=full,
        says_what_is_long=full,
        quic=full,
    )


def lacking(settings: Settings, able: Capabilities) -> str:
    """Return what of the class's settings a HAProxy cannot do, in words; '' for nothing."""
    if settings.http3 and not able.quic:
        return f'http3: this HAProxy ({able.version}) has no QUIC without restrictions; HTTP/1.1 and HTTP/2 are served'
    return ''
