"""Commands as values: what is sent, and what is shown."""

import pytest

from headrace.haproxy.encode import commands, map_entries
from headrace.haproxy.encode.commands import MAX_PAYLOAD, Command, OfBackend, OfClaim, OfMap, Phase
from headrace.ir.backend import Backend, Options, Shape
from headrace.ir.fragment import Fragment, Kind
from headrace.ir.pointers import Pointer
from headrace.ir.policy import Entry, HeaderEdits, Map, Timeouts
from headrace.ir.tls import HostTls, Pem
from headrace.names import Ref
from headrace.resolve.model_snapshot import ModelSnapshot

WEB = Ref('Service', 'shop', 'web')
POINTER = Pointer('b', 'p')
BACKEND = Backend('b', WEB, 'http', Shape(), Options())
PEM = b'-----BEGIN X-----\nAAAA\n\n-----END X-----\n'


def test_a_line_to_look_up_is_in_the_list_that_the_command_names():
    line = 'certificates/a.pem [verify required] a.example.com'
    made = commands.del_certificate_line('certificates/list.txt', line)
    assert (made.line, made.locate) == ('del ssl crt-list certificates/list.txt certificates/a.pem', line)
    assert made.located_in == 'certificates/list.txt'


def test_a_payload_ends_with_the_line_end_that_its_sender_adds():
    assert Command(Phase.DATA, 'add map m', 'a b\n').text == 'add map m <<\na b\n'
    assert Command(Phase.DATA, 'del map m a').text == 'del map m a'


def test_key_material_is_never_shown():
    secret = Command(Phase.DATA, 'set ssl cert f', 'key\n', payload_shown='PEM')
    assert secret.shown == 'set ssl cert f << (PEM)'
    assert Command(Phase.DATA, 'add map m', 'a b\n').shown == 'add map m <<\na b\n'
    assert Command(Phase.DATA, 'del map m a').shown == 'del map m a'
    assert repr(secret) == 'Command(DATA: set ssl cert f)'
    for command in commands.new_certificate('c', PEM) + commands.new_authority('a', PEM):
        assert 'AAAA' not in command.shown + repr(command)


def test_a_pem_has_no_empty_line_which_would_end_it():
    payload = commands.set_certificate('c', PEM)[0].payload
    assert payload == '-----BEGIN X-----\nAAAA\n-----END X-----\n'


def test_entries_are_one_payload_for_each_map_sorted():
    made = commands.add_entries(
        Phase.DATA, [Entry(Map.RATE, 'b', '1'), Entry(Map.ALLOW, 'z', '1'), Entry(Map.RATE, 'a', '2')]
    )
    assert [(command.line, command.payload) for command in made] == [
        ('add map maps/allow.map', 'z 1\n'),
        ('add map maps/rate.map', 'a 2\nb 1\n'),
    ]


def test_a_payload_fits_haproxys_buffer():
    wanted = [Entry(Map.ALLOW, f'{number:04}', 'é' * 100) for number in range(200)]
    made = commands.add_entries(Phase.DATA, wanted)
    assert len(made) == 4
    assert all(len(command.payload.encode()) <= MAX_PAYLOAD for command in made)
    assert ''.join(command.payload for command in made) == ''.join(f'{entry.key} {entry.value}\n' for entry in wanted)


def test_an_entry_that_is_longer_than_a_payload_is_sent_alone():
    made = commands.add_entries(Phase.DATA, [Entry(Map.ALLOW, 'a', 'x' * 13_000), Entry(Map.ALLOW, 'b', 'y')])
    assert [command.payload[0] for command in made] == ['a', 'b']


def test_a_server_is_forgotten_once_its_connections_have_ended():
    assert [command.line for command in commands.del_server(BACKEND, 's')] == [
        'wait 2s srv-removable b/s',
        'del server b/s',
    ]


