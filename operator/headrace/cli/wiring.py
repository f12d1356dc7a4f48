"""What `headrace run` needs of a cluster: access, the source, who this process is, and the controller."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.agent.source import Source, SourceOf
from headrace.cli import inputs
from headrace.controller import client, controller
from headrace.folder_watch import WatchedFolder
from headrace.kube import access as accesses
from headrace.kube import resources
from headrace.kube.access import Access
from headrace.kube.agent_lease import Identity
from headrace.kube.source import KubeSource
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate.build_context import BuildContext, Role

KUBE = 'kube'
CONTROLLER = 'controller'


def access(options: dict[str, Any]) -> Access:
    """Return the access that the options name, in the pod's namespace where one is given; raises AccessError."""
    credentials = accesses.find(options['kubeconfig'], options['context'])
    return replace(credentials, namespace=os.environ.get('POD_NAMESPACE') or credentials.namespace)


def source(options: dict[str, Any], kube_access: Access | None, context: BuildContext) -> SourceOf:
    """Return what makes the source: the API server, or the folder that the options name."""

    def make(store: Store, on_change: Callable[[float], None], on_start: Callable[[], None]) -> Source:
        if kube_access is None:
            return WatchedFolder(Path(options['source']), store, on_change, context.settings.secrets)
        return KubeSource(kube_access, resources.scopes_of(context), store, on_change, context.settings, on_start)

    return make


def pod_name() -> str:
    """Return the name of this pod, as the downward API tells it, else of this machine."""
    return os.environ.get('POD_NAME') or socket.gethostname().lower()


def identity(kube_access: Access, context: BuildContext) -> Identity:
    """Return who this process is: its pod, as the downward API tells it, else this machine."""
    return Identity(
        namespace=kube_access.namespace,
        name=pod_name(),
        class_name=context.class_name,
        role=str(context.role),
        uid=os.environ.get('POD_UID', ''),
        node=context.topology.node if context.role is Role.NODE else '',
    )


async def control(
    options: dict[str, Any],
    kube_access: Access,
    adjust: Callable[[Settings], Settings],
    listen: Callable[[], None] | None,
) -> None:
    """Be a controller until told to stop; raises AccessError, CallError and WatchEndedError.

    `listen` takes the signals for another role of this process; without it they are the controller's own.
    """
    context = replace(
        inputs.view_of({**options, 'role': 'edge'}, adjust).context,
        api_server=True,
        own_namespace=kube_access.namespace,
    )
    pod = identity(kube_access, context)
    calls = client.connect(kube_access, context.class_name)
    stop = asyncio.Event()

    def take_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)

    on_start = listen or take_signals
    settings = controller.Options(kube_access, context, pod.namespace, pod.name, on_start, options['edge_selector'])
    process = controller.Controller(settings, calls)
    work = asyncio.create_task(process.run())
    on_start()
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        for task in (work, stopping):
            task.cancel()
        await asyncio.gather(work, stopping, return_exceptions=True)
        await calls.close()
