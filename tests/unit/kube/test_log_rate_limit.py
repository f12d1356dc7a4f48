"""What says the same again and again is said once in a while."""

import logging

import pytest

from headrace.kube import log_rate_limit


@pytest.fixture
def logger():
    """A logger of the test's own."""
    made = logging.getLogger('headrace.tests.seldom')
    made.filters.clear()
    return made


def test_the_same_is_said_once_and_others_too(logger, caplog):
    log_rate_limit.quiet(logger.name)
    for number in range(5):
        logger.error('Request attempt #%s failed', number)
        logger.error(f'Request attempt #{number} failed')  # noqa: G004  as kopf does it
        logger.error('something else')
    assert [record.getMessage() for record in caplog.records] == ['Request attempt #0 failed', 'something else']


def test_it_is_said_again_after_a_while(logger, caplog):
    log_rate_limit.quiet(logger.name, seconds=10)
    for at in (100.0, 105.0, 111.0):
        record = logger.makeRecord(logger.name, logging.ERROR, '', 0, 'away', (), None)
        record.created = at
        logger.handle(record)
    assert [record.created for record in caplog.records] == [100.0, 111.0]


def test_to_ask_for_quiet_twice_changes_nothing(logger):
    log_rate_limit.quiet(logger.name)
    log_rate_limit.quiet(logger.name)
    assert len(logger.filters) == 1
