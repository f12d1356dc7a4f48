"""Whether a node serves what it should, and what kube-proxy's `/healthz` and `/livez` say of that.

A node is healthy while nothing that was taken in waits for longer than a minute until HAProxy and the kernel have it. A load balancer
in front of nodes asks `/healthz`, which fails besides while the Node is being removed; a supervisor asks `/livez`.
"""

import datetime as dt
import time

from aiohttp import web

from headrace.agent.loop import Loop
from headrace.agent.node_table import NodeTable

HEALTHZ, LIVEZ = '/healthz', '/livez'
# As long as kube-proxy takes for healthy what it has not done yet.
_LATE_SECONDS = 60.0
_FAMILIES = {4: 'IPv4', 6: 'IPv6'}


class NodeHealth:
    """The health of the node that an agent serves; `look` is called at intervals much shorter than a minute."""

    def __init__(self, loop: Loop, table: NodeTable) -> None:
        self._loop, self._table = loop, table
        # When all that was taken in had been applied (monotonic seconds).
        self._whole_at = float('-inf')

    def look(self) -> None:
        """Note whether all that was taken in is applied now."""
        if self._table.leads() and self._loop.serves_all():
            behind, now = self._loop.behind_since, time.monotonic()
            self._whole_at = now if behind is None else max(self._whole_at, behind)

    @property
    def good(self) -> bool:
        """Tell whether this node serves what it should."""
        return not self._table.table_sync.leaving and time.monotonic() - self._whole_at < _LATE_SECONDS

    def answer(self, path: str) -> web.Response:
        """Return the answer to a request for one of the two paths, as kube-proxy gives it."""
        good = healthy = self.good
        said: dict[str, object] = {}
        if path == HEALTHZ:
            healthy = good and self._is_eligible()
            said['nodeEligible'] = self._is_eligible()
        now = time.time()
        updated = _text(now if good else now - min(time.monotonic() - self._whole_at, now))
        families = {_FAMILIES[version]: {'lastUpdated': updated, 'healthy': good} for version in self._versions()}
        return web.json_response(
            {'lastUpdated': updated, 'currentTime': _text(now), **said, 'healthy': healthy, 'status': families},
            status=200 if healthy else 503,
            headers={'X-Content-Type-Options': 'nosniff'},
        )

    def _is_eligible(self) -> bool:
        return any(node.eligible for node in self._loop.store.nodes() if node.name == self._name)

    def _versions(self) -> list[int]:
        addresses = [each for node in self._loop.store.nodes() if node.name == self._name for each in node.addresses]
        return sorted({6 if ':' in address else 4 for address in addresses})

    @property
    def _name(self) -> str:
        return self._loop.state.context.topology.node


def _text(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat().replace('+00:00', 'Z')
