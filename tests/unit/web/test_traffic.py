"""Rates of traffic between readings of agents' counters."""

from headrace.web.views import lists, traffic
from headrace.web.views.traffic import History

COLUMNS = ['stot', 'bin', 'bout', 'econ', 'wretr', 'hrsp_1xx', 'hrsp_2xx', 'hrsp_3xx', 'hrsp_4xx', 'hrsp_5xx', 'scur', 'qcur', 'act',
           'qtime', 'ctime', 'rtime', 'ttime']  # fmt: skip
ASKED = lists.Wanted('/traffic')


def answer(**requests):
    """Return an agent's answer with so many good requests of Services; a pair has answers 5xx as well."""
    rows = []
    for name, value in requests.items():
        good, bad = value if isinstance(value, tuple) else (value, 0)
        row = dict.fromkeys(COLUMNS, 0.0) | {
            'hrsp_2xx': good,
            'hrsp_5xx': bad,
            'stot': good + bad,
            'rtime': 0.05,
            'act': 2,
        }
        rows.append(['shop', name, '80', *row.values()])
    return {'enabled': True, 'age': 0.0, 'columns': COLUMNS, 'rows': rows}


def history(*readings, seconds=10.0):
    made = History()
    for number, reading in enumerate(readings):
        made.take(100.0 + number * seconds, reading)
    return made


def rows(made, **asked):
    found = traffic.traffic(made, lists.Wanted('/traffic', **asked))
    return [(row.service.name, row.rate.requests) for row in found.rows]


def test_a_rate_is_what_was_between_two_readings_of_all_agents():
    made = history({'a': answer(web=100), 'b': answer(web=50)}, {'a': answer(web=(200, 10)), 'b': answer(web=90)})
    assert rows(made) == [('web', 15.0)]
    total = traffic.traffic(made, ASKED).total
    assert (total.requests, total.errors, total.latency) == (15.0, 1.0, 0.05)


def test_counters_that_began_anew_are_no_negative_rate():
    assert rows(history({'a': answer(web=1000)}, {'a': answer(web=20)})) == [('web', 2.0)]


def test_an_agent_that_comes_brings_no_requests_of_before():
    assert rows(history({'a': answer(web=10)}, {'a': answer(web=20), 'b': answer(web=5000)})) == [('web', 1.0)]


def test_services_come_by_rate_and_can_be_searched():
    made = history({'a': answer(one=0, two=0, idle=0)}, {'a': answer(one=10, two=20, idle=0)})
    assert rows(made) == [('two', 2.0), ('one', 1.0), ('idle', 0.0)]
    assert rows(made, sort='service') == [('idle', 0.0), ('one', 1.0), ('two', 2.0)]
    assert rows(made, search='shop/ON') == [('one', 1.0)]


def test_what_is_kept_is_bounded():
    many = {f's{number}': number for number in range(traffic.MOST + 50)}
    made = history(*[{'a': answer(**{name: value * turn for name, value in many.items()})} for turn in (1, 2)])
    assert len(made.samples[-1].rates) == traffic.MOST
    for turn in range(traffic.KEPT + 10):
        made.take(1000.0 + turn, {'a': answer(web=turn)})
    assert len(made.samples) == traffic.KEPT


def test_a_line_through_values_stays_within_its_picture():
    points = [tuple(map(float, each.split(','))) for each in traffic.sparkline([0, 5, 10, 2.5]).split()]
    assert points[0][0] == 0
    assert points[-1][0] == traffic.WIDTH
    assert all(0 <= y <= traffic.HEIGHT for _, y in points)
    assert min(y for _, y in points) == points[2][1]
    assert traffic.sparkline([0, 0, 0]) == ''
    assert traffic.sparkline([3]) == ''


def test_answers_that_are_none_are_no_traffic():
    for odd in ({}, {'rows': 3}, {'columns': ['stot'], 'rows': [[1], 'x', None, ['a', 'b', 'c', 4]]}):
        history({'a': odd}, {'a': odd})
