"""Which listener a request comes to, what its connection gets, and which client the rules see."""

import pytest

from headrace.explain.request import RequestError
from support.explained import trace
from support.gateways import (
    GATEWAY_CLASS,
    OWN_NAMESPACE,
    backend,
    gateway,
    http_route,
    l4_route,
    listener,
    listener_set,
    rule,
    slot_service,
)
from support.objects import ca_secret, endpoint_slice, service, tls_secret

HTTP = [{'name': 'http', 'port': 80}]
READY = endpoint_slice(addresses=['10.0.0.1'], port_name='http')
TLS = {'certificateRefs': [{'name': 'tls'}]}


def web(name='web', namespace='shop', created='2024-01-01T00:00:00Z', **annotations):
    given = {key.replace('_', '-'): text for key, text in annotations.items()}
    return service(name, namespace, annotations=given, ports=HTTP, created=created)


SECURED = web(host='a.com', tls_secret='tls', tls_redirect='false')
CONNECTIONS = {
    'a certificate': ('https://a.com/', [SECURED], {}, 'certificate shop_tls', False),
    'no certificate': ('https://b.com/', [SECURED], {}, 'no certificate for server name b.com', True),
    'no server name': ('https://192.0.2.9/', [SECURED], {}, 'no certificate for server name (none)', True),
    'the default certificate': ('https://b.com/', [SECURED], {'default_certificate': 'shop/tls'}, 'the default certificate of the class', False),
    'a wildcard': ('https://x.b.com/', [web(host='*.b.com', tls_secret='tls')], {}, 'certificate shop_tls', False),
    'a client certificate': (
        'https://a.com/', [web(host='a.com', tls_secret='tls', client_ca_secret='ca')], {}, 'certificate shop_tls; the client must show a certificate', True,
    ),
    'passed through': ('https://a.com/', [web(host='a.com', mode='tls-passthrough')], {}, 'TLS is passed through by its server name', False),
    'passed through by a wildcard': ('https://x.a.com/', [web(host='*.a.com', mode='tls-passthrough')], {}, 'TLS is passed through by its server name', False),
    'passed through for any host': ('https://x.a.com/', [web(host='*', mode='tls-passthrough')], {}, 'TLS is passed through by its server name', False),
    'ended beside a wildcard': (
        'https://b.a.com/', [web(host='*.a.com', mode='tls-passthrough'), web('b', host='b.a.com', tls_secret='tls')], {}, 'certificate shop_tls', False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(('line', 'documents', 'settings', 'because', 'closed'), CONNECTIONS.values(), ids=CONNECTIONS)
def test_what_a_connection_gets(line, documents, settings, because, closed):
    found = trace(line, *documents, READY, tls_secret(), ca_secret(), **settings)
    assert (found.steps[0].because, found.outcome.closed) == (because, closed)


@pytest.mark.parametrize(
    ('annotations', 'documents', 'because'),
    [
        pytest.param({}, [READY], 'an endpoint gets the connection as it comes', id='an endpoint'),
        pytest.param({}, [], 'the Service has no endpoint that can be used', id='no endpoint'),
        pytest.param({'maintenance': 'true'}, [READY], 'the route is closed, or in maintenance', id='maintenance'),
        pytest.param({'deny': '192.0.2.1'}, [READY], '192.0.2.1 is in a denied network', id='denied'),
        pytest.param({'allow': '10.0.0.0/8'}, [READY], '192.0.2.1 is in no allowed network', id='not allowed'),
        pytest.param({'allow': '192.0.2.0/24'}, [READY], 'an endpoint gets the connection as it comes', id='allowed'),
    ],
)
def test_what_becomes_of_tls_that_is_passed_through(annotations, documents, because):
    found = trace('https://a.com/', web(host='a.com', mode='tls-passthrough', **annotations), *documents)
    assert found.outcome.because == because
    assert found.outcome.closed is not found.outcome.served


def test_a_wildcard_of_another_namespace_passes_nothing_through():
    documents = (web(host='b.a.com'), web('w', 'bank', '2025-01-01T00:00:00Z', host='*.a.com', mode='tls-passthrough'))
    assert trace('https://b.a.com/', *documents, READY).outcome.because == 'no certificate for server name b.a.com'


def test_a_request_for_another_host_than_that_of_its_connection():
    documents = (SECURED, web('other', host='b.com'), READY, tls_secret())
    assert trace('https://a.com/', *documents, headers=['Host: b.com']).outcome.status == 421
    assert trace('https://a.com/', *documents, headers=['Host: none.com']).outcome.status == 404
    wanted = trace('https://a.com/', *documents, headers=['Host: b.com'], default_certificate='shop/tls')
    assert wanted.outcome.because == 'Service shop/other has no endpoint that can be used'


def test_a_connection_that_asked_for_no_certificate_of_the_routes_authority():
    documents = (
        web(host='a.com', tls_secret='tls', client_ca_secret='ca'),
        web('b', host='b.com', tls_secret='tls'),
        READY,
        tls_secret(),
        ca_secret(),
    )
    found = trace(
        'https://b.com/', *documents, headers=['Host: a.com'], certificate=True, default_certificate='shop/tls'
    )
    assert (found.outcome.status, found.outcome.because) == (
        421,
        'the connection asked for no certificate of this authority',
    )


CLIENTS = {
    'of a trusted proxy': (['X-Forwarded-For: 192.0.2.7, 198.51.100.9'], '198.51.100.9', 403),
    'of a trusted proxy behind one': (['X-Forwarded-For: 198.51.100.9, 10.0.0.2'], '198.51.100.9', 403),
    'of several lines': (['X-Forwarded-For: 198.51.100.1', 'X-Forwarded-For: 10.0.0.3'], '198.51.100.1', 403),
    'that is no address': (['X-Forwarded-For: me'], None, 400),
    'that is not told': ([], '10.0.0.1', 0),
}


@pytest.mark.parametrize(('headers', 'client', 'status'), CLIENTS.values(), ids=CLIENTS)
def test_the_client_that_a_trusted_proxy_names(headers, client, status):
    found = trace(
        'http://a.com/',
        web(host='a.com', deny='198.51.100.0/24'),
        READY,
        headers=headers,
        client='10.0.0.1',
        trusted_proxies=('10.0.0.0/8',),
    )
    assert found.outcome.status == status
    if client:
        assert found.request.client == client


def test_others_are_not_believed():
    found = trace(
        'http://a.com/',
        web(host='a.com', deny='198.51.100.0/24'),
        READY,
        headers=['X-Forwarded-For: 198.51.100.9'],
        trusted_proxies=('10.0.0.0/8',),
    )
    assert (found.outcome.status, found.request.client) == (0, '192.0.2.1')


def test_a_trusted_proxy_may_say_that_its_client_has_tls():
    documents = (web(host='a.com', tls_secret='tls'), READY, tls_secret())
    found = trace(
        'http://a.com/',
        *documents,
        headers=['X-Forwarded-Proto: HTTPS'],
        client='10.0.0.1',
        trusted_proxies=('10.0.0.0/8',),
    )
    assert found.outcome.served
    assert trace('http://a.com/', *documents, headers=['X-Forwarded-Proto: https']).outcome.status == 308


def test_a_request_that_comes_round_again_and_again():
    assert trace('http://a.com/', web(host='a.com'), READY, headers=['X-Headrace-Hops: 1'] * 10).outcome.status == 508


GATEWAYS = (
    gateway('web', listener('http', hostname='*.a.com'), listener('https', 443, 'HTTPS', hostname='*.a.com', tls=TLS), listener('admin', 443, 'HTTPS', hostname='admin.a.com', tls=TLS), admits='Same'),
    http_route('r', rule('web'), hostnames=['x.a.com', 'admin.a.com']), web(enabled='false'), READY, tls_secret(),
)  # fmt: skip


@pytest.mark.parametrize(
    ('line', 'host', 'status'),
    [
        pytest.param('https://x.a.com/', 'x.a.com', 0, id='its host'),
        pytest.param('https://x.a.com/', 'admin.a.com', 421, id='the host of another listener'),
        pytest.param('https://x.a.com/', 'b.com', 404, id='a host of no listener'),
    ],
)
def test_a_request_over_tls_at_the_ports_of_gateways(line, host, status):
    found = trace(line, *GATEWAYS, headers=[f'Host: {host}'], default_certificate='shop/tls')
    assert found.outcome.status == status


@pytest.mark.parametrize(
    ('name', 'line', 'listener_'),
    [
        pytest.param('', 'http://x.a.com/', 'HTTP of class headrace', id='none'),
        pytest.param('class', 'http://x.a.com/', 'HTTP of class headrace', id='the class'),
        pytest.param('shop/web', 'http://x.a.com/', 'port 80 of Gateway shop/web', id='a Gateway'),
        pytest.param('shop/web/https', 'https://x.a.com/', 'port 443 of Gateway shop/web', id='a listener'),
    ],
)
def test_a_listener_by_its_name(name, line, listener_):
    found = trace(line, *GATEWAYS, listener=name)
    assert (found.listener, found.outcome.served) == (listener_, True)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('shop/none', 'there is no listener shop/none: NAMESPACE/GATEWAY[/LISTENER], or class'),
        ('web', 'there is no listener web: NAMESPACE/GATEWAY[/LISTENER], or class'),
        ('shop/web/none', 'none of Gateway shop/web is not served for http'),
        ('shop/extra/more', 'more of ListenerSet shop/extra is not served for http'),
    ],
)
def test_a_listener_that_is_not_there(name, message):
    refused = listener_set('extra', listener('more', 8081))
    with pytest.raises(RequestError) as error:
        trace('http://x.a.com/', *GATEWAYS, refused, GATEWAY_CLASS, listener=name)
    assert str(error.value) == message


