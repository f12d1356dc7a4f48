"""Why something is served or not: the claims that decide it, and a sentence that a user understands."""

import pytest

from haproxy.readings import AMBIGUOUS, PLAIN, SENSELESS
from headrace import store
from headrace.diagnostics import Diagnostic
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve import explanation, state
from headrace.settings.settings import Secrets, Settings
from headrace.translate import build_context
from headrace.translate.build_context import Role
from support.objects import endpoint_slice, ingress, ingress_class, service, tls_secret

HTTP = [{'name': 'http', 'port': 80}]
OLD, NEW = '2024-01-01T00:00:00Z', '2024-06-01T00:00:00Z'


def explain(target, *documents, **how):
    held, made = model(*documents, **how)
    return explanation.explain(made, held, target)


def model(*documents, role=Role.EDGE, **settings):
    given = {'tcp_ports': '5000-5999', 'secrets': Secrets(namespaces=('*',)), **settings}
    held, made = store.Store(), state.State(build_context.make(Settings(**given), role=role))
    for document in documents:
        held.put(parse.read(document).object)
    made.update(held, held.take())
    return held, made


def web(name='web', created=OLD, namespace='shop', spec=None, **annotations):
    given = {key.replace('_', '-'): text for key, text in annotations.items()}
    return service(name, namespace, annotations=given, ports=HTTP, created=created, **(spec or {}))


def ref(name='web', namespace='shop'):
    return Ref('Service', namespace, name)


# --- which question it is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('target', 'because'),
    [
        pytest.param('shop/none', 'there is no Service shop/none', id='a Service that is not there'),
        pytest.param('a.example.com/shop', 'no object has a route for this host: 404', id='a host and a path'),
        pytest.param('*.example.com/shop', 'no object has a route for this host: 404', id='a wildcard and a path'),
        pytest.param('*/shop', 'no object has a route for this host: 404', id='any host and a path'),
        pytest.param('localhost', 'no object has a route for this host: 404', id='a host without a dot'),
        pytest.param('localhost/', 'no object has a route for this host: 404', id='a host without a dot and the root'),
        pytest.param('', 'no object has a route for this host: 404', id='nothing'),
    ],
)
def test_a_target_is_a_service_or_a_host(target, because):
    found = explain(target)
    assert (found.target, found.served, found.because) == (target, False, because)


INGRESS = (ingress('door', hosts={'a.com': 'web'}), ingress_class(default=True), web())


@pytest.mark.parametrize(
    ('target', 'because', 'served'),
    [
        pytest.param('shop/door', 'it has 1 of the 1 things that it claims', True, id='by its name alone'),
        pytest.param('ingress/shop/door', 'it has 1 of the 1 things that it claims', True, id='by its kind too'),
        pytest.param('Ingress/shop/none', 'there is no Ingress shop/none', False, id='one that is not there'),
        pytest.param('service/shop/none', 'there is no Service shop/none', False, id='a Service by its kind'),
        pytest.param('a.com/x', 'Ingress shop/door holds a.com/', True, id='its host'),
        pytest.param('a.com/x/y', 'Ingress shop/door holds a.com/', True, id='a longer path of its host'),
    ],
)
def test_an_ingress_is_explained_like_a_service(target, because, served):
    found = explain(target, *INGRESS)
    assert (found.because, found.served) == (because, served)


def test_a_service_of_the_same_name_is_meant_where_no_kind_is_named():
    found = explain('shop/web', *INGRESS, ingress('web', hosts={'b.com': 'web'}))
    assert 'reached through other objects only' in found.because


@pytest.mark.parametrize(
    ('how', 'because'),
    [
        ({'namespaces': ('other',)}, 'namespace shop is not among the namespaces of this installation'),
        ({'role': Role.NODE}, 'the node role serves no Ingresses'),
        ({'ingress': False}, 'the class serves no Ingresses (ingress)'),
        ({'class_name': 'other'}, 'it names no class, and the default one is'),
    ],
    ids=['namespace', 'role', 'setting', 'class'],
)
def test_an_ingress_that_is_not_ours_is_explained_by_its_class(how, because):
    found = explain('shop/door', *INGRESS, **how)
    assert (found.served, because in found.because) == (False, True)


