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

_ERRORS, _REFUSED, _NO_HAPROXY = 1, 3, 4


@click.command()
@FILES
@click.option(
    '--haproxy', 'binary', default=None, metavar='PATH', help='The HAProxy to ask.  [default: haproxy on the PATH]'
)
@inputs.seen_from()
def check(given: tuple[Path, ...], binary: str | None, **options: Any) -> None:
    """Tell what is wrong with objects, and ask a real HAProxy.

    Exit code 1: objects have errors; 3: HAProxy refuses the configuration, or would run out of descriptors;
    4: HAProxy cannot be run, or is older than headrace needs.
    """
    seen = inputs.look(options)
    contents = inputs.load(given, seen)
    state = inputs.build(seen, contents.objects)
    outcome, problem, lacking = _ask(binary, seen, state)
    diagnostics = (*contents.diagnostics, *state.all_diagnostics(), *lacking)
    needed = haproxy_check.descriptors(seen.context, state.fragments.values())
    limit = seen.context.settings.file_descriptors
    short = bool(limit) and needed > limit
    if seen.json:
        output.echo_json(
            {
                'diagnostics': [each.value for each in diagnostics],
                'haproxy': {'accepted': outcome.accepted, 'output': outcome.output} if outcome else None,
                'problem': problem,
                'descriptors': {'needed': needed, 'limit': limit},
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
        click.echo(_said(outcome, problem))
        if short:
            click.echo(
                f'HAProxy would ask for {needed} descriptors, and fileDescriptors allows {limit}: it would refuse to start'
            )
    if outcome is None:
        sys.exit(_NO_HAPROXY)
    if not outcome.accepted or short:
        sys.exit(_REFUSED)
    if any(diagnostic.level is Level.ERROR for diagnostic in diagnostics):
        sys.exit(_ERRORS)


def _said(outcome: Outcome | None, problem: str) -> str:
    if outcome is None:
        return f'HAProxy was not asked: {problem}'
    return (
        click.style('HAProxy accepts the configuration', fg='green')
        if outcome.accepted
        else click.style('HAProxy refuses the configuration', fg='red')
    )


def _ask(binary: str | None, seen: inputs.Seen, state: State) -> tuple[Outcome | None, str, list[Diagnostic]]:
    """Return what HAProxy says of the configuration, or why it could not be asked, and what it cannot do."""
    found = binary or shutil.which('haproxy')
    if found is None:
        return None, 'there is no haproxy on the PATH; name one with --haproxy', []
    try:
        haproxy_check.version(found)
        quic = probe.has_quic(found)
        with tempfile.TemporaryDirectory(prefix='headrace-check-') as folder:
            files.write(Path(folder), Renderer(state.context, seen.overrides, quic=quic).render(state))
            outcome = haproxy_check.check(found, Path(folder))
    except (HaproxyMissingError, OldHaproxyError) as error:
        return None, str(error), []
    said = probe.lacking(state.context.settings, quic=quic)
    lacking = [Diagnostic(class_fragment.ref(state.context), 'BeyondHaproxy', said)] if said else []
    return Outcome(outcome.accepted, outcome.output.replace(f'{folder}/', '')), '', lacking
