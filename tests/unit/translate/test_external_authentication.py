"""External authentication: which Service a route asks, how, and what closes a route that cannot ask."""

import pytest

from headrace.annotations.authentication import url
from headrace.annotations.values import Invalid
from headrace.haproxy.encode import routes
from headrace.ir.fragment import Kind
from headrace.ir.policy import Map
from headrace.ir.routing import Authentication
from headrace.settings.settings import Settings
from headrace.translate.build_context import Role
from support.objects import built, endpoint_slice, fragment, pointer, service

HTTP = [{'name': 'http', 'port': 4180}]
SEVERAL = [*HTTP, {'name': 'metrics', 'port': 80}, {'name': 'dns', 'port': 53, 'protocol': 'UDP'}]
WEB = [{'name': 'http', 'port': 80}]


def asking(*others, ports=None, role=Role.EDGE, **said):
    """Return the model of a Service with these annotations, written with `_` for `-`, and of others."""
    annotations = {key.replace('_', '-'): value for key, value in said.items()}
    more = {'annotations': {'host': 'a.com', **annotations}}
    if role is Role.NODE:
        more = {'annotations': {'proxy': 'node', 'mode': 'http', **annotations}, 'clusterIPs': ['10.96.0.1']}
    return built(
        service(ports=WEB if ports is None else ports, **more),
        endpoint_slice(addresses=['10.0.0.1'], port_name='http'),
        *others,
        role=role,
    )


def auth(ports=None, **spec):
    """Return the Service that is asked."""
    return service('auth', ports=ports or HTTP, **spec), endpoint_slice(
        'auth', addresses=['10.0.0.2'], port_name='http'
    )


def entry(made):
    """Return the fields of what is asked, None where nothing is."""
    leads = [each for each in fragment(made).leads if isinstance(each, Authentication)]
    return routes.lead(leads[0])[0].value.split('|') if leads else None


def flags(made, key='a.com/'):
    return pointer(made, Kind.ROUTE, key).flags


def test_a_service_is_asked_by_its_own_backend_with_the_defaults():
    made = asking(*auth(), external_auth_service='auth')
    assert entry(made) == ['5000', 'shop_auth_http', 'GET', 'auth.shop.svc/', '', '', '0', '0', '', 'shop']
    assert [backend.name for backend in fragment(made, 'auth').backends] == ['shop_auth_http']
    assert (flags(made), made.all_diagnostics()) == ('A', ())


def test_all_that_is_asked_is_in_the_entry():
    made = asking(
        *auth(annotations={'cookie': 'stay', 'balance': 'leastconn'}),
        external_auth_service='auth:4180', external_auth_path='/verify?a=b', external_auth_signin='https://a.com/start',
        external_auth_method='HEAD', external_auth_response_headers='X-User, X-Mail', external_auth_timeout='1s',
        external_auth_cache='9s', external_auth_body_size='2k', external_auth_skip_paths='/open/, /a, /open',
    )  # fmt: skip
    (backend,) = fragment(made, 'auth').backends
    assert entry(made) == [
        '1000', backend.name, 'HEAD', 'auth.shop.svc:4180/verify?a=b', 'x-user,x-mail', 'https://a.com/start', '9000', '2048', 'stay', 'shop',
    ]  # fmt: skip
    policy = pointer(made, Kind.ROUTE, 'a.com/').policy
    skipped = [each.key for each in fragment(made).data if each.map is Map.EXTERNAL_AUTH_SKIP]
    assert (skipped, flags(made)) == ([f'{policy}:/a/', f'{policy}:/open/'], 'AV')


