"""Rules of HTTPRoutes and GRPCRoutes: which backends they demand, and what they say of what cannot be had."""

import pytest

from headrace.haproxy.encode import map_entries
from headrace.ir.policy import Map
from headrace.ir.routing import Mirrors
from headrace.names import Ref
from headrace.settings.settings import Secrets, Settings
from support.gateways import backend, backend_tls_policy, call, gateway, grant, grpc_route, http_route, mirror, rule
from support.objects import built, ca_config_map, endpoint_slice, service

ROUTE, WEB = Ref('HTTPRoute', 'shop', 'r'), Ref('Service', 'shop', 'web')
SETTINGS = Settings(http_port=80, https_port=443, health_port=8099, secrets=Secrets(namespaces=('shop',)))
ASKING = {
    'type': 'ExternalAuth',
    'externalAuth': {'protocol': 'HTTP', 'backendRef': {'name': 'web', 'port': 80}, 'http': {}},
}
POLICY = (backend_tls_policy('policy', 'web', authorities=['ca']), ca_config_map('ca'))


def model(route, *documents, app_protocol=None):
    """Return the model of a route to the port of a Service."""
    port = {'name': 'http', 'port': 80, **({'appProtocol': app_protocol} if app_protocol else {})}
    return built(
        gateway(),
        route,
        service('web', ports=[port]),
        endpoint_slice('web', addresses=['10.0.0.1'], port_name='http'),
        *documents,
        settings=SETTINGS,
    )


def options(made):
    """Return the options of the Service's only backend."""
    (backend,) = made.fragments[WEB].backends
    return backend.options


@pytest.mark.parametrize(('app_protocol', 'tls'), [(None, False), ('kubernetes.io/h2c', False), ('HTTPS', True)])
def test_endpoints_of_grpc_are_spoken_to_by_http2(app_protocol, tls):
    found = options(model(grpc_route('r', rule('web')), app_protocol=app_protocol))
    assert (found.protocol, found.tls is not None) == ('h2', tls)


def test_endpoints_of_grpc_are_validated_as_a_policy_says():
    found = options(model(grpc_route('r', rule('web')), *POLICY))
    assert (found.protocol, found.tls.sni) == ('h2', 'a.example.com')


def test_copies_go_by_tls_where_a_policy_says_so_and_nowhere_where_that_cannot_be_kept():
    route = http_route('r', rule(filters=[mirror('web')]))
    made = model(route, *POLICY)
    assert options(made).tls.sni == 'a.example.com'
    assert any(isinstance(lead, Mirrors) for lead in made.fragments[ROUTE].leads)
    made = model(route, POLICY[0])
    assert not any(isinstance(lead, Mirrors) for lead in made.fragments[ROUTE].leads)


def test_copies_count_for_the_namespace_of_the_route_and_not_for_the_one_that_gets_them():
    filters = [mirror('web'), mirror('copies', namespace='other', fraction={'numerator': 1, 'denominator': 3})]
    made = model(
        http_route('r', rule(filters=filters)),
        service('copies', 'other', ports=[{'name': 'http', 'port': 80}]),
        grant('copies', namespace='other'),
    )
    entries = [entry for entry in map_entries.of_fragment(made.fragments[ROUTE]) if entry.map is Map.MIRRORS]
    assert [entry.value for entry in entries] == ['shop,100/100|shop_web_http,1/3|other_copies_http']


def test_calls_of_grpc_are_not_copied():
    made = model(grpc_route('r', rule('web', filters=[mirror('web')])))
    (found,) = made.fragments[Ref('GRPCRoute', 'shop', 'r')].diagnostics
    assert (found.reason, found.field) == ('UnsupportedValue', 'spec.rules[0].filters[0].requestMirror.backendRef')


def test_a_service_that_is_spoken_to_by_a_policy_cannot_be_asked():
    made = model(http_route('r', rule('web', filters=[ASKING])), *POLICY)
    (found,) = made.fragments[ROUTE].diagnostics
    assert 'BackendTLSPolicy' in found.message
    assert all('X' in claim.value.flags for claim in made.fragments[ROUTE].claims)


@pytest.mark.parametrize(
    ('timeouts', 'attempts', 'retries'),
    [
        (None, 4, 4),
        (None, 50, 10),
        ({'request': '10s'}, 4, 4),
        ({'request': '10s', 'backendRequest': '3s'}, 4, 2),
        ({'request': '10s', 'backendRequest': '10s'}, 4, 0),
        ({'request': '0s', 'backendRequest': '10s'}, 4, 4),
    ],
)
def test_tries_are_no_more_than_fit_into_the_time_of_the_request(timeouts, attempts, retries):
    more = {'timeouts': timeouts} if timeouts else {}
    made = model(http_route('r', rule('web', retry={'attempts': attempts, 'codes': [418, 500]}, **more)))
    (backend,) = made.fragments[WEB].backends
    assert backend.shape.retries == retries
    assert backend.shape.retry_on[3:] == ('500',)


