"""`headrace migrate`: what becomes of another controller's Ingresses, and their translation to headrace's annotations."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import yaml

from headrace.annotations.foreign import config_map
from headrace.annotations.foreign.config_map import ConfigRemark, TcpService
from headrace.annotations.foreign.read import DIALECTS
from headrace.annotations.foreign.table import Verdict
from headrace.cli import comparing, migration_input, output
from headrace.cli.migration_input import Input
from headrace.diagnostics import Level
from headrace.migration import gateway_api, manifests, report
from headrace.migration.report import Report
from headrace.names import DEFAULT_CLASS, Ref

_ERRORS = 1
_Settings = config_map.ClassTranslation | None
_Ports = tuple[tuple[TcpService, ...], tuple[ConfigRemark, ...]] | None
_COLOURS = {Verdict.EXACT: 'green', Verdict.DIFFERS: 'yellow', Verdict.IGNORED: 'red'}


def _check_name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Return NAMESPACE/NAME as it is; raises BadParameter for another text."""
    if value is not None and not re.fullmatch(r'[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}', value):
        raise click.BadParameter(f'{value!r} is not NAMESPACE/NAME')
    return value


@click.group(invoke_without_command=True)
@click.option(
    '-f',
    '--file',
    'sources',
    type=click.Path(path_type=Path),
    multiple=True,
    help='Objects: a file or folder, may be given more than once; /dev/stdin for what is piped in. Without it the API server is asked.',
)
@click.option(
    '--kubeconfig',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help='The API server to ask.  [default: KUBECONFIG, else ~/.kube/config]',
)
@click.option(
    '--context', 'of', default='', metavar='NAME', help='Context of the kubeconfig.  [default: its current one]'
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
    callback=_check_name,
    help="ingress-nginx's ConfigMap: the settings of a class that it stands for.",
)
@click.option(
    '--tcp-services',
    default=None,
    metavar='NAMESPACE/NAME',
    callback=_check_name,
    help="ingress-nginx's ConfigMap of TCP ports: the annotations of Services that it stands for.",
)
@click.option(
    '--udp-services',
    default=None,
    metavar='NAMESPACE/NAME',
    callback=_check_name,
    help="ingress-nginx's ConfigMap of UDP ports, which the edge does not serve.",
)
@click.option(
    '--translate', is_flag=True, help="Print the Ingresses with headrace's own annotations instead of the report."
)
@click.option('--gateway-api', is_flag=True, help='Print a Gateway, ListenerSets and HTTPRoutes instead of the report.')
@click.option(
    '--gateway',
    default='headrace-system/ingress',
    metavar='NAMESPACE/NAME',
    callback=_check_name,
    show_default=True,
    help='With --gateway-api: the Gateway that the routes attach to.',
)
@click.option(
    '--gateway-class',
    default=DEFAULT_CLASS,
    show_default=True,
    help='With --gateway-api: the GatewayClass of the Gateway.',
)
@click.option(
    '--ingress-class',
    default=None,
    help="With --gateway-api: the Ingresses to translate, by class; '' for those without one.  [default: the only class]",
)
@click.option(
    '--format', 'form', type=click.Choice(['human', 'json']), default='human', show_default=True, help='How to print.'
)
@click.pass_context
def migrate(context: click.Context, /, sources: tuple[Path, ...], form: str, **options: Any) -> None:
    """Report how another controller's annotations on Ingresses are served; nothing is changed anywhere.

    Each annotation is exact, differs or is ignored, with the reason. Exit code 1: an Ingress would be closed, or has errors.
    """
    if context.invoked_subcommand is not None:
        return
    names = [name for name in (options['configmap'], options['tcp_services'], options['udp_services']) if name]
    documents = (
        migration_input.of_files(sources)
        if sources
        else migration_input.of_cluster(
            options['kubeconfig'], options['of'], names, with_services=options['gateway_api']
        )
    )
    for line in output.diagnostic_lines(documents.diagnostics):
        click.echo(line, err=True)
    summary = report.make(documents.ingresses, documents.classes, options['dialect'] or '')
    settings = config_map.class_settings(documents.data(options['configmap'])) if options['configmap'] else None
    ports = config_map.tcp_services(documents.data(options['tcp_services'])) if options['tcp_services'] else None
    if options['udp_services']:
        services, remarks = ports or ((), ())
        ports = services, (*remarks, *config_map.udp_services(documents.data(options['udp_services'])))
    refused = False
    if options['gateway_api']:
        summary = _of_class(summary, options['ingress_class'])
        refused = _print_gateway_api(documents, summary, options['gateway'], options['gateway_class'])
    elif options['translate']:
        _translate(documents, summary)
    elif form == 'json':
        output.echo_json(_value(summary, settings, ports))
    else:
        for line in (*_lines(summary), *_setting_lines(settings, ports), *_sums(summary)):
            click.echo(line)
    if refused or summary.closed or any(diagnostic.level is Level.ERROR for diagnostic in documents.diagnostics):
        sys.exit(_ERRORS)


migrate.add_command(comparing.compare)


def _translate(documents: Input, summary: Report) -> None:
    """Print the Ingresses with headrace's annotations, and on the error output what of them stays."""
    reports = {item.ingress.ref[1:]: item for item in summary.ingresses}
    for document in documents.documents:
        metadata = document.get('metadata') or {}
        item = reports.get((str(metadata.get('namespace') or 'default'), str(metadata.get('name'))))
        if document.get('kind') == 'Ingress' and item is not None:
            text = yaml.safe_dump(manifests.translate(document, item), sort_keys=False, allow_unicode=True)
            click.echo(f'---\n{text}', nl=False)
            for key in manifests.kept_annotations(item):
                click.echo(f'{item.ingress.ref}: {key} stays: headrace has no key for it', err=True)
            for key in item.foreign.closed:
                click.echo(
                    f'{item.ingress.ref}: {key} cannot be applied: the Ingress is closed by headrace.io/maintenance',
                    err=True,
                )


