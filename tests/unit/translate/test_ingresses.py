"""From an Ingress to its fragment: routes, policies, TLS, canaries, and what closes them."""

import pytest

from headrace.haproxy.encode import map_entries
from headrace.ir.fragment import Kind
from headrace.ir.policy import Map
from headrace.names import Ref
from headrace.settings.settings import Secrets, Settings
from headrace.translate import ingresses
from headrace.translate.services import MOST_DEMANDED
from support import certificates
from support.objects import (
    built,
    endpoint_slice,
    fragment,
    ingress,
    ingress_class,
    ingress_rule,
    pointer,
    secret,
    service,
)

REF = Ref('Ingress', 'shop', 'web')
HTTP = [{'name': 'http', 'port': 80}]
NGINX = 'nginx.ingress.kubernetes.io/'
TLS = certificates.tls_secret('tls', *certificates.for_names('a.com'))


def serve(item, *others, annotations=None, **settings):
    """Return the model of an Ingress beside the Service `web`, which has these annotations."""
    given = Settings(secrets=Secrets(namespaces=('*',)), **settings)
    return built(
        item,
        service(ports=HTTP, annotations=annotations),
        endpoint_slice(addresses=['10.0.0.1'], port_name='http'),
        *([] if any(each['kind'] == 'IngressClass' for each in others) else [ingress_class(default=True)]),
        *others,
        settings=given,
    )


def of_ingress(made, name='web'):
    return fragment(made, name, kind='Ingress')


def messages(made, ref=REF):
    return {(item.reason, item.field): item.message for item in made.diagnostics(ref)}


def reasons(made, ref=REF):
    return sorted(item.reason for item in made.diagnostics(ref))


def route(made, key='a.com/'):
    return pointer(made, Kind.ROUTE, key)


def test_a_path_leads_to_the_backend_that_the_service_makes():
    made = serve(ingress(hosts={'a.com': 'web'}))
    assert (route(made).backend, route(made).flags) == ('shop_web_http', '')
    assert [backend.name for backend in fragment(made).backends] == ['shop_web_http']
    assert reasons(made) == []


def test_an_endpoint_changes_the_service_and_not_the_ingress():
    made = serve(ingress(hosts={'a.com': 'web'}))
    assert of_ingress(made).backends == ()
    assert fragment(made).backends[0].groups[0].addresses == ('10.0.0.1',)


@pytest.mark.parametrize('port', [80, 'http'])
def test_a_port_is_named_or_numbered(port):
    made = serve(ingress(rules=[ingress_rule('a.com', port=port)]))
    assert route(made).backend == 'shop_web_http'


@pytest.mark.parametrize(
    ('rule', 'reason', 'message'),
    [
        (ingress_rule('a.com', 'gone'), 'ServiceMissing', 'Service shop/gone does not exist: its paths answer 503'),
        (ingress_rule('a.com', port=81), 'ServiceMissing', 'Service shop/web has no TCP port 81: its paths answer 503'),
    ],
)
def test_a_path_without_a_backend_is_closed(rule, reason, message):
    made = serve(ingress(rules=[rule]))
    assert 'X' in route(made).flags
    assert messages(made) == {(reason, 'spec.rules[0].http.paths[0].backend'): message}


def test_a_resource_is_no_backend():
    rule = ingress_rule('a.com')
    rule['http']['paths'][0]['backend'] = {'resource': {'apiGroup': 'x.io', 'kind': 'Bucket', 'name': 'b'}}
    made = serve(ingress(rules=[rule]))
    assert ('X' in route(made).flags, reasons(made)) == (True, ['UnsupportedBackend'])


def test_a_backend_that_cannot_be_read_is_closed():
    rule = ingress_rule('a.com')
    rule['http']['paths'][0]['backend'] = {}
    made = serve(ingress(rules=[rule]))
    assert ('X' in route(made).flags, reasons(made)) == (True, ['InvalidObject', 'InvalidObject'])


