"""`headrace plan`: what the operator would do to a running HAProxy when objects change."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from headrace.cli import inputs, output
from headrace.cli.inputs import Function
from headrace.haproxy.encode import profiles
from headrace.haproxy.encode.commands import Command
from headrace.haproxy.plan import plan as haproxy_plan
from headrace.haproxy.plan.plan import Plan
from headrace.haproxy.render.render import crt_lists
from headrace.objects.kinds import Object
from headrace.resolve.model_snapshot import of_state
from headrace.resolve.state import State
from headrace.store import Store
from headrace.translate import shapes
from headrace.translate.build_context import BuildContext


def _paths(name: str, text: str) -> Callable[[Function], Function]:
    return click.option(name, type=click.Path(path_type=Path), multiple=True, required=True, help=text)


@click.command()
@_paths('--from', 'Objects that the running HAProxy was started with; a file or folder, may be given more than once.')
@_paths('--to', 'Objects as they shall be.')
@inputs.view_options()
def plan(to: tuple[Path, ...], **options: Any) -> None:
    """Print the runtime commands that lead from one set of objects to another, in their order.

    Where commands cannot do it, `reload:` lines give the reasons, and the commands are those that do not wait for it.
    Diagnostics are those of the second set, on standard error.
    """
    view = inputs.view_of(options)
    before = inputs.load(options['from'], view)
    after = inputs.load(to, view)
    state, steps = between(before.objects, after.objects, view.context)
    diagnostics = (*after.diagnostics, *state.all_diagnostics())
    if view.json:
        output.echo_json({**_values(steps), 'diagnostics': [each.value for each in diagnostics]})
        return
    for line in output.diagnostic_lines(diagnostics):
        click.echo(line, err=True)
    for reason in steps.reasons:
        click.echo(f'{click.style("reload:", fg="yellow")} {reason}')
    for command in steps.commands:
        click.echo(command.shown.rstrip('\n'))
    if not steps:
        click.echo('nothing to do')


def between(before: Iterable[Object], after: Iterable[Object], context: BuildContext) -> tuple[State, Plan]:
    """Return the model of the second objects, and the plan that leads to it a HAProxy that was started with the first."""
    target = tuple(after)
    store = Store(context.settings.max_annotation_bytes_per_namespace)
    state = State(context.placed_by(target))
    for item in before:
        store.put(item)
    state.update(store, store.take())
    snapshot = of_state(state)
    loaded = haproxy_plan.started(
        snapshot,
        profiles.in_use(
            snapshot.fragments.values(),
            *shapes.usual_cookies(context.settings),
            external=context.settings.allow_external_name,
        ),
    )
    removals = {item.ref for item in store.objects()} - {item.ref for item in target}
    for item in target:
        store.put(item)
    for ref in removals:
        store.drop(ref)
    steps = haproxy_plan.plan(state.update(store, store.take()), loaded)
    return state, replace(steps, commands=_with_line_numbers(steps.commands, crt_lists(snapshot.pointers)))


def _with_line_numbers(commands: Iterable[Command], lists: Mapping[str, bytes]) -> tuple[Command, ...]:
    """Return commands with the numbers of crt-lists' lines, which are those of the files that HAProxy was started with."""
    lines = {name: text.decode().splitlines() for name, text in lists.items()}
    return tuple(
        replace(command, line=f'{command.line}:{lines[command.located_in].index(command.locate) + 1}', locate='')
        if command.locate and command.locate in lines.get(command.located_in, ())
        else command
        for command in commands
    )


def _values(steps: Plan) -> dict[str, object]:
    return {
        'commands': [{'phase': command.phase.name.lower(), 'command': command.shown} for command in steps.commands],
        'reload': [{'reason': reason.word, 'detail': reason.detail} for reason in steps.reasons],
    }
