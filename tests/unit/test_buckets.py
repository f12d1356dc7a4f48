"""Token buckets by peer."""

import pytest

from headrace.buckets import Buckets, peer


@pytest.mark.parametrize(
    ('address', 'whose'),
    [
        ('10.0.0.7', '10.0.0.7'),
        ('::ffff:10.0.0.7', '10.0.0.7'),
        ('2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'),
        ('fe80::1%eth0', 'fe80::/64'),
        ('', ''),
    ],
)
def test_clients_of_one_network_of_64_bits_are_one_peer(address, whose):
    assert peer(address) == whose


def taken(buckets, peer, times, now=100.0):
    return sum(buckets.take(peer, now) for _ in range(times))


def test_a_bucket_holds_two_seconds_and_fills_again():
    buckets = Buckets(by_peer=5, total=100)
    assert taken(buckets, 'a', 50) == 10
    assert taken(buckets, 'a', 50, now=100.99) == 4
    assert taken(buckets, 'a', 50, now=300.0) == 10


def test_one_peer_leaves_tokens_to_others_and_all_share_a_total():
    buckets = Buckets(by_peer=5, total=8)
    assert [taken(buckets, name, 50) for name in 'abc'] == [10, 6, 0]


def test_what_is_kept_is_bounded():
    buckets = Buckets(by_peer=1, total=10)
    for number in range(10_000):
        buckets.take(f'p{number}', number / 100)
    assert len(buckets._full) <= 21
