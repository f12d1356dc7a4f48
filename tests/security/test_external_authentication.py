"""External authentication as tenants could abuse it: other namespaces, own listeners, loops, and floods of answers."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from conftest import binary
from headrace.haproxy.encode import map_entries
from headrace.ir.fragment import Kind
from headrace.objects import parse
from headrace.resolve.state import State
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import build_context
from support.authentication import Authentication, allow
from support.edge import Edge, Endpoints, web
from support.objects import built, endpoint_slice, fragment, pointer, service
from support.waiting import until

HTTP = [{'name': 'http', 'port': 80}]
AT_ONCE = 4


def tenant(namespace, **said):
    """Return a Service of a namespace with host NAMESPACE.com that asks for authentication."""
    annotations = {'host': f'{namespace}.com', **{key.replace('_', '-'): value for key, value in said.items()}}
    return service('app', namespace, annotations=annotations, ports=HTTP)


@pytest.mark.parametrize(
    'url', ['http://auth.bank.svc/', 'http://auth.bank.svc.cluster.local:80/', 'http://auth.bank.svc.shop.svc/', 'http://shop.auth.bank.svc/']
)  # fmt: skip
def test_a_service_of_another_namespace_is_never_asked(url):
    made = built(
        tenant('shop', external_auth_url=url), service('auth', 'bank', ports=HTTP), service('auth', ports=HTTP)
    )
    assert pointer(made, Kind.ROUTE, 'shop.com/').flags == 'X'
    assert fragment(made, 'auth', 'bank') is None
    assert all('bank' not in entry.value for entry in map_entries.of_fragment(fragment(made, 'app')))


@pytest.mark.parametrize('port', [8080, 8443, 8404, 8405])
@pytest.mark.parametrize('address', ['127.0.0.1', '10.1.2.3'])
def test_headraces_own_listeners_are_never_asked(address, port):
    context = build_context.make(Settings())
    context = replace(context, api_server=True, own_addresses=frozenset(('10.1.2.3',)), admin_ports=frozenset((8405,)))
    store, made = Store(), State(context)
    pieces = endpoint_slice('auth', addresses=[address], port=port, port_name='http')
    for document in (tenant('shop', external_auth_service='auth'), service('auth', ports=HTTP), pieces):
        store.put(parse.read(document).object)
    made.update(store, store.take())
    (backend,) = fragment(made, 'auth').backends
    assert backend.groups == ()


# Of an entry: timeout, backend, method, URL, headers, sign-in, cache, body, cookie, namespace.
FIELDS = range(10)
HOSTILE = ('\n', '%[env(PATH)]', '"', '|', 'x|shop_auth_http|', '\x00', '{{ 7 * 7 }}', 'http://auth.shop.svc/|0|')


@pytest.mark.parametrize('key', ['service', 'path', 'url', 'method', 'response-headers', 'body-size'])
@pytest.mark.parametrize('value', HOSTILE)
def test_a_hostile_value_closes_the_route_and_reaches_no_map(key, value):
    said = {'external_auth_service': 'auth', f'external_auth_{key}'.replace('-', '_'): value}
    made = built(tenant('shop', **said), service('auth', ports=HTTP))
    assert 'X' in pointer(made, Kind.ROUTE, 'shop.com/').flags
    entries = [entry.value for entry in map_entries.of_fragment(fragment(made, 'app'))]
    assert all(len(text.split('|')) == len(FIELDS) for text in entries)
    assert value not in '|'.join(entries).split('|')


@pytest.fixture(scope='module')
def endpoints():
    """The endpoints of the applications."""
    with Endpoints() as found:
        yield found


@pytest.fixture
def server():
    """The Service that is asked."""
    with Authentication() as found:
        yield found


def test_a_question_that_comes_back_as_a_request_ends(endpoints, server):
    """The Service that is asked sends each question to the route that asks."""
    documents = [
        *web('app', endpoints, external_auth_service='auth'),
        *web('auth', server, host='', address=server.address),
    ]
    with Edge(binary('haproxy-3.4'), *documents) as edge:

        def again(asked):
            headers = [(name, value) for name, values in asked.headers.items() if name != 'host' for value in values]
            return edge.get('app.com', headers=headers).status, (), b''

        server.answer = again
        assert edge.get('app.com').status == 500
        # Each pass adds a mark, and so many are too many.
        assert len(server.asked) == 10


def test_a_namespace_whose_service_answers_nothing_costs_only_itself(endpoints, server):
    """All places of one namespace are taken, and another one's requests are asked about at once."""
    held = threading.Event()
    with Authentication('127.0.8.2') as other, contextlib.ExitStack() as closing:
        documents = [
            *web('app', endpoints, external_auth_service='auth', external_auth_timeout='20s'),
            *web('auth', server, host='', address=server.address),
            *of('bank', web('next', endpoints, external_auth_service='auth')),
            *of('bank', web('auth', other, host='', address=other.address)),
        ]
        edge = closing.enter_context(Edge(binary('haproxy-3.4'), *documents, max_authentications_per_namespace=AT_ONCE))
        pool = closing.enter_context(ThreadPoolExecutor(AT_ONCE))
        closing.callback(held.set)
        server.answer = lambda _: held.wait(15) and allow(_)
        waiting = [pool.submit(edge.get, 'app.com') for _ in range(AT_ONCE)]
        until(lambda: len(server.asked) == AT_ONCE, 'all places are taken')
        assert edge.get('app.com').status == 503
        assert [edge.get('next.com').status for _ in range(2 * AT_ONCE)] == [200] * 2 * AT_ONCE
        held.set()
        assert [found.result().status for found in waiting] == [200] * AT_ONCE


