"""Log lines: for people, or one JSON object a line. What an event is about stands in fields, not in its sentence."""

import json
import logging
import sys
import time
from typing import Literal

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {'message', 'asctime', 'taskName'}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _USUAL and value not in ('', None)}


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one JSON object."""
        stamp = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created)) + f'.{int(record.msecs):03d}Z'
        fields: dict[str, object] = {'time': stamp, 'level': record.levelname.lower(), 'message': record.getMessage()}
        fields |= {'logger': record.name, **_fields(record)}
        if record.exc_info:
            fields['exception'] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class _Human(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line for people."""
        stamp = time.strftime('%H:%M:%S', time.localtime(record.created)) + f'.{int(record.msecs):03d}'
        fields = ' '.join(f'{key}={value}' for key, value in _fields(record).items())
        line = f'{stamp} {record.levelname.lower():7} {record.getMessage()}' + (f'  ({fields})' if fields else '')
        return f'{line}\n{self.formatException(record.exc_info)}' if record.exc_info else line


def set_up(form: Literal['human', 'json'], level: str) -> None:
    """Send all log lines to standard error, in this form and from this level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == 'json' else _Human())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Its line for each request or change says nothing that ours do not.
    for noisy in ('aiohttp.access', 'watchfiles', 'asyncio'):
        logging.getLogger(noisy).setLevel(logging.WARNING)
