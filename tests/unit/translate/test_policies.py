"""What each key of a route becomes: flags in the routing maps' values, and entries under the policy's name.

The letters of flags are part of the values that rules read, so they stand here once more, written by hand.
"""

import hashlib
import ipaddress

import pytest

from headrace import names
from headrace.annotations import parse, values
from headrace.ir.fragment import Kind
from headrace.ir.pointers import Pointer
from headrace.ir.policy import Entry, HeaderEdits, Map, Userlist
from headrace.names import Ref
from headrace.objects.kinds import User
from headrace.translate import policies
from headrace.translate.policies import Policy
from support.objects import built, fragment, pointer, service

HTTP = [{'name': 'http', 'port': 80}]
WEB = Ref('Service', 'shop', 'web')
NAME = names.policy(WEB, 'http')


def policy(annotations, *, port=HTTP[0]):
    """Return the flags and the entries of the only port's policy, with `P` for the policy's name."""
    made = built(service(annotations={'host': 'a.example.com', **annotations}, ports=[port]))
    (value,) = [content for _, content in made.pointers() if isinstance(content, Pointer)]
    return value.flags, [(e.map.value, e.key.replace(value.policy, 'P'), e.value) for e in fragment(made).data]


@pytest.mark.parametrize(
    ('annotations', 'flags', 'entries'),
    [
        ({}, '', []),
        ({'maintenance': 'true'}, 'x', []),
        ({'maintenance': 'false'}, '', []),
        ({'deny': '10.0.0.0/8'}, 'd', [('deny', 'P:40A', '1')]),
        ({'allow': '192.0.2.7'}, 'a', [('allow', 'P:4C0000207', '1')]),
        ({'allow': '2001:db8::/32, 10.0.0.0/8'}, 'a', [('allow', 'P:40A', '1'), ('allow', 'P:620010DB8', '1')]),
        ({'allow': '10.0.0.0/8', 'deny': '10.1.0.0/16'}, 'ad', [('allow', 'P:40A', '1'), ('deny', 'P:40A01', '1')]),
        ({'rate-limit': '10/s'}, 'r', [('rate', 'P', '1|10')]),
        ({'rate-limit': '100/m'}, 'r', [('rate', 'P', '60|100')]),
        ({'rate-limit': '7/h'}, 'r', [('rate', 'P', '3600|7')]),
        ({'rate-limit': '7/s', 'rate-limit-burst': '3'}, 'Er', [('rate', 'P', '1|7|3000')]),
        ({'rate-limit': '7/s', 'rate-limit-burst': '3x'}, 'Er', [('rate', 'P', '1|7|21000')]),
        ({'rate-limit': '999999999/s', 'rate-limit-burst': '999x'}, 'Er', [('rate', 'P', '1|999999999|1000000000')]),
        ({'rate-limit-burst': '3', 'rate-limit-except': '10.0.0.0/8'}, '', []),
        (
            {'connection-limit': '7', 'rate-limit-except': '10.0.0.0/8'},
            'Dz',
            [('connections', 'P', '7'), ('rate-except', 'P:40A', '1')],
        ),
        ({'basic-auth-realm': 'Staff'}, '', []),
        ({'balance': 'hash:$host-${arg_a}'}, 'F', [('hash', 'P', '${host}-${arg_a}')]),
        ({'satisfy': 'any', 'allow': '10.0.0.0/8'}, 'a', [('allow', 'P:40A', '1')]),
        ({'hsts': '365d'}, 'S', [('hsts', 'P', '31536000')]),
        ({'hsts': 'off'}, '', []),
        ({'timeout-client': '90s'}, 'T', [('client-timeout', 'P', '90000')]),
        ({'max-body-size': '64k'}, 'm', [('body', 'P', '65536')]),
        ({'redirect-to': '/new'}, 'R', [('redirect', 'P', '302|/new')]),
        (
            {'redirect-to': 'https://x.org/a?b#c', 'redirect-code': '308'},
            'R',
            [('redirect', 'P', '308|https://x.org/a?b#c')],
        ),
        ({'redirect-to': '$scheme://x.org$uri'}, 'Ri', [('redirect', 'P', '302|${scheme}://x.org${uri}')]),
        ({'redirect-to': '$remote_addr'}, 'X', []),
        ({'redirect-code': '308'}, '', []),
        ({'rewrite-path': '/'}, 'w', [('rewrite', 'P', '/')]),
        ({'rewrite-path': '/v2/'}, 'w', [('rewrite', 'P', '/v2')]),
        ({'rewrite-path': '/v2'}, 'w', [('rewrite', 'P', '/v2')]),
        (
            {'cors-allow-origin': '*'},
            'C',
            [('cors', 'P', '5|GET, HEAD, POST|'), ('cors-origin', 'P:*', '1')],
        ),
        (
            {
                'cors-allow-origin': 'https://A.example.com, http://b.example.com:8080',
                'cors-allow-methods': 'GET,PUT',
                'cors-allow-headers': 'X-One X-Two',
                'cors-max-age': '10m',
            },
            'C',
            [
                ('cors', 'P', '600|GET, PUT|X-One, X-Two'),
                ('cors-origin', 'P:http://b.example.com:8080', '1'),
                ('cors-origin', 'P:https://a.example.com', '1'),
            ],
        ),
        (
            {'cors-allow-origin': 'https://a.com', 'cors-allow-credentials': 'true'},
            'C',
            [('cors', 'P', '5|GET, HEAD, POST|'), ('cors-more', 'P', 'true|'), ('cors-origin', 'P:https://a.com', '1')],
        ),
        (
            {'cors-allow-origin': '*', 'cors-allow-credentials': 'true'},
            'C',
            [('cors', 'P', '5|GET, HEAD, POST|'), ('cors-origin', 'P:*', '1')],
        ),
        (
            {'cors-allow-origin': '*', 'cors-expose-headers': 'X-A, X-B'},
            'C',
            [('cors', 'P', '5|GET, HEAD, POST|'), ('cors-more', 'P', 'false|X-A, X-B'), ('cors-origin', 'P:*', '1')],
        ),
        ({'response-cookie-domain': '.A.com b.com'}, 'G', [('cookie-domain', 'P', 'a.com|b.com')]),
        ({'response-cookie-path': '/old/ /'}, 'I', [('cookie-path', 'P', '/old/|/')]),
        ({'location-rewrite': 'http:// https://'}, 'J', [('location', 'P', 'http://|https://')]),
        ({'location-rewrite': 'off'}, '', []),
        ({'cookie': 'true', 'cookie-path': '/', 'cookie-same-site': 'Lax', 'cookie-change-on-failure': 'true'}, '', []),
        (
            {
                'cookie': 'mine',
                'cookie-path': '/a',
                'cookie-domain': '.A.com',
                'cookie-max-age': '1h',
                'cookie-secure': 'true',
            },
            'N',
            [('session-cookie', 'P', 's|mine|path=/a; domain=a.com; Max-Age=3600; HttpOnly; SameSite=Lax')],
        ),
        (
            {
                'cookie': 'true',
                'cookie-same-site': 'None',
                'cookie-conditional-same-site-none': 'true',
                'cookie-secure': 'false',
                'cookie-change-on-failure': 'false',
            },
            'N',
            [('session-cookie', 'P', 'nok|headrace|path=/; HttpOnly; SameSite=None')],
        ),
        ({'cookie-path': '/a', 'cookie-secure': 'true'}, '', []),
        ({'cors-allow-credentials': 'true', 'cors-max-age': '10m'}, '', []),
        ({'client-ip': 'none'}, 'n', []),
        ({'client-ip': 'proxy-v2'}, 'n', []),
        ({'client-ip': 'forwarded'}, '', []),
        ({'timeout-server': '5s'}, 't', []),
        ({'request-headers': 'X-A: b'}, 'h', []),
        ({'request-headers': 'X-A:'}, 'H', []),
        ({'request-headers': 'X-A: b\nX-B:'}, 'Hh', []),
        ({'response-headers': 'X-A: b'}, 'o', []),
        ({'response-headers': 'X-A:\nX-B: c'}, 'Oo', []),
        (
            {'maintenance': 'true', 'hsts': '1h', 'deny': '0.0.0.0/0', 'rate-limit': '1/s'},
            'Sdrx',
            [('deny', 'P:4', '1'), ('hsts', 'P', '3600'), ('rate', 'P', '1|1')],
        ),
    ],
)
def test_flags_and_data_of_each_key_of_a_route(annotations, flags, entries):
    assert policy(annotations) == (flags, entries)


