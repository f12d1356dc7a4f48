"""`headrace render`: objects in, the folder that HAProxy loads out."""

from pathlib import Path
from typing import Any

import click

from headrace.cli import inputs, output
from headrace.haproxy.render.render import CONFIG, Renderer
from headrace.haproxy.runtime import files

FILES = click.option('-f', '--file', 'sources', type=click.Path(path_type=Path), multiple=True, required=True, help='A file or folder of YAML or JSON; may be given more than once.')  # fmt: skip


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
@inputs.view_options()
def render(sources: tuple[Path, ...], target: Path, **options: Any) -> None:
    """Render the configuration that HAProxy loads.

    Writes FOLDER/haproxy (the configuration), FOLDER/maps, FOLDER/certificates and FOLDER/authorities;
    start it with `haproxy -f FOLDER/haproxy`. What is there from an earlier time is replaced; a folder that holds
    other files in these places is refused.
    Diagnostics go to standard error; they do not change the exit code (`headrace check` does that).
    """
    view = inputs.view_of(options)
    contents = inputs.load(sources, view)
    _, state = inputs.build(view, contents.objects)
    contents_of_files = Renderer(state.context, view.overrides).render(state)
    files.judge(target)
    files.write(target, contents_of_files)
    diagnostics = (*contents.diagnostics, *state.all_diagnostics())
    if view.json:
        sizes = {name: len(data) for name, data in sorted(contents_of_files.items())}
        output.echo_json({'folder': str(target), 'files': sizes, 'diagnostics': [each.value for each in diagnostics]})
        return
    for line in output.diagnostic_lines(diagnostics):
        click.echo(line, err=True)
    backends = sum(not backend.pin for fragment in state.fragments.values() for backend in fragment.backends)
    click.echo(f'{len(contents_of_files)} files with {backends} backends in {target}; {output.summary(diagnostics)}')
    click.echo(f'start it with: haproxy -f {target / CONFIG}')
