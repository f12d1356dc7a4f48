"""How a server, an entry or a value is written: the words of HAProxy's manual."""

import base64

import pytest

from headrace.haproxy.encode import syntax
from headrace.ir.backend import Backend, Group, Options, ServerTls, Shape
from headrace.names import Ref

WEB = Ref('Service', 'shop', 'web')


def backend(*groups, options=None, shape=None):
    return Backend('shop_web_http', WEB, 'http', shape or Shape(), options or Options(), groups)


@pytest.mark.parametrize(
    ('milliseconds', 'text'),
    [(500, '500ms'), (1500, '1500ms'), (5000, '5s'), (90_000, '90s'), (120_000, '2m'), (3_600_000, '1h'), (86_400_000, '1d'), (0, '0ms')],
)  # fmt: skip
def test_a_duration_has_the_largest_unit_that_keeps_it_whole(milliseconds, text):
    assert syntax.duration(milliseconds) == text


@pytest.mark.parametrize(
    ('text', 'word'),
    [
        pytest.param('plain', "'plain'", id='plain'),
        pytest.param('', "''", id='empty'),
        pytest.param('a b # c', "'a b # c'", id='blanks and hashes'),
        pytest.param('"${HOME}" \\', '\'"${HOME}" \\\'', id='what double quotes would expand'),
        pytest.param("it's", "'it'\\''s'", id='a single quote ends, is escaped, and begins again'),
    ],
)
def test_free_text_is_one_word_of_a_file(text, word):
    assert syntax.quoted(text) == word


@pytest.mark.parametrize(
    ('text', 'word'), [('a b', 'a\\ b'), ('a;b', 'a\\;b'), ('a\\b', 'a\\\\b'), ('a\'b"c#d', 'a\'b"c#d')]
)
def test_free_text_is_one_word_of_a_command(text, word):
    assert syntax.escaped(text) == word


@pytest.mark.parametrize('character', [*map(chr, range(32)), '\x7f'], ids=ascii)
@pytest.mark.parametrize('write', [syntax.quoted, syntax.escaped, syntax.checked])
def test_no_control_character_is_ever_written(write, character):
    with pytest.raises(syntax.ForbiddenCharacterError):
        write(f'a{character}b')


def test_the_error_shows_what_was_forbidden_in_ascii():
    with pytest.raises(syntax.ForbiddenCharacterError, match=r"^'a\\nb'$"):
        syntax.checked('a\nb')


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        pytest.param(Options(), '', id='default'),
        pytest.param(Options(protocol='h2'), 'proto h2', id='h2c'),
        pytest.param(
            Options(protocol='h2', tls=ServerTls(verify=True, ca_file='shop_ca', sni='x.example.com', ca_mark='1')),
            'proto h2 ssl verify required ca-file authorities/shop_ca.pem alpn h2 sni str(x.example.com)',
            id='verified, with a name',
        ),
        pytest.param(
            Options(tls=ServerTls(sni='host-header')),
            'ssl verify none alpn http/1.1 sni req.hdr(host),host_only',
            id="the client's Host",
        ),
        pytest.param(Options(proxy='v1'), 'send-proxy', id='PROXY, version 1'),
        pytest.param(Options(proxy='v2'), 'send-proxy-v2', id='PROXY, version 2'),
        pytest.param(Options(slow_start=5000), 'slowstart 5s', id='slow start'),
        pytest.param(Options(check=True), 'check inter 2s rise 2 fall 3', id='a check'),
        pytest.param(
            Options(check=True, interval=500, rise=1, fall=9, eject_after=4),
            'check inter 500ms rise 1 fall 9 observe layer4 error-limit 4 on-error mark-down',
            id='a check, and passive',
        ),
        pytest.param(Options(tls=ServerTls()), 'ssl verify none alpn http/1.1 no-sni-auto', id='no name'),
        pytest.param(
            Options(tls=ServerTls(), check=True),
            'ssl verify none alpn http/1.1 no-sni-auto no-check-sni-auto check inter 2s rise 2 fall 3',
            id='no name, checked',
        ),
        pytest.param(
            Options(tls=ServerTls(sni='x.com'), check=True),
            'ssl verify none alpn http/1.1 sni str(x.com) check-sni x.com check inter 2s rise 2 fall 3',
            id='a name, checked',
        ),
    ],
)
def test_options_of_a_server(options, text):
    assert syntax.server_options(options) == text


def test_servers_are_named_by_address_and_port():
    made = backend(Group(80, ('10.0.0.1', '10.0.0.2')), Group(8080, ('2001:db8::1',)))
    assert syntax.servers(made) == {
        '10.0.0.1:80': '10.0.0.1:80',
        '10.0.0.2:80': '10.0.0.2:80',
        '2001:db8::1:8080': '[2001:db8::1]:8080',
    }
    assert syntax.server(made, '2001:db8::1', 8080) == '[2001:db8::1]:8080'


def test_names_carry_the_hash_of_options_and_never_maxconn():
    options = Options(proxy='v2', max_connections=7)
    made = backend(Group(80, ('10.0.0.1',)), options=options)
    assert syntax.server_lines(made) == [f'10.0.0.1:80_{options.suffix} 10.0.0.1:80 send-proxy-v2 maxconn 7']
    assert options.suffix == Options(proxy='v2').suffix


def test_a_cookie_is_the_endpoints_identity_whatever_the_shape():
    group = Group(80, ('10.0.0.1', '10.0.0.2'))
    found = [
        syntax.servers(backend(group, shape=Shape(cookie='c', balance=balance))) for balance in ('random', 'leastconn')
    ]
    assert found[0] == found[1]
    values = [text.partition(' cookie ')[2] for text in found[0].values()]
    assert all(len(value) == 16 for value in values)
    assert len(set(values)) == 2


@pytest.mark.parametrize(
    ('length', 'number'),
    [(0, '00'), (239, 'ef'), (240, 'f000'), (241, 'f100'), (2287, 'ff7f'), (2288, 'f08000'), (264_431, 'ffff7f')],
)
def test_lengths_are_haproxys_varints(length, number):
    block = base64.b64decode(syntax.header_block((('X', 'v' * length),)))
    assert block == b'\x01x' + bytes.fromhex(number) + b'v' * length + b'\0\0'


def test_headers_are_set_and_removed_in_lower_case():
    assert base64.b64decode(syntax.header_block((('X-A', 'b'), ('Y', 'Z')))) == b'\x03x-a\x01b\x01y\x01Z\0\0'
    assert base64.b64decode(syntax.header_names((('X-A', ''), ('Y', '')))) == b'\x03x-a\x01y\0'


def test_no_header_is_encoded_with_a_line_break():
    with pytest.raises(syntax.ForbiddenCharacterError):
        syntax.header_block((('X', 'a\r\nY: b'),))
