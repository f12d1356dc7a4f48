"""Runtime commands as values: a line, a payload, and how its answer is judged.

Texts are those of HAProxy's management guide, section 9.3. An answer is judged by the line that must be in it, never
by what else is there: `del backend` prints warnings about other servers, with text that came from endpoints.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

from headrace.haproxy.encode import syntax
from headrace.ir.backend import Backend
from headrace.ir.fragment import Kind
from headrace.ir.policy import Entry, Map
from headrace.names import Ref
from headrace.resolve.claims import ClaimKey

# A command line and its payload must fit HAProxy's buffer (tune.bufsize, 16,384 by default), with room to spare.
MAX_PAYLOAD = 12_000
# Of what is hidden, a piece that no text holds by chance.
_SECRET = re.compile(r'[A-Za-z0-9+/=]{12}')


class Phase(IntEnum):
    """The order of a batch: what is pointed to comes before the pointer, and goes after it."""

    FILES = 0
    ENDPOINTS = 1
    DATA = 2
    BACKENDS = 3
    POINTERS = 4
    POINTERS_GONE = 5
    DATA_GONE = 6
    UNUSED = 7
    SERVERS_GONE = 8
    BACKENDS_GONE = 9
    FILES_GONE = 10


class OfBackend(NamedTuple):
    """The subject of a command about a backend, or about one of its servers."""

    name: str
    service: Ref


class OfMap(NamedTuple):
    """The subject of a command about entries of a map."""

    map: Map
    keys: frozenset[str]


class OfClaim(NamedTuple):
    """The subject of a command about a file of TLS, or about a line of a crt-list: the key whose content it is."""

    key: ClaimKey


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `expected` is the line that a good answer holds, '' for a command that is silent on success.

    The payload may be key material, and the line hold credentials: `payload_shown` and `line_shown` are what is shown
    in their place. `locate` is a line of a crt-list (`located_in`) whose number the sender looks up (`show ssl crt-list
    -n`) and appends to the command as `:NUMBER`. `abort` is what is sent after a command that commits a transaction of
    TLS files: one that cannot be committed stays open, and HAProxy refuses all others until it is aborted.

    `subject` is what the command is about, None for frontends and for lines that only the worker has; the line is never
    parsed to find it. `limit` is the maxconn of a server that the command makes.

    `makes` names the server (BACKEND/SERVER), backend or file of TLS that the command makes, `removes` the one,
    or the entry of a map, that it forgets for good: connections may hold that up, so the applier tries it again later and does not wait. `before` is
    what a command takes out of use that nothing leads to any more: requests that looked their route up before may still be on
    their way there, so it is sent a while later, just before that is forgotten.
    """

    phase: Phase
    line: str
    payload: str = ''
    expected: str = ''
    payload_shown: str = ''
    line_shown: str = ''
    locate: str = ''
    located_in: str = ''
    abort: str = ''
    makes: str = ''
    removes: str = ''
    before: str = ''
    limit: int = 0
    subject: OfBackend | OfMap | OfClaim | None = None

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
    def backend(self) -> str:
        """Return the name of the backend that the command is about, '' for none."""
        return self.subject.name if isinstance(self.subject, OfBackend) else ''

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


def add_entries(phase: Phase, entries: Iterable[Entry]) -> list[Command]:
    """Return commands that add entries whose keys are not there, as few as payloads allow; sorted by map and key."""
    batch: list[Command] = []
    by_map: dict[Map, dict[str, str]] = {}
    for entry in sorted(entries):
        by_map.setdefault(entry.map, {})[entry.key] = f'{entry.key} {syntax.checked(entry.value)}\n'
    for map_name, lines in by_map.items():
        chunk, size = dict[str, str](), 0
        for key, line in lines.items():
            if size + len(line.encode()) > MAX_PAYLOAD and chunk:
                batch.append(_add(phase, map_name, chunk))
                chunk, size = {}, 0
            chunk[key] = line
            size += len(line.encode())
        batch.append(_add(phase, map_name, chunk))
    return batch


def _add(phase: Phase, map_name: Map, lines: Mapping[str, str]) -> Command:
    return Command(
        phase,
        f'add map {syntax.map_file(map_name)}',
        ''.join(lines.values()),
        payload_shown='credentials' if map_name is Map.AUTH else '',
        subject=OfMap(map_name, frozenset(lines)),
    )


