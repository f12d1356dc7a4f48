"""A machine inside this one: a folder as its root, with processes, mounts, control groups and a network of its own.

What is started in it by `start` and `run` ends with it, however that ends; what it mounts is not seen outside, and
what it writes to its root stays in memory. The kernel is this machine's, with its settings as they are.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools import kernel_settings

from support.waiting import until

# Where the folder that is shared with the machine is inside it, and where programs of this one are.
INSIDE = Path('/headrace')
PROGRAMS = Path('/opt/programs')
# Without these a kubelet does not start.
_NEEDED = {'cpu', 'cpuset', 'memory', 'pids'}
# Process 1: it makes the machine, says so, and stays until its standard input ends.
_BOOT = """\
set -eu
mount -t tmpfs -o mode=755 machine {mounts}
cd {mounts}
mkdir changes work root
mount -t overlay -o lowerdir={root},upperdir=changes,workdir=work machine root
cd root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --bind /dev dev
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
mkdir -p old .{inside} .{inside_programs}
mount --bind {shared} .{inside}
mount --bind {programs} .{inside_programs}
for name in kubelet containerd docker; do
    mkdir -p var/lib/$name
    mount -t tmpfs -o mode=711 $name var/lib/$name
done
{more}
pivot_root . old
umount -l /old
mount --make-rshared /
ip link set lo up
echo up
read -r _
"""


def traces():
    """Return what a machine must not change of this one: its mounts, and settings of its kernel."""
    settings = {path: Path('/proc/sys', path).read_text() for path in kernel_settings.KUBELET}
    return Path('/proc/self/mountinfo').read_text(), settings


class UnableError(Exception):
    """There can be no machine inside this one; the text says why."""


@dataclass(frozen=True)
class Groups:
    """One hierarchy of control groups: its controllers (none for version 2), and this process's folder in it."""

    controls: str
    folder: Path


def hierarchies():
    """Return the hierarchies of control groups that a machine inside needs; UnableError where it cannot have them."""
    mine = dict(line.split(':', 2)[1:] for line in Path('/proc/self/cgroup').read_text().splitlines())
    found = []
    for line in Path('/proc/self/mountinfo').read_text().splitlines():
        (_, _, _, root, where, *_), (kind, _, options) = (part.split() for part in line.split(' - '))
        if kind in {'cgroup', 'cgroup2'} and root != '/..':
            has = set(options.split(','))
            controls = next((name for name in mine if set(name.split(',')) <= has), '') if kind == 'cgroup' else ''
            path = os.path.relpath(mine[controls], root)
            found.append(Groups(controls, Path(where, path).resolve()))
    first = [each for each in found if each.controls]
    found = first or found[:1]
    if not found:
        raise UnableError('no control groups are mounted')
    has = {name for each in first for name in each.controls.split(',')}
    if not first:
        has = set((found[0].folder / 'cgroup.subtree_control').read_text().split())
    if missing := _NEEDED - has:
        where = f'{found[0].folder} does not hand on' if not first else 'this machine does not have'
        raise UnableError(f'{where} the control groups {", ".join(sorted(missing))}')
    return found


