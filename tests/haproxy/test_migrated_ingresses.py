"""Ingresses with ingress-nginx's annotations as HTTPRoutes, by a real HAProxy: they answer as the Ingresses do.

The cases are those of tests/haproxy/ingress_nginx.
"""

import pytest

from conftest import binary
from headrace.migration import gateway_api, report
from headrace.names import Ref
from headrace.objects import parse
from headrace.objects.kinds import Service
from support import nginx_cases, nginx_edge
from support.edge import Edge

CASES = nginx_cases.read()
BY_HOST = 'external authentication by the host of the request has no counterpart'
NO_CERTIFICATE = 'requests are sent to HTTPS, and no certificate is named for'
REFUSED = {
    'external-own-host': BY_HOST,
    'external-own-host-1': 'it serves hosts of Ingress shop/external-own-host, which is not translated',
    'external-own-host-regex': BY_HOST,
    'external-own-host-regex-1': 'it serves hosts of Ingress shop/external-own-host-regex, which is not translated',
    'external-own-host-unserved': BY_HOST,
    'passthrough': 'connections are passed through, which needs a TLSRoute',
    'regex-shared': 'it serves hosts of Ingress shop/regex-shared-1, which is not translated',
    'regex-shared-1': 'the paths /foo/bar and /foo/bar/(.+) of regex-shared.example would be one',
    'rewrite-swap': 'rewriting /([a-z]+)/([0-9]+)/([a-z]+) to /$3/$1/$2 by groups has no counterpart',
    'tls-both': f'{NO_CERTIFICATE} tls-both.example',
    'tls-forced': f'{NO_CERTIFICATE} tls-forced.example',
}
# What answers otherwise, by request. A redirect of the API names the host and keeps the query.
DIFFERS = {
    'app-root-0': {'location': 'http://app-root.example/app1'},
    'app-root-1': {'location': 'http://app-root.example/app1?a=b'},
    'app-root-regex-0': {'location': 'http://app-root-regex.example/start'},
    'tls-app-root-0': {'location': 'https://tls-app-root.example/app'},
    # No Ingress leads there.
    'errors-1': {'passes': {'x-ingress-name': None}},
    # What was an expression is a prefix now, by elements of the path and with regard to case.
    'rewrite-4': {'status': 404, 'sends': None},
    'rewrite-optional-2': {'status': 404, 'sends': None},
}


def _of_refused(case):
    """Tell whether an Ingress of a case is not translated."""
    return any(name in REFUSED for name in (case, f'{case}-1', f'{case}-2'))


REQUESTS = [item for item in nginx_cases.requests(CASES) if not _of_refused(item.name.rpartition('-')[0])]


def translated(documents):
    """Return what the Ingresses of all cases become."""
    services = [parse.read(each).object for each in documents if each['kind'] == 'Service']
    assert all(isinstance(each, Service) for each in services)
    ingresses = [parse.read(each).object for each in nginx_cases.ingresses(CASES)]
    return gateway_api.translate(
        report.make(ingresses, (), 'ingress-nginx'), services, Ref('Gateway', 'shop', 'web'), 'headrace'
    )


@pytest.fixture(scope='module')
def edge():
    """One edge with the routes of all cases."""
    with nginx_edge.surroundings() as documents:
        found = translated(documents)
        assert {ref.name: why for ref, why in found.refused} == REFUSED
        with Edge(binary('haproxy-3.4'), *documents, *found.documents, **nginx_edge.SETTINGS) as started:
            yield started


@pytest.mark.parametrize('request_', REQUESTS, ids=[item.name for item in REQUESTS])
def test_a_route_answers_as_its_ingress(edge, request_):
    expected = {
        key: {**value, **other} if isinstance(value, dict) else other
        for key, value in request_.expected.items()
        for other in [DIFFERS.get(request_.name, {}).get(key, {} if isinstance(value, dict) else value)]
    }
    assert request_.outcome(edge.get) == expected


def test_most_requests_are_compared():
    assert len(REQUESTS) >= 300
