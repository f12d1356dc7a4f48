"""The simulated HAProxy and a real one agree: the same sequences of commands have the same outcomes and leave the same.

What the properties prove on the simulated one is worth as much as this.
"""

import pytest

from headrace.haproxy.encode import commands
from headrace.haproxy.encode.commands import Command, Phase
from headrace.haproxy.plan import live_state
from headrace.haproxy.render import render
from headrace.haproxy.runtime import files, responses
from headrace.haproxy.runtime.responses import Outcome
from headrace.ir.backend import Shape
from headrace.ir.policy import Entry, Map
from headrace.names import Ref
from headrace.settings.settings import Secrets, Settings
from properties.simulated import Simulated
from support.haproxy import Haproxy, Ports
from support.objects import built, ca_secret, endpoint_slice, service, tls_secret

HTTP = [{'name': 'http', 'port': 80}]
LIST = render.CRT_LIST


def objects():
    """A Service with two endpoints and a certificate for clients, one without endpoints, and TLS to its endpoints."""
    said = {'host': 'web.example.com', 'tls-secret': 'tls', 'client-ca-secret': 'ca'}
    return [
        service(annotations=said, ports=HTTP),
        endpoint_slice(addresses=['10.0.0.1', '10.0.0.2'], port_name='http'),
        service('bare', annotations={'host': 'bare.example.com', 'check': 'tcp'}, ports=HTTP),
        service(
            'inner',
            annotations={'host': 'inner.example.com', 'backend-protocol': 'https', 'backend-ca-secret': 'inner'},
            ports=HTTP,
        ),
        endpoint_slice('inner', addresses=['10.0.0.3'], port_name='http'),
        tls_secret(),
        ca_secret(),
        ca_secret('inner', seed='inner'),
    ]


@pytest.fixture(scope='module')
def ports():
    held = Ports(4)
    yield held.numbers
    held.close()


def known(ports):
    http, https, health, tcp = ports
    return Settings(
        addresses=('127.0.0.1',),
        http_port=http,
        https_port=https,
        health_port=health,
        tcp_ports=str(tcp),
        maxconn=100,
        threads=1,
        secrets=Secrets(namespaces=('*',)),
    )


class Both:
    """A real HAProxy and a simulated one that were started from the same files."""

    def __init__(self, real, simulated):
        self.real, self.simulated = real, simulated

    def outcome(self, command):
        """Tell both one command, and return what became of it; both must say the same."""
        texts = []
        for numbered in (self.real.command(f'show ssl crt-list -n {LIST}'), self.simulated.numbered()):
            number = live_state.line_number(numbered, command.locate) if command.locate else ''
            assert bool(number) == bool(command.locate), numbered
            texts.append(f'{command.text}:{number}' if number else command.text)
        said = [self.real.command(texts[0]), self.simulated.tell(texts[1])]
        found = [responses.judge(command, answer).outcome is Outcome.DONE for answer in said]
        assert found[0] == found[1], (command, said)
        return found[0]

    def check(self):
        """Compare all that both have."""
        value = self.simulated.value()
        there = live_state.backends(self.real.command('show backend'))
        assert sorted(there) == sorted(value['backends'])
        held = live_state.servers(self.real.command('show servers state'))
        for name, (_, _, servers) in value['backends'].items():
            states = {server: not found.disabled for server, found in held.get(name, {}).items()}
            assert states == {server: enabled for server, (_, _, enabled, _) in servers.items()}, name
        for file, pairs in value['maps'].items():
            found = live_state.entries_of(self.real.command(f'show map {file}'))
            assert sorted((key, each) for key, values in found.items() for each in values) == pairs, file
        lines = live_state.crt_list(self.real.command(f'show ssl crt-list -n {LIST}')).values()
        assert sorted(map(live_state.crt_list_words, lines)) == value['crt-list']
        for kind, files_held in (('cert', 'certificates'), ('ca-file', 'authorities')):
            assert sorted(live_state.names(self.real.command(f'show ssl {kind}'))) == sorted(value[files_held])


