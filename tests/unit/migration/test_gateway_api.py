"""Ingresses as resources of the Gateway API: what each thing of an Ingress becomes, and what is refused."""

import itertools

import pytest

from headrace.migration import gateway_api, report
from headrace.names import Ref
from headrace.objects import gateways, http_routes, parse
from support.objects import ingress, ingress_rule, service

NGINX = 'nginx.ingress.kubernetes.io/'
GATEWAY = Ref('Gateway', 'edge', 'public')
HTTP = {'namespace': 'edge', 'name': 'public', 'sectionName': 'http'}


def annotated(name='web', of=None, rules=None, **more):
    """Return an Ingress with ingress-nginx's annotations."""
    annotations = {NGINX + key.replace('_', '-'): text for key, text in (of or {}).items()}
    return ingress(name, annotations=annotations, rules=rules or [ingress_rule('a.com')], **more)


def translated(*documents, services=()):
    """Return what Ingresses become; every document is one that headrace reads without a problem."""
    objects = [parse.read(each).object for each in documents]
    found = gateway_api.translate(
        report.make(objects, (), 'ingress-nginx'), [parse.read(each).object for each in services], GATEWAY, 'headrace'
    )
    for each in found.documents:
        read = parse.read(each).object
        assert isinstance(read, gateways.Gateway | gateways.ListenerSet | http_routes.HTTPRoute)
        assert list(read.diagnostics) == []
    return found


def routes(*documents, **more):
    """Return the HTTPRoutes that Ingresses become, by name."""
    found = translated(*documents, **more)
    assert found.refused == ()
    named = {each['metadata']['name']: each for each in found.documents if each['kind'] == 'HTTPRoute'}
    assert len(named) == sum(each['kind'] == 'HTTPRoute' for each in found.documents)
    return named


def spec(*documents, name='web', **more):
    return routes(*documents, **more)[name]['spec']


def refusal(*documents):
    ((_, why),) = translated(*documents).refused
    return why


def test_an_ingress_without_annotations_is_a_route_at_the_listener_for_http():
    found = translated(annotated())
    gateway, route = found.documents
    assert gateway['metadata'] == {'namespace': 'edge', 'name': 'public'}
    assert gateway['spec'] == {
        'gatewayClassName': 'headrace',
        'listeners': [
            {'name': 'http', 'port': 80, 'protocol': 'HTTP', 'allowedRoutes': {'namespaces': {'from': 'All'}}}
        ],
        'allowedListeners': {'namespaces': {'from': 'All'}},
    }
    assert route['spec'] == {
        'parentRefs': [HTTP],
        'hostnames': ['a.com'],
        'rules': [
            {'matches': [{'path': {'type': 'PathPrefix', 'value': '/'}}], 'backendRefs': [{'name': 'web', 'port': 80}]}
        ],
    }
    assert (found.remarks, found.refused) == ((), ())


def test_no_ingress_is_no_document():
    assert translated().documents == ()


def test_paths_of_one_backend_are_matches_of_one_rule():
    rules = [
        ingress_rule('a.com', path=path, path_type=kind, of=of)
        for path, kind, of in (('/a', 'Exact', 'one'), ('/b', 'Prefix', 'one'), ('/c', 'ImplementationSpecific', 'two'))
    ]
    first, second = spec(annotated(rules=rules))['rules']
    assert [each['path'] for each in first['matches']] == [
        {'type': 'Exact', 'value': '/a'},
        {'type': 'PathPrefix', 'value': '/b'},
    ]
    assert second['backendRefs'] == [{'name': 'two', 'port': 80}]


def test_tls_is_a_listener_of_the_namespace_and_a_redirect():
    # No rule has the other host.
    found = translated(annotated(tls=[{'hosts': ['a.com', 'b.com'], 'secretName': 'one'}]))
    _, listeners, route, redirect = found.documents
    assert listeners['metadata'] == {'namespace': 'shop', 'name': 'ingress'}
    assert listeners['spec']['parentRef'] == {'namespace': 'edge', 'name': 'public'}
    assert [(each['name'], each['hostname'], each['tls']) for each in listeners['spec']['listeners']] == [
        ('https-a.com', 'a.com', {'certificateRefs': [{'name': 'one'}]}),
    ]
    (parent,) = route['spec']['parentRefs']
    assert (parent['kind'], parent['name'], parent['sectionName']) == ('ListenerSet', 'ingress', 'https-a.com')
    assert redirect['spec'] == {
        'parentRefs': [HTTP],
        'hostnames': ['a.com'],
        'rules': [
            {'filters': [{'type': 'RequestRedirect', 'requestRedirect': {'scheme': 'https', 'statusCode': 308}}]}
        ],
    }


