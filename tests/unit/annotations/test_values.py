"""The grammar of values, kind by kind: what each takes, as what, and what it refuses."""

import pytest

from headrace.annotations import keys, values
from headrace.annotations.values import HeaderMatch, Invalid, Network, Rate

DAY = 86_400_000
# Nothing of these is a value of any kind but free text, and no kind has free text.
HOSTILE = [
    '', ' ', '\n', '\0', 'a\0b', 'a\nb', 'a\rb', 'a\tb', '"', "'", '"a"', "'a'", 'a b\nserver x 192.0.2.1', '#', 'a#b',
    '\\', 'a\\', '\\n', '%[src]', '%[env(HOME)]', '${HOME}', '$HOME', '`id`', ';', 'a;b', '|', 'a|b', '<', '<<', '>',
    '{{ 7 * 7 }}', '{% raw %}', 'ä', 'a\u0301', '\u202eabc', '\u2028', '\N{KELVIN SIGN}', 'İ', '１', '٣', '\x7f',
    '\x1b[31m', '../../etc/passwd', 'a' * 65536, '-', '--', 'null', 'None', 'true\n', '0x10', '1e3', '-1', '+1',
]  # fmt: skip
CONTROL = [f'a{chr(code)}b' for code in (*range(32), 127)]


def taken(key, text):
    """Return the value of a key, or '!' when it does not parse."""
    found = keys.BY_NAME[key].parse(text)
    return '!' if isinstance(found, Invalid) else found


@pytest.mark.parametrize(
    ('text', 'expected'),
    [('true', True), ('false', False)]
    + [(text, '!') for text in ('True', 'TRUE', 'yes', 'no', 'on', 'off', '1', '0', 't', '', 'true false')],
)
def test_a_boolean_is_true_or_false_and_nothing_else(text, expected):
    assert taken('enabled', text) == expected


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('500ms', 500), ('1ms', 1), ('5s', 5000), ('2m', 120_000), ('1h', 3_600_000), ('1d', DAY), ('24d', 24 * DAY),
        ('2147483647ms', 2**31 - 1), ('2147483648ms', '!'), ('25d', '!'), ('0s', '!'), ('0ms', '!'), ('5', '!'), ('s', '!'),
        ('5S', '!'), ('5 s', '!'), ('1.5s', '!'), ('-5s', '!'), ('1h30m', '!'), ('1us', '!'), ('1w', '!'), ('٥s', '!'),
        ('99999999999s', '!'), ('', '!'),
    ],
)  # fmt: skip
def test_a_duration_is_haproxys_and_in_its_range(text, expected):
    assert taken('timeout-server', text) == expected


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('off', 0), ('1s', 1000), ('365d', 365 * DAY), ('36500d', 36500 * DAY),
        ('36501d', '!'), ('999ms', '!'), ('0s', '!'), ('on', '!'), ('Off', '!'), ('', '!'),
    ],
)  # fmt: skip
def test_hsts_is_off_or_at_least_a_second_and_at_most_a_century(text, expected):
    assert taken('hsts', text) == expected


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('64k', 65536), ('10m', 10 * 1024**2), ('1g', 1024**3), ('1', 1), ('1023g', 1023 * 1024**3),
        ('1024g', '!'), ('0', '!'), ('0k', '!'), ('10M', '!'), ('10mb', '!'), ('1.5m', '!'), ('k', '!'), ('-1k', '!'), ('', '!'),
    ],
)  # fmt: skip
def test_a_size_is_a_number_with_k_m_or_g(text, expected):
    assert taken('max-body-size', text) == expected


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('10/s', Rate(10, 1)), ('100/m', Rate(100, 60)), ('1000/h', Rate(1000, 3600)), ('999999999/s', Rate(999_999_999, 1)),
        ('0/s', '!'), ('10', '!'), ('/s', '!'), ('10/d', '!'), ('10 /s', '!'), ('10/2s', '!'), ('1000000000/s', '!'), ('10/S', '!'),
    ],
)  # fmt: skip
def test_a_rate_is_a_number_a_second_minute_or_hour(text, expected):
    assert taken('rate-limit', text) == expected


