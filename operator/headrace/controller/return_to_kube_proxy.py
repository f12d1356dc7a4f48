"""Giving Services back to kube-proxy on request: the wish is taken away, and the controller does the rest."""

import asyncio
from collections.abc import Callable
from typing import Any

from headrace.controller import gateway_services
from headrace.controller.client import Client
from headrace.controller.uninstall import Installation
from headrace.objects.services import CHOSEN_LABEL, PROXY_NAME_LABEL

_WISH = 'headrace.io/proxy'
_STEP_SECONDS = 0.5


async def give_back(
    client: Client, installation: Installation, names: tuple[tuple[str, str], ...], say: Callable[[str], None]
) -> list[tuple[str, str]]:
    """Take the wish of some Services away, all that are chosen where none is named; return which. Raises CallError.

    The Services of Gateways are not among all: the controller would give them their wish again.
    """
    services = list(names)
    if not services:
        chosen = f'{CHOSEN_LABEL}={installation.class_name},!{gateway_services.CLASS_LABEL}'
        for namespace in installation.namespaces or ('',):
            services += await client.services_with_label(chosen, namespace)
    for namespace, name in services:
        body: dict[str, Any] = {'metadata': {'annotations': {_WISH: None}}}
        await client.patch_service(namespace, name, body)
        say(f'{namespace}/{name}: kube-proxy gets it back')
    return services


async def wait(client: Client, class_name: str, targets: list[tuple[str, str]]) -> None:
    """Wait until kube-proxy serves Services again and no node does any more; raises CallError."""
    remaining = set(targets)
    while remaining:
        labels = [f'{key}={class_name}' for key in (CHOSEN_LABEL, PROXY_NAME_LABEL)]
        namespaces = {namespace for namespace, _ in remaining}
        lists = [
            await client.services_with_label(label, namespace) for label in labels for namespace in sorted(namespaces)
        ]
        remaining &= {service for services in lists for service in services}
        if remaining:
            await asyncio.sleep(_STEP_SECONDS)
