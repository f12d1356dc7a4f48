"""Plans lead where files lead, and nothing is missed on the way."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.haproxy.plan import plan
from headrace.haproxy.plan.plan import Loaded
from headrace.resolve import model_snapshot
from properties import strategies
from properties.living import Model, Told


@given(before=strategies.worlds(), events=strategies.batches())
def test_commands_lead_to_what_the_files_of_the_same_objects_hold(before, events):
    model = Model()
    model.change(before)
    told = Told(model)
    told.check()
    for batch in events:
        told.tell(model, model.change(batch))
        told.check()
        if not told.deferred:
            assert told.snapshot == model_snapshot.of_state(model.state)


@given(before=strategies.worlds(), events=strategies.batches(), when=st.integers(0, 3))
def test_a_reload_in_between_brings_what_waited(before, events, when):
    model = Model()
    model.change(before)
    told = Told(model)
    for number, batch in enumerate(events):
        told.tell(model, model.change(batch))
        if number == when:
            told.reload(model)
            told.check()
    told.tell(model, model.change([]))
    told.check()


@given(before=strategies.worlds(unusual=False), events=strategies.batches(unusual=False))
def test_objects_with_shapes_of_the_base_set_never_cost_a_reload(before, events):
    model = Model()
    model.change(before)
    told = Told(model)
    for batch in events:
        assert told.tell(model, model.change(batch)).reasons == ()


@given(before=strategies.worlds(), churn=st.lists(st.lists(strategies.slices(), min_size=1, max_size=3), max_size=4))
def test_endpoints_that_come_and_go_never_cost_a_reload(before, churn):
    model = Model()
    model.change(before)
    told = Told(model)
    for batch in churn:
        made = told.tell(model, model.change(batch))
        assert made.reasons == ()
        assert not made.deferred
    told.check()


@given(before=strategies.worlds())
def test_nothing_is_planned_where_nothing_changes(before):
    model = Model()
    model.change(before)
    change = model.change(before)
    assert not change
    assert not plan.plan(change, Loaded())
    shown = model_snapshot.of_state(model.state)
    assert not plan.plan(shown.whole_change_to(model_snapshot.of_state(model.scratch())), Loaded())


@given(before=strategies.worlds(), after=strategies.worlds())
def test_there_and_back_again_is_where_it_began(before, after):
    model = Model()
    model.change(before)
    told = Told(model)
    start = told.simulated.value()
    kept = {strategies.reference(item) for item in before}
    told.tell(model, model.change(after))
    gone = [ref for item in after if (ref := strategies.reference(item)) not in kept]
    told.tell(model, model.change([*gone, *before]))
    if not told.deferred:
        assert told.simulated.value() == start
