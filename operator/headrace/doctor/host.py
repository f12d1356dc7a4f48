"""Checks of the host itself: HAProxy, the settings, the credentials' files, ports and addresses, descriptors."""

import errno
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from headrace.doctor.findings import Finding, good, missing, warning
from headrace.doctor.places import Places
from headrace.haproxy.runtime import check
from headrace.haproxy.runtime.check import HaproxyMissingError
from headrace.haproxy.runtime.versions import OldHaproxyError
from headrace.settings import settings
from headrace.settings.settings import Settings, SettingsError

_SOURCES = (
    "install HAProxy 3.4 or later: of the distribution, of HAProxy's own packages (https://haproxy.debian.net/), or name one "
    'by HEADRACE_HAPROXY in /etc/headrace/environment'
)
_DISTRIBUTION = Path('/etc/systemd/system/multi-user.target.wants/haproxy.service')
_DESCRIPTORS = Path('/proc/sys/fs/nr_open')
_NONLOCAL = {4: Path('/proc/sys/net/ipv4/ip_nonlocal_bind'), 6: Path('/proc/sys/net/ipv6/ip_nonlocal_bind')}


def look(places: Places) -> tuple[list[Finding], Settings | None]:
    """Return what was found, and the settings where they can be read."""
    found = [haproxy(places.haproxy, _DISTRIBUTION)]
    finding, read = _settings(places.config)
    found.append(finding)
    if places.kubeconfig is not None:
        found += credentials(places.kubeconfig)
    if read is not None:
        is_running = (places.sockets / 'master.sock').exists()
        found += ports(read, is_running=is_running)
        found.append(_descriptors(read))
    return found, read


def haproxy(program: str, distribution: Path) -> Finding:
    """Look for HAProxy and its version, and whether the distribution starts another one."""
    path = shutil.which(program)
    if path is None:
        return missing('HAProxy', f'{program}: no such program', _SOURCES)
    try:
        version = check.version(path)
    except (HaproxyMissingError, OldHaproxyError) as error:
        return missing('HAProxy', str(error), _SOURCES)
    if distribution.exists():
        remedy = 'systemctl disable --now haproxy: headrace-haproxy.service starts HAProxy'
        return warning('HAProxy', f"{version}, and the distribution's own unit is enabled too", remedy)
    return good('HAProxy', f'{version} at {path}')


def _settings(path: Path) -> tuple[Finding, Settings | None]:
    try:
        read = settings.parse(path.read_text())
    except FileNotFoundError:
        return missing('settings', f'{path} is missing', 'copy the one of the package, and adapt it'), None
    except (OSError, UnicodeDecodeError, SettingsError) as error:
        return missing('settings', f'{path}: {error}', 'see docs/settings.md'), None
    return good('settings', f'{path}: class {read.class_name}, addressSource {read.address_source}'), read


def credentials(kubeconfig: Path) -> Iterator[Finding]:
    """Look for the files of `headrace token`, and who can read them."""
    if not kubeconfig.exists():
        remedy = '`headrace token NAME` makes it on a machine with a kubeconfig of an administrator'
        yield missing('credentials', f'{kubeconfig} is missing', remedy)
        return
    for path in (kubeconfig, kubeconfig.with_name('token')):
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) and not _is_closed(path.parent):
            yield warning('credentials', f'others than the owner can read {path}', f'chmod 0600 {path}')


def _is_closed(folder: Path) -> bool:
    return not folder.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH)


def ports(wanted: Settings, *, is_running: bool) -> Iterator[Finding]:
    """Try to bind what HAProxy will bind, unless it runs and has it already."""
    if is_running:
        yield good('ports', 'HAProxy runs, and has its own')
        return
    addresses = wanted.addresses
    wishes = [(address, port) for address in addresses for port in (wanted.http_port, wanted.https_port)]
    wishes += [(address, wanted.health_port) for address in wanted.health_addresses or addresses]
    refused = [finding for address, port in wishes if (finding := _try(address, port)) is not None]
    yield from refused
    if not refused:
        yield good('ports', ', '.join(f'{address}:{port}' for address, port in wishes))


def _try(address: str, port: int) -> Finding | None:
    """Return why an address and port cannot be bound, None where they can."""
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            tried.bind((address, port))
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            version = 6 if ':' in address else 4
            remedy = (
                f'give it to an interface; where it moves between hosts, set {_NONLOCAL[version].name} to 1 (sysctl)'
            )
            return missing('ports', f'{address} is no address of this host', remedy)
        if error.errno == errno.EADDRINUSE:
            return missing(
                'ports', f'{address}:{port} is in use', f"see what listens there: ss -lntp 'sport = :{port}'"
            )
        if error.errno == errno.EACCES:
            return warning('ports', f'{address}:{port}: only root can try', 'run headrace doctor as root')
        if error.errno == errno.EAFNOSUPPORT:
            return missing('ports', f'{address}: this host has no IPv6', 'leave it out of `addresses`')
        return missing('ports', f'{address}:{port}: {error.strerror}')
    return None


def _descriptors(wanted: Settings) -> Finding:
    most = int(_DESCRIPTORS.read_text())
    needed = 2 * wanted.maxconn + 1000
    if needed > most:
        remedy = 'lower maxconn, or raise the sysctl fs.nr_open and LimitNOFILE of headrace-haproxy.service'
        return warning('descriptors', f'maxconn {wanted.maxconn} needs {needed}, a process can have {most}', remedy)
    return good('descriptors', f'{needed} for {wanted.maxconn} connections')
