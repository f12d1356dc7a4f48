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

from headrace.haproxy.encode import commands, map_entries, syntax
from headrace.haproxy.encode.commands import Command, OfBackend, OfMap, Phase
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
from headrace.ir.fragment import Kind
from headrace.ir.policy import Map
from headrace.names import Ref
from headrace.resolve.changes import Change
from headrace.resolve.claims import ClaimKey
from headrace.resolve.model_snapshot import ModelSnapshot

_LONG_SECONDS = 60.0
# What `show stat` is to tell of: backends, without their servers.
_OF_BACKENDS = '2 -1'
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

    async def apply(self, desired: ModelSnapshot, refs: AbstractSet[Ref], keys: AbstractSet[ClaimKey]) -> Applied:
        """Plan what differs from the wanted snapshot at some objects and keys, send it, and note what was sent.

        What waits for a reload and is linked with them is planned again. Raises RuntimeSocketError and PlanError.
        """
        start = time.perf_counter()
        async with self.turn:
            try:
                refs, keys = self.deferred.planned_with(refs, keys, self.snapshot, desired)
                change = self.snapshot.change_to(desired, refs, keys)
                steps = plan.plan(change, self.loaded)
            except Exception as error:
                raise PlanError(f'plan: {type(error).__name__}') from error
            batch = self._prepared(steps.commands)
            refused = [item for item in await self._send(batch) if item.outcome is not Outcome.DONE]
            self.deferred.note(refs, keys, change, steps)
            self._record(change, steps)
            reasons = set(steps.reasons)
            if refused:
                reasons |= await self._set_right(refused, change)
        return Applied(change, steps, len(batch), tuple(refused), tuple(sorted(reasons)), time.perf_counter() - start)

    def _record(self, change: Change, steps: Plan) -> None:
        plan.record(self.snapshot, change, steps)
        before = self.loaded
        resized = steps.resized
        if not resized and before.resized and any(kind is Kind.LISTENER for kind, _ in self.deferred.keys):
            # None of the ports that wait was part of this change.
            resized = before.resized
        if (
            steps.missing
            or steps.passing is not before.passing
            or steps.listeners is not before.listeners
            or resized != before.resized
        ):
            self.loaded = replace(
                before,
                missing=before.missing | steps.missing,
                passing=steps.passing,
                listeners=steps.listeners,
                resized=resized,
            )

    async def settle(self) -> None:
        """Let the right one of the two frontends of HTTPS have the connections: a fresh worker lets both.

        Raises RuntimeSocketError. What is as it should be already is an answer too.
        """
        if self.loaded.direct:
            batch = commands.take_turns(passing=bool(self.loaded.passing))
            await self.connection.ask([command.text for command in batch])

    def _prepared(self, requests: Iterable[Command]) -> list[Command]:
        """Return what is sent now. What removes is noted for later; what would be made but is still there is kept."""
        now, batch = time.monotonic(), list[Command]()
        for command in requests:
            if command.before:
                self.removals.prepare(command)
            elif command.removes:
                self.removals.put(command, now)
            elif command.phase in (Phase.SERVERS_GONE, Phase.BACKENDS_GONE):
                continue
            elif command.makes and self.removals.cancel(command.makes):
                batch += [*self.removals.retire(command.makes, now), *commands.revive(command)]
            else:
                if isinstance(command.subject, OfMap):
                    batch += self.removals.of_policies(command.subject.map, command.subject.keys)
                batch.append(command)
        return batch

    async def _send(self, batch: Sequence[Command], seconds: float = 10.0) -> list[Answered]:
        texts = list[str]()
        indices = list[int]()
        for command in batch:
            indices.append(len(texts))
            texts.append(await self._located(command) if command.locate else command.text)
            if command.abort:
                # After a commit that succeeded there is nothing to abort, and HAProxy says so.
                texts.append(command.abort)
        answers = await self.connection.ask(texts, seconds)
        return [responses.judge(command, answers[index]) for command, index in zip(batch, indices, strict=True)]

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
            match item.command.subject:
                case OfMap(name):
                    maps.add(name)
                case OfBackend(name):
                    backends.add(name)
                case _:
                    text = f'{item.command.line.split(" ")[0]}: {item.answer}'
                    reasons.add(Reason('refused', text, concerned(item.command, change)))
        desired = live_state.desired_backends(self.snapshot.fragments.values()) if backends else {}
        answers = await self._repair(sorted(backends), sorted(maps), desired)
        refusals = [item for item in answers if item.outcome is not Outcome.DONE]
        return reasons | {
            Reason('refused', f'{item.command.named}: {item.answer}', concerned(item.command, change))
            for item in refusals
        }

    async def kept_at(self) -> float:
        """Return when HTTP/2 has last asked on a connection for a Service that has gone back; Unix seconds, 0 for never.

        Raises RuntimeSocketError.
        """
        match = re.search(r'value=<(\d+)>', await self.connection.tell('get var proc.kept'))
        return float(match[1]) if match else 0.0

    async def connected(self, names: Iterable[str]) -> set[str]:
        """Return those of some backends that have sessions now; raises RuntimeSocketError."""
        names = [*names]
        answers = await self.connection.ask([f'show stat {name} {_OF_BACKENDS}' for name in names])
        return {name for name, text in zip(names, answers, strict=True) if live_state.sessions(text)}

    async def compare(self, refs: Iterable[Ref]) -> int:
        """Compare what the worker has of some objects' backends with the snapshot, repair it, and return how much differed.

        Raises RuntimeSocketError.
        """
        async with self.turn:
            desired = live_state.desired_backends(
                self.snapshot.fragments[ref] for ref in refs if ref in self.snapshot.fragments
            )
            return len(await self._repair(sorted(desired), [], desired))

    async def compare_strangers(self) -> int:
        """Do the same with backends that the snapshot does not have; raises RuntimeSocketError."""
        async with self.turn:
            live_names = live_state.backends(await self.connection.tell('show backend', _LONG_SECONDS))
            own_names = (
                live_state.desired_backends(self.snapshot.fragments.values()).keys() | self.removals.pending.keys()
            )
            return len(await self._repair([name for name in live_names if name not in own_names], [], {}))

    async def compare_maps(self, maps: Iterable[Map]) -> int:
        """Do the same with whole maps; raises RuntimeSocketError."""
        async with self.turn:
            return len(await self._repair([], sorted(maps), {}))

    async def _repair(
        self, names: Sequence[str], files: Sequence[Map], desired: Mapping[str, Backend]
    ) -> list[Answered]:
        """Compare backends and maps with what is wanted, and send what sets them right; return the answers."""
        live = await self.observe(names, files)
        batch: list[Command] = []
        for name in names:
            backend = None if name in self.loaded.missing else desired.get(name)
            if backend is not None and name in self.removals.pending:
                continue
            batch += live_state.backend_repairs(name, live.backends.get(name), backend)
        entries = map_entries.of_snapshot(self.snapshot) if files else {}
        # Where a worker has other listeners than planned, only the reload brings what leads to them.
        comparable = [file for file in files if file is not Map.LISTENERS or self.loaded.listeners.sizes]
        for file in comparable:
            batch += live_state.map_repairs(file, live.maps[file], entries[file])
        batch = [command for command in batch if not self._waits(command)]
        return await self.send(live_state.ordered(batch))

    def _waits(self, command: Command) -> bool:
        """Tell whether a repair removes what is to be removed anyway, which is no difference."""
        pending = self.removals.pending
        if isinstance(command.subject, OfMap) and command.phase in (Phase.DATA_GONE, Phase.POINTERS_GONE):
            return all(commands.entry_name(command.subject.map, key) in pending for key in command.subject.keys)
        return command.removes in pending or command.before in pending

    async def observe(self, names: Sequence[str], files: Sequence[Map]) -> LiveState:
        """Return what the worker has of these backends and maps; raises RuntimeSocketError."""
        try:
            return await self._observe(names, files)
        except (ValueError, LookupError) as error:
            raise RuntimeSocketError(f'an answer cannot be read: {error}') from error

    async def _observe(self, names: Sequence[str], files: Sequence[Map]) -> LiveState:
        live = LiveState()
        if len(names) > _MANY:
            names_text, text = await self.connection.ask(['show backend', 'show servers state'], _LONG_SECONDS)
            servers = live_state.servers(text)
            live.backends = {name: servers.get(name, {}) for name in set(names) & set(live_state.backends(names_text))}
        else:
            texts = await self.connection.ask([f'show servers state {name}' for name in names])
            for name, text in zip(names, texts, strict=True):
                if not live_state.is_unknown(text):
                    live.backends[name] = live_state.servers(text).get(name, {})
        texts = await self.connection.ask([f'show map {syntax.map_file(name)}' for name in files], _LONG_SECONDS)
        live.maps = {name: live_state.entries_of(text) for name, text in zip(files, texts, strict=True)}
        return live

    async def send(self, batch: Iterable[Command]) -> list[Answered]:
        """Send commands of a repair, all but removals, which go on in the background; raises RuntimeSocketError."""
        return await self._send(self._prepared(batch), _LONG_SECONDS)

    async def remove_some(self) -> tuple[int, list[Answered]]:
        """Try to forget what is due; return how many attempts there were, and those given up.

        Raises RuntimeSocketError.
        """
        async with self.turn:
            now = time.monotonic()
            batch, overdue = self.removals.batch(now)
            if not batch:
                return 0, []
            await self.connection.ask([f'shutdown sessions server {server}' for server in overdue])
            answers = await self._send(batch)
            return len(batch), [item for item in answers if self.removals.note(item, time.monotonic())]

    async def close(self) -> None:
        """Let go of the worker."""
        await self.connection.close()


async def facts(connection: Connection) -> Facts:
    """Return what a worker says of itself; raises RuntimeSocketError and OldHaproxyError."""
    info, generation = await connection.ask(['show info', f'show env {VARIABLE}'])
    fields = dict(line.split(': ', 1) for line in info.splitlines() if ': ' in line)
    try:
        versions.require(fields['Version'], 'the HAProxy that runs')
        return Facts(
            pid=int(fields['Pid']),
            version=fields['Version'],
            generation=generation.strip().partition('=')[2] if VARIABLE in generation else '',
            stopping=fields.get('Stopping', '0') != '0',
        )
    except (KeyError, ValueError) as error:
        raise RuntimeSocketError('show info: no answer that can be read') from error
