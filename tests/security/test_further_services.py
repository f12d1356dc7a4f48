"""Copies and error pages as tenants could abuse them: other namespaces, floods and loops."""

import contextlib
import json
import threading

import pytest

from conftest import binary
from headrace.haproxy.encode import map_entries
from support.authentication import Authentication, allow
from support.edge import Edge, Endpoints, web
from support.objects import built, fragment, service
from support.waiting import until

HTTP = [{'name': 'http', 'port': 80}]
AT_ONCE = 3
FAILED = (('X-Answer', json.dumps({'status': 500, 'body': 'own'})),)


@pytest.fixture(scope='module')
def endpoints():
    """The endpoints of the applications."""
    with Endpoints() as found:
        yield found


@pytest.mark.parametrize(
    'name', ['bank/other', 'other.bank', 'other.bank.svc', 'http://other.bank.svc/', 'other:80|bank_other_http']
)
def test_a_service_of_another_namespace_gets_no_copies_and_stands_in_for_nothing(name):
    said = {
        'host': 'a.com',
        'mirror-service': name,
        'fallback-service': name,
        'error-service': name,
        'error-statuses': '404',
    }
    made = built(service('app', annotations=said, ports=HTTP), service('other', 'bank', ports=HTTP))
    assert fragment(made, 'other', 'bank') is None
    assert map_entries.of_fragment(fragment(made, 'app')) == frozenset()


def test_copies_that_get_no_answer_take_no_place_of_errors_authentication_and_other_namespaces(endpoints):
    released = threading.Event()
    with contextlib.ExitStack() as closing:
        slow, quick = (closing.enter_context(Authentication(address)) for address in ('127.0.8.1', '127.0.8.2'))
        further = {'error_service': 'quick', 'error_statuses': '500', 'external_auth_service': 'quick'}
        documents = [
            *web('app', endpoints, mirror_service='slow', **further),
            *web('slow', slow, host='', address=slow.address),
            *web('quick', quick, host='', address=quick.address),
            *of('bank', web('next', endpoints, mirror_service='quick')),
            *of('bank', web('quick', quick, host='', address=quick.address)),
        ]
        edge = closing.enter_context(Edge(binary('haproxy-3.4'), *documents, max_authentications_per_namespace=AT_ONCE))
        closing.callback(released.set)
        slow.answer = lambda asked: (released.wait(15), allow(asked))[1]
        assert [edge.get('app.com').status for _ in range(4 * AT_ONCE)] == [200] * 4 * AT_ONCE
        until(lambda: len(slow.asked) == AT_ONCE, 'all places are taken')
        quick.asked.clear()
        assert edge.get('app.com', headers=FAILED).body != b'own'
        assert edge.get('next.com', '/of-bank').status == 200
        until(lambda: '/of-bank' in [asked.path for asked in quick.asked], 'the other namespace has its copy')
        assert len(slow.asked) == AT_ONCE


def test_copies_that_come_back_as_requests_end(endpoints):
    with Authentication() as server:
        documents = [
            *web('app', endpoints, mirror_service='copies'),
            *web('copies', server, host='', address=server.address),
        ]
        with Edge(binary('haproxy-3.4'), *documents) as edge:
            statuses = []

            def again(asked):
                headers = [
                    (name, value) for name, values in asked.headers.items() if name != 'host' for value in values
                ]
                statuses.append(edge.get('app.com', headers=headers).status)
                return 200, (), b''

            server.answer = again
            assert edge.get('app.com').status == 200
            # Each pass adds a mark, and so many are too many.
            until(lambda: len(statuses) == 10, 'all passes have ended')
            # Copies are sent beside the requests, so none waits for another one's answer.
            assert sorted(statuses) == [200] * 9 + [508]


def of(namespace, documents):
    """Return documents as ones of a namespace."""
    return [{**document, 'metadata': {**document['metadata'], 'namespace': namespace}} for document in documents]
