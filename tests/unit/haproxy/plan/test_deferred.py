"""Which of what waits for a reload a change is planned with."""

import pytest

from headrace.haproxy.plan import deferred
from headrace.haproxy.plan.plan import Plan
from headrace.ir.backend import Backend, Options, Shape
from headrace.ir.fragment import Fragment, Kind
from headrace.ir.pointers import Pointer
from headrace.ir.routing import Canary
from headrace.ir.tls import HostTls, Pem
from headrace.names import Ref
from headrace.resolve.model_snapshot import ModelSnapshot

WEB, OTHER, THIRD = (Ref('Service', 'shop', name) for name in ('web', 'other', 'third'))


def fragment(ref, *backends, leads_to=''):
    leads = (Canary('policy', 5, Pointer(leads_to, 'p')),) if leads_to else ()
    return Fragment(ref, leads=leads, backends=tuple(Backend(name, ref, '80', Shape(), Options()) for name in backends))


def snapshot(*fragments, **pointers):
    return ModelSnapshot(
        {item.ref: item for item in fragments}, {(Kind.ROUTE, key): to for key, to in pointers.items()}
    )


def route(key):
    return Kind.ROUTE, key


def planned(told, wanted, waits, waiting_keys, changed, changed_keys=()):
    found = deferred.of_difference(told, wanted, waits, waiting_keys)
    return found.planned_with(set(changed), set(changed_keys), told, wanted)


def test_what_waits_is_left_alone_by_a_change_that_has_nothing_to_do_with_it():
    told = snapshot(fragment(OTHER, 'shop_other_80'))
    wanted = snapshot(
        fragment(WEB, 'shop_web_80_x'),
        fragment(OTHER, 'shop_other_80', 'shop_other_81'),
        a=Pointer('shop_web_80_x', 'p'),
    )
    assert planned(told, wanted, [WEB], [route('a')], [OTHER]) == ({OTHER}, set())


def test_what_waits_is_planned_with_a_change_of_its_own_and_of_what_it_leads_to():
    told = snapshot()
    wanted = snapshot(
        fragment(WEB, 'shop_web_80_x'),
        fragment(OTHER, 'shop_other_80', leads_to='shop_web_80_x'),
        fragment(THIRD, 'shop_third_80', leads_to='shop_other_80'),
        a=Pointer('shop_web_80_x', 'p'),
    )
    waits = [WEB, OTHER, THIRD]
    assert planned(told, wanted, waits, [route('a')], [WEB]) == ({*waits}, {route('a')})
    assert planned(told, wanted, waits, [route('a')], [], [route('a')]) == ({*waits}, {route('a')})


def test_nothing_waits_where_nothing_differs():
    same = snapshot(fragment(WEB, 'shop_web_80'), a=Pointer('shop_web_80', 'p'))
    found = deferred.of_difference(same, same, [WEB], [route('a')])
    assert not found
    assert found.planned_with({WEB}, set(), same, same) == ({WEB}, set())


@pytest.mark.parametrize(
    ('waits', 'changes'),
    [
        pytest.param((Kind.LISTENER, 'http/a'), (Kind.LISTENER, 'http/b'), id='listeners'),
        pytest.param((Kind.CERTIFICATE, 'shop_tls'), (Kind.TLS, 'a.example.com'), id='a file and what names it'),
    ],
)
def test_what_depends_on_the_same_files_or_on_all_listeners_is_planned_together(waits, changes):
    tls = HostTls(certificates=('shop_tls',))
    told, wanted = (
        ModelSnapshot(),
        ModelSnapshot({}, {waits: Pem(b'') if waits[0] is Kind.CERTIFICATE else tls, changes: tls}),
    )
    assert planned(told, wanted, [], [waits], [], [changes]) == (set(), {waits, changes})
    assert planned(told, wanted, [], [waits], [], [route('a')]) == (set(), {route('a')})


def test_what_was_planned_and_waits_no_more_is_forgotten():
    told, wanted = snapshot(), snapshot(fragment(WEB, 'shop_web_80_x'), a=Pointer('shop_web_80_x', 'p'))
    found = deferred.of_difference(told, wanted, [WEB], [route('a')])
    assert (found.refs, found.keys) == ({WEB}, {route('a')})
    change = told.change_to(wanted, [WEB], [])
    found.note([WEB], [], change, Plan(deferred=frozenset({WEB})))
    assert found.refs == {WEB}
    found.note([WEB], [], change, Plan())
    assert (found.refs, found.keys) == (set(), {route('a')})
    found.note([], [route('a')], change, Plan())
    assert not found
    # Nothing is left that a later change could be planned with.
    assert found.planned_with({WEB}, set(), told, wanted) == ({WEB}, set())
