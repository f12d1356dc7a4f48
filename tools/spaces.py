"""Network namespaces that live as long as this process holds them, to test and to measure in; they need root.

Nothing in them reaches the outside, and nothing of them is left when the process ends.
"""

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar('Result')
_NEW_NETWORK = 0x40000000
_SECONDS = 60
# The address by which all pods of a machine reach it.
_BY = ('169.254.1.1', 'fd00:254::1')


def _libc(name: str, *arguments: int) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        raise OSError(ctypes.get_errno(), f'{name}: {os.strerror(ctypes.get_errno())}')


def leave() -> None:
    """Move this thread, and all that it starts afterwards, into a network namespace of its own."""
    _libc('unshare', _NEW_NETWORK)


def forward() -> None:
    """Let the namespace of this thread hand packets on."""
    for path in ('net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding'):
        with open(f'/proc/sys/{path}', 'w') as file:  # noqa: PTH123
            file.write('1')


class Space:
    """A network namespace, held open by a descriptor; made anew, or that of the thread that asks, or a given one."""

    def __init__(self, name: str, *, own: bool = False, fd: int | None = None) -> None:
        self.name = name
        if fd is not None:
            self.fd = fd
            return
        with ThreadPoolExecutor(1) as thread:
            self.fd = self._open() if own else thread.submit(self._make).result()

    def _open(self) -> int:
        return os.open('/proc/thread-self/ns/net', os.O_RDONLY)

    def _make(self) -> int:
        leave()
        return self._open()

    @property
    def path(self) -> str:
        """The namespace as programs name it: this process's descriptor."""
        return f'/proc/{os.getpid()}/fd/{self.fd}'

    def enter(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Return what a function returns that runs inside; sockets and programs that it makes stay inside."""

        def inside() -> Result:
            _libc('setns', self.fd, _NEW_NETWORK)
            return function(*arguments)

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(inside).result()

    def run(self, *command: str, text: str | None = None) -> str:
        """Run a program inside, and return what it said."""
        done = subprocess.run(
            ['nsenter', f'--net={self.path}', *command],
            input=text,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert not done.returncode, f'{self.name}: {" ".join(command)}: {done.stderr}'
        return done.stdout

    def ip(self, lines: str) -> None:
        """Do lines of `ip -batch`."""
        self.run('ip', '-force', '-batch', '-', text=lines)

    def close(self) -> None:
        """Let go of the namespace, which ends with its last holder."""
        os.close(self.fd)


def attach(machine: Space, pod: Space, addresses: tuple[str, str]) -> None:
    """Make a namespace a pod of a machine, with an address of each family.

    As plugins of the kind `ptp` do it: a route to each pod, and back by an address that all share.
    """
    four, six = addresses
    machine.ip(
        f'link add {pod.name} type veth peer name eth0 netns {pod.path}\n'
        f'link set {pod.name} up\naddr add {_BY[0]}/32 dev {pod.name}\naddr add {_BY[1]}/128 dev {pod.name} nodad\n'
        f'route add {four}/32 dev {pod.name}\nroute add {six}/128 dev {pod.name}'
    )
    pod.ip(
        f'link set lo up\nlink set eth0 up\naddr add {four}/32 dev eth0\naddr add {six}/128 dev eth0 nodad\n'
        f'route add {_BY[0]}/32 dev eth0\nroute add default via {_BY[0]}\n'
        f'route add {_BY[1]}/128 dev eth0\nroute add default via {_BY[1]}'
    )
