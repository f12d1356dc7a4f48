"""What was found about a host, one line for each check."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Whether the agent can run with it; the texts are what is printed."""

    GOOD = 'ok'
    WARNING = 'warning'
    MISSING = 'missing'


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its subject, how it went, what was found, and what to do about it ('' for nothing)."""

    subject: str
    level: Level
    message: str
    remedy: str = ''


def good(subject: str, message: str) -> Finding:
    """Return a finding about something that is as it should be."""
    return Finding(subject, Level.GOOD, message)


def warning(subject: str, message: str, remedy: str = '') -> Finding:
    """Return a finding about something that an agent can run with, and not well."""
    return Finding(subject, Level.WARNING, message, remedy)


def missing(subject: str, message: str, remedy: str = '') -> Finding:
    """Return a finding about something that an agent cannot run without."""
    return Finding(subject, Level.MISSING, message, remedy)
