"""What the candidates of several objects at one route become together, in the order of the Gateway API.

Where conditions of all candidates of a route can fail, a request goes on to the next shorter path of the host. That
follows from the keys when a request comes, so a route depends on no other one, and a change of an object touches its own
routes alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.ir.fragment import Content, Fragment
from headrace.ir.pointers import NoRoute, Pointer
from headrace.ir.routing import ALWAYS, Candidate, Candidates, Conditions, Split, Target
from headrace.names import Ref

Order = tuple[bool, bool, int, bool, int, int, str, str, str, str, int]


@dataclass(frozen=True, slots=True)
class Offer:
    """A candidate and the object that it is of."""

    owner: Ref
    created: str
    candidate: Candidate


def offers(fragment: Fragment, value: Content) -> list[Offer]:
    """Return the candidates that a fragment has at a route, as its claim's value says."""
    if isinstance(value, Candidates):
        return [Offer(fragment.ref, fragment.created, item) for item in value.items]
    if isinstance(value, Pointer | Split | NoRoute):
        return [Offer(fragment.ref, fragment.created, Candidate(value))]
    return []


def order(offer: Offer) -> Order:
    """Return what orders candidates of one route: the most specific conditions first, then the oldest object.

    The Gateway API names, in this order: a method, most headers, most query parameters, the oldest object, namespace and
    name, the first rule. It leaves the place of expressions of the path open; here they come first, the longest before others.
    """
    conditions, owner = offer.candidate.conditions, offer.owner
    return (
        isinstance(offer.candidate.target, NoRoute),
        not conditions.path,
        -conditions.path_length,
        not conditions.method,
        -len(conditions.headers),
        -len(conditions.query),
        offer.created,
        owner.namespace,
        owner.name,
        owner.kind,
        offer.candidate.rule,
    )


def serving(every: Iterable[Offer]) -> dict[Conditions, Offer]:
    """Return by its conditions, in their order, each candidate that can serve.

    A candidate without conditions sorts last, and one whose conditions include those of another one sorts before it; so
    only equal conditions keep a candidate from ever serving.
    """
    candidates: dict[Conditions, Offer] = {}
    for offer in sorted(every, key=order):
        candidates.setdefault(offer.candidate.conditions, offer)
    return candidates


def merged(every: Iterable[Offer]) -> Target | Candidates:
    """Return what stands at a route of which there is at least one candidate: one target where no conditions decide."""
    candidates = tuple(offer.candidate for offer in serving(every).values())
    return candidates[0].target if candidates[0].conditions == ALWAYS else Candidates(candidates)
