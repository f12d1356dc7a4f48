"""Runtime commands as values: a line, a payload, and how its answer is judged.

Texts are those of HAProxy's management guide, section 9.3. An answer is judged by the line that must be in it, never
by what else is there: `del backend` prints warnings about other servers, with text that came from endpoints.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from headrace.haproxy.encode import syntax
from headrace.ir.backend import Backend
from headrace.ir.policy import Entry, Map

# A command line and its payload must fit HAProxy's buffer (tune.bufsize, 16,384 by default), with room to spare.
MAX_PAYLOAD = 12_000
# Of what is hidden, a piece that no text holds by chance.
_SECRET = re.compile(r'[A-Za-z0-9+/=]{12}')


class Phase(IntEnum):
    """The order of a batch: what is pointed to comes before the pointer, and goes after it."""

    AUTHORITIES = 0
    ENDPOINTS = 1
    DATA = 2
    BACKENDS = 3
    POINTERS = 4
    POINTERS_GONE = 5
    DATA_GONE = 6
    UNUSED = 7
    SERVERS_GONE = 8
    BACKENDS_GONE = 9


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `expected` is the line that a good answer holds, '' for a command that is silent on success.

    The payload may be key material, and the line hold credentials: `payload_shown` and `line_shown` are what is shown
    in their place. `locate` is a line of a crt-list (`located_in`) whose number the sender looks up (`show ssl crt-list
    -n`) and appends to the command as `:NUMBER`.

    `makes` names the server (BACKEND/SERVER) or backend that the command makes, `removes` the one that it forgets for
    good: connections may hold that up, so the applier tries it again later and does not wait.
    """

    phase: Phase
    line: str
    payload: str = ''
    expected: str = ''
    payload_shown: str = ''
    line_shown: str = ''
    locate: str = ''
    makes: str = ''
    removes: str = ''

    @property
    def text(self) -> str:
        """Return what is sent: the line, and the payload, which the line end that the sender adds makes end in an empty line.

        One more would be a command of its own, and its answer would be taken for that of the next one.
        """
        return f'{self.line} <<\n{self.payload}' if self.payload else self.line

    @property
    def shown(self) -> str:
        """Return the command as logs and people see it, without key material."""
        if not self.payload:
            return self.line_shown or self.line
        return f'{self.line} << ({self.payload_shown})' if self.payload_shown else f'{self.line} <<\n{self.payload}'

    @property
    def abort(self) -> str:
        """Return what is sent after a command that commits a transaction of TLS files, '' for all others.

        A transaction that cannot be committed stays open, and HAProxy refuses all others until it is aborted.
        """
        return f'abort {self.line.removeprefix("commit ")}' if self.line.startswith('commit ssl ') else ''

    @property
    def located_in(self) -> str:
        """Return the crt-list that holds the line to look up."""
        return self.line.split(' ')[3]

    @property
    def named(self) -> str:
        """Return the line alone, as logs and reasons name the command."""
        return self.line_shown or self.line

    def conceals(self, text: str) -> bool:
        """Tell whether a text, such as HAProxy's answer, repeats what is not shown of the command."""
        hidden = (self.line if self.line_shown else '') + '\n' + (self.payload if self.payload_shown else '')
        shown = f'{self.line_shown} {self.payload_shown}'
        return any(word in text and word not in shown for word in _SECRET.findall(hidden))

    def __repr__(self) -> str:
        """Return a text without the payload."""
        return f'Command({self.phase.name}: {self.named})'


def target(command: Command) -> Map | str | None:
    """Return the map that a command changes, or the name of the backend that it or its server is; None for TLS."""
    match command.line.split(' '):
        case ['add' | 'set' | 'del', 'map', file, *_]:
            return next(name for name in Map if syntax.map_file(name) == file)
        case [_, 'server' | 'health' | 'backend', name, *_] | ['set', 'maxconn', 'server', name, *_]:
            return name.partition('/')[0]
        case _:
            return None