@pytest.mark.parametrize(
    ('named', 'ports', 'backend'),
    [
        pytest.param({'external_auth_service': 'auth:metrics'}, SEVERAL, 'shop_auth_metrics', id='by name'),
        pytest.param({'external_auth_service': 'auth:80'}, SEVERAL, 'shop_auth_metrics', id='by number'),
        pytest.param({'external_auth_service': 'auth'}, SEVERAL[1:], 'shop_auth_metrics', id='the only one of TCP'),
        pytest.param({'external_auth_service': 'auth:80'}, [{'name': 'a', 'port': 80}, {'name': '80', 'port': 9}], 'shop_auth_80', id='name before number'),
        pytest.param({'external_auth_url': 'http://auth.shop.svc/a'}, SEVERAL, 'shop_auth_metrics', id='URL without a port'),
        pytest.param({'external_auth_url': 'http://auth.shop.svc.cluster.local:4180/a'}, SEVERAL, 'shop_auth_http', id='URL with a port'),
        pytest.param({'external_auth_url': 'https://auth.shop.svc'}, [{'name': 'https', 'port': 443}], 'shop_auth_https', id='URL with TLS'),
    ],
)  # fmt: skip
def test_the_port_that_is_asked(named, ports, backend):
    made = asking(*auth(ports), **named)
    assert entry(made)[1] == backend
    assert 'RouteClosed' not in [diagnostic.reason for diagnostic in made.all_diagnostics()]


