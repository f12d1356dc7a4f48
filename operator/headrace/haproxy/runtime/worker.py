"""One worker process of HAProxy: what was sent to it, and how more is sent.

Owns the connection to the runtime socket. Every answer is judged; what was refused is compared with what the worker
has and set right, and only what cannot be is given back as a reason for a reload.
"""

import asyncio
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.haproxy.encode import commands, map_entries, syntax
from headrace.haproxy.encode.commands import Command, Phase
from headrace.haproxy.plan import live_state, plan
from headrace.haproxy.plan.deferred import Deferred
from headrace.haproxy.plan.live_state import LiveState
from headrace.haproxy.plan.plan import Loaded, Plan
from headrace.haproxy.plan.reload_reasons import Reason, concerned
from headrace.haproxy.runtime import responses, versions
from headrace.haproxy.runtime.generations import VARIABLE
from headrace.haproxy.runtime.removals import Removals
from headrace.haproxy.runtime.responses import Answered, Outcome
from headrace.haproxy.runtime.sockets import Connection, RuntimeSocketError
from headrace.ir.backend import Backend
from headrace.ir.fragment import Fragment, Kind
from headrace.ir.policy import Map
from headrace.names import Ref
from headrace.resolve.changes import Change
from headrace.resolve.claims import ClaimKey
from headrace.resolve.model_snapshot import ModelSnapshot

_LONG_SECONDS = 60.0
# From so many backends on, the state of all is read at once.
_MANY = 200