# --- paths with two readings ------------------------------------------------------------------------------------------


def routes():
    """Return the routes that the same paths are sent to HAProxy for."""
    paths = ('/', '/admin', '/caf%c3%a9', '/a%20%62', '/%7Eown')
    return [web(f'web-{number}', host='a.example.com', path=path) for number, path in enumerate(paths)]


def test_a_path_that_haproxy_refuses_is_explained_so():
    found = {path: explain(f'a.example.com{path}', *routes()).because for path in (*AMBIGUOUS, *SENSELESS)}
    assert {path for path, because in found.items() if not because.endswith(', which has another route: 400')} == {
        *SENSELESS
    }
    assert {found[path] for path in SENSELESS} == {'the path has dot segments or a broken escape: 400'}
    assert found['//admin'] == 'an endpoint could read the path as /admin, which has another route: 400'


def test_a_path_that_haproxy_serves_is_explained_so():
    found = {path: explain(f'a.example.com{path}', *routes()).served for path in PLAIN}
    assert found == dict.fromkeys(PLAIN, True)


# --- a Service --------------------------------------------------------------------------------------------------------


def test_a_service_that_is_served_shows_what_it_has():
    found = explain(
        'shop/web', web(host='a.example.com, b.example.com'), endpoint_slice(addresses=['10.0.0.1'], port_name='http')
    )
    assert (found.served, found.because) == (True, 'it has 2 of the 2 things that it claims')
    assert [(claim.subject, claim.key, claim.holder, claim.waiting, claim.backend) for claim in found.claims] == [
        ('route', 'a.example.com/', ref(), (), 'shop_web_http'),
        ('route', 'b.example.com/', ref(), (), 'shop_web_http'),
    ]
    assert found.diagnostics == ()


def test_a_service_that_has_a_part_of_what_it_claims_is_served_and_says_so():
    found = explain('shop/web', web(created=NEW, host='a.example.com, b.example.com'), web('old', host='a.example.com'))
    assert (found.served, found.because) == (True, 'it has 1 of the 2 things that it claims')
    assert [(claim.key, claim.holder, claim.waiting) for claim in found.claims] == [
        ('a.example.com/', ref('old'), (ref(),)),
        ('b.example.com/', ref(), ()),
    ]
    assert 'Conflict' in [diagnostic.reason for diagnostic in found.diagnostics]


def test_a_service_whose_claims_are_all_held_by_others_is_not_served():
    found = explain('shop/web', web(created=NEW, host='a.example.com'), web('old', host='a.example.com'))
    assert (found.served, found.because) == (False, 'everything that it claims is held by others')


def test_a_tcp_port_is_a_claim():
    found = explain('shop/db', service('db', annotations={'port': '5432'}, ports=[5432]))
    assert [(claim.subject, claim.key) for claim in found.claims] == [('TCP port', '5432')]


def test_a_service_with_a_closed_route_says_so():
    found = explain('shop/web', web(host='a.example.com', allow='nonsense'))
    assert found.because.endswith('; a route is closed until what protects it can be used')


def test_a_service_that_is_a_canary_is_reached_through_another():
    main = web(host='a.example.com', canary_service='canary', canary_weight='10')
    found = explain('shop/canary', main, web('canary'))
    assert (found.served, found.because) == (
        True,
        'it is reached through other objects only: Ingresses, or Services of which it is the canary or for which it authenticates, answers errors or gets copies',
    )