def test_without_a_redirect_a_host_with_tls_is_served_by_both():
    found = spec(annotated(of={'ssl_redirect': 'false'}, tls=[{'hosts': ['a.com'], 'secretName': 'one'}]))
    assert [each['sectionName'] for each in found['parentRefs']] == ['https-a.com', 'http']


def test_a_host_below_a_wildcard_is_served_by_its_listener():
    rules = [ingress_rule('shop.a.com')]
    found = spec(annotated(rules=rules, tls=[{'hosts': ['*.a.com'], 'secretName': 'one'}]))
    assert found['parentRefs'][0]['sectionName'] == 'wildcard-a.com'


def test_certificates_of_one_host_in_several_ingresses_are_those_of_one_listener():
    first, second = (
        annotated(name, rules=[ingress_rule('a.com', path=f'/{name}')], tls=[{'hosts': ['a.com'], 'secretName': name}])
        for name in ('one', 'two')
    )
    listeners = translated(first, second).documents[1]['spec']['listeners']
    assert [each['tls'] for each in listeners] == [{'certificateRefs': [{'name': 'one'}, {'name': 'two'}]}]


def test_many_hosts_with_tls_are_in_several_sets_and_routes_know_which():
    hosts = [f'h{number:03}.com' for number in range(70)]
    found = translated(
        annotated(rules=[ingress_rule(host) for host in hosts], tls=[{'hosts': hosts, 'secretName': 's'}])
    )
    sets = {each['metadata']['name']: each for each in found.documents if each['kind'] == 'ListenerSet'}
    assert {name: len(each['spec']['listeners']) for name, each in sets.items()} == {'ingress': 64, 'ingress-2': 6}
    parents = [
        parent for each in found.documents if each['kind'] == 'HTTPRoute' for parent in each['spec']['parentRefs']
    ]
    for parent in parents:
        if parent.get('kind') == 'ListenerSet':
            names = [each['name'] for each in sets[parent['name']]['spec']['listeners']]
            assert parent['sectionName'] in names


@pytest.mark.parametrize(
    ('of', 'expected'),
    [
        pytest.param({'canary_weight': '30'}, [(None, {'web': 70, 'next': 30})], id='weight'),
        pytest.param({'canary_weight': '0'}, [(None, {'web': 1})], id='weight of zero'),
        pytest.param({'canary_weight': '5', 'canary_weight_total': '10'}, [(None, {'web': 5, 'next': 5})], id='total'),
        pytest.param(
            {'canary_by_header': 'X-Next'},
            [
                (('x-next', 'Exact', 'always'), {'next': 1}),
                (('x-next', 'Exact', 'never'), {'web': 1}),
                (None, {'web': 1}),
            ],
            id='header',
        ),
        pytest.param(
            {'canary_by_header': 'X-Next', 'canary_by_header_value': 'yes', 'canary_weight': '10'},
            [(('x-next', 'Exact', 'yes'), {'next': 1}), (None, {'web': 90, 'next': 10})],
            id='value',
        ),
        pytest.param(
            {'canary_by_header': 'X-Next', 'canary_by_header_pattern': 'y.s'},
            [(('x-next', 'RegularExpression', '.*(?:y.s).*'), {'next': 1}), (None, {'web': 1})],
            id='pattern',
        ),
        pytest.param(
            {'canary_by_cookie': 'a.b'},
            [
                (('Cookie', 'RegularExpression', r'(?:.*; ?)?a\.b=always(?:;.*)?'), {'next': 1}),
                (('Cookie', 'RegularExpression', r'(?:.*; ?)?a\.b=never(?:;.*)?'), {'web': 1}),
                (None, {'web': 1}),
            ],
            id='cookie',
        ),
    ],
)
def test_a_canary_is_weights_and_conditions_of_the_route_of_its_path(of, expected):
    canary = annotated('next', {'canary': 'true', **of}, rules=[ingress_rule('a.com', 'next')])
    found = []
    for each in spec(annotated(), canary)['rules']:
        (match,) = each['matches']
        headers = match.get('headers', [None])[0]
        shares = {backend['name']: backend.get('weight', 1) for backend in each['backendRefs']}
        found.append((headers and tuple(headers[key] for key in ('name', 'type', 'value')), shares))
    assert found == expected


