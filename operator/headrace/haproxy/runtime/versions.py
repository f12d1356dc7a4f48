"""Which versions of HAProxy headrace works with.

Pure. An older one is refused before anything is rendered for it or sent to it.
"""

import re

NEEDED = (3, 4)


class OldHaproxyError(Exception):
    """A HAProxy is older than headrace needs; the message names the version found and the one needed."""


def require(version: str, subject: str) -> None:
    """Accept a version such as `3.4.7` or `3.5-dev2`; raises OldHaproxyError for one that is too old."""
    match = re.match(r'(\d{1,3})\.(\d{1,3})', version)
    if match is None or (int(match[1]), int(match[2])) < NEEDED:
        needed = '.'.join(map(str, NEEDED))
        raise OldHaproxyError(f'{subject} is HAProxy {version}; headrace needs HAProxy {needed} or later')
