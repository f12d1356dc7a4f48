"""When Python looks for cyclic garbage: seldom while much is built that stays, and never again among that.

With its own thresholds a collection walks everything each time a quarter more has come, which is a fifth of the time that it
takes to build a large model.
"""

import gc

_THRESHOLDS = gc.get_threshold()
_WHILE_BUILDING = (100_000, 20, 20)


def collect_seldom() -> None:
    """Begin to build what lives as long as the process."""
    gc.set_threshold(*_WHILE_BUILDING)


def keep() -> None:
    """Walk nothing of what there is again, and return to the thresholds of before.

    What is garbage by now stays: it is some dozen objects, and to find them among those of 10,000 Services would hold up the first
    changes for a third of a second.
    """
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
