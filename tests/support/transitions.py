"""Two states of a cluster, and what a real HAProxy makes of each: all that it holds, and how it answers.

Objects are written with words in the place of port numbers that are not known before (`PLAIN` and `TLS` are where
endpoints listen, `TCP0` to `TCP29` are ports at the edge).
"""

import contextlib
import http.client
import json
import re
import socket
import ssl
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from headrace import folder
from headrace.cli import planning
from headrace.haproxy.encode import commands
from headrace.haproxy.plan import live_state, plan
from headrace.haproxy.render.render import CRT_LIST, TABLES, Renderer
from headrace.haproxy.runtime import files, responses
from headrace.haproxy.runtime.responses import Outcome
from headrace.names import Ref
from headrace.resolve.model_snapshot import of_state
from headrace.settings.settings import Settings
from headrace.translate import build_context, placeholder_certificates
from support.haproxy import Haproxy

EDGE, TRUSTED = '127.0.0.1', '127.0.0.9'
TCP_PORTS = 30
_SECONDS = 30.0
_CHECKED = 0x0E
# A cookie says which endpoint it was, and that is chance.
_COOKIE = re.compile('=[0-9a-f]{16}')


@dataclass(frozen=True)
class Ask:
    """A question to HAProxy. `host` empty: to the TCP port of this word; `sni` empty: without TLS."""

    host: str = ''
    path: str = '/'
    sni: str = ''
    method: str = 'GET'
    headers: tuple = ()
    body: str = ''
    client: str = EDGE
    certificate: str = ''
    port: str = ''
    proxy: bool = False
    times: int = 1


@dataclass(frozen=True)
class Pair:
    """Objects before and after, and what is asked beside what every pair is asked."""

    before: list
    after: list
    asks: tuple = ()


def place(value, words):
    """Return a document with its words replaced by the numbers of ports."""
    match value:
        case dict():
            return {key: place(item, words) for key, item in value.items()}
        case list() | tuple():
            return [place(item, words) for item in value]
        case str() if value in words:
            return words[value]
    return value


def settle(haproxy, loaded):
    """Let one of the two frontends of HTTPS have the connections, as an agent does with a fresh worker."""
    if loaded.direct:
        for command in commands.take_turns(passing=bool(loaded.passing)):
            haproxy.command(command.text)


def questions(pair):
    """Return what a pair is asked: each host of either side with each of its paths and near them, and each port."""
    documents = [*pair.before, *pair.after]
    said = [item.get('metadata', {}).get('annotations', {}) for item in documents]
    hosts, paths, ports, secure = {'unknown.example.com'}, {'/', '/other'}, {'TCP9'}, False
    for annotations in said:
        for key, value in annotations.items():
            name = key.removeprefix('headrace.io/').partition('.')[0]
            if name == 'host':
                hosts.update(value.split())
            elif name == 'path':
                paths.update(
                    found for path in value.split() for found in (path, f'{path}x', f'{path.rstrip("/")}/more')
                )
            elif name == 'port':
                ports.add(value)
            secure = secure or name == 'tls-secret'
    hosts = {found for host in hosts for found in _hosts(host)}
    found = [Ask(host, path) for host in sorted(hosts) for path in sorted(paths)]
    if secure:
        found += [Ask(host, sni=host) for host in sorted(hosts)]
    return [*found, *(Ask(port=port) for port in sorted(ports)), *pair.asks]


def _hosts(host):
    if host == '*':
        return ('anything.example.org',)
    return (host.replace('*', 'any'), host.replace('*', 'one.more')) if host.startswith('*.') else (host,)


