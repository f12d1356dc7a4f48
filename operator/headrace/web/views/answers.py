"""Reading answers of agents: values of the expected type, or empty ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Answer = dict[str, Any]
_LONGEST = 2000


def text(answer: Answer, key: str) -> str:
    """Return a text, cut at a length that no honest one has."""
    found = answer.get(key)
    return found[:_LONGEST] if isinstance(found, str) else ''


def amount(answer: Answer, key: str) -> float:
    """Return a number."""
    found = answer.get(key)
    return float(found) if isinstance(found, int | float) else 0.0


def count(answer: Answer, key: str) -> int:
    """Return a whole number."""
    return int(amount(answer, key))


def items(answer: Answer, key: str) -> Iterator[Answer]:
    """Yield the objects of a list."""
    found = answer.get(key)
    yield from (item for item in (found if isinstance(found, list) else ()) if isinstance(item, dict))


def texts(answer: Answer, key: str) -> tuple[str, ...]:
    """Return the texts of a list."""
    found = answer.get(key)
    return tuple(item[:_LONGEST] for item in (found if isinstance(found, list) else ()) if isinstance(item, str))


def mapping(answer: Answer, key: str) -> Answer:
    """Return an object, an empty one where there is none."""
    found = answer.get(key)
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True, order=True)
class Object:
    """An object of the cluster, and where its page is."""

    namespace: str
    name: str
    kind: str

    @property
    def shown(self) -> str:
        """Return it as diagnostics and logs show it."""
        return f'{self.kind} {self.namespace}/{self.name}' if self.namespace else f'{self.kind} {self.name}'

    @property
    def path(self) -> str:
        """Return the path of its page, '' where it can have none."""
        if not (self.kind and self.namespace and self.name):
            return ''
        return '/'.join(('/objects', *(quote(part, safe='') for part in (self.kind, self.namespace, self.name))))


def reference(answer: Answer) -> Object:
    """Return the object that `kind`, `namespace` and `name` tell."""
    return Object(text(answer, 'namespace'), text(answer, 'name'), text(answer, 'kind'))


def named(shown: str) -> Object:
    """Return the object of a text `Kind namespace/name`."""
    kind, _, rest = shown.partition(' ')
    namespace, slash, name = rest.partition('/')
    return Object(namespace, name, kind) if slash else Object('', rest, kind)
