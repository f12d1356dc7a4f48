"""The agents of an installation, and what each says of itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.web.views.answers import Answer, amount, count, items, mapping, text, texts


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that stands in the way of an agent."""

    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Table:
    """A node's table of nftables: whether it is good, held by this agent, and leads past HAProxy."""

    good: bool
    held: bool
    bypass: bool
    elements: int
    transactions: int
    repairs: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a reload, and why."""

    reason: str
    objects: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent; `error` tells why it did not answer, '' where it did. `node` is the Node that it runs on, where that is known."""

    name: str
    error: str = ''
    node: str = ''
    role: str = ''
    class_name: str = ''
    version: str = ''
    haproxy: str = ''
    started: float = 0.0
    ready: bool = False
    problems: tuple[Problem, ...] = ()
    objects: tuple[tuple[str, int], ...] = ()
    routes: int = 0
    errors: int = 0
    warnings: int = 0
    notes: int = 0
    events: int = 0
    commands: int = 0
    refused: int = 0
    reloads: int = 0
    changes: int = 0
    old_workers: int = 0
    draining: int = 0
    waiting: tuple[Waiting, ...] = ()
    gateway_ports: tuple[int, ...] = ()
    table: Table | None = None

    @property
    def state(self) -> str:
        """Return the agent's state in a word or two."""
        if self.error:
            return 'no answer'
        if not self.ready:
            return 'not ready'
        return 'problems' if self.problems else 'ready'


def agent(name: str, node: str, answer: Answer | None, error: str) -> Agent:
    """Return an agent from what it answered about itself."""
    if answer is None:
        return Agent(name, error=error or 'no answer', node=node)
    levels, worker, table = mapping(answer, 'diagnostics'), mapping(answer, 'worker'), mapping(answer, 'table')
    return Agent(
        name=name,
        node=text(answer, 'node') or node,
        role=text(answer, 'role'),
        class_name=text(answer, 'class'),
        version=text(answer, 'version'),
        haproxy=text(worker, 'version'),
        started=amount(answer, 'started'),
        ready=answer.get('ready') is True,
        problems=tuple(Problem(key, str(value)[:500]) for key, value in mapping(answer, 'problems').items()),
        objects=tuple((kind, count(mapping(answer, 'objects'), kind)) for kind in mapping(answer, 'objects')),
        routes=count(answer, 'routes'),
        errors=count(levels, 'error'),
        warnings=count(levels, 'warning'),
        notes=count(levels, 'info'),
        events=count(answer, 'events'),
        commands=count(answer, 'commands'),
        refused=count(answer, 'refused'),
        reloads=count(answer, 'reloads'),
        changes=count(answer, 'changes'),
        old_workers=count(answer, 'oldWorkers'),
        draining=count(answer, 'draining'),
        waiting=tuple(
            Waiting(text(each, 'reason'), texts(each, 'objects'), text(each, 'why'))
            for each in items(answer, 'waiting')
        ),
        gateway_ports=tuple(port for port in answer.get('gatewayPorts') or () if isinstance(port, int)),
        table=_table(table) if table else None,
    )


def _table(answer: Answer) -> Table:
    numbers = (count(answer, key) for key in ('elements', 'transactions', 'repairs'))
    return Table(*(answer.get(key) is True for key in ('good', 'held', 'bypass')), *numbers)


def model_of(agents: Iterable[Agent], chosen: str = '') -> Agent | None:
    """Return the agent whose model is shown: the one that was chosen, else the first of the edge that is ready, else any."""
    answering = [each for each in agents if not each.error]
    named = [each for each in answering if each.name == chosen]
    return min(named or answering, key=lambda each: (not each.ready, each.role != 'edge', each.name), default=None)
