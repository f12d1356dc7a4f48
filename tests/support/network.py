"""A network of the tests' own: loopback, and pods' addresses on it, which an API server takes where it refuses loopback's.

Everything that this process starts afterwards is in it, and nothing in it reaches other machines.
"""

import fcntl
import itertools
import os
import socket
import struct

from tools import spaces

PODS = '10.77'
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
_UP = 0x1 | 0x40
_NUMBERS = itertools.count(257)
_isolated = False
_before = -1


def machine():
    """Return a descriptor of the network that this machine has, whichever this process is in by now."""
    return os.dup(_before) if _isolated else os.open('/proc/self/ns/net', os.O_RDONLY)


def isolate():
    """Move this process into a network namespace of its own (once); needs root."""
    global _isolated, _before  # noqa: PLW0603  a process can do it once
    if _isolated:
        return
    _before = machine()
    spaces.leave()
    _isolated = True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        fcntl.ioctl(asked, _SIOCSIFFLAGS, struct.pack('16sH14x', b'lo', _UP))
        # The whole network is on this machine, as 127.0.0.0/8 is.
        fcntl.ioctl(asked, _SIOCSIFADDR, _address('lo:pods', f'{PODS}.0.1'))
        fcntl.ioctl(asked, _SIOCSIFNETMASK, _address('lo:pods', '255.255.0.0'))


def _address(interface, address):
    return struct.pack('16sHH4s8x', interface.encode(), socket.AF_INET, 0, socket.inet_aton(address))


def pod():
    """Return an address that no other pod has."""
    number = next(_NUMBERS)
    return f'{PODS}.{number // 256 % 256}.{number % 256}'
