"""The tables of foreign annotations: complete, and each row says what the reference, the report and diagnostics need."""

import re

import pytest

from headrace.annotations import values
from headrace.annotations.foreign import haproxy_ingress, ingress_nginx
from headrace.annotations.foreign.read import DIALECTS, read
from headrace.annotations.foreign.table import Row, Verdict, by_name, exact
from headrace.annotations.foreign.translation import Foreign, Structure, Translation
from headrace.diagnostics import Diagnostic
from headrace.names import Ref
from headrace.objects import annotations

NGINX = 'nginx.ingress.kubernetes.io/'
WEB = Ref('Ingress', 'shop', 'web')
# Those that Traefik serves, and those that it names as not served.
SERVED_ELSEWHERE = values.split("""
auth-type auth-secret auth-secret-type auth-realm auth-url auth-signin auth-snippet auth-method auth-response-headers
enable-global-auth ssl-redirect force-ssl-redirect ssl-passthrough proxy-ssl-server-name proxy-ssl-name proxy-ssl-verify
proxy-ssl-secret auth-tls-secret auth-tls-verify-client auth-tls-pass-certificate-to-upstream auth-tls-verify-depth affinity
affinity-mode affinity-canary-behavior session-cookie-name session-cookie-secure session-cookie-path session-cookie-domain
session-cookie-samesite session-cookie-max-age session-cookie-expires load-balance backend-protocol service-upstream
upstream-hash-by upstream-vhost custom-headers default-backend proxy-http-version canary canary-by-header
canary-by-header-value canary-by-header-pattern canary-by-cookie canary-weight canary-weight-total x-forwarded-prefix
enable-cors cors-allow-credentials cors-allow-headers cors-allow-methods cors-allow-origin cors-expose-headers cors-max-age
app-root from-to-www-redirect use-regex rewrite-target permanent-redirect permanent-redirect-code temporal-redirect
temporal-redirect-code custom-http-errors server-alias server-snippet configuration-snippet whitelist-source-range
allowlist-source-range limit-rps limit-rpm limit-burst-multiplier limit-connections proxy-request-buffering proxy-body-size
client-body-buffer-size proxy-buffering proxy-buffer-size proxy-buffers-number proxy-max-temp-file-size enable-access-log
proxy-connect-timeout proxy-send-timeout proxy-read-timeout proxy-next-upstream proxy-next-upstream-tries
proxy-next-upstream-timeout
""")
NOT_SERVED_ELSEWHERE = values.split("""
auth-tls-error-page auth-tls-match-cn auth-cache-key auth-cache-duration auth-keepalive auth-keepalive-share-vars
auth-keepalive-requests auth-keepalive-timeout auth-proxy-set-headers disable-proxy-intercept-errors limit-rate-after
limit-rate limit-whitelist global-rate-limit global-rate-limit-window global-rate-limit-key global-rate-limit-ignored-cidrs
preserve-trailing-slash proxy-cookie-domain proxy-cookie-path proxy-redirect-from proxy-redirect-to proxy-ssl-ciphers
proxy-ssl-verify-depth proxy-ssl-protocols enable-rewrite-log satisfy session-cookie-conditional-samesite-none
session-cookie-change-on-failure ssl-ciphers ssl-prefer-server-ciphers connection-proxy-header enable-opentracing
opentracing-trust-incoming-span enable-opentelemetry opentelemetry-trust-incoming-span enable-modsecurity
enable-owasp-core-rules modsecurity-transaction-id modsecurity-snippet mirror-request-body mirror-target mirror-host
denylist-source-range stream-snippet
""")
ROWS = [
    pytest.param(row, id=f'{name} {row.name}') for name, dialect in DIALECTS.items() for row in dialect.table.values()
]


def test_all_keys_that_others_know_of_ingress_nginx_are_in_its_table():
    assert (len(SERVED_ELSEWHERE), len(NOT_SERVED_ELSEWHERE)) == (86, 45)
    assert {*SERVED_ELSEWHERE, *NOT_SERVED_ELSEWHERE} <= set(ingress_nginx.TABLE)


@pytest.mark.parametrize('row', ROWS)
def test_a_row_says_what_the_reference_needs(row):
    assert re.fullmatch('[a-z0-9-]+', row.name)
    assert row.text or row.verdict is Verdict.EXACT
    assert all(re.fullmatch('[a-z0-9-]+', key) for key in row.sets)
    assert not row.sets or row.form or row.group
    assert row.form or row.group or row.verdict is Verdict.IGNORED


@pytest.mark.parametrize(
    'table', [ingress_nginx.TABLE, haproxy_ingress.TABLE], ids=['ingress-nginx', 'haproxy-ingress']
)
def test_a_key_that_protects_and_is_unreadable_closes_the_routes(table):
    prefix = DIALECTS['ingress-nginx' if table is ingress_nginx.TABLE else 'haproxy-ingress'].prefixes[0]
    others = {
        'auth-url': 'http://a.shop.svc/',
        'auth-tls-secret': 'ca',
        'auth-type': 'basic',
        'auth-secret': 'users',
        'proxy-ssl-verify': 'on',
    }
    harmless = {'auth-tls-verify-client'}  # what is no word of it counts as `on`
    for row in table.values():
        if row.closes and row.name not in harmless:
            given = {
                **{key: value for key, value in others.items() if key in table},
                row.name: '\N{REPLACEMENT CHARACTER}',
            }
            foreign = read(
                'ingress-nginx' if table is ingress_nginx.TABLE else 'haproxy-ingress',
                tuple((prefix + key, value) for key, value in given.items()),
                'shop',
            )
            assert prefix + row.name in foreign.closed, row.name


