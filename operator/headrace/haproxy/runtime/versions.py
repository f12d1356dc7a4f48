"""Which versions of HAProxy headrace works with.

Pure. An older one is refused before anything is rendered for it or sent to it.
"""

import re

NEEDED = (3, 4)


class OldHaproxyError(Exception):
    """A HAProxy is older than headrace needs; the message names the version found and the one needed."""


def require(version: str, which: str) -> None:
    """Accept a version such as `3.4.7` or `3.5-dev2`; raises OldHaproxyError for one that is too old."""
    found = re.match(r'(\d{1,3})\.(\d{1,3})', version)
    if found is None or (int(found[1]), int(found[2])) < NEEDED:
        needed = '.'.join(map(str, NEEDED))
        raise OldHaproxyError(f'{which} is HAProxy {version}; headrace needs HAProxy {needed} or later')