def tls_listener(name, hostname, mode, **tls):
    return listener(name, 443, 'TLS', hostname, tls={'mode': mode, **tls})


TLS_GATEWAY = (
    gateway(
        'web',
        tls_listener('passed', '*.a.com', 'Passthrough'),
        tls_listener('ended', 'b.com', 'Terminate', **TLS),
        tls_listener('bare', 'c.com', 'Terminate', certificateRefs=[{'name': 'none'}]),
    ),
    GATEWAY_CLASS,
    slot_service('web', {443: 20004}),
    tls_secret(),
    l4_route('TLSRoute', 'one', 'web', hostnames=['one.a.com', 'b.com', 'c.com']),
    l4_route('TLSRoute', 'more', backend('web', 3), backend('next', 1), backend('gone', 0), hostnames=['*.more.a.com']),
    l4_route('TLSRoute', 'gone', 'gone', hostnames=['gone.a.com']),
    web(host=''),
    web('next', host=''),
    endpoint_slice(addresses=['10.0.0.1'], port_name='http'),
    endpoint_slice('next', addresses=['10.0.0.2'], port_name='http'),
)


IN_CLUSTER = {'own_namespace': OWN_NAMESPACE, 'gateway_slots': 2, 'gateway_first_slot': 20000}


def at_tls_listener(host):
    return trace(f'https://{host}/x', *TLS_GATEWAY, **IN_CLUSTER)


