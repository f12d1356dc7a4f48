"""One object: what it asks for and has, its diagnostics, and its backends."""

from dataclasses import dataclass
from urllib.parse import urlencode

from headrace.web.views import masking
from headrace.web.views.answers import Answer, Object, count, items, named, text
from headrace.web.views.problems import Diagnostic, diagnostic

# As explanations name what can be claimed, and lists of routes.
_KINDS = {'route': 'route', 'TCP port': 'port', 'address': 'address', 'TLS of host': 'tls'}


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that the object wants: who has it, who waits."""

    what: str
    key: str
    holder: Object
    waiting: tuple[Object, ...]
    more_waiting: int
    link: str
    own: bool


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """An object: whether it is served, and why."""

    object: Object
    served: bool
    because: str
    claims: tuple[Claim, ...]
    more_claims: int
    diagnostics: tuple[Diagnostic, ...]
    backends: tuple[str, ...]


def page(subject: Object, explained: Answer, status: Answer) -> ObjectPage:
    """Return an object's page from its explanation and its status, of which the latter may be empty."""
    names = [text(each, 'name') for each in items(status, 'backends')]
    for claim in items(explained, 'claims'):
        if text(claim, 'what') != 'TLS of host':
            names += [name for name in text(claim, 'backend').split(', ') if name]
    return ObjectPage(
        object=subject,
        served=explained.get('served') is True,
        because=masking.told(text(explained, 'because')),
        claims=tuple(_claim(each, subject) for each in items(explained, 'claims')),
        more_claims=count(explained, 'moreClaims'),
        diagnostics=tuple(map(diagnostic, items(explained, 'diagnostics'))),
        backends=tuple(dict.fromkeys(names)),
    )


def _claim(item: Answer, subject: Object) -> Claim:
    holder, waiting = named(text(item, 'holder')), item.get('waiting')
    kind, key = _KINDS.get(text(item, 'what'), ''), text(item, 'key')
    return Claim(
        what=text(item, 'what'),
        key=key,
        holder=holder,
        waiting=tuple(named(each) for each in (waiting if isinstance(waiting, list) else ()) if isinstance(each, str)),
        more_waiting=count(item, 'moreWaiting'),
        link='/route?' + urlencode({'kind': kind, 'key': key}) if kind else '',
        own=holder == subject,
    )
