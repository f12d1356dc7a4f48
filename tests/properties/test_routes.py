"""Merged routes: the incremental state equals the one from scratch, and shares follow weights."""

from hypothesis import assume, given
from hypothesis import strategies as st

from headrace.haproxy.encode import routes
from headrace.ir.routing import Split, WeightedBackend
from headrace.names import Ref
from headrace.resolve.virtual_hosts import order, serving
from support.routed import NEW, OLD, MadeUp, candidate, conditions, route

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


@given(histories(), st.randoms(use_true_random=False))
def test_what_stands_after_any_history_is_what_the_last_objects_become_in_any_order(history, random):
    made, last = MadeUp(), {}
    for ref, wanted in history:
        made.replace(ref, wanted)
        last[ref] = wanted
    scratch, refs = MadeUp(), list(last)
    random.shuffle(refs)
    for ref in refs:
        scratch.replace(ref, last[ref])
    assert scratch.table() == made.table()


@given(histories())
def test_only_equal_conditions_keep_a_candidate_from_serving(history):
    offers = [offer for ref, pairs in dict(history).items() for _, offer in pairs]
    kept = list(serving(offers).values())
    assert kept == sorted(kept, key=order)
    assert {offer.candidate.conditions for offer in kept} == {offer.candidate.conditions for offer in offers}
    for offer in offers:
        (first,) = [each for each in kept if each.candidate.conditions == offer.candidate.conditions]
        assert order(first) <= order(offer)


@given(st.lists(st.integers(0, 1_000_000), min_size=1, max_size=routes.MAX_BACKENDS))
def test_shares_are_within_one_draw_of_the_weights(weights):
    assume(any(weights))
    backends = tuple(WeightedBackend(f'b{number}', weight) for number, weight in enumerate(weights))
    target, drawn = Split(backends, 'p'), dict.fromkeys(backends, 0)
    for first, end, backend in routes.ranges(target):
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
