"""Services that an object leads to are built in steps before it, and those that it leaves in steps after it."""

import pytest

from headrace.ir.fragment import pointers
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve import translation
from headrace.resolve.state import State
from headrace.resolve.translation import count_services
from headrace.settings.settings import Settings
from support.following import Following
from support.gateway_objects import http_route
from support.objects import ingress, ingress_rule, service

ALL = Ref('Ingress', 'shop', 'all')
NAMES = [f's{number}' for number in range(6)]


def leading_to(*names):
    return ingress('all', rules=[ingress_rule(f'{of}.example.com', of) for of in names], ingressClassName='headrace')


class Stepwise(Following):
    """A state whose objects are updated one by one, with bounded updates."""

    def __init__(self):
        super().__init__(Settings())
        self.put(*map(service, NAMES))

    def note(self, document):
        self.store.put(parse.read(document).object)
        self.store.take()
        return {ref.name for ref in self.state.expect(self.store, ALL)}

    def update(self, *refs):
        change = self.state.update(self.store, refs, 2)
        backends = {item.name for fragment in self.state.fragments.values() for item in fragment.backends}
        assert {each.backend for _, found in self.state.pointers() for each in pointers(found)} <= backends
        return {item.ref.name for item in change.fragments}

    def services(self, *names):
        for name in names:
            self.update(Ref('Service', 'shop', name))

    def is_as_from_scratch(self):
        made = State(self.context)
        made.update(self.store, self.store.translated())
        return self.state.fragments == made.fragments and not self.state.dependencies.expects(ALL)


@pytest.fixture
def model():
    return Stepwise()


def test_services_that_were_built_before_are_not_built_with_the_object(model):
    assert model.note(leading_to('s0', 's1', 's2')) == {'s0', 's1', 's2'}
    model.services('s0', 's1', 's2')
    assert model.state.expect(model.store, ALL) == set()
    assert model.update(ALL) == {'all'}
    assert model.is_as_from_scratch()


def test_services_that_were_not_built_before_are_built_with_the_object(model):
    model.note(leading_to('s0', 's1'))
    model.services('s0')
    assert model.update(ALL) == {'all', 's1'}
    assert model.is_as_from_scratch()


def test_what_an_object_expected_and_does_not_demand_is_given_up(model):
    model.note(leading_to('s0', 's1'))
    model.services('s0', 's1')
    assert model.note(leading_to('s1', 's2')) == {'s0', 's2'}
    model.services('s0', 's2')
    assert model.update(ALL) == {'all'}
    assert model.is_as_from_scratch()


def test_an_object_that_is_gone_before_it_was_built_leaves_nothing(model):
    model.note(leading_to('s0', 's1'))
    model.services('s0', 's1')
    model.store.drop(ALL)
    assert model.update(ALL) == set()
    assert model.update(*model.state.take_later()) == {'s0', 's1'}
    assert model.is_as_from_scratch()


def test_services_of_which_less_is_demanded_follow_in_later_updates(model):
    model.note(leading_to(*NAMES))
    model.services(*NAMES)
    model.update(ALL)
    model.note(leading_to('s0'))
    assert model.update(ALL) == {'all'}
    later = model.state.take_later()
    assert {ref.name for ref in later} == {*NAMES} - {'s0'}
    assert model.state.take_later() == set()
    assert model.update(*later) == {*NAMES} - {'s0'}
    assert model.is_as_from_scratch()


def test_an_object_that_cannot_be_translated_expects_nothing(model, monkeypatch):
    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr(translation.ingresses, 'translate', fail)
    assert model.note(leading_to('s0')) == set()
    assert not model.state.dependencies.expects(ALL)


@pytest.mark.parametrize(
    ('document', 'expected'),
    [
        pytest.param(leading_to('s0', 's1', 's0'), 2, id='Ingress'),
        pytest.param(http_route(), 1, id='HTTPRoute'),
        pytest.param(service(), 0, id='Service'),
    ],
)
def test_the_services_that_an_object_leads_to_are_counted(document, expected):
    assert count_services(parse.read(document).object) == expected
