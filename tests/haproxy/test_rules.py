"""What the rendered rules do to requests and connections, by a real HAProxy."""

import contextlib
import csv
import http.client
import json
import ssl

import pytest

from conftest import binary
from headrace.names import Ref
from headrace.translate import placeholder_certificates
from support.edge import Edge, Endpoints, ended, tcp, web
from support.live import until
from support.objects import ca_secret, secret, tls_secret


@pytest.fixture(scope='module')
def endpoints():
    """The endpoints of all Services."""
    with Endpoints() as found:
        yield found


@pytest.fixture(scope='module')
def started():
    """Start edges, and end all of them."""
    with contextlib.ExitStack() as closing:

        def start(*documents, **settings):
            flat = [item for group in documents for item in (group if isinstance(group, tuple) else (group,))]
            return closing.enter_context(Edge(binary('haproxy-3.4'), *flat, **settings))

        yield start


# --- TCP --------------------------------------------------------------------------------------------------------------

TCP = ('served', 'no endpoint', 'deny', 'maintenance', 'closed', 'allow', 'rate', 'accept-proxy', 'unclaimed')


def tcp_services(endpoints):
    return (
        tcp('served', endpoints, 0),
        tcp('nobody', endpoints, 1, addresses=()),
        tcp('deny', endpoints, 2, deny='127.0.0.0/8'),
        tcp('maintenance', endpoints, 3, maintenance='true'),
        tcp('closed', endpoints, 4, allow='junk'),
        tcp('allow', endpoints, 5, allow='10.0.0.0/8'),
        tcp('rate', endpoints, 6, rate_limit='1/h'),
        tcp('proxy', endpoints, 7, accept_proxy='true', deny='192.0.2.0/24'),
    )


@pytest.fixture(scope='module')
def tcp_edges(started, endpoints):
    """An edge that trusts no proxies, and one that does; both judge the same Services."""
    services = tcp_services(endpoints)
    return {
        'nobody': started(*services, tcp_ports=9),
        'proxies': started(*services, tcp_ports=9, trusted_proxies=('127.0.0.1/32',)),
    }


ASK = b'GET / HTTP/1.0\r\n\r\n'


@pytest.mark.parametrize('trusted', ['nobody', 'proxies'])
@pytest.mark.parametrize('what', ['no endpoint', 'deny', 'maintenance', 'closed', 'allow', 'unclaimed', 'rate'])
def test_a_refused_tcp_connection_is_reset(what, trusted, tcp_edges):
    port = tcp_edges[trusted].tcp[TCP.index(what)]
    if what == 'rate':
        assert b' 200 ' in ended(port, ASK)[0]
    assert ended(port) == (b'', 'reset')


@pytest.mark.parametrize('trusted', ['nobody', 'proxies'])
def test_a_tcp_connection_is_served(trusted, tcp_edges):
    assert b' 200 ' in ended(tcp_edges[trusted].tcp[0], ASK)[0]


def test_a_port_for_proxies_is_closed_without_trusted_ones(tcp_edges):
    assert ended(tcp_edges['nobody'].tcp[TCP.index('accept-proxy')]) == (b'', 'reset')


def test_a_port_for_proxies_judges_the_client_that_the_proxy_names(tcp_edges):
    port = tcp_edges['proxies'].tcp[TCP.index('accept-proxy')]
    assert b' 200 ' in ended(port, b'PROXY TCP4 198.51.100.1 127.0.0.1 1 2\r\n' + ASK)[0]
    assert ended(port, b'PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n' + ASK)[0] == b''


# --- HTTP -------------------------------------------------------------------------------------------------------------

PROXY = ('127.0.0.1/32',)


def tls_services(endpoints):
    return (
        tls_secret(name='t'),
        ca_secret(name='ca', seed='client'),
        ca_secret(name='ca2', seed='other'),
        web('wild', endpoints, host='*.w.com', tls_secret='t', client_ca_secret='ca'),
        web('exact', endpoints, host='x.w.com', path='/e', tls_secret='t'),
        web('shown', endpoints, host='c.com', tls_secret='t', client_ca_secret='ca'),
        web('other', endpoints, host='d.com', tls_secret='t', client_ca_secret='ca2'),
        web('maybe', endpoints, host='o.com', tls_secret='t', client_ca_secret='ca', client_verify='optional'),
        web('plain', endpoints, host='p.com', tls_secret='t', hsts='1h', redirect_to='https://n.com/'),
    )


