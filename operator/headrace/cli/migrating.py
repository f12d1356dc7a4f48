"""`headrace migrate`: what becomes of another controller's Ingresses, and their translation to headrace's annotations."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml

from headrace import folder
from headrace.annotations.foreign import config_map
from headrace.annotations.foreign.read import DIALECTS
from headrace.annotations.foreign.table import Verdict
from headrace.cli import comparing, output
from headrace.diagnostics import Level
from headrace.migration import manifests, report
from headrace.migration.report import Report
from headrace.objects.ingress import Ingress, IngressClass

_ERRORS = 1
_COLOURS = {Verdict.EXACT: 'green', Verdict.DIFFERS: 'yellow', Verdict.IGNORED: 'red'}


@click.group(invoke_without_command=True)
@click.option(
    '-f',
    '--file',
    'given',
    type=click.Path(path_type=Path),
    multiple=True,
    help='Objects: a file or folder, may be given more than once; /dev/stdin for what is piped in.',
)
@click.option(
    '--dialect',
    type=click.Choice(list(DIALECTS)),
    default=None,
    help="Whose annotations these are.  [default: by each Ingress's class]",
)
@click.option(
    '--configmap',
    default=None,
    metavar='NAMESPACE/NAME',
    help="ingress-nginx's ConfigMap, in the same files: the settings of a class that it stands for.",
)
@click.option(
    '--translate', is_flag=True, help="Print the Ingresses with headrace's own annotations instead of the report."
)
@click.option(
    '--format', 'form', type=click.Choice(['human', 'json']), default='human', show_default=True, help='How to print.'
)
@click.pass_context
def migrate(
    context: click.Context,
    given: tuple[Path, ...],
    dialect: str | None,
    configmap: str | None,
    translate: bool,  # noqa: FBT001
    form: str,
) -> None:
    """Report how another controller's annotations on Ingresses are served; nothing is changed anywhere.

    Each annotation is exact, differs or is ignored, with the reason. Exit code 1: an Ingress would be closed, or has errors.
    """
    if context.invoked_subcommand is not None:
        return
    if not given:
        raise click.UsageError(
            '-f is needed: files with the Ingresses, as `kubectl get ingress -A -o yaml` prints them'
        )
    contents = folder.read(given)
    for line in output.diagnostic_lines(contents.diagnostics):
        click.echo(line, err=True)
    made = report.make(
        [item for item in contents.objects if isinstance(item, Ingress)],
        [item for item in contents.objects if isinstance(item, IngressClass)],
        dialect or '',
    )
    settings = config_map.class_settings(_data(given, configmap)) if configmap else None
    if translate:
        _translate(given, made)
    elif form == 'json':
        output.echo_json(_value(made, settings))
    else:
        for line in _lines(made, settings):
            click.echo(line)
    if made.closed or any(diagnostic.level is Level.ERROR for diagnostic in contents.diagnostics):
        sys.exit(_ERRORS)


migrate.add_command(comparing.compare)


def _documents(given: tuple[Path, ...]) -> Iterator[dict[str, Any]]:
    """Yield the documents of files that can be read."""
    for path in folder.paths(given):
        try:
            yield from (item for item in folder.documents(path.read_bytes()) if isinstance(item, dict))
        except Exception:  # noqa: BLE001, S112  the file has a diagnostic already
            continue


def _data(given: tuple[Path, ...], name: str) -> dict[str, str]:
    """Return the data of a ConfigMap in the files."""
    for document in _documents(given):
        metadata = document.get('metadata') or {}
        if (
            document.get('kind') == 'ConfigMap'
            and f'{metadata.get("namespace", "default")}/{metadata.get("name")}' == name
        ):
            return {str(key): str(value) for key, value in (document.get('data') or {}).items()}
    raise folder.SourceError(f'{name}: the files hold no such ConfigMap')


def _translate(given: tuple[Path, ...], made: Report) -> None:
    """Print the Ingresses with headrace's annotations, and on the error output what of them stays."""
    reports = {item.ingress.ref[1:]: item for item in made.ingresses}
    for document in _documents(given):
        metadata = document.get('metadata') or {}
        item = reports.get((str(metadata.get('namespace') or 'default'), str(metadata.get('name'))))
        if document.get('kind') == 'Ingress' and item is not None:
            text = yaml.safe_dump(manifests.translated(document, item), sort_keys=False, allow_unicode=True)
            click.echo(f'---\n{text}', nl=False)
            for key in manifests.staying(item):
                click.echo(f'{item.ingress.ref}: {key} stays: headrace has no key for it', err=True)
            for key in item.foreign.closed:
                click.echo(
                    f'{item.ingress.ref}: {key} cannot be applied: the Ingress is closed by headrace.io/maintenance',
                    err=True,
                )


