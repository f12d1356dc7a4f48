"""The secret by which a node makes the stand-ins of IPv6 addresses, kept beside the instance slots so that all agents of the node agree."""

import contextlib
import os
import secrets
from pathlib import Path

_FILE = 'stand-ins.key'
_BYTES = 32


def read_or_make(root: Path) -> bytes:
    """Return the node's key, made when there is none yet; raises OSError."""
    path = root / _FILE
    with contextlib.suppress(FileNotFoundError):
        if len(key := path.read_bytes()) == _BYTES:
            return key
        # It was cut off, as by a full disk.
        path.unlink(missing_ok=True)
    root.mkdir(mode=0o750, parents=True, exist_ok=True)
    temporary = root / f'.{_FILE}.{os.getpid()}'
    temporary.unlink(missing_ok=True)
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, 'wb') as stream:
            stream.write(secrets.token_bytes(_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        # Another agent of the node may be as far: the first one's counts.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
    return path.read_bytes()