@pytest.mark.parametrize(
    ('path', 'target', 'match', 'modifier'),
    [
        ('/app(/|$)(.*)', '/$2', ('PathPrefix', '/app'), ('ReplacePrefixMatch', '/')),
        ('/app(/|$)(.*)', '/v1/$2', ('PathPrefix', '/app'), ('ReplacePrefixMatch', '/v1')),
        ('/app/(.*)', '/$1', ('PathPrefix', '/app'), ('ReplacePrefixMatch', '/')),
        ('/a/b/?(.*)', '/x$1', None, None),
        ('/(.*)', '/v1/$1', ('PathPrefix', '/'), ('ReplacePrefixMatch', '/v1')),
        ('/app', '/fixed', ('RegularExpression', '(?i)(?:/app).*'), ('ReplaceFullPath', '/fixed')),
        ('/app', '/app', ('RegularExpression', '(?i)(?:/app).*'), None),
        ('/app(/|$)(.*)', '/$1', None, None),
        ('/(a|b)/(.*)', '/$2', None, None),
    ],
)
def test_rewriting_is_a_filter_or_refused(path, target, match, modifier):
    rules = [ingress_rule('a.com', path=path, path_type='ImplementationSpecific')]
    document = annotated(of={'rewrite_target': target}, rules=rules)
    if match is None:
        assert 'has no counterpart' in refusal(document)
        return
    ((rule,),) = (spec(document)['rules'],)
    assert rule['matches'] == [{'path': {'type': match[0], 'value': match[1]}}]
    found = [each['urlRewrite']['path'] for each in rule.get('filters', ())]
    assert [tuple(each.values()) for each in found] == ([modifier] if modifier else [])


def test_expressions_keep_their_order_by_length():
    paths = ['/a', '/a$', '/a/b.*', '/[a-z]+', '/longest/of/all']
    rules = [
        ingress_rule('a.com', path=path, path_type='ImplementationSpecific', of=f's{n}') for n, path in enumerate(paths)
    ]
    found = spec(annotated(of={'use_regex': 'true'}, rules=rules))['rules']
    values = [match['path']['value'] for rule in found for match in rule['matches']]
    for (first, second), (one, other) in zip(itertools.pairwise(paths), itertools.pairwise(values), strict=True):
        assert len(second) - len(first) == len(other) - len(one)


def test_settings_stay_annotations_of_headrace_and_what_protects_closes():
    found = routes(annotated(of={'enable_cors': 'true', 'proxy_body_size': '1m'}))['web']['metadata']['annotations']
    assert found.items() >= {('headrace.io/max-body-size', '1m'), ('headrace.io/cors-allow-origin', '*')}
    found = routes(annotated(of={'whitelist_source_range': 'office'}))['web']['metadata']['annotations']
    assert found['headrace.io/maintenance'] == 'true'


def test_roots_and_www_are_redirects_of_their_own():
    found = routes(annotated(of={'app_root': '/start', 'from_to_www_redirect': 'true'}))
    first, _ = found['web']['spec']['rules']
    assert first['filters'][0]['requestRedirect'] == {
        'path': {'type': 'ReplaceFullPath', 'replaceFullPath': '/start'},
        'statusCode': 302,
    }
    www = found['web-www']['spec']
    assert (www['hostnames'], www['rules'][0]['filters'][0]['requestRedirect']) == (
        ['www.a.com'],
        {'hostname': 'a.com', 'statusCode': 308},
    )


def test_aliases_are_further_hosts():
    assert spec(annotated(of={'server_alias': 'b.com,c.com'}))['hostnames'] == ['a.com', 'b.com', 'c.com']


def test_a_default_backend_is_a_route_without_a_host():
    document = annotated(defaultBackend={'service': {'name': 'rest', 'port': {'number': 80}}})
    found = routes(document)['web-2']['spec']
    assert 'hostnames' not in found
    assert found['rules'][0]['backendRefs'] == [{'name': 'rest', 'port': 80}]


def test_a_port_by_name_is_looked_up():
    document = annotated(rules=[ingress_rule('a.com', port='http')])
    web = service('web', ports=[{'name': 'http', 'port': 8080}])
    assert spec(document, services=[web])['rules'][0]['backendRefs'] == [{'name': 'web', 'port': 8080}]
    assert refusal(document) == 'Service shop/web with the port http is not in the input, and a route needs its number'


