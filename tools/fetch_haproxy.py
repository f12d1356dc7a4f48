"""Put HAProxy into ``bin/`` as ``haproxy-3.4``.

Debian builds it, but for other releases than the machine's own. So the packages are downloaded
from the mirror that the machine already uses, unpacked below ``.cache/`` together with every
library they need, and started by their own loader: nothing is installed, no root is needed, and
it works whatever C library the machine has.

Environment:
  HAPROXY_3_4    use this binary instead (any system, no apt needed)
  DEBIAN_MIRROR  use this Debian mirror instead of the one in the apt sources
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / 'bin'
CACHE = ROOT / '.cache'
KEYRING = Path('/usr/share/keyrings/debian-archive-keyring.gpg')

# Packages of libraries that are not called lib*.
OTHER_LIBRARIES = {'zlib1g'}
# Dependencies of libraries that only serve other programs.
NOT_NEEDED = {'libc-gconv-modules-extra', 'libpam-modules', 'libpam-runtime'}

WRAPPER = """\
#!/bin/sh
# Made by tools/fetch_haproxy.py: {what}.
# Starts an unpacked HAProxy by its own loader, so that it needs nothing of this system.
# argv0 has to be this very file: HAProxy's master starts itself again at a reload.
set -eu
self=$(readlink -f -- "$0")
dir=${{self%/*/*}}/{folder}
exec "$dir/{loader}" --inhibit-cache --library-path "$dir/{libraries}" \\
    --argv0 "$self" "$dir/usr/sbin/haproxy" "$@"
"""


class SetupError(Exception):
    """Something a person has to solve; its text says how."""


# The series to take; the oldest that will do.
WANTED = (3, 4)
TARGET = BIN / 'haproxy-3.4'
# Names a binary of one's own.
VARIABLE = 'HAPROXY_3_4'
# `experimental` is an overlay of `sid`, from which its libraries come.
SUITES = ('sid', 'experimental')


def run(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Return the command's output; SetupError with what it said if it fails."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise SetupError(f'`{command[0]} … {command[-1]}` failed:\n{said}')
    return done.stdout


def haproxy_version(binary: Path | str) -> tuple[int, ...] | None:
    """Read (3, 4, 7) from a HAProxy that runs here; None for anything else."""
    try:
        done = subprocess.run([str(binary), '-v'], capture_output=True, text=True, check=False)
    except OSError:
        return None
    found = re.match(r'HAProxy version (\d+)\.(\d+)(?:[.-]\D*(\d+))?', done.stdout)
    if done.returncode or not found:
        return None
    return tuple(int(part) for part in found.groups(default='0'))


# --- the machine's mirror -------------------------------------------------------------------


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Split a deb822 file into its stanzas, field names in lower case."""
    fields: dict[str, str] = {}
    last = ''
    for line in [*text.splitlines(), '']:
        if line.startswith('#'):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ''
        elif line[0] in ' \t' and last:
            fields[last] += ' ' + line.strip()
        elif ':' in line:
            last, _, value = line.partition(':')
            last = last.strip().lower()
            fields[last] = value.strip()


def deb822_entries(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """Read (address, suite, components) of the binary package sources in a *.sources file."""
    for fields in stanzas(text):
        on = fields.get('enabled', 'yes').lower() not in {'no', 'false', '0'}
        if on and 'deb' in fields.get('types', '').split():
            for uri in fields.get('uris', '').split():
                for suite in fields.get('suites', '').split():
                    yield uri, suite, fields.get('components', '').split()


def one_line_entries(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """Read the same from sources.list or a *.list file."""
    for line in text.splitlines():
        found = re.match(r'deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)((?:\s+[^#\s]+)*)', line.strip())
        if found:
            yield found[1], found[2], found[3].split()


def mirrors(apt: Path = Path('/etc/apt')) -> list[str]:
    """List addresses that may be a Debian mirror, the likeliest first.

    Third parties too publish `bookworm main`; that is no harm, since they have no suite signed
    by Debian's archive key and so are passed over.
    """
    if own := os.environ.get('DEBIAN_MIRROR'):
        return [own]
    entries: list[tuple[str, str, list[str]]] = []
    for path in sorted(apt.glob('sources.list.d/*.sources')):
        entries += deb822_entries(path.read_text(errors='replace'))
    for path in [*apt.glob('sources.list'), *sorted(apt.glob('sources.list.d/*.list'))]:
        entries += one_line_entries(path.read_text(errors='replace'))
    # Not bookworm-security and the like, which may be at another address.
    found = [uri for uri, suite, components in entries if 'main' in components and not set(suite) & set('-/')]
    return sorted(dict.fromkeys(found), key=lambda uri: not uri.rstrip('/').endswith('/debian'))


# --- packages ---------------------------------------------------------------------------------


class Apt:
    """apt-get and apt-cache with sources and state of their own."""

    def __init__(self, folder: Path, mirror: str, suites: tuple[str, ...], arch: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        for name in ('lists/partial', 'archives/partial', 'sources'):
            (folder / name).mkdir(parents=True)
        (folder / 'status').touch()
        (folder / 'sources/debian.sources').write_text(
            f'Types: deb\nURIs: {mirror}\nSuites: {" ".join(suites)}\nComponents: main\n'
            f'Architectures: {arch}\nTargets: Packages\nSigned-By: {KEYRING}\n'
        )
        # Options win over the machine's configuration, of which the rest (proxies) stays.
        settings = {
            'Dir::State::lists': folder / 'lists',
            'Dir::State::status': folder / 'status',
            'Dir::Cache': folder,
            'Dir::Cache::archives': folder / 'archives',
            # Container images switch these caches off; every look-up is ten times slower then.
            'Dir::Cache::pkgcache': 'pkgcache.bin',
            'Dir::Cache::srcpkgcache': 'srcpkgcache.bin',
            'Dir::Etc::sourcelist': '/dev/null',
            'Dir::Etc::sourceparts': folder / 'sources',
            'Dir::Etc::preferences': '/dev/null',
            'Dir::Etc::preferencesparts': '/dev/null',
            'APT::Architecture': arch,
            'APT::Architectures': arch,
            # Root would hand over to a user who may not be able to enter this folder.
            'APT::Sandbox::User': 'root',
            'Acquire::Languages': 'none',
            'Acquire::Retries': '3',
            'APT::Update::Error-Mode': 'any',
        }
        self.options = [part for key, value in settings.items() for part in ('-o', f'{key}={value}')]
        self.env = os.environ | {'LC_ALL': 'C'}

    def get(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run apt-get."""
        return run('apt-get', '-q', *self.options, *arguments, cwd=cwd, env=self.env)

    def cache(self, *arguments: str) -> str:
        """Run apt-cache."""
        return run('apt-cache', *self.options, *arguments, env=self.env)

    def versions(self, package: str) -> list[str]:
        """List the versions that the suites have."""
        # package | version | source
        return [line.split('|')[1].strip() for line in self.cache('madison', package).splitlines() if '|' in line]

    def libraries(self, package: str) -> list[str]:
        """List library packages that this one names among its dependencies."""
        try:
            text = self.cache('show', '--no-all-versions', package)
        except SetupError:
            return []  # a virtual package; what is really missing is noticed at the end
        names: list[str] = []
        for fields in stanzas(text):
            depends = fields.get('pre-depends', '') + ',' + fields.get('depends', '')
            for choice in depends.split(','):
                name = re.split(r'[\s:(|]', choice.strip(), maxsplit=1)[0]
                if name.startswith('lib') or name in OTHER_LIBRARIES:
                    names.append(name)
        return names

    def closure(self, package: str) -> list[str]:
        """List the package and all libraries that it needs, directly or not."""
        found, todo = [package], [package]
        while todo:
            for name in self.libraries(todo.pop(0)):
                if name not in found and name not in NOT_NEEDED:
                    found.append(name)
                    todo.append(name)
        return found


def numbers(version: str) -> tuple[int, ...]:
    """Read (3, 4, 7) from Debian's `3.4.7-1`."""
    upstream = version.rpartition(':')[2].partition('-')[0]
    return tuple(int(part) for part in re.findall(r'\d+', upstream))


def choose(versions: list[str]) -> str:
    """Take the newest of the series itself, else of the next later series."""
    fit = [version for version in versions if numbers(version)[:2] >= WANTED]
    if not fit:
        have = ', '.join(versions) or 'none'
        raise SetupError(f'no HAProxy 3.4 or later in {SUITES[-1]} ({have})')
    lowest = min(numbers(version)[:2] for version in fit)
    return max((v for v in fit if numbers(v)[:2] == lowest), key=numbers)


def unpack(apt: Apt, version: str, release: str | None) -> None:
    """Download and unpack one version, try it, and write the wrapper."""
    extra = ['-o', f'APT::Default-Release={release}'] if release else []
    apt.options += extra
    packages = apt.closure(f'haproxy={version}')
    debs = CACHE / 'apt' / 'debs'
    shutil.rmtree(debs, ignore_errors=True)
    debs.mkdir()
    apt.get('download', *packages, cwd=debs)

    folder = Path('.cache') / 'haproxy' / '3.4'
    new = ROOT / folder.with_name('3.4.new')
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for deb in sorted(debs.glob('*.deb')):
        run('dpkg', '-x', str(deb), str(new))
    for name in ('doc', 'man', 'locale', 'lintian'):
        shutil.rmtree(new / 'usr/share' / name, ignore_errors=True)
    shutil.rmtree(debs)

    loaders = sorted(new.glob('usr/lib/*-linux-gnu*/ld-linux*.so.*'))
    if not loaders:
        raise SetupError(f'no loader among the packages {" ".join(packages)}')
    loader = loaders[0].relative_to(new)
    libraries = loader.parent
    program = new / 'usr/sbin/haproxy'
    listing = run(
        str(new / loader), "--inhibit-cache", "--library-path", str(new / libraries),
        "--list", str(program),
    )  # fmt: skip
    for line in listing.splitlines():
        found = re.search(r'=> (\S+)', line)
        if found and not found[1].startswith(str(new)):
            raise SetupError(f'a library of HAProxy {version} is not in its packages: {line}')

    shutil.rmtree(ROOT / folder, ignore_errors=True)
    new.rename(ROOT / folder)
    text = WRAPPER.format(what=f'HAProxy {version} of Debian', folder=folder, loader=loader, libraries=libraries)
    temporary = TARGET.with_suffix('.new')
    temporary.write_text(text)
    temporary.chmod(0o755)
    temporary.replace(TARGET)
    if (haproxy_version(TARGET) or ()) < WANTED:
        TARGET.unlink()
        raise SetupError(f'HAProxy {version} was unpacked, but does not run')


def from_debian() -> None:
    """Get HAProxy from the first mirror that has it."""
    missing = [name for name in ('apt-get', 'apt-cache', 'dpkg') if not shutil.which(name)]
    if missing:
        raise SetupError(f'this system has no {", ".join(missing)} to get it from Debian with')
    if not KEYRING.is_file():
        raise SetupError(f'{KEYRING} is missing (package debian-archive-keyring)')
    found = mirrors()
    if not found:
        raise SetupError('no Debian mirror in /etc/apt; name one in DEBIAN_MIRROR')
    arch = run('dpkg', '--print-architecture').strip()
    said = []
    for mirror in found:
        apt = Apt(CACHE / 'apt', mirror, SUITES, arch)
        try:
            apt.get('update')
        except SetupError as error:
            said.append(str(error))
            continue
        version = choose(apt.versions('haproxy'))
        try:
            unpack(apt, version, None)
        except SetupError:
            # It may need libraries newer than the base suite's.
            unpack(apt, version, SUITES[-1])
        # The lists are large and only good for one day.
        shutil.rmtree(CACHE / 'apt')
        return
    raise SetupError('no mirror has what is needed:\n' + '\n'.join(said))


def link(binary: str) -> None:
    """Make the target a link to a HAProxy that is there already."""
    path = shutil.which(binary)
    version = haproxy_version(path) if path else None
    if path is None or version is None:
        raise SetupError(f'{VARIABLE}={binary} is not a HAProxy that runs here')
    if version < WANTED:
        raise SetupError(f'{VARIABLE}={binary} is older than 3.4')
    TARGET.unlink(missing_ok=True)
    TARGET.symlink_to(Path(path).absolute())


def provide() -> None:
    """Put HAProxy into place, if it is not there."""
    if binary := os.environ.get(VARIABLE):
        link(binary)
    elif (haproxy_version(TARGET) or ()) >= WANTED:
        return
    else:
        own = shutil.which('haproxy')
        if own and (haproxy_version(own) or ())[:2] == WANTED:
            link(own)
            return
        print(f'HAProxy 3.4: from Debian {SUITES[-1]}', flush=True)
        try:
            from_debian()
        except SetupError as error:
            raise SetupError(
                f'could not get HAProxy 3.4: {error}\nTo use one that you have: {VARIABLE}=/path/to/haproxy make setup'
            ) from None


def main() -> int:
    """Put it into place; 1 if that cannot be done."""
    BIN.mkdir(exist_ok=True)
    CACHE.mkdir(exist_ok=True)
    with (CACHE / 'haproxy.lock').open('w') as lock:
        # Two set-ups at once (an editor and a shell) would take each other's folders away.
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            provide()
        except SetupError as error:
            print(f'error: {error}', file=sys.stderr)
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
