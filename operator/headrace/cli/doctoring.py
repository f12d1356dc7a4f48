"""`headrace doctor`: what a host outside of the cluster lacks."""

import asyncio
import os
import sys
from pathlib import Path

import click

from headrace.cli import output
from headrace.doctor import cluster, host, places
from headrace.doctor.findings import Finding, Level
from headrace.doctor.places import Places
from headrace.kube import access as accesses
from headrace.kube.access import AccessError
from headrace.settings.settings import Settings

_COLOURS = {Level.GOOD: 'green', Level.WARNING: 'yellow', Level.MISSING: 'red'}


@click.command()
@click.option('--tenant', default='', metavar='NAME', help='Look at what headrace@NAME needs, in its network.')
def doctor(tenant: str) -> None:
    """Tell what this host lacks to run the package's units, and how to mend it.

    HAProxy and its version, the settings, the credentials of `headrace token`, the API server, each right of the account, ports,
    and whether endpoints can be reached directly or by node ports. Nothing is changed. The exit code is 1 when something is
    missing that the agent cannot run without.
    """
    values = places.variables(tenant)
    file = places.environment_file(tenant)
    if file.exists():
        values |= places.read(file.read_text())
    values |= {name: value for name, value in os.environ.items() if name in {*values, 'POD_NAME'}}
    where = places.of(values)
    found, settings = host.look(where)
    if settings is not None and where.kubeconfig is not None and where.kubeconfig.exists():
        found += _cluster(where, where.kubeconfig, settings)
    for line in output.table(row for finding in found for row in _rows(finding)):
        click.echo(line)
    if any(finding.level is Level.MISSING for finding in found):
        sys.exit(1)


def _cluster(where: Places, kubeconfig: Path, settings: Settings) -> list[Finding]:
    try:
        access = accesses.of_kubeconfig(kubeconfig)
    except AccessError as error:
        return [Finding('credentials', Level.MISSING, str(error), '`headrace token NAME` makes it anew')]
    return asyncio.run(cluster.look(access, settings, where.name))


def _rows(finding: Finding) -> list[tuple[str, str, str]]:
    rows = [(click.style(str(finding.level), fg=_COLOURS[finding.level]), finding.subject, finding.message)]
    return [*rows, *([('', '', finding.remedy)] if finding.remedy else [])]
