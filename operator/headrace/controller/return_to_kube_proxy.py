"""Giving Services back to kube-proxy on request: the wish is taken away, and the controller does the rest."""

import asyncio
from collections.abc import Callable
from typing import Any

from headrace.controller.client import Client
from headrace.controller.uninstall import Installation
from headrace.objects.services import CHOSEN_LABEL, PROXY_NAME_LABEL

_WISH = 'headrace.io/proxy'
_STEP_SECONDS = 0.5


async def give_back(
    client: Client, which: Installation, named: tuple[tuple[str, str], ...], say: Callable[[str], None]
) -> list[tuple[str, str]]:
    """Take the wish of some Services away, all that are chosen where none is named; return which. Raises CallError."""
    wanted = list(named)
    if not wanted:
        for namespace in which.namespaces or ('',):
            wanted += await client.labelled(f'{CHOSEN_LABEL}={which.class_name}', namespace)
    for namespace, name in wanted:
        body: dict[str, Any] = {'metadata': {'annotations': {_WISH: None}}}
        await client.patch_service(namespace, name, body)
        say(f'{namespace}/{name}: kube-proxy gets it back')
    return wanted


async def wait(client: Client, class_name: str, returned: list[tuple[str, str]]) -> None:
    """Wait until kube-proxy serves Services again and no node does any more; raises CallError."""
    left = set(returned)
    while left:
        labels = [f'{key}={class_name}' for key in (CHOSEN_LABEL, PROXY_NAME_LABEL)]
        namespaces = {namespace for namespace, _ in left}
        lists = [await client.labelled(label, namespace) for label in labels for namespace in sorted(namespaces)]
        left &= {service for services in lists for service in services}
        if left:
            await asyncio.sleep(_STEP_SECONDS)
