"""What clients can ask for: the list of routes, and one route with its candidates."""

from dataclasses import dataclass
from urllib.parse import urlencode

from headrace.web.views import masking
from headrace.web.views.answers import Answer, Object, count, items, mapping, reference, text, texts
from headrace.web.views.lists import Pages, Wanted, columns, pages

ORDERS = ('key', 'object', 'kind')


@dataclass(frozen=True, slots=True)
class Row:
    """A route, or another thing that only one object can have: who has it, and who waits. `link` leads to its page."""

    kind: str
    shown: str
    match: str
    holder: Object
    waiting: tuple[Object, ...]
    more_waiting: int
    backends: tuple[str, ...]
    state: str
    link: str
    gateway: str = ''

    @property
    def conflicts(self) -> int:
        """Return how many objects wait."""
        return len(self.waiting) + self.more_waiting


@dataclass(frozen=True, slots=True)
class Routes:
    """A page of routes."""

    rows: tuple[Row, ...]
    pages: Pages


def row(item: Answer) -> Row:
    """Return one row."""
    kind, host, path = text(item, 'kind'), text(item, 'host'), text(item, 'path')
    exact = item.get('exact') is True
    return Row(
        kind=kind,
        shown=f'{host or "*"}{path}' if kind == 'route' else host,
        match=('exact' if exact else 'prefix') if kind == 'route' else '',
        holder=reference(mapping(item, 'holder')),
        waiting=tuple(map(reference, items(item, 'waiting'))),
        more_waiting=count(item, 'moreWaiting'),
        backends=texts(item, 'backends'),
        state=text(item, 'state'),
        link='/route?' + urlencode({'kind': kind, 'key': text(item, 'key')}),
        gateway=text(item, 'gateway'),
    )


def routes(answer: Answer, asked: Wanted) -> Routes:
    """Return the page of an agent's list."""
    rows = tuple(map(row, items(answer, 'items')))
    titles = (('Host and path, or port', 'key'), ('Kind', 'kind'), ('Object', 'object'), ('Waiting', ''), ('State', ''))
    return Routes(rows, pages(asked, answer, len(rows), columns(asked, *titles, usual='key')))


@dataclass(frozen=True, slots=True)
class Target:
    """A backend that a candidate leads to, and its share of the candidate's requests."""

    backend: str
    share: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate of a route, in their order: its conditions, and where it leads."""

    owner: Object
    conditions: tuple[str, ...]
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """One route: the row of the list, and its candidates. `url` is one that leads to it, '' where none can be made."""

    row: Row
    candidates: tuple[Candidate, ...]
    more_candidates: int
    url: str


def route(answer: Answer) -> Route:
    """Return one route from an agent's answer."""
    found = row(answer)
    candidates = tuple(map(_candidate, items(answer, 'candidates')))
    return Route(found, candidates, count(answer, 'moreCandidates'), _url(answer, found))


def _candidate(item: Answer) -> Candidate:
    conditions = [f'method {text(item, "method")}'] if text(item, 'method') else []
    for part, word in (('headers', 'header'), ('query', 'query parameter')):
        for each in items(item, part):
            name, sign = text(each, 'name'), '~' if each.get('expression') is True else '='
            conditions.append(f'{word} {name} {sign} {masking.value(name, text(each, "value"))}')
    if text(item, 'path'):
        conditions.append(f'path ~ {text(item, "path")}')
    targets = [(text(each, 'backend'), count(each, 'weight')) for each in items(item, 'targets')]
    total = sum(weight for _, weight in targets) or 1
    return Candidate(
        reference(mapping(item, 'owner')),
        tuple(conditions),
        tuple(Target(backend, weight / total) for backend, weight in targets),
    )


def _url(answer: Answer, found: Row) -> str:
    host = text(answer, 'host')
    if found.kind != 'route' or not host:
        return ''
    host = 'www.example.com' if host == '*' else host.replace('*', 'www', 1)
    port = text(answer, 'gateway')
    scheme = 'https' if answer.get('tls') is True else 'http'
    usual = {'http': '80', 'https': '443'}[scheme]
    return f'{scheme}://{host}{f":{port}" if port and port != usual else ""}{text(answer, "path") or "/"}'
