"""Collections of garbage: seldom until the model is built, as Python has them afterwards."""

import gc

from headrace import garbage


def test_collections_are_seldom_until_what_was_built_is_kept():
    before = gc.get_threshold()
    garbage.collect_seldom()
    try:
        assert gc.get_threshold()[0] > 100 * before[0]
    finally:
        garbage.keep()
        kept = gc.get_freeze_count()
        gc.unfreeze()
    assert gc.get_threshold() == before
    assert kept > 0
