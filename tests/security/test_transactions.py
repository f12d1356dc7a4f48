"""A certificate that HAProxy cannot commit, and a transaction that a killed agent has left, keep no other one away."""

import asyncio

import pytest

from headrace.haproxy.encode import commands
from headrace.haproxy.plan.plan import Loaded
from headrace.haproxy.runtime import adoption, worker
from headrace.haproxy.runtime.responses import Outcome
from headrace.haproxy.runtime.sockets import Connection
from headrace.resolve.model_snapshot import ModelSnapshot
from support import hostile
from support.haproxy import Haproxy

GOOD = hostile.block(hostile.certificate('ec')) + hostile.private('ec')
# The key is said to be for RSA-PSS alone, and HAProxy gets one for RSA.
PSS = hostile.block(hostile.with_public_key(hostile.certificate(), hostile.pss_public_key())) + hostile.private('rsa')
CONFIGURATION = """\
global
    stats socket "$HEADRACE_SOCKETS/runtime.sock" level admin
"""


@pytest.fixture
def haproxy(haproxy_34, tmp_path):
    (tmp_path / 'haproxy').write_text(CONFIGURATION)
    with Haproxy(haproxy_34) as made:
        yield made.start(tmp_path)


def with_worker(haproxy, script):
    async def both():
        connection = await Connection.open(haproxy.sockets / 'runtime.sock')
        try:
            return await script(worker.Worker(connection, await worker.facts(connection), 1.0))
        finally:
            await connection.close()

    return asyncio.run(both())


def outcomes(answered):
    return {item.command.line for item in answered if item.outcome is not Outcome.DONE}


def test_four_certificates_after_one_that_cannot_be_committed_are_loaded(haproxy):
    async def script(made):
        batch = commands.new_certificate('bad', PSS)
        for number in range(4):
            batch += commands.new_certificate(f'good{number}', GOOD)
        return await made.send(batch)

    ((refused),) = outcomes(with_worker(haproxy, script))
    assert refused.startswith('commit ssl cert ')
    assert refused.endswith('/bad.pem')
    shown = haproxy.command('show ssl cert')
    assert '*' not in shown
    assert shown.count('/good') == 4


def test_authorities_after_one_that_cannot_be_committed_are_loaded(haproxy):
    ca = hostile.block(hostile.certificate('ec'))

    async def script(made):
        await made.send(commands.new_authority('bad', ca))
        haproxy.command(f'set ssl ca-file {commands.syntax.authority_file("bad")} <<\n{ca.decode()}\n')
        # The transaction that is open is of another file, so this one is refused.
        first = await made.send(commands.new_authority('other', ca))
        await made.send(commands.set_authority('bad', ca))
        return first, await made.send(commands.set_authority('other', ca))

    first, then = with_worker(haproxy, script)
    assert len(outcomes(first)) == 2
    assert outcomes(then) == set()


@pytest.mark.parametrize(
    ('kind', 'pem'), [('cert', GOOD), ('ca-file', hostile.block(hostile.certificate('ec')))], ids=['cert', 'ca-file']
)
def test_a_transaction_that_an_agent_has_left_open_is_aborted_at_an_adoption(haproxy, kind, pem):
    haproxy.command(f'new ssl {kind} left.pem')
    haproxy.command(f'set ssl {kind} left.pem <<\n{pem.decode()}\n')
    assert '*left.pem' in haproxy.command(f'show ssl {kind}')

    async def script(made):
        await adoption.adopt(made, ModelSnapshot(), Loaded())

    with_worker(haproxy, script)
    assert '*' not in haproxy.command(f'show ssl {kind}')