def test_commands_say_what_they_make_and_remove():
    made = commands.add_backend(Backend('b', WEB, 'http', Shape(), Options()))
    assert [(command.makes, command.removes) for command in made] == [('b', ''), ('', '')]
    (*_, gone) = commands.del_backend(BACKEND, ['s'])
    assert (gone.line, gone.removes) == ('del backend b', 'b')


# --- entries ----------------------------------------------------------------------------------------------------------

EDITS = HeaderEdits('p', request=(('X-A', 'b'), ('X-B', '')), response=())
FRAGMENT = Fragment(
    WEB, data=(Entry(Map.RATE, 'p', '1|5'),), headers=(EDITS,), timeouts=(Timeouts('p', server=1000, queue=5),)
)


def test_headers_and_timeouts_are_data():
    assert map_entries.of_fragment(FRAGMENT) == {
        Entry(Map.RATE, 'p', '1|5'),
        Entry(Map.TIMEOUTS, 'p', '1000:::5'),
        Entry(Map.REQUEST_HEADERS, 'p', 'A3gtYQFiAAA='),
        Entry(Map.REQUEST_HEADERS_GONE, 'p', 'A3gtYgA='),
    }
    assert map_entries.of_fragment(None) == frozenset()


@pytest.mark.parametrize(
    ('kind', 'content', 'expected'),
    [
        pytest.param(Kind.ROUTE, POINTER, [Entry(Map.ROUTES, 'k', 'b|p|')], id='route'),
        pytest.param(Kind.PORT, POINTER, [Entry(Map.PORTS, 'k', 'b|p|')], id='port'),
        pytest.param(Kind.ADDRESS, POINTER, [Entry(Map.ADDRESSES, 'k', 'b|p|')], id='address'),
        pytest.param(Kind.TLS, HostTls(certificates=('c',)), [Entry(Map.CLIENT_CA, 'k', 'c_')], id='certificate'),
        pytest.param(
            Kind.TLS,
            HostTls(certificates=('c',), client_ca='a', verify='optional'),
            [Entry(Map.CLIENT_CA, 'k', 'a')],
            id='client CA',
        ),
        pytest.param(Kind.CERTIFICATE, Pem(PEM), [], id='a file is no entry'),
        pytest.param(Kind.ROUTE, None, [], id='nothing'),
    ],
)
def test_what_a_claimed_key_becomes(kind, content, expected):
    assert map_entries.of_pointer(kind, 'k', content) == expected


def test_no_key_of_a_listener_of_a_gateway_stands_where_host_headers_are_looked_up():
    key = '20001:a.com/'
    assert map_entries.of_pointer(Kind.ROUTE, key, POINTER) == [Entry(Map.GATEWAY_ROUTES, key, 'b|p|')]
    assert map_entries.places(Kind.ROUTE, key) == {(Map.GATEWAY_ROUTES, key)}


@pytest.mark.parametrize(
    ('content', 'lines'),
    [
        pytest.param(HostTls(certificates=('c',)), ('certificates/c.pem a.com',), id='certificate'),
        pytest.param(
            HostTls(certificates=('c',), client_ca='a', verify='required'),
            ('certificates/c.pem [ca-file authorities/a.pem verify required] a.com',),
            id='client CA',
        ),
        pytest.param(
            HostTls(certificates=('c', 'd')), ('certificates/c.pem a.com', 'certificates/d.pem a.com'), id='two kinds'
        ),
        pytest.param(HostTls(passthrough=POINTER), (), id='passed through'),
        pytest.param(None, (), id='nothing'),
        pytest.param(POINTER, (), id='a route'),
    ],
)
def test_the_lines_of_the_crt_list(content, lines):
    assert map_entries.certificate_lines('a.com', content) == lines


