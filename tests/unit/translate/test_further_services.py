"""Services that a route needs besides the one that serves it."""

import pytest

from headrace.haproxy.encode import map_entries
from headrace.ir.policy import Map
from headrace.translate.build_context import Role
from support.objects import built, endpoint_slice, fragment, reasons, service

HTTP = [{'name': 'http', 'port': 80}]
SEVERAL = [*HTTP, {'name': 'admin', 'port': 8080}]
PAGES = {'error-statuses': '503 404', 'error-service': 'pages'}


def model(*others, role=Role.EDGE, ports=HTTP, **said):
    """Return the model of a Service with these annotations, and of others."""
    annotations = {key.replace('_', '-').replace('--', '.'): value for key, value in said.items()}
    more = {'annotations': {'host': 'a.com', **annotations}}
    if role is Role.NODE:
        more = {'annotations': {'proxy': 'node', 'mode': 'http', **annotations}, 'clusterIPs': ['10.96.0.1']}
    return built(
        service(ports=ports, **more), endpoint_slice(addresses=['10.0.0.1'], port_name='http'), *others, role=role
    )


def pages(ports=HTTP):
    return service('pages', ports=ports), endpoint_slice('pages', addresses=['10.0.0.2'], port_name='http')


def entries(made, where=Map.ERROR_PAGES):
    """Return what a Service has in a map."""
    return [entry.value for entry in map_entries.of_fragment(fragment(made)) if entry.map is where]


def test_a_route_has_the_codes_the_backend_and_where_answers_come_from():
    made = model(*pages(), **PAGES)
    assert entries(made) == ['404,503|shop_pages_http|shop||web|80']
    assert [backend.name for backend in fragment(made, 'pages').backends] == ['shop_pages_http']
    assert made.all_diagnostics() == ()


def test_in_the_node_role_it_is_the_same():
    made = model(*pages(), role=Role.NODE, **PAGES)
    (value,) = entries(made)
    assert value.startswith('404,503|shop_pages_http')
    assert [backend.name for backend in fragment(made, 'pages').backends] == [value.split('|')[1]]


@pytest.mark.parametrize('named', ['pages:http', 'pages:80'])
def test_a_port_is_named_by_its_name_or_number(named):
    made = model(*pages(SEVERAL), **{**PAGES, 'error-service': named})
    assert entries(made)[0].split('|')[1] == 'shop_pages_http'


@pytest.mark.parametrize('role', list(Role))
@pytest.mark.parametrize(
    ('others', 'why'),
    [
        pytest.param((), 'Service shop/pages does not exist', id='no Service'),
        pytest.param(pages(SEVERAL), 'Service shop/pages has several ports; name one', id='several ports'),
    ],
)
def test_a_service_that_is_not_there_is_left_out_with_a_diagnostic(others, why, role):
    made = model(*others, role=role, **PAGES)
    assert entries(made) == []
    (found,) = [each for each in made.all_diagnostics() if each.reason == 'ServiceMissing']
    assert found.message == f'headrace.io/error-service: {why}'


@pytest.mark.parametrize(
    ('said', 'value'),
    [
        pytest.param({}, 'shop,100/100|shop_pages_http', id='all'),
        pytest.param({'mirror-percent': '5'}, 'shop,5/100|shop_pages_http', id='a part'),
    ],
)
def test_copies_go_to_the_backend_of_the_other_service(said, value):
    made = model(*pages(), **{'mirror-service': 'pages', **said})
    assert (entries(made, Map.MIRRORS), made.all_diagnostics()) == ([value], ())
    assert [backend.name for backend in fragment(made, 'pages').backends] == ['shop_pages_http']


@pytest.mark.parametrize('role', list(Role))
def test_another_service_is_named_for_when_there_is_no_endpoint(role):
    made = model(*pages(), role=role, **{'fallback-service': 'pages:80'})
    (value,) = entries(made, Map.FALLBACK)
    assert [backend.name for backend in fragment(made, 'pages').backends] == [value]
    assert made.all_diagnostics() == ()


@pytest.mark.parametrize('role', list(Role))
def test_without_the_service_there_are_no_copies(role):
    made = model(role=role, **{'mirror-service': 'pages:admin'})
    assert entries(made, Map.MIRRORS) == []
    assert 'ServiceMissing' in reasons(made)


@pytest.mark.parametrize('key', PAGES)
def test_one_key_needs_the_other(key):
    made = model(*pages(), **{key: PAGES[key]})
    assert (entries(made), reasons(made)) == ([], ['NotApplicable'])


@pytest.mark.parametrize('role', list(Role))
def test_tcp_has_no_error_pages(role):
    said = {'port': '5000'} if role is Role.EDGE else {}
    made = built(
        service(ports=HTTP, annotations={'mode': 'tcp', **({'proxy': 'node'} if role is Role.NODE else {}), **said, **PAGES}, clusterIPs=['10.96.0.1']),
        *pages(),
        role=role,
    )  # fmt: skip
    assert entries(made) == []