class Stage:
    """Where pairs are played: endpoints, ports that HAProxy may have, and one binary."""

    def __init__(self, endpoints, ports, binary):
        self.binary = binary
        self.http, self.https, self.health, *tcp = ports.numbers
        self.words = {f'TCP{index}': number for index, number in enumerate(tcp)}
        self.words |= {'PLAIN': endpoints.port, 'TLS': endpoints.tls_port}
        settings = Settings(
            addresses=(EDGE,),
            http_port=self.http,
            https_port=self.https,
            https_public_port=self.https,
            health_port=self.health,
            tcp_ports=','.join(map(str, tcp)),
            trusted_proxies=(f'{TRUSTED}/32',),
            maxconn=100,
            threads=1,
        )
        self.context = build_context.make(settings, all_secrets=True)

    def objects(self, documents):
        """Return the objects that documents hold, read as from a file."""
        placed = place(documents, self.words)
        for item in placed:
            said = item.get('metadata', {}).get('annotations', {})
            said.update({key: str(value) for key, value in said.items()})
        found = folder.parse(json.dumps({'kind': 'List', 'items': placed}).encode(), 'objects')
        return found.objects

    def between(self, before, after):
        """Return the plan as `headrace plan` makes it."""
        return planning.between(self.objects(before), self.objects(after), self.context)[1]

    @contextlib.contextmanager
    def serving(self, documents):
        """Start HAProxy from the files that `headrace render` writes for these objects."""
        state, _ = planning.between((), self.objects(documents), self.context)
        with tempfile.TemporaryDirectory(prefix='hr-') as rendered, Haproxy(self.binary) as haproxy:
            files.write(Path(rendered), Renderer(self.context).render(state))
            started = haproxy.start(Path(rendered))
            settle(started, plan.started(of_state(state), ()))
            yield started

    def seen(self, haproxy, asks):
        """Return all that HAProxy holds, and its answers."""
        held = holdings(haproxy)
        for name, *_ in TABLES:
            haproxy.command(f'clear table {name}')
        return held | {str(ask): [self.ask(ask) for _ in range(ask.times)] for ask in asks}

    def ask(self, ask):
        """Return an answer: where from, its status and headers, what the endpoint saw, and the certificate shown."""
        port = self.words[ask.port] if ask.port else self.https if ask.sni else self.http
        connection = http.client.HTTPConnection(ask.host or 'tcp')
        try:
            connection.sock = socket.create_connection((EDGE, port), _SECONDS, (ask.client, 0))
            if ask.proxy:
                connection.sock.sendall(b'PROXY TCP4 192.0.2.7 192.0.2.8 40000 80\r\n')
            shown = ''
            if ask.sni:
                connection.sock = _context(ask.certificate).wrap_socket(connection.sock, server_hostname=ask.sni)
                shown = ssl.DER_cert_to_PEM_cert(connection.sock.getpeercert(binary_form=True))
            connection.request(ask.method, ask.path, ask.body or None, dict(ask.headers))
            answer = connection.getresponse()
            body = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 'refused' if isinstance(error, ssl.SSLError) else 'closed'
        finally:
            connection.close()
        headers = [
            (name, _COOKIE.sub('=…', value)) for name, value in answer.getheaders() if name.lower() != 'content-length'
        ]
        return (answer.status, sorted(headers), _told(body), shown)


def _told(body):
    """Return what an endpoint said. Which one of a Service's endpoints it was is chance, and is left out."""
    if not body.startswith('{'):
        return body
    said = json.loads(body)
    return {**said, 'at': said['at'].rpartition('.')[0] or said['at']}


@lru_cache
def _context(certificate):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(['http/1.1'])
    # With TLS 1.3 a refused client certificate shows only in what follows, as a connection that is closed.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        with tempfile.NamedTemporaryFile(suffix='.pem') as file:
            Path(file.name).write_bytes(placeholder_certificates.certificate(Ref('Secret', '', certificate))[0])
            context.load_cert_chain(file.name)
    return context


def holdings(haproxy):
    """Return what HAProxy holds, in a form that two processes can be compared in."""
    ask = haproxy.command
    maps = re.findall(r'\((\S+\.map)\)', ask('show map'))
    lines = live_state.crt_list(ask(f'show ssl crt-list -n {CRT_LIST}')).values()
    return {
        'backends': sorted(live_state.backends(ask('show backend').partition('\n')[2])),
        'servers': _servers(ask('show servers state')),
        'limits': _limits(ask('show stat -1 6 -1')),
        'maps': {
            name: Counter(line.partition(' ')[2] for line in ask(f'show map {name}').splitlines()) for name in maps
        },
        'crt-list': sorted(map(live_state.crt_list_words, lines)),
        'certificates': {
            name: live_state.fingerprints(ask(f'show ssl cert {name}'))
            for name in live_state.names(ask('show ssl cert'))
        },
        'authorities': {
            name: live_state.fingerprints(ask(f'show ssl ca-file {name}'))
            for name in live_state.names(ask('show ssl ca-file'))
        },
    }


def _servers(text):
    """Return backend, name, address, admin state, weights, port, TLS, and whether it is checked."""
    cells = [line.split(' ') for line in text.splitlines() if line.count(' ') > 18 and not line.startswith('#')]
    ours = [item for item in cells if live_state.backends(item[1])]
    return sorted((*(item[at] for at in (1, 3, 4, 6, 7, 8, 18, 20)), int(item[13]) & _CHECKED) for item in ours)


def _limits(text):
    """Return each backend's algorithm and cookie, and each server's maxconn and cookie."""
    head, *lines = [line.split(',') for line in text.removeprefix('# ').splitlines() if ',' in line]
    at = [head.index(name) for name in ('pxname', 'svname', 'slim', 'algo', 'cookie')]
    found = [row for line in lines if live_state.backends((row := [line[index] for index in at])[0])]
    # The limit of a backend as a whole follows from maxconn, and its reckoning is not what a plan is about.
    return sorted([*row[:2], '' if row[1] == 'BACKEND' else row[2], *row[3:]] for row in found)


def tell(haproxy, commands):
    """Send the commands of a plan in their order, and return those refused; a removal is tried until it may be."""
    refused = []
    for command in commands:
        until = time.monotonic() + _SECONDS
        while True:
            found = responses.judge(command, haproxy.command(_text(haproxy, command)))
            if found.outcome is not Outcome.BUSY or time.monotonic() > until:
                break
            time.sleep(0.02)
        if found.outcome is not Outcome.DONE:
            refused.append((command.line, found.answer))
    return refused


def _text(haproxy, command):
    """Return what is sent; the number of a crt-list's line is known to the process alone."""
    if not command.locate:
        return command.text
    number = live_state.line_number(haproxy.command(f'show ssl crt-list -n {command.located_in}'), command.locate)
    return f'{command.text}:{number}'
