"""What the demonstration plays on: pods, free ports, a temporary folder, a running headrace, and a client.

Promises: all that is started here ends with the stage, however it ends, and nothing is left in the file system.
"""

import contextlib
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certificates
import yaml
from pods import OUTSIDE, Pods, Ports

from agent import Agent

_SECONDS = 10.0
# The first version that can be given new backends, and headers of a new value, while it runs.
_FIRST_WITHOUT_RELOADS = (3, 4)


class StageError(Exception):
    """The demonstration cannot go on; the message says why."""


@dataclass(frozen=True)
class Answer:
    """An answer to a request: its status and headers, and what the pod that made it saw (empty: HAProxy made it)."""

    status: int
    headers: Mapping[str, str]
    pod: str = ''
    path: str = ''
    seen: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the status and who answered."""
        return f'{self.status} from {self.pod or "HAProxy itself"}'


class Stage:
    """The place of one demonstration: `objects` is the copy of its folder that is served, and may be edited."""

    def __init__(self, haproxy: str) -> None:
        self.haproxy, self.version = haproxy, _version(haproxy)
        self._closing = contextlib.ExitStack()
        self._trusted = ''

    @property
    def reloads_for_news(self) -> bool:
        """Tell whether this HAProxy has to be reloaded for a new Service, and for another header."""
        return tuple(map(int, self.version.split('.')[:2])) < _FIRST_WITHOUT_RELOADS

    def set_up(self, source: Path, whole: AbstractContextManager[None]) -> None:
        """Start the pods, choose ports, and copy the objects with those ports into a temporary folder.

        In `whole` nothing interrupts: a folder that is made is known, and so removed in the end.
        """
        with whole:
            self.folder = Path(tempfile.mkdtemp(prefix='headrace-demo-'))
            self._closing.callback(shutil.rmtree, self.folder)
        self.pods = Pods()
        self._closing.callback(self.pods.close)
        self.ports = Ports('http', 'https', 'tcp', 'health')
        self._closing.callback(self.ports.close)
        self.objects = self.folder / 'objects'
        self.objects.mkdir()
        for path in sorted(source.glob('*.yaml')):
            documents = [self._with_free_ports(document) for document in yaml.safe_load_all(path.read_text())]
            (self.objects / path.name).write_text(yaml.safe_dump_all(documents, sort_keys=False))
        self.settings = self.folder / 'settings.yaml'
        settings = {
            'addresses': [OUTSIDE],
            'httpPort': self.ports['http'],
            'httpsPort': self.ports['https'],
            'httpsPublicPort': self.ports['https'],
            'healthPort': self.ports['health'],
            'tcpPorts': str(self.ports['tcp']),
            'maxconn': 100,
            'threads': 1,
            'drainDelay': '100ms',
        }
        self.settings.write_text(yaml.safe_dump(settings))

    def _with_free_ports(self, document: dict[str, Any]) -> dict[str, Any]:
        if document['kind'] == 'EndpointSlice':
            for port in document['ports']:
                port['port'] = self.pods.port
        annotations = document['metadata'].get('annotations', {})
        if 'headrace.io/port' in annotations:
            annotations['headrace.io/port'] = str(self.ports['tcp'])
        return document

    def serve(self) -> None:
        """Let an agent follow the folder, and wait until it serves."""
        self.agent = Agent(self.folder, self.haproxy)
        self._closing.callback(self.agent.close)
        self.agent.start(self.objects, self.settings)

    def close(self) -> None:
        """End all that was started, and remove all that was written."""
        self._closing.close()

    def edit(self, name: str, old: str, new: str) -> None:
        """Exchange a text of one of the folder's files; it has to be there once."""
        text = (self.objects / name).read_text()
        if text.count(old) != 1:
            raise StageError(f'{name} does not hold {old!r} once')
        self._write(name, text.replace(old, new))

    def add(self, name: str, *documents: dict[str, Any]) -> None:
        """Put a new file into the folder."""
        self._write(name, yaml.safe_dump_all([self._with_free_ports(item) for item in documents], sort_keys=False))

    def add_certificate(self, namespace: str, name: str, host: str) -> None:
        """Put a Secret with a new certificate into the folder, which this client trusts, and no other."""
        made = certificates.secret(namespace, name, host)
        self._trusted = made['stringData']['tls.crt']
        self.add(f'{name}.yaml', made)

    def _write(self, name: str, text: str) -> None:
        """Write a file whole, so that no reader sees a part of it; a name that begins with a dot is not watched."""
        temporary = self.objects / f'.{name}'
        temporary.write_text(text)
        temporary.replace(self.objects / name)

    def get(self, url: str, *, client: str = OUTSIDE, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request to HAProxy from a client's address, on a connection of its own."""
        asked = urlsplit(url)
        host = asked.hostname or ''
        where = (OUTSIDE, self.ports[asked.scheme])
        connection = http.client.HTTPConnection(host)
        try:
            connection.sock = socket.create_connection(where, _SECONDS, (client, 0))
            if asked.scheme == 'https':
                context = ssl.create_default_context(cadata=self._trusted or None)
                connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
            connection.request('GET', asked.path, headers=dict(headers or {}))
            answer = connection.getresponse()
            body, found = answer.read(), {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, **json.loads(body) if body.startswith(b'{') else {})
        except (OSError, http.client.HTTPException) as error:
            raise StageError(f'GET {url}: {error or type(error).__name__}') from error
        finally:
            connection.close()

    def said(self, url: str, *, client: str = OUTSIDE) -> str:
        """Return what answers a request, or why nothing does."""
        try:
            return str(self.get(url, client=client))
        except StageError as error:
            return f'no answer ({error})'

    def greeting(self) -> str:
        """Connect to the TCP port, and return what is said there before the connection ends."""
        try:
            with socket.create_connection((OUTSIDE, self.ports['tcp']), _SECONDS) as connection:
                return connection.makefile().read() or 'nothing'
        except OSError as error:
            return f'nothing ({error})'

    @contextlib.contextmanager
    def asking(self, url: str) -> Iterator[list[str]]:
        """Ask without a pause meanwhile, and return the list that grows with what was answered."""
        answers: list[str] = []
        ended = threading.Event()

        def ask() -> None:
            while not ended.is_set():
                answers.append(self.said(url))

        client = threading.Thread(target=ask, daemon=True)
        client.start()
        try:
            yield answers
        finally:
            ended.set()
            client.join()


def _version(haproxy: str) -> str:
    try:
        said = subprocess.run([haproxy, '-v'], capture_output=True, text=True, timeout=60, check=False).stdout.split()
    except OSError as error:
        raise StageError(f'{haproxy} cannot be run ({error.strerror}); `make setup` installs it') from error
    if said[:2] != ['HAProxy', 'version']:
        raise StageError(f'{haproxy} is no HAProxy')
    return said[2].partition('-')[0]
