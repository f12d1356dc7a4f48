"""Where the C library keeps memory: in one heap for all threads, whose end goes back to the system.

By default each thread has a heap of its own, and keeps there what was freed. One thread after the other renders all files for a
reload, so an agent of 1,000 Services kept 20 MB after its first reload, and keeps 5 MB now. Threads of Python wait for one another
anyway, so that one heap costs no time.
"""

import contextlib
import ctypes

# Of malloc.h: how many heaps there are at most, and how many bytes at the end of one may be free.
_MOST_HEAPS, _MOST_FREE = -8, -1
_FREE = 128 * 1024


def share() -> None:
    """Let threads that begin from now on share the heap of the process; nothing happens without GNU's C library."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_MOST_HEAPS, 1)
        library.mallopt(_MOST_FREE, _FREE)
