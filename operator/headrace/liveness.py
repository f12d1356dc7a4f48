"""`headrace alive`: whether the agent of some sockets comes round, for a probe that cannot know its port.

Small on purpose, as it runs again and again: it imports nothing of headrace.
"""

import http.client
import sys
from collections.abc import Sequence
from pathlib import Path

# Beside the sockets: where the agent's admin port is.
ADMIN = 'admin'
_SECONDS = 4.0
_OK = 200


def main(arguments: Sequence[str]) -> int:
    """Ask `/livez` of the agent whose sockets are in this folder; return 0 when it lives."""
    try:
        host, _, port = (Path(arguments[0]) / ADMIN).read_text().rpartition(' ')
        connection = http.client.HTTPConnection(host, int(port), timeout=_SECONDS)
        connection.request('GET', '/livez')
        response = connection.getresponse()
        text = response.read().decode(errors='replace').strip()
    except (OSError, ValueError, IndexError, http.client.HTTPException) as error:
        sys.stderr.write(f'headrace alive FOLDER: {error}\n')
        return 1
    sys.stdout.write(f'{text}\n')
    return 0 if response.status == _OK else 1
