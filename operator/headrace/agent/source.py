"""What an agent follows, as the agent sees it: an API server, or a folder."""

from collections.abc import Callable
from typing import Protocol

from headrace.diagnostics import Diagnostic
from headrace.store import Store


class Source(Protocol):
    """Fills a store and keeps it true. `events` counts changes that were told, `missed_changes` those that only a sweep found."""

    events: int
    missed_changes: int

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return what is wrong with what could not be read."""

    def silent(self) -> dict[str, float]:
        """Return for each watch how many seconds it has told nothing."""

    def problems(self) -> dict[str, str]:
        """Return what stands in the way, by subject."""

    async def read(self) -> None:
        """Return when everything is in the store once; `follow` runs meanwhile."""

    async def follow(self) -> None:
        """Keep the store true, until told to stop."""

    def stop(self) -> None:
        """End following."""


# Takes the store to fill, whom to wake after each change (with the time of the news, in monotonic seconds), and whom to
# call when handlers of signals may be set.
SourceOf = Callable[[Store, Callable[[float], None], Callable[[], None]], Source]