@pytest.mark.parametrize(
    ('key', 'text', 'expected'),
    [
        ('port', '1', 1), ('port', '65535', 65535), ('port', '0', '!'), ('port', '65536', '!'), ('port', '080', 80),
        ('port', '5432.0', '!'), ('port', '5,432', '!'), ('port', '٥٤', '!'), ('retries', '0', 0), ('retries', '11', '!'),
        ('canary-weight', '0', 0), ('canary-weight', '1000000', 1_000_000), ('canary-weight', '1000001', '!'), ('canary-weight', '5%', '!'),
        ('max-connections', '0', '!'), ('max-connections', '1000000', 1_000_000), ('max-connections', '1' * 4400, '!'),
    ],
)  # fmt: skip
def test_a_number_is_whole_and_in_the_range_of_its_key(key, text, expected):
    assert taken(key, text) == expected


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        pytest.param('a b', ('a', 'b'), id='blank'),
        pytest.param('a,b', ('a', 'b'), id='comma'),
        pytest.param(' a ,\n\t b,, ', ('a', 'b'), id='both, and more than needed'),
        pytest.param('b a b', ('b', 'a'), id='order kept, repetitions not'),
        pytest.param(' , ', '!', id='nothing'),
        pytest.param('a;b', '!', id='semicolon'),
        pytest.param('a B', '!', id='one of two does not parse'),
        pytest.param(' '.join(f's{n}' for n in range(20)), tuple(f's{n}' for n in range(20)), id='as many as allowed'),
        pytest.param(' '.join(f's{n}' for n in range(21)), '!', id='one more'),
    ],
)
def test_a_list_is_separated_by_commas_or_white_space(text, expected):
    assert taken('snippets', text) == expected


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('shop.example.com', 'shop.example.com'), ('Shop.Example.COM.', 'shop.example.com'), ('localhost', 'localhost'),
        ('*.example.com', '*.example.com'), ('*', '*'), ('xn--bcher-kva.example', 'xn--bcher-kva.example'), ('10.0.0.1', '10.0.0.1'),
        (f'{"a" * 63}.example.com', f'{"a" * 63}.example.com'), (f'{"a" * 64}.example.com', '!'), ('.'.join(['a'] * 127), '.'.join(['a'] * 127)),
        ('.'.join(['a'] * 128), '!'), ('shop.example.com..', '!'), ('.', '!'), ('', '!'), ('*.', '!'), ('**.example.com', '!'),
        ('a.*.example.com', '!'), ('shop*.example.com', '!'), ('*.*.example.com', '!'), ('shop.example.com:8080', '!'),
        ('shop_1.example.com', '!'), ('-a.example.com', '!'), ('a-.example.com', '!'), ('bücher.example', '!'), ('a/b', '!'),
        ('https://shop.example.com', '!'), ('[::1]', '!'), ('shop.example.com\n', '!'), ('\N{KELVIN SIGN}.example.com', '!'), ('*.\n', '!'),
    ],
)  # fmt: skip
def test_a_host_is_a_name_a_wildcard_of_one_label_or_every_host(text, expected):
    found = values.host(text)
    assert ('!' if isinstance(found, Invalid) else found) == expected


@pytest.mark.parametrize(
    ('key', 'text', 'expected'),
    [
        ('check-host', 'Up.example.com', 'up.example.com'), ('check-host', '*.example.com', '!'), ('check-host', '*', '!'),
        ('check-host', 'host-header', 'host-header'), ('backend-sni', 'host-header', 'host-header'), ('backend-sni', 'a_b', '!'),
        ('backend-sni', '*', '!'),
    ],
)  # fmt: skip
def test_a_host_that_is_sent_has_no_wildcard(key, text, expected):
    assert taken(key, text) == expected


