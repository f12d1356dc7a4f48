"""Routes that only redirect: what they claim, and where they may not."""

import pytest

from headrace.ir.fragment import Kind
from headrace.ir.policy import Map
from headrace.settings.settings import Settings
from headrace.translate import redirects
from support.objects import built, fragment, pointer, service

PORTS = [{'name': 'http', 'port': 80}]


def made(settings=None, **annotations):
    said = {key.replace('_', '-'): value for key, value in annotations.items()}
    return built(service(annotations={'host': 'a.com', **said}, ports=PORTS), settings=settings)


def redirect(found, key):
    """Return the flags and the location of a route."""
    leads = pointer(found, Kind.ROUTE, key)
    values = {entry.key: entry.value for entry in fragment(found).data if entry.map is Map.REDIRECT}
    return leads.flags, values[leads.policy]


def test_the_root_is_an_exact_route_of_each_host():
    found = made(host='a.com b.com', path='/x', redirect_root='/x/y')
    assert [redirect(found, f'{host}//#') for host in ('a.com', 'b.com')] == [('R', '302|/x/y')] * 2
    assert pointer(found, Kind.ROUTE, 'a.com/x/').flags == ''


@pytest.mark.parametrize(
    ('host', 'key', 'target'),
    [
        ('a.com', 'www.a.com/', 'a.com'),
        ('www.a.com', 'a.com/', 'www.a.com'),
        ('www.b.a.com', 'b.a.com/', 'www.b.a.com'),
    ],
)
def test_the_other_host_is_a_route_of_its_own(host, key, target):
    assert redirect(made(host=host, www_redirect='true'), key) == ('Ri', f'308|${{scheme}}://{target}${{request_uri}}')


def test_a_redirect_to_a_host_that_wants_tls_goes_there_at_once():
    found = made(Settings(https_public_port=8443), www_redirect='true', tls_secret='t')
    assert redirect(found, 'www.a.com/') == ('Ri', '308|https://a.com:8443${request_uri}')


@pytest.mark.parametrize('host', ['a.com www.a.com', '*.a.com', '*'])
def test_a_host_that_is_served_and_a_wildcard_have_no_other_one(host):
    hosts = {claim.key.partition('/')[0] for claim in fragment(made(host=host, www_redirect='true')).claims}
    assert hosts == set(host.split())


def test_a_host_that_the_namespace_may_not_claim_is_not_redirected():
    settings = Settings(host_policy={'shop': ('a.com',)})
    found = made(settings, www_redirect='true', tls_secret='t')
    assert 'HostForbidden' in [diagnostic.reason for diagnostic in found.all_diagnostics()]
    assert {claim.key for claim in fragment(found).claims if claim.kind is Kind.ROUTE} == {'a.com/'}


def test_routes_that_redirect_count_as_routes():
    settings = Settings(max_routes_per_object=3)
    assert not fragment(made(settings, host='a.com', redirect_root='/x', www_redirect='true')).closed
    assert fragment(made(settings, host='a.com b.com', redirect_root='/x')).closed


@pytest.mark.parametrize(
    ('host', 'names', 'named'),
    [('www.a.com', ('a.com',), False), ('www.a.com', ('*.a.com',), True), ('a.com', ('www.a.com', 'a.com'), True)],
)
def test_a_certificate_holds_for_the_hosts_that_it_names(host, names, named):
    assert redirects.is_named(host, names) is named
