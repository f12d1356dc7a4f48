"""ingress-nginx's ConfigMap as class settings, and its TCP services."""

import pytest

from headrace.annotations.foreign import config_map
from headrace.annotations.foreign.config_map import ConfigRemark, TcpService
from headrace.annotations.foreign.table import Verdict
from headrace.settings import settings
from headrace.translate import build_context


def translated(**data):
    """Return the settings of a ConfigMap, and the verdicts of its keys."""
    made = config_map.class_settings({key.replace('_', '-'): value for key, value in data.items()})
    settings.make(made.settings)
    return made.settings, {remark.key: str(remark.verdict) for remark in made.remarks}


@pytest.mark.parametrize(
    ('key', 'value', 'expected', 'verdict'),
    [
        ('proxy-connect-timeout', '10', {'defaults': {'timeout-connect': '10s'}}, 'exact'),
        ('proxy-read-timeout', '120', {'defaults': {'timeout-server': '120s'}}, 'differs'),
        (
            'proxy-next-upstream',
            'error timeout',
            {'defaults': {'retry-on': 'conn-failure, empty-response, response-timeout'}},
            'differs',
        ),
        ('proxy-next-upstream', 'off', {}, 'ignored'),
        ('proxy-next-upstream-tries', '3', {'defaults': {'retries': '2'}}, 'exact'),
        ('proxy-next-upstream-tries', '0', {}, 'ignored'),
        ('load-balance', 'ewma', {'defaults': {'balance': 'leastconn'}}, 'differs'),
        ('use-gzip', 'true', {'defaults': {'compression': 'true'}}, 'exact'),
        ('use-gzip', 'false', {}, 'exact'),
        ('ssl-protocols', 'TLSv1.3', {'tlsMinVersion': 'TLSv1.3'}, 'differs'),
        ('ssl-protocols', 'TLSv1 TLSv1.2 TLSv1.3', {'tlsMinVersion': 'TLSv1.2'}, 'differs'),
        ('ssl-protocols', 'none', {}, 'ignored'),
        (
            'ssl-ciphers',
            'ECDHE-RSA-AES128-GCM-SHA256:HIGH',
            {'tlsCiphers': 'ECDHE-RSA-AES128-GCM-SHA256:HIGH'},
            'exact',
        ),
        ('ssl-ciphers', 'a b', {}, 'ignored'),
        ('use-proxy-protocol', 'true', {'acceptProxy': True}, 'exact'),
        ('use-proxy-protocol', 'maybe', {}, 'ignored'),
        ('proxy-real-ip-cidr', '10.0.0.0/8, 192.168.0.1', {'trustedProxies': ('10.0.0.0/8', '192.168.0.1')}, 'exact'),
        ('proxy-real-ip-cidr', '0.0.0.0/0', {}, 'ignored'),
        ('proxy-real-ip-cidr', 'x', {}, 'ignored'),
        ('use-forwarded-headers', 'true', {}, 'differs'),
        ('bind-address', '192.0.2.1', {'addresses': ('192.0.2.1',)}, 'exact'),
        ('bind-address', 'eth0', {}, 'ignored'),
        ('disable-ipv6', 'true', {'addresses': ('0.0.0.0',)}, 'exact'),
        ('max-worker-connections', '16384', {'maxconn': 16384}, 'differs'),
        ('max-worker-connections', '1', {}, 'ignored'),
        ('worker-processes', 'auto', {'threads': 0}, 'differs'),
        ('worker-processes', '4', {'threads': 4}, 'differs'),
        ('worker-processes', 'all', {}, 'ignored'),
        ('worker-shutdown-timeout', '240s', {'hardStopAfter': '240s'}, 'exact'),
        ('global-allowed-response-headers', 'X-A, X-B', {'allowedResponseHeaders': ('X-A', 'X-B')}, 'exact'),
        ('limit-rate', '100', {'defaults': {'bandwidth-limit': '100k'}}, 'differs'),
        ('limit-rate', '0', {}, 'differs'),
        ('disable-access-log', 'true', {'accessLog': 'off'}, 'exact'),
        ('disable-access-log', 'false', {'accessLog': 'stdout'}, 'exact'),
        ('http-redirect-code', '308', {}, 'exact'),
        ('http-redirect-code', '301', {}, 'ignored'),
        ('ssl-redirect', 'true', {}, 'exact'),
        ('ssl-redirect', 'false', {}, 'ignored'),
        ('whitelist-source-range', '10.0.0.0/8', {}, 'ignored'),
        ('allow-snippet-annotations', 'false', {}, 'exact'),
        ('lua-shared-dicts', 'x', {}, 'ignored'),
    ],
)
def test_a_key_becomes_a_setting(key, value, expected, verdict):
    assert translated(**{key: value}) == (expected, {key: verdict})