@pytest.mark.parametrize(
    ('text', 'good'),
    [
        ('/', True), ('/a', True), ('/a/', True), ('/a/b.c~d_e-f', True), ("/!$&'()*+,;=:@", True), ('/a%20b', True), ('/' + 'a' * 2047, True),
        ('/' + 'a' * 2048, False), ('', False), ('a', False), ('//', False), ('/a//b', False), ('/a b', False), ('/a?b', False), ('/a#b', False),
        ('/a%2', False), ('/a%zz', False), ('/ä', False), ('/a\n', False), ('/a\\b', False), ('/a"b', False), ('/a{b}', False), ('/a|b', False),
        ('/a\0', False), ('/a\n/b', False),
    ],
)  # fmt: skip
def test_a_path_is_as_clients_send_it_and_has_no_empty_elements(text, good):
    assert taken('rewrite-path', text) == (text if good else '!')


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('/caf%c3%a9', '/caf%C3%A9'), ('/%61%2D%7e%40', '/a-~@'), ('/a%20b%25%3f', '/a%20b%25%3F'), ('/.well-known/...', '/.well-known/...'),
        ('/a%2Fb', '!'), ('/a%5cb', '!'), ('/a;b', '!'), ('/a%3Bb', '!'), ('/..', '!'), ('/a/../b', '!'), ('/a/%2e%2E/b', '!'), ('/./a', '!'),
        ('/a/.', '!'), ('/a%2', '!'), ('/' + '%61' * 682, '/' + 'a' * 682), ('/' + 'a' * 2048, '!'),
    ],
)  # fmt: skip
def test_a_path_of_a_route_has_one_reading(text, expected):
    assert taken('path', text) == (expected if expected == '!' else (expected,))


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('https://a.b$request_uri', 'https://a.b${request_uri}'), ('${scheme}://www.${host}:8443$uri', '${scheme}://www.${host}:8443${uri}'),
        ('/a?b=$args', '/a?b=${args}'), ('/a$is_args$args', '/a${query}'), ('https://a.b/$host/$uri', 'https://a.b/${host}/${uri}'),
        # A client would name the host.
        ('/$uri', '!'), ('/$request_uri', '!'), ('$uri', '!'), ('$request_uri', '!'), ('https://a.b$args', '!'), ('https://$args', '!'), ('$host', '!'),
        ('/a$args', '!'), ('//$host/', '!'), ('https://$uri', '!'), ('https://a@$host', '!'),
        ('/a$is_args', '!'), ('/$scheme', '!'), ('$scheme:/a', '!'), ('/a$', '!'), ('/a$1', '!'), ('/a$$host', '!'), ('/a${host', '!'),
        ('/a$http_cookie', '!'), ('/a$HOST', '!'), ('/a$query', '!'), ('$schemehttps://a', '!'),
    ],
)  # fmt: skip
def test_parts_of_the_request_that_a_redirect_names_cannot_change_its_host(text, expected):
    assert taken('redirect-to', text) == expected


