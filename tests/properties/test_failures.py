"""Random failures about random objects change nothing for the others."""

from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from headrace.names import Ref
from headrace.translate import services
from properties import strategies
from properties.living import Model

TRANSLATE, REFRESH = services.translate, services.refresh


def stage(real, of, bad):
    def poisoned(thing, *rest):
        if of(thing) in bad:
            raise LookupError(of(thing))
        return real(thing, *rest)

    return poisoned


def poisoned(bad):
    """Make all of the translation of some objects fail."""
    return mock.patch.multiple(
        services,
        translate=stage(TRANSLATE, lambda service: service.ref, bad),
        refresh=stage(REFRESH, lambda held: held.ref, bad),
    )


@given(before=strategies.worlds(), events=strategies.batches(), data=st.data())
def test_what_fails_costs_itself_only(before, events, data):
    model, plain = Model(), Model()
    refs = sorted(
        {
            Ref('Service', item['metadata']['namespace'], item['metadata']['name'])
            for batch in (before, *events)
            for item in batch
            if isinstance(item, dict) and item['kind'] == 'Service'
        }
    )
    bad = data.draw(st.sets(st.sampled_from(refs), max_size=2)) if refs else set()
    for batch in (before, *events):
        with poisoned(bad):
            change = model.change(batch)
        assert {failure.ref for failure in change.failures} <= bad
        # Without those that fail, which have never served: their objects exist all the same, and are read by others.
        plain.change(batch)
    found, expected = model.state, plain.scratch()
    for ref in bad:
        fragment = found.fragments.get(ref)
        assert fragment is None or fragment.claims == ()
    # What the others claim is theirs, but where one that fails would have had it.
    touched = {
        (claim.kind, claim.key) for ref in bad if ref in expected.fragments for claim in expected.fragments[ref].claims
    }
    demanded = {
        demand.service for ref in bad if ref in expected.fragments for demand in expected.fragments[ref].demands
    }
    demanding = {ref for ref, held in expected.fragments.items() for demand in held.demands if demand.service in bad}
    for ref in expected.fragments.keys() - bad - demanded - demanding:
        assert found.fragments[ref] == expected.fragments[ref]
    hosts = {key.partition('/')[0] for _, key in touched}
    # A wildcard keeps the hosts below it, too.
    hosts |= {
        host
        for _, key in dict(expected.pointers())
        if f'*.{(host := key.partition("/")[0]).partition(".")[2]}' in hosts
    }
    # And what a wildcard shows leaves out the hosts below it that others have.
    hosts |= {f'*.{host.partition(".")[2]}' for host in hosts}
    for key, content in expected.pointers():
        owners = set(expected.claims.parties(key))
        if key not in touched and key[1].partition('/')[0] not in hosts and not owners & (bad | demanded | demanding):
            assert found.claims.content(key, found.fragments) == content
    # When the fault is mended, all is as if it had never been.
    model.state.update(model.store, [item.ref for item in model.store.objects()])
    assert model.state.fragments == expected.fragments
    assert dict(model.state.pointers()) == dict(expected.pointers())
