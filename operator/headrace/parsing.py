"""Parsing one document of a source: the one place where an unexpected error of the parser is logged.

Every source comes this way, so an object on which headrace fails costs that object alone, with a diagnostic.
"""

import logging

from headrace.objects.parse import Reading, read
from headrace.objects.secrets import DEFAULT_LIMITS
from headrace.settings.secret_keys import Secrets

log = logging.getLogger(__name__)


def parse(document: object, limits: Secrets = DEFAULT_LIMITS, *, statuses: bool = False) -> Reading:
    """Return the object that a document holds, and log an unexpected error with its traceback."""
    reading = read(document, limits, statuses=statuses)
    if reading.failed is not None:
        log.error(
            'headrace failed on an object', exc_info=reading.failed, extra={'object': str(reading.diagnostics[0].ref)}
        )
    return reading
