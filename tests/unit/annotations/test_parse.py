"""Annotations of an object: which key speaks of which port, what is wrong, and what closes."""

import pytest

from headrace.annotations import keys, parse
from headrace.names import Ref
from headrace.objects.kinds import Protocol, ServicePort

WEB = Ref('Service', 'shop', 'web')
PORTS = (
    ServicePort('http', Protocol.TCP, 80),
    ServicePort('admin', Protocol.TCP, 9000),
    ServicePort('dns', Protocol.UDP, 53),
    ServicePort('dns-tcp', Protocol.TCP, 53),
    ServicePort('8080', Protocol.TCP, 81),
    ServicePort('other', Protocol.TCP, 8080),
)
UNNAMED = (ServicePort('', Protocol.TCP, 80),)


def read(annotations, ports=PORTS):
    return parse.read(WEB, tuple(sorted(annotations.items())), ports)


def told(found):
    return [(diagnostic.reason, diagnostic.field) for diagnostic in found.diagnostics]


def field(key):
    return f'metadata.annotations[headrace.io/{key}]'


# --- which port -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('suffix', 'label'),
    [
        pytest.param('http', 'http', id='by name'),
        pytest.param('80', 'http', id='by number'),
        pytest.param('53', 'dns-tcp', id='of UDP and TCP, the one that can be served'),
        pytest.param('dns', 'dns', id='a UDP port by name'),
        pytest.param('8080', '8080', id='a name counts before a number'),
        pytest.param('81', '8080', id='a port that is named like a number, by its number'),
    ],
)
def test_a_key_with_a_port_speaks_of_that_port_only(suffix, label):
    found = read({f'mode.{suffix}': 'tcp'})
    assert found.diagnostics == ()
    assert (found.common, found.by_port) == ({}, {label: {'mode': 'tcp'}})
    assert [port.label for port in PORTS if found.values(port.label)] == [label]
    assert found.has('mode', label)
    assert not found.has('mode')
    assert found.has_any('mode')
    assert not found.has_any('host')


def test_a_port_without_a_name_is_named_by_its_number():
    assert read({'mode.80': 'tcp'}, UNNAMED).by_port == {'80': {'mode': 'tcp'}}


def test_a_key_without_a_port_speaks_of_all_and_one_with_it_counts_more():
    found = read({'timeout-server': '5s', 'timeout-server.http': '9s', 'retries': '1'})
    assert found.values('http') == {'timeout-server': 9000, 'retries': 1}
    assert found.values('admin') == {'timeout-server': 5000, 'retries': 1}
    assert found.has('timeout-server')
    assert found.has_any('retries')


@pytest.mark.parametrize('suffix', ['', 'htt', 'HTTP', '81.', 'http.http', '080', '٨٠', 'a\nb', 'x' * 1000], ids=repr)
def test_a_port_that_the_service_does_not_have_is_told(suffix):
    found = read({f'mode.{suffix}': 'tcp'})
    assert (found.common, found.by_port, found.closed) == ({}, {}, {})
    ((reason, where),) = told(found)
    assert reason == 'UnknownPort'
    shown = suffix.isprintable() and len(suffix) < 100
    assert where == (field(f'mode.{suffix}') if shown else 'metadata.annotations')
    assert found.diagnostics[0].message.isprintable()
    assert found.diagnostics[0].message.startswith('the Service has no port ')


@pytest.mark.parametrize('key', ['enabled', 'proxy', 'class'])
def test_a_key_of_the_whole_service_takes_no_port(key):
    found = read({f'{key}.http': 'true'})
    assert told(found) == [('NotApplicable', field(f'{key}.http'))]
    assert (found.service, found.by_port) == ({}, {})


def test_keys_of_the_whole_service_are_apart():
    found = read({'enabled': 'false', 'class': 'edge', 'proxy': 'node'})
    assert found.service == {'enabled': False, 'class': 'edge', 'proxy': 'node'}
    assert (found.common, found.diagnostics) == ({}, ())


# --- unknown keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('typed', 'nearest'),
    [
        ('hosts', 'host'), ('hsot', 'host'), ('Host', 'host'), ('tls_secret', 'tls-secret'), ('tlssecret', 'tls-secret'),
        ('alow', 'allow'), ('timeout-sever', 'timeout-server'), ('ballance', 'balance'), ('rate-limits', 'rate-limit'),
        ('hosts.http', 'host'), ('basic-secret', 'basic-auth-secret'),
    ],
)  # fmt: skip
def test_an_unknown_key_is_a_warning_that_names_the_nearest_known_one(typed, nearest):
    found = read({typed: 'x'})
    assert told(found) == [('UnknownKey', field(typed))]
    assert found.diagnostics[0].level == 'warning'
    assert found.diagnostics[0].message == f"'headrace.io/{typed}' is no key; the nearest is headrace.io/{nearest}"
    assert (found.service, found.common, found.by_port, found.closed) == ({}, {}, {}, {})


@pytest.mark.parametrize(
    'typed',
    ['', '.', '.http', 'a\nb', '\0', 'ä' * 300, '\u202e', 'x' * 1_000_000, '%[src]'],
    ids=lambda text: repr(text[:9]),
)
def test_an_unknown_key_of_any_text_is_told_in_printable_words(typed):
    found = read({typed: 'x'})
    ((reason, where),) = told(found)
    assert (reason, where.isprintable(), len(where) < 200) == ('UnknownKey', True, True)
    assert found.diagnostics[0].message.isprintable()
    assert len(found.diagnostics[0].message) < 400