@pytest.mark.parametrize(
    ('host', 'because', 'path'),
    [
        ('one.a.com', 'TLS is passed through', ''),
        ('b.com', 'certificate shop_tls', '/x'),
    ],
)
def test_what_a_connection_gets_at_a_listener_for_tls(host, because, path):
    found = at_tls_listener(host)
    assert found.listener == 'port 443 of Gateway shop/web'
    assert (found.steps[-1].because, found.steps[-1].passed) == (because, True)
    assert [(each.service.name, each.path) for each in found.outcome.destinations] == [('web', path)]


def test_backends_share_the_connections_of_a_listener_for_tls():
    found = at_tls_listener('x.more.a.com')
    assert [(each.service.name, each.share) for each in found.outcome.destinations] == [('web', 0.75), ('next', 0.25)]


@pytest.mark.parametrize(
    ('host', 'because'),
    [
        ('other.a.com', 'no TLSRoute for server name other.a.com'),
        ('gone.a.com', 'the Service has no endpoint that can be used'),
        ('c.com', 'no listener has a certificate for server name c.com'),
    ],
)
def test_a_connection_that_ends_at_a_listener_for_tls(host, because):
    outcome = trace(f'https://{host}/x', *TLS_GATEWAY, listener='shop/web', **IN_CLUSTER).outcome
    assert (outcome.closed, outcome.because) == (True, because)