@pytest.mark.parametrize(
    ('document', 'why'),
    [
        (annotated(of={'ssl_passthrough': 'true'}), 'passed through'),
        (annotated(tls=[{'hosts': ['a.com']}]), 'spec.tls names no Secret for a.com'),
        (annotated(of={'force_ssl_redirect': 'true'}), 'no certificate is named for a.com'),
        (annotated(of={'auth_tls_secret': 'shop/ca'}), 'certificates of clients'),
        (annotated(rules=[{'host': 'a.com'}], defaultBackend={'resource': {'kind': 'X', 'name': 'x'}}), 'no Service'),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_refuses_the_ingress_and_none_of_other_hosts(document, why):
    other = annotated('other', rules=[ingress_rule('b.com')])
    found = translated(document, other)
    ((ref, text),) = found.refused
    assert (ref.name, why in text) == ('web', True)
    assert [each['metadata']['name'] for each in found.documents] == ['public', 'other']


def test_more_rules_than_a_route_can_have_are_in_several():
    rules = [ingress_rule('a.com', path=f'/{number}', of=f's{number}') for number in range(40)]
    found = routes(annotated(rules=rules))
    assert [len(each['spec']['rules']) for each in found.values()] == [16, 16, 8]


def test_more_matches_than_a_route_can_have_are_in_several():
    rules = [ingress_rule('a.com', path=f'/{number}', of=f's{number % 3}') for number in range(300)]
    found = [
        [len(rule['matches']) for rule in each['spec']['rules']] for each in routes(annotated(rules=rules)).values()
    ]
    assert sum(sum(each) for each in found) == 300
    assert all(sum(each) <= 127 and max(each) <= 64 for each in found)


def test_a_host_whose_certificate_another_ingress_names_is_served_by_both():
    first = annotated('one', tls=[{'hosts': ['a.com'], 'secretName': 'one'}])
    second = annotated('two', rules=[ingress_rule('a.com', path='/two')])
    found = routes(first, second)
    assert [each['sectionName'] for each in found['two']['spec']['parentRefs']] == ['https-a.com', 'http']
    assert 'two-redirect' not in found


def test_aliases_have_listeners_of_their_own():
    document = annotated(of={'server_alias': 'b.com'}, tls=[{'hosts': ['a.com'], 'secretName': 'one'}])
    found = spec(document)
    assert (found['hostnames'], [each['sectionName'] for each in found['parentRefs']]) == (
        ['a.com', 'b.com'],
        ['https-a.com', 'https-b.com'],
    )


def test_names_of_routes_are_told_apart():
    tls = [{'hosts': ['a.com'], 'secretName': 'one'}]
    other = annotated('web-redirect', rules=[ingress_rule('b.com')])
    assert list(routes(annotated('web', tls=tls), other)) == ['web', 'web-redirect', 'web-redirect-2']
    long = routes(annotated('x' * 250, tls=tls))
    assert all(len(name) <= 253 for name in long)
    assert len(long) == 2


CLIENTS = {'auth_tls_secret': 'shop/ca'}


def refusals(*documents):
    return {ref.name: why for ref, why in translated(*documents).refused}


def test_hosts_of_a_refused_ingress_are_not_served_by_routes_of_others():
    admin = annotated('admin', CLIENTS, rules=[ingress_rule('a.com', path='/admin')])
    site = annotated('site', rules=[ingress_rule('a.com'), ingress_rule('b.com')])
    blog = annotated('blog', rules=[ingress_rule('b.com', path='/blog')], namespace='blog')
    wildcard = annotated('wildcard', rules=[ingress_rule('*.com')])
    free = annotated('free', rules=[ingress_rule('a.org')])
    found = refusals(admin, site, blog, wildcard, free)
    assert found.keys() == {'admin', 'site', 'blog', 'wildcard'}
    assert 'certificates of clients' in found['admin']
    assert found['site'] == 'it serves hosts of Ingress shop/admin, which is not translated'
    assert found['blog'] == 'it serves hosts of Ingress shop/site, which is not translated'
    assert found['wildcard'] == 'it serves hosts of Ingress shop/admin, which is not translated'


def test_a_path_of_two_ingresses_is_that_of_the_older_one():
    rules = [ingress_rule('a.com', 'old', path='/'), ingress_rule('a.com', 'old', path='/x')]
    old = annotated('z', rules=rules, created='2020-01-01T00:00:00Z')
    rules = [ingress_rule('a.com', 'new', path='/'), ingress_rule('a.com', 'new', path='/y')]
    new = annotated('a', rules=rules, created='2021-01-01T00:00:00Z')
    found = translated(new, old)
    served = {
        match['path']['value']: rule['backendRefs'][0]['name']
        for each in found.documents
        if each['kind'] == 'HTTPRoute'
        for rule in each['spec']['rules']
        for match in rule['matches']
    }
    assert served == {'/': 'old', '/x': 'old', '/y': 'new'}
    assert found.remarks == ((Ref('Ingress', 'shop', 'a'), '/ of a.com is a path of Ingress shop/z, which is older'),)


def test_an_ingress_whose_paths_are_all_those_of_older_ones_has_no_route():
    old = annotated('old', created='2020-01-01T00:00:00Z')
    new = annotated('new', namespace='other', created='2021-01-01T00:00:00Z')
    assert [each['metadata']['name'] for each in translated(old, new).documents] == ['public', 'old']


def test_a_path_of_an_alias_is_that_of_the_older_ingress_of_the_host():
    old = annotated('old', rules=[ingress_rule('b.com')], created='2020-01-01T00:00:00Z')
    rules = [ingress_rule('a.com', path=path) for path in ('/', '/x')]
    new = annotated(of={'server_alias': 'b.com,c.com'}, rules=rules, created='2021-01-01T00:00:00Z')
    found = [
        (each['spec']['hostnames'], [match['path']['value'] for match in each['spec']['rules'][0]['matches']])
        for each in routes(old, new).values()
    ]
    assert found == [(['b.com'], ['/']), (['a.com'], ['/', '/x']), (['b.com'], ['/x']), (['c.com'], ['/', '/x'])]


def test_a_host_whose_certificate_is_of_another_namespace_is_refused():
    named = annotated('named', tls=[{'hosts': ['*.a.com'], 'secretName': 's'}], rules=[ingress_rule('x.a.com')])
    other = annotated('other', rules=[ingress_rule('y.a.com')], namespace='other')
    assert refusals(named, other) == {'other': 'the certificate of y.a.com is named by an Ingress of another namespace'}


def test_a_host_with_certificates_of_two_namespaces_is_refused():
    first, second = (
        annotated(
            name,
            rules=[ingress_rule('a.com', path=f'/{name}')],
            namespace=name,
            tls=[{'hosts': ['a.com'], 'secretName': 's'}],
        )
        for name in ('one', 'two')
    )
    assert refusals(first, second).keys() == {'one', 'two'}


@pytest.mark.parametrize('key', ['headrace.io/tls-redirect', NGINX + 'force-ssl-redirect'])
def test_a_redirect_that_is_asked_for_stays_where_another_ingress_names_the_certificate(key):
    first = annotated('one', tls=[{'hosts': ['a.com'], 'secretName': 'one'}])
    second = ingress('two', annotations={key: 'true'}, rules=[ingress_rule('a.com', path='/two')])
    found = routes(first, second)
    assert [each['sectionName'] for each in found['two']['spec']['parentRefs']] == ['https-a.com']
    assert found['two-redirect']['spec']['parentRefs'] == [HTTP]


def test_values_of_a_canary_that_keep_requests_from_it_come_before_its_cookie():
    of = {'canary': 'true', 'canary_by_header': 'X-Next', 'canary_by_cookie': 'next'}
    rules = spec(annotated(), annotated('next', of, rules=[ingress_rule('a.com', 'next')]))['rules']
    assert [(each['matches'][0].get('headers', [{}])[0].get('name'), each['backendRefs'][0]['name']) for each in rules] == [
        ('x-next', 'next'), ('x-next', 'web'), ('Cookie', 'next'), ('Cookie', 'web'), (None, 'web'),
    ]  # fmt: skip


@pytest.mark.parametrize('path_type', ['Prefix', 'Exact', 'ImplementationSpecific'])
def test_rewriting_by_groups_of_headrace_is_refused_where_it_would_be_literal(path_type):
    document = ingress(
        'web',
        annotations={'headrace.io/rewrite-path': '/v2/$1', 'headrace.io/path-type': 'RegularExpression'},
        rules=[ingress_rule('a.com', path='/v1/([a-z]+)', path_type=path_type)],
    )
    assert 'has no counterpart' in refusal(document)


def test_a_host_that_an_ingress_serves_is_not_redirected_for_www():
    other = annotated('other', {'server_alias': 'www.a.com'}, rules=[ingress_rule('b.com')])
    assert routes(annotated(of={'from_to_www_redirect': 'true'}), other).keys() == {'web', 'other'}


@pytest.mark.parametrize('path', ['/a|/b$', '/a$|/b', '/(a|b)$'])
def test_alternatives_of_an_expression_end_where_each_says(path):
    rules = [ingress_rule('a.com', path=path, path_type='ImplementationSpecific')]
    ((rule,),) = (spec(annotated(of={'use_regex': 'true'}, rules=rules))['rules'],)
    assert rule['matches'][0]['path']['value'] == f'(?i)(?:{path}).*'
