"""Where the units of the package look for things, for the host or one of its tenants: as packaging/systemd says.

A test holds the two to each other. Values of /etc/headrace/environment count before them, as for the units.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """The files of an agent, the program that is its HAProxy, and the name of its Lease's holder.

    `kubeconfig` is None for an agent that follows a folder.
    """

    kubeconfig: Path | None
    config: Path
    state: Path
    sockets: Path
    haproxy: str
    name: str


def variables(tenant: str) -> dict[str, str]:
    """Return the variables that the units set, '' for the host itself."""
    inner, folder = (f'/tenants/{tenant}', f'/{tenant}') if tenant else ('', '')
    state = f'/var/lib/headrace{inner}'
    return {
        'HEADRACE_SOURCE': 'kube',
        'HEADRACE_KUBECONFIG': f'{state}/credentials/kubeconfig',
        'HEADRACE_CONFIG': f'/etc/headrace{folder}/settings.yaml',
        'HEADRACE_STATE': state,
        'HEADRACE_SOCKETS': f'/run/headrace{folder}',
        'HEADRACE_HAPROXY': '/usr/sbin/haproxy',
        'HEADRACE_KEEP_HAPROXY': 'true',
        'HEADRACE_LOG_FORMAT': 'json',
    }


def environment_file(tenant: str) -> Path:
    """Return the administrator's file with variables."""
    return Path('/etc/headrace', tenant, 'environment')


def read(text: str) -> dict[str, str]:
    """Return the variables of a file that systemd reads (`EnvironmentFile=`): NAME=VALUE lines, perhaps quoted."""
    found = {}
    for line in map(str.strip, text.splitlines()):
        name, equals, value = line.partition('=')
        if equals and not line.startswith(('#', ';')):
            found[name.strip()] = value.strip().strip('"\'')
    return found


def of(values: Mapping[str, str]) -> Places:
    """Return the places that variables name."""
    return Places(
        kubeconfig=Path(values['HEADRACE_KUBECONFIG']) if values['HEADRACE_SOURCE'] == 'kube' else None,
        config=Path(values['HEADRACE_CONFIG']),
        state=Path(values['HEADRACE_STATE']),
        sockets=Path(values['HEADRACE_SOCKETS']),
        haproxy=values['HEADRACE_HAPROXY'],
        name=values.get('POD_NAME') or socket.gethostname().lower(),
    )
