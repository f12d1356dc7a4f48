"""Servers, backends, files of TLS and entries that are to be forgotten, and that connections or requests hold on to.

Pure but for the clock that callers give. Nothing leads to them; what is left is to delete them as soon as their connections
have ended, or to end those after the drain timeout. What only new requests were kept from is disabled a while later: those that
looked up their route before it changed may still be on their way, and those that wait for external authentication longest.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from headrace import names
from headrace.haproxy.encode.commands import Command, OfMap, Phase
from headrace.haproxy.runtime.responses import Answered, Outcome
from headrace.ir.policy import Map

_FIRST_WAIT = 0.02
# As long as external authentication takes at most, by default.
_GRACE_SECONDS = 5.0
_LONGEST_WAIT = 5.0
# One `del backend` takes about 1 ms where there are 10,000: endpoints must not wait behind many.
_BACKENDS_AT_ONCE, _MOST_BACKENDS_AT_ONCE = 1, 10
_SERVERS_AT_ONCE, _MOST_SERVERS_AT_ONCE = 20, 200
_FILES_AT_ONCE, _ENTRIES_AT_ONCE = 20, 200
# Where more are due, a part of them is tried at once: else those that change all the time pile up.
_PART = 10
_GIVE_UP_AFTER = 5


@dataclass(slots=True)
class Removal:
    """One thing to be forgotten: when to try (monotonic seconds), how long to wait after, and when it must end.

    `before` is sent before the first attempt.
    """

    command: Command
    due: float
    wait: float
    deadline: float
    refused: int = 0
    before: Command | None = None


@dataclass(slots=True)
class Removals:
    """What one worker still has to forget, by name: BACKEND/SERVER, BACKEND, a file of TLS, or a map and a key."""

    drain_seconds: float
    pending: dict[str, Removal] = field(default_factory=dict)
    _before: dict[str, Command] = field(default_factory=dict)
    # The names of entries by their map and policy.
    _entries: dict[tuple[Map, str], dict[str, None]] = field(default_factory=dict)

    def put(self, command: Command, now: float) -> None:
        """Note a command that removes something, after what takes it out of use, if anything does."""
        before = self._before.pop(command.removes, None)
        in_use = before is not None or isinstance(command.subject, OfMap)
        due = now + _GRACE_SECONDS if in_use else now
        removal = Removal(command, due, _FIRST_WAIT, due + self.drain_seconds, before=before)
        self.pending.setdefault(command.removes, removal)
        if isinstance(command.subject, OfMap):
            for key in command.subject.keys:
                self._entries.setdefault((command.subject.map, key[: names.DIGITS]), {})[command.removes] = None

    def prepare(self, command: Command) -> None:
        """Note a command that takes something out of use; that what it is about is removed is noted next."""
        self._before[command.before] = command

    def cancel(self, name: str) -> bool:
        """Keep what was to be forgotten, because it is wanted again; return whether it was there."""
        wanted = name in self.pending
        if wanted:
            self._forget(name)
        return wanted

    def of_policies(self, name: Map, keys: Iterable[str]) -> Iterator[Command]:
        """Yield what forgets the entries of the policies of some keys, which lead somewhere anew: the old ones must not count."""
        for policy in {key[: names.DIGITS] for key in keys} if self._entries else ():
            for entry in self._entries.pop((name, policy), ()):
                yield self.pending.pop(entry).command

    def retire(self, backend: str, now: float) -> Iterator[Command]:
        """Yield what takes the servers of a backend out of use at once, because it is wanted again."""
        for item in self.pending.values():
            if item.command.backend == backend and item.before is not None:
                yield item.before
                item.before, item.due = None, now

    def next_due(self) -> float | None:
        """Return when the next attempt is due, None when nothing is left to forget."""
        return min((item.due for item in self.pending.values()), default=None)

    def batch(self, now: float) -> tuple[list[Command], list[str]]:
        """Return what to send for the attempts that are due, a few, and the servers whose connections must end first.

        Backends come after all servers of theirs are gone; HAProxy itself keeps the files that servers have.
        """
        due = [item for item in self.pending.values() if item.due <= now]
        servers = [item for item in due if item.command.phase is Phase.SERVERS_GONE]
        servers = servers[: min(max(_SERVERS_AT_ONCE, len(servers) // _PART), _MOST_SERVERS_AT_ONCE)]
        overdue = [item.command.removes for item in servers if item.deadline <= now]
        busy = {item.command.backend for item in self.pending.values() if item.command.phase is Phase.SERVERS_GONE}
        backends = [item for item in due if item.command.phase is Phase.BACKENDS_GONE]
        for item in backends:
            if item.command.removes in busy:
                item.due = now + item.wait
        free = [item for item in backends if item.command.removes not in busy]
        free = free[: min(max(_BACKENDS_AT_ONCE, len(free) // _PART), _MOST_BACKENDS_AT_ONCE)]
        files = [item for item in due if item.command.phase is Phase.FILES_GONE][:_FILES_AT_ONCE]
        entries = [item for item in due if isinstance(item.command.subject, OfMap)][:_ENTRIES_AT_ONCE]
        attempts = (*entries, *servers, *free, *files)
        prepared = [item.before for item in attempts if item.before is not None]
        for item in attempts:
            item.before = None
        return [*prepared, *(item.command for item in attempts)], overdue

    def note(self, answered: Answered, now: float) -> bool:
        """Note how an attempt ended; return whether it was given up."""
        name = answered.command.removes
        item = self.pending.get(name)
        if item is None:
            return False
        if answered.outcome is Outcome.DONE:
            self._forget(name)
            return False
        if answered.outcome is Outcome.REFUSED:
            item.refused += 1
            if item.refused >= _GIVE_UP_AFTER:
                self._forget(name)
                return True
        item.due, item.wait = now + item.wait, min(item.wait * 2, _LONGEST_WAIT)
        return False

    def _forget(self, name: str) -> None:
        subject = self.pending.pop(name).command.subject
        if not isinstance(subject, OfMap):
            return
        for policy in {(subject.map, key[: names.DIGITS]) for key in subject.keys} & self._entries.keys():
            self._entries[policy].pop(name, None)
            if not self._entries[policy]:
                del self._entries[policy]
