"""`headrace render`: objects in, the folder that HAProxy loads out."""

from pathlib import Path
from typing import Any

import click

from headrace.cli import inputs, output
from headrace.haproxy.render.render import CONFIG, Renderer
from headrace.haproxy.runtime import files

FILES = click.option('-f', '--file', 'given', type=click.Path(path_type=Path), multiple=True, required=True, help='A file or folder of YAML or JSON; may be given more than once.')  # fmt: skip


@click.command()
@FILES
@click.option(
    '-o',
    '--output',
    'target',
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help='The folder to write.',
)
@inputs.seen_from()
def render(given: tuple[Path, ...], target: Path, **options: Any) -> None:
    """Render the configuration that HAProxy loads.

    Writes FOLDER/haproxy (the configuration), FOLDER/maps, FOLDER/certificates and FOLDER/authorities;
    start it with `haproxy -f FOLDER/haproxy`. What is there from an earlier time is replaced; a folder that holds
    other files in these places is refused.
    Diagnostics go to standard error; they do not change the exit code (`headrace check` does that).
    """
    seen = inputs.look(options)
    contents = inputs.load(given, seen)
    state = inputs.build(seen, contents.objects)
    rendered = Renderer(state.context, seen.overrides).render(state)
    files.judge(target)
    files.write(target, rendered)
    diagnostics = (*contents.diagnostics, *state.all_diagnostics())
    if seen.json:
        sizes = {name: len(data) for name, data in sorted(rendered.items())}
        output.echo_json({'folder': str(target), 'files': sizes, 'diagnostics': [each.value for each in diagnostics]})
        return
    for line in output.diagnostic_lines(diagnostics):
        click.echo(line, err=True)
    backends = sum(not backend.pin for fragment in state.fragments.values() for backend in fragment.backends)
    click.echo(f'{len(rendered)} files with {backends} backends in {target}; {output.summary(diagnostics)}')
    click.echo(f'start it with: haproxy -f {target / CONFIG}')