def of(namespace, documents):
    """Return documents as ones of a namespace."""
    return [{**document, 'metadata': {**document['metadata'], 'namespace': namespace}} for document in documents]


def test_a_namespace_that_uses_up_what_all_ask_costs_only_itself(endpoints, server):
    """The class asks one Service about all routes; all places of one namespace are taken."""
    released = threading.Event()
    with contextlib.ExitStack() as closing:
        documents = [
            *web('app', endpoints),
            *of('bank', web('next', endpoints)),
            *of('sso', web('auth', server, host='', address=server.address)),
        ]
        settings = {
            'max_authentications_per_namespace': AT_ONCE,
            'global_auth': {'url': 'http://auth.sso.svc/', 'timeout': '20s'},
        }
        edge = closing.enter_context(Edge(binary('haproxy-3.4'), *documents, **settings))
        pool = closing.enter_context(ThreadPoolExecutor(AT_ONCE))
        closing.callback(released.set)
        server.asked.clear()
        server.answer = lambda asked: allow(asked) if asked.header('x-other') else released.wait(15) and allow(asked)
        waiting = [pool.submit(edge.get, 'app.com') for _ in range(AT_ONCE)]
        until(lambda: len(server.asked) == AT_ONCE, 'all places are taken')
        assert edge.get('app.com').status == 503
        other = [edge.get('next.com', headers=[('X-Other', '1')]).status for _ in range(2 * AT_ONCE)]
        assert other == [200] * 2 * AT_ONCE
        released.set()
        assert [future.result().status for future in waiting] == [200] * AT_ONCE


@pytest.mark.parametrize(
    'url',
    [
        'https://$host.bank.svc/', 'http://auth.$host/', 'https://$host:8404/', 'https://$host@bank/', 'https://$host%2F@x/',
        'http://auth.bank.svc$request_uri', 'http://sso.example.com.evil.org/', 'https://user@sso.example.com/',
        'http://auth.shop.svc/' + 'a' * 5000, 'http://auth.shop.svc/%[env(PATH)]', 'http://auth.shop.svc/\r\nX: y', '$host$host',
    ],
)  # fmt: skip
def test_variables_and_hosts_of_the_class_lead_nowhere_else(url):
    settings = Settings(external_auth_hosts=('http://sso.example.com', 'other.bank.svc'))
    made = built(
        tenant('shop', external_auth_url=url),
        service('auth', ports=HTTP),
        service('auth', 'bank', ports=HTTP),
        settings=settings,
    )
    assert 'X' in pointer(made, Kind.ROUTE, 'shop.com/').flags
    assert map_entries.of_fragment(fragment(made, 'app')) == frozenset()


def test_the_path_of_a_client_stays_in_the_path_that_is_asked(endpoints, server):
    documents = [
        *web('app', endpoints, external_auth_url='http://auth.shop.svc$request_uri'),
        *web('auth', server, host='', address=server.address),
    ]
    server.answer = allow
    with Edge(binary('haproxy-3.4'), *documents) as edge:
        for path in ('//bank/x', '/@bank/', '/${host}', '/%0d%0aX:y', '/?a=b|c|d', '/a#b'):
            server.asked.clear()
            edge.get(
                'app.com', path, headers=[('X-Headrace-Backend', 'bank_auth_http'), ('X-Headrace-Namespace', 'bank')]
            )
            for asked in server.asked:
                assert asked.header('host') == 'auth.shop.svc'
                assert asked.path.startswith('/')
                assert 'x' not in asked.headers
