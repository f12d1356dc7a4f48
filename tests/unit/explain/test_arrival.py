"""Requests as rules see them: whose word about the client counts."""

import pytest

from headrace.explain import arrival
from headrace.explain import request as requests
from headrace.explain.trace import Outcome
from support.explained import model

NO_ADDRESS = Outcome('X-Forwarded-For ends with no address', 400)


def arrive(*headers, client='10.0.0.1'):
    """Return the client of a request that comes from a trusted proxy of 10.0.0.0/8, or why it is refused, and whether it has HTTPS."""
    _, state = model(trusted_proxies=('10.0.0.0/8',))
    request = requests.parse('http://a.com/', map(requests.parse_header, headers), client)
    found = arrival.arrive(state, request, 80)
    return found if isinstance(found, Outcome) else (found.request.client, found.https)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('192.0.2.7', '192.0.2.7'),
        ('192.0.2.7:80', '192.0.2.7'),
        ('010.1.1.1', '10.1.1.1'),
        ('2001:db8::1', '2001:db8::1'),
        ('[2001:db8::1]', '2001:db8::1'),
        ('::ffff:192.0.2.7', '192.0.2.7'),
        ('x, 192.0.2.7', '192.0.2.7'),
        ('192.0.2.7, 10.0.0.2', '192.0.2.7'),
        ('192.0.2.8, 192.0.2.7, 10.0.0.2', '192.0.2.7'),
        ('x, 10.0.0.2', '10.0.0.2'),
        ('192.0.2.7' + ', 10.0.0.2' * 5, '10.0.0.2'),
        ('192.0.2.7' + ', 10.0.0.2' * 4, '192.0.2.7'),
    ],
)
def test_the_last_address_that_no_trusted_proxy_has_is_the_client(text, expected):
    assert arrive(f'X-Forwarded-For: {text}') == (expected, False)


@pytest.mark.parametrize(
    'text', ['', 'x', '192.0.2', '192.0.2.256', '192.0.2.7:99999', '[192.0.2.7]', '[::1]:80', '::1%lo', '192.0.2.7,']
)
def test_a_trusted_proxy_that_names_no_address_is_refused(text):
    assert arrive(f'X-Forwarded-For: {text}') == NO_ADDRESS


def test_other_clients_are_not_believed():
    headers = ('X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Proto: https')
    assert arrive(*headers, client='192.0.2.1') == ('192.0.2.1', False)


@pytest.mark.parametrize('text', ['https', 'HTTPS', 'http, https', 'https,http'])
def test_a_trusted_proxy_tells_of_https(text):
    assert arrive(f'X-Forwarded-Proto: {text}') == ('10.0.0.1', True)