@pytest.mark.parametrize('allowed', [False, True])
def test_an_external_name_needs_the_class(allowed):
    name = service('out', type='ExternalName', externalName='example.org')
    made = serve(ingress(hosts={'a.com': 'out'}), name, allow_external_name=allowed)
    assert ('X' in route(made).flags, reasons(made)) == (not allowed, [] if allowed else ['ExternalNameForbidden'])


def test_a_service_that_comes_opens_its_paths():
    item = ingress(hosts={'a.com': 'next'})
    assert Ref('Service', 'shop', 'next') in of_ingress(serve(item)).needs
    made = serve(item, service('next', ports=HTTP))
    assert (route(made).backend, reasons(made)) == ('shop_next_http', [])


def test_a_path_that_no_request_can_have_is_left_out():
    made = serve(ingress(rules=[ingress_rule('a.com', path='/a b', path_type='ImplementationSpecific')]))
    assert (of_ingress(made).claims, reasons(made)) == ((), ['InvalidPath'])


def test_an_ingress_of_another_class_has_nothing_but_what_decided_it():
    made = serve(
        ingress(hosts={'a.com': 'web'}, ingressClassName='nginx'), ingress_class('nginx', 'k8s.io/ingress-nginx')
    )
    found = of_ingress(made)
    assert (found.claims, found.demands, found.needs) == ((), (), (Ref('IngressClass', '', 'nginx'),))
    assert route(made) is None


def test_an_ingress_of_a_namespace_outside_the_installation_does_not_exist():
    made = serve(ingress(hosts={'a.com': 'web'}), namespaces=('other',))
    assert REF not in made.fragments


def test_a_class_without_ingresses_serves_none():
    assert REF not in serve(ingress(hosts={'a.com': 'web'}), ingress=False).fragments


def test_a_host_that_the_policy_gives_to_another_namespace_is_left_out():
    rules = [ingress_rule('a.com'), ingress_rule('a.com', path='/x'), ingress_rule('b.com')]
    made = serve(ingress(rules=rules), host_policy={'shop': ('b.com',)})
    assert (route(made), route(made, 'b.com/') is not None) == (None, True)
    assert list(messages(made)) == [('HostForbidden', 'spec.rules[0].host')]


def test_a_host_of_an_older_object_of_another_namespace_is_not_shared():
    other = ingress(hosts={'a.com': 'web'}, namespace='other', created='2024-01-01T00:00:00Z')
    made = serve(ingress(hosts={'a.com': 'web'}, created='2025-01-01T00:00:00Z'), other)
    assert route(made).backend.startswith('other_')
    assert reasons(made) == ['Conflict']


def test_the_default_backend_has_what_is_left_and_rules_without_paths():
    item = ingress(
        rules=[ingress_rule('a.com', path='/x'), {'host': 'b.com'}],
        defaultBackend={'service': {'name': 'web', 'port': {'number': 80}}},
    )
    made = serve(item)
    assert {key for kind, key in dict(made.pointers()) if kind is Kind.ROUTE} >= {'a.com/x/', 'b.com/', '*/'}


def test_a_default_backend_does_not_take_all_hosts_where_the_policy_forbids():
    item = ingress(defaultBackend={'service': {'name': 'web', 'port': {'number': 80}}})
    assert route(serve(item, host_policy={'shop': ('b.com',)}), '*/') is None


def test_routes_of_the_ingress_count_more_than_those_of_the_service_and_backends_the_other_way_round():
    annotations = {'response-headers': 'X-By: service', 'balance': 'leastconn', 'timeout-server': '7s'}
    item = ingress(
        hosts={'a.com': 'web'},
        annotations={
            'headrace.io/response-headers': 'X-By: ingress',
            'headrace.io/balance': 'source',
            'headrace.io/check': 'tcp',
        },
    )
    made = serve(item, annotations=annotations)
    (edits,) = of_ingress(made).headers
    assert edits.response == (('X-By', 'ingress'),)
    (backend,) = [each for each in fragment(made).backends if each.name == route(made).backend]
    assert (backend.shape.balance, backend.shape.check) == ('leastconn', 'tcp')
    assert [found.server for found in of_ingress(made).timeouts] == [7000]


