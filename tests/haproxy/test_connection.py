"""A kept connection to a real worker: each command has its own answer."""

import asyncio

from headrace.haproxy import capabilities, commands, files
from headrace.haproxy.commands import Phase
from headrace.haproxy.render import Renderer
from headrace.haproxy.runtime import Connection
from headrace.model.ir import Entry, Map
from headrace.settings import Settings
from support.haproxy import Haproxy, Ports
from support.objects import built


def test_answers_stay_with_their_commands_after_one_with_a_payload(haproxy_binary, haproxy_version, tmp_path):
    ports = Ports(3)
    http, https, health = ports.numbers
    settings = Settings(addresses=('127.0.0.1',), http_port=http, https_port=https, health_port=health, maxconn=100)
    empty = built(settings=settings)
    files.write(tmp_path, Renderer(empty.view, capabilities.of_version(haproxy_version)).render(empty))
    (add,) = commands.add_entries(Phase.DATA, [Entry(Map.ROUTES, 'a.example.com/', 'one')])

    async def asked(sockets):
        connection = await Connection.open(sockets / 'runtime.sock')
        found = await connection.ask([add.text, 'show version', add.text, 'show map maps/routes.map'])
        await connection.close()
        return found

    with Haproxy(haproxy_binary) as haproxy:
        haproxy.start(tmp_path)
        _, version, _, entries = asyncio.run(asked(haproxy.sockets))
    ports.close()
    assert version.startswith(haproxy_version)
    assert [line.split(' ')[1:] for line in entries.splitlines() if line] == [['a.example.com/', 'one']] * 2
