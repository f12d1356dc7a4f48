"""The order of events and how they are batched change nothing: not the state, not the diagnostics, not a byte."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.haproxy.runtime.staging import Staging
from headrace.resolve import model_snapshot
from headrace.settings.settings import Secrets, Settings
from headrace.translate import build_context
from headrace.translate.build_context import Role
from properties import strategies
from properties.living import RENDERER, VIEW, Model

SECRETS = Secrets(namespaces=('*',))
VIEWS = {
    'edge': VIEW,
    'node': build_context.make(Settings(secrets=SECRETS), role=Role.NODE, topology=VIEW.topology),
    'node ports': build_context.make(Settings(tcp_ports='5000-5999', address_source='node-ports', secrets=SECRETS)),
    'shared paths': build_context.make(Settings(tcp_ports='5000-5999', host_sharing='paths', secrets=SECRETS)),
    'shared hosts': build_context.make(Settings(tcp_ports='5000-5999', host_sharing='all', secrets=SECRETS)),
    'host policy': build_context.make(
        Settings(host_policy={'shop': ('*.example.com',), '*': ('*', 'a.example.com')}, secrets=SECRETS)
    ),
    'default certificate': build_context.make(
        Settings(default_certificate='shop/tls', domain='x.example.com', secrets=SECRETS)
    ),
}


@given(world=strategies.worlds(), data=st.data())
def test_objects_in_any_order_and_any_batches_give_the_same_bytes_and_diagnostics(world, data):
    one, other = Model(), Model()
    one.change(world)
    rest = data.draw(st.permutations(world))
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        other.change(rest[:size])
        rest = rest[size:]
    assert one.state.all_diagnostics() == other.state.all_diagnostics()
    assert RENDERER.render(one.state) == RENDERER.render(other.state)


@pytest.mark.parametrize('seen', VIEWS.values(), ids=VIEWS)
@given(before=strategies.worlds(), events=strategies.batches())
def test_the_state_after_any_events_is_that_of_its_objects_built_at_once(seen, before, events):
    model, told = Model(seen), model_snapshot.ModelSnapshot()
    for batch in (before, *events):
        told.tell(model.change(batch))
        made = model.scratch()
        assert model.state.fragments == made.fragments
        assert dict(model.state.pointers()) == dict(made.pointers())
        assert model.state.all_diagnostics() == made.all_diagnostics()
        assert told == model_snapshot.of_state(model.state)


@given(before=strategies.worlds(), events=strategies.batches())
def test_files_after_any_events_are_those_of_the_objects_at_once(before, events):
    model, snapshot = Model(), model_snapshot.ModelSnapshot()
    with tempfile.TemporaryDirectory() as folder:
        staging = Staging(Path(folder), RENDERER, snapshot)
        staging.fill()
        for batch in (before, *events):
            change = model.change(batch)
            snapshot.tell(change)
            staging.note(change)
        asyncio.run(staging.flush())
        assert files_of(Path(folder)) == RENDERER.render(model.scratch())
    assert RENDERER.render(model.state) == RENDERER.render(model.scratch())


def files_of(folder: Path):
    """Return the files of a folder by their names in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}
