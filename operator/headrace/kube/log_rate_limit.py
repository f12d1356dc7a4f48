"""A filter of log lines: what says the same again and again is said once in a while.

Libraries have a line for every attempt; while the API server is away there are many.
"""

import logging

LINE_SECONDS = 10.0


class Seldom(logging.Filter):
    """Lets each kind of line (level and text, without what is filled in) through once in so many seconds."""

    def __init__(self, seconds: float = LINE_SECONDS) -> None:
        super().__init__()
        self._seconds = seconds
        self._next: dict[tuple[int, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is let through."""
        # Some texts have their values in them already: the words they begin with say what kind they are.
        kind = record.levelno, str(record.msg)[:_KIND]
        if record.created < self._next.get(kind, 0.0):
            return False
        if len(self._next) >= _MOST:
            self._next.clear()
        self._next[kind] = record.created + self._seconds
        return True


# "Request attempt #1 failed" and "#2" are the same news.
_KIND = 17
_MOST = 100


def quiet(*names: str, seconds: float = LINE_SECONDS) -> None:
    """Have some loggers say the same once in a while only; to say so twice changes nothing."""
    for name in names:
        logger = logging.getLogger(name)
        if not any(isinstance(each, Seldom) for each in logger.filters):
            logger.addFilter(Seldom(seconds))