def test_a_backend_whose_servers_have_other_options_has_a_name_of_its_own():
    made = serve(
        ingress(hosts={'a.com': 'web'}, annotations={'headrace.io/backend-protocol': 'https'}),
        annotations={'host': 'b.com'},
    )
    own, other = route(made, 'b.com/').backend, route(made).backend
    assert own != other
    assert {each.name: each.options.tls is not None for each in fragment(made).backends} == {own: False, other: True}


@pytest.mark.parametrize('place', ['Ingress', 'Service'])
def test_a_key_that_protects_and_does_not_parse_closes_the_routes(place):
    own = {'headrace.io/allow': 'x'} if place == 'Ingress' else None
    made = serve(ingress(hosts={'a.com': 'web'}, annotations=own), annotations={'allow': 'x'} if not own else None)
    assert 'X' in route(made).flags
    assert 'RouteClosed' in reasons(made)


def test_keys_that_the_rules_of_an_ingress_say_have_no_effect():
    made = serve(
        ingress(hosts={'a.com': 'web'}, annotations={'headrace.io/host': 'b.com', 'headrace.io/enabled': 'true'})
    )
    assert route(made, 'b.com/') is None
    assert ('NotApplicable', 'metadata.annotations[headrace.io/host]') in messages(made)


def test_users_of_a_secret_are_let_in():
    item = ingress(hosts={'a.com': 'web'}, annotations={'headrace.io/basic-auth-secret': 'users'})
    assert 'b' in route(serve(item, secret('users', username='ann', password='x'))).flags
    assert 'X' in route(serve(item)).flags


def test_clients_stay_where_the_service_says_so():
    made = built(
        ingress(hosts={'a.com': 'web'}),
        ingress_class(default=True),
        service(ports=HTTP, sessionAffinity='ClientIP'),
    )
    assert 's' in route(made).flags
    assert [entry.value for entry in of_ingress(made).data if entry.map.value == 'affinity'] == ['10800']


def test_an_ingress_with_too_many_routes_is_closed():
    rules = [ingress_rule('a.com', path=f'/{number}') for number in range(3)]
    made = serve(ingress(rules=rules), max_routes_per_object=2)
    found = of_ingress(made)
    assert (found.closed, route(made).flags, reasons(made)) == (True, 'X', ['BudgetExceeded'])
    assert found.shut == ('*', '*.com', 'a.com')


def test_routes_to_services_without_settings_of_their_own_share_one_policy():
    item = ingress(
        rules=[ingress_rule('a.com', path='/web'), ingress_rule('a.com', 'next', path='/next')],
        annotations={'headrace.io/allow': '10.0.0.0/8'},
    )
    made = serve(item, service('next', ports=HTTP))
    assert route(made, 'a.com/web/').policy == route(made, 'a.com/next/').policy
    assert len(of_ingress(made).data) == 1
    made = serve(item, service('next', ports=HTTP, annotations={'timeout-server': '7s'}))
    assert route(made, 'a.com/web/').policy != route(made, 'a.com/next/').policy


def test_an_ingress_with_too_many_entries_is_closed():
    item = ingress(hosts={'a.com': 'web'}, annotations={'headrace.io/allow': '10.0.0.0/8, 192.0.2.0/24, 192.0.2.7'})
    made = serve(item, max_entries_per_object=2)
    assert (route(made).flags, reasons(made)) == ('X', ['BudgetExceeded'])
    assert 'X' not in route(serve(item, max_entries_per_object=3)).flags


# --- TLS


def test_a_certificate_is_claimed_for_its_hosts_and_plain_requests_are_redirected():
    made = serve(ingress(hosts={'a.com': 'web', 'b.com': 'web'}, tls=[{'hosts': ['a.com'], 'secretName': 'tls'}]), TLS)
    assert pointer(made, Kind.TLS, 'a.com').certificates == ('shop_tls',)
    assert (route(made).flags, route(made, 'b.com/').flags) == ('L', '')