@pytest.fixture
def both(ports, tmp_path, haproxy_34):
    made = built(*objects(), settings=known(ports))
    found = render.Renderer(made.context).render(made)
    files.write(tmp_path, found)
    with Haproxy(haproxy_34) as real:
        real.start(tmp_path)
        yield Both(real, Simulated(found))
        assert real.alive()


def line(text, expected='', payload='', locate=''):
    return Command(Phase.DATA, text, payload, expected, locate=locate)


ADDED, DELETED = 'New server registered.', 'Server deleted.'
WEB = 'shop_web_http/10.0.0.1:8080'
ROUTES = Map.ROUTES
PEM = built(
    tls_secret('new', seed='new'),
    service(annotations={'host': 'n.example.com', 'tls-secret': 'new'}, ports=HTTP),
    settings=Settings(secrets=Secrets(namespaces=('*',))),
)
BARE = built(*objects()).fragments[Ref('Service', 'shop', 'bare')].backends[0].name
NEW_PEM = next(c.value.data for f in PEM.fragments.values() for c in f.claims if c.kind == 'certificate')
GOOD, BAD = True, False
TLS, CA = 'certificates/shop_tls.pem', 'authorities/shop_ca.pem'
TLS_LINE = f'{TLS} [ca-file {CA} verify required] web.example.com'
GONE = f"Certificate '{TLS}' deleted!"


