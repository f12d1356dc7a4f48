"""Memory that threads have used is in the heap of the process, as far as the C library is GNU's."""

import subprocess
import sys

import pytest

# As a reload does it: strings, too large for Python's own pools, that one thread after the other makes and drops.
_WORK = """
import ctypes, threading
from headrace import heap
if {shared}:
    heap.share()
def work():
    held.append([b'x' * (1000 + number) for number in range(2000)])
held = []
for _ in range(3):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.parametrize('shared', [False, True])
def test_threads_have_heaps_of_their_own_unless_they_share_one(shared):
    ran = subprocess.run(
        [sys.executable, '-c', _WORK.format(shared=shared)], capture_output=True, text=True, timeout=60, check=False
    )
    if 'malloc_stats' in ran.stderr:
        pytest.skip('this is not the C library of GNU')
    assert ran.returncode == 0, ran.stderr
    assert (ran.stderr.count('Arena ') == 1) == shared