def test_an_entry_without_hosts_is_for_all_hosts_of_rules():
    made = serve(ingress(hosts={'a.com': 'web', 'b.com': 'web'}, tls=[{'secretName': 'tls'}]), TLS)
    assert pointer(made, Kind.TLS, 'b.com').certificates == ('shop_tls',)


def test_a_redirect_can_be_switched_off():
    item = ingress(
        hosts={'a.com': 'web'},
        tls=[{'hosts': ['a.com'], 'secretName': 'tls'}],
        annotations={'headrace.io/tls-redirect': 'false'},
    )
    assert route(serve(item, TLS)).flags == ''


@pytest.mark.parametrize('default', [False, True])
def test_without_its_certificate_a_host_has_the_default_one_or_is_closed(default):
    item = ingress(hosts={'a.com': 'web'}, tls=[{'hosts': ['a.com'], 'secretName': 'gone'}])
    made = serve(item, TLS, default_certificate='shop/tls' if default else '')
    assert route(made).flags == ('L' if default else 'X')
    assert reasons(made) == ['SecretMissing']
    assert list(messages(made)) == [('SecretMissing', 'spec.tls[0].secretName')]


@pytest.mark.parametrize('default', [False, True])
def test_an_entry_without_a_secret_wants_the_default_certificate(default):
    item = ingress(hosts={'a.com': 'web'}, tls=[{'hosts': ['a.com']}])
    made = serve(item, TLS, default_certificate='shop/tls' if default else '')
    assert route(made).flags == ('L' if default else 'X')


def test_a_redirect_that_is_asked_for_needs_the_default_certificate():
    item = ingress(hosts={'a.com': 'web'}, annotations={'headrace.io/tls-redirect': 'true'})
    assert route(serve(item)).flags == ''
    assert route(serve(item, TLS, default_certificate='shop/tls')).flags == 'L'


def test_a_redirect_that_ingress_nginx_forces_needs_no_certificate():
    item = ingress(hosts={'a.com': 'web'}, annotations={f'{NGINX}force-ssl-redirect': 'true'})
    assert route(serve(item, ingress_annotations=('ingress-nginx',))).flags == 'L'


def test_of_several_certificates_of_one_kind_the_first_counts():
    tls = [{'hosts': ['a.com'], 'secretName': 'tls'}, {'hosts': ['a.com'], 'secretName': 'other'}]
    other = certificates.tls_secret('other', *certificates.for_names('a.com'))
    made = serve(ingress(hosts={'a.com': 'web'}, tls=tls), TLS, other)
    assert (pointer(made, Kind.TLS, 'a.com').certificates, reasons(made)) == (('shop_tls',), ['ContradictoryKeys'])


def test_a_host_of_tls_that_the_policy_forbids_has_none():
    item = ingress(hosts={'b.com': 'web'}, tls=[{'hosts': ['a.com'], 'secretName': 'tls'}])
    assert pointer(serve(item, TLS, host_policy={'shop': ('b.com',)}), Kind.TLS, 'a.com') is None


CA = secret('ca', ca_crt=certificates.for_names('ca')[1].decode())


@pytest.mark.parametrize(
    ('verify', 'flag'), [({}, 'v'), ({'headrace.io/client-verify': 'optional'}, 'u')], ids=['required', 'optional']
)
def test_clients_show_certificates_of_an_authority(verify, flag):
    item = ingress(
        hosts={'a.com': 'web'},
        tls=[{'hosts': ['a.com'], 'secretName': 'tls'}],
        annotations={'headrace.io/client-ca-secret': 'ca', 'headrace.io/tls-redirect': 'false', **verify},
    )
    made = serve(item, TLS, CA)
    assert pointer(made, Kind.TLS, 'a.com').client_ca == 'shop_ca'
    assert flag in route(made).flags
    # Clients can show one over TLS only.
    assert ('L' in route(made).flags) is (flag == 'v')


