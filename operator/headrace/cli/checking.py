"""`headrace check`: what is wrong with objects, and whether a real HAProxy accepts what they become."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from headrace.cli import inputs, output
from headrace.cli.rendering import FILES
from headrace.diagnostics import Diagnostic, Level
from headrace.haproxy.render.render import Renderer
from headrace.haproxy.runtime import check as haproxy_check
from headrace.haproxy.runtime import files, probe
from headrace.haproxy.runtime.check import HaproxyMissingError, Outcome
from headrace.haproxy.runtime.versions import OldHaproxyError
from headrace.resolve.state import State
from headrace.translate import class_fragment

_ERRORS, _NOT_ACCEPTED, _NO_HAPROXY = 1, 3, 4


@click.command()
@FILES
@click.option(
    '--haproxy', 'binary', default=None, metavar='PATH', help='The HAProxy to ask.  [default: haproxy on the PATH]'
)
@inputs.view_options()
def check(sources: tuple[Path, ...], binary: str | None, **options: Any) -> None:
    """Tell what is wrong with objects, and ask a real HAProxy.

    Exit code 1: objects have errors; 3: HAProxy refuses the configuration, or would run out of descriptors;
    4: HAProxy cannot be run, or is older than headrace needs.
    """
    view = inputs.view_of(options)
    contents = inputs.load(sources, view)
    _, state = inputs.build(view, contents.objects)
    outcome, problem, lacking = _ask(binary, view, state)
    diagnostics = (*contents.diagnostics, *state.all_diagnostics(), *lacking)
    descriptors = haproxy_check.descriptors(view.context, state.fragments.values())
    limit = view.context.settings.file_descriptors
    short = bool(limit) and descriptors > limit
    if view.json:
        output.echo_json(
            {
                'diagnostics': [each.value for each in diagnostics],
                'haproxy': {'accepted': outcome.accepted, 'output': outcome.output} if outcome else None,
                'problem': problem,
                'descriptors': {'needed': descriptors, 'limit': limit},
                'unread': dict(contents.unread),
            }
        )
    else:
        for line in output.diagnostic_lines(diagnostics):
            click.echo(line)
        click.echo(f'{len(contents.objects)} objects: {output.summary(diagnostics)}')
        if contents.unread:
            click.echo('of kinds that are not read: ' + ', '.join(f'{count} {kind}' for kind, count in contents.unread))
        if outcome is not None and not outcome.accepted:
            click.echo(outcome.output)
        click.echo(_conclusion(outcome, problem))
        if short:
            click.echo(
                f'HAProxy would ask for {descriptors} descriptors, and fileDescriptors allows {limit}: it would refuse to start'
            )
    if outcome is None:
        sys.exit(_NO_HAPROXY)
    if not outcome.accepted or short:
        sys.exit(_NOT_ACCEPTED)
    if any(diagnostic.level is Level.ERROR for diagnostic in diagnostics):
        sys.exit(_ERRORS)


def _conclusion(outcome: Outcome | None, problem: str) -> str:
    if outcome is None:
        return f'HAProxy was not asked: {problem}'
    return (
        click.style('HAProxy accepts the configuration', fg='green')
        if outcome.accepted
        else click.style('HAProxy refuses the configuration', fg='red')
    )


def _ask(binary: str | None, view: inputs.View, state: State) -> tuple[Outcome | None, str, list[Diagnostic]]:
    """Return what HAProxy says of the configuration, or why it could not be asked, and what it cannot do."""
    program = binary or shutil.which('haproxy')
    if program is None:
        return None, 'there is no haproxy on the PATH; name one with --haproxy', []
    try:
        haproxy_check.version(program)
        quic = probe.has_quic(program)
        with tempfile.TemporaryDirectory(prefix='headrace-check-') as folder:
            files.write(Path(folder), Renderer(state.context, view.overrides, quic=quic).render(state))
            outcome = haproxy_check.check(program, Path(folder))
    except (HaproxyMissingError, OldHaproxyError) as error:
        return None, str(error), []
    message = probe.lacking(state.context.settings, quic=quic)
    lacking = [Diagnostic(class_fragment.ref(state.context), 'BeyondHaproxy', message)] if message else []
    return Outcome(outcome.accepted, outcome.output.replace(f'{folder}/', '')), '', lacking
