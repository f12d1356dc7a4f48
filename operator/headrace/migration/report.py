"""The report of a migration: of each Ingress and each foreign key, how exactly it is served.

Pure: objects in, values out. It promises to name every foreign annotation of every Ingress exactly once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headrace.annotations.foreign.read import DIALECTS, read
from headrace.annotations.foreign.table import Verdict
from headrace.annotations.foreign.translation import Foreign
from headrace.objects.ingress import Ingress, IngressClass

# Controllers by what their IngressClasses have as `spec.controller`, and the names that their classes mostly have.
_CONTROLLERS = {'k8s.io/ingress-nginx': 'ingress-nginx', 'haproxy-ingress.github.io/controller': 'haproxy-ingress'}
_CLASSES = {'nginx': 'ingress-nginx', 'haproxy': 'haproxy-ingress'}


@dataclass(frozen=True, slots=True)
class IngressReport:
    """What becomes of one Ingress; `dialect` is '' where it has no foreign annotations."""

    ingress: Ingress
    class_name: str
    dialect: str
    foreign: Foreign

    def count(self, verdict: Verdict) -> int:
        """Return how many annotations have a verdict."""
        return sum(remark.verdict == verdict for remark in self.foreign.remarks)


@dataclass(frozen=True, slots=True)
class KeyReport:
    """A foreign key: how many Ingresses have it with each verdict, how many it closes, and what there is to know of it."""

    key: str
    verdicts: Mapping[Verdict, int]
    closes: int
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All Ingresses, all foreign keys, and the hosts that several namespaces name."""

    ingresses: tuple[IngressReport, ...]
    keys: tuple[KeyReport, ...]
    shared_hosts: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def closed(self) -> int:
        """Return how many Ingresses have an annotation that closes their routes."""
        return sum(bool(item.foreign.closed) for item in self.ingresses)

    def count(self, verdict: Verdict) -> int:
        """Return how many annotations have a verdict."""
        return sum(item.count(verdict) for item in self.ingresses)


def make(ingresses: Iterable[Ingress], classes: Iterable[IngressClass], dialect: str = '') -> Report:
    """Return the report of Ingresses; their dialect is that of their class, unless one is given for all."""
    controllers = {item.name: item.controller for item in classes}
    default = next((item.name for item in classes if item.is_default), '')
    reports = []
    for ingress in sorted(ingresses, key=lambda item: item.ref):
        name = ingress.class_annotation or ingress.class_name or default
        dialect_name = dialect or _dialect(ingress, name, controllers)
        foreign = read(dialect_name, ingress.annotations, ingress.namespace) if dialect_name else Foreign()
        reports.append(IngressReport(ingress, name, dialect_name, foreign))
    return Report(tuple(reports), _keys(reports), _shared_hosts(reports))


def _dialect(ingress: Ingress, class_name: str, controllers: Mapping[str, str]) -> str:
    """Return the dialect of an Ingress: of its class's controller, else of its class's name, else of its annotations."""
    dialect_name = _CONTROLLERS.get(controllers.get(class_name, '')) or _CLASSES.get(class_name)
    if dialect_name:
        return dialect_name
    for name, dialect in DIALECTS.items():
        if any(key.startswith(dialect.prefixes) for key, _ in ingress.annotations):
            return name
    return ''


def _keys(reports: list[IngressReport]) -> tuple[KeyReport, ...]:
    verdicts: dict[str, Counter[Verdict]] = {}
    closes: Counter[str] = Counter()
    texts: dict[str, dict[str, None]] = {}
    for item in reports:
        for remark in item.foreign.remarks:
            verdicts.setdefault(remark.key, Counter())[remark.verdict] += 1
            closes[remark.key] += remark.closes
            if remark.text:
                texts.setdefault(remark.key, {})[remark.text] = None
    return tuple(KeyReport(key, verdicts[key], closes[key], tuple(texts.get(key, ()))) for key in sorted(verdicts))


def _shared_hosts(reports: list[IngressReport]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    namespaces: dict[str, set[str]] = {}
    for item in reports:
        for host in [rule.host for rule in item.ingress.rules] + list(item.foreign.structure.aliases):
            if host:
                namespaces.setdefault(host, set()).add(item.ingress.namespace)
    return tuple((host, tuple(sorted(owners))) for host, owners in sorted(namespaces.items()) if len(owners) > 1)
