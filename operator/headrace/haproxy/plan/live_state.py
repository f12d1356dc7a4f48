"""What a worker says that it has, and the commands that make it what it should be.

Pure: texts of `show …` in, values and commands out. This is how a running HAProxy is adopted without a reload, how a
refused command is set right, and how drift is found.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headrace.haproxy.encode import commands, syntax
from headrace.haproxy.encode.commands import Command, Phase
from headrace.ir.backend import Backend
from headrace.ir.fragment import Fragment
from headrace.ir.policy import LEADING, Entry, Map

# Admin state of `show servers state`: any of the three ways into maintenance.
_MAINTENANCE = 0x01 | 0x02 | 0x04 | 0x20
_OURS = '_'
_ROUTING = LEADING | {Map.ROUTES, Map.PORTS, Map.ADDRESSES, Map.PASSTHROUGH}


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
    found: dict[str, dict[str, Server]] = {}
    for line in text.splitlines():
        cells = line.split(' ')
        if len(cells) < 19 or cells[0].startswith('#'):  # noqa: PLR2004
            continue
        disabled = bool(int(cells[6]) & _MAINTENANCE)
        made = Server(cells[4], int(cells[18]), disabled, up=cells[5] != '0')
        found.setdefault(cells[1], {})[cells[3]] = made
    return found


def is_unknown(text: str) -> bool:
    """Tell whether `show servers state NAME` was answered by a worker that has no such backend."""
    return text.lstrip().startswith("Can't find backend")


def backends(text: str) -> list[str]:
    """Return our backends in the answer of `show backend`; the tables of rates are none."""
    return [name for name in text.split() if _OURS in name]


def entries_of(text: str) -> dict[str, list[str]]:
    """Return the entries in the answer of `show map FILE`."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(' ')
        key, _, value = rest.partition(' ')
        if key:
            found.setdefault(key, []).append(value)
    return found


def line_number(text: str, wanted: str) -> str:
    """Return the number of a line in the answer of `show ssl crt-list -n`, '' when it is not there."""
    words_of = crt_list_words(wanted)
    for line in text.splitlines():
        found = re.match(r'(\S+):(\d+)(?: (.*))?$', line)
        if found and crt_list_words(f'{found[1]} {found[3] or ""}') == words_of:
            return found[2]
    return ''


def crt_list(text: str) -> dict[str, str]:
    """Return the lines of a crt-list in the answer of `show ssl crt-list -n`, by number."""
    found = (re.match(r'(\S+):(\d+)(?: (.*))?$', line) for line in text.splitlines())
    return {match[2]: f'{match[1]} {match[3] or ""}'.strip() for match in found if match}


def crt_list_words(line: str) -> tuple[str, ...]:
    """Return a crt-list's line as words that compare; HAProxy prints the options in an order of its own."""
    return tuple(sorted(re.sub(r'[\[\]]', ' ', line).split()))


def fingerprints(text: str) -> tuple[str, ...]:
    """Return the SHA-1 fingerprints of certificates in the answer of `show ssl cert FILE` or `show ssl ca-file FILE`."""
    return tuple(match[1].upper() for match in re.finditer(r'SHA1 FingerPrint: ([0-9A-Fa-f]{40})', text))


def names(text: str) -> list[str]:
    """Return the files in the answer of `show ssl cert` or `show ssl ca-file`; uncommitted ones are left out."""
    found = (line.split(' ')[0] for line in text.splitlines())
    return [name for name in found if name and not name.startswith(('#', '*', '@'))]


def transaction(text: str) -> str:
    """Return the file of the transaction that is open, in the answer of `show ssl cert` or `show ssl ca-file`."""
    return next((line[1:].split(' ')[0] for line in text.splitlines() if line.startswith('*')), '')


def wanted_backends(fragments: Iterable[Fragment]) -> dict[str, Backend]:
    """Return all backends of some fragments by name."""
    return {backend.name: backend for fragment in fragments for backend in fragment.backends}


def map_repairs(name: Map, held: Mapping[str, list[str]], wanted: Mapping[str, str]) -> list[Command]:
    """Return the commands that give a map the wanted entries; a key that stands twice is taken out first."""
    come, gone = (Phase.POINTERS, Phase.POINTERS_GONE) if name in _ROUTING else (Phase.DATA, Phase.DATA_GONE)
    found: list[Command] = []
    for key, values in held.items():
        if key not in wanted:
            found += [commands.del_entry(gone, Entry(name, key, ''))] * len(values)
        elif len(values) > 1:
            # `set map` changes them all, so what is left of them is set below.
            found += [commands.del_entry(come, Entry(name, key, ''))] * (len(values) - 1)
    found += [
        commands.set_entry(come, Entry(name, key, value))
        for key, value in wanted.items()
        if key in held and any(each != value for each in held[key])
    ]
    added = [Entry(name, key, value) for key, value in wanted.items() if key not in held]
    return [*found, *commands.add_entries(come, added)]


def backend_repairs(name: str, held: Servers | None, wanted: Backend | None, *, limits: bool = False) -> list[Command]:
    """Return the commands that make a backend what is wanted; `held` is None when the worker does not have it.

    Where only a reload can bring it, the commands are refused, and that is the sign. `held` is all that the worker has,
    also what it was about to forget. HAProxy shows no server's limit of connections: with `limits` they are set again.
    """
    if wanted is None:
        if held is None:
            return []
        return commands.del_backend(name, held)
    if held is None:
        return commands.add_backend(wanted)
    return _server_repairs(wanted, held, limits=limits)


def _server_repairs(wanted: Backend, held: Servers, *, limits: bool) -> list[Command]:
    found: list[Command] = []
    options = syntax.servers(wanted)
    for server, rest in options.items():
        where = f'{wanted.name}/{server}'
        if server not in held:
            found += commands.add_server(Phase.ENDPOINTS, wanted, server, rest)
        else:
            if held[server].disabled:
                found += commands.enable_server(Phase.ENDPOINTS, wanted, where)
            if limits and wanted.options.max_connections:
                found.append(commands.set_limit(where, wanted.options.max_connections))
    for server, now in held.items():
        if server not in options:
            where = f'{wanted.name}/{server}'
            if not now.disabled:
                found.append(commands.disable_server(Phase.ENDPOINTS, where))
            found += commands.del_server(where)
    return found


def ordered(found: Iterable[Command]) -> tuple[Command, ...]:
    """Return commands in the order of their phases."""
    return tuple(sorted(found, key=lambda command: command.phase))