@pytest.mark.parametrize('role', [Role.EDGE, Role.NODE])
@pytest.mark.parametrize(
    ('named', 'why'),
    [
        ({'external_auth_service': 'none'}, 'Service shop/none does not exist'),
        ({'external_auth_service': 'auth:smtp'}, 'Service shop/auth has no such port'),
        ({'external_auth_service': 'auth:53'}, 'Service shop/auth has no such port'),
        ({'external_auth_service': 'auth'}, 'Service shop/auth has several ports; name one'),
        ({'external_auth_url': 'http://auth.shop.svc:81'}, 'Service shop/auth has no such port'),
        ({'external_auth_url': 'https://auth.shop.svc:80'}, 'the URL wants TLS, which port metrics of Service shop/auth does not speak'),
        ({'external_auth_url': 'http://auth.bank.svc'}, 'Service bank/auth is in another namespace'),
        ({'external_auth_url': 'http://auth'}, 'http://auth:80 is outside of the cluster'),
        ({'external_auth_url': 'http://auth.shop'}, 'http://auth.shop:80 is outside of the cluster'),
        ({'external_auth_url': 'https://sso.example.com/verify'}, 'https://sso.example.com:443 is outside of the cluster'),
        ({'external_auth_url': 'http://[::1]:80/'}, 'http://[::1]:80 is outside of the cluster'),
        ({'external_auth_url': 'http://169.254.169.254/'}, 'http://169.254.169.254:80 is outside of the cluster'),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_closes(named, why, role):
    made = asking(*auth(SEVERAL), role=role, **named)
    (told,) = [diagnostic for diagnostic in made.all_diagnostics() if diagnostic.reason == 'RouteClosed']
    key = next(iter(named)).replace('_', '-')
    assert told.message.startswith(f'headrace.io/{key}: port http is closed: {why}')
    closed = pointer(made, Kind.ADDRESS, '10.96.0.1:80') if role is Role.NODE else pointer(made, Kind.ROUTE, 'a.com/')
    assert (closed.flags, entry(made)) == ('X', None)


def test_a_service_of_another_namespace_with_the_same_name_is_not_asked():
    made = asking(service('auth', 'bank', ports=HTTP), external_auth_service='auth')
    assert flags(made) == 'X'
    assert fragment(made, 'auth', 'bank') is None


def test_only_http_can_be_asked_about():
    made = asking(*auth(), ports=[{'name': 'tcp', 'port': 5432}], host='', port='5432', external_auth_service='auth')
    assert pointer(made, Kind.PORT, '5432').flags == 'X'


def test_of_two_keys_the_service_counts_and_the_user_is_told():
    made = asking(*auth(), external_auth_service='auth', external_auth_url='https://sso.example.com/')
    assert entry(made)[3] == 'auth.shop.svc/'
    (told,) = made.all_diagnostics()
    assert (told.reason, told.field) == ('ContradictoryKeys', 'metadata.annotations[headrace.io/external-auth-url]')


@pytest.mark.parametrize(
    'key', ['signin', 'method', 'response-headers', 'timeout', 'cache', 'skip-paths', 'body-size', 'path']
)
def test_a_key_about_the_question_has_no_effect_without_who_is_asked(key):
    value = {
        'signin': '/a', 'method': 'GET', 'response-headers': 'A', 'timeout': '1s', 'cache': '1s', 'skip-paths': '/a',
        'body-size': '1k', 'path': '/a',
    }[key]  # fmt: skip
    made = asking(**{f'external_auth_{key}': value})
    (told,) = made.all_diagnostics()
    more = '' if key == 'path' else ' or headrace.io/external-auth-url'
    assert (told.reason, told.message) == (
        'NotApplicable',
        f'headrace.io/external-auth-{key}: it needs headrace.io/external-auth-service{more}',
    )
    assert flags(made) == ''


def test_a_name_outside_is_asked_by_a_service_of_type_external_name():
    other = service('auth', ports=[80], type='ExternalName', externalName='sso.example.com')
    settings = Settings(allow_external_name=True)
    made = built(
        service(annotations={'host': 'a.com', 'external-auth-service': 'auth'}, ports=WEB), other, settings=settings
    )
    assert entry(made)[3] == 'sso.example.com/'
    odd = service('auth', ports=[80], type='ExternalName', externalName='sso|example')
    made = built(
        service(annotations={'host': 'a.com', 'external-auth-service': 'auth'}, ports=WEB), odd, settings=settings
    )
    assert entry(made)[3] == 'auth.shop.svc/'


def test_on_a_node_the_backend_is_lent_in_each_datapath_of_its_own_address():
    made = asking(*auth(clusterIPs=['10.96.0.2']), role=Role.NODE, external_auth_service='auth')
    (backend,) = fragment(made, 'auth').backends
    assert (entry(made)[1], backend.groups[0].addresses) == (backend.name, ('10.0.0.2',))
    assert (pointer(made, Kind.ADDRESS, '10.96.0.1:80').flags, made.all_diagnostics()) == ('A', ())


@pytest.mark.parametrize(
    ('text', 'host', 'port'),
    [
        ('http://a.b.svc', 'a.b.svc', '80'), ('https://a.b.svc', 'a.b.svc', '443'), ('http://a.b.svc:8080/x', 'a.b.svc', '8080'),
        ('http://[::1]', '[::1]', '80'), ('http://[::1]:81', '[::1]', '81'),
    ],
)  # fmt: skip
def test_a_url_has_a_host_and_a_port(text, host, port):
    assert (url(text).host, url(text).port) == (host, port)


@pytest.mark.parametrize(
    ('text', 'authority', 'target'),
    [
        ('https://$host/oauth2/auth', '${host}', '/oauth2/auth'),
        ('$scheme://${host}', '${host}', '/'),
        ('http://a.b.svc$request_uri', 'a.b.svc', '${request_uri}'),
        ('http://a.b.svc/x$uri$is_args$args', 'a.b.svc', '/x${uri}${query}'),
        ('http://a.b.svc?rd=$scheme://$host$escaped_request_uri', 'a.b.svc', '/?rd=${scheme}://${host}${escaped_request_uri}'),
    ],
)  # fmt: skip
def test_variables_stand_for_a_whole_host_and_in_path_and_query(text, authority, target):
    assert (url(text).authority, url(text).target) == (authority, target)


@pytest.mark.parametrize(
    'text',
    [
        '$scheme://a.b.svc/', 'http://$host.a.svc/', 'http://$host:81/', 'http://a$host/', 'http://a.b.svc$escaped_request_uri',
        'http://a.b.svc/$args', 'http://$args/', 'http://a.b.svc/$cookie_x', 'http://a.b.svc/$', 'http://a.b.svc/${host', '$host/',
        'http://$request_uri/',
    ],
)  # fmt: skip
def test_other_variables_are_refused(text):
    assert isinstance(url(text), Invalid)


def test_who_serves_the_host_of_the_request_is_found_by_each_request():
    made = asking(external_auth_url='https://$host/oauth2/auth')
    assert entry(made)[1:4] == ['', 'GET', '${host}/oauth2/auth']
    assert (flags(made), made.all_diagnostics()) == ('A', ())


def test_in_the_node_role_no_host_is_served():
    made = asking(role=Role.NODE, external_auth_url='https://$host/oauth2/auth')
    (told,) = made.all_diagnostics()
    assert (told.reason, 'for the edge alone' in told.message) == ('RouteClosed', True)


CLASS = Settings(external_auth_hosts=('https://sso.example.com', 'http://in.example.com:8080', 'auth.bank.svc'))


@pytest.mark.parametrize(
    ('url', 'backend'),
    [
        ('https://sso.example.com/verify', 'external-auth:https:sso.example.com:443'),
        ('https://sso.example.com:443', 'external-auth:https:sso.example.com:443'),
        ('http://in.example.com:8080/', 'external-auth:http:in.example.com:8080'),
        ('http://auth.bank.svc:4180/', 'bank_auth_http'),
        ('http://auth.bank.svc.cluster.local:4180/', 'bank_auth_http'),
    ],
)
def test_what_the_class_names_can_be_asked(url, backend):
    made = built(
        service(annotations={'host': 'a.com', 'external-auth-url': url}, ports=WEB),
        service('auth', 'bank', ports=HTTP),
        settings=CLASS,
    )
    assert (entry(made)[1], entry(made)[9], flags(made)) == (backend, 'shop', 'A')


@pytest.mark.parametrize(
    'url', ['http://sso.example.com/', 'https://sso.example.com:8443/', 'http://in.example.com/', 'http://other.bank.svc/']
)  # fmt: skip
def test_what_the_class_does_not_name_closes(url):
    made = built(service(annotations={'host': 'a.com', 'external-auth-url': url}, ports=WEB), settings=CLASS)
    assert flags(made) == 'X'


GLOBAL = Settings(
    global_auth={'url': 'http://auth.bank.svc:4180/verify', 'signin': '/start', 'response-headers': 'X-User'}
)


def test_the_class_can_ask_about_all_http_routes():
    bank = service('auth', 'bank', ports=HTTP)
    made = built(service(annotations={'host': 'a.com'}, ports=WEB), bank, settings=GLOBAL)
    assert entry(made)[1:6] == ['bank_auth_http', 'GET', 'auth.bank.svc:4180/verify', 'x-user', '/start']
    skipped = [each.key for each in fragment(made).data if each.map is Map.EXTERNAL_AUTH_SKIP]
    assert [key.partition(':')[2] for key in skipped] == ['/.well-known/acme-challenge/']
    assert [backend.name for backend in fragment(made, 'auth', 'bank').backends] == ['bank_auth_http']


@pytest.mark.parametrize(
    ('said', 'asked'),
    [
        pytest.param({'global-auth': 'false'}, None, id='switched off'),
        pytest.param({'external-auth-service': 'auth'}, 'shop_auth_http', id='its own'),
    ],
)
def test_a_route_can_leave_the_authentication_of_the_class(said, asked):
    made = built(service(annotations={'host': 'a.com', **said}, ports=WEB), *auth(), settings=GLOBAL)
    assert (entry(made) or [None, None])[1] == asked


def test_in_the_node_role_and_for_tcp_the_class_does_not_ask():
    node = {'annotations': {'proxy': 'node', 'mode': 'http'}, 'clusterIPs': ['10.96.0.1']}
    made = built(service(ports=WEB, **node), settings=GLOBAL, role=Role.NODE)
    assert pointer(made, Kind.ADDRESS, '10.96.0.1:80').flags == ''
    tcp = [{'name': 'tcp', 'port': 5432}]
    settings = Settings(global_auth=GLOBAL.global_auth, tcp_ports='5432')
    made = built(service(ports=tcp, annotations={'port': '5432'}), settings=settings)
    assert pointer(made, Kind.PORT, '5432').flags == ''


def test_routes_are_closed_while_the_service_of_the_class_is_missing():
    made = built(service(annotations={'host': 'a.com'}, ports=WEB), settings=GLOBAL)
    (told,) = [each for each in made.all_diagnostics() if each.reason == 'RouteClosed']
    assert told.message == "port http is closed: the class's globalAuth: Service bank/auth does not exist"
    assert flags(made) == 'X'
