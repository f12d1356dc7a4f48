"""A real agent on a real control plane, as the parts measure it that need an API server."""

import asyncio
import os
import re
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

ROOT = Path(__file__).resolve().parent.parent.parent
_TICKS = os.sysconf('SC_CLK_TCK')
_ADMIN = 'http://127.0.0.1:8405'
_SECONDS, _PAUSE = 180.0, 0.02
# At the end nothing is waited for.
_SETTINGS = """tcpPorts: 20000-21999
maxconn: 2000
addresses: [127.0.0.1]
fileDescriptors: 100000
drainDelay: 10ms
hardStopAfter: 1s
"""
_OK = 200
HTTP_PORT = 8080
NAMESPACE = 'default'


class Agent:
    """An agent with its HAProxy, in a folder; a context manager that ends it."""

    def __init__(self, kubeconfig: Path, folder: Path, settings: str = '') -> None:
        config, overrides = folder / 'settings.yaml', folder / 'overrides'
        config.write_text(_SETTINGS + settings)
        overrides.mkdir()
        # The varied cluster has more ports and checks than a small machine has descriptors.
        (overrides / 'global.cfg').write_text('no strict-limits\n')
        self._command = [
            str(ROOT / '.venv' / 'bin' / 'headrace'), 'run', '--source', 'kube', '--kubeconfig', str(kubeconfig),
            '--start-haproxy', str(ROOT / 'bin' / 'haproxy-3.4'), '--state', str(folder / 'st'), '--config', str(config),
            '--overrides', str(overrides), '--log-level', 'warning',
        ]  # fmt: skip

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, env={**os.environ, 'POD_NAME': 'bench', 'POD_NAMESPACE': NAMESPACE}
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    async def ready(self) -> None:
        """Wait until it serves."""
        deadline = time.monotonic() + _SECONDS
        async with aiohttp.ClientSession(_ADMIN) as session:
            while time.monotonic() < deadline:
                try:
                    async with session.get('/readyz') as answer:
                        if answer.status == _OK:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(_PAUSE)
        raise TimeoutError('the agent is not ready')

    async def reloads(self) -> int:
        """Return how many reloads it counts."""
        async with aiohttp.ClientSession(_ADMIN) as session, session.get('/metrics') as answer:
            return int(
                sum(map(float, re.findall(r'^headrace_reloads_total\{.*\} (\S+)$', await answer.text(), re.MULTILINE)))
            )

    def cpu(self) -> float:
        """Return the CPU seconds that it has taken."""
        cells = Path(f'/proc/{self._process.pid}/stat').read_text().rpartition(')')[2].split()
        return (int(cells[11]) + int(cells[12])) / _TICKS

    def memory(self, key: str = 'VmRSS') -> float:
        """Return its resident memory in MB, or its largest one (VmHWM)."""
        text = Path(f'/proc/{self._process.pid}/status').read_text()
        return int(text.partition(f'{key}:')[2].split()[0]) / 1024
