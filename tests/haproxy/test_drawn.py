"""What properties draw, on a real HAProxy: it accepts the files, refuses no command of a plan, and has what was planned."""

import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings

from headrace.haproxy.encode import profiles
from headrace.haproxy.plan import live_state, plan
from headrace.haproxy.render import render
from headrace.haproxy.runtime import files, responses
from headrace.haproxy.runtime.responses import Outcome
from headrace.resolve import model_snapshot
from headrace.translate import build_context
from properties import strategies
from properties.living import SETTINGS, VIEW, Model
from properties.simulated import Simulated
from support.haproxy import Haproxy, Ports
from support.transitions import settle

# A process for each example, so they are few.
FEW = settings(max_examples=15, derandomize=True, deadline=None, database=None)


@pytest.fixture(scope='module')
def ports():
    held = Ports(3)
    yield held.numbers
    held.close()


def seen_by(ports):
    """Return the view of the properties with free ports."""
    http, https, health = ports
    own = {'addresses': ('127.0.0.1',), 'http_port': http, 'https_port': https, 'health_port': health}
    return build_context.make(msgspec.structs.replace(SETTINGS, **own, maxconn=100, threads=1), topology=VIEW.topology)


def without_tcp_listeners(found):
    """Return the files without the binds of TCP ports, whose numbers may not be free on this machine."""
    name = 'haproxy/30-frontends.cfg'
    lines = found[name].decode().split('\n')
    return found | {name: '\n'.join(line for line in lines if ':5000-5999' not in line).encode()}


def tell(real, command):
    """Send one command, which must not be refused."""
    text = command.text
    if command.locate:
        number = live_state.line_number(real.command(f'show ssl crt-list -n {render.CRT_LIST}'), command.locate)
        assert number, command
        text = f'{text}:{number}'
    answered = responses.judge(command, real.command(text))
    assert answered.outcome is Outcome.DONE, (command, answered)


def check(real, value):
    """Compare what a real HAProxy has with what it should have."""
    there = live_state.backends(real.command('show backend'))
    held = live_state.servers(real.command('show servers state'))
    assert sorted(there) == sorted(value['backends'])
    for name, (_, _, servers) in value['backends'].items():
        found = {server: not state.disabled for server, state in held.get(name, {}).items()}
        assert found == {server: enabled for server, (_, _, enabled, _) in servers.items()}
    for file, pairs in value['maps'].items():
        found = live_state.entries_of(real.command(f'show map {file}'))
        assert sorted((key, each) for key, values in found.items() for each in values) == pairs, file
    lines = live_state.crt_list(real.command(f'show ssl crt-list -n {render.CRT_LIST}')).values()
    assert sorted(map(live_state.crt_list_words, lines)) == value['crt-list']


@FEW
@given(before=strategies.worlds(), events=strategies.batches())
def test_a_real_haproxy_takes_files_and_plans(ports, haproxy_34, before, events):
    model = Model(seen_by(ports))
    model.change(before)
    renderer, start = render.Renderer(model.state.context), model_snapshot.of_state(model.state)
    loaded = plan.started(start, profiles.in_use(start.fragments.values(), SETTINGS.cookie_name))
    for batch in events:
        model.change(batch)
    change = start.whole_change_to(model_snapshot.of_state(model.state))
    made = plan.plan(change, loaded)
    with tempfile.TemporaryDirectory() as folder, Haproxy(haproxy_34) as real:
        files.write(Path(folder), without_tcp_listeners(renderer.snapshot(start)))
        real.start(folder)
        settle(real, loaded)
        for command in made.commands:
            tell(real, command)
        plan.record(start, change, made)
        check(real, Simulated(renderer.snapshot(start)).value())
        assert real.alive()