def test_without_its_authority_a_route_is_closed():
    annotations = {'headrace.io/client-ca-secret': 'ca'}
    tls = [{'hosts': ['a.com'], 'secretName': 'tls'}]
    assert 'X' in route(serve(ingress(hosts={'a.com': 'web'}, tls=tls, annotations=annotations), TLS)).flags
    assert 'X' in route(serve(ingress(hosts={'a.com': 'web'}, annotations=annotations), TLS, CA)).flags


def test_without_the_authority_of_its_endpoints_a_route_is_closed():
    annotations = {'headrace.io/backend-ca-secret': 'ca', 'headrace.io/backend-protocol': 'https'}
    item = ingress(hosts={'a.com': 'web'}, annotations=annotations)
    assert 'X' in route(serve(item)).flags
    assert 'X' not in route(serve(item, CA)).flags


# --- foreign annotations


def test_foreign_annotations_count_where_the_class_speaks_them():
    item = ingress(hosts={'a.com': 'web'}, annotations={f'{NGINX}proxy-body-size': '1m'})
    assert 'm' not in route(serve(item)).flags
    assert 'm' in route(serve(item, ingress_annotations=('ingress-nginx',))).flags


def test_a_class_of_another_controller_speaks_its_dialect():
    item = ingress(
        hosts={'a.com': 'web'},
        ingressClassName='old',
        annotations={f'{NGINX}proxy-body-size': '1m', 'haproxy-ingress.github.io/proxy-body-size': '2m'},
    )
    dialects = {'ingress_annotations': ('ingress-nginx', 'haproxy-ingress'), 'ingress_classes': ('old',)}
    of_class = ingress_class('old', 'haproxy-ingress.github.io/controller')
    (entry,) = [each for each in of_ingress(serve(item, of_class, **dialects)).data if each.map.value == 'body']
    assert entry.value == str(2 << 20)


def test_a_foreign_key_that_protects_and_does_not_parse_closes_the_routes():
    item = ingress(hosts={'a.com': 'web'}, annotations={f'{NGINX}whitelist-source-range': 'x'})
    assert 'X' in route(serve(item, ingress_annotations=('ingress-nginx',))).flags


def canary(**annotations):
    given = {
        f'{NGINX}canary': 'true',
        **{f'{NGINX}canary-{key.replace("_", "-")}': value for key, value in annotations.items()},
    }
    return ingress('next', hosts={'a.com': 'next'}, annotations=given)


NEXT = (service('next', ports=HTTP), endpoint_slice('next', addresses=['10.0.0.2'], port_name='http'))


def test_a_canary_gets_its_share_of_the_other_ingress():
    made = serve(ingress(hosts={'a.com': 'web'}), canary(weight='20'), *NEXT, ingress_annotations=('ingress-nginx',))
    (lead,) = of_ingress(made).leads
    assert (lead.weight, lead.pointer.backend) == (2000, 'shop_next_http')
    assert of_ingress(made, 'next').claims == ()
    assert route(made).backend == 'shop_web_http'


def test_a_canary_takes_no_other_paths_and_none_of_another_class():
    item, shares = ingress(rules=[ingress_rule('a.com', path='/x')]), canary(weight='20')
    assert of_ingress(serve(item, shares, *NEXT, ingress_annotations=('ingress-nginx',))).leads == ()
    made = serve(ingress(hosts={'a.com': 'web'}), shares, *NEXT)
    assert of_ingress(made).leads == ()


def test_a_canary_that_comes_builds_the_other_ingress_again():
    made = serve(ingress(hosts={'a.com': 'web'}), ingress_annotations=('ingress-nginx',))
    assert Ref('Canaries', 'shop', 'a.com') in of_ingress(made).needs


