"""What a worker says that it has, and the commands that make it what it should be.

Pure: texts of `show …` in, values and commands out. This is how a running HAProxy is adopted without a reload, how a
refused command is set right, and how drift is found.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headrace.haproxy.encode import commands, syntax
from headrace.haproxy.encode.commands import Command, Phase
from headrace.ir.backend import Backend, Options, Shape
from headrace.ir.fragment import Fragment
from headrace.ir.policy import LEADING, Entry, Map
from headrace.names import owner

# Admin state of `show servers state`: any of the three ways into maintenance.
_MAINTENANCE = 0x01 | 0x02 | 0x04 | 0x20
_OURS = '_'
_ROUTING = LEADING | {Map.ROUTES, Map.GATEWAY_ROUTES, Map.PORTS, Map.ADDRESSES, Map.PASSTHROUGH}


@dataclass(frozen=True, slots=True)
class Server:
    """A server as its worker has it."""

    address: str
    port: int
    disabled: bool
    up: bool = True

    @property
    def shown(self) -> str:
        """Return the state as people read it."""
        return 'maintenance' if self.disabled else 'up' if self.up else 'down'


Servers = Mapping[str, Server]


@dataclass(slots=True)
class LiveState:
    """Backends with their servers, and entries of maps (a key's values in their order), as far as was asked for."""

    backends: dict[str, dict[str, Server]] = field(default_factory=dict)
    maps: dict[Map, dict[str, list[str]]] = field(default_factory=dict)


def servers(text: str) -> dict[str, dict[str, Server]]:
    """Return the servers in the answer of `show servers state`, by backend and name."""
    by_backend: dict[str, dict[str, Server]] = {}
    for line in text.splitlines():
        cells = line.split(' ')
        if len(cells) < 19 or cells[0].startswith('#'):  # noqa: PLR2004
            continue
        disabled = bool(int(cells[6]) & _MAINTENANCE)
        server = Server(cells[4], int(cells[18]), disabled, up=cells[5] != '0')
        by_backend.setdefault(cells[1], {})[cells[3]] = server
    return by_backend


def is_unknown(text: str) -> bool:
    """Tell whether `show servers state NAME` was answered by a worker that has no such backend."""
    return text.lstrip().startswith("Can't find backend")


def backends(text: str) -> list[str]:
    """Return our backends in the answer of `show backend`; the tables of rates are none."""
    return [name for name in text.split() if _OURS in name]


def entries_of(text: str) -> dict[str, list[str]]:
    """Return the entries in the answer of `show map FILE`."""
    entries: dict[str, list[str]] = {}
    for line in text.splitlines():
        _, _, entry = line.partition(' ')
        key, _, value = entry.partition(' ')
        if key:
            entries.setdefault(key, []).append(value)
    return entries


def sessions(text: str) -> int:
    """Return how many sessions a backend has, by the answer of `show stat`; 0 for one that is not there."""
    head, _, rest = text.partition('\n')
    columns, row = head.removeprefix('# ').split(','), rest.partition('\n')[0].split(',')
    return next((int(value) for name, value in zip(columns, row, strict=False) if name == 'scur' and value), 0)


def line_number(text: str, crt_line: str) -> str:
    """Return the number of a line in the answer of `show ssl crt-list -n`, '' when it is not there."""
    words = crt_list_words(crt_line)
    for line in text.splitlines():
        match = re.match(r'(\S+):(\d+)(?: (.*))?$', line)
        if match and crt_list_words(f'{match[1]} {match[3] or ""}') == words:
            return match[2]
    return ''


def crt_list(text: str) -> dict[str, str]:
    """Return the lines of a crt-list in the answer of `show ssl crt-list -n`, by number."""
    matches = (re.match(r'(\S+):(\d+)(?: (.*))?$', line) for line in text.splitlines())
    return {match[2]: f'{match[1]} {match[3] or ""}'.strip() for match in matches if match}


def crt_list_words(line: str) -> tuple[str, ...]:
    """Return a crt-list's line as words that compare; HAProxy prints the options in an order of its own."""
    return tuple(sorted(re.sub(r'[\[\]]', ' ', line).split()))


def fingerprints(text: str) -> tuple[str, ...]:
    """Return the SHA-1 fingerprints of certificates in the answer of `show ssl cert FILE` or `show ssl ca-file FILE`."""
    return tuple(match[1].upper() for match in re.finditer(r'SHA1 FingerPrint: ([0-9A-Fa-f]{40})', text))


def names(text: str) -> list[str]:
    """Return the files in the answer of `show ssl cert` or `show ssl ca-file`; uncommitted ones are left out."""
    files = (line.split(' ')[0] for line in text.splitlines())
    return [name for name in files if name and not name.startswith(('#', '*', '@'))]


def transaction(text: str) -> str:
    """Return the file of the transaction that is open, in the answer of `show ssl cert` or `show ssl ca-file`."""
    return next((line[1:].split(' ')[0] for line in text.splitlines() if line.startswith('*')), '')


def desired_backends(fragments: Iterable[Fragment]) -> dict[str, Backend]:
    """Return all backends of some fragments by name."""
    return {backend.name: backend for fragment in fragments for backend in fragment.backends}


def of_name(name: str) -> Backend:
    """Return a backend that only a worker has: its name says all that is known of it."""
    return Backend(name, *owner(name), Shape(), Options())


def map_repairs(name: Map, live: Mapping[str, list[str]], desired: Mapping[str, str]) -> list[Command]:
    """Return the commands that give a map the wanted entries; a key that stands twice is taken out first."""
    add_phase, del_phase = (Phase.POINTERS, Phase.POINTERS_GONE) if name in _ROUTING else (Phase.DATA, Phase.DATA_GONE)
    batch: list[Command] = []
    for key, values in live.items():
        if key not in desired:
            batch += [commands.del_entry(del_phase, Entry(name, key, ''))] * len(values)
        elif len(values) > 1:
            # `set map` changes them all, so what is left of them is set below.
            batch += [commands.del_entry(add_phase, Entry(name, key, ''))] * (len(values) - 1)
    batch += [
        commands.set_entry(add_phase, Entry(name, key, value))
        for key, value in desired.items()
        if key in live and any(live_value != value for live_value in live[key])
    ]
    added = [Entry(name, key, value) for key, value in desired.items() if key not in live]
    return [*batch, *commands.add_entries(add_phase, added)]


def backend_repairs(name: str, live: Servers | None, desired: Backend | None, *, limits: bool = False) -> list[Command]:
    """Return the commands that make a backend what is wanted; `live` is None when the worker does not have it.

    Where only a reload can bring it, the commands are refused, and that is the sign. `live` is all that the worker has,
    also what it was about to forget. HAProxy shows no server's limit of connections: with `limits` they are set again.
    """
    if desired is None:
        if live is None:
            return []
        return commands.del_backend(of_name(name), live)
    if live is None:
        return commands.add_backend(desired)
    return _server_repairs(desired, live, limits=limits)


def _server_repairs(desired: Backend, live: Servers, *, limits: bool) -> list[Command]:
    batch: list[Command] = []
    options = syntax.servers(desired)
    for server, parameters in options.items():
        if server not in live:
            batch += commands.add_server(Phase.ENDPOINTS, desired, server, parameters)
        else:
            if live[server].disabled:
                batch += commands.enable_server(Phase.ENDPOINTS, desired, server)
            if limits and desired.options.max_connections:
                batch.append(commands.set_limit(desired, server))
    for server, live_server in live.items():
        if server not in options:
            if not live_server.disabled:
                batch.append(commands.disable_server(Phase.ENDPOINTS, desired, server))
            batch += commands.del_server(desired, server)
    return batch


def ordered(batch: Iterable[Command]) -> tuple[Command, ...]:
    """Return commands in the order of their phases."""
    return tuple(sorted(batch, key=lambda command: command.phase))
