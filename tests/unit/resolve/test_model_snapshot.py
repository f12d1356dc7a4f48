"""Snapshots of the model, and the change that leads from one to another."""

import pytest

from headrace.ir.fragment import Kind
from headrace.ir.pointers import Pointer
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.resolve import model_snapshot
from headrace.resolve.changes import Change
from support.objects import built, endpoint_slice, service

WEB, API = Ref('Service', 'shop', 'web'), Ref('Service', 'shop', 'api')


def of(*documents):
    return model_snapshot.of_state(built(*documents))


def hosted(name, host, **more):
    return service(name, annotations={'host': host}, **more)


EMPTY = of()
ONE = of(hosted('web', 'a.example.com'))
MOVED = of(hosted('web', 'b.example.com'), hosted('api', 'a.example.com'))
SERVED = of(hosted('web', 'a.example.com'), endpoint_slice(addresses=['10.0.0.1']))
PICTURES = {'empty': EMPTY, 'one': ONE, 'moved': MOVED, 'served': SERVED}


@pytest.mark.parametrize('before', PICTURES)
@pytest.mark.parametrize('after', PICTURES)
def test_what_leads_from_one_snapshot_to_another_makes_them_equal(before, after):
    start, end = PICTURES[before].copy(), PICTURES[after]
    change = start.whole_change_to(end)
    assert bool(change) is (before != after)
    start.tell(change)
    assert start == end
    assert start.whole_change_to(end) == Change()


def test_only_what_is_asked_for_is_compared():
    change = ONE.change_to(MOVED, [API], [])
    assert [item.ref for item in change.fragments] == [API]
    assert change.pointers == ()


def test_a_copy_does_not_follow_its_origin():
    origin = ONE.copy()
    kept = origin.copy()
    origin.tell(origin.whole_change_to(EMPTY))
    assert (origin, kept) == (EMPTY, ONE)


def test_endpoints_can_be_told_while_all_else_waits():
    held = ONE.copy()
    wanted = of(hosted('web', 'b.example.com'), endpoint_slice(addresses=['10.0.0.1']))
    (item,) = held.whole_change_to(wanted).fragments[-1:]
    held.tell_endpoints(item)
    assert held.fragments[WEB].backends == wanted.fragments[WEB].backends
    assert held.fragments[WEB].claims == ONE.fragments[WEB].claims
    assert held.pointers == ONE.pointers


def test_endpoints_of_what_was_never_told_or_goes_are_told_with_the_rest():
    for before, after in ((EMPTY, ONE), (ONE, EMPTY)):
        held = before.copy()
        for item in before.whole_change_to(after).fragments:
            held.tell_endpoints(item)
        assert held == before


def test_backends_that_stay_get_endpoints_and_a_pin_to_an_endpoint_that_is_gone_gets_none():
    def staying(host, *addresses):
        return of(hosted('web', host, sessionAffinity='ClientIP'), endpoint_slice(addresses=addresses))

    held, wanted = staying('a.example.com', '10.0.0.1', '10.0.0.2'), staying('b.example.com', '10.0.0.2')
    (item,) = held.whole_change_to(wanted).fragments
    held.tell_endpoints(item)
    found = {each.pin: [group.addresses for group in each.groups] for each in held.fragments[WEB].backends}
    assert found == {'': [('10.0.0.2',)], '10.0.0.1:8080': [], '10.0.0.2:8080': [('10.0.0.2',)]}


def test_tls_names_its_certificates_and_the_authority_of_its_clients():
    assert model_snapshot.files_of(HostTls(certificates=('one', 'two'), client_ca='ca')) == [
        (Kind.CERTIFICATE, 'one'),
        (Kind.CERTIFICATE, 'two'),
        (Kind.AUTHORITY, 'ca'),
    ]
    assert model_snapshot.files_of(HostTls(passthrough=Pointer('b', 'p'))) == []
    assert model_snapshot.files_of('b|p|') == model_snapshot.files_of(None) == []
