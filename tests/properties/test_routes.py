"""Merged routes: the incremental state equals the one from scratch, and shares follow weights."""

from hypothesis import assume, given
from hypothesis import strategies as st

from headrace.haproxy.encode import routes
from headrace.ir.routing import Split, WeightedBackend
from headrace.names import Ref
from headrace.resolve.virtual_hosts import VirtualHosts, merge, rank
from support.routed import NEW, OLD, by_owner, candidate, conditions, route

PLACES = st.sampled_from([route('/'), route('/a'), route('/a', match='exact'), route('/', host='*.r.com')])
CONDITIONS = st.builds(
    conditions,
    st.sampled_from(['', 'GET', 'POST']),
    st.sampled_from([(), [('x', '1')], [('x', '2')], [('x', '1'), ('y', '1')]]),
    st.sampled_from([(), [('q', '1')]]),
    st.sampled_from(['', '', '^/a']),
)
OWNERS = st.sampled_from(['a', 'b', 'c', 'd'])
CREATED = st.sampled_from([OLD, NEW])


@st.composite
def histories(draw):
    """Changes of objects: each has its age, and a list of candidates, which may be empty."""
    found = []
    for _ in range(draw(st.integers(1, 12))):
        owner, created = draw(OWNERS), draw(CREATED)
        wanted = draw(st.lists(st.tuples(PLACES, CONDITIONS), max_size=4))
        found.append(
            (
                Ref('HTTPRoute', 'shop', owner),
                [
                    (place, candidate(f'b{rule}', item, owner=owner, created=created, rule=rule))
                    for rule, (place, item) in enumerate(wanted)
                ],
            )
        )
    return found


def snapshot(hosts):
    return {place: hosts.at(place) for place in hosts.routes()}


@given(histories(), st.randoms(use_true_random=False))
def test_what_stands_after_any_history_is_what_the_last_objects_become_in_any_order(history, random):
    hosts, last = VirtualHosts(), {}
    for ref, wanted in history:
        before = snapshot(hosts)
        changed = hosts.replace(ref, wanted)
        after = snapshot(hosts)
        assert changed == {place for place in before.keys() | after.keys() if before.get(place) != after.get(place)}
        last[ref] = wanted
    scratch, order = VirtualHosts(), list(last)
    random.shuffle(order)
    for ref in order:
        scratch.replace(ref, last[ref])
    assert snapshot(scratch) == snapshot(hosts)
    assert {ref: {place for place, _ in wanted} for ref, wanted in last.items() if wanted} == hosts._routes


@given(histories())
def test_no_candidate_is_lost_and_only_the_last_one_has_no_conditions(history):
    wanted = [pair for _, pairs in history[-1:] for pair in pairs]
    hosts = VirtualHosts()
    for ref, pairs in by_owner(wanted).items():
        hosts.replace(ref, pairs)
    for place in hosts.routes():
        merged = hosts.at(place)
        there = [item for where, item in wanted if where == place]
        assert sorted([*merged.candidates, *(found.candidate for found in merged.shadowed)], key=rank) == sorted(
            there, key=rank
        )
        assert all(found.by.conditions == found.candidate.conditions for found in merged.shadowed)
        assert not any(merge([item]).plain for item in merged.candidates[:-1])


@given(st.lists(st.integers(0, 1_000_000), min_size=1, max_size=routes.MAX_BACKENDS))
def test_shares_are_within_one_draw_of_the_weights(weights):
    assume(any(weights))
    backends = tuple(WeightedBackend(f'b{number}', weight) for number, weight in enumerate(weights))
    target, drawn = Split(backends, 'p'), dict.fromkeys(backends, 0)
    for first, end, backend in routes._ranges(target):
        drawn[backend] += end - first
    for backend in backends:
        exact = backend.weight * routes.DRAWS / sum(weights)
        assert abs(drawn[backend] - exact) <= 1 + 1e-6
        assert backend.weight or not drawn[backend]
    assert sum(drawn.values()) == routes.DRAWS


@given(st.lists(st.integers(0, routes.DRAWS), min_size=2, max_size=2).map(sorted))
def test_prefixes_cover_each_draw_of_their_range_once(ends):
    first, end = ends
    covered = [
        draw
        for prefix in routes.prefixes(first, end)
        for draw in range(routes.DRAWS)
        if f'{draw:03X}'.startswith(prefix)
    ]
    assert covered == list(range(first, end))