@pytest.mark.parametrize(
    ('annotations', 'flags', 'entries'),
    [
        ({'allow': '10.0.0.0/8'}, 'a', [('allow', 'P:40A', '1')]),
        ({'rate-limit': '10/s'}, 'r', [('rate', 'P', '1|10')]),
        ({'maintenance': 'true'}, 'x', []),
        ({'accept-proxy': 'true'}, 'Xp', []),
        ({'accept-proxy': 'false'}, '', []),
        # What only HTTP has.
        ({'hsts': '1h', 'max-body-size': '1k', 'redirect-to': '/x', 'rewrite-path': '/x'}, '', []),
        ({'request-headers': 'X-A: b', 'cors-allow-origin': '*', 'timeout-client': '5s'}, '', []),
        ({'canary-service': 'next', 'canary-weight': '5', 'client-ip': 'none'}, '', []),
        ({'timeout-server': '5s', 'cookie': 'true', 'cookie-path': '/a'}, '', []),
        ({'redirect-to': 'nonsense'}, '', []),
        ({'balance': 'hash:$host'}, '', []),
        ({'response-cookie-path': '/a /b', 'response-cookie-domain': 'a b', 'location-rewrite': '/a /b'}, '', []),
    ],
)
def test_on_a_tcp_port_only_what_tcp_can_do_is_applied(annotations, flags, entries):
    assert policy({'mode': 'tcp', 'port': '5000', **annotations}) == (flags, entries)