def test_a_row_whose_keys_this_version_lacks_is_not_yet_served():
    assert exact('x', 'no-such-key').served == (Verdict.IGNORED, 'not yet: headrace has no key no-such-key')
    assert exact('x', 'no-such-key', 'allow').served == (Verdict.EXACT, '')
    assert exact('x', 'no-such-key', 'allow').missing == ('no-such-key',)


def test_a_protecting_key_that_is_not_yet_served_closes_the_routes():
    table = {'x': exact('x', 'no-such-key', closes=True)}
    translation = Translation(table, {'x': 'y'}, frozenset(), 'shop')
    assert not translation.set('x', 'no-such-key', 'y')
    foreign = translation.finish({'x': 'p/'})
    assert foreign.closed == ('p/x',)
    assert 'not yet' in foreign.remarks[0].text


def test_an_object_without_foreign_annotations_has_no_remarks():
    assert read('ingress-nginx', (('headrace.io/allow', '10.0.0.0/8'), (NGINX, 'x')), 'shop') == Foreign()


def test_the_other_dialect_is_not_read():
    assert read('haproxy-ingress', ((NGINX + 'enable-cors', 'true'),), 'shop').remarks == ()


def test_a_value_that_is_too_long_closes_what_it_protects():
    foreign = read('ingress-nginx', ((NGINX + 'auth-secret', 'x' * 70_000), (NGINX + 'app-root', '/' * 70_000)), 'shop')
    assert foreign.closed == (NGINX + 'auth-secret',)
    assert [remark.text[:19] for remark in foreign.remarks] == ['the value is longer'] * 2


def test_unknown_keys_are_named_up_to_a_limit():
    foreign = read('ingress-nginx', tuple((f'{NGINX}x{number:03}', '') for number in range(99)), 'shop')
    assert len(foreign.remarks) == 50
    assert foreign.structure == Structure()


def test_a_key_that_cannot_be_shown_is_shortened():
    foreign = read('ingress-nginx', ((NGINX + 'x' * 300, ''), (NGINX + '\n', '')), 'shop')
    assert all(len(remark.key) < 80 and remark.key.isprintable() for remark in foreign.remarks)


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        (('affinity', 'cookie'), None),
        (('load-balance', 'ewma'), 'ForeignAnnotationDiffers'),
        (('mirror-host', 'x'), 'ForeignAnnotationIgnored'),
        (('whitelist-source-range', 'x'), 'ForeignAnnotationCloses'),
    ],
)
def test_a_remark_is_a_diagnostic_unless_it_is_exact(given, expected):
    (remark,) = read('ingress-nginx', ((NGINX + given[0], given[1]),), 'shop').remarks
    diagnostic = remark.diagnostic(WEB)
    if expected is None:
        assert diagnostic is None
    else:
        text = f'{NGINX}{given[0]}: {remark.text}'
        assert diagnostic == Diagnostic(WEB, expected, text, f'metadata.annotations[{NGINX}{given[0]}]')


def test_two_rows_of_one_key_are_a_mistake_of_the_table():
    with pytest.raises(AssertionError):
        by_name(Row('x', Verdict.EXACT), (Row('x', Verdict.EXACT),))


def test_headers_beyond_the_limit_of_a_key_are_left_out_and_close_for_requests():
    lines = '\n'.join(f'X-{number}: value' for number in range(3000))
    prefix = haproxy_ingress.PREFIXES[0]
    given = ((prefix + 'request-set-headers', lines), (prefix + 'response-set-headers', lines))
    foreign = read('haproxy-ingress', given, 'shop')
    assert foreign.closed == (prefix + 'request-set-headers',)
    assert all(len(text) <= values.MAX_HEADERS for _, text in foreign.texts)
    assert all(len(remark.text) < 2000 for remark in foreign.remarks)


def test_a_snippet_says_some_of_what_is_wrong_with_it():
    text = ''.join(f'proxy_set_header X-{number} $unknown;' for number in range(400))
    (remark,) = read('ingress-nginx', ((NGINX + 'configuration-snippet', text),), 'shop').remarks
    assert remark.closes
    assert len(remark.text) < 2000


@pytest.mark.parametrize('dialect', DIALECTS)
def test_hosts_have_up_to_100_aliases(dialect):
    aliases = ' '.join(f'{number}.example.com' for number in range(101))
    foreign = read(dialect, ((DIALECTS[dialect].prefixes[0] + 'server-alias', aliases),), 'shop')
    assert len(foreign.structure.aliases) <= 100
    assert foreign.remarks[0].verdict is not Verdict.EXACT


def test_the_annotations_of_every_dialect_are_kept_of_an_ingress():
    prefixes = {prefix for dialect in DIALECTS.values() for prefix in dialect.prefixes}
    assert prefixes <= {*annotations.FOREIGN_PREFIXES}


def test_the_longest_text_that_is_kept_is_the_longest_that_a_key_can_have():
    assert annotations.LONGEST == values.MAX_LENGTH
