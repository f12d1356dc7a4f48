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


def test_a_policy_is_thirty_two_hexadecimal_digits_and_differs_by_owner_and_port():
    ref = names.Ref('Service', 'shop', 'web')
    found = {
        names.policy(ref, 'http'),
        names.policy(ref, 'admin'),
        names.policy(names.Ref('Service', 'shop', 'cart'), 'http'),
        names.policy(names.Ref('Service', 'shopweb', ''), 'http'),
    }
    assert len(found) == 4
    assert all(re.fullmatch('[0-9a-f]{32}', name) for name in found)


def test_a_secrets_file_says_its_namespace_and_name():
    assert names.file(names.Ref('Secret', 'shop', 'shop.example.com')) == 'shop_shop.example.com'


def test_the_longest_names_of_secrets_make_names_of_files_that_fit_and_differ():
    long = [names.Ref('Secret', 'n' * 63, 's' * 252 + last) for last in 'ab']
    found = {names.file(ref) for ref in long}
    assert len(found) == 2
    # 255 bytes, less `.`, `.pem` and `.new`, which a file has while it is written.
    assert all(len(name) <= 246 for name in found)
    assert all(ALLOWED.fullmatch(name) for name in found)


def test_an_endpoint_has_the_same_identity_everywhere_and_none_shares_it():
    ref = names.Ref('Service', 'shop', 'web')
    found = [
        names.endpoint_identity(ref, 'http', '10.0.0.1', 80),
        names.endpoint_identity(ref, 'http', '10.0.0.1', 81),
        names.endpoint_identity(ref, 'http', '10.0.0.2', 80),
        names.endpoint_identity(ref, 'admin', '10.0.0.1', 80),
        names.endpoint_identity(names.Ref('Service', 'shop', 'api'), 'http', '10.0.0.1', 80),
    ]
    assert len(set(found)) == len(found)
    assert all(re.fullmatch('[0-9a-f]{16}', name) for name in found)
    assert names.endpoint_identity(ref, 'http', '10.0.0.1', 80) == found[0]


def test_a_backends_name_says_whose_it_is_and_of_which_port():
    ref = names.Ref('Service', 'shop', 'web')
    assert names.owner(names.backend(ref, 'http', variant='v6', shape='0123abcd')) == (ref, 'http')


@pytest.mark.parametrize(('length', 'remembered'), [(1024, 1), (1025, 0)])
def test_long_texts_are_not_kept_to_remember_their_digests(length, remembered):
    names._cached_digest.cache_clear()
    before = names._cached_digest.cache_info().currsize
    text = f'{length}'.rjust(length, 'x')
    assert names.digest(text) == names.digest(text)
    assert names._cached_digest.cache_info().currsize - before == remembered
