"""The reference is what the code says, and the code has every key of the contract with users."""

import json
import re
import subprocess
import sys

import jsonschema
import msgspec
import pytest
import yaml

from conftest import ROOT
from headrace.agent import connections
from headrace.annotations import keys, parse
from headrace.annotations.settings import BackendSettings
from headrace.annotations.values import Invalid
from headrace.diagnostics import REASONS
from headrace.haproxy.encode import syntax
from headrace.kube import reviews
from headrace.objects.kinds import Protocol, ServicePort
from headrace.settings import settings
from headrace.translate import exposure, shapes
from support.objects import built, service

DOCS = ROOT / 'docs'
PAGES = ('annotations.md', 'foreign-annotations.md', 'reloads.md', 'settings.md', 'diagnostics.md')
FILES = (*PAGES, 'settings.schema.json', 'performance.md', 'performance.svg')
BOOLEAN = (('true', 'false'), ('True', 'yes', 'on', '1', ''))
NAME = (('shop', 'shop-2', 'a'), ('Shop', 'shop_2', '-shop', 'shop/other', ''))
DURATION = (('500ms', '5s', '2m', '1h'), ('5', '0s', '-5s', '5 s', '1.5s', '5S', ''))
NUMBER = (('1', '7'), ('-1', '1.5', 'one', '0x10', ''))
CIDRS = (('10.0.0.0/8', '192.0.2.7', '2001:db8::/32, 10.0.0.0/8'), ('10.0.0.0/33', 'example.com', '10.0.0', ''))
HEADERS = (('X-Frame-Options: DENY', 'Server:', 'A: 1\nB: 2'), ('X-Frame-Options', 'Content-Length: 5', ': x', ''))
TOKENS = (('GET', 'X-One, X-Two'), ('a b:', 'a\x00', '', ' , '))