def _of_class(summary: Report, name: str | None) -> Report:
    """Return the report of the Ingresses of one class, because those of another one may have another address.

    Raises UsageError where several classes have Ingresses and none is named.
    """
    classes = sorted({item.class_name for item in summary.ingresses})
    if name is None and len(classes) > 1:
        named = ', '.join(each or '""' for each in classes)
        raise click.UsageError(f'the Ingresses are of several classes ({named}): name one by --ingress-class')
    return replace(summary, ingresses=tuple(item for item in summary.ingresses if name in (None, item.class_name)))


def _print_gateway_api(documents: Input, summary: Report, gateway: str, class_name: str) -> bool:
    """Print what stands for the Ingresses, and on the error output what differs; return whether any is not translated."""
    namespace, _, name = gateway.partition('/')
    translated = gateway_api.translate(summary, documents.services, Ref('Gateway', namespace, name), class_name)
    for document in translated.documents:
        click.echo(f'---\n{yaml.safe_dump(document, sort_keys=False, allow_unicode=True)}', nl=False)
    for ref, text in translated.remarks:
        click.echo(f'{ref}: {text}', err=True)
    for ref, text in translated.refused:
        click.echo(f'{ref} is not translated: {text}', err=True)
    return bool(translated.refused)


def _value(summary: Report, settings: _Settings, ports: _Ports) -> dict[str, Any]:
    """Return the report as a value for JSON."""
    value: dict[str, Any] = {
        'counts': {
            'ingresses': len(summary.ingresses),
            'closed': summary.closed,
            **{str(verdict): summary.count(verdict) for verdict in Verdict},
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
            for item in summary.ingresses
        ],
        'keys': [
            {
                'key': item.key,
                **{str(verdict): item.verdicts.get(verdict, 0) for verdict in Verdict},
                'closes': item.closes,
                'texts': item.texts,
            }
            for item in summary.keys
        ],
        'sharedHosts': [{'host': host, 'namespaces': namespaces} for host, namespaces in summary.shared_hosts],
    }
    if settings is not None:
        value['settings'] = settings.settings
        value['configMap'] = [
            {'key': remark.key, 'verdict': remark.verdict, 'text': remark.text} for remark in settings.remarks
        ]
    if ports is not None:
        value['tcpServices'] = [
            {'namespace': item.namespace, 'service': item.service, 'annotations': config_map.annotations(item)}
            for item in ports[0]
        ]
        value['tcpRefused'] = [{'key': remark.key, 'text': remark.text} for remark in ports[1]]
    return value


def _lines(summary: Report) -> Iterator[str]:
    """Yield the report for people: what is not exact of each Ingress, then all keys and shared hosts."""
    for item in summary.ingresses:
        counts = (
            ', '.join(f'{item.count(verdict)} {verdict}' for verdict in Verdict if item.count(verdict))
            or 'no foreign annotations'
        )
        suffix = f', {click.style("closed", fg="red")}' if item.foreign.closed else ''
        yield f'{item.ingress.namespace}/{item.ingress.name}: {counts}{suffix}'
        yield from output.table(
            (f'  {_coloured(remark.verdict)}', remark.key, remark.text)
            for remark in item.foreign.remarks
            if remark.verdict is not Verdict.EXACT
        )
    if summary.keys:
        yield ''
        head = ('KEY', *(str(verdict).upper() for verdict in Verdict), 'CLOSES')
        rows = [
            (item.key, *(str(item.verdicts.get(verdict, 0)) for verdict in Verdict), str(item.closes))
            for item in summary.keys
        ]
        yield from output.table((head, *rows))
    if summary.shared_hosts:
        yield ''
        yield 'Hosts of several namespaces, which the setting hostSharing must allow, or hostPolicy give to one:'
        yield from output.table((f'  {host}', ', '.join(namespaces)) for host, namespaces in summary.shared_hosts)


def _setting_lines(settings: _Settings, ports: _Ports) -> Iterator[str]:
    """Yield what the ConfigMaps stand for."""
    if settings is not None:
        yield ''
        yield from output.table((_coloured(remark.verdict), remark.key, remark.text) for remark in settings.remarks)
        yield ''
        yield 'Settings of the class:'
        yield yaml.safe_dump(_plain(settings.settings), sort_keys=True).rstrip()
    if ports is not None:
        yield ''
        if ports[0]:
            yield f'TCP ports, of which the setting tcpPorts must hold {", ".join(str(item.port) for item in ports[0])}:'
        yield from output.table(
            (f'  {item.namespace}/{item.service}', f'{key}: {text}')
            for item in ports[0]
            for key, text in config_map.annotations(item).items()
        )
        yield from output.table((f'  {_coloured(remark.verdict)}', remark.key, remark.text) for remark in ports[1])


def _sums(summary: Report) -> Iterator[str]:
    """Yield how many Ingresses and annotations there are."""
    yield ''
    sums = ', '.join(f'{summary.count(verdict)} {verdict}' for verdict in Verdict)
    yield f'{len(summary.ingresses)} Ingresses, {summary.closed} of them closed; annotations: {sums}'


def _plain(settings: Any) -> Any:
    """Return settings as lists instead of tuples, for YAML."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}


def _coloured(verdict: Verdict) -> str:
    return click.style(verdict, fg=_COLOURS[verdict])
