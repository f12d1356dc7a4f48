"""Allocation of addresses: what holds after any sequence of changes."""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.names import Ref
from headrace.pools import pool
from headrace.pools.allocator import Allocator, plan
from headrace.pools.requests import Foreign, Request
from headrace.settings.address_pools import AddressPool

POOLS = pool.make((
    AddressPool(name='shop', addresses=('192.0.2.0-192.0.2.2',), namespaces=('shop',)),
    AddressPool(name='all', addresses=('192.0.2.8/31', '2001:db8::8/127')),
    AddressPool(name='asked', addresses=('198.51.100.4/31', '2001:db8::10'), auto_assign=False),
))  # fmt: skip
IN_POOLS = (
    *(f'192.0.2.{number}' for number in (0, 1, 2, 8, 9)),
    '198.51.100.4',
    '198.51.100.5',
    '2001:db8::8',
    '2001:db8::9',
)
ADDRESSES = (*IN_POOLS, '203.0.113.1')
NAMES = st.sampled_from(('a', 'b', 'c', 'd', 'e', 'f'))


@st.composite
def requests(draw):
    families = draw(st.sampled_from(((4,), (6,), (4, 6), (6, 4))))
    named = draw(st.sampled_from(((), (), (), *((address,) for address in ADDRESSES), ('192.0.2.8', '2001:db8::8'))))
    return Request(
        Ref('Service', draw(st.sampled_from(('shop', 'blog'))), draw(NAMES)),
        draw(st.sampled_from(('', '2026-01-01', '2026-01-02'))),
        draw(st.sampled_from(('shop', 'blog'))),
        families,
        draw(st.booleans()),
        named,
        draw(st.sampled_from(('', '', '', 'all', 'asked', 'none'))),
        sharing_key=draw(st.sampled_from(('', 'k', 'k', 'l'))),
        local_endpoints=draw(st.sampled_from(('', '', 'app=web'))),
        ports=draw(st.frozensets(st.sampled_from((('TCP', 80), ('TCP', 443), ('UDP', 53))), min_size=1)),
    )


