"""Requests to Ingresses with ingress-nginx's annotations by a real HAProxy: the answers are those of its documentation."""

import pytest

from conftest import binary
from support import nginx_cases, nginx_edge
from support.edge import Edge
from support.objects import ingress_class

CASES = nginx_cases.read()
REQUESTS = nginx_cases.requests(CASES)


@pytest.fixture(scope='module')
def edge():
    """One edge with the Ingresses of all cases."""
    with nginx_edge.surroundings() as documents:
        ingresses = (ingress_class(default=True), *nginx_cases.ingresses(CASES))
        with Edge(binary('haproxy-3.4'), *documents, *ingresses, **nginx_edge.SETTINGS) as found:
            yield found


@pytest.mark.parametrize('request_', REQUESTS, ids=[item.name for item in REQUESTS])
def test_a_request_is_answered_as_documented(edge, request_):
    assert request_.outcome(edge.get) == request_.expected
