"""The parts of the bench in their order, what they need to be built, and how many seconds each of them has.

Budgets are about twice what a part takes on two cores that nothing else uses. Together, with ten minutes for what has to be
built on a machine that has built nothing yet, they are within an hour.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tools.bench import cluster_parts, parts
from tools.bench.figures import Figures
from tools.bench.parts import Chosen

CONTROL_PLANE, DEFINITIONS = 'build_controlplane.py', 'build_conformance.py'


@dataclass(frozen=True, slots=True)
class Part:
    """How a part is measured, how many seconds it has, and the programs in tools/ that build what it needs."""

    measure: Callable[[Chosen], Figures]
    seconds: int
    builds: tuple[str, ...] = ()


PARTS = {
    'live': Part(parts.live, 520),
    'cluster': Part(cluster_parts.cluster, 300, (CONTROL_PLANE,)),
    'arrivals': Part(cluster_parts.arrivals, 260, (CONTROL_PLANE,)),
    'routes': Part(cluster_parts.routes, 330, (CONTROL_PLANE, DEFINITIONS)),
    'requests': Part(parts.requests, 120),
    'authentication': Part(parts.authentication, 30),
    'route-kinds': Part(parts.route_kinds, 60),
    'node': Part(parts.node, 270),
    'controller': Part(parts.controller, 150),
    'pools': Part(parts.pools, 30),
    'soak': Part(parts.soak, 240),
    'loss': Part(parts.loss, 120),
    'ingress': Part(parts.ingress, 100),
    'reloads': Part(parts.reloads, 90),
    'render': Part(parts.render, 60),
    'endpoint': Part(parts.endpoint, 60),
    'memory': Part(parts.memory, 110),
    'haproxy': Part(parts.haproxy, 90),
    'transition': Part(parts.transition, 60),
}
