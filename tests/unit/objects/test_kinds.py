"""Objects name themselves, and never show what is secret."""

import pytest

from headrace.objects.kinds import (
    Certificate,
    Endpoints,
    Namespace,
    Node,
    Protocol,
    Secret,
    Service,
    ServicePort,
    Slice,
    User,
)


@pytest.mark.parametrize(
    ('item', 'expected'),
    [
        (Service('shop', 'web'), 'Service shop/web'),
        (Slice('shop', 'web-1', 'web', 4), 'EndpointSlice shop/web-1'),
        (Slice('shop', 'web-0-4', 'web', 4, mirrored=True), 'Endpoints shop/web-0-4'),
        (Endpoints('shop', 'web', ()), 'Endpoints shop/web'),
        (Secret('shop', 'tls'), 'Secret shop/tls'),
        (Node('n1'), 'Node n1'),
        (Namespace('shop'), 'Namespace shop'),
    ],
)
def test_an_object_is_told_by_kind_namespace_and_name(item, expected):
    assert str(item.ref) == expected


@pytest.mark.parametrize(('name', 'label'), [('http', 'http'), ('', '80')])
def test_a_port_without_a_name_is_told_by_its_number(name, label):
    assert ServicePort(name, Protocol.TCP, 80).label == label


@pytest.mark.parametrize(
    ('cluster_ips', 'headless'), [((), False), (('None',), True), (('10.96.0.1',), False)], ids=str
)
def test_only_a_service_that_says_so_is_headless(cluster_ips, headless):
    assert Service('shop', 'web', cluster_ips=cluster_ips).headless is headless


def test_a_secret_does_not_show_its_content():
    held = Secret(
        'shop',
        'all',
        certificate=Certificate(b'PRIVATE', '2030-01-01', ('a.example.com',)),
        users=(User('ann', 'clear', 'pass-word'), User('bob', 'sha1', 'digest')),
    )
    for text in (repr(held), str(held), f'{held}'):
        assert not any(word in text for word in ('PRIVATE', 'ann', 'pass-word', 'bob', 'digest'))
