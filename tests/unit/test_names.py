"""Names are the same on every replica, short, and of characters that HAProxy takes."""

import re

import pytest

from headrace import names

# Management Guide of HAProxy 3.4, `add backend`: letters, digits and these four.
ALLOWED = re.compile(r'[A-Za-z0-9_.:-]+')


def test_a_name_says_its_service_and_port():
    ref = names.Ref('Service', 'shop', 'web')
    assert names.backend(ref, 'http') == 'shop_web_http'


def test_shape_and_variant_are_part_of_the_name():
    ref = names.Ref('Service', 'shop', 'web')
    assert names.backend(ref, 'http', variant='tcp', shape='ab12') == 'shop_web_http_tcp_ab12'


@pytest.mark.parametrize(
    ('address', 'port', 'suffix', 'expected'),
    [
        ('10.0.0.1', 8080, '', '10.0.0.1:8080'),
        ('10.0.0.1', 8080, 'f00d', '10.0.0.1:8080_f00d'),
        ('2001:db8::1', 80, '', '2001:db8::1:80'),
    ],
)
def test_a_server_is_named_by_its_endpoint_and_options(address, port, suffix, expected):
    name = names.server(address, port, suffix)
    assert name == expected
    assert ALLOWED.fullmatch(name)


def test_a_policy_is_sixteen_hexadecimal_digits_and_differs_by_owner_and_port():
    ref = names.Ref('Service', 'shop', 'web')
    found = {
        names.policy(ref, 'http'),
        names.policy(ref, 'admin'),
        names.policy(names.Ref('Service', 'shop', 'cart'), 'http'),
        names.policy(names.Ref('Service', 'shopweb', ''), 'http'),
    }
    assert len(found) == 4
    assert all(re.fullmatch('[0-9a-f]{16}', name) for name in found)