def test_all_maps_of_a_snapshot_are_there_even_if_empty():
    found = map_entries.of_snapshot(ModelSnapshot({WEB: FRAGMENT}, {(Kind.ROUTE, 'a/'): POINTER}))
    assert set(found) == set(Map)
    assert {name: held for name, held in found.items() if held} == {
        Map.RATE: {'p': '1|5'},
        Map.TIMEOUTS: {'p': '1000:::5'},
        Map.REQUEST_HEADERS: {'p': 'A3gtYQFiAAA='},
        Map.REQUEST_HEADERS_GONE: {'p': 'A3gtYgA='},
        Map.ROUTES: {'a/': 'b|p|'},
    }


def test_a_transaction_that_is_committed_is_aborted_too_and_nothing_else_is():
    set_, commit = commands.set_certificate('shop_tls', b'PEM\n')
    assert (set_.abort, commit.abort) == ('', 'abort ssl cert certificates/shop_tls.pem')
    *_, commit = commands.new_authority('shop_ca', b'PEM\n')
    assert commit.abort == 'abort ssl ca-file authorities/shop_ca.pem'


@pytest.mark.parametrize('name', list(Map))
def test_a_command_about_entries_names_their_map_and_keys(name):
    entry = Entry(name, 'k', 'v')
    made = [
        *commands.add_entries(Phase.DATA, [entry]),
        commands.set_entry(Phase.DATA, entry),
        commands.del_entry(Phase.DATA, entry),
    ]
    assert [command.subject for command in made] == [OfMap(name, frozenset('k'))] * 3


def test_each_payload_of_many_entries_names_its_own_keys():
    made = commands.add_entries(Phase.DATA, [Entry(Map.ROUTES, f'{number:04}', 'v' * 2000) for number in range(9)])
    lines = [[line.partition(' ')[0] for line in command.payload.splitlines()] for command in made]
    assert len(made) > 1
    assert [sorted(command.subject.keys) for command in made] == lines


def test_a_command_about_a_backend_or_its_servers_names_the_backend_and_its_service():
    backend = Backend('shop_web_http', WEB, 'http', Shape(), Options(check=True, max_connections=9), ())
    made = [
        *commands.add_server(Phase.ENDPOINTS, backend, '10.0.0.1:80', '10.0.0.1:80'),
        commands.set_limit(backend, '10.0.0.1:80'),
        commands.disable_server(Phase.ENDPOINTS, backend, '10.0.0.1:80'),
        *commands.add_backend(backend),
        commands.publish_backend(backend),
        *commands.del_backend(backend, ['10.0.0.1:80']),
    ]
    assert {command.subject for command in made} == {OfBackend('shop_web_http', WEB)}
    assert {command.backend for command in made} == {'shop_web_http'}


def test_a_server_that_is_still_there_gets_its_limit_again():
    limited = Backend('b', WEB, 'http', Shape(), Options(max_connections=9), ())
    command, *_ = commands.add_server(Phase.ENDPOINTS, limited, '10.0.0.1:80', '10.0.0.1:80 maxconn 9')
    assert [item.line for item in commands.revive(command)] == ['set maxconn server b/10.0.0.1:80 9']
    assert commands.revive(commands.add_server(Phase.ENDPOINTS, BACKEND, 's', 'x')[0]) == []
    assert commands.revive(commands.add_backend(limited)[0]) == []


def test_a_command_about_tls_names_what_is_claimed():
    made = [*commands.new_certificate('c', PEM), commands.del_certificate('c')]
    assert {command.subject for command in made} == {OfClaim((Kind.CERTIFICATE, 'c'))}
    made = [*commands.new_authority('c', PEM), commands.del_authority('c')]
    assert {command.subject for command in made} == {OfClaim((Kind.AUTHORITY, 'c'))}
    host = (Kind.TLS, 'a.com')
    made = [commands.add_certificate_line('list', 'c a.com', host), commands.del_certificate_line('list', 'c', host)]
    assert {command.subject for command in made} == {OfClaim(host)}


def test_a_command_about_frontends_has_no_subject():
    assert {(command.subject, command.backend) for command in commands.take_turns(passing=True)} == {(None, '')}
