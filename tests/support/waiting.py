"""Waiting for what has to become true, and no longer."""

import time

_PAUSE = 0.02


def until(condition, what, *, within=20.0):
    """Return what `condition()` gives as soon as that is true; fail with `what` when it is not in time."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f'not within {within:g} s: {what}; last was {found!r}')
        time.sleep(_PAUSE)
    return found