@pytest.fixture(scope='module')
def tls_edges(started, endpoints):
    """An edge with a default certificate, and one without."""
    services = tls_services(endpoints)
    default = tls_secret(name='default', seed='default')
    return {
        'default': started(*services, default, default_certificate='shop/default', seen={'all_secrets': True}),
        'none': started(*services, seen={'all_secrets': True}),
    }


@pytest.fixture(scope='module')
def client(tmp_path_factory):
    """A certificate that the authority `ca` has given, with its key."""
    path = tmp_path_factory.mktemp('client') / 'client.pem'
    path.write_bytes(placeholder_certificates.certificate(Ref('Secret', '', 'client'))[0])
    return str(path)


EDGES = pytest.mark.parametrize('edge', ['default', 'none'])


@EDGES
def test_a_client_with_its_certificate_is_served(edge, tls_edges, client):
    found = tls_edges[edge]
    assert found.get('c.com', sni='c.com', certificate=client).status == 200
    assert found.get('a.w.com', sni='a.w.com', certificate=client).status == 200


@EDGES
def test_a_connection_made_for_another_host_does_not_reach_who_wants_client_certificates(edge, tls_edges):
    found = tls_edges[edge]
    for host in ('c.com', 'a.w.com'):
        assert found.get(host, sni='p.com').status == 421


@EDGES
def test_a_host_below_a_wildcard_that_wants_none_does_not_open_the_wildcard(edge, tls_edges):
    found = tls_edges[edge]
    assert found.get('x.w.com', '/e/1', sni='x.w.com').status == 200
    assert found.get('x.w.com', '/secret', sni='x.w.com').status == 421


def test_a_connection_without_a_known_host_does_not_reach_who_wants_client_certificates(tls_edges):
    assert tls_edges['default'].get('a.w.com', sni='unknown.example.com').status == 421


@EDGES
def test_who_may_show_a_certificate_is_served_without_one(edge, tls_edges, client):
    found = tls_edges[edge]
    assert found.get('o.com', sni='o.com').status == 200
    assert found.get('o.com', sni='o.com', certificate=client).status == 200
    assert found.get('o.com', sni='p.com').status == 421


@EDGES
def test_a_session_made_with_another_hosts_authority_opens_nothing(edge, tls_edges, client):
    assert tls_edges[edge].resumed('c.com', 'd.com', client) != 200


def test_own_answers_over_tls_carry_hsts(tls_edges):
    answer = tls_edges['none'].get('p.com', sni='p.com')
    assert (answer.status, answer.headers['strict-transport-security']) == (302, 'max-age=3600')
    assert 'strict-transport-security' not in tls_edges['none'].get('p.com').headers


@pytest.fixture(scope='module')
def plain_edges(started, endpoints):
    """An edge that trusts no proxies, and one that trusts this machine."""
    services = (
        tls_secret(name='t'),
        secret('users', username='u', password='p'),
        web('some', endpoints),
        web('tls', endpoints, tls_secret='t', hsts='1h'),
        web('few', endpoints, allow='192.0.2.0/24'),
        web('small', endpoints, max_body_size='10'),
        web('heads', endpoints, response_headers='X-Own: yes', deny='127.0.0.0/8'),
        web('cors', endpoints, cors_allow_origin='https://a.com', basic_auth_secret='users', cors_max_age='60s'),
        web('star', endpoints, cors_allow_origin='*', cors_allow_credentials='true'),
    )
    seen = {'all_secrets': True}
    return {'nobody': started(*services, seen=seen), 'proxies': started(*services, seen=seen, trusted_proxies=PROXY)}


@pytest.fixture(scope='module')
def dual_edge(started, endpoints):
    """An edge for clients of IPv4 and IPv6."""
    return started(web('some', endpoints), addresses=('127.0.0.1', '::1'))


def test_what_clients_say_of_themselves_is_taken_away(plain_edges):
    lies = [
        ('X-Forwarded-For', '1.2.3.4'),
        ('X-Forwarded-Proto', 'https'),
        ('X_Forwarded_For', '1.2.3.4'),
        ('Forwarded', 'for=1'),
    ]
    seen = plain_edges['nobody'].get('some.com', headers=lies).said['headers']
    assert seen['x-forwarded-for'] == ['127.0.0.1']
    assert seen['x-forwarded-proto'] == ['http']
    assert not {'x_forwarded_for', 'forwarded'} & seen.keys()