def add_entries(phase: Phase, entries: Iterable[Entry]) -> list[Command]:
    """Return commands that add entries whose keys are not there, as few as payloads allow; sorted by map and key."""
    batch: list[Command] = []
    by_map: dict[Map, list[str]] = {}
    for entry in sorted(entries):
        by_map.setdefault(entry.map, []).append(f'{entry.key} {syntax.checked(entry.value)}\n')
    for map_name, lines in by_map.items():
        chunk, size = list[str](), 0
        for line in lines:
            if size + len(line.encode()) > MAX_PAYLOAD and chunk:
                batch.append(_add(phase, map_name, chunk))
                chunk, size = [], 0
            chunk.append(line)
            size += len(line.encode())
        batch.append(_add(phase, map_name, chunk))
    return batch


def _add(phase: Phase, map_name: Map, lines: list[str]) -> Command:
    label = 'credentials' if map_name is Map.AUTH else ''
    return Command(phase, f'add map {syntax.map_file(map_name)}', ''.join(lines), payload_shown=label)


def set_entry(phase: Phase, entry: Entry) -> Command:
    """Return the command that changes the value of a key that is there."""
    line = f'set map {syntax.map_file(entry.map)}'
    return Command(
        phase, f'{line} {syntax.escaped(entry.key)} {syntax.escaped(entry.value)}', line_shown=_concealed(line, entry)
    )


def del_entry(phase: Phase, entry: Entry) -> Command:
    """Return the command that removes a key."""
    line = f'del map {syntax.map_file(entry.map)}'
    return Command(phase, f'{line} {syntax.escaped(entry.key)}', line_shown=_concealed(line, entry))


def _concealed(line: str, entry: Entry) -> str:
    """Return what is shown of a command about an entry, '' for all: a hash is as good as a password that is weak."""
    return f'{line} {entry.key.partition(":")[0]}:(credentials)' if entry.map is Map.AUTH else ''


def add_server(phase: Phase, backend: Backend, name: str, options: str) -> list[Command]:
    """Return the commands that add a server and let it serve; a new one is in maintenance, and unchecked."""
    server = f'{backend.name}/{name}'
    command = Command(phase, f'add server {server} {options}', expected='New server registered.', makes=server)
    return [command, *enable_server(phase, backend, server)]


def enable_server(phase: Phase, backend: Backend, server: str) -> list[Command]:
    """Return the commands that let a server of a backend serve."""
    batch = [Command(phase, f'enable server {server}')]
    if backend.options.check:
        batch.append(Command(phase, f'enable health {server}'))
    return batch


def set_limit(server: str, connections: int) -> Command:
    """Return the command that changes how many connections a server gets at once."""
    return Command(Phase.ENDPOINTS, f'set maxconn server {server} {connections}')


def disable_server(phase: Phase, server: str) -> Command:
    """Return the command that keeps all new connections from a server, those with its cookie too."""
    return Command(phase, f'disable server {server}')


def del_server(server: str) -> list[Command]:
    """Return the commands that forget a server that is disabled, once its connections have ended."""
    return [
        Command(Phase.SERVERS_GONE, f'wait 2s srv-removable {server}', expected='Done.'),
        Command(Phase.SERVERS_GONE, f'del server {server}', expected='Server deleted.', removes=server),
    ]


def add_backend(backend: Backend) -> list[Command]:
    """Return the commands that make a backend with its servers."""
    name, phase = backend.name, Phase.BACKENDS
    line = f'add backend {name} from {backend.shape.profile}'
    batch = [Command(phase, line, expected='New backend registered.', makes=name)]
    for server, options in syntax.servers(backend).items():
        batch += add_server(phase, backend, server, options)
    return [*batch, publish_backend(name)]


def publish_backend(name: str) -> Command:
    """Return the command that lets a backend be used."""
    return Command(Phase.BACKENDS, f'publish backend {name}', expected='Backend published.')


