"""The targets that headrace is measured by, and whether a run has met them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.bench.figures import shown
from tools.bench.report import Report


@dataclass(frozen=True, slots=True)
class Target:
    """A bound of figures. `name` is a pattern of whole names, of which the worst counts; `minus` and `over` are single names.

    `minus` is what the same run takes without headrace, `over` what it is a ratio to.
    """

    what: str
    unit: str
    limit: float
    part: str
    name: str
    minus: str = ''
    over: str = ''
    at_least: bool = False

    def found(self, report: Report) -> float | None:
        """Return what a run has found, None where it was not measured."""
        part = report.parts.get(self.part)
        values = [figure.value for figure in part.figures if re.fullmatch(self.name, figure.name)] if part else []
        others = [report.figure(self.part, other) for other in (self.minus, self.over) if other]
        if not values or None in others:
            return None
        worst = min(values) if self.at_least else max(values)
        for other in others:
            assert other is not None
            worst = worst - other.value if self.minus else worst / other.value
        return worst

    def met(self, value: float) -> bool:
        """Tell whether a value is within the bound."""
        return value >= self.limit if self.at_least else value <= self.limit

    @property
    def bound(self) -> str:
        """Return the bound as it is written."""
        if not self.limit:
            return 'none'
        return f'{"≥" if self.at_least else "≤"} {shown(self.limit)}{f" {self.unit}" if self.unit else ""}'


def _over_the_write(services: int) -> Iterator[Target]:
    for quantile, limit in (('p50', 1.5), ('p99', 4.0)):
        yield Target(
            f'API write to the first request on a new endpoint, over the write alone, {services:,} Services, {quantile}',
            'ms', limit, 'cluster', f'{services}: API write to request, ms, {quantile}',
            minus=f'{services}: API write alone, ms, {quantile}',
        )  # fmt: skip


TARGETS = (
    *_over_the_write(5000),
    *_over_the_write(10_000),
    Target('API write of a new HTTPRoute until it serves, p99', 'ms', 30, 'routes', 'propagation: write to request, ms, p99'),
    Target('API write of a new Ingress until it serves, p99', 'ms', 30, 'arrivals', r'\d+: for a Service: write to request, ms, p99'),
    Target('an HTTPRoute while 5,000 routes change, p99', 'ms', 50, 'routes', 'churn: write to request, ms, p99'),
    Target('answers but 404 and then 200 meanwhile: HTTPRoutes', '', 0, 'routes', '(propagation|churn): errors'),
    Target('answers but 404 and then 200 meanwhile: Ingresses', '', 0, 'arrivals', r'\d+: answers other than 404 and 200'),
    Target('reloads meanwhile: HTTPRoutes', '', 0, 'routes', '(propagation|churn): reloads'),
    Target('reloads meanwhile: Ingresses', '', 0, 'arrivals', r'\d+: reloads'),
    Target('1,000 HTTPRoutes attached until the status of the Gateway says so', 's', 3, 'routes', 'attached: counted, s from the first write'),
    Target('1,000 HTTPRoutes removed until it says so', 's', 3, 'routes', 'attached: none counted, s from the first write'),
    Target('reloads while 10,000 varied Services come, change and go', '', 0, 'reloads', '.*: reloads'),
    Target('reloads while 10,000 Ingresses come, change and go', '', 0, 'ingress', '.*: reloads'),
    Target('cold start, 10,000 Services of ten endpoints', 's', 3, 'live', '10000: cold start, s'),
    Target("the agent's memory, 10,000 Services of ten endpoints", 'MB', 120, 'live', '10000: agent RSS, MB'),
    Target('controller with 10,000 objects: CPU when idle', '% of a core', 1, 'controller', '10000 Services: CPU when idle.*'),
    Target('controller with 10,000 objects: statuses written in a second', '', 200, 'controller', '10000 Services: statuses written.*', at_least=True),
    Target('request p99 while 50 endpoints change a second, against without, agent on another core', 'times', 1.2, 'live', '10000: request p99, agent on another core, ratio'),
    Target('the same, all on the same two cores', 'times', 1.2, 'live', '10000: request p99, cores shared, ratio'),
    Target('requests per CPU second against a hand-written configuration that does the same', 'times', 0.95, 'requests', '.*, the same work: requests per CPU second, ratio', at_least=True),
    Target('requests lost in 60 s while endpoints roll, reloads come, the agent is killed, a listener comes and goes', '', 0, 'loss', 'requests lost'),
    Target('node role, 10,000 chosen Services: start', 's', 8, 'node', '10000, an agent: start beside nothing, s'),
    Target("node role: the agent's memory, beside as many Services", 'MB', 200, 'node', '10000, an agent: agent RSS, MB'),
    Target('node role: a new Service in the kernel, p99', 'ms', 30, 'node', '10000, an agent: one more Service: to the kernel too, ms, p99'),
    *(
        Target(f"node role, plain TCP, {kind}: requests/s against kube-proxy's DNAT", 'times', 0.97, 'node', f'{kind}: headrace, kernel: ratio to direct', over=f'{kind}: DNAT as of kube-proxy: ratio to direct', at_least=True)
        for kind in ('keep-alive', 'a connection each')
    ),
)  # fmt: skip


def rows(report: Report) -> Iterator[tuple[str, str, str, str]]:
    """Yield each target, its bound, what was found, and whether that meets it."""
    for target in TARGETS:
        value = target.found(report)
        if value is None:
            yield target.what, target.bound, '–', '–'
        else:
            yield target.what, target.bound, shown(value), 'yes' if target.met(value) else 'no'
