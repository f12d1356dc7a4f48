"""A host outside of the cluster: a machine inside this one whose first process is systemd.

It is in the network of the process that makes it. What is written to its root stays in memory, and all of it
ends with it. Units that need hardware are masked; nothing else of the distribution is changed.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from support.machine import UnableError
from support.waiting import until

SECONDS = 60
_DEVICES = ('null', 'zero', 'full', 'random', 'urandom', 'tty')
_MASKED = ('console-getty', 'systemd-modules-load', 'systemd-udevd', 'systemd-udev-trigger', 'systemd-networkd')
_BOOT = """\
set -eu
mount -t tmpfs -o mode=755 host {mounts}
cd {mounts}
mkdir changes work root
mount -t overlay -o lowerdir={root},upperdir=changes,workdir=work host root
cd root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 groups sys/fs/cgroup
mount -t tmpfs -o mode=755 devices dev
for name in {devices}; do touch dev/$name; mount --bind /dev/$name dev/$name; done
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 pts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
mkdir -p old shared
mount --bind {shared} shared
pivot_root . old
umount -l /old
mount --make-rshared /
echo {name} >/etc/hostname
for name in {masked}; do ln -sf /dev/null /etc/systemd/system/$name.service; done
exec env -i container=headrace PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \\
    /lib/systemd/systemd --log-target=console --show-status=false
"""


class Host:
    """One host; a context manager. `shared` is a folder that is /shared on it."""

    def __init__(self, root, name='lb-1'):
        if os.geteuid():
            raise UnableError('it needs root')
        self.root, self.name = root, name
        self.folder = Path(tempfile.mkdtemp(prefix='hr-host-'))
        self.folder.chmod(0o755)
        self.shared = self.folder / 'shared'
        for each in ('mounts', 'shared'):
            (self.folder / each).mkdir()
        self._group = _control_groups() / self.folder.name
        self._outer = self._first = None

    def __enter__(self):
        """Start it, and wait until systemd has started what it starts."""
        self._group.mkdir()
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _boot(self):
        script = _BOOT.format(
            root=self.root, mounts=self.folder / 'mounts', shared=self.shared, name=self.name,
            devices=' '.join(_DEVICES), masked=' '.join(_MASKED),
        )  # fmt: skip
        apart = [
            'unshare',
            '--mount',
            '--uts',
            '--ipc',
            '--pid',
            '--cgroup',
            '--fork',
            '--kill-child',
            'sh',
            '-c',
            script,
        ]
        # It ends with this process, however that ends.
        guarded = ['setpriv', '--pdeathsig', 'KILL', *apart]
        grouped = ['sh', '-ec', f'echo $$ >{self._group}/cgroup.procs\nexec "$@"', 'sh', *guarded]
        with (self.shared / 'systemd.log').open('wb') as log:
            self._outer = subprocess.Popen(grouped, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self._has_started, f'systemd of {self.name} has started', within=SECONDS)

    def _has_started(self):
        if self._outer.poll() is not None:
            raise UnableError(f'no systemd can be started here: {(self.shared / "systemd.log").read_text().strip()}')
        children = Path(f'/proc/{self._outer.pid}/task/{self._outer.pid}/children').read_text().split()
        if not children:
            return False
        self._first = int(children[0])
        with contextlib.suppress(OSError):
            if b'systemd' in Path(f'/proc/{self._first}/cmdline').read_bytes().split(b'\0')[0]:
                return self.ask('systemctl', 'is-system-running')[0].strip() in {'running', 'degraded'}
        return False

    def command(self, *words):
        """Return what runs a command on it."""
        entered = ['nsenter', f'--target={self._first}', '--all', '--root', '--wd', '--', *map(str, words)]
        return ['sh', '-ec', f'echo $$ >{self._group}/init.scope/cgroup.procs\nexec "$@"', 'sh', *entered]

    def ask(self, *words, seconds=SECONDS):
        """Run a command, and return what it said and its exit code."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=seconds, check=False)
        return done.stdout + done.stderr, done.returncode

    def run(self, *words, seconds=SECONDS):
        """Run a command that must succeed, and return what it said."""
        said, code = self.ask(*words, seconds=seconds)
        assert code == 0, f'{" ".join(map(str, words))}: {said}'
        return said

    def write(self, path, text):
        """Write a file on it."""
        (self.shared / 'written').write_text(text)
        self.run('sh', '-euc', f'mkdir -p {Path(path).parent} && cat /shared/written >{path}')

    def journal(self, *units):
        """Return what units have logged."""
        return self.run('journalctl', '--no-pager', '-o', 'cat', *(word for unit in units for word in ('-u', unit)))

    def kill(self):
        """End it as a loss of power does."""
        if self._first is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._first, signal.SIGKILL)
            self._outer.wait(SECONDS)
            self._first = None

    def close(self):
        """End everything on it, and leave nothing; a second time nothing is left to do."""
        if not self.folder.exists():
            return
        self.kill()
        if self._outer is not None and self._outer.poll() is None:
            self._outer.kill()
            self._outer.wait(SECONDS)
        for folder in [*(Path(where) for where, _, _ in os.walk(self._group, topdown=False))]:
            until(lambda folder=folder: _gone(folder), f'{folder} is empty', within=SECONDS)
        shutil.rmtree(self.folder)


def _control_groups():
    """Return where control groups of version 2 are mounted."""
    for line in Path('/proc/self/mountinfo').read_text().splitlines():
        (_, _, _, root, where, *_), (kind, *_) = (part.split() for part in line.split(' - '))
        if kind == 'cgroup2' and root == '/':
            return Path(where)
    raise UnableError('no control groups of version 2 are mounted')


def _gone(folder):
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not folder.exists()
