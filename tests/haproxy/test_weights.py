"""Routes with several backends, by a real HAProxy: requests are shared by weight, and commands change the shares."""

import collections
import contextlib

import pytest

from conftest import binary
from headrace.haproxy.encode import routes
from headrace.ir.routing import Split, WeightedBackend
from headrace.names import Ref
from support.edge import Endpoints, web
from support.routed import SPLITS, Routed, candidate, conditions, route

REQUESTS = 600
OWNER = Ref('HTTPRoute', 'shop', 'a')
POLICY = '0' * 31 + '1'


@pytest.fixture(scope='module')
def edge():
    """An edge with three Services; one sets headers in both directions and keeps clients at an endpoint."""
    with contextlib.ExitStack() as closing:
        endpoints = closing.enter_context(Endpoints())
        documents = [
            *web('s1', endpoints, address='127.0.9.1'),
            *web('s2', endpoints, address='127.0.9.2'),
            *web('s3', endpoints, address='127.0.9.3', request_headers='X-Own: 3', response_headers='X-Back: 3'),
        ]
        yield closing.enter_context(Routed(binary('haproxy-3.4'), *documents))


def split(*weights, flags='', own=None):
    backends = [WeightedBackend(f'shop_s{number}_http', weight) for number, weight in enumerate(weights, 1)]
    if own is not None:
        backends[-1] = WeightedBackend(backends[-1].backend, backends[-1].weight, *own)
    return candidate('s1', target=Split(tuple(backends), POLICY, flags))


def counted(edge, number=REQUESTS, host='r.com'):
    """Return how many of some requests each Service has served."""
    return collections.Counter(edge.get(host).said['at'].rpartition('.')[2] for _ in range(number))


def test_requests_are_shared_by_weight(edge):
    edge.exchange(OWNER, [(route(), split(1, 2, 7))])
    found = counted(edge)
    # Six standard deviations of a binomial distribution.
    for name, share in (('1', 0.1), ('2', 0.2), ('3', 0.7)):
        assert abs(found[name] - REQUESTS * share) < 6 * (REQUESTS * share * (1 - share)) ** 0.5, found


def test_a_backend_with_weight_zero_gets_no_request_from_the_command_on(edge):
    edge.exchange(OWNER, [(route(), split(1, 1, 1))])
    assert set(counted(edge, 100)) == {'1', '2', '3'}
    edge.exchange(OWNER, [(route(), split(1, 0, 1))])
    assert set(counted(edge, 100)) == {'1', '3'}


def test_a_split_whose_weights_are_all_zero_is_closed(edge):
    edge.exchange(OWNER, [(route(), split(0, 0, 0))])
    assert edge.get('r.com').status == 503


def test_a_split_whose_shares_are_missing_is_closed(edge):
    edge.exchange(OWNER, [(route(), split(1, 1))])
    edge.haproxy.command(f'clear map {SPLITS}')
    assert edge.get('r.com').status == 503
    for key, value in routes.shares(split(1, 1).candidate.target).items():
        edge.haproxy.command(f'add map {SPLITS} {key} {value}')
    assert edge.get('r.com').status == 200


def test_a_candidate_with_conditions_can_be_split(edge):
    with_header = split(0, 1, 1)
    edge.exchange(
        OWNER,
        [
            (route(), candidate('s1', conditions(headers=[('x', '1')]), target=with_header.candidate.target)),
            (route(), candidate('s1', rule=1)),
        ],
    )
    assert {edge.get('r.com', headers=[('x', '1')]).said['at'] for _ in range(40)} == {'127.0.9.2', '127.0.9.3'}
    assert {edge.get('r.com').said['at'] for _ in range(10)} == {'127.0.9.1'}


def test_a_backend_of_a_split_has_its_own_headers(edge):
    _, *own = edge.entry('s3.com/').split('|')
    edge.exchange(OWNER, [(route(), split(1, 0, 1, own=own))])
    seen = {}
    for _ in range(60):
        answer = edge.get('r.com')
        seen[answer.said['at']] = (answer.said['headers'].get('x-own'), answer.headers.get('x-back'))
    assert seen == {'127.0.9.1': (None, None), '127.0.9.3': (['3'], '3')}


def test_a_client_that_stays_has_one_backend(edge):
    edge.exchange(OWNER, [(route(), split(1, 1, 1, flags='K'))])
    assert len(counted(edge, 30)) == 1