def test_a_service_of_which_nothing_can_be_exposed_is_told_with_its_diagnostics():
    found = explain(
        'shop/web',
        service(annotations={'host': 'a.example.com'}, ports=[{'name': 'a', 'port': 1}, {'name': 'b', 'port': 2}]),
    )
    assert (found.served, found.because) == (
        False,
        'it asks to be served, but nothing of it can be exposed; the diagnostics say why',
    )
    assert [diagnostic.reason for diagnostic in found.diagnostics] == ['AmbiguousPort']


def test_a_service_whose_tls_is_passed_through_is_served():
    found = explain('shop/web', web(host='a.example.com', mode='tls-passthrough'))
    assert (found.served, found.because) == (True, 'it has 1 of the 1 things that it claims')


@pytest.mark.parametrize(
    ('document', 'settings', 'because'),
    [
        pytest.param(web(), {}, 'nothing asks for it: no headrace.io/host, headrace.io/port or headrace.io/enabled: "true"', id='nothing asks for it'),
        pytest.param(web(host='a.example.com', enabled='false'), {}, 'headrace.io/enabled is false', id='switched off'),
        pytest.param(web(spec={'type': 'LoadBalancer'}), {}, 'it names no loadBalancerClass, and this is not the default class', id='no class'),
        pytest.param(web(host='a.example.com', **{'class': 'other'}), {}, 'it belongs to class other, and this is class headrace', id='the class of its annotation'),
        pytest.param(web(spec={'type': 'LoadBalancer', 'loadBalancerClass': 'headrace.io/other'}), {}, 'it belongs to class headrace.io/other, and this is class headrace', id='its loadBalancerClass'),
        pytest.param(web(host='a.example.com'), {'class_name': 'edge'}, 'it names no class, and this is class edge', id='no class, and this is not headrace'),
        pytest.param(web(host='a.example.com'), {'namespaces': ('other',)}, 'namespace shop is not among the namespaces of this installation', id='a namespace outside'),
    ],
)  # fmt: skip
def test_why_a_service_is_not_served_is_explained(document, settings, because):
    found = explain('shop/web', document, **settings)
    assert (found.served, found.because, found.claims) == (False, because, ())


LABEL = 'service.kubernetes.io/service-proxy-name'


@pytest.mark.parametrize(
    ('document', 'because'),
    [
        pytest.param(web(spec={'clusterIP': '10.96.0.1'}), 'it does not ask for the node role: headrace.io/proxy: node', id='it does not ask'),
        pytest.param(service(labels={LABEL: 'cilium'}, clusterIP='10.96.0.1'), 'its label gives it to the service proxy cilium', id="another's"),
        pytest.param(web(proxy='node', **{'class': 'other'}), 'it belongs to class other, and this is class headrace', id='of another class'),
        pytest.param(web(proxy='node', spec={'clusterIP': 'None'}), 'the node role serves clusterIPs, and it has none that headrace may take over', id='headless'),
        pytest.param(service(labels={LABEL: 'headrace'}, clusterIP='None'), 'the node role serves clusterIPs, and it has none that headrace may take over', id='ours by its label, but headless'),
    ],
)  # fmt: skip
def test_a_service_that_is_not_taken_over_is_told_why(document, because):
    found = explain('shop/web', document, role=Role.NODE)
    assert (found.served, found.because) == (False, because)


def test_a_service_that_is_taken_over_shows_its_addresses():
    found = explain('shop/web', web(proxy='node', spec={'clusterIP': '10.96.0.1'}), role=Role.NODE)
    assert found.served
    assert {claim.subject for claim in found.claims} == {'address'}


# --- a host and a path ------------------------------------------------------------------------------------------------

ROUTES = (
    web('root', host='a.example.com'),
    web('prefix', host='a.example.com', path='/foo'),
    web('exact', host='a.example.com', path='/foo', path_type='Exact'),
    web('deep', host='a.example.com', path='/foo/bar'),
    web('wild', host='*.example.com'),
    web('wild-only', host='*.example.com', path='/only'),
    web('any', host='*', path='/any'),
    web('bare', host='b.example.com', path='/here'),
)


