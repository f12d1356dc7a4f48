"""Clients that flood the agent's own ports: HAProxy loses no request, and probes and administrators get their answers."""

import contextlib
import http.client
import itertools
import json
import socket
import ssl
import threading
import time

import pytest

from headrace.kube.rights import When
from support.cluster import pod
from support.live import until
from support.traffic import under_load

VIEW = [{'apiGroups': ['headrace.io'], 'resources': ['agents/status'], 'verbs': ['get']}]
SECONDS = 12.0
# The addresses of attackers, and of other clients.
EVIL, GOOD = '127.0.0.66', '127.0.0.9'
# How many connections an attacker holds, more than a port takes; each is a file descriptor of the test.
HELD = 500
# As long as a kubelet waits for a probe.
PROBE_SECONDS = 5.0


class Flood:
    """Clients in threads, each of which does one thing again and again until the end."""

    def __init__(self, *works):
        self._stop, self.done = threading.Event(), {}
        self._threads = [threading.Thread(target=self._run, args=(work,)) for work in works]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def _run(self, work):
        numbers = itertools.count()
        while not self._stop.is_set():
            with contextlib.ExitStack() as held:
                for number in itertools.islice(numbers, HELD):
                    if self._stop.is_set():
                        return
                    with contextlib.suppress(OSError, http.client.HTTPException):
                        work(held, number)
                    self.done[work.__name__] = number
                    time.sleep(0.001)

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def unverified():
    found = ssl.create_default_context()
    found.check_hostname, found.verify_mode = False, ssl.CERT_NONE
    return found


class Ports:
    """The agent's own ports, and what attackers do to them."""

    def __init__(self, agent):
        said = [line for line in agent.lines() if line['message'] == 'listening'][-1]
        self.admin, self.api = (said[name].rpartition(':')[2] for name in ('admin', 'api'))
        self.tls = unverified()

    def connect(self, held, port, source=EVIL):
        found = socket.create_connection(('127.0.0.1', int(port)), 5, (source, 0))
        held.callback(found.close)
        return found

    def silent(self, held, _):
        """Begin a handshake, and say nothing."""
        self.connect(held, self.api).sendall(b'\x16\x03\x01')

    def handshakes(self, held, _):
        """Make a whole handshake, and go."""
        with self.connect(held, self.api) as made:
            self.tls.wrap_socket(made).close()

    def slow(self, held, _):
        """Send half a request."""
        self.connect(held, self.admin).sendall(b'GET /metrics HTTP/1.1\r\nX-Slow: ')

    def deaf(self, held, _):
        """Ask for much, and read nothing."""
        self.connect(held, self.admin).sendall(b'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n' * 50)

    def guesses(self, held, number):
        """Show one wrong token after the other, a hundred on each connection."""
        made = self.client(EVIL)
        held.callback(made.close)
        for each in range(100):
            made.request('GET', '/status', headers={'X-Headrace-Token': f'{number}.{each}.x'})
            made.getresponse().read()

    def client(self, source):
        return http.client.HTTPSConnection(
            '127.0.0.1', int(self.api), timeout=10, source_address=(source, 0), context=self.tls
        )

    def ask(self, path, token=''):
        """Return status and body, and the seconds that it took."""
        began = time.monotonic()
        made = self.client(GOOD)
        if not token:
            made = http.client.HTTPConnection('127.0.0.1', int(self.admin), timeout=10, source_address=(GOOD, 0))
        with contextlib.closing(made):
            made.request('GET', path, headers={'X-Headrace-Token': token} if token else {})
            answer = made.getresponse()
            return answer.status, answer.read(), time.monotonic() - began


@pytest.fixture
def agent(make_cluster, town):
    """An agent that serves one Service, and its pages to those who show a token."""
    made = make_cluster(when=[When.API])
    made.web([pod(town)], town.port)
    made.start('--api', '127.0.0.1:0')
    return made


def reviews(agent):
    noted = agent.plane.audited(agent.namespace)
    return sum(event.get('objectRef', {}).get('resource') == 'tokenreviews' for event in noted)


def test_floods_of_connections_and_tokens_stop_neither_traffic_nor_probes_nor_pages(agent, town, control_plane):
    ports = Ports(agent)
    tokens = [control_plane.service_account(agent.namespace, f'viewer-{each}', VIEW) for each in range(3)]
    attacks = (ports.silent, ports.handshakes, ports.slow, ports.slow, ports.deaf, ports.guesses)
    probes, pages, began = [], [], time.monotonic()
    with under_load(town, agent), Flood(*attacks) as flood:
        while time.monotonic() - began < SECONDS:
            probes.append(ports.ask('/livez'))
            with contextlib.suppress(OSError):
                pages.append(ports.ask('/status', tokens[len(pages) % 3]))
            # A change is applied meanwhile.
            agent.annotate('web', hsts=f'{len(probes)}h')
            time.sleep(0.2)
        seconds = time.monotonic() - began
    longest = max(taken for _, _, taken in probes)
    print(f'{len(probes)} probes, the longest {longest * 1000:.0f} ms; pages {[status for status, _, _ in pages]}')  # noqa: T201
    print(f'attacks {flood.done}; {reviews(agent)} tokens reviewed in {seconds:.1f} s')  # noqa: T201
    assert {status for status, _, _ in probes} == {200}
    assert longest < PROBE_SECONDS
    assert {status for status, _, _ in pages} == {200}
    assert json.loads(pages[-1][1])['objects']
    # At the start as many as in two seconds; and those of the viewers, every ten seconds.
    assert reviews(agent) <= 5 * (seconds + 2) + 3 * (seconds / 10 + 1)
    assert agent.metric('headrace_own_connections_refused_total') > 100
    until(lambda: agent.metric('headrace_own_connections_refused_total', why='slow'), 'the slow ones are ended')
