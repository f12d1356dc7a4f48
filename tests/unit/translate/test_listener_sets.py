"""ListenerSets: which are admitted, which of their listeners stand, where routes attach, and what a change of one touches."""

import pytest

from headrace.ir.fragment import Kind
from headrace.names import Ref
from headrace.settings.settings import Settings
from support.following import Following
from support.gateways import gateway, http_route, listener, listener_set, rule
from support.objects import built, service

OLD, NEW = '2024-01-02T00:00:00Z', '2024-01-03T00:00:00Z'
SETTINGS = Settings(http_port=80, https_port=443, health_port=8099)


def set_of(name='extra', *listeners, namespace='shop', **more):
    """Return a ListenerSet of the Gateway `web` of the namespace `shop`."""
    return listener_set(name, *listeners, parent={'name': 'web', 'namespace': 'shop'}, namespace=namespace, **more)


def route(name, kind='ListenerSet', parent='extra', namespace='shop', hostnames=('a.com',), **reference):
    """Return a route with one parent."""
    parents = [{'kind': kind, 'name': parent, **reference}]
    return http_route(name, rule('one'), hostnames=hostnames, parents=parents, namespace=namespace)


def wrong(made, kind, name, namespace='shop'):
    """Return the reasons of what is wrong with an object, by section."""
    return {
        each.part.section: each.reason for each in made.fragments[Ref(kind, namespace, name)].diagnostics
        if each.reason != 'BackendNotFound'
    }  # fmt: skip


def routes(made, name, namespace='shop'):
    """Return the keys of a route's claims."""
    fragment = made.fragments[Ref('HTTPRoute', namespace, name)]
    return [claim.key for claim in fragment.claims if claim.kind is Kind.ROUTE]


@pytest.mark.parametrize(
    ('admits', 'namespace', 'expected'),
    [
        (None, 'shop', {'': 'NotAllowed'}),
        ('None', 'shop', {'': 'NotAllowed'}),
        ('Same', 'shop', {}),
        ('Same', 'other', {'': 'NotAllowed'}),
        ('All', 'other', {}),
    ],
)
def test_a_gateway_says_which_sets_it_admits(admits, namespace, expected):
    made = built(
        gateway(admits=admits), set_of('extra', listener('a', hostname='a.com'), namespace=namespace), settings=SETTINGS
    )
    assert wrong(made, 'ListenerSet', 'extra', namespace) == expected
    keys = [claim.key for claim in made.fragments[Ref('ListenerSet', namespace, 'extra')].claims]
    assert keys == ([] if expected else ['80', '80:a.com/'])


def test_a_selector_admits_sets_of_namespaces_with_labels():
    selector = {'namespaces': {'from': 'Selector', 'selector': {'matchLabels': {'tier': 'web'}}}}
    documents = [
        gateway(spec={'allowedListeners': selector}),
        *(set_of('extra', listener('a', hostname=f'{name}.com'), namespace=name) for name in ('one', 'two', 'three')),
        {'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': 'one', 'labels': {'tier': 'web'}}},
        {'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': 'two'}},
    ]
    made = built(*documents, settings=SETTINGS)
    found = {name: wrong(made, 'ListenerSet', 'extra', name) for name in ('one', 'two', 'three')}
    assert found == {'one': {}, 'two': {'': 'NotAllowed'}, 'three': {'': 'NotAllowed'}}


def test_a_route_attaches_to_the_listeners_of_its_set_or_of_its_gateway():
    made = built(
        gateway('web', listener(hostname='own.com'), admits='Same'),
        set_of('extra', listener('a', hostname='a.com'), listener('b', hostname='b.com')),
        route('set', hostnames=()),
        route('section', sectionName='b', hostnames=()),
        route('gateway', 'Gateway', 'web', hostnames=()),
        settings=SETTINGS,
    )
    assert routes(made, 'set') == ['80:a.com/', '80:b.com/']
    assert routes(made, 'section') == ['80:b.com/']
    assert routes(made, 'gateway') == ['80:own.com/']
    parts = [each.part.parent for each in made.fragments[Ref('HTTPRoute', 'shop', 'set')].attachments]
    assert parts == [Ref('ListenerSet', 'shop', 'extra')]


def test_listeners_of_a_set_allow_routes_of_its_own_namespace():
    made = built(
        gateway(admits='All'),
        set_of('extra', listener('a', hostname='a.com'), namespace='other'),
        route('own', namespace='other'),
        http_route('foreign', rule('one'), parents=[{'kind': 'ListenerSet', 'name': 'extra', 'namespace': 'other'}]),
        settings=SETTINGS,
    )
    assert routes(made, 'own', 'other') == ['80:a.com/']
    assert routes(made, 'foreign') == []
    assert 'NotAllowedByListeners' in [
        each.reason for each in made.fragments[Ref('HTTPRoute', 'shop', 'foreign')].diagnostics
    ]


