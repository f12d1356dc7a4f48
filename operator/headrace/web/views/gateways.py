"""Gateways and ListenerSets with their listeners and addresses."""

from dataclasses import dataclass

from headrace.web.views.answers import Answer, Object, count, items, reference, text, texts
from headrace.web.views.lists import Pages, Wanted, pages


@dataclass(frozen=True, slots=True)
class Listener:
    """One listener and how many routes are attached to it."""

    name: str
    protocol: str
    port: int
    hostname: str
    routes: int


@dataclass(frozen=True, slots=True)
class Gateway:
    """A Gateway or ListenerSet."""

    object: Object
    class_name: str
    addresses: tuple[str, ...]
    listeners: tuple[Listener, ...]
    more_listeners: int


@dataclass(frozen=True, slots=True)
class Gateways:
    """A page of them."""

    rows: tuple[Gateway, ...]
    pages: Pages


def gateways(answer: Answer, asked: Wanted) -> Gateways:
    """Return the page of an agent's list."""
    rows = tuple(map(_gateway, items(answer, 'items')))
    return Gateways(rows, pages(asked, answer, len(rows)))


def _gateway(item: Answer) -> Gateway:
    return Gateway(
        reference(item),
        text(item, 'className'),
        texts(item, 'addresses'),
        tuple(
            Listener(
                text(each, 'name'),
                text(each, 'protocol'),
                count(each, 'port'),
                text(each, 'hostname'),
                count(each, 'routes'),
            )
            for each in items(item, 'listeners')
        ),
        count(item, 'moreListeners'),
    )