# The contract with users, by hand: key, default, values that are allowed, and values that are not.
CONTRACT = (
    ('enabled', 'false', *BOOLEAN),
    ('proxy', '–', ('node',), ('edge', 'true', '')),
    ('datapath', 'auto', ('auto', 'kernel', 'haproxy'), ('Kernel', 'nftables', '')),
    ('address', '–', ('192.0.2.1', '192.0.2.1, 2001:db8::1'), ('192.0.2.0/24', 'lb.example.com', 'fe80::1%eth0', '')),
    ('address-pool', 'the first that has one', *NAME),
    ('address-sharing-key', '–', ('mail', 'shop/Mail_1.x'), ('a b', '', 'a|b')),
    ('class', 'headrace', *NAME),
    ('mode', 'see [modes](#modes)', ('tcp', 'http', 'tls-passthrough'), ('https', 'udp', 'HTTP', '')),
    ('host', '–', ('shop.example.com', '*.example.com', '*', 'a.example.com b.example.com'), ('a..b', '-a', 'a_b', '')),
    ('path', '/', ('/', '/shop', '/shop/', '/a, /b'), ('shop', '/a?b', '/a#b', '/a//b', '')),
    ('path-type', 'Prefix', ('Prefix', 'Exact', 'RegularExpression'), ('ImplementationSpecific', 'prefix', '')),
    ('port', 'the Service port', ('1', '5432', '65535'), ('0', '65536', '-1', 'http', '')),
    ('tls-secret', '–', ('shop', 'shop-rsa, shop-ecdsa'), NAME[1]),
    ('client-ca-secret', '–', *NAME),
    ('client-verify', 'required', ('required', 'optional'), ('none', 'true', '')),
    ('tls-redirect', 'true with tls-secret', *BOOLEAN),
    ('hsts', 'off', ('1s', '24h', '365d', 'off'), (*DURATION[1], '500ms', 'on')),
    ('accept-proxy', 'false', *BOOLEAN),
    ('timeout-client', '60s', *DURATION),
    ('maintenance', 'false', *BOOLEAN),
    ('client-ip', 'forwarded for http, none for tcp', ('none', 'forwarded', 'proxy-v1', 'proxy-v2', 'preserve'), ('proxy', '')),
    ('backend-protocol', 'by appProtocol', ('http1', 'h2c', 'https', 'h2', 'tcp', 'tls'), ('http', 'grpc', '')),
    ('backend-ca-secret', '–', *NAME),
    ('backend-verify', 'true with a CA', *BOOLEAN),
    ('backend-sni', '–', ('shop.example.com', 'host-header'), ('*.example.com', '*', 'a b', '')),
    ('balance', 'random', ('random', 'roundrobin', 'leastconn', 'first', 'source', 'uri', 'hdr:X-User', 'hash:$request_uri', 'hash:$host-$http_x_user${arg_a}$cookie_b'), ('hash:', 'hash:x', 'hash:$else', 'hash:$a$', 'hash:$host |', 'hash:${host', 'hdr:', 'hdr:a b', 'rdp-cookie', 'random(2)', '')),
    ('slow-start', 'off', *DURATION),
    ('max-connections', 'none', *NUMBER),
    ('queue-timeout', '5s', *DURATION),
    ('cookie', '–', ('session', 'true'), ('a b', 'a;b', 'a=b', '')),
    ('cookie-path', '/', ('/', '/shop'), ('shop', '/a;b', '')),
    ('cookie-domain', '–', ('shop.example.com', '.example.com'), ('*', '*.example.com', 'a b', '')),
    ('cookie-same-site', 'Lax', ('Lax', 'Strict', 'None'), ('lax', 'none', '')),
    ('cookie-conditional-same-site-none', 'false', *BOOLEAN),
    ('cookie-max-age', 'off', ('1s', '24h', '365d', 'off'), (*DURATION[1], '500ms', 'on')),
    ('cookie-secure', 'on TLS', *BOOLEAN),
    ('cookie-change-on-failure', 'true', *BOOLEAN),
    ('check', 'off', ('off', 'tcp', 'http'), ('true', 'https', '')),
    ('check-path', '/', ('/', '/healthz'), ('healthz', '/a b', '')),
    ('check-host', '–', ('shop.example.com',), ('*', '*.example.com', '')),
    ('check-status', '200-399', ('200-399', '200', '200, 204', '200-299,404'), ('399-200', '99', '600', '2xx', '')),
    ('check-interval', '2s', *DURATION),
    ('check-rise', '2', *NUMBER),
    ('check-fall', '3', *NUMBER),
    ('eject-after', 'off', *NUMBER),
    ('timeout-connect', '5s', *DURATION),
    ('timeout-server', '60s', *DURATION),
    ('timeout-tunnel', '1h', *DURATION),
    ('retries', '3', ('0', '3'), ('-1', 'many', '')),
    ('retry-on', 'conn-failure', ('conn-failure', 'conn-failure, 503', 'empty-response response-timeout', '403 404 429'), ('all-retryable-errors', '401', '')),
    ('allow', '–', *CIDRS),
    ('deny', '–', *CIDRS),
    ('rate-limit', '–', ('10/s', '100/m', '1000/h'), ('10', '0/s', '10/d', '10 / s', '-1/s', '')),
    ('rate-limit-burst', 'off', ('1', '20', '5x', '1000000'), ('0', '0x', 'x', '1.5x', '5 x', '1000001', '-1', '')),
    ('rate-limit-except', '–', *CIDRS),
    ('connection-limit', 'none', ('1', '1000000'), ('0', '-1', '1.5', 'one', '1000001', '')),
    ('satisfy', 'all', ('all', 'any'), ('either', 'Any', 'true', '')),
    ('basic-auth-secret', '–', *NAME),
    ('basic-auth-secret-type', 'auth-file', ('auth-file', 'auth-map'), ('file', 'Auth-File', '')),
    ('basic-auth-realm', "the request's host", ('Staff only!', 'x'), ('a"b', 'a\\b', 'ä', '')),
    ('external-auth-service', '–', ('auth', 'auth:http', 'auth:4180'), ('Auth', 'auth:', 'other/auth', 'auth:a:b', ':80', 'auth.shop', '')),
    ('external-auth-path', '/', ('/', '/oauth2/auth', '/verify?a=b'), ('verify', '/a#b', '/a b', '/a|b', '//[', '')),
    ('external-auth-url', '–', ('http://auth.shop.svc', 'https://auth.shop.svc.cluster.local:4180/verify?a=b', 'HTTP://auth.shop.svc/'), ('auth.shop.svc', '/verify', 'ftp://auth', 'http://a:b@auth.shop.svc', 'http://auth.shop.svc/#a', 'http://auth|x', '')),
    ('external-auth-signin', '–', ('/oauth2/start', 'https://sso.example.com/start?a=b', 'https://$host/start?rd=$request_uri'), ('//example.com', 'https://$http_cookie/', 'javascript:alert(1)', 'https://a/|b', '')),
    ('external-auth-method', 'GET', ('GET', 'HEAD', 'POST', 'PUT', 'DELETE'), ('get', 'OPTIONS', 'CONNECT', '')),
    ('external-auth-response-headers', '–', ('X-Auth-Request-User, Authorization', 'x-user'), ('Connection', 'Content-Length', 'X-Headrace-Hops', 'a|b', 'a b:', '')),
    ('external-auth-timeout', '5s', *DURATION),
    ('external-auth-cache', 'off', ('10s', '1h', 'off'), (*DURATION[1], '500ms')),
    ('external-auth-skip-paths', '–', ('/health', '/public, /assets/'), ('public', '/a//b', '/a/../b', '/a?b', '')),
    ('external-auth-body-size', '–', ('1k', '12k', '12288'), ('13k', '0', '1m', '')),
    ('global-auth', 'true', *BOOLEAN),
    ('max-body-size', '–', ('64k', '10m', '1g', '100'), ('0', '1.5m', '10M', '10mb', '')),
    ('request-buffering', 'false', *BOOLEAN),
    ('redirect-to', '–', ('/new', 'https://example.com/new?a=b', 'http://example.com', 'https://a.b$request_uri', '$scheme://$host/a$is_args$args'), ('/$uri', '$uri', 'https://a.b$args', '//example.com', 'javascript:alert(1)', 'example.com', '')),
    ('redirect-code', '302', ('301', '302', '303', '307', '308'), ('300', '304', '200', '')),
    ('redirect-root', '–', ('/app', '/app/'), ('/', 'app', '/a?b', '')),
    ('www-redirect', 'false', *BOOLEAN),
    ('rewrite-path', '–', ('/', '/v2'), ('v2', '/a?b', '')),
    ('host-header', '–', ('shop.example.com', 'shop:8080'), ('*.example.com', 'shop:0', 'shop:65536', 'a b', 'a/b', 'shop:', '')),
    ('request-headers', '–', *HEADERS),
    ('response-headers', '–', *HEADERS),
    ('response-headers-config-map', '–', ('headers', 'a.b'), ('Headers', 'other/headers', 'a b', '')),
    ('response-cookie-domain', '–', ('old.example new.example', '.old.example new.example', 'a  b'), ('old.example', 'a b c', '* a', '')),
    ('response-cookie-path', '–', ('/ /shop', '/old/ /new'), ('/old', 'old new', '/a /b;c', '/a /b /c', '')),
    ('error-statuses', '–', ('404', '404, 500 503', '400 599'), ('200', '4xx', '500-599', '600', '')),
    ('error-service', '–', ('pages', 'pages:http', 'pages:8080'), ('Pages', 'other/pages', 'pages:', '')),
    ('fallback-service', '–', ('spare', 'spare:http', 'spare:8080'), ('Spare', 'other/spare', 'spare:', '')),
    ('mirror-service', '–', ('copies', 'copies:http', 'copies:8080'), ('Copies', 'other/copies', 'copies:', 'http://a/', '')),
    ('mirror-percent', '100', ('0', '5', '100'), ('101', '-1', '5%', '')),
    ('location-rewrite', 'off', ('off', 'default', 'http:// https://', '/old /new', 'http://a:8080/ /'), ('/old', 'on', '/a|b /c', '/a\\1 /b', '/a /b /c', '')),
    ('cors-allow-origin', 'off', ('*', 'https://app.example.com', 'http://a:8080, https://b'), ('app.example.com', 'ftp://a', 'https://a/path', '')),
    ('cors-allow-methods', 'GET, HEAD, POST', *TOKENS),
    ('cors-allow-headers', '–', *TOKENS),
    ('cors-expose-headers', '–', *TOKENS),
    ('cors-allow-credentials', 'false', *BOOLEAN),
    ('cors-max-age', '5s', *DURATION),
    ('compression', 'false', *BOOLEAN),
    ('bandwidth-limit', 'none', ('64k', '10m', '1g', '100'), ('0', '1.5m', '10M', '10mb', '')),
    ('canary-service', '–', *NAME),
    ('canary-weight', '0', ('0', '5', '1000'), ('1000001', '-1', '5%', '')),
    ('canary-weight-total', '100', ('1', '1000'), ('0', '-1', '1000001', '')),
    ('canary-header-pattern', '–', ('beta-.*', '(a|b) c'), ('a' * 257, 'ä', '')),
    ('canary-header', '–', ('X-Canary', 'X-Canary: always'), ('X Canary', 'X-Canary:', ': always', '')),
    ('canary-cookie', '–', ('canary',), ('a b', 'a=b', '')),
    ('snippets', '–', ('cache', 'cache, trace-headers'), ('Cache', 'a b/', '')),
)  # fmt: skip
CLOSING = {
    'allow',
    'deny',
    'backend-ca-secret',
    'basic-auth-secret',
    'basic-auth-secret-type',
    'client-ca-secret',
    'tls-secret',
    'maintenance',
    'path-type',
    'redirect-to',
    'external-auth-body-size',
    'external-auth-method',
    'external-auth-path',
    'external-auth-response-headers',
    'external-auth-service',
    'external-auth-url',
    'global-auth',
}