def test_canaries_are_read_once_for_all_hosts_and_paths(monkeypatch):
    read, asked = ingresses.ingress_settings.read, []
    monkeypatch.setattr(
        ingresses.ingress_settings, 'read', lambda item, *rest: asked.append(item.name) or read(item, *rest)
    )
    hosts = [f'h{number}.com' for number in range(20)]
    item = ingress(hosts=dict.fromkeys(hosts, 'web'))
    other = ingress(
        'next', hosts=dict.fromkeys(hosts, 'next'), annotations=canary(weight='20')['metadata']['annotations']
    )
    made = serve(item, other, *NEXT, ingress_annotations=('ingress-nginx',))
    assert len(of_ingress(made).leads) == 1
    # Each once for its own fragment, and the canary once more for that of the other one.
    assert len(asked) <= 4


def test_a_canary_without_its_service_gets_nothing():
    made = serve(ingress(hosts={'a.com': 'web'}), canary(weight='20'), ingress_annotations=('ingress-nginx',))
    assert (of_ingress(made).leads, route(made).flags) == ((), '')


# --- regular expressions


def expression(path, name='web', **annotations):
    return ingress(
        name,
        rules=[ingress_rule('a.com', path=path, path_type='ImplementationSpecific')],
        annotations={f'{NGINX}{key.replace("_", "-")}': value for key, value in annotations.items()},
    )


def test_paths_of_a_host_with_expressions_are_candidates_of_its_root():
    made = serve(expression('/v[0-9]+', use_regex='true'), ingress_annotations=('ingress-nginx',))
    (candidate,) = route(made).items
    assert candidate.target.backend == 'shop_web_http'
    assert '[0-9]+' in candidate.conditions.path
    assert reasons(made) == []


def test_an_expression_of_one_ingress_makes_all_paths_of_its_host_expressions():
    plain = ingress('plain', rules=[ingress_rule('a.com', path='/x')])
    made = serve(plain, expression('/y', use_regex='true'), ingress_annotations=('ingress-nginx',))
    assert len(route(made).items) == 2
    assert route(made, 'a.com/x/') is None
    # Only of the same host, and where the dialect says so.
    made = serve(plain, expression('/y', use_regex='true'))
    assert route(made, 'a.com/x/').backend == 'shop_web_http'


def test_the_longer_expression_goes_first():
    made = serve(
        expression('/a', use_regex='true'),
        expression('/abc', name='other', use_regex='true'),
        ingress_annotations=('ingress-nginx',),
    )
    assert [candidate.conditions.path_length for candidate in route(made).items] == [4, 2]


def test_an_expression_that_is_not_supported_closes_what_is_left_of_the_host():
    made = serve(expression('/(?=x)', use_regex='true'), ingress_annotations=('ingress-nginx',))
    assert ('X' in route(made).flags, reasons(made)) == (True, ['InvalidPath'])


def test_a_rewrite_has_what_groups_of_the_expression_matched():
    made = serve(expression('/api/(.*)', rewrite_target='/$1'), ingress_annotations=('ingress-nginx',))
    (candidate,) = route(made).items
    assert 'f' in candidate.target.flags
    assert [entry.value for entry in of_ingress(made).data if entry.map.value == 'rewrite-captures'] == ['/$1']


def test_a_path_that_is_the_target_of_the_rewrite_itself_is_kept():
    made = serve(expression('/app', rewrite_target='/app'), ingress_annotations=('ingress-nginx',))
    assert [entry for entry in of_ingress(made).data if entry.map.value == 'rewrite-captures'] == []


def test_an_ingress_with_too_many_expressions_is_closed():
    rules = [ingress_rule('a.com', path=f'/{number}', path_type='ImplementationSpecific') for number in range(201)]
    item = ingress(rules=rules, annotations={f'{NGINX}use-regex': 'true'})
    made = serve(item, ingress_annotations=('ingress-nginx',))
    assert (route(made).flags, reasons(made)) == ('X', ['BudgetExceeded'])


# --- further structure


