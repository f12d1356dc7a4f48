"""What all offline commands take: files of objects, and the class and place that they are seen from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from headrace import folder
from headrace.folder import Contents
from headrace.haproxy.render import overrides as haproxy_overrides
from headrace.haproxy.render.templating import Overrides
from headrace.objects.kinds import Object
from headrace.resolve.state import State
from headrace.settings import settings
from headrace.settings.settings import Settings, SettingsError
from headrace.store import Store
from headrace.translate import build_context
from headrace.translate.build_context import BuildContext, Role
from headrace.translate.endpoints import Topology

Function = TypeVar('Function', bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class View:
    """From where the input is seen: the view, the administrator's overrides, and how to print."""

    context: BuildContext
    overrides: Overrides
    json: bool


_ROLE = click.option(
    '--role',
    type=click.Choice([role.value for role in Role]),
    default='edge',
    show_default=True,
    help='Render for the edge or for a node.',
)
_OPTIONS = (
    click.option('--node', default='', help='Name of the node that HAProxy runs on.'),
    click.option('--zone', default='', help='Zone that HAProxy runs in.'),
    click.option('--class', 'class_name', default=None, help='Name of the installation.  [default: headrace]'),
    click.option('--config', type=click.Path(exists=True, dir_okay=False, path_type=Path), help="File with the class's settings."),
    click.option('--tcp-ports', default=None, metavar='RANGES', help='Ranges of TCP ports at the edge, as in 5432,20000-20999.'),
    click.option('--overrides', type=click.Path(path_type=Path), help="The administrator's folder: templates, global.cfg, defaults.cfg, snippets."),
)  # fmt: skip
_FORMAT = click.option(
    '--format',
    'output',
    type=click.Choice(['human', 'json']),
    default='human',
    show_default=True,
    help='How to print.',
)


def view_options(*, printing: bool = True, placing: bool = True) -> Callable[[Function], Function]:
    """Return what adds the options that say from where the input is seen: for what prints, also how.

    Without `placing` the role is left out, for commands that take more roles.
    """

    def add(function: Function) -> Function:
        for option in reversed((*((_ROLE,) if placing else ()), *_OPTIONS, *((_FORMAT,) if printing else ()))):
            function = option(function)
        return function

    return add


def view_of(
    options: dict[str, Any],
    adjust: Callable[[Settings], Settings] = lambda each: each,
    *,
    live: bool = False,
    all_secrets: bool = False,
) -> View:
    """Return from where the input is seen, with what other options make of the settings.

    `live`: a Secret that is not there is missing, and nothing stands in for it; `all_secrets`: all that the source holds
    may be read. Raises SettingsError and TemplateError.
    """
    class_settings = settings_of(
        options['config'], {'class_name': options['class_name'], 'tcp_ports': options['tcp_ports']}
    )
    class_settings = adjust(class_settings)
    overrides = haproxy_overrides.read(options['overrides']) if options['overrides'] else Overrides()
    context = build_context.make(
        class_settings,
        role=Role(options['role']),
        topology=Topology(options['node'], options['zone']),
        offline=not live,
        all_secrets=all_secrets,
        snippets=frozenset(overrides.snippets),
    )
    return View(context, overrides, options.get('output') == 'json')


def settings_of(config: Path | None, flags: dict[str, str | None]) -> Settings:
    """Return the settings of a file, with flags over them; raises SettingsError."""
    try:
        from_file = settings.parse(config.read_text()) if config else Settings()
    except (OSError, UnicodeDecodeError, SettingsError) as error:
        raise SettingsError(f'{config}: {error}') from error
    values = {name: value for name, value in flags.items() if value is not None}
    return settings.make(msgspec.to_builtins(msgspec.structs.replace(from_file, **values))) if values else from_file


def load(sources: tuple[Path, ...], view: View) -> Contents:
    """Return the objects of files and folders, and what was wrong with the rest; raises SourceError."""
    return folder.read(sources, view.context.settings.secrets)


def build(view: View, objects: tuple[Object, ...]) -> tuple[Store, State]:
    """Return a store of some objects, and their model."""
    store = Store(view.context.settings.max_annotation_bytes_per_namespace)
    state = State(view.context.placed_by(objects))
    for item in objects:
        store.put(item)
    state.update(store, store.take())
    return store, state