@pytest.mark.parametrize(
    ('cidr', 'keys'),
    [
        ('0.0.0.0/0', ['N:4']),
        ('::/0', ['N:6']),
        ('128.0.0.0/1', [f'N:4{digit}' for digit in '89ABCDEF']),
        ('0.0.0.0/1', [f'N:4{digit}' for digit in '01234567']),
        ('192.0.0.0/2', [f'N:4{digit}' for digit in 'CDEF']),
        ('96.0.0.0/3', ['N:46', 'N:47']),
        ('10.0.0.0/8', ['N:40A']),
        ('10.1.0.0/15', ['N:40A00', 'N:40A01']),
        ('172.16.0.0/12', ['N:4AC1']),
        ('192.0.2.6/31', ['N:4C0000206', 'N:4C0000207']),
        ('192.0.2.7', ['N:4C0000207']),
        ('192.0.2.7/24', ['N:4C00002']),
        ('2001:db8::/33', [f'N:620010DB8{digit}' for digit in '01234567']),
        ('::1', ['N:6' + '0' * 31 + '1']),
        ('::ffff:10.0.0.0/104', ['N:40A']),
    ],
)
def test_a_network_is_the_prefixes_of_the_addresses_it_holds(cidr, keys):
    assert policies.network_keys('N', values.network(cidr)) == keys


def test_a_key_of_an_address_has_a_prefix_among_its_networks_and_no_other_does():
    for cidr in ('10.64.0.0/10', '10.0.0.0/7', '192.0.2.128/25', '2001:db8:8000::/33'):
        keys = tuple(policies.network_keys('N', values.network(cidr)))
        wanted = ipaddress.ip_network(cidr)
        digit = '4' if wanted.version == 4 else '6'
        first, last = int(wanted.network_address), int(wanted.broadcast_address)
        width = 8 if wanted.version == 4 else 32
        for number, inside in ((first, True), (last, True), (first - 1, False), (last + 1, False)):
            assert f'N:{digit}{number:0{width}X}'.startswith(keys) is inside, (cidr, number)


def test_headers_are_edits_under_the_policy_by_name():
    made = built(
        service(
            annotations={'host': 'a.example.com', 'request-headers': 'X-B: c\nX-A:', 'response-headers': 'Server:'},
            ports=HTTP,
        )
    )
    assert fragment(made).headers == (HeaderEdits(NAME, (('X-A', ''), ('X-B', 'c')), (('Server', ''),)),)


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest().upper()


def test_users_become_hashes_under_the_policys_name():
    made = Policy('P')
    users = (User('ann', 'clear', 'secret'), User('bob', 'sha1', 'W6ph5Mm5Pz8GgiULbPgzG37mj9g='))
    assert policies.apply_users(made, users) is None
    assert made.pointer('b') == Pointer('b', 'P', 'b')
    assert made.entries == [
        Entry(Map.AUTH, f'P:{sha256("ann")}:{sha256("Psecret")}', '1'),
        Entry(Map.AUTH, f'P:{sha256("bob")}:W6ph5Mm5Pz8GgiULbPgzG37mj9g=', '1'),
    ]


def test_users_with_crypt_hashes_are_no_data_and_stand_beside_those_that_are():
    made = Policy('P')
    found = policies.apply_users(made, (User('ann', 'clear', 'x'), User('bob', 'crypt', '$6$x')))
    assert found == Userlist('P', (('bob', '$6$x'),))
    assert made.pointer('b') == Pointer('b', 'P', 'Bb')
    assert made.entries == [Entry(Map.AUTH, f'P:{sha256("ann")}:{sha256("Px")}', '1')]


