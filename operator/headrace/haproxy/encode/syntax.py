"""Words of HAProxy's configuration and command line: the one source of how a server, an entry or a value is written.

The same text of a server's options stands in the file and in `add server`, so a server is the same however it came.
Nothing that comes from an object passes without one of the functions here or a parser of `annotations.values`.
"""

import base64
import re
from functools import lru_cache

from headrace import names
from headrace.ir.backend import SYSTEM_AUTHORITIES, Backend, Options
from headrace.ir.pointers import Pointer

CERTIFICATES = 'certificates'
AUTHORITIES = 'authorities'
MAPS = 'maps'
ERRORS = 'errors'
_ESCAPED = re.compile(r'([\\ ;])')
_PEM = re.compile(rf'(?:{CERTIFICATES}|{AUTHORITIES})/([^/]+)\.pem')
_CONTROL = re.compile(r'[\x00-\x1f\x7f]')


class ForbiddenCharacterError(Exception):
    """A text with control characters was about to enter a configuration or a command."""


def duration(milliseconds: int) -> str:
    """Return a duration as HAProxy writes it, in the largest unit that keeps it whole."""
    for unit, size in (('d', 86_400_000), ('h', 3_600_000), ('m', 60_000), ('s', 1000)):
        if milliseconds % size == 0 and milliseconds:
            return f'{milliseconds // size}{unit}'
    return f'{milliseconds}ms'


def quoted(text: str) -> str:
    """Return free text as one word of a configuration file, inside single quotes (HAProxy manual 2.2).

    Single quotes take everything as it is, variables and backslashes too; only a single quote itself ends them.
    """
    return "'" + checked(text).replace("'", "'\\''") + "'"


def escaped(text: str) -> str:
    """Return free text as one word of a runtime command: a backslash before backslash, space and semicolon."""
    return _ESCAPED.sub(r'\\\1', checked(text))


def checked(text: str) -> str:
    """Return the text if it holds no control character; raises ForbiddenCharacterError."""
    if _CONTROL.search(text):
        raise ForbiddenCharacterError(ascii(text[:80]))
    return text


def pointer(target: Pointer) -> str:
    """Return the value of a routing map that leads to a backend: `BACKEND|POLICY|FLAGS`, and `|CLUSTER` where there is one."""
    text = f'{target.backend}|{target.policy}|{target.flags}'
    return f'{text}|{target.cluster}' if target.cluster else text


def read_pointer(text: str) -> Pointer:
    """Return what `pointer` made such a text of; raises ValueError for another text."""
    backend, policy, flags, *cluster = text.split('|')
    return Pointer(backend, policy, flags, ''.join(cluster))


def map_file(name: str) -> str:
    """Return the reference of a map, the same in the configuration and for runtime commands."""
    return f'{MAPS}/{name}.map'


def certificate_file(name: str) -> str:
    """Return the reference of a certificate's file."""
    return f'{CERTIFICATES}/{name}.pem'


def authority_file(name: str) -> str:
    """Return the reference of an authority's file."""
    return f'{AUTHORITIES}/{name}.pem'


def pem_name(file: str) -> str:
    """Return what `certificate_file` or `authority_file` made a reference of, '' for another file."""
    match = _PEM.fullmatch(file)
    return match[1] if match else ''


@lru_cache(maxsize=16384)
def server_options(options: Options) -> str:
    """Return the words that follow a server's address, but for its cookie and maxconn; '' for none."""
    words: list[str] = []
    if options.protocol:
        words += ['proto', options.protocol]
    if options.tls is not None:
        words += ['ssl', 'verify', 'required' if options.tls.verify else 'none']
        if options.tls.ca_file:
            file = options.tls.ca_file
            words += ['ca-file', file if file == SYSTEM_AUTHORITIES else authority_file(file)]
        if options.tls.certificate:
            words += ['crt', certificate_file(options.tls.certificate)]
        words += ['alpn', 'h2' if options.protocol == 'h2' else 'http/1.1']
        words += _sni(options.tls.sni, checked=options.check)
    if options.proxy:
        words.append('send-proxy' if options.proxy == 'v1' else 'send-proxy-v2')
    if options.slow_start:
        words += ['slowstart', duration(options.slow_start)]
    if options.check:
        words += ['check', 'inter', duration(options.interval), 'rise', str(options.rise), 'fall', str(options.fall)]
        if options.eject_after:
            words += ['observe', 'layer4', 'error-limit', str(options.eject_after), 'on-error', 'mark-down']
    return ' '.join(words)


def _sni(sni: str, *, checked: bool) -> list[str]:
    """Return the words for the server name that an endpoint gets: none unless one is wanted.

    HAProxy would tell it the client's Host, and hold its certificate to that name; checks likewise.
    """
    if not sni:
        return ['no-sni-auto', *(['no-check-sni-auto'] if checked else [])]
    if sni == 'host-header':
        return ['sni', 'req.hdr(host),host_only']
    return ['sni', f'str({sni})', *(['check-sni', sni] if checked else [])]


def server_lines(backend: Backend) -> list[str]:
    """Return, for each server of a backend, its name, address and options: what follows `server` in the file."""
    return [f'{name} {options}' for name, options in servers(backend).items()]


def servers(backend: Backend) -> dict[str, str]:
    """Return a backend's servers: address and options by name, sorted by port and address."""
    tail, suffix = _tail(backend), backend.options.suffix
    return {
        names.server(address, group.port, suffix): _server(backend, address, group.port, tail)
        for group in backend.groups
        for address in group.addresses
    }


def server(backend: Backend, address: str, port: int) -> str:
    """Return the address and options of one of a backend's servers."""
    return _server(backend, address, port, _tail(backend))


def _tail(backend: Backend) -> str:
    options = server_options(backend.options)
    tail = f' {options}' if options else ''
    return f'{tail} maxconn {backend.options.max_connections}' if backend.options.max_connections else tail


def _server(backend: Backend, address: str, port: int, tail: str) -> str:
    text = f'[{address}]:{port}{tail}' if ':' in address else f'{address}:{port}{tail}'
    if backend.shape.cookie:
        return f'{text} cookie {names.endpoint_identity(backend.service, backend.port, address, port)}'
    return text


def header_block(headers: tuple[tuple[str, str], ...]) -> str:
    """Return headers as `header_bytes` has them, in base64."""
    return base64.b64encode(header_bytes(headers)).decode()


def header_bytes(headers: tuple[tuple[str, str], ...]) -> bytes:
    """Return headers in the form of `set-headers-bin`: (varint, name, varint, value)…, ended by two zeros."""
    parts = [_sized(name.lower()) + _sized(value) for name, value in headers]
    return b''.join(parts) + b'\0\0'


def header_names(headers: tuple[tuple[str, str], ...]) -> str:
    """Return names of headers in the form of `del-headers-bin`: base64 of (varint, name)…, ended by one zero."""
    return base64.b64encode(b''.join(_sized(name.lower()) for name, _ in headers) + b'\0').decode()


def _sized(text: str) -> bytes:
    data = checked(text).encode()
    return _varint(len(data)) + data


def _varint(value: int) -> bytes:
    """Return HAProxy's variable-length integer (doc/peers.txt): one byte below 240, then 4 and 7 bits a byte."""
    if value < 240:  # noqa: PLR2004
        return bytes([value])
    octets = [value & 0xFF | 240]
    value = (value - 240) >> 4
    while value >= 128:  # noqa: PLR2004
        octets.append(value & 0xFF | 128)
        value = (value - 128) >> 7
    return bytes([*octets, value])