# Addresses of each length modulo three, because headers of a connection are made of threes of bytes.
@pytest.mark.parametrize('client', ['127.0.0.1', '127.0.0.10', '127.0.0.100', '127.100.100.100', '::1'])
def test_a_request_has_each_header_about_its_client_once(dual_edge, client):
    connection = http.client.HTTPConnection(
        '::1' if ':' in client else '127.0.0.1', dual_edge.http, source_address=(client, 0)
    )
    with contextlib.closing(connection):
        for _ in range(2):
            connection.request('GET', '/', headers={'Host': 'some.com'})
            seen = json.loads(connection.getresponse().read())['headers']
            assert {name: values for name, values in seen.items() if name.startswith('x-forwarded-')} == {
                'x-forwarded-for': [client],
                'x-forwarded-proto': ['http'],
                'x-forwarded-host': ['some.com'],
                'x-forwarded-port': [str(dual_edge.http)],
            }
            assert [values[0].lstrip('0') for name, values in seen.items() if name == 'x-headrace-hops'] == ['1']


def test_what_a_trusted_proxy_says_is_kept_and_the_rest_is_added(plain_edges):
    said = [('X-Forwarded-For', '192.0.2.7'), ('X-Forwarded-Proto', 'https')]
    seen = plain_edges['proxies'].get('some.com', headers=said).said['headers']
    assert (seen['x-forwarded-for'], seen['x-forwarded-proto']) == (['192.0.2.7'], ['https'])
    assert seen['x-forwarded-host'] == ['some.com']
    bare = plain_edges['proxies'].get('some.com').said['headers']
    assert (bare['x-forwarded-for'], bare['x-forwarded-proto']) == (['127.0.0.1'], ['http'])