def test_a_hash_of_apache_is_data_and_judged_in_lua():
    made = Policy('P')
    assert policies.apply_users(made, (User('ann', 'apr1', '$apr1$s$h'),)) is None
    assert made.pointer('b') == Pointer('b', 'P', 'Bb')
    assert made.entries == [Entry(Map.AUTH_APR1, f'P:{sha256("ann")}', '$apr1$s$h')]


def test_a_policys_name_follows_from_owner_and_port_and_never_from_its_content():
    one = built(service(annotations={'host': 'a.example.com'}, ports=HTTP))
    two = built(service(annotations={'host': 'a.example.com', 'allow': '10.0.0.0/8', 'hsts': '1h'}, ports=HTTP))
    keys = [pointer(made, Kind.ROUTE, 'a.example.com/').policy for made in (one, two)]
    assert keys == [NAME, NAME]
    assert len(NAME) == 32
    assert names.policy(WEB, 'other') != NAME
    assert names.policy(Ref('Ingress', 'shop', 'web'), 'http') != NAME


@pytest.mark.parametrize(
    ('key', 'bad'),
    [
        ('allow', '10.0.0.0/40'),
        ('allow', ''),
        ('deny', 'everybody'),
        ('basic-auth-secret', 'No Name'),
        ('client-ca-secret', 'No Name'),
        ('tls-secret', 'No Name'),
        ('maintenance', 'yes'),
    ],
)
@pytest.mark.parametrize('form', ['', '.http', '.80', '.nowhere'])
def test_a_protecting_key_that_does_not_parse_closes_the_route(key, bad, form):
    flags, _ = policy({f'{key}{form}': bad if form != '.nowhere' else '10.0.0.0/8'})
    assert 'X' in flags


@pytest.mark.parametrize('key', ['allow', 'deny', 'maintenance'])
def test_a_protecting_key_that_does_not_parse_closes_a_tcp_port_too(key):
    assert policy({'mode': 'tcp', 'port': '5000', key: 'nonsense'})[0] == 'X'


def test_a_protecting_key_with_a_port_closes_that_port_only():
    ports = [{'name': 'http', 'port': 80}, {'name': 'http-two', 'port': 81}]
    annotations = {'host.http': 'a.example.com', 'host.http-two': 'b.example.com', 'allow.http': 'nonsense'}
    made = built(service(annotations=annotations, ports=ports))
    assert pointer(made, Kind.ROUTE, 'a.example.com/').flags == 'X'
    assert pointer(made, Kind.ROUTE, 'b.example.com/').flags == ''


def test_a_protecting_key_that_parses_for_its_port_overrides_one_that_does_not():
    flags, _ = policy({'allow': 'nonsense', 'allow.http': '10.0.0.0/8'})
    assert flags == 'a'


@pytest.mark.parametrize(
    'key',
    ['rate-limit', 'hsts', 'max-body-size', 'redirect-code', 'cors-allow-origin', 'tls-redirect', 'canary-weight'],
)
def test_another_key_that_does_not_parse_counts_as_absent(key):
    assert policy({key: '!'}) == policy({})


@pytest.mark.parametrize('key', ['allow', 'allow.http'])
def test_the_diagnostic_names_the_key_as_it_was_written(key):
    made = built(service(annotations={'host': 'a.example.com', key: 'x'}, ports=HTTP))
    field = f'metadata.annotations[headrace.io/{key}]'
    assert field in [diagnostic.field for diagnostic in made.all_diagnostics() if diagnostic.reason == 'InvalidValue']


def test_the_settings_of_a_route_that_say_nothing_change_nothing():
    made = Policy('P')
    policies.apply(made, parse.route({}), 'http')
    policies.apply(made, parse.route({}), 'tcp')
    assert (made.flags, made.entries, made.headers) == (set(), [], None)


def test_a_template_of_captures_is_data():
    made = Policy('P')
    policies.apply_captures(made, '/x/$1')
    assert (made.flags, made.entries) == ({'f'}, [Entry(Map.REWRITE_CAPTURES, 'P', '/x/$1')])


@pytest.mark.parametrize('given', [{}, {'request-headers': 'X-B: 1\nhost: other'}])
def test_the_host_of_endpoints_is_a_header_of_requests(given):
    made = built(service(annotations={'host': 'a.example.com', 'host-header': 'inner:80', **given}, ports=HTTP))
    (edits,) = fragment(made).headers
    assert edits.request == (('Host', 'inner:80'), *((('X-B', '1'),) if given else ()))