def _value(made: Report, settings: config_map.ClassTranslation | None) -> dict[str, Any]:
    """Return the report as a value for JSON."""
    value: dict[str, Any] = {
        'counts': {
            'ingresses': len(made.ingresses),
            'closed': made.closed,
            **{str(verdict): made.count(verdict) for verdict in Verdict},
        },
        'ingresses': [
            {
                'namespace': item.ingress.namespace,
                'name': item.ingress.name,
                'class': item.class_name,
                'dialect': item.dialect,
                'closed': bool(item.foreign.closed),
                'annotations': [
                    {'key': remark.key, 'verdict': remark.verdict, 'closes': remark.closes, 'text': remark.text}
                    for remark in item.foreign.remarks
                ],
            }
            for item in made.ingresses
        ],
        'keys': [
            {
                'key': item.key,
                **{str(verdict): item.verdicts.get(verdict, 0) for verdict in Verdict},
                'closes': item.closes,
                'texts': item.texts,
            }
            for item in made.keys
        ],
        'sharedHosts': [{'host': host, 'namespaces': namespaces} for host, namespaces in made.shared_hosts],
    }
    if settings is not None:
        value['settings'] = settings.settings
        value['configMap'] = [
            {'key': remark.key, 'verdict': remark.verdict, 'text': remark.text} for remark in settings.remarks
        ]
    return value


def _lines(made: Report, settings: config_map.ClassTranslation | None) -> Iterator[str]:
    """Yield the report for people: what is not exact of each Ingress, then all keys, shared hosts and the sum."""
    for item in made.ingresses:
        counts = (
            ', '.join(f'{item.count(verdict)} {verdict}' for verdict in Verdict if item.count(verdict))
            or 'no foreign annotations'
        )
        closed = f', {click.style("closed", fg="red")}' if item.foreign.closed else ''
        yield f'{item.ingress.namespace}/{item.ingress.name}: {counts}{closed}'
        yield from output.table(
            (f'  {_styled(remark.verdict)}', remark.key, remark.text)
            for remark in item.foreign.remarks
            if remark.verdict is not Verdict.EXACT
        )
    if made.keys:
        yield ''
        head = ('KEY', *(str(verdict).upper() for verdict in Verdict), 'CLOSES')
        rows = [
            (item.key, *(str(item.verdicts.get(verdict, 0)) for verdict in Verdict), str(item.closes))
            for item in made.keys
        ]
        yield from output.table((head, *rows))
    if made.shared_hosts:
        yield ''
        yield 'Hosts of several namespaces, which the setting hostSharing must allow, or hostPolicy give to one:'
        yield from output.table((f'  {host}', ', '.join(namespaces)) for host, namespaces in made.shared_hosts)
    if settings is not None:
        yield ''
        yield from output.table((_styled(remark.verdict), remark.key, remark.text) for remark in settings.remarks)
        yield ''
        yield 'Settings of the class:'
        yield yaml.safe_dump(_plain(settings.settings), sort_keys=True).rstrip()
    yield ''
    sums = ', '.join(f'{made.count(verdict)} {verdict}' for verdict in Verdict)
    yield f'{len(made.ingresses)} Ingresses, {made.closed} of them closed; annotations: {sums}'


def _plain(settings: Any) -> Any:
    """Return settings as lists instead of tuples, for YAML."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}


def _styled(verdict: Verdict) -> str:
    return click.style(verdict, fg=_COLOURS[verdict])
