"""A worker with foreign changes is brought to the model, and serves on the way what it served before."""

from hypothesis import given

from headrace.resolve import model_snapshot
from properties import strategies
from properties.living import Model, Told


@given(before=strategies.worlds(), events=strategies.batches())
def test_what_serves_before_and_after_serves_all_the_time_and_a_reload_brings_the_rest(before, events):
    model = Model()
    model.change(before)
    told = Told(model)
    for batch in events:
        model.change(batch)
    kept = told.adopt(model)
    if not kept.refs:
        assert told.snapshot == model_snapshot.of_state(model.state)
        told.check()
    told.reload(model)
    told.check()


@given(before=strategies.worlds(), missed=strategies.batches(), later=strategies.batches())
def test_changes_after_an_adoption_lead_where_files_lead(before, missed, later):
    model = Model()
    model.change(before)
    told = Told(model)
    for batch in missed:
        model.change(batch)
    told.adopt(model)
    for batch in later:
        told.tell(model, model.change(batch))
        if not told.deferred:
            assert told.snapshot == model_snapshot.of_state(model.state)


@given(before=strategies.worlds(unusual=False), events=strategies.batches(unusual=False))
def test_an_adoption_without_new_shapes_holds_nothing(before, events):
    model = Model()
    model.change(before)
    told = Told(model)
    for batch in events:
        model.change(batch)
    assert not told.adopt(model).refs
    told.check()


@given(before=strategies.worlds())
def test_a_worker_that_agrees_is_told_nothing_new(before):
    model = Model()
    model.change(before)
    told = Told(model)
    start = told.simulated.value()
    assert not told.adopt(model).refs
    assert told.simulated.value() == start
