"""Taking the startup taint from Nodes whose agent serves, so that no pod is there before its Services can be reached.

Kubelets register their Nodes with the taint; headrace does not set it. Only the taint of this key goes, and only from a Node
that has not changed since it was read.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from headrace.controller.agents import Agent
from headrace.kube.calls import CallError
from headrace.translate.build_context import Role

log = logging.getLogger(__name__)
_STEP_SECONDS = 1.0


class Nodes(Protocol):
    """The calls that this needs; they raise CallError."""

    async def node(self, name: str) -> dict[str, Any]:
        """Return a Node's `metadata.resourceVersion` and `spec.taints`, as a document."""

    async def patch_node(self, name: str, body: dict[str, Any]) -> None:
        """Change a Node (merge patch)."""


class Startup:
    """Watches the agents. `epoch` is the highest number of a Service that is handed over."""

    def __init__(
        self, taint: str, client: Nodes, agents: Callable[[], tuple[Agent, ...]], epoch: Callable[[], int]
    ) -> None:
        self._taint, self._client, self._agents, self._epoch = taint, client, agents, epoch
        # The Nodes that were looked at, and for which agent: a Node that comes again has another one.
        self._cleared: dict[str, str] = {}

    async def run(self) -> None:
        """Remove taints until cancelled."""
        while True:
            await self.advance()
            await asyncio.sleep(_STEP_SECONDS)

    async def advance(self) -> None:
        """Take the taint from each Node whose agent has come to serve."""
        epoch = self._epoch()
        serving = {
            agent.node: agent.name
            for agent in self._agents()
            if agent.role == Role.NODE and agent.node and agent.epoch >= epoch
        }
        self._cleared = {node: name for node, name in self._cleared.items() if serving.get(node) == name}
        for node in sorted(serving.keys() - self._cleared.keys()):
            try:
                if await self._clear(node):
                    log.info('the Node is open to pods', extra={'node': node})
            except CallError as error:
                log.warning('the startup taint stays', extra={'node': node, 'error': str(error)[:300]})
                continue
            self._cleared[node] = serving[node]

    async def _clear(self, name: str) -> bool:
        patch = without(await self._client.node(name), self._taint)
        if patch is not None:
            await self._client.patch_node(name, patch)
        return patch is not None


def without(node: Mapping[str, Any], taint: str) -> dict[str, Any] | None:
    """Return the patch that takes a taint from a Node as it was read, None where it has none."""
    taints = (node.get('spec') or {}).get('taints') or []
    others = [each for each in taints if each.get('key') != taint]
    if len(others) == len(taints):
        return None
    return {'metadata': {'resourceVersion': node['metadata']['resourceVersion']}, 'spec': {'taints': others or None}}