SEQUENCES = {
    'an endpoint comes': [
        (line('add server shop_web_http/10.0.0.9:8080 10.0.0.9:8080', ADDED), GOOD),
        (line('enable server shop_web_http/10.0.0.9:8080'), GOOD),
        (line('add server shop_web_http/10.0.0.9:8080 10.0.0.9:8080', ADDED), BAD),
    ],
    'a server is added to a backend that is not there': [
        (line('add server shop_none_http/10.0.0.9:8080 10.0.0.9:8080', ADDED), BAD),
        (line('enable server shop_none_http/10.0.0.9:8080'), BAD),
    ],
    'a server names authorities that are not loaded': [
        (line('add server shop_web_http/x 10.0.0.9:8080 ssl verify required ca-file authorities/none.pem', ADDED), BAD),
        (line(f'add server shop_web_http/x 10.0.0.9:8080 ssl verify required ca-file {CA}', ADDED), GOOD),
    ],
    'an endpoint goes': [
        (line(f'del server {WEB}', DELETED), BAD),
        (line(f'disable server {WEB}'), GOOD),
        (line(f'del server {WEB}', DELETED), GOOD),
        (line(f'del server {WEB}', DELETED), BAD),
        (line(f'disable server {WEB}'), BAD),
    ],
    'a server that went comes back under its name': [
        (line(f'disable server {WEB}'), GOOD),
        (line(f'del server {WEB}', DELETED), GOOD),
        (line(f'add server {WEB} 10.0.0.1:8080', ADDED), GOOD),
        (line(f'enable server {WEB}'), GOOD),
    ],
    'a server is disabled and enabled twice': [
        (line(f'disable server {WEB}'), GOOD),
        (line(f'disable server {WEB}'), GOOD),
        (line(f'enable server {WEB}'), GOOD),
        (line(f'enable server {WEB}'), GOOD),
    ],
    'a check is enabled where there is one, and where there is none': [
        (line(f'add server {BARE}/a 10.0.0.9:8080 check inter 1h', ADDED), GOOD),
        (line(f'enable server {BARE}/a'), GOOD),
        (line(f'enable health {BARE}/a'), GOOD),
        (line(f'enable health {WEB}'), BAD),
    ],
    'a server gets another maxconn': [
        (line(f'set maxconn server {WEB} 5'), GOOD),
        (line(f'set maxconn server {WEB} 0'), GOOD),
        (line('set maxconn server shop_web_http/none 5'), BAD),
    ],
    'entries of maps': [
        (commands.set_entry(Phase.DATA, Entry(ROUTES, 'web.example.com/', 'shop_bare_http||')), GOOD),
        (commands.set_entry(Phase.DATA, Entry(ROUTES, 'none.example.com/', 'x')), BAD),
        (commands.del_entry(Phase.DATA, Entry(ROUTES, 'none.example.com/', '')), BAD),
        (commands.del_entry(Phase.DATA, Entry(ROUTES, 'web.example.com/', '')), GOOD),
        (commands.del_entry(Phase.DATA, Entry(ROUTES, 'web.example.com/', '')), BAD),
    ],
    'odd characters in keys and values': [
        *(
            (command, GOOD)
            for command in commands.add_entries(
                Phase.DATA,
                [Entry(ROUTES, "a.com/b'c;d$e&(f)~/#", 'one'), Entry(Map.CORS, 'p', "5|GET, #', `|a\\b \"c\"")],
            )
        ),
        (commands.set_entry(Phase.DATA, Entry(ROUTES, "a.com/b'c;d$e&(f)~/#", 'two')), GOOD),
        (commands.set_entry(Phase.DATA, Entry(Map.CORS, 'p', "5|GET,  #';' `|a\\b \\\\ \"c\"")), GOOD),
        (commands.del_entry(Phase.DATA, Entry(ROUTES, "a.com/b'c;d$e&(f)~/#", '')), GOOD),
    ],
    'a map that is not loaded': [
        (line('add map maps/none.map a b'), BAD),
        (line('set map maps/none.map a b'), BAD),
        (line('del map maps/none.map a'), BAD),
    ],
    **{
        f'the map {name}': [(command, GOOD) for command in commands.add_entries(Phase.DATA, [Entry(name, 'key', '7')])]
        for name in Map
    },
    'a certificate comes': [
        *((command, GOOD) for command in commands.new_certificate('new', NEW_PEM)),
        (commands.new_certificate('new', NEW_PEM)[0], BAD),
        (commands.add_certificate_line(LIST, 'certificates/new.pem new.example.com'), GOOD),
        (commands.del_certificate('new'), BAD),
        (commands.del_certificate_line(LIST, 'certificates/new.pem new.example.com'), GOOD),
        (commands.del_certificate('new'), GOOD),
        (commands.del_certificate('new'), GOOD),
    ],
    'a certificate is renewed': [(command, GOOD) for command in commands.set_certificate('shop_tls', NEW_PEM)],
    'a certificate that is not there is renewed': [
        (command, BAD) for command in commands.set_certificate('none', NEW_PEM)
    ],
    'a line of the crt-list names what is not there': [
        (commands.add_certificate_line(LIST, 'certificates/none.pem none.example.com'), BAD),
        (commands.add_certificate_line(LIST, f'{TLS} [ca-file authorities/none.pem verify required] a.com'), BAD),
    ],
    'the options of a host are exchanged': [
        (commands.add_certificate_line(LIST, f'{TLS} [ca-file {CA} verify optional] web.example.com'), GOOD),
        (commands.del_certificate_line(LIST, TLS_LINE), GOOD),
        (commands.del_certificate('shop_tls'), BAD),
    ],
    'a client CA goes': [
        (commands.del_authority('shop_ca'), BAD),
        (commands.del_certificate_line(LIST, TLS_LINE), GOOD),
        (commands.del_authority('shop_ca'), GOOD),
        (commands.del_certificate('shop_tls'), GOOD),
    ],
    'authorities come, change and go': [
        *((command, GOOD) for command in commands.new_authority('new', NEW_PEM.partition(b'-----BEGIN PRIVATE')[0])),
        *((command, GOOD) for command in commands.set_authority('new', NEW_PEM.partition(b'-----BEGIN PRIVATE')[0])),
        (commands.del_authority('new'), GOOD),
        (commands.del_authority('new'), GOOD),
    ],
    'authorities that a server uses may go': [(commands.del_authority('shop_inner'), GOOD)],
    'a transaction for one file at a time': [
        (commands.set_certificate('shop_tls', NEW_PEM)[0], GOOD),
        (commands.set_certificate('shop_tls', NEW_PEM)[0], GOOD),
        (line('new ssl cert certificates/new.pem', 'New empty'), GOOD),
        (commands.set_certificate('new', NEW_PEM)[0], BAD),
        (commands.set_certificate('shop_tls', NEW_PEM)[1], GOOD),
        (commands.set_certificate('shop_tls', NEW_PEM)[1], BAD),
    ],
}  # fmt: skip