@pytest.mark.parametrize(
    ('target', 'holder'),
    [
        pytest.param('a.example.com', 'root', id='no path'),
        pytest.param('a.example.com/', 'root', id='the root'),
        pytest.param('a.example.com/food', 'root', id='a prefix ends with an element of the path'),
        pytest.param('a.example.com/foo', 'exact', id='exact before the prefix'),
        pytest.param('a.example.com/foo/', 'prefix', id='not exactly'),
        pytest.param('a.example.com/foo/x', 'prefix', id='below the prefix'),
        pytest.param('a.example.com/foo/bar/x', 'deep', id='the longest prefix'),
        pytest.param('A.Example.COM:8080/', 'root', id='case and port'),
        pytest.param('a.example.com.:80/', 'root', id='a final dot before the port'),
        pytest.param('x.example.com/', 'wild', id='the wildcard'),
        pytest.param('x.example.com/only/this', 'wild-only', id="the wildcard's path"),
        pytest.param('*.example.com/', 'wild', id='the wildcard itself'),
        pytest.param('elsewhere.org/any', 'any', id='any host'),
        pytest.param('b.example.com/here', 'bare', id='exactly this host'),
        pytest.param('b.example.com/only', 'wild-only', id='another path of it, which the wildcard has'),
        pytest.param('b.example.com/any', 'wild', id='the wildcard before any host'),
    ],
)
def test_a_request_is_served_by_the_route_that_haproxy_finds(target, holder):
    found = explain(target, *ROUTES)
    assert found.served
    assert [claim.holder for claim in found.claims] == [ref(holder)]
    assert found.because.startswith(f'Service shop/{holder} holds ')


@pytest.mark.parametrize(
    ('target', 'because'),
    [
        pytest.param('x.y.example.com/', 'no object has a route for this host: 404', id='a wildcard is one label'),
        pytest.param('example.com/', 'no object has a route for this host: 404', id='a wildcard is a label'),
    ],
)
def test_a_request_that_no_route_fits_is_told(target, because):
    found = explain(target, *ROUTES[:6])
    assert (found.served, found.because) == (False, because)


def test_a_host_without_a_route_for_the_path_shows_the_routes_that_it_has():
    found = explain('a.example.com/x', web(host='a.example.com', path='/b, /a'))
    assert (found.served, found.because) == (False, 'host a.example.com has no route for /x: 404')
    assert [claim.key for claim in found.claims] == ['a.example.com/a/', 'a.example.com/b/']


def test_a_contested_host_shows_who_waits_and_the_diagnostics_of_both():
    found = explain('a.example.com', web(created=NEW, host='a.example.com'), web('old', host='a.example.com'))
    assert found.because == 'Service shop/old holds a.example.com/, before Service shop/web: the oldest has it'
    assert [(claim.holder, claim.waiting) for claim in found.claims] == [(ref('old'), (ref(),))]
    assert {(diagnostic.ref, diagnostic.reason) for diagnostic in found.diagnostics} >= {(ref(), 'Conflict')}


def test_a_closed_route_is_told_to_be_closed():
    found = explain('a.example.com', web(host='a.example.com', allow='nonsense'))
    assert found.because == (
        'Service shop/web holds a.example.com/; it is closed until what protects it can be used: 503'
    )


@pytest.mark.parametrize('host', ['a.example.com', '*.example.com'])
def test_a_host_whose_tls_is_passed_through_is_served_by_tls_alone(host):
    found = explain('a.example.com', web(host=host, mode='tls-passthrough'))
    because = 'Service shop/web has its TLS as it comes; without TLS: 404'
    assert (found.served, found.because) == (True, because)
    assert [(claim.subject, claim.key) for claim in found.claims] == [('TLS of host', host)]


# --- its bounds -------------------------------------------------------------------------------------------------------


def paths(count, prefix='p'):
    return ', '.join(f'/{prefix}{number}' for number in range(count))


def hosts(count):
    return ', '.join(f'h{number}.example.com' for number in range(count))


