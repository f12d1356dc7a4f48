"""Judging HAProxy's answers to runtime commands.

Pure. An answer is judged by the line that must be in it, never by what else is there: some commands also print warnings
about other servers, with text that came from endpoints (management guide, 9.3).
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from headrace.diagnostics import shorten
from headrace.haproxy.encode.commands import Command


class Outcome(StrEnum):
    """What became of a command."""

    DONE = 'done'
    BUSY = 'busy'
    REFUSED = 'refused'


@dataclass(frozen=True, slots=True)
class Answered:
    """A command and what became of it; `answer` is shortened, and '' when all is well."""

    command: Command
    outcome: Outcome
    answer: str = ''


# What a refusal says that will pass: connections that have not ended, or a transaction of another process.
_BUSY = (
    'still has connections attached',
    'Server still',
    'Backend still',
    'Only servers in maintenance mode can be deleted',
    'must be unpublished',
    'still attached',
    'still has streams',
    'has servers',
    "in use, can't be deleted",
)


# HAProxy keeps 1 kB of messages, warnings about other servers among them: what comes after that is lost.
_CUT = 1000
# HAProxy writes its prompt for a payload each time that it reads a part of one, and a large payload arrives in parts.
_PROMPTS = re.compile(r'^(?:\+(?: |$))+')
_GONE = ('No such server', 'No such backend', "Can't find backend", "doesn't exist!", 'Key not found')


def judge(command: Command, answer: str) -> Answered:
    """Return what became of a command, by its answer."""
    lines = [_PROMPTS.sub('', line).strip() for line in answer.splitlines()]
    lines = [line for line in lines if line]
    good = any(command.expected in line for line in lines) if command.expected else not lines
    if good or (command.removes and any(text in line for line in lines for text in _GONE)):
        return Answered(command, Outcome.DONE)
    busy = any(text in line for line in lines for text in _BUSY)
    # Whether a removal was done that has a cut answer is known when it is tried again.
    cut = bool(command.removes) and len(answer) >= _CUT
    outcome = Outcome.BUSY if busy or cut else Outcome.REFUSED
    if command.conceals(answer):
        # Of an unknown command, for one, HAProxy repeats the words.
        return Answered(command, outcome, 'an answer that repeats what is not shown')
    return Answered(command, outcome, shorten(' '.join(lines) or 'no answer', 200))
