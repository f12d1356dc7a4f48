"""What is said of hosts and objects that Gateways serve."""

import pytest

from headrace.objects import parse
from headrace.resolve.explanation import explain
from headrace.resolve.state import State
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import build_context
from support.gateways import gateway, http_route, listener, rule
from support.objects import service

DOCUMENTS = (
    gateway('web', listener(), listener('named', hostname='*.named.com')),
    gateway('foreign', class_name='other'),
    service('one', ports=[{'port': 80}]),
    http_route('plain', rule('one', path='/'), rule('one', path='/app'), hostnames=['a.com', '*.b.com']),
    http_route('lost', rule('one'), parents=[{'name': 'foreign'}]),
)


@pytest.fixture(scope='module')
def explained():
    """What explains a target."""
    store, state = Store(), State(build_context.make(Settings()))
    for document in DOCUMENTS:
        store.put(parse.read(document).object)
    state.update(store, store.take())
    return lambda target: explain(state, store, target)


@pytest.mark.parametrize(
    ('target', 'key'),
    [
        ('a.com', '8080:a.com/'),
        ('a.com/app/x', '8080:a.com/app/'),
        ('x.y.b.com/application', '8080:*.b.com/'),
    ],
)
def test_a_host_that_a_route_of_a_gateway_has_is_served(explained, target, key):
    explanation = explained(target)
    assert explanation.served
    assert [(claim.key, str(claim.holder)) for claim in explanation.claims] == [(key, 'HTTPRoute shop/plain')]


@pytest.mark.parametrize('target', ['b.com', 'x.named.com', 'other.com'])
def test_a_host_without_a_route_is_not_served(explained, target):
    assert not explained(target).served


def test_objects_of_the_gateway_api_are_found_by_their_names(explained):
    assert explained('shop/plain').because == 'it has 4 of the 4 things that it claims'
    assert explained('Gateway/shop/web').served
    assert explained('shop/lost').because == 'no Gateway of this class is its parent'
