"""Metrics of Services: what a namespace makes and removes again leaves nothing behind."""

import pytest

from headrace.agent.traffic import Traffic

SERVING, OLD = 7, 6


def stat(**sessions):
    """Return what a worker answers about backends with so many sessions each."""
    return '# pxname,svname,stot\n' + ''.join(f'{name},BACKEND,{count}\n' for name, count in sessions.items())


def key(name):
    return 'shop', name, '80'


def remembered(traffic):
    """Return of how many backends anything is kept."""
    return len(traffic._last), len(traffic.totals)


@pytest.fixture
def traffic():
    return Traffic(enabled=True)


def test_services_that_come_and_go_under_new_names_leave_nothing(traffic):
    for number in range(50):
        name = f'web{number}'
        traffic.take({SERVING: stat(**{name: 1})}, [SERVING], {name: key(name)})
    assert remembered(traffic) == (1, 1)


def test_a_backend_that_comes_again_with_more_sessions_than_before_counts_all_of_them(traffic):
    for sessions in ({'web': 5}, {}, {'web': 8}):
        traffic.take({SERVING: stat(**sessions)}, [SERVING], {'web': key('web')})
    assert traffic.totals[key('web')][0] == 13


def test_what_a_worker_had_that_does_not_answer_once_counts_once(traffic):
    workers, owners = [SERVING, OLD], {'web': key('web')}
    traffic.take({SERVING: stat(web=1), OLD: stat(web=5)}, workers, owners)
    traffic.take({SERVING: stat(web=2)}, workers, owners)
    traffic.take({SERVING: stat(web=3), OLD: stat(web=6)}, workers, owners)
    assert traffic.totals[key('web')][0] == 9
    traffic.take({SERVING: stat(web=3)}, [SERVING], owners)
    assert remembered(traffic) == (1, 1)
