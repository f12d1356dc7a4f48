"""Giving Services back to kube-proxy on request: the wish is taken away, and the controller does the rest."""

import asyncio
from collections.abc import Callable
from typing import Any

from headrace.controller.client import Client
from headrace.kube.calls import NotFoundError
from headrace.objects.services import CHOSEN_LABEL, PROXY_NAME_LABEL

_WISH = 'headrace.io/proxy'
_STEP_SECONDS = 0.5


async def give_back(
    client: Client, class_name: str, named: tuple[tuple[str, str], ...], say: Callable[[str], None]
) -> list[tuple[str, str]]:
    """Take the wish of some Services away, all that are chosen where none is named; return which. Raises CallError."""
    wanted = list(named)
    if not wanted:
        found = await client.services(f'{CHOSEN_LABEL}={class_name}')
        wanted = [(str(item.metadata.namespace), str(item.metadata.name)) for item in found if item.metadata]
    for namespace, name in wanted:
        body: dict[str, Any] = {'metadata': {'annotations': {_WISH: None}}}
        await client.patch_service(namespace, name, body)
        say(f'{namespace}/{name}: kube-proxy gets it back')
    return wanted


async def wait(client: Client, class_name: str, returned: list[tuple[str, str]]) -> None:
    """Wait until kube-proxy serves Services again and no node does any more; raises CallError."""
    left = list(returned)
    while left:
        left = [one for one in left if await _is_held(client, class_name, *one)]
        if left:
            await asyncio.sleep(_STEP_SECONDS)


async def _is_held(client: Client, class_name: str, namespace: str, name: str) -> bool:
    try:
        found = await client.service(namespace, name)
    except NotFoundError:
        return False
    labels = (found.metadata.labels if found.metadata else None) or {}
    return class_name in (labels.get(CHOSEN_LABEL), labels.get(PROXY_NAME_LABEL))