@pytest.mark.parametrize(
    ('said', 'status'),
    [
        ('192.0.2.7', 200),
        ('192.0.2.7, 198.51.100.1', 200),
        ('192.0.2.7,198.51.100.2, 198.51.100.1', 200),
        ('192.0.2.7, 203.0.113.1', 403),
        ('192.0.2.7, 203.0.113.1, 198.51.100.1', 403),
        ('192.0.2.7, junk, 198.51.100.1', 403),
        ('192.0.2.7, junk', 400),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxys(chained, said, status):
    assert chained.get('few.com', headers=[('X-Forwarded-For', said)]).status == status


@pytest.fixture(scope='module')
def chained(started, endpoints):
    """An edge behind proxies that speak for one another."""
    return started(web('few', endpoints, allow='192.0.2.0/24'), trusted_proxies=('127.0.0.1/32', '198.51.100.0/24'))


def test_behind_a_proxy_that_ends_tls_there_is_no_loop_of_redirects(plain_edges):
    proxies = plain_edges['proxies']
    assert proxies.get('tls.com').status == 308
    answer = proxies.get('tls.com', headers=[('X-Forwarded-Proto', 'https')])
    assert (answer.status, answer.headers['strict-transport-security']) == (200, 'max-age=3600')
    assert plain_edges['nobody'].get('tls.com', headers=[('X-Forwarded-Proto', 'https')]).status == 308


def test_an_address_that_a_trusted_proxy_does_not_tell_is_refused(plain_edges):
    proxies = plain_edges['proxies']
    assert proxies.get('few.com', headers=[('X-Forwarded-For', '192.0.2.7')]).status == 200
    assert proxies.get('few.com', headers=[('X-Forwarded-For', 'unknown')]).status == 400
    assert proxies.get('few.com').status == 403


@pytest.mark.parametrize('late', [False, True], ids=['at once', 'late'])
def test_a_body_of_unknown_length_is_refused_over_http_2_too(late, plain_edges):
    assert plain_edges['nobody'].post_h2('small.com', body=b'x' * 100, late=late) == 411


def test_bodies_are_judged_by_their_length(plain_edges):
    nobody = plain_edges['nobody']
    assert nobody.get('small.com', method='POST', body=b'x' * 10).status == 200
    assert nobody.get('small.com', method='POST', body=b'x' * 11).status == 413
    assert nobody.get('small.com').status == 200


def test_headers_of_the_route_are_on_own_answers_too(plain_edges):
    answer = plain_edges['nobody'].get('heads.com')
    assert (answer.status, answer.headers.get('x-own')) == (403, 'yes')


@pytest.fixture(scope='module')
def canary_edge(started, endpoints):
    """An edge where all requests go to canaries."""
    quick = {'timeout_server': '100ms', 'client_ip': 'none'}
    return started(
        web('slow', endpoints, canary_service='quick', canary_weight='100'),
        web('quick', endpoints, host='', address='127.0.9.2', **quick),
        web('hasty', endpoints, canary_service='patient', canary_weight='100', **quick),
        web('patient', endpoints, host='', address='127.0.9.3'),
        web('stable', endpoints, canary_service='quick', canary_weight='0'),
    )


def test_a_canary_has_its_own_timeouts_and_tells_the_client_as_it_wants(canary_edge):
    assert canary_edge.get('slow.com', '/wait').status == 504
    said = canary_edge.get('slow.com').said
    assert (said['at'], 'x-forwarded-for' in said['headers']) == ('127.0.9.2', False)
    said = canary_edge.get('hasty.com', '/wait').said
    assert (said['at'], said['headers']['x-forwarded-for']) == ('127.0.9.3', ['127.0.0.1'])
    said = canary_edge.get('stable.com', '/wait').said
    assert (said['at'], said['headers']['x-forwarded-for']) == ('127.0.9.1', ['127.0.0.1'])


@pytest.fixture(scope='module')
def choosing_edge(started, endpoints):
    """An edge where requests say whether they go to a canary, at 127.0.9.2."""
    match = {'canary_service': 'next', 'canary_header': 'X-Beta: yes, 5%', 'canary_cookie': 'beta'}
    return started(
        web('none', endpoints, **match),
        web('all', endpoints, **match, canary_weight='100'),
        web('any', endpoints, canary_service='next', canary_header='X-Beta', canary_cookie='beta'),
        web(
            'like',
            endpoints,
            canary_service='next',
            canary_header='X-Beta',
            canary_header_pattern='be.a$',
            canary_cookie='beta',
        ),
        web('some', endpoints, canary_service='next', canary_weight='7', canary_weight_total='7'),
        web('next', endpoints, host='', address='127.0.9.2'),
    )


STABLE, NEXT = '127.0.9.1', '127.0.9.2'


@pytest.mark.parametrize(
    ('host', 'headers', 'at'),
    [
        ('none.com', (), STABLE),
        ('none.com', [('x-beta', 'yes, 5%')], NEXT),
        ('none.com', [('X-BETA', 'yes, 5%'), ('Accept', '*/*')], NEXT),
        ('none.com', [('X-Beta', 'yes')], STABLE),
        ('none.com', [('X-Beta', 'yes, 5%, no')], STABLE),
        ('none.com', [('X-Beta', 'yes%2C%205%25')], STABLE),
        ('none.com', [('X-Not-X-Beta', 'yes, 5%')], STABLE),
        ('none.com', [('X-Other', 'x-beta: yes, 5%')], STABLE),
        ('none.com', [('Cookie', 'beta=always')], NEXT),
        ('none.com', [('Cookie', 'a=1; beta=always; c=2')], NEXT),
        ('none.com', [('Cookie', 'beta=always2')], STABLE),
        ('none.com', [('Cookie', 'alphabeta=always')], STABLE),
        ('none.com', [('Cookie', 'beta=never')], STABLE),
        ('all.com', (), NEXT),
        ('all.com', [('Cookie', 'beta=never')], STABLE),
        ('all.com', [('Cookie', 'beta=never'), ('X-Beta', 'yes, 5%')], NEXT),
        ('any.com', (), STABLE),
        ('any.com', [('X-Beta', 'always')], NEXT),
        ('any.com', [('X-Beta', 'whatever')], STABLE),
        ('any.com', [('X-Beta', 'whatever'), ('Cookie', 'beta=always')], NEXT),
        ('any.com', [('X-Beta', 'never'), ('Cookie', 'beta=always')], STABLE),
        ('any.com', [('X-Beta', 'always'), ('Cookie', 'beta=never')], NEXT),
        ('any.com', [('X-Beta-Not', 'always')], STABLE),
        ('like.com', (), STABLE),
        ('like.com', [('X-Beta', 'a beta')], NEXT),
        ('like.com', [('X-Beta', 'a'), ('x-beta', 'beta')], NEXT),
        ('like.com', [('X-Beta', 'Beta')], STABLE),
        ('like.com', [('X-Beta', 'beta b')], STABLE),
        ('like.com', [('X-Beta', 'always')], STABLE),
        ('like.com', [('X-Beta', 'beta'), ('Cookie', 'beta=never')], NEXT),
        ('some.com', (), NEXT),
    ],
)
def test_a_request_says_whether_it_goes_to_the_canary(choosing_edge, host, headers, at):
    said = choosing_edge.get(host, headers=headers).said
    assert said['at'] == at
    assert 'x-headrace-scan' not in said['headers']


def preflight(edge, host, origin):
    asked = [('Origin', origin), ('Access-Control-Request-Method', 'POST')]
    return edge.get(host, method='OPTIONS', headers=asked)


def test_any_origin_excludes_credentials(plain_edges):
    answer = preflight(plain_edges['nobody'], 'star.com', 'https://any.com')
    assert answer.status == 204
    assert answer.headers['access-control-allow-origin'] == 'https://any.com'
    assert 'access-control-allow-credentials' not in answer.headers


def test_a_preflight_is_answered_before_authentication(plain_edges):
    nobody = plain_edges['nobody']
    answer = preflight(nobody, 'cors.com', 'https://a.com')
    assert (answer.status, answer.headers['access-control-max-age']) == (204, '60')
    assert preflight(nobody, 'cors.com', 'https://b.com').status == 401
    refused = nobody.get('cors.com', headers=[('Origin', 'https://a.com')])
    assert (refused.status, refused.headers['access-control-allow-origin']) == (401, 'https://a.com')


# --- TLS to endpoints -------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def tls_endpoints(tmp_path_factory):
    """Endpoints with a certificate of the authority `be` that names no host."""
    path = tmp_path_factory.mktemp('endpoint') / 'endpoint.pem'
    path.write_bytes(placeholder_certificates.certificate(Ref('Secret', '', 'be'))[0])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with Endpoints(context) as found:
        yield found


@pytest.fixture(scope='module')
def reencrypted(started, tls_endpoints):
    """An edge in front of them."""
    https = {'backend_protocol': 'https'}
    return started(
        ca_secret(name='be', seed='be'),
        ca_secret(name='ca', seed='other'),
        web('right', tls_endpoints, **https, backend_ca_secret='be'),
        web('wrong', tls_endpoints, **https, backend_ca_secret='ca'),
        web('checked', tls_endpoints, **https, backend_ca_secret='be', check='http', check_interval='500ms'),
        web('named', tls_endpoints, **https, backend_sni='inner.example.com'),
        seen={'all_secrets': True},
    )


def test_an_endpoints_certificate_is_judged_by_its_authority_and_not_by_the_clients_host(reencrypted):
    assert reencrypted.get('right.com').status == 200
    assert reencrypted.get('wrong.com').status == 503


def last_check(edge, name):
    """Return what HAProxy says of the last check of a Service's only endpoint."""
    rows = csv.DictReader(edge.haproxy.command('show stat -1 4 -1').removeprefix('# ').splitlines())
    [row] = [row for row in rows if row['pxname'].startswith(f'shop_{name}_')]
    return row['check_status']


def test_a_checked_endpoint_is_up_whatever_the_check_asks_for(reencrypted):
    # A busy machine may be too late for some checks, so one that is good is waited for, and what it leads to.
    until(lambda: 'L7OK' in last_check(reencrypted, 'checked'), 'a check is good')
    until(lambda: reencrypted.get('checked.com').status == 200, 'the endpoint is up')


def test_endpoints_hear_the_name_that_was_set_and_no_other(reencrypted, tls_endpoints):
    tls_endpoints.names.clear()
    assert reencrypted.get('right.com').status == 200
    assert reencrypted.get('named.com').status == 200
    assert set(tls_endpoints.names) <= {None, 'inner.example.com'}
    assert 'inner.example.com' in tls_endpoints.names
