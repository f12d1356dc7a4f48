"""What the controller would have an Ingress show: addresses while it is served, and one Event that sums up its problems."""

import asyncio
import dataclasses

import pytest

from headrace.names import Ref
from headrace.objects import parse
from headrace.objects.status import Status
from support.gateways import GATEWAY_CLASS, gateway, http_route, rule
from support.leading import VIP, lead, put
from support.objects import ingress, ingress_class, service

WEB = Ref('Ingress', 'aaa', 'web')
LISTED = ((VIP, ''),)
OURS = Status('u-1', 3, LISTED, managers=('headrace-headrace',))
THEIRS = Status('u-1', 3, (('198.51.100.9', ''),))


def item(status=None, *, of='headrace', **how):
    document = ingress('web', 'aaa', hosts={'a.example.com': 'web'}, ingressClassName=of, **how)
    return dataclasses.replace(parse.read(document).object, status=status or Status('u-1', 3))


def decided(*objects, **settings):
    """Return what the Ingress shall show once a controller has settled on these objects."""
    found = []

    async def script(controller, calls):
        put(controller, parse.read(service('web', 'aaa')).object, *objects)
        while controller._dirty or controller.store._dirty:  # noqa: ASYNC110
            await asyncio.sleep(0)
        found.append(controller.decide(WEB))

    lead(script, **settings)
    return found[0]


def test_an_ingress_that_is_served_has_the_addresses_of_the_edge():
    found = decided(item())
    assert (found.addresses, found.conditions, found.events, found.force) == (LISTED, (), (), False)
    assert not found.is_current
    assert decided(item(OURS)).is_current


@pytest.mark.parametrize(
    ('made', 'settings'),
    [
        pytest.param(item(THEIRS, of='other'), {}, id='another class'),
        pytest.param(item(THEIRS, of='nginx'), {}, id='a class that is not ours by setting'),
    ],
)
def test_the_status_of_an_ingress_of_another_class_is_left_alone(made, settings):
    assert decided(made, **settings) is None


def test_an_ingress_that_leaves_loses_what_this_class_has_written():
    found = decided(item(OURS, of='other'))
    assert (found.addresses, found.is_current) == ((), False)
    # Another class of headrace takes away its own only.
    assert decided(item(dataclasses.replace(OURS, managers=('headrace-web',)), of='other')) is None


def test_without_addresses_of_the_edge_the_status_is_not_ours():
    assert decided(item(THEIRS), status_addresses=()).addresses is None


NGINX = parse.read(ingress_class('nginx', 'k8s.io/ingress-nginx')).object


@pytest.mark.parametrize('classes', [(), (NGINX,)], ids=['the class is gone', 'the class is there'])
def test_for_a_class_of_another_controller_no_status_is_written_until_a_setting_says_so(classes):
    found = decided(item(THEIRS, of='nginx'), *classes, ingress_classes=('nginx',))
    assert (found.addresses, found.is_current) == (None, True)
    found = decided(item(THEIRS, of='nginx'), *classes, ingress_classes=('nginx',), ingress_status=True)
    assert (found.addresses, found.force) == (LISTED, True)


def test_what_was_written_for_a_class_of_another_controller_goes_when_the_setting_does():
    assert decided(item(OURS, of='nginx'), NGINX, ingress_classes=('nginx',)).addresses == ()


def test_a_class_of_ours_that_is_named_by_the_setting_too_is_ours():
    own = parse.read(ingress_class('edge')).object
    found = decided(item(of='edge'), own, ingress_classes=('edge',))
    assert (found.addresses, found.force) == (LISTED, False)


def test_an_ingress_of_which_nothing_is_served_has_no_addresses_and_one_event_for_its_problems():
    found = decided(item(OURS), host_policy={'zzz': ('*.example.com',)})
    assert found.addresses == ()
    (event,) = found.events
    assert 'a.example.com' in event.note
    (later,) = decided(item(dataclasses.replace(OURS, generation=4)), host_policy={'zzz': ('*.example.com',)}).events
    assert later.name != event.name


def test_ingresses_are_looked_at_again_when_a_class_changes():
    async def script(controller, calls):
        put(controller, parse.read(service('web', 'aaa')).object, item(OURS, of='edge'))
        while not calls.statuses:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        # Of no class yet, so that what was written goes.
        assert calls.statuses == [('aaa/web', {})]
        put(controller, parse.read(ingress_class('edge')).object, item(of='edge'))
        while len(calls.statuses) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    calls = lead(script)
    # Entries of an Ingress have no mode.
    assert calls.statuses[1] == ('aaa/web', {'loadBalancer': {'ingress': [{'ip': VIP}]}})


def test_younger_routes_leave_room_to_an_ingress():
    old, new = '2024-01-01T00:00:00Z', '2024-02-01T00:00:00Z'
    hosts = [f'{number}.example.com' for number in range(60)]
    documents = (
        GATEWAY_CLASS,
        gateway(namespace='aaa'),
        ingress('web', 'aaa', hosts={'a.example.com': 'web'}, created=old, ingressClassName='headrace'),
        *(http_route(f'r-{host}', rule('web'), hostnames=[host], namespace='aaa', created=new) for host in hosts),
    )
    found = decided(*(parse.read(document).object for document in documents), max_entries_per_namespace=40)
    assert (found.addresses, found.events) == (LISTED, ())