def set_entry(phase: Phase, entry: Entry) -> Command:
    """Return the command that changes the value of a key that is there."""
    line = f'set map {syntax.map_file(entry.map)}'
    return Command(
        phase,
        f'{line} {syntax.escaped(entry.key)} {syntax.escaped(entry.value)}',
        line_shown=_concealed(line, entry),
        subject=OfMap(entry.map, frozenset((entry.key,))),
    )


def del_entry(phase: Phase, entry: Entry, *, later: bool = False) -> Command:
    """Return the command that removes a key; `later` tells that requests on their way may still look it up."""
    line = f'del map {syntax.map_file(entry.map)}'
    return Command(
        phase,
        f'{line} {syntax.escaped(entry.key)}',
        line_shown=_concealed(line, entry),
        removes=entry_name(entry.map, entry.key) if later else '',
        subject=OfMap(entry.map, frozenset((entry.key,))),
    )


def entry_name(name: Map, key: str) -> str:
    """Return what an entry is called among what is removed later."""
    return f'{syntax.map_file(name)} {key}'


def _concealed(line: str, entry: Entry) -> str:
    """Return what is shown of a command about an entry, '' for all: a hash is as good as a password that is weak."""
    return f'{line} {entry.key.partition(":")[0]}:(credentials)' if entry.map is Map.AUTH else ''


def add_server(phase: Phase, backend: Backend, name: str, options: str) -> list[Command]:
    """Return the commands that add a server and let it serve; a new one is in maintenance, and unchecked."""
    server = f'{backend.name}/{name}'
    command = Command(
        phase,
        f'add server {server} {options}',
        expected='New server registered.',
        makes=server,
        limit=backend.options.max_connections,
        subject=_of(backend),
    )
    return [command, *enable_server(phase, backend, name)]


def _of(backend: Backend) -> OfBackend:
    return OfBackend(backend.name, backend.service)


def enable_server(phase: Phase, backend: Backend, name: str) -> list[Command]:
    """Return the commands that let a server of a backend serve."""
    server, subject = f'{backend.name}/{name}', _of(backend)
    batch = [Command(phase, f'enable server {server}', subject=subject)]
    if backend.options.check:
        batch.append(Command(phase, f'enable health {server}', subject=subject))
    return batch


def set_limit(backend: Backend, name: str) -> Command:
    """Return the command that changes how many connections a server gets at once to what its backend says."""
    line = f'set maxconn server {backend.name}/{name} {backend.options.max_connections}'
    return Command(Phase.ENDPOINTS, line, subject=_of(backend))


def revive(command: Command) -> list[Command]:
    """Return what is sent instead of a command that makes something that is still there: its maxconn may differ."""
    if not command.limit:
        return []
    return [Command(command.phase, f'set maxconn server {command.makes} {command.limit}', subject=command.subject)]


def disable_server(phase: Phase, backend: Backend, name: str) -> Command:
    """Return the command that keeps all new connections from a server, those with its cookie too."""
    return Command(phase, f'disable server {backend.name}/{name}', subject=_of(backend))


def del_server(backend: Backend, name: str) -> list[Command]:
    """Return the commands that forget a server that is disabled, once its connections have ended."""
    server, subject, phase = f'{backend.name}/{name}', _of(backend), Phase.SERVERS_GONE
    return [
        Command(phase, f'wait 2s srv-removable {server}', expected='Done.', subject=subject),
        Command(phase, f'del server {server}', expected='Server deleted.', removes=server, subject=subject),
    ]


def add_backend(backend: Backend) -> list[Command]:
    """Return the commands that make a backend with its servers."""
    name, phase = backend.name, Phase.BACKENDS
    line = f'add backend {name} from {backend.shape.profile}'
    batch = [Command(phase, line, expected='New backend registered.', makes=name, subject=_of(backend))]
    for server, options in syntax.servers(backend).items():
        batch += add_server(phase, backend, server, options)
    return [*batch, publish_backend(backend)]


def publish_backend(backend: Backend) -> Command:
    """Return the command that lets a backend be used."""
    line = f'publish backend {backend.name}'
    return Command(Phase.BACKENDS, line, expected='Backend published.', subject=_of(backend))


def del_backend(backend: Backend, servers: Iterable[str]) -> list[Command]:
    """Return the commands that remove a backend that nothing points to, its servers first."""
    name, subject, phase = backend.name, _of(backend), Phase.BACKENDS_GONE
    line, answer = f'unpublish backend {name}', 'Backend unpublished.'
    batch = [Command(Phase.UNUSED, line, expected=answer, before=name, subject=subject)]
    for server in servers:
        disable = replace(disable_server(Phase.UNUSED, backend, server), before=f'{name}/{server}')
        batch += [disable, *del_server(backend, server)]
    return [
        *batch,
        Command(phase, f'wait 2s be-removable {name}', expected='Done.', subject=subject),
        Command(phase, f'del backend {name}', expected='Backend deleted.', removes=name, subject=subject),
    ]