def test_a_service_that_claims_a_great_deal_is_told_in_part_and_counted_in_whole():
    young = web(created=NEW, host=hosts(20), path=paths(30))
    found = explain('shop/web', young, web('old', host='h0.example.com', path='/p0'))
    assert found.because == 'it has 599 of the 600 things that it claims'
    assert (len(found.claims), found.more_claims) == (500, 100)


def test_a_host_of_many_routes_is_told_in_part():
    many = [web(f'w{number}', host='a.example.com', path=paths(100, f'{number}-')) for number in range(6)]
    found = explain('a.example.com/x', *many)
    assert (found.served, len(found.claims), found.more_claims) == (False, 500, 100)


def test_of_many_that_wait_for_one_host_the_first_are_told():
    names = [f'w{number:02}' for number in range(30)]
    found = explain('a.example.com', *(web(name, created=NEW, host='a.example.com') for name in names), web('old', host='a.example.com'))  # fmt: skip
    (claim,) = found.claims
    assert (claim.holder, len(claim.waiting), claim.more) == (ref('old'), 20, 10)
    assert 'Service shop/w19 and 10 others: the oldest has it' in found.because
    # Of those who are not named nothing else is told either.
    assert {diagnostic.ref for diagnostic in found.diagnostics} <= {ref(), ref('old'), *claim.waiting}


def test_diagnostics_beyond_the_bound_are_counted():
    said = tuple(Diagnostic(ref(), 'InvalidValue', str(number)) for number in range(700))
    held, made = model(web(host='a.example.com'))
    steps = explanation.explaining(made, held, 'shop/web', lambda _: said)
    found = last(steps)
    assert (found.diagnostics, found.more_diagnostics) == (said[:500], 200)


@pytest.mark.parametrize('target', ['shop/web', 'h0.example.com/x'])
def test_an_answer_about_many_claims_is_made_in_many_steps_and_survives_that_they_go_meanwhile(target):
    held, made = model(web(host=hosts(20), path=paths(100)))
    steps = explanation.explaining(made, held, target, made.diagnostics)
    next(steps)
    held.drop(ref())
    made.update(held, held.take())
    left = [None for _ in iter(lambda: next(steps, True), True)]
    assert len(left) >= 3
    assert last(explanation.explaining(made, held, target, made.diagnostics)).claims == ()


def last(steps):
    """Return what steps come to."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


# --- as a value -------------------------------------------------------------------------------------------------------


def test_an_explanation_is_one_value_for_programs():
    documents = (web(created=NEW, host='a.example.com'), web('old', host='a.example.com'))
    found = explanation.value(explain('a.example.com', *documents))
    diagnostics = found.pop('diagnostics')
    assert found == {
        'target': 'a.example.com',
        'served': True,
        'because': 'Service shop/old holds a.example.com/, before Service shop/web: the oldest has it',
        'claims': [
            {
                'what': 'route',
                'key': 'a.example.com/',
                'holder': 'Service shop/old',
                'waiting': ['Service shop/web'],
                'backend': 'shop_old_http',
                'moreWaiting': 0,
            }
        ],
        'moreClaims': 0,
        'moreDiagnostics': 0,
    }
    assert {
        'level': 'error',
        'reason': 'Conflict',
        'kind': 'Service',
        'namespace': 'shop',
        'name': 'web',
        'field': 'metadata.annotations[headrace.io/host]',
        'message': 'a.example.com/ (prefix) is held by Service shop/old',
    } in diagnostics


def test_an_explanation_shows_the_name_of_a_certificate_and_nothing_of_its_key():
    found = explain('shop/web', web(host='a.example.com', tls_secret='tls'), tls_secret())
    (tls,) = [claim for claim in found.claims if claim.subject == 'TLS of host']
    assert (tls.key, tls.backend) == ('a.example.com', 'shop_tls')
    assert 'PRIVATE' not in str(explanation.value(found))
