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
from headrace.cli import addresses, dashboards, inputs, interfaces, wiring
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
from headrace.web import agents

# How long tasks that were cancelled may take to end.
_CANCEL_SECONDS = 1.0


def _state_folder() -> Path:
    folder = os.environ.get('XDG_STATE_HOME')
    return (Path(folder) if folder else Path.home() / '.local' / 'state') / 'headrace'


class _Roles(click.ParamType[tuple[str, ...]]):
    """One role, or two joined by a comma: `edge`, `node`, `controller`, `edge,controller`."""

    name = 'roles'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the roles of a text; fails for an unknown role, and for edge and node in one process."""
        roles = tuple(dict.fromkeys(part.strip() for part in str(value).split(',')))
        if not roles or not set(roles) <= {'edge', 'node', CONTROLLER}:
            self.fail('one of edge, node, controller, or one of the first two and controller', param, ctx)
        if {'edge', 'node'} <= set(roles):
            self.fail('edge and node need a process each', param, ctx)
        return roles


class _Labels(click.ParamType[dict[str, str]]):
    name = 'labels'

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> dict[str, str]:
        """Return labels by name; a text without a value for each is refused."""
        if isinstance(value, dict):
            return value
        labels = dict(part.partition('=')[::2] for part in str(value).split(',') if part)
        if not all(name and text for name, text in labels.items()):
            self.fail(f'{value!r} must be LABEL=VALUE, joined by commas', param, context)
        return labels


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
    '--web',
    default='',
    metavar='[ADDR]:PORT',
    help='Serve the dashboard of this agent; on loopback to this host, elsewhere as --web-auth says.',
)
@dashboards.options('web-')
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
@click.option(
    '--edge-selector',
    type=_Labels(),
    default='',
    metavar='LABEL=VALUE[,...]',
    help="For the role controller: labels of the edge's pods, for the Services that it keeps for Gateways.",
)
@click.option('--keep-haproxy', is_flag=True, help='Leave HAProxy running when the agent stops.')
@click.option('--supervised', is_flag=True, help='Start the agent again whenever it ends; for PID 1 of a container.')
@inputs.view_options(printing=False, placing=False)
def run(**options: Any) -> None:
    """Follow an API server or a folder, and keep a HAProxy true to it.

    Each option is also an environment variable: HEADRACE_SOURCE, HEADRACE_START_HAPROXY, HEADRACE_TCP_PORTS, ….
    """
    # Only the entry point acts on this flag: this is the child process.
    del options['supervised']
    logs.set_up(options['log_format'], options['log_level'])
    if options['source'] != KUBE and not Path(options['source']).exists():
        raise SourceError(f'{options["source"]}: no such file or folder')
    access = wiring.access(options) if options['source'] == KUBE else None
    if CONTROLLER in options['role'] and access is None:
        raise SettingsError('--role controller writes to a cluster, and so needs --source kube')
    roles = [role for role in options['role'] if role != CONTROLLER]
    if 'node' in roles and not options['node']:
        raise SettingsError('--role node needs --node, the name of the Node that it runs on')
    if options['web'] and not roles:
        raise SettingsError('--web is for an agent; `headrace web` asks the agents of other processes')
    if not options['web'] and (options['web_auth'] or options['web_trusted_proxy'] or options['web_certificate']):
        raise SettingsError('--web-auth, --web-trusted-proxy and --web-certificate are for --web')
    _complete(_run(options, access, roles[0] if roles else ''))


def _complete(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end as `asyncio.run` does, but within a bound: a part of kopf may survive its cancellation."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=_CANCEL_SECONDS))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _run(options: dict[str, Any], access: Access | None, role: str) -> None:
    """Run what the roles ask for, until one of them ends."""
    works: list[Coroutine[Any, Any, None]] = []
    agent = Agent(_options(options, access, role)) if role else None
    if agent is not None:
        works.append(agent.run())
        if options['web']:
            find = agents.of_process(lambda: agent.admin_address)
            works.append(dashboards.beside(options, access, find)())
    if access is not None and CONTROLLER in options['role']:
        listen = agent.listen_to_signals if agent is not None else None
        works.append(wiring.control(options, access, _adjustment(options, access), listen))
    tasks = [asyncio.create_task(work) for work in works]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _options(options: dict[str, Any], access: Access | None, role: str) -> Options:
    adjust = _adjustment(options, access)
    view = inputs.view_of({**options, 'role': role}, adjust, live=True, all_secrets=access is None)
    # In a cluster the controller chooses; a folder has no controller.
    context = replace(
        view.context,
        labelled=access is not None,
        api_server=access is not None,
        own_namespace=access.namespace if access is not None else '',
        own_addresses=interfaces.addresses(),
    )
    state, admin = options['state'].absolute(), addresses.parse(options['admin'])
    api = addresses.parse(options['api']) if options['api'] else None
    if api is not None and access is None:
        raise SettingsError('--api asks an API server about tokens, and so needs --source kube')
    if api is None and options['api_certificate'] is not None:
        raise SettingsError('--api-certificate is for the port of --api')
    slot = _slot(options, context, [admin[1], api[1] if api else 0]) if options['instance_slots'] else None
    if slot is not None:
        state, context = slot.folder, replace(context, slot=slot.number)
        admin = (admin[0], _shift(admin[1], slot.number))
        api = (api[0], _shift(api[1], slot.number)) if api else None
    context = replace(context, admin_ports=frozenset({admin[1], api[1] if api else 0} - {0}))
    start = _path_of(options['start_haproxy']) if options['start_haproxy'] else ''
    checker = _path_of(options['haproxy'] or start or 'haproxy')
    try:
        state.mkdir(mode=0o750, parents=True, exist_ok=True)
        if context.role is Role.NODE:
            context = replace(context, synthetic_key=synthetic_key.read_or_make(options['state'].absolute()))
    except OSError as error:
        raise WriteError(f'--state {state}: {error.strerror}') from error
    return Options(
        source=wiring.source(options, access, context),
        state=state,
        sockets=(options['sockets'] or state / 'sockets').absolute(),
        context=context,
        overrides=view.overrides,
        start=start,
        checker=checker,
        admin=admin,
        api=api,
        api_certificate=options['api_certificate'],
        identity=wiring.identity(access, context) if access is not None else None,
        config=options['config'],
        adjust=adjust,
        keep=options['keep_haproxy'],
        nft=_path_of(options['nft'], NftError) if role == 'node' else '',
        slot=slot,
    )


def _shift(port: int, slot: int) -> int:
    return port and port + INSTANCE_SLOT_STEP * slot


def _slot(options: dict[str, Any], context: BuildContext, agent_ports: list[int]) -> InstanceSlot:
    if context.role is not Role.NODE or not options['sockets']:
        raise SettingsError('--instance-slots is for --role node, and needs --sockets, a folder of this agent alone')

    def ports(slot: int) -> tuple[int, ...]:
        ports_of_haproxy = (*context.settings.node_ports(slot), replace(context, slot=slot).node_health_port)
        return (*ports_of_haproxy, *(_shift(port, slot) for port in agent_ports if port))

    try:
        return instance_slots.take(options['state'].absolute(), options['sockets'].absolute(), ports)
    except InstanceSlotError as error:
        raise AgentError(str(error)) from error
    except OSError as error:
        raise WriteError(f'--state {options["state"]}, --sockets {options["sockets"]}: {error.strerror}') from error


def _path_of(binary: str, missing: type[Exception] = HaproxyMissingError) -> str:
    path = shutil.which(binary)
    if path is None:
        raise missing(f'{binary}: no such program')
    return str(Path(path).absolute())


def _adjustment(options: dict[str, Any], access: Access | None) -> Callable[[Settings], Settings]:
    """Return what lays the options over a file's settings, now and whenever the file is read again.

    In a cluster Secrets are those of the own namespace, where the settings name none.
    """
    values: dict[str, object] = {
        name: value
        for name, value in (('class_name', options['class_name']), ('tcp_ports', options['tcp_ports']))
        if value is not None
    }
    hosts = set()
    for option in ('http', 'https', 'health'):
        if options[option] is not None:
            host, values[f'{option}_port'] = addresses.parse(options[option])
            hosts |= {host} - {''}
    if len(hosts) > 1:
        raise SettingsError('--http, --https and --health must name the same address; name several in `addresses`')
    if hosts:
        values['addresses'] = tuple(hosts)

    def adjust(from_file: Settings) -> Settings:
        adjusted = (
            settings.make(msgspec.to_builtins(msgspec.structs.replace(from_file, **values))) if values else from_file
        )
        if access is None or adjusted.secrets.namespaces:
            return adjusted
        return msgspec.structs.replace(
            adjusted, secrets=msgspec.structs.replace(adjusted.secrets, namespaces=(access.namespace,))
        )

    return adjust