def tool(*arguments):
    return subprocess.run(
        [sys.executable, '-m', 'tools.docs', *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def page(name):
    return (DOCS / name).read_text(encoding='utf-8')


def section(name, title):
    """Return the part of a page under a heading of the second level."""
    return re.search(rf'^## {title}\n(.*?)(?=^## |\Z)', page(name), re.MULTILINE | re.DOTALL)[1]


def table_rows(text):
    """Return the cells of a table's rows, without its head."""
    lines = [line for line in text.splitlines() if line.startswith('|')]
    return [[cell.strip() for cell in re.split(r'(?<!\\)\|', line)[1:-1]] for line in lines[2:]]


def test_the_pages_are_what_the_code_says():
    found = tool('--check')
    assert (found.returncode, found.stderr) == (0, '')


def test_a_check_names_each_file_that_differs_or_is_missing_and_writes_nothing(tmp_path):
    assert tool('--folder', tmp_path).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    (tmp_path / 'diagnostics.md').unlink()
    with (tmp_path / 'settings.md').open('a') as file:
        file.write('by hand\n')
    found = tool('--check', '--folder', tmp_path)
    assert found.returncode == 1
    assert [name for name in FILES if name in found.stderr] == ['settings.md', 'diagnostics.md']
    assert not (tmp_path / 'diagnostics.md').exists()


def test_writing_mends_only_what_differs(tmp_path):
    tool('--folder', tmp_path / 'new')
    (tmp_path / 'new' / 'settings.md').write_text('old')
    assert tool('--folder', tmp_path / 'new').stdout == f'wrote {tmp_path / "new" / "settings.md"}\n'
    assert (tmp_path / 'new' / 'settings.md').read_text(encoding='utf-8') == page('settings.md')


@pytest.mark.parametrize('name', PAGES)
def test_every_link_leads_to_something(name):
    for target, anchor in re.findall(r'\]\(([\w./-]*)(?:#([^)]*))?\)', page(name)):
        text = page(target or name)
        headings = [re.sub(r'[^\w -]', '', found.lower()) for found in re.findall(r'^#+ (.*)$', text, re.MULTILINE)]
        anchors = {*re.findall(r'<a id="([^"]+)">', text), *(heading.replace(' ', '-') for heading in headings)}
        assert not anchor or anchor in anchors, f'{target}#{anchor}'


@pytest.mark.parametrize('name', PAGES)
def test_rows_have_as_many_cells_as_their_heads_and_anchors_occur_once(name):
    for block in re.findall(r'(?:^\|.*\n)+', page(name), re.MULTILINE):
        assert len({len(re.split(r'(?<!\\)\|', line)) for line in block.splitlines()}) == 1
    anchors = re.findall(r'<a id="([^"]+)">', page(name))
    assert len(anchors) == len(set(anchors))


def test_the_code_has_the_keys_of_the_contract_and_no_others():
    assert sorted(key.name for key in keys.KEYS) == sorted(row[0] for row in CONTRACT)


@pytest.mark.parametrize(('name', 'default', 'allowed', 'refused'), CONTRACT, ids=[row[0] for row in CONTRACT])
def test_a_key_takes_the_values_of_the_contract(name, default, allowed, refused):
    key = keys.BY_NAME[name]
    assert key.default == default
    assert [text for text in allowed if isinstance(key.parse(text), Invalid)] == []
    assert [text for text in refused if not isinstance(key.parse(text), Invalid)] == []


def test_the_keys_that_protect_something_close_the_route():
    assert CLOSING == keys.CLOSING
    shown = {row[0] for row in table_rows(section('annotations.md', 'Keys')) if row[-1].endswith('*closes*')}
    assert {re.search('`(.*)`', cell)[1] for cell in shown} == CLOSING


def test_every_key_is_in_one_row_of_the_reference():
    found = re.findall(r'^\| <a id="key-([^"]+)"></a>`([^`]+)` \|', page('annotations.md'), re.MULTILINE)
    assert sorted(found) == sorted((row[0], row[0]) for row in CONTRACT)


@pytest.mark.parametrize(('settings_of', 'make'), [('exposure', parse.exposure), ('route', parse.route)])
def test_a_default_in_the_table_is_what_its_absence_means(settings_of, make):
    absent = make({})
    for key in (key for key in keys.KEYS if key.scope == settings_of):
        said = key.parse(key.default)
        if not isinstance(said, Invalid) and getattr(absent, key.field) is not None:
            assert getattr(absent, key.field) == said, key.name
    assert {
        'path-type', 'client-verify', 'accept-proxy', 'hsts', 'maintenance', 'redirect-code', 'cors-allow-methods',
        'cors-allow-credentials', 'cors-max-age', 'canary-weight', 'canary-weight-total', 'www-redirect', 'satisfy', 'mirror-percent',
        'external-auth-path', 'external-auth-method', 'external-auth-timeout', 'external-auth-cache', 'global-auth', 'request-buffering', 'basic-auth-secret-type',
    } >= {key.name for key in keys.KEYS if key.scope == settings_of and getattr(absent, key.field) not in (None, ())}  # fmt: skip


def test_a_backend_without_annotations_has_the_defaults_of_the_table():
    shape = shapes.shape(BackendSettings(check='http'), 'http', shapes.ShapeContext(cookie_name='headrace'))
    options = shapes.options(BackendSettings(check='http'), protocol='http1', ca_file='')
    effective = {
        'queue-timeout': syntax.duration(shape.queue),
        'timeout-connect': syntax.duration(shape.connect),
        'timeout-server': syntax.duration(shape.server),
        'timeout-tunnel': syntax.duration(shape.tunnel),
        'retries': str(shape.retries),
        'retry-on': ' '.join(shape.retry_on),
        'balance': shape.balance,
        'check-status': shape.expect,
        'check-interval': syntax.duration(options.interval),
        'check-rise': str(options.rise),
        'check-fall': str(options.fall),
    }
    documented = {key: keys.BY_NAME[key].default for key in effective}
    same = {'timeout-server': '1m'}  # 60s, in the largest unit
    assert effective == {**documented, **same}
    assert shapes.check(BackendSettings()) == keys.BY_NAME['check'].default


def test_the_table_of_modes_is_what_the_code_does():
    rows = table_rows(section('annotations.md', 'Modes'))
    assert len(rows) == 5
    for protocols, names, mode, endpoint in rows:
        wanted = ('tls-passthrough' if mode.startswith('tls') else mode, endpoint)
        for port in (
            *(ServicePort('', Protocol.TCP, 80, app_protocol=text) for text in re.findall('`([^`]+)`', protocols)),
            *(ServicePort(text, Protocol.TCP, 80) for text in re.findall('`([^`]+)`', names)),
        ):
            spoken = exposure.spoken(port, None, has_host=True, routed=True)
            assert (spoken.mode, spoken.endpoint) == wanted, port
            if mode.startswith('tls'):
                assert exposure.spoken(port, None, has_host=False, routed=False).mode == 'tcp'


@pytest.mark.parametrize('base', [{'host': 'a.example.com'}, {'port': '5432'}, {'host': 'a', 'tls-secret': 'shop'}])
def test_every_key_is_served_at_the_edge(base):
    found = set()
    for name, _, allowed, _ in CONTRACT:
        for text in allowed:
            made = built(
                service(annotations={'canary-service': 'web', **base, name: text}),
                settings=settings.Settings(tcp_ports='80,5432'),
                offline=True,
            )
            found |= {diagnostic.field for diagnostic in made.all_diagnostics() if diagnostic.reason == 'NotYet'}
    assert found == set()


def costs():
    """Return what the page says that changes of each key cost."""
    found = {}
    for name, _, cost in table_rows(section('reloads.md', 'Annotations')):
        found.setdefault(re.search('`(.*)`', name)[1], set()).add(cost)
    return found


def test_every_key_is_among_those_of_which_the_page_says_what_a_change_costs():
    assert costs().keys() == {row[0] for row in CONTRACT}


def test_the_page_names_the_keys_of_which_a_value_may_need_a_reload():
    reloading = {name for name, rows in costs().items() if any('reload' in cost for cost in rows)}
    assert reloading == {
        'balance', 'bandwidth-limit', 'basic-auth-secret', 'check-status', 'compression', 'cookie', 'queue-timeout', 'retries', 'retry-on', 'snippets',
        'timeout-connect', 'timeout-server', 'timeout-tunnel',
    }  # fmt: skip


def test_every_reason_has_one_row_under_its_level():
    titles = {'error': 'Errors', 'warning': 'Warnings', 'info': 'Notes'}
    for level, title in titles.items():
        found = [re.search('`(.*)`', row[0])[1] for row in table_rows(section('diagnostics.md', title))]
        assert found == sorted(name for name, reason in REASONS.items() if reason.level == level)


def test_every_setting_is_in_one_row_with_what_a_change_costs():
    rows = {re.search('`(.*)`', row[0])[1]: row for row in table_rows(section('settings.md', 'Keys'))}
    properties = settings.schema()['$defs']['Settings']['properties']
    assert {key.partition('.')[0] for key in rows} == set(properties)
    assert {row[3] for row in rows.values()} == {'runtime', 'reload', 'restart'}
    assert rows['tcpPorts'][1:4] == ['ranges of ports, or empty', '–', 'reload']
    assert rows['secrets.namespaces'][1:4] == ['list of texts', '–', 'restart']
    assert rows['addressSource'][1:4] == ['`endpoints` or `node-ports`', '`endpoints`', 'runtime']
    assert rows['drainTimeout'][1:4] == ['duration', '`5m`', 'runtime']
    assert [row[1] for row in rows.values() if 'text like' in row[1]] == []


# A settings file, whether the schema takes it, and whether the code does: the second column is never stricter.
SETTINGS = (
    ('{}', True, True),
    ('class: edge-2', True, True),
    ('{class: Edge}', False, False),
    ('{class: ""}', False, False),
    ('{className: edge}', False, False),
    ('{class: "edge\\n"}', False, False),
    ('{domain: ""}', True, True),
    ('{domain: apps.example.com}', True, True),
    ('{domain: "apps example"}', False, False),
    ('{httpPort: 1}', True, True),
    ('{httpPort: 0}', False, False),
    ('{httpPort: 65536}', False, False),
    ('{httpPort: "8080"}', False, False),
    ('{httpPort: 8443}', True, False),
    ('{tcpPorts: "5432,20000-20999"}', True, True),
    ('{tcpPorts: "5432, 20000"}', False, False),
    ('{tcpPorts: "70000"}', True, False),
    ('{tcpPorts: "9-5"}', True, False),
    ('{tcpPorts: "8000-9000"}', True, False),
    ('{tcpPorts: 5432}', False, False),
    ('{addresses: []}', True, False),
    ('{addresses: [localhost]}', True, False),
    ('{trustedProxies: [10.0.0.0/8]}', True, True),
    ('{trustedProxies: [10.0.0.1/8]}', True, False),
    ('{trustedProxies: 10.0.0.0/8}', False, False),
    ('{hostPolicy: {shop: ["*.shop.example.com"], "*": []}}', True, True),
    ('{hostPolicy: {shop: a.example.com}}', False, False),
    ('{defaultCertificate: edge/wildcard}', True, True),
    ('{defaultCertificate: wildcard}', False, False),
    ('{secrets: {namespaces: ["*"]}}', True, True),
    ('{secrets: {namespace: ["*"]}}', False, False),
    ('{secrets: ["*"]}', False, False),
    ('{addressSource: node-ports}', True, True),
    ('{addressSource: nodes}', False, False),
    ('{defaults: {timeout-server: 30s}}', True, True),
    ('{defaults: {retries: 3}}', False, False),
    ('{maxconn: 9}', False, False),
    ('{drainTimeout: 5m}', True, True),
    ('{drainTimeout: 5}', False, False),
    ('{drainTimeout: "5m\\n"}', False, False),
    ('{drainTimeout: 5 m}', False, False),
    ('{drainTimeout: ٥m}', False, False),
    ('{allowExternalName: 1}', False, False),
    ('{unknown: 1}', False, False),
    ('[]', False, False),
    ('text', False, False),
)


@pytest.mark.parametrize(('text', 'by_schema', 'by_code'), SETTINGS)
def test_the_schema_takes_what_the_code_takes(text, by_schema, by_code):
    schema = json.loads(page('settings.schema.json'))
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(yaml.safe_load(text)) == by_schema
    try:
        settings.parse(text)
    except settings.SettingsError:
        assert not by_code
    else:
        assert by_code


def test_the_schema_is_a_schema_and_holds_the_defaults():
    schema = json.loads(page('settings.schema.json'))
    jsonschema.Draft202012Validator.check_schema(schema)
    properties = schema['$defs']['Settings']['properties']
    defaults = {key: item['default'] for key, item in properties.items()}
    jsonschema.Draft202012Validator(schema).validate(defaults)
    assert settings.parse(yaml.safe_dump(defaults)) == settings.Settings()


LIMITS = re.compile(r'(secrets\.)?(max(?!conn)|min)[A-Z]\w*|(total)?[rR]eloadsPerMinute|rateLimitClients|tableSize')


def rows(start, end):
    """Return the cells of a table of the page about security, by the headings before and after it."""
    text = (DOCS / 'security.md').read_text()
    part = text[text.index(start) : text.index(end)]
    return [[cell.strip() for cell in line.split('|')[1:-1]] for line in part.splitlines() if line.startswith('| ')][1:]


def test_the_table_of_limits_has_all_settings_with_their_defaults_and_diagnostics():
    defaults = json.loads(msgspec.json.encode(settings.Settings()))
    defaults |= {f'secrets.{name}': value for name, value in defaults['secrets'].items()}
    table = {
        setting.strip('`'): (default, diagnostic) for _, setting, default, diagnostic in rows('## Limits', '## Hosts')
    }
    del table['–'], table['---']
    assert table.keys() == {name for name in defaults if LIMITS.fullmatch(name)}
    for name, (default, diagnostic) in table.items():
        assert default == str(defaults[name])
        assert diagnostic == '–' or diagnostic.strip('`') in REASONS


def test_the_table_of_the_agents_own_ports_has_the_limits_of_the_code():
    found = [[cell for cell in row[1:3] if cell != '–'] for row in rows("## The agent's own ports", '## Requests')[1:]]
    wanted = [
        (connections.MOST_BY_PEER, connections.MOST),
        (connections.HANDSHAKES_BY_PEER, connections.HANDSHAKES),
        (reviews.BY_PEER, reviews.TOTAL),
        (reviews.AT_ONCE,),
    ]
    assert found == [[f'{number:.0f}' for number in row] for row in wanted]