def del_backend(name: str, servers: Iterable[str]) -> list[Command]:
    """Return the commands that remove a backend that nothing points to, its servers first."""
    batch = [Command(Phase.UNUSED, f'unpublish backend {name}', expected='Backend unpublished.')]
    for server in servers:
        batch += [disable_server(Phase.UNUSED, f'{name}/{server}'), *del_server(f'{name}/{server}')]
    return [
        *batch,
        Command(Phase.BACKENDS_GONE, f'wait 2s be-removable {name}', expected='Done.'),
        Command(Phase.BACKENDS_GONE, f'del backend {name}', expected='Backend deleted.', removes=name),
    ]


def take_turns(*, passing: bool) -> list[Command]:
    """Return the commands that let the frontend that looks at SNI have the connections, or the one that ends TLS itself."""
    phase = Phase.POINTERS if passing else Phase.POINTERS_GONE
    comes, goes = ('sni', 'https') if passing else ('https', 'sni')
    return [Command(phase, f'enable frontend {comes}'), Command(phase, f'disable frontend {goes}')]


def new_certificate(name: str, pem: bytes) -> list[Command]:
    """Return the commands that load a certificate's file that HAProxy does not have."""
    file = syntax.certificate_file(name)
    return [
        Command(Phase.DATA, f'new ssl cert {file}', expected=f"New empty certificate store '{file}'!"),
        *_fill_certificate(file, pem),
    ]


def set_certificate(name: str, pem: bytes) -> list[Command]:
    """Return the commands that replace a certificate's file."""
    return _fill_certificate(syntax.certificate_file(name), pem)


def del_certificate(name: str) -> Command:
    """Return the command that forgets a certificate's file that no crt-list names."""
    file = syntax.certificate_file(name)
    return Command(Phase.DATA_GONE, f'del ssl cert {file}', expected=f"Certificate '{file}' deleted!")


def new_authority(name: str, pem: bytes) -> list[Command]:
    """Return the commands that load an authority's file that HAProxy does not have."""
    file = syntax.authority_file(name)
    return [
        Command(Phase.AUTHORITIES, f'new ssl ca-file {file}', expected=f"New CA file created '{file}'!"),
        *_fill_authority(file, pem),
    ]


def set_authority(name: str, pem: bytes) -> list[Command]:
    """Return the commands that replace an authority's file."""
    return _fill_authority(syntax.authority_file(name), pem)


def del_authority(name: str) -> Command:
    """Return the command that forgets an authority's file."""
    file = syntax.authority_file(name)
    return Command(Phase.DATA_GONE, f'del ssl ca-file {file}', expected=f"CA file '{file}' deleted!")


def _fill_certificate(file: str, pem: bytes) -> list[Command]:
    return _transaction(Phase.DATA, f'ssl cert {file}', pem, f'for certificate {file}!')


def _fill_authority(file: str, pem: bytes) -> list[Command]:
    """Return the transaction; it comes before servers, which may name the file."""
    return _transaction(Phase.AUTHORITIES, f'ssl ca-file {file}', pem, f'for CA {file}!')


def _transaction(phase: Phase, subject: str, pem: bytes, expected: str) -> list[Command]:
    """Return a transaction; an empty line would end the payload, so the PEM has none."""
    payload = ''.join(f'{line}\n' for line in pem.decode().splitlines() if line)
    return [
        Command(phase, f'set {subject}', payload, expected, payload_shown='PEM'),
        Command(phase, f'commit {subject}', expected='Success!'),
    ]


def add_certificate_line(crt_list: str, line: str, phase: Phase = Phase.POINTERS) -> Command:
    """Return the command that adds a line to a crt-list."""
    return Command(phase, f'add ssl crt-list {crt_list}', f'{line}\n', 'Success!')


def del_certificate_line(crt_list: str, line: str, phase: Phase = Phase.POINTERS_GONE) -> Command:
    """Return the command that removes a line of a crt-list.

    A file may stand in several lines, and the number that tells them apart is known to the running process only.
    """
    file = line.partition(' ')[0]
    return Command(phase, f'del ssl crt-list {crt_list} {file}', expected='deleted', locate=line)
