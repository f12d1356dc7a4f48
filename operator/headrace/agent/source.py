"""What an agent follows, as the agent sees it: an API server, or a folder."""

from collections.abc import Callable
from typing import Protocol

from headrace.diagnostics import Diagnostic
from headrace.store import Store


class Source(Protocol):
    """Fills a store and keeps it current. `events` counts changes that watches reported, `missed_changes` those of sweeps alone."""

    events: int
    missed_changes: int

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return what is wrong with what could not be read."""

    def silent(self) -> dict[str, float]:
        """Return for each watch the seconds since its last event."""

    def problems(self) -> dict[str, str]:
        """Return what stands in the way, by subject."""

    async def read(self) -> None:
        """Return when everything is in the store once; `follow` runs meanwhile."""

    async def follow(self) -> None:
        """Keep the store current, until `stop`."""

    def stop(self) -> None:
        """End following."""


# Takes the store to fill, a function to call after each change (with the time of the news, in monotonic seconds), and one to
# call when handlers of signals may be set.
SourceOf = Callable[[Store, Callable[[float], None], Callable[[], None]], Source]