def test_what_we_write_ourselves_is_no_unknown_key():
    assert read({'epoch': '7'}).diagnostics == ()


def test_of_thousands_of_unknown_keys_not_all_are_told_and_known_ones_count():
    found = read({**{f'x{number}': '' for number in range(5000)}, 'host': 'a.example.com', 'zz': '', 'retries': 'many'})
    assert len(found.diagnostics) < 100
    assert found.common == {'host': ('a.example.com',)}
    assert ('InvalidValue', field('retries')) in told(found)


# --- values that do not parse -----------------------------------------------------------------------------------------


def test_a_value_that_does_not_parse_is_told_and_the_key_is_absent():
    found = read({'timeout-server': 'so\non', 'retries': '1'})
    assert found.common == {'retries': 1}
    (diagnostic,) = found.diagnostics
    assert (diagnostic.reason, diagnostic.field, diagnostic.level) == ('InvalidValue', field('timeout-server'), 'error')
    assert (
        diagnostic.message == r"headrace.io/timeout-server must be a duration such as 500ms, 5s, 2m or 1h, not 'so\non'"
    )


def test_white_space_around_a_value_does_not_count():
    assert read({'retries': ' 1\n', 'host': '\ta.example.com '}).common == {'retries': 1, 'host': ('a.example.com',)}


@pytest.mark.parametrize('key', sorted(keys.BY_NAME))
def test_a_value_of_a_megabyte_is_told_and_shortened(key):
    for text in ('a' * 1_000_000, ' ' * 1_000_000 + 'true', 'a\n' * 500_000):
        (diagnostic,) = read({key: text}).diagnostics
        assert diagnostic.reason == 'InvalidValue'
        assert 'at most 65536 characters long' in diagnostic.message
        assert len(diagnostic.message) < 250


@pytest.mark.parametrize('key', sorted(keys.CLOSING))
@pytest.mark.parametrize('text', ['', 'not/a:value!', '\0', 'a' * 100_000], ids=['empty', 'wrong', 'NUL', 'long'])
def test_a_protecting_key_that_does_not_parse_closes_the_ports_it_speaks_of(key, text):
    common, one = read({key: text}), read({f'{key}.admin': text})
    assert [common.closing_keys(port.label) for port in PORTS] == [(key,)] * len(PORTS)
    assert [one.closing_keys(port.label) for port in PORTS] == [
        (key,) if port.label == 'admin' else () for port in PORTS
    ]
    for found in (common, one):
        (diagnostic,) = found.diagnostics
        assert diagnostic.message.endswith('; the route is closed until it does')


@pytest.mark.parametrize('key', sorted(keys.CLOSING))
def test_a_protecting_key_for_a_port_that_is_not_there_closes_all(key):
    found = read({f'{key}.nowhere': 'true'})
    assert told(found) == [('UnknownPort', field(f'{key}.nowhere'))]
    assert [found.closing_keys(port.label) for port in PORTS] == [(key,)] * len(PORTS)


def test_each_key_that_closes_says_as_it_was_written_and_why():
    found = read({'allow.nowhere': '10.0.0.0/8', 'deny.elsewhere': '10.0.0.0/8', 'deny': 'nobody'})
    missing = 'the Service has no port of this name or number'
    assert found.closing_reason('allow') == ('allow.nowhere', missing)
    assert found.closing_reason('deny') == ('deny.elsewhere', missing)
    assert found.closing_reason('basic-auth-secret') == ('basic-auth-secret', 'the value does not parse')


@pytest.mark.parametrize('key', sorted(set(keys.BY_NAME) - keys.CLOSING))
def test_other_keys_that_do_not_parse_close_nothing(key):
    found = read({key: '\0', f'{key}.nowhere': 'x'})
    assert found.closed == {}
    assert found.closing_keys('http') == ()


def test_a_port_with_a_good_value_of_its_own_stays_open_when_the_common_one_does_not_parse():
    found = read({'allow': 'everybody', 'allow.http': '10.0.0.0/8'})
    assert (found.closing_keys('http'), found.closing_keys('admin')) == ((), ('allow',))
    assert found.values('http')['allow'] is not None


def test_a_port_is_closed_by_its_own_value_even_when_the_common_one_is_good():
    found = read({'allow': '10.0.0.0/8', 'allow.http': 'everybody', 'deny.http': 'nobody'})
    assert (found.closing_keys('http'), found.closing_keys('admin')) == (('allow', 'deny'), ())


def test_a_value_that_parses_by_name_does_not_open_what_another_by_number_closes():
    found = read({'allow.80': 'everybody', 'allow.http': '10.0.0.0/8'})
    assert found.closing_keys('http') == ('allow',)


def test_two_values_for_one_port_are_told_and_that_under_its_name_counts():
    found = read({'mode.80': 'tcp', 'mode.http': 'http'})
    assert found.by_port == {'http': {'mode': 'http'}}
    assert told(found) == [('ContradictoryKeys', field('mode.http'))]
    assert not told(read({'mode.80': 'http', 'mode.http': 'http'}))