TWICE = [
    *((command, GOOD) for command in commands.add_entries(Phase.DATA, [Entry(ROUTES, 'a/', 'one')]) * 2),
    (commands.set_entry(Phase.DATA, Entry(ROUTES, 'a/', 'two')), GOOD),
    (commands.del_entry(Phase.DATA, Entry(ROUTES, 'a/', '')), GOOD),
]
BACKENDS = {
    'of an entry that was added twice, one is removed': [
        *TWICE,
        (commands.set_entry(Phase.DATA, Entry(ROUTES, 'a/', 'three')), GOOD),
    ],
    'a backend comes': [
        (line(f'add backend shop_new_http from {Shape().profile}', 'New backend registered.'), GOOD),
        (line(f'add backend shop_new_http from {Shape().profile}', 'New backend registered.'), BAD),
        (line('add server shop_new_http/a 10.0.0.9:8080', ADDED), GOOD),
        (line('enable server shop_new_http/a'), GOOD),
        (line('publish backend shop_new_http', 'Backend published.'), GOOD),
        (line('publish backend shop_new_http', 'Backend published.'), GOOD),
    ],
    'a backend comes from a profile that is not loaded': [
        (line('add backend shop_new_http from http-none', 'New backend registered.'), BAD),
        (line('publish backend shop_new_http', 'Backend published.'), BAD),
    ],
    'a backend has the name of a profile': [
        (line(f'add backend {Shape().profile} from {Shape().profile}', 'New backend registered.'), BAD),
    ],
    'a backend goes': [
        (line('del backend shop_web_http', 'Backend deleted.'), BAD),
        (line('unpublish backend shop_web_http', 'Backend unpublished.'), GOOD),
        (line('unpublish backend shop_web_http', 'Backend unpublished.'), GOOD),
        (line('del backend shop_web_http', 'Backend deleted.'), BAD),
        *(
            pair
            for server in ('10.0.0.1:8080', '10.0.0.2:8080')
            for pair in (
                (line(f'disable server shop_web_http/{server}'), GOOD),
                (line(f'wait 1s srv-removable shop_web_http/{server}', 'Done.'), GOOD),
                (line(f'del server shop_web_http/{server}', DELETED), GOOD),
            )
        ),
        (line('wait 1s be-removable shop_web_http', 'Done.'), GOOD),
        (line('del backend shop_web_http', 'Backend deleted.'), GOOD),
        (line('del backend shop_web_http', 'Backend deleted.'), BAD),
        (line('unpublish backend shop_web_http', 'Backend unpublished.'), BAD),
        (line(f'add backend shop_web_http from {Shape().profile}', 'New backend registered.'), GOOD),
    ],
    'a backend without servers is deleted while it is published': [
        (line(f'del backend {BARE}', 'Backend deleted.'), BAD),
    ],
    'waiting for what cannot be removed is in vain': [
        (line(f'wait 10ms srv-removable {WEB}', 'Done.'), BAD),
        (line('wait 10ms be-removable shop_web_http', 'Done.'), BAD),
        (line('wait 10ms srv-removable shop_web_http/none', 'Done.'), BAD),
    ],
}


def play(both, sequence):
    for number, (command, good) in enumerate(sequence):
        assert both.outcome(command) is good, (number, command)
    both.check()


@pytest.mark.parametrize('sequence', (SEQUENCES | BACKENDS).values(), ids=SEQUENCES | BACKENDS)
def test_both_take_the_same_commands(both, sequence):
    play(both, sequence)
