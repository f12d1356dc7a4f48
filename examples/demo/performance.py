"""One run of the demonstration: what it says, whether that is true, and how long a change takes to be."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable

from stage import Answer, Stage

from agent import wait_for

# What has not followed until then does not follow; a reload of an older HAProxy may have to wait for its turn.
_SECONDS = 6.0


class Performance:
    """One run: its stage, and what it has said."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.said, self.wrong = stage, 0, 0

    def show(self, words: str, asked: str, *, expected: str, found: str) -> None:
        """Say something in plain words, what was asked to see it, and what came; `expected` is what makes it true."""
        right = found == expected
        self.said += 1
        self.wrong += not right
        print(f'  {"ok   " if right else "WRONG"} {words}')
        if right:
            print(f'          {asked}  ->  {found}')
        else:
            print(f'          {asked}\n          expected: {expected}\n          found:    {found}')
        sys.stdout.flush()

    def follows(self, words: str, asked: str, ask: Callable[[], str], expected: str, *, news: bool = False) -> None:
        """Show that traffic follows a change that was just made, and what that has cost HAProxy.

        `news`: something that an older HAProxy has to be reloaded for.
        """
        began, (worker, before) = time.monotonic(), self.held
        wait_for(lambda: ask() == expected, _SECONDS)
        took = time.monotonic() - began
        self.held = self.stage.agent.haproxy_says()
        reloads = self.held[1] - before
        wanted = 1 if news and self.stage.reloads_for_news else 0
        self.show(
            words,
            f'{asked}, {took * 1000:.0f} ms after the change',
            expected=f'{expected}; {_cost(wanted, same=not wanted)}',
            found=f'{ask()}; {_cost(reloads, same=self.held[0] == worker)}',
        )

    def remember(self) -> None:
        """Look which process serves, and how often HAProxy was reloaded, before changes are made."""
        self.held = self.stage.agent.haproxy_says()


def _cost(reloads: int, *, same: bool) -> str:
    return f'{reloads or "no"} reload, {"the same" if same else "another"} worker'


def tally(answers: Iterable[Answer]) -> str:
    """Return who answered how often."""
    counts = Counter(str(answer) for answer in answers)
    return ', '.join(f'{who} ({count}x)' for who, count in sorted(counts.items()))