def test_addresses_that_are_bound_count_more_than_no_ipv6():
    found, _ = translated(bind_address='192.0.2.1', disable_ipv6='true')
    assert found == {'addresses': ('192.0.2.1',)}


@pytest.mark.parametrize('row', config_map.CONFIG_MAP.values(), ids=config_map.CONFIG_MAP)
def test_a_row_says_what_to_do(row):
    assert row.text or row.setting


def test_tcp_services_are_read():
    services, remarks = config_map.tcp_services(
        {'9000': 'shop/db:5432', '9001': 'shop/mq:amqp:PROXY:PROXY', '9002': 'shop/x:1::PROXY'}
    )
    assert services == (
        TcpService(9000, 'shop', 'db', '5432'),
        TcpService(9001, 'shop', 'mq', 'amqp', accepts_proxy=True, sends_proxy=True),
        TcpService(9002, 'shop', 'x', '1', sends_proxy=True),
    )
    assert remarks == ()


@pytest.mark.parametrize(
    ('port', 'text'), [('0', 'shop/db:1'), ('x', 'shop/db:1'), ('1', 'db:1'), ('1', 'shop/db'), ('1', 'shop/db:1:TLS')]
)
def test_a_tcp_service_that_cannot_be_read_is_named(port, text):
    services, remarks = config_map.tcp_services({port: text})
    assert services == ()
    assert [(remark.key, remark.verdict) for remark in remarks] == [(port, Verdict.IGNORED)]
    assert isinstance(remarks[0], ConfigRemark)


def test_a_tcp_service_is_annotations_of_a_service():
    assert config_map.annotations(TcpService(9000, 'shop', 'db', '5432')) == {
        'headrace.io/port.5432': '9000',
        'headrace.io/mode.5432': 'tcp',
    }
    both = config_map.annotations(TcpService(9001, 'shop', 'mq', 'amqp', accepts_proxy=True, sends_proxy=True))
    assert (both['headrace.io/accept-proxy.amqp'], both['headrace.io/client-ip.amqp']) == ('true', 'proxy-v1')


def test_authentication_of_all_ingresses_is_that_of_the_class():
    made, verdicts = translated(
        global_auth_url='http://auth.sso.svc.cluster.local/verify?u=$escaped_request_uri',
        global_auth_signin='https://$host/start',
        global_auth_method='POST',
        global_auth_response_headers='X-User,X-Mail',
        global_auth_cache_key='$cookie_a',
        global_auth_cache_duration='200 202 10m, 401 5m',
        global_auth_snippet='x',
        no_auth_locations='/.well-known/acme-challenge,/health',
    )
    assert made == {
        'globalAuth': {
            'url': 'http://auth.sso.svc.cluster.local/verify?u=$escaped_request_uri',
            'signin': 'https://$host/start',
            'method': 'POST',
            'response-headers': 'X-User,X-Mail',
            'cache': '10m',
            'skip-paths': '/.well-known/acme-challenge,/health',
        }
    }
    build_context.make(settings.make(made))
    assert verdicts['global-auth-snippet'] == 'ignored'
    assert {verdicts[key] for key in verdicts if key.startswith('global-auth-cache')} == {'differs'}


@pytest.mark.parametrize(
    ('data', 'expected'),
    [
        pytest.param({'global_auth_cache_duration': '200 1m', 'global_auth_url': 'http://a.b.svc/'}, {'url': 'http://a.b.svc/'}, id='no key of the cache'),
        pytest.param({'global_auth_cache_key': 'x', 'global_auth_url': 'http://a.b.svc/'}, {'url': 'http://a.b.svc/', 'cache': '5m'}, id='the usual time'),
        pytest.param({'global_auth_signin': '/start'}, None, id='no URL'),
        pytest.param({'global_auth_url': 'http://a.b.svc/$cookie_x'}, None, id='another variable'),
        pytest.param({'global_auth_url': 'auth'}, None, id='no URL at all'),
        pytest.param({'no_auth_locations': '/a'}, None, id='paths alone'),
    ],
)  # fmt: skip
def test_authentication_of_the_class_needs_a_url(data, expected):
    assert translated(**data)[0].get('globalAuth') == expected


def test_udp_is_named():
    (remark,) = config_map.udp_services({'53': 'kube-system/dns:53'})
    assert (remark.key, remark.verdict, 'no UDP' in remark.text) == ('53', Verdict.IGNORED, True)