@pytest.mark.parametrize(('timeout', 'milliseconds'), [('0s', 86_400_000), ('2s', 2000)])
def test_a_timeout_of_nothing_is_a_day(timeout, milliseconds):
    made = model(http_route('r', rule('web', timeouts={'request': timeout})))
    assert [each.server for each in made.fragments[ROUTE].timeouts] == [milliseconds]


def test_a_rule_of_calls_that_cannot_be_read_is_closed():
    matches = [call('a(', 'x', expression=True), call('a.B', 'C')]
    made = model(grpc_route('r', rule('web', matches=matches), hostnames=['a.com']))
    claims = {claim.key: claim.value for claim in made.fragments[Ref('GRPCRoute', 'shop', 'r')].claims}
    assert {key: value.flags for key, value in claims.items()} == {'80:a.com/': 'X', '80:a.com/a.B/C/#': 'X'}


def test_a_session_by_a_header_is_named():
    session = {'type': 'Header', 'sessionName': 'X-Own'}
    made = model(http_route('r', rule('web', sessionPersistence=session)))
    (found,) = made.fragments[ROUTE].diagnostics
    assert (found.reason, found.field) == ('UnsupportedValue', 'spec.rules[0].sessionPersistence')
    assert not any(entry.map is Map.SESSION_COOKIE for entry in made.fragments[ROUTE].data)


def annotated(kind=http_route, **annotations):
    """Return a route to the Service with headrace's annotations."""
    return kind('r', rule('web'), annotations={f'headrace.io/{key}': text for key, text in annotations.items()})


@pytest.mark.parametrize(
    ('annotations', 'name', 'value'),
    [
        pytest.param({'fallback-service': 'spare'}, Map.FALLBACK, 'shop_spare_http', id='fallback'),
        pytest.param({'mirror-service': 'spare', 'mirror-percent': '10'}, Map.MIRRORS, 'shop,10/100|shop_spare_http', id='mirror'),
        pytest.param(
            {'error-service': 'spare', 'error-statuses': '404'}, Map.ERROR_PAGES, '404|shop_spare_http|shop||web|80', id='error pages'
        ),
    ],
)  # fmt: skip
def test_further_services_that_annotations_of_a_route_name_are_used(annotations, name, value):
    made = model(annotated(**annotations), service('spare', ports=[{'name': 'http', 'port': 80}]))
    entries = map_entries.of_fragment(made.fragments[ROUTE])
    assert [entry.value for entry in entries if entry.map is name] == [value]
    assert Ref('Service', 'shop', 'spare') in made.fragments


def test_further_services_are_those_of_the_namespace_of_the_route():
    route = http_route(
        'r', rule(backend('data', namespace='other')), annotations={'headrace.io/fallback-service': 'spare'}
    )
    port = {'name': 'http', 'port': 80}
    documents = service('data', 'other', ports=[port]), service('spare', 'other', ports=[port])
    made = model(route, *documents, grant('data', namespace='other'))
    (found,) = made.fragments[ROUTE].diagnostics
    assert (found.reason, found.message) == (
        'ServiceMissing', 'headrace.io/fallback-service: Service shop/spare does not exist',
    )  # fmt: skip


def test_a_mirror_filter_counts_and_not_the_annotation():
    route = http_route('r', rule('web', filters=[mirror('web')]), annotations={'headrace.io/mirror-service': 'spare'})
    made = model(route, service('spare', ports=[{'name': 'http', 'port': 80}]))
    (entry,) = [entry for entry in map_entries.of_fragment(made.fragments[ROUTE]) if entry.map is Map.MIRRORS]
    assert entry.value == 'shop,100/100|shop_web_http'


@pytest.mark.parametrize(
    'key', ['tls-redirect', 'redirect-root', 'www-redirect', 'canary-service', 'canary-weight', 'canary-cookie']
)
def test_keys_that_rules_of_a_route_say_by_themselves_have_no_effect_and_say_so(key):
    text = {'redirect-root': '/x', 'canary-weight': '5'}.get(key, 'true')
    (found,) = model(annotated(**{key: text})).fragments[ROUTE].diagnostics
    assert (found.reason, found.field) == ('NotApplicable', f'metadata.annotations[headrace.io/{key}]')


def test_a_route_is_closed_that_wants_the_host_of_the_request_to_be_asked():
    made = model(annotated(**{'external-auth-url': 'https://$host/oauth2/auth'}))
    fragment = made.fragments[ROUTE]
    assert [each.reason for each in fragment.diagnostics] == ['RouteClosed']
    assert all('X' in claim.value.flags for claim in fragment.claims)


def test_a_redirect_without_a_backend_is_of_the_namespace_of_its_route():
    redirect = {'type': 'RequestRedirect', 'requestRedirect': {'scheme': 'https'}}
    made = model(http_route('r', rule(filters=[redirect])))
    assert {claim.value.backend for claim in made.fragments[ROUTE].claims} == {'shop_r_redirect'}