@pytest.mark.parametrize(
    ('text', 'good'),
    [
        ('https://example.com', True), ('http://Example.com:8080/a?b=c/d?#e', True), ('https://[fd00::1]/', True), ('/', True), ('/a//b?c', True),
        ('/login?to=/', True), ('', False), ('//example.com', False), ('example.com', False), ('ftp://example.com', False), ('javascript:alert(1)', False),
        ('https://', False), ('https:///a', False), ('https://user@example.com', False), ('https://a b', False), ('/a b', False), ('/%[src]', False),
        ('/\r\nSet-Cookie: a=b', False), ('https://example.com\\@b', False), ('/' + 'a' * 2048, False), ('https://exam\N{KELVIN SIGN}', False),
    ],
)  # fmt: skip
def test_a_redirect_goes_to_an_http_url_or_a_path_of_the_same_host(text, good):
    assert taken('redirect-to', text) == (text if good else '!')


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('10.0.0.0/8', Network(4, '0A000000', 8)), ('192.0.2.1', Network(4, 'C0000201', 32)), ('10.1.2.3/8', Network(4, '0A000000', 8)),
        ('0.0.0.0/0', Network(4, '00000000', 0)), ('2001:db8::/32', Network(6, '20010DB8' + '0' * 24, 32)), ('::1', Network(6, '0' * 31 + '1', 128)),
        ('::/0', Network(6, '0' * 32, 0)), ('::ffff:10.0.0.0/104', Network(4, '0A000000', 8)), ('::ffff:0:0/95', Network(6, '0' * 20 + 'FFFE' + '0' * 8, 95)),
        ('10.0.0.0/33', '!'), ('10.0.0.0/0.0.0.255', '!'), ('10.0.0.0/255.0.0.0', '!'), ('10.0.0/8', '!'), ('010.0.0.0/8', '!'), ('fe80::1%eth0', '!'),
        ('2001:db8::/129', '!'), ('10.0.0.0/', '!'), ('10.0.0.0/-1', '!'), ('10', '!'), ('', '!'), ('all', '!'), ('::ffff:10.0.0.0/', '!'),
    ],
)  # fmt: skip
def test_a_network_is_a_cidr_or_an_address_and_a_mapped_one_is_ipv4(text, expected):
    found = values.network(text)
    assert ('!' if isinstance(found, Invalid) else found) == expected


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        pytest.param('X-A: b', (('X-A', 'b'),), id='one'),
        pytest.param('X-B: 2\nX-A: 1\n\n', (('X-A', '1'), ('X-B', '2')), id='two, sorted'),
        pytest.param('X-A: 1\r\nX-B: 2', (('X-A', '1'), ('X-B', '2')), id='line ends of Windows'),
        pytest.param('X-A:', (('X-A', ''),), id='an empty value removes'),
        pytest.param('X-A: a: b', (('X-A', 'a: b'),), id='a colon in the value'),
        pytest.param('X-A: %[src] "${HOME}" \'#\\', (('X-A', '%[src] "${HOME}" \'#\\'),), id='text is text'),
        pytest.param('X-A: 1\nx-a: 2', (('x-a', '2'),), id='the last of one name counts'),
        pytest.param('X-A: ' + 'a' * 4096, (('X-A', 'a' * 4096),), id='as long as allowed'),
        pytest.param('X-A: ' + 'a' * 4097, '!', id='too long'),
        pytest.param('\n'.join(f'X-{n}: {"a" * 995}' for n in range(8)), '!', id='more than 8,000 characters in all'),
        pytest.param('X-A', '!', id='no colon'),
        pytest.param(': b', '!', id='no name'),
        pytest.param('X A: b', '!', id='a blank in the name'),
        pytest.param('X-A#: b', '!', id='a comment in the name'),
        pytest.param("X-A': b", '!', id='a quote in the name'),
        pytest.param('X-A: ä', '!', id='umlaut'),
        pytest.param('X-A: a\0b', '!', id='NUL'),
        pytest.param('X-A: a\rb', '!', id='a carriage return within'),
        pytest.param('X-A: a\tb', '!', id='a tab within'),
        pytest.param('', '!', id='empty'),
        pytest.param('\n\n', '!', id='empty lines'),
        *(pytest.param(f'{name}: a', '!', id=name) for name in ('Connection', 'content-length', 'Transfer-Encoding', 'TE', 'Trailer', 'Upgrade', 'Keep-Alive', 'Proxy-Connection')),
    ],
)  # fmt: skip
def test_headers_are_one_a_line_and_never_frame_a_message(text, expected):
    assert taken('request-headers', text) == expected
    assert taken('response-headers', text) == expected