class Machine:
    """One machine; a context manager. `shared` is a folder that is INSIDE on it, `programs` is PROGRAMS.

    It is called as this one, or by its `hostname`.
    """

    def __init__(self, root, space, programs, hostname=None):
        if os.geteuid():
            raise UnableError('it needs root')
        self.root, self.space, self.programs = root, space, programs
        self.hostname = hostname or os.uname().nodename
        self.groups = hierarchies()
        self.folder = Path(tempfile.mkdtemp(prefix='hr-machine-'))
        self.name = self.folder.name
        self.folder.chmod(0o755)
        self.shared = self.folder / 'shared'
        for name in ('mounts', 'shared'):
            (self.folder / name).mkdir()
        self._first, self._inside, self.started = None, None, []

    def __enter__(self):
        """Make it, and wait until it is there."""
        try:
            self._make_groups()
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _make_groups(self):
        for each in self.groups:
            made = each.folder / self.name
            try:
                made.mkdir()
                if each.controls == 'cpuset':
                    for name in ('cpuset.cpus', 'cpuset.mems'):
                        (made / name).write_text((each.folder / name).read_text())
                # A group counts as one process does beside it, and this one is a whole machine.
                for name, share in (('cpu.shares', 10240), ('cpu.weight', 1000)):
                    if (made / name).exists():
                        (made / name).write_text(str(share))
                if not each.controls:
                    # Processes may be in the leaves only.
                    (made / 'programs').mkdir()
                    (made / 'cgroup.subtree_control').write_text(' '.join(f'+{name}' for name in sorted(_NEEDED)))
            except OSError as error:
                raise UnableError(f'a control group cannot be made: {error}') from error

    def _boot(self):
        more = [f'echo {self.hostname} >proc/sys/kernel/hostname']
        for path, value in kernel_settings.KUBELET.items():
            (self.folder / path.replace('/', '.')).write_text(f'{value}\n')
            more.append(f'mount --bind {self.folder / path.replace("/", ".")} proc/sys/{path}')
        more.append('mount -t tmpfs -o mode=755 groups sys/fs/cgroup' if self.groups[0].controls else '')
        for each in self.groups:
            where = f'sys/fs/cgroup/{each.controls.removeprefix("name=")}'
            what = f'-t cgroup -o {each.controls}' if each.controls else '-t cgroup2'
            more += [f'mkdir -p {where}', f'mount {what} groups {where}']
        script = _BOOT.format(
            root=self.root, mounts=self.folder / 'mounts', shared=self.shared, inside=INSIDE,
            programs=self.programs, inside_programs=PROGRAMS, more='\n'.join(more),
        )  # fmt: skip
        net = f'--net=/proc/{os.getpid()}/fd/{self.space.fd}'
        apart = ['unshare', '--mount', '--uts', '--pid', '--cgroup', '--fork', '--kill-child', 'sh', '-c', script]
        with (self.shared / 'machine.log').open('wb') as log:
            self._outer = subprocess.Popen(
                self._grouped('nsenter', net, *apart), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        if self._outer.stdout.readline() != b'up\n':
            said = (self.shared / 'machine.log').read_text()
            raise UnableError(f'the namespaces or mounts of a machine cannot be made: {said.strip()}')
        self._first = int(Path(f'/proc/{self._outer.pid}/task/{self._outer.pid}/children').read_text())
        self._inside = Path(f'/proc/{self._first}/ns/cgroup').stat().st_ino

    def _grouped(self, *command):
        """Return a command that goes into the machine's control groups first."""
        files = [each.folder / self.name / ('' if each.controls else 'programs') for each in self.groups]
        lines = [f'echo $$ >{path}/cgroup.procs' for path in files]
        return ['sh', '-ec', '\n'.join([*lines, 'exec "$@"']), 'sh', *map(str, command)]

    def command(self, *words):
        """Return what runs a command inside the machine."""
        entered = ['nsenter', f'--target={self._first}', '--mount', '--uts', '--pid', '--net', '--cgroup', '--']
        return self._grouped(*entered, *words)

    def run(self, *words, seconds=60):
        """Run a command inside, and return what it said."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=seconds, check=False)
        assert not done.returncode, f'{" ".join(map(str, words))}: {done.stdout}{done.stderr}'
        return done.stdout

    def start(self, name, *words, **environment):
        """Start a program inside that goes on; its log is `shared`/NAME.log."""
        with (self.shared / f'{name}.log').open('ab') as log:
            made = subprocess.Popen(
                self.command(*words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        self.started.append(made)
        return made

    def log(self, name):
        """Return the end of what a program said."""
        return '\n'.join((self.shared / f'{name}.log').read_text(errors='replace').splitlines()[-30:])

    def processes(self):
        """Return the command line of each process inside, by the number that it has outside."""
        found = {}
        for path in Path('/proc').glob('[0-9]*'):
            with contextlib.suppress(OSError):
                if (path / 'ns' / 'cgroup').stat().st_ino == self._inside or self.name in (path / 'cgroup').read_text():
                    words = (path / 'cmdline').read_bytes().split(b'\0')
                    found[int(path.name)] = b' '.join(words).decode(errors='replace').strip()
        return found

    def close(self):
        """End everything inside, and leave nothing; a second time nothing is left to do."""
        if not self.folder.exists():
            return
        if self._first is not None:
            # All others of its process namespace end with process 1.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._first, signal.SIGKILL)
            self._outer.stdin.close()
            self._outer.stdout.close()
            self._outer.wait(30)
        for each in self.started:
            each.wait(30)
        for folder in self.folders():
            _remove(folder)
        shutil.rmtree(self.folder)

    def folders(self):
        """Return its control groups."""
        return [each.folder / self.name for each in self.groups]


def _remove(folder):
    """Remove a control group with all below it, when its last process is gone."""
    if not folder.exists():
        return
    for path in [*(Path(where) for where, _, _ in os.walk(folder, topdown=False))]:
        until(lambda path=path: _gone(path), f'{path} is empty')


def _gone(path):
    with contextlib.suppress(OSError):
        path.rmdir()
    return not path.exists()