class Allocating(RuleBasedStateMachine):
    """Services come, change and go; statuses follow what was allocated, late; another controller writes addresses too."""

    def __init__(self):
        super().__init__()
        self.allocator = Allocator(POOLS)
        self.holders = {}

    def put(self, holder):
        others = {ref: self.allocator.of(ref) for ref in self.holders if ref != holder.ref}
        self.holders[holder.ref] = holder
        self.check_changes(others, self.allocator.put(holder))

    def check_changes(self, others, changed):
        for ref, before in others.items():
            assert ref in changed or self.allocator.of(ref) == before, ref

    @rule(request=requests())
    def changes(self, request):
        before = self.holders.get(request.ref)
        created = before.created if before is not None else request.created
        self.put(replace(request, created=created, shown=before.shown if before else ()))

    @rule(name=NAMES, address=st.sampled_from(IN_POOLS), created=st.sampled_from(('2025-01-01', '2026-01-03')))
    def is_foreign(self, name, address, created):
        self.put(Foreign(Ref('Service', 'other', name), created, (address,)))

    @rule(data=st.data())
    @precondition(lambda self: self.holders)
    def goes(self, data):
        ref = data.draw(st.sampled_from(sorted(self.holders)))
        del self.holders[ref]
        others = {each: self.allocator.of(each) for each in self.holders}
        self.check_changes(others, self.allocator.drop(ref))

    @rule(data=st.data(), address=st.sampled_from(ADDRESSES))
    @precondition(lambda self: self.holders)
    def is_written_by_hand(self, data, address):
        self.put(replace(self.holders[data.draw(st.sampled_from(sorted(self.holders)))], shown=(address,)))

    @rule(data=st.data())
    @precondition(lambda self: self.holders)
    def is_written(self, data):
        holder = self.holders[data.draw(st.sampled_from(sorted(self.holders)))]
        if isinstance(holder, Request):
            addresses = self.allocator.of(holder.ref).addresses
            self.put(replace(holder, shown=addresses))
            assert self.allocator.of(holder.ref).addresses == addresses

    @rule()
    def all_are_written(self):
        """Statuses are the state: another controller that begins with them allocates the same, and has nothing to write."""
        for ref, holder in [*self.holders.items()]:
            if isinstance(holder, Request):
                self.put(replace(holder, shown=self.allocator.of(ref).addresses))
        found = plan(POOLS, self.holders.values())
        for ref, each in found.items():
            assert each.addresses == self.allocator.of(ref).addresses == self.holders[ref].shown
            # Which of several obstacles is named is that of when the Service was last decided about.
            assert bool(each.diagnostics) == bool(self.allocator.of(ref).diagnostics)

    def requests(self):
        return [holder for holder in self.holders.values() if isinstance(holder, Request)]

    @invariant()
    def no_address_is_that_of_two(self):
        users = {}
        for holder in self.requests():
            for address in self.allocator.of(holder.ref).addresses:
                users.setdefault(address, []).append(holder)
        for holders in users.values():
            for one in holders:
                for other in holders:
                    if one is other:
                        continue
                    assert one.sharing_key
                    assert one.sharing_key == other.sharing_key
                    assert one.ref.namespace == other.ref.namespace
                    assert one.local_endpoints == other.local_endpoints
                    assert one.ports.isdisjoint(other.ports)

    @invariant()
    def an_older_foreign_service_keeps_its_address(self):
        for foreign in self.holders.values():
            if isinstance(foreign, Foreign):
                for holder in self.requests():
                    both = {*foreign.shown} & {*self.allocator.of(holder.ref).addresses}
                    assert not both or holder.age < foreign.age
                    said = [item.reason for item in self.allocator.of(holder.ref).diagnostics]
                    assert not both or 'AddressInUse' in said

    @invariant()
    def what_is_missing_is_said(self):
        for holder in self.requests():
            found = self.allocator.of(holder.ref)
            errors = [item for item in found.diagnostics if item.level == 'error']
            assert found.addresses or errors, holder
            assert set(found.addresses) >= {*holder.addresses} or errors
            families = {6 if ':' in address else 4 for address in found.addresses}
            assert families <= {*holder.families}
            assert holder.addresses or not holder.all_families or families == {*holder.families} or errors

    @invariant()
    def a_free_address_is_for_who_waits(self):
        used = {address for holder in self.holders.values() for address in self.shown_or_had(holder)}
        for holder in self.requests():
            found = self.allocator.of(holder.ref)
            for address in holder.addresses:
                place = POOLS.of(address)
                if len(holder.addresses) == 1 and address not in used and place and not holder.pool:
                    assert not place.serves(holder.namespace, ()) or (6 if ':' in address else 4) not in holder.families
            if not holder.addresses and not found.addresses and not holder.all_families:
                for place in POOLS.for_service(holder.namespace, (), holder.pool):
                    for address in IN_POOLS:
                        assert (
                            POOLS.of(address) != place
                            or address in used
                            or (6 if ':' in address else 4) not in holder.families
                        )

    @invariant()
    def room_at_a_shared_address_is_for_who_waits(self):
        for holder in self.requests():
            if (
                not holder.sharing_key
                or holder.addresses
                or self.allocator.of(holder.ref).addresses
                or holder.all_families
            ):
                continue
            for place in POOLS.for_service(holder.namespace, (), holder.pool):
                for address in IN_POOLS:
                    if POOLS.of(address) == place and (6 if ':' in address else 4) in holder.families:
                        assert self.allocator.occupancy.in_the_way(address, holder)

    def shown_or_had(self, holder):
        return holder.shown if isinstance(holder, Foreign) else self.allocator.of(holder.ref).addresses

    @invariant()
    def use_is_counted(self):
        used = {address for holder in self.holders.values() for address in self.shown_or_had(holder)}
        for place in POOLS.items:
            for family in (4, 6):
                of_pool = [each for each in used if POOLS.of(each) == place and (6 if ':' in each else 4) == family]
                assert self.allocator.occupancy.counts[place.name, family] == len(of_pool)


TestAllocating = Allocating.TestCase