def test_the_same_path_twice_is_served_by_the_first():
    rules = [ingress_rule('a.com'), ingress_rule('a.com', 'gone')]
    made = serve(ingress(rules=rules))
    assert (route(made).backend, reasons(made)) == ('shop_web_http', ['Conflict', 'ServiceMissing'])


def test_an_alias_is_another_name_of_the_first_host():
    item = ingress(
        hosts={'a.com': 'web'},
        annotations={f'{NGINX}server-alias': 'b.com'},
        tls=[{'hosts': ['a.com'], 'secretName': 'tls'}],
    )
    made = serve(item, TLS, ingress_annotations=('ingress-nginx',))
    assert route(made, 'b.com/') == route(made)
    assert pointer(made, Kind.TLS, 'b.com') == pointer(made, Kind.TLS, 'a.com')


def test_tls_is_passed_through_to_the_backend_of_the_root():
    item = ingress(hosts={'a.com': 'web'}, annotations={f'{NGINX}ssl-passthrough': 'true'})
    made = serve(item, ingress_annotations=('ingress-nginx',))
    passthrough = pointer(made, Kind.TLS, 'a.com').passthrough
    (backend,) = [each for each in fragment(made).backends if each.name == passthrough.backend]
    assert backend.shape.mode == 'tcp'


def test_the_root_of_the_hosts_can_be_redirected():
    made = serve(ingress(hosts={'a.com': 'web'}, annotations={'headrace.io/redirect-root': '/app'}))
    assert 'R' in route(made, 'a.com//#').flags
    assert route(made).backend == 'shop_web_http'


def test_hosts_that_differ_by_www_are_redirected():
    made = serve(ingress(hosts={'a.com': 'web'}, annotations={'headrace.io/www-redirect': 'true'}))
    assert 'R' in route(made, 'www.a.com/').flags


def test_errors_and_copies_go_to_the_services_that_annotations_of_nginx_name():
    said = {f'{NGINX}custom-http-errors': '404,503', f'{NGINX}default-backend': 'pages'}
    said[f'{NGINX}mirror-target'] = 'http://copies.shop.svc$request_uri'
    others = (service('pages', ports=HTTP), service('copies', ports=HTTP))
    made = serve(ingress(hosts={'a.com': 'web'}, annotations=said), *others, ingress_annotations=('ingress-nginx',))
    found = {entry.map: entry.value for entry in map_entries.of_fragment(of_ingress(made))}
    assert found[Map.ERROR_PAGES] == '404,503|shop_pages_http|shop|web|web|80'
    assert found[Map.MIRRORS] == 'shop,100/100|shop_copies_http'
    assert found[Map.FALLBACK] == 'shop_pages_http'
    assert set(route(made).flags) == set('MQU')


def test_a_service_for_errors_that_is_missing_is_told():
    said = {'headrace.io/error-statuses': '404', 'headrace.io/error-service': 'pages'}
    made = serve(ingress(hosts={'a.com': 'web'}, annotations=said))
    assert reasons(made) == ['ServiceMissing']


# --- demands


def test_ingresses_that_differ_in_what_is_data_of_their_routes_share_a_backend():
    items = [
        ingress(f'i{number}', hosts={f'h{number}.com': 'web'}, annotations={'headrace.io/timeout-server': f'{number}s'})
        for number in (5, 6)
    ]
    made = serve(items[0], items[1])
    assert len({demand for number in (5, 6) for demand in of_ingress(made, f'i{number}').demands}) == 1
    assert [found.server for number in (5, 6) for found in of_ingress(made, f'i{number}').timeouts] == [5000, 6000]


def test_a_service_makes_a_bounded_number_of_backends_for_others():
    items = [
        ingress(f'i{number}', hosts={f'h{number}.com': 'web'}, annotations={'headrace.io/max-connections': f'{number}'})
        for number in range(1, MOST_DEMANDED + 3)
    ]
    made = serve(items[0], *items[1:])
    assert len(fragment(made).backends) == MOST_DEMANDED
    assert reasons(made, Ref('Service', 'shop', 'web')) == ['BudgetExceeded']
