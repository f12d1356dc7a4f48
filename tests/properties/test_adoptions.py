"""A worker with foreign changes is brought to the model, and serves on the way what it served before."""

from hypothesis import given

from headrace.names import Ref
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


def service(name, **settings):
    annotations = {f'headrace.io/{key.replace("_", "-")}': value for key, value in settings.items()}
    return {
        'apiVersion': 'v1',
        'kind': 'Service',
        'metadata': {'namespace': 'shop', 'name': name, 'annotations': annotations},
        'spec': {'ports': [{'name': 'http', 'port': 80}]},
    }


def test_a_backend_that_a_kept_authentication_leads_to_stays_until_the_reload():
    model = Model()
    web = {'host': 'web.example.com'}
    endpoints = {
        'apiVersion': 'discovery.k8s.io/v1',
        'kind': 'EndpointSlice',
        'metadata': {'namespace': 'shop', 'name': 'auth-1', 'labels': {'kubernetes.io/service-name': 'auth'}},
        'addressType': 'IPv4',
        'ports': [{'name': 'http', 'port': 8080, 'protocol': 'TCP'}],
        'endpoints': [{'addresses': ['10.0.0.1']}],
    }
    model.change([service('auth', host='auth.example.com'), endpoints])
    model.change([service('web', **web, external_auth_service='auth')])
    told = Told(model)
    # A new shape waits for a reload; until then the worker authenticates requests of the Service.
    model.change([service('web', **web, balance='hdr:x-user')])
    assert told.adopt(model).refs == {Ref('Service', 'shop', 'web')}
    told.tell(model, model.change([Ref('Service', 'shop', 'auth')]))
    assert told.simulated.backends.keys() >= {'shop_auth_http'}