@pytest.mark.parametrize(
    ('key', 'text', 'expected'),
    [
        ('cookie', 'true', 'true'), ('cookie', 'SESSION_id.1-a', 'SESSION_id.1-a'), ('cookie', 'a' * 64, 'a' * 64), ('cookie', 'a' * 65, '!'),
        ('cookie', 'a b', '!'), ('cookie', 'a=b', '!'), ('cookie', 'a;b', '!'), ('canary-cookie', 'beta', 'beta'), ('canary-cookie', 'ä', '!'),
        ('canary-header', 'X-Beta', HeaderMatch('x-beta')), ('canary-header', 'X-Beta: yes', HeaderMatch('x-beta', 'yes')), ('canary-header', 'X-Beta:', '!'),
        ('canary-header', 'X-Beta: ' + 'v' * 256, HeaderMatch('x-beta', 'v' * 256)), ('canary-header', 'X-Beta: ' + 'v' * 257, '!'),
        ('canary-header', 'X Beta', '!'), ('canary-header', 'X-Beta: a|b', '!'), ('canary-header', 'X-Beta: a\nb', '!'), ('canary-header', '', '!'),
        ('cors-allow-origin', '*', ('*',)), ('cors-allow-origin', 'https://App.example.com:8443', ('https://app.example.com:8443',)),
        ('cors-allow-origin', 'https://app.example.com/', '!'), ('cors-allow-origin', 'app.example.com', '!'), ('cors-allow-origin', 'null', '!'),
        ('cors-allow-origin', 'https://' + 'a' * 300, '!'), ('cors-allow-origin', 'https://\N{KELVIN SIGN}.example.com', '!'),
        ('cors-allow-methods', 'GET, PUT', ('GET', 'PUT')), ('cors-allow-methods', 'GET;PUT', '!'), ('cors-allow-methods', 'G|T', '!'),
        ('cors-allow-headers', '*', ('*',)), ('cors-allow-headers', 'X-A X-B', ('X-A', 'X-B')), ('cors-expose-headers', 'X A"', '!'),
        ('check-status', '200', '200'), ('check-status', '200-399', '200-399'), ('check-status', '301,200 200-204', '200,200-204,301'),
        ('check-status', '399-200', '!'), ('check-status', '600', '!'), ('check-status', '99', '!'), ('check-status', '200-', '!'), ('check-status', '', '!'),
        ('check-status', ','.join(map(str, range(200, 221))), '!'),
        ('balance', 'random', 'random'), ('balance', 'roundrobin', 'roundrobin'), ('balance', 'leastconn', 'leastconn'), ('balance', 'first', 'first'),
        ('balance', 'source', 'source'), ('balance', 'uri', 'uri'), ('balance', 'hdr:X-User', 'hdr:x-user'), ('balance', 'hdr:', '!'), ('balance', 'hdr:a b', '!'),
        ('balance', 'hdr:' + 'a' * 65, '!'), ('balance', 'random(1)', '!'), ('balance', 'Random', '!'), ('balance', 'hdr(host)', '!'), ('balance', 'hdr:a\n', '!'),
        ('retry-on', '503, conn-failure', ('conn-failure', '503')), ('retry-on', 'all-retryable-errors', '!'), ('retry-on', '401', '!'), ('retry-on', '', '!'),
        ('mode', 'http', 'http'), ('mode', 'HTTP', '!'), ('proxy', 'node', 'node'), ('proxy', 'edge', '!'), ('redirect-code', '308', '308'), ('redirect-code', '304', '!'),
        ('class', 'edge-2', 'edge-2'), ('class', 'a.b', '!'), ('class', 'Edge', '!'), ('tls-secret', 'shop.example.com', ('shop.example.com',)),
        ('tls-secret', 'shop/other', '!'), ('tls-secret', '../other', '!'), ('tls-secret', 'a' * 254, '!'), ('tls-secret', 'rsa, ec', ('rsa', 'ec')), ('tls-secret', 'a b c d e', '!'), ('canary-service', 'web-2', 'web-2'), ('canary-service', 'a.b', '!'),
        ('snippets', 'tag', ('tag',)), ('snippets', 'tag.cfg', '!'), ('snippets', 'a' * 64, '!'), ('snippets', '-a', '!'),
    ],
)  # fmt: skip
def test_the_other_kinds_of_values(key, text, expected):
    assert taken(key, text) == expected


@pytest.mark.parametrize('key', ['cors-allow-methods', 'cors-allow-headers', 'cors-expose-headers'])
def test_a_list_that_is_one_line_of_a_map_is_never_longer_than_haproxys_buffer(key):
    items = [f'{"a" * 120}{number}' for number in range(40)]
    assert taken(key, ' '.join(items)) == '!'
    assert taken(key, ' '.join(items[:30])) == tuple(items[:30])


@pytest.mark.parametrize('key', [key.name for key in keys.KEYS])
def test_no_value_of_any_key_can_end_a_word_a_line_or_a_field_of_a_map(key):
    """Headers may hold any printable text, because they are written in Base64 or quoted."""
    free = key in ('request-headers', 'response-headers', 'canary-header', 'canary-header-pattern', 'basic-auth-realm')
    for text in (*HOSTILE, *CONTROL, *(f'/{text}' for text in HOSTILE), *(f'X-A: {text}' for text in HOSTILE)):
        found = taken(key, text)
        if isinstance(found, str | tuple) and found != '!' and not free:
            for word in [found] if isinstance(found, str) else found:
                shown = word if isinstance(word, str) else repr(word)
                assert shown.isascii(), (text, found)
                assert shown.isprintable(), (text, found)
                assert isinstance(word, Network) or not set(shown) & set(' |"\\<>{}'), (text, found)


@pytest.mark.parametrize('key', keys.KEYS, ids=[key.name for key in keys.KEYS])
def test_what_is_expected_completes_the_sentence_the_value_must_be(key):
    found = key.parse('\0')
    assert isinstance(found, Invalid)
    assert found.expected[0].islower() or found.expected[0] in '*N', found.expected
    assert not found.expected.endswith('.')