class PlanError(Exception):
    """A change cannot be planned, by a defect; the worker has been sent nothing. The cause is chained."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a change: the plan, how many commands were sent, those refused, and why a reload is needed.

    The change is the difference that was planned: what was sent to the worker before is not in it.
    """

    change: Change
    plan: Plan
    sent: int
    refused: tuple[Answered, ...]
    reasons: tuple[Reason, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What a worker says of itself."""

    pid: int
    version: str
    generation: str
    stopping: bool


class Worker:
    """A worker that is connected to. One caller at a time applies; removals go on beside it, between batches."""

    def __init__(self, connection: Connection, facts: Facts, drain_seconds: float) -> None:
        self.connection, self.facts = connection, facts
        self.snapshot = ModelSnapshot()
        self.loaded = Loaded()
        self.deferred = Deferred()
        self.removals = Removals(drain_seconds)
        self.turn = asyncio.Lock()

    async def apply(self, wanted: ModelSnapshot, refs: AbstractSet[Ref], keys: AbstractSet[ClaimKey]) -> Applied:
        """Plan what differs from the wanted snapshot at some objects and keys, send it, and note what was sent.

        What waits for a reload and is linked with them is planned again. Raises RuntimeSocketError and PlanError.
        """
        began = time.perf_counter()
        async with self.turn:
            try:
                refs, keys = self.deferred.planned_with(refs, keys, self.snapshot, wanted)
                change = self.snapshot.change_to(wanted, refs, keys)
                made = plan.plan(change, self.loaded)
            except Exception as error:
                raise PlanError(f'plan: {type(error).__name__}') from error
            sent = self._prepared(made.commands)
            refused = [item for item in await self._send(sent) if item.outcome is not Outcome.DONE]
            self.deferred.note(refs, keys, change, made)
            self._told(change, made)
            reasons = set(made.reasons)
            if refused:
                reasons |= await self._set_right(refused, change)
        return Applied(change, made, len(sent), tuple(refused), tuple(sorted(reasons)), time.perf_counter() - began)

    def _told(self, change: Change, made: Plan) -> None:
        plan.tell(self.snapshot, change, made)
        before = self.loaded
        listening = made.listening
        if not listening and before.listening and any(kind is Kind.LISTENER for kind, _ in self.deferred.keys):
            # None of the ports that wait was part of this change.
            listening = before.listening
        if (
            made.missing
            or made.passing is not before.passing
            or made.listeners is not before.listeners
            or listening != before.listening
        ):
            self.loaded = replace(
                before,
                missing=before.missing | made.missing,
                passing=made.passing,
                listeners=made.listeners,
                listening=listening,
            )

    async def settle(self) -> None:
        """Let the right one of the two frontends of HTTPS have the connections: a fresh worker lets both.

        Raises RuntimeSocketError. What is as it should be already is an answer too.
        """
        if self.loaded.direct:
            wanted = commands.take_turns(passing=bool(self.loaded.passing))
            await self.connection.ask([command.text for command in wanted])

    def _prepared(self, wanted: Iterable[Command]) -> list[Command]:
        """Return what is sent now. What removes is noted for later; what would be made but is still there is kept."""
        now, found = time.monotonic(), list[Command]()
        for command in wanted:
            if command.removes:
                self.removals.put(command, now)
            elif command.phase in (Phase.SERVERS_GONE, Phase.BACKENDS_GONE):
                continue
            elif command.makes and self.removals.cancel(command.makes):
                found += _revived(command)
            else:
                found.append(command)
        return found

    async def _send(self, wanted: Sequence[Command], seconds: float = 10.0) -> list[Answered]:
        texts = list[str]()
        answered = list[int]()
        for command in wanted:
            answered.append(len(texts))
            texts.append(await self._located(command) if command.locate else command.text)
            if command.abort:
                # After a commit that succeeded there is nothing to abort, and HAProxy says so.
                texts.append(command.abort)
        found = await self.connection.ask(texts, seconds)
        return [responses.judge(command, found[place]) for command, place in zip(wanted, answered, strict=True)]

    async def _located(self, command: Command) -> str:
        """Return the text of a command that needs the number of a crt-list's line."""
        text = await self.connection.tell(f'show ssl crt-list -n {command.located_in}')
        number = live_state.line_number(text, command.locate)
        return f'{command.text}:{number}' if number else command.text

    async def _set_right(self, refused: Iterable[Answered], change: Change) -> set[Reason]:
        """Compare what refused commands spoke of with what it should be, and repair it once."""
        backends, maps = set[str](), set[Map]()
        reasons = set[Reason]()
        for item in refused:
            match item.command.line.split(' '):
                case ['add' | 'set' | 'del', 'map', file, *_]:
                    maps.add(Map(Path(file).stem))
                case [_, 'server' | 'health' | 'backend', where, *_] | ['set', 'maxconn', 'server', where, *_]:
                    backends.add(where.partition('/')[0])
                case _:
                    text = f'{item.command.line.split(" ")[0]}: {item.answer}'
                    reasons.add(Reason('refused', text, concerned(item.command, change)))
        wanted = self._wanted(self.snapshot.fragments.values()) if backends else {}
        done = await self._repair(sorted(backends), sorted(maps), wanted)
        again = [item for item in done if item.outcome is not Outcome.DONE]
        return reasons | {
            Reason('refused', f'{item.command.named}: {item.answer}', concerned(item.command, change)) for item in again
        }

    async def kept_at(self) -> float:
        """Return when HTTP/2 has last asked on a connection for a Service that has gone back; Unix seconds, 0 for never.

        Raises RuntimeSocketError.
        """
        found = re.search(r'value=<(\d+)>', await self.connection.tell('get var proc.kept'))
        return float(found[1]) if found else 0.0

    async def compare(self, refs: Iterable[Ref]) -> int:
        """Compare what the worker has of some objects' backends with the snapshot, repair it, and return how much differed.

        Raises RuntimeSocketError.
        """
        async with self.turn:
            wanted = self._wanted(self.snapshot.fragments[ref] for ref in refs if ref in self.snapshot.fragments)
            return len(await self._repair(sorted(wanted), [], wanted))

    async def compare_strangers(self) -> int:
        """Do the same with backends that the snapshot does not have; raises RuntimeSocketError."""
        async with self.turn:
            there = live_state.backends(await self.connection.tell('show backend', _LONG_SECONDS))
            known = self._wanted(self.snapshot.fragments.values()).keys() | self.removals.pending.keys()
            return len(await self._repair([name for name in there if name not in known], [], {}))

    async def compare_maps(self, maps: Iterable[Map]) -> int:
        """Do the same with whole maps; raises RuntimeSocketError."""
        async with self.turn:
            return len(await self._repair([], sorted(maps), {}))

    def _wanted(self, fragments: Iterable[Fragment]) -> dict[str, Backend]:
        return live_state.wanted_backends(fragments)

    async def _repair(
        self, names: Sequence[str], files: Sequence[Map], wanted: Mapping[str, Backend]
    ) -> list[Answered]:
        """Compare backends and maps with what is wanted, and send what sets them right; return the answers."""
        held = await self.observe(names, files)
        made: list[Command] = []
        for name in names:
            backend = None if name in self.loaded.missing else wanted.get(name)
            if backend is not None and name in self.removals.pending:
                continue
            made += live_state.backend_repairs(name, held.backends.get(name), backend)
        wished = map_entries.of_snapshot(self.snapshot) if files else {}
        # Where a worker has other listeners than planned, only the reload brings what leads to them.
        known = [file for file in files if file is not Map.LISTENERS or self.loaded.listeners.sizes]
        for file in known:
            made += live_state.map_repairs(file, held.maps[file], wished[file])
        # What waits for its connections is known, and no difference.
        made = [command for command in made if command.removes not in self.removals.pending]
        return await self.send(live_state.ordered(made))

    async def observe(self, names: Sequence[str], files: Sequence[Map]) -> LiveState:
        """Return what the worker has of these backends and maps; raises RuntimeSocketError."""
        try:
            return await self._observe(names, files)
        except (ValueError, LookupError) as error:
            raise RuntimeSocketError(f'an answer cannot be read: {error}') from error

    async def _observe(self, names: Sequence[str], files: Sequence[Map]) -> LiveState:
        found = LiveState()
        if len(names) > _MANY:
            there, text = await self.connection.ask(['show backend', 'show servers state'], _LONG_SECONDS)
            servers = live_state.servers(text)
            found.backends = {name: servers.get(name, {}) for name in set(names) & set(live_state.backends(there))}
        else:
            texts = await self.connection.ask([f'show servers state {name}' for name in names])
            for name, text in zip(names, texts, strict=True):
                if not live_state.is_unknown(text):
                    found.backends[name] = live_state.servers(text).get(name, {})
        texts = await self.connection.ask([f'show map {syntax.map_file(name)}' for name in files], _LONG_SECONDS)
        found.maps = {name: live_state.entries_of(text) for name, text in zip(files, texts, strict=True)}
        return found

    async def send(self, wanted: Iterable[Command]) -> list[Answered]:
        """Send commands of a repair, all but removals, which go on in the background; raises RuntimeSocketError."""
        return await self._send(self._prepared(wanted), _LONG_SECONDS)

    async def remove_some(self) -> tuple[int, list[Answered]]:
        """Try to forget what is due; return how many attempts there were, and those given up.

        Raises RuntimeSocketError.
        """
        async with self.turn:
            now = time.monotonic()
            batch, overdue = self.removals.batch(now)
            if not batch:
                return 0, []
            await self.connection.ask([f'shutdown sessions server {where}' for where in overdue])
            found = await self._send(batch)
            return len(batch), [item for item in found if self.removals.note(item, time.monotonic())]

    async def close(self) -> None:
        """Let go of the worker."""
        await self.connection.close()


def _revived(command: Command) -> list[Command]:
    """Return what must be said of something that is still there, instead of making it: its maxconn may differ."""
    found = re.search(r' maxconn (\d+)', command.line)
    if '/' not in command.makes or found is None:
        return []
    return [Command(command.phase, f'set maxconn server {command.makes} {found[1]}')]


async def facts(connection: Connection) -> Facts:
    """Return what a worker says of itself; raises RuntimeSocketError and OldHaproxyError."""
    info, generation = await connection.ask(['show info', f'show env {VARIABLE}'])
    said = dict(line.split(': ', 1) for line in info.splitlines() if ': ' in line)
    try:
        versions.require(said['Version'], 'the HAProxy that runs')
        return Facts(
            pid=int(said['Pid']),
            version=said['Version'],
            generation=generation.strip().partition('=')[2] if VARIABLE in generation else '',
            stopping=said.get('Stopping', '0') != '0',
        )
    except (KeyError, ValueError) as error:
        raise RuntimeSocketError('show info: no answer that can be read') from error
