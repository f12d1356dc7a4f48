"""`headrace cleanup`: take back what the node role leaves in the kernel."""

import asyncio
from pathlib import Path

import click

from headrace.nft import route
from headrace.nft.command import Nft


@click.command()
@click.option('--nft', metavar='PATH', default='nft', show_default=True, help='The program that tells the kernel.')
@click.option(
    '--state',
    type=click.Path(path_type=Path),
    default=None,
    help="An agent's folder; the table that it keeps there, to be loaded at its start, is removed too.",
)
def cleanup(nft: str, state: Path | None) -> None:
    """Remove the node role's table of nftables from this machine.

    The addresses are then served by kube-proxy alone, which leaves Services alone that carry
    `service.kubernetes.io/service-proxy-name`. An agent that runs makes the table again.
    """
    asyncio.run(Nft(nft).remove())
    route.remove()
    if state is not None:
        for file in (state / 'table.nft', *state.glob('[0-9]/table.nft')):
            file.unlink(missing_ok=True)
    click.echo('removed the table inet headrace')
