"""The journal of changes and reloads."""

from dataclasses import dataclass

from headrace.web.views import texts
from headrace.web.views.answers import Answer, Object, amount, count, items, named, text
from headrace.web.views.answers import texts as texts_of


@dataclass(frozen=True, slots=True)
class Part:
    """An object of a change, and what of it changed."""

    object: Object
    action: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A change or a reload."""

    at: str
    agent: str
    reload: bool
    parts: tuple[Part, ...]
    more: int
    effect: str
    took: str
    reasons: tuple[str, ...]
    level: str
    order: float


@dataclass(frozen=True, slots=True)
class Journal:
    """The newest entries, and how many changes agents keep."""

    entries: tuple[Entry, ...]
    kept: int
    number: int


def journal(answers: dict[str, Answer], most: int) -> Journal:
    """Return the newest entries of all agents, by name."""
    entries = [_entry(name, each) for name, answer in answers.items() for each in items(answer, 'items')]
    entries.sort(key=lambda entry: entry.order, reverse=True)
    kept, number = (sum(count(answer, key) for answer in answers.values()) for key in ('kept', 'number'))
    return Journal(tuple(entries[:most]), kept, number)


def _entry(agent: str, item: Answer) -> Entry:
    reload = text(item, 'type') == 'reload'
    refused = count(item, 'refused')
    if reload:
        good = item.get('good') is True
        effect = 'reloaded' if good else f'not reloaded: {text(item, "error")}'
        level = 'ok' if good else 'error'
    else:
        commands = count(item, 'commands')
        effect = f'{commands} command{"s" * (commands != 1)}' if commands else 'no command'
        effect += f', {refused} refused' if refused else ''
        level = 'warning' if refused else 'ok'
    return Entry(
        at=texts.moment(amount(item, 'at')),
        agent=agent,
        reload=reload,
        parts=tuple(
            Part(named(text(each, 'object')), text(each, 'action'), texts_of(each, 'parts'))
            for each in items(item, 'objects')
        ),
        more=count(item, 'more'),
        effect=effect,
        took=texts.duration(amount(item, 'seconds')),
        reasons=texts_of(item, 'reasons'),
        level=level,
        order=amount(item, 'at'),
    )