def test_a_set_without_a_gateway_of_the_class_serves_nothing():
    made = built(set_of('extra', listener()), route('r'), gateway('web', class_name='else'), settings=SETTINGS)
    assert made.fragments[Ref('ListenerSet', 'shop', 'extra')].claims == ()
    odd = {'group': 'example.com', 'kind': 'Gateway', 'name': 'web'}
    made = built(listener_set('extra', listener(), parent=odd), route('r'), gateway(admits='Same'), settings=SETTINGS)
    assert made.fragments[Ref('ListenerSet', 'shop', 'extra')].claims == ()
    assert routes(made, 'r') == []


@pytest.mark.parametrize(
    ('own', 'expected'),
    [
        pytest.param(listener(hostname='a.com'), {'b': 'HostnameConflict'}, id='host of the Gateway'),
        pytest.param(listener('x', 80, 'HTTPS'), {'b': 'ProtocolConflict'}, id='protocol of the Gateway'),
        pytest.param(listener('x', 80, 'example.com/own', 'a.com'), {}, id='protocol that is not supported'),
        pytest.param(listener(hostname='other.com'), {}, id='another host'),
    ],
)
def test_listeners_of_the_gateway_come_first(own, expected):
    made = built(
        gateway('web', own, admits='Same'), set_of('extra', listener('b', hostname='a.com')), settings=SETTINGS
    )
    assert wrong(made, 'ListenerSet', 'extra') == expected


def test_of_sets_the_older_one_has_a_host_whichever_came_first():
    sets = [
        set_of('a', listener('x', hostname='a.com'), created=NEW),
        set_of('b', listener('x', hostname='a.com'), listener('y', hostname='b.com'), created=OLD),
    ]
    for documents in (sets, sets[::-1]):
        made = built(gateway('web', listener(hostname='w.com'), admits='Same'), *documents, settings=SETTINGS)
        assert wrong(made, 'ListenerSet', 'a') == {'x': 'HostnameConflict'}
        assert wrong(made, 'ListenerSet', 'b') == {}


def test_of_sets_the_older_one_has_the_protocol_of_a_port():
    settings = Settings(http_port=443, https_port=80, health_port=8099)
    made = built(
        gateway('web', listener(hostname='w.com', port=8080), admits='Same'),
        set_of('a', listener('x', 80, hostname='a.com'), created=NEW),
        set_of('b', listener('x', 80, 'HTTPS', 'b.com'), created=OLD),
        settings=settings,
    )
    assert wrong(made, 'ListenerSet', 'a') == {'x': 'ProtocolConflict'}


def test_a_set_that_is_not_admitted_keeps_no_one_from_a_host():
    made = built(
        gateway('web', listener(hostname='w.com'), admits='Same'),
        set_of('a', listener('x', hostname='a.com'), namespace='other', created=OLD),
        set_of('b', listener('x', hostname='a.com'), created=NEW),
        settings=SETTINGS,
    )
    assert wrong(made, 'ListenerSet', 'b') == {}


def test_requests_go_to_the_listener_with_the_most_specific_host_of_gateway_and_sets():
    made = built(
        gateway('web', listener(hostname='*.example.com'), admits='Same'),
        set_of('extra', listener('a', hostname='a.example.com'), listener('w', hostname='*.y.example.com')),
        route('wide', 'Gateway', 'web', hostnames=['a.example.com', 'b.example.com', 'x.y.example.com']),
        route('narrow', hostnames=['a.example.com', 'x.y.example.com']),
        settings=SETTINGS,
    )
    assert routes(made, 'wide') == ['80:b.example.com/']
    assert routes(made, 'narrow') == ['80:a.example.com/', '80:x.y.example.com/']


def test_a_set_touches_what_has_its_hosts_alone():
    following = Following(SETTINGS)
    documents = [
        gateway('web', listener(hostname='w.com'), admits='Same'),
        set_of('one', listener('x', hostname='*.one.com')),
        route('one', parent='one', hostnames=['a.one.com']),
        set_of('two', listener('x', hostname='two.com')),
        route('two', parent='two', hostnames=['two.com']),
        route('own', 'Gateway', 'web', hostnames=['w.com']),
        service('one', ports=[{'name': 'http', 'port': 80}], annotations={'class': 'other'}),
    ]
    following.put(*documents)
    reader = following.state.dependencies.readers
    new = set_of('new', listener('x', hostname='three.com'), created=NEW)
    change = following.put(new)
    assert {item.ref for item in change.fragments} == {Ref('ListenerSet', 'shop', 'new')}
    inner = set_of('new', listener('x', hostname='a.one.com'), created=NEW)
    change = following.put(inner)
    assert {item.ref for item in change.fragments} == {
        Ref('ListenerSet', 'shop', 'new'),
        Ref('HTTPRoute', 'shop', 'one'),
    }
    assert not any(
        Ref('HTTPRoute', 'shop', name) in reader(Ref('listeners of host', 'shop', 'web/a.one.com'))
        for name in ('two', 'own')
    )
