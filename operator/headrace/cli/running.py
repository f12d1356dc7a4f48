"""`headrace run`: the agent."""

import asyncio
import os
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec

from headrace.agent import logs
from headrace.agent.agent import Agent, AgentError, Options
from headrace.cli import inputs, interfaces, wiring
from headrace.cli.asking import ADMIN
from headrace.cli.wiring import CONTROLLER, KUBE
from headrace.folder import SourceError
from headrace.haproxy.runtime.check import HaproxyMissingError
from headrace.haproxy.runtime.files import WriteError
from headrace.kube.access import Access
from headrace.nft import instance_slots, synthetic_key
from headrace.nft.command import NftError
from headrace.nft.instance_slots import InstanceSlot, InstanceSlotError
from headrace.settings import settings
from headrace.settings.settings import INSTANCE_SLOT_STEP, Settings, SettingsError
from headrace.translate.build_context import BuildContext, Role

_MAX_PORT = 65535
# How long tasks that were cancelled may take to end.
_LEFT_SECONDS = 1.0


def _state_folder() -> Path:
    held = os.environ.get('XDG_STATE_HOME')
    return (Path(held) if held else Path.home() / '.local' / 'state') / 'headrace'


class _Roles(click.ParamType[tuple[str, ...]]):
    """One role, or two joined by a comma: `edge`, `node`, `controller`, `edge,controller`."""

    name = 'roles'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the roles of a text; fails for what is none, and for edge and node in one process."""
        found = tuple(dict.fromkeys(part.strip() for part in str(value).split(',')))
        if not found or not set(found) <= {'edge', 'node', CONTROLLER}:
            self.fail('one of edge, node, controller, or one of the first two and controller', param, ctx)
        if {'edge', 'node'} <= set(found):
            self.fail('edge and node need a process each', param, ctx)
        return found


@click.command()
@click.option(
    '--source',
    required=True,
    metavar='kube|FOLDER',
    help='What to follow: an API server, or a folder of YAML and JSON files.',
)
@click.option(
    '--role',
    type=_Roles(),
    default='edge',
    show_default=True,
    metavar='ROLE[,ROLE]',
    help='What to do: edge, node or controller; controller may be added to one of the others.',
)
@click.option(
    '--kubeconfig',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="With kube.  [default: the pod's ServiceAccount, else KUBECONFIG, else ~/.kube/config]",
)
@click.option('--context', default='', metavar='NAME', help='Context of the kubeconfig.  [default: its current one]')
@click.option(
    '--start-haproxy', metavar='PATH', default='', help='Start this HAProxy and keep it; it outlives a killed agent.'
)
@click.option(
    '--haproxy',
    metavar='PATH',
    default='',
    help='HAProxy that judges candidates.  [default: the started one, else haproxy on the PATH]',
)
@click.option(
    '--state',
    type=click.Path(path_type=Path),
    default=_state_folder,
    show_default='~/.local/state/headrace',
    help='Folder for files that HAProxy starts from.',
)
@click.option(
    '--sockets',
    type=click.Path(path_type=Path),
    default=None,
    help="Folder with HAProxy's runtime and master sockets.  [default: STATE/sockets]",
)
@click.option('--http', default=None, metavar='[ADDR:]PORT', help='Listener for HTTP.  [default: 8080]')
@click.option('--https', default=None, metavar='[ADDR:]PORT', help='Listener for HTTPS.  [default: 8443]')
@click.option(
    '--health', default=None, metavar='[ADDR:]PORT', help="HAProxy's own readiness and metrics.  [default: 8404]"
)
@click.option(
    '--admin',
    default=ADMIN,
    show_default=True,
    metavar='ADDR:PORT',
    help="The agent's health and metrics; on loopback also what `headrace status` and `headrace explain` show.",
)
@click.option(
    '--api',
    default='',
    metavar='[ADDR]:PORT',
    help='With kube: the same pages by TLS, to those whose token the API server lets `get agents.headrace.io/status`.',
)
@click.option(
    '--api-certificate',
    type=click.Path(path_type=Path),
    default=None,
    metavar='FOLDER',
    help='With --api: its certificate, as tls.crt and tls.key, read again when they change.  [default: one made at the start]',
)
@click.option(
    '--log-format', type=click.Choice(['human', 'json']), default='human', show_default=True, help='How to log.'
)
@click.option(
    '--log-level',
    type=click.Choice(['debug', 'info', 'warning', 'error']),
    default='info',
    show_default=True,
    help='From which level on to log.',
)
@click.option(
    '--nft',
    metavar='PATH',
    default='nft',
    show_default=True,
    help='For the role node: the program that tells the kernel which addresses to take over.',
)
@click.option(
    '--instance-slots',
    is_flag=True,
    help='For the role node: share the node with an agent that ends, each with ports and a folder in --state of its own.',
)
@click.option('--keep-haproxy', is_flag=True, help='Leave HAProxy running when the agent stops.')
@click.option('--supervised', is_flag=True, help='Start the agent again whenever it ends; for PID 1 of a container.')
@inputs.seen_from(printing=False, placing=False)
def run(**given: Any) -> None:
    """Follow an API server or a folder, and keep a HAProxy true to it.

    Each option is also an environment variable: HEADRACE_SOURCE, HEADRACE_START_HAPROXY, HEADRACE_TCP_PORTS, ….
    """
    # Only the entry point acts on this flag: this is the child process.
    del given['supervised']
    logs.set_up(given['log_format'], given['log_level'])
    if given['source'] != KUBE and not Path(given['source']).exists():
        raise SourceError(f'{given["source"]}: no such file or folder')
    access = wiring.access(given) if given['source'] == KUBE else None
    if CONTROLLER in given['role'] and access is None:
        raise SettingsError('--role controller writes to a cluster, and so needs --source kube')
    roles = [role for role in given['role'] if role != CONTROLLER]
    if 'node' in roles and not given['node']:
        raise SettingsError('--role node needs --node, the name of the Node that it runs on')
    _complete(_run(given, access, roles[0] if roles else ''))


def _complete(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end as `asyncio.run` does, but within a bound: a part of kopf may survive its cancellation."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=_LEFT_SECONDS))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _run(given: dict[str, Any], access: Access | None, role: str) -> None:
    """Run what the roles ask for, until one of them ends."""
    works: list[Coroutine[Any, Any, None]] = []
    agent = Agent(_options(given, access, role)) if role else None
    if agent is not None:
        works.append(agent.run())
    if access is not None and CONTROLLER in given['role']:
        listen = agent.listen_to_signals if agent is not None else None
        works.append(wiring.control(given, access, _adjustment(given, access), listen))
    tasks = [asyncio.create_task(work) for work in works]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _options(given: dict[str, Any], access: Access | None, role: str) -> Options:
    adjust = _adjustment(given, access)
    seen = inputs.look({**given, 'role': role}, adjust, live=True, all_secrets=access is None)
    # In a cluster the controller chooses; a folder has no controller.
    context = replace(
        seen.context,
        labelled=access is not None,
        api_server=access is not None,
        own_addresses=interfaces.addresses(),
    )
    state, admin = given['state'].absolute(), _address(given['admin'])
    api = _address(given['api']) if given['api'] else None
    if api is not None and access is None:
        raise SettingsError('--api asks an API server about tokens, and so needs --source kube')
    if api is None and given['api_certificate'] is not None:
        raise SettingsError('--api-certificate is for the port of --api')
    slot = _slot(given, context, [admin[1], api[1] if api else 0]) if given['instance_slots'] else None
    if slot is not None:
        state, context = slot.folder, replace(context, slot=slot.number)
        admin = (admin[0], _shifted(admin[1], slot.number))
        api = (api[0], _shifted(api[1], slot.number)) if api else None
    context = replace(context, admin_ports=frozenset({admin[1], api[1] if api else 0} - {0}))
    start = _found(given['start_haproxy']) if given['start_haproxy'] else ''
    checker = _found(given['haproxy'] or start or 'haproxy')
    try:
        state.mkdir(mode=0o750, parents=True, exist_ok=True)
        if context.role is Role.NODE:
            context = replace(context, synthetic_key=synthetic_key.read_or_make(given['state'].absolute()))
    except OSError as error:
        raise WriteError(f'--state {state}: {error.strerror}') from error
    return Options(
        source=wiring.source(given, access, context),
        state=state,
        sockets=(given['sockets'] or state / 'sockets').absolute(),
        context=context,
        overrides=seen.overrides,
        start=start,
        checker=checker,
        admin=admin,
        api=api,
        api_certificate=given['api_certificate'],
        identity=wiring.identity(access, context) if access is not None else None,
        config=given['config'],
        adjust=adjust,
        keep=given['keep_haproxy'],
        nft=_found(given['nft'], NftError) if role == 'node' else '',
        slot=slot,
    )


def _shifted(port: int, slot: int) -> int:
    return port and port + INSTANCE_SLOT_STEP * slot


def _slot(given: dict[str, Any], context: BuildContext, own: list[int]) -> InstanceSlot:
    if context.role is not Role.NODE or not given['sockets']:
        raise SettingsError('--instance-slots is for --role node, and needs --sockets, a folder of this agent alone')

    def ports(slot: int) -> tuple[int, ...]:
        found = (*context.settings.node_ports(slot), replace(context, slot=slot).node_health_port)
        return (*found, *(_shifted(port, slot) for port in own if port))

    try:
        return instance_slots.take(given['state'].absolute(), given['sockets'].absolute(), ports)
    except InstanceSlotError as error:
        raise AgentError(str(error)) from error
    except OSError as error:
        raise WriteError(f'--state {given["state"]}, --sockets {given["sockets"]}: {error.strerror}') from error


def _found(binary: str, missing: type[Exception] = HaproxyMissingError) -> str:
    path = shutil.which(binary)
    if path is None:
        raise missing(f'{binary}: no such program')
    return str(Path(path).absolute())


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(':')
    if not (port.isascii() and port.isdigit() and int(port) <= _MAX_PORT):
        raise SettingsError(f'{text} is no ADDR:PORT')
    return host.strip('[]'), int(port)


def _adjustment(given: dict[str, Any], access: Access | None) -> Callable[[Settings], Settings]:
    """Return what lays the options over a file's settings, now and whenever the file is read again.

    In a cluster Secrets are those of the own namespace, where the settings name none.
    """
    wanted: dict[str, object] = {
        name: value
        for name, value in (('class_name', given['class_name']), ('tcp_ports', given['tcp_ports']))
        if value is not None
    }
    addresses = set()
    for option in ('http', 'https', 'health'):
        if given[option] is not None:
            host, wanted[f'{option}_port'] = _address(given[option])
            addresses |= {host} - {''}
    if len(addresses) > 1:
        raise SettingsError('--http, --https and --health must name the same address; name several in `addresses`')
    if addresses:
        wanted['addresses'] = tuple(addresses)

    def adjust(held: Settings) -> Settings:
        found = settings.make(msgspec.to_builtins(msgspec.structs.replace(held, **wanted))) if wanted else held
        if access is None or found.secrets.namespaces:
            return found
        return msgspec.structs.replace(
            found, secrets=msgspec.structs.replace(found.secrets, namespaces=(access.namespace,))
        )

    return adjust
