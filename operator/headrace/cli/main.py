"""The `headrace` command: its sub-commands, and the one place where errors become messages and exit codes.

Exit codes: 0 all is well; 1 objects in the input have errors; 2 the command line, settings, overrides or input cannot
be used; 3 HAProxy refuses the configuration; 4 HAProxy or the agent cannot be run or reached.
"""

import sys

import click

import headrace
from headrace.agent.agent import AgentError
from headrace.agent.serving import ServingError
from headrace.cli import (
    checking,
    cleaning,
    dashboards,
    doctoring,
    explaining,
    migrating,
    planning,
    releasing,
    rendering,
    running,
    testing,
)
from headrace.cli import status as status_command
from headrace.cli import token as token_command
from headrace.cli.asking import AgentUnreachableError
from headrace.explain.cases import CaseError
from headrace.folder import SourceError
from headrace.haproxy.render.templating import TemplateError
from headrace.haproxy.runtime.check import HaproxyMissingError
from headrace.haproxy.runtime.files import WriteError
from headrace.haproxy.runtime.process import HaproxyStartError
from headrace.haproxy.runtime.versions import OldHaproxyError
from headrace.kube.access import AccessError
from headrace.kube.calls import CallError
from headrace.kube.watch import WatchEndedError
from headrace.nft.command import NftError
from headrace.settings.settings import SettingsError

_UNUSABLE, _NO_HAPROXY = 2, 4


def _also_from_the_environment(command: click.Command) -> None:
    """Let each option be an environment variable as well, called as the option: HEADRACE_TCP_PORTS for --tcp-ports."""
    for option in command.params:
        if isinstance(option, click.Option):
            option.envvar = f'HEADRACE_{max(option.opts, key=len).strip("-").replace("-", "_").upper()}'
            option.show_envvar = True


@click.group(context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(headrace.__version__, message='%(version)s')
def cli() -> None:
    """Balance load for Kubernetes Services with HAProxy.

    Exit codes: 0 all is well; 1 objects in the input have errors; 2 the command line, settings, overrides or input
    cannot be used; 3 HAProxy refuses the configuration; 4 HAProxy or the agent cannot be run or reached.
    """


for command in (
    rendering.render,
    checking.check,
    planning.plan,
    explaining.explain,
    testing.test,
    migrating.migrate,
    running.run,
    status_command.status,
    cleaning.cleanup,
    releasing.release,
    token_command.token,
    dashboards.web,
    doctoring.doctor,
):
    cli.add_command(command)
for command in (
    explaining.explain,
    running.run,
    status_command.status,
    cleaning.cleanup,
    releasing.release,
    dashboards.web,
):
    _also_from_the_environment(command)


def main() -> None:
    """Run the command line, and turn errors into a message and an exit code."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except (CaseError, SettingsError, TemplateError, SourceError, WriteError) as error:
        click.echo(f'headrace: {error}', err=True)
        sys.exit(_UNUSABLE)
    except (
        AccessError,
        AgentError,
        AgentUnreachableError,
        CallError,
        HaproxyMissingError,
        HaproxyStartError,
        NftError,
        OldHaproxyError,
        ServingError,
        WatchEndedError,
    ) as error:
        click.echo(f'headrace: {error}', err=True)
        sys.exit(_NO_HAPROXY)