def take_turns(*, passing: bool) -> list[Command]:
    """Return the commands that let the frontend that looks at SNI have the connections, or the one that ends TLS itself."""
    phase = Phase.POINTERS if passing else Phase.POINTERS_GONE
    comes, goes = ('sni', 'https') if passing else ('https', 'sni')
    return [Command(phase, f'enable frontend {comes}'), Command(phase, f'disable frontend {goes}')]


def new_certificate(name: str, pem: bytes) -> list[Command]:
    """Return the commands that load a certificate's file that HAProxy does not have."""
    file, subject = syntax.certificate_file(name), OfClaim((Kind.CERTIFICATE, name))
    answer = f"New empty certificate store '{file}'!"
    return [
        Command(Phase.FILES, f'new ssl cert {file}', expected=answer, makes=file, subject=subject),
        *set_certificate(name, pem),
    ]


def set_certificate(name: str, pem: bytes) -> list[Command]:
    """Return the commands that replace a certificate's file; they come before servers and crt-lists, which may name it."""
    file = syntax.certificate_file(name)
    subject = OfClaim((Kind.CERTIFICATE, name))
    return _transaction(Phase.FILES, f'ssl cert {file}', pem, f'for certificate {file}!', subject)


def del_certificate(name: str) -> Command:
    """Return the command that forgets a certificate's file that no crt-list names, once no server has it any more."""
    file, subject = syntax.certificate_file(name), OfClaim((Kind.CERTIFICATE, name))
    answer = f"Certificate '{file}' deleted!"
    return Command(Phase.FILES_GONE, f'del ssl cert {file}', expected=answer, removes=file, subject=subject)


def new_authority(name: str, pem: bytes) -> list[Command]:
    """Return the commands that load an authority's file that HAProxy does not have."""
    file, subject = syntax.authority_file(name), OfClaim((Kind.AUTHORITY, name))
    answer = f"New CA file created '{file}'!"
    return [
        Command(Phase.FILES, f'new ssl ca-file {file}', expected=answer, makes=file, subject=subject),
        *set_authority(name, pem),
    ]


def set_authority(name: str, pem: bytes) -> list[Command]:
    """Return the commands that replace an authority's file; they come before servers, which may name it."""
    file = syntax.authority_file(name)
    subject = OfClaim((Kind.AUTHORITY, name))
    return _transaction(Phase.FILES, f'ssl ca-file {file}', pem, f'for CA {file}!', subject)


def del_authority(name: str) -> Command:
    """Return the command that forgets an authority's file, once no server that shows a certificate has it any more."""
    file, subject = syntax.authority_file(name), OfClaim((Kind.AUTHORITY, name))
    answer = f"CA file '{file}' deleted!"
    return Command(Phase.FILES_GONE, f'del ssl ca-file {file}', expected=answer, removes=file, subject=subject)


def _transaction(phase: Phase, file: str, pem: bytes, expected: str, subject: OfClaim) -> list[Command]:
    """Return a transaction; an empty line would end the payload, so the PEM has none."""
    payload = ''.join(f'{line}\n' for line in pem.decode().splitlines() if line)
    return [
        Command(phase, f'set {file}', payload, expected, payload_shown='PEM', subject=subject),
        Command(phase, f'commit {file}', expected='Success!', abort=f'abort {file}', subject=subject),
    ]


def add_certificate_line(
    crt_list: str, line: str, claim: ClaimKey | None = None, phase: Phase = Phase.POINTERS
) -> Command:
    """Return the command that adds a line to a crt-list; `claim` is the key whose content makes the line."""
    subject = OfClaim(claim) if claim else None
    return Command(phase, f'add ssl crt-list {crt_list}', f'{line}\n', 'Success!', subject=subject)


def del_certificate_line(
    crt_list: str, line: str, claim: ClaimKey | None = None, phase: Phase = Phase.POINTERS_GONE
) -> Command:
    """Return the command that removes a line of a crt-list.

    A file may stand in several lines, and the number that tells them apart is known to the running process only.
    """
    file = line.partition(' ')[0]
    return Command(
        phase,
        f'del ssl crt-list {crt_list} {file}',
        expected='deleted',
        locate=line,
        located_in=crt_list,
        subject=OfClaim(claim) if claim else None,
    )
