"""Waiting for what has to become true, and no longer."""

import time

# What comes soon is seen soon; what takes long is asked for seldom, because questions cost the CPU that it needs.
_PAUSE, _LONGEST, _FACTOR = 0.005, 0.05, 1.2


def until(condition, what, *, within=60.0):
    """Return what `condition()` gives as soon as that is true; fail with `what` when it is not in time."""
    deadline, pause = time.monotonic() + within, _PAUSE
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f'not within {within:g} s: {what}; last was {found!r}')
        time.sleep(pause)
        pause = min(pause * _FACTOR, _LONGEST)
    return found
