"""A kept connection to a real worker: each command has its own answer."""

import asyncio
import socket

from headrace.haproxy.encode import commands
from headrace.haproxy.encode.commands import Phase
from headrace.haproxy.render.render import Renderer
from headrace.haproxy.runtime import files, responses
from headrace.haproxy.runtime.responses import Outcome
from headrace.haproxy.runtime.sockets import Connection
from headrace.ir.policy import Entry, Map
from headrace.settings.settings import Settings
from support.haproxy import Haproxy, Ports
from support.objects import built


def write(folder, ports):
    """Write the files of an HAProxy that serves nothing yet."""
    http, https, health = ports.numbers
    settings = Settings(addresses=('127.0.0.1',), http_port=http, https_port=https, health_port=health, maxconn=100)
    empty = built(settings=settings)
    files.write(folder, Renderer(empty.context).render(empty))


def test_answers_stay_with_their_commands_after_one_with_a_payload(haproxy_34, tmp_path):
    ports = Ports(3)
    write(tmp_path, ports)
    (add,) = commands.add_entries(Phase.DATA, [Entry(Map.ROUTES, 'a.example.com/', 'one')])

    async def asked(sockets):
        connection = await Connection.open(sockets / 'runtime.sock')
        found = await connection.ask([add.text, 'show version', add.text, 'show map maps/routes.map'])
        await connection.close()
        return found

    with Haproxy(haproxy_34) as haproxy:
        haproxy.start(tmp_path)
        _, version, _, entries = asyncio.run(asked(haproxy.sockets))
    ports.close()
    assert version.startswith('3.4')
    assert [line.split(' ')[1:] for line in entries.splitlines() if line] == [['a.example.com/', 'one']] * 2


def test_a_payload_that_arrives_in_parts_is_done(haproxy_34, tmp_path):
    ports = Ports(3)
    write(tmp_path, ports)
    (add,) = commands.add_entries(Phase.DATA, [Entry(Map.ROUTES, f'{name}.example.com/', 'one') for name in 'abc'])
    with Haproxy(haproxy_34) as haproxy:
        haproxy.start(tmp_path)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(haproxy.sockets / 'runtime.sock'))
            found = b''
            for line in ('prompt', *add.text.split('\n'), 'show version'):
                # Each part is read on its own: HAProxy has answered the one before.
                connection.sendall(f'{line}\n'.encode())
                found += connection.recv(65536)
        entries = haproxy.command('show map maps/routes.map')
    ports.close()
    answer = found.decode().split('\n> ')[1]
    assert answer.count('+') > 1
    assert responses.judge(add, answer).outcome is Outcome.DONE
    assert len(entries.split()) == 9
