"""Random changes of a folder, on a live HAProxy: it has what one has that is started from the files of the same objects."""

import csv
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from headrace.haproxy.plan import live_state
from headrace.haproxy.render import render
from headrace.haproxy.render.render import Renderer
from headrace.haproxy.runtime import files
from headrace.ir.policy import Map
from headrace.names import Ref
from headrace.settings import settings as class_settings
from headrace.translate import build_context
from properties import strategies
from support.haproxy import Haproxy
from support.live import Ports, until
from support.objects import built

# Each step waits for a live process, and starts another one: they are few.
FEW = settings(
    max_examples=15,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
)
SERVER = '2'
_SECONDS = 20.0
DRAWN_PORTS = ('5000', '5001', '5002')
# What `show stat` tells of a backend's shape and of its servers' options, and no traffic changes.
COLUMNS = ('type', 'mode', 'cookie', 'slim', 'check_rise', 'check_fall')


def state(ask):
    """Return all that a HAProxy says of what it has been told."""
    there = live_state.backends(ask('show backend'))
    servers = live_state.servers(ask('show servers state'))
    rows = csv.DictReader(ask('show stat').lstrip('# \n').splitlines())
    texts = {file: ask(f'show ssl cert {file}') for file in live_state.names(ask('show ssl cert'))}
    authorities = {file: ask(f'show ssl ca-file {file}') for file in live_state.names(ask('show ssl ca-file'))}
    return {
        'backends': sorted(there),
        'servers': sorted(
            (name, server, one.address, one.port, one.disabled)
            for name in there
            for server, one in servers.get(name, {}).items()
        ),
        'shapes': sorted(
            # The limit of a backend itself is a share of the global one where it is not set.
            (row['pxname'], row['svname'], *(row[name] for name in COLUMNS if name != 'slim' or row['type'] == SERVER))
            for row in rows
            if row['pxname'] in there
        ),
        'maps': {name: _entries(ask(f'show map maps/{name}.map')) for name in Map},
        'crt-list': sorted(
            map(live_state.crt_list_words, live_state.crt_list(ask(f'show ssl crt-list -n {render.CRT_LIST}')).values())
        ),
        'materials': {file: live_state.fingerprints(text) for file, text in (texts | authorities).items()},
    }


def _entries(text):
    return sorted((key, value) for key, values in live_state.entries_of(text).items() for value in values)


def differences(found, wanted):
    """Return what is not the same, short enough to be read."""
    shown = [{(part, repr(item)) for part, held in each.items() for item in _items(held)} for each in (found, wanted)]
    return sorted(('found', *one) for one in shown[0] - shown[1]) + sorted(
        ('wanted', *one) for one in shown[1] - shown[0]
    )


def _items(held):
    return held.items() if isinstance(held, dict) else held


def placed(value, ports):
    """Return a document with the ports that are drawn replaced by those that are free."""
    if isinstance(value, dict):
        return {key: placed(item, ports) for key, item in value.items()}
    if isinstance(value, list):
        return [placed(item, ports) for item in value]
    return ports.get(value, value) if isinstance(value, str) else value


class Followed:
    """An agent on a folder with a file for each object, and the objects."""

    def __init__(self, live, ports):
        self.live, self.ports, self.objects = live, ports, {}

    def change(self, events):
        """Write what a batch of events changes."""
        for each in events:
            ref = each if isinstance(each, Ref) else strategies.reference(each)
            name = f'{ref.kind}-{ref.namespace}-{ref.name}'
            if isinstance(each, Ref):
                if self.objects.pop(ref, None):
                    self.live.drop(name)
            else:
                self.objects[ref] = placed(each, self.ports)
                self.live.put(name, self.objects[ref])

    def empty(self):
        self.change([*self.objects])

    def fresh(self):
        """Return what a HAProxy has that starts from these objects; it listens where the live one does, without clients."""
        seen = class_settings.parse(self.live.config.read_text())
        made = built(*self.objects.values(), settings=seen, all_secrets=True)
        assert made.context == build_context.make(seen, all_secrets=True)
        with tempfile.TemporaryDirectory() as folder, Haproxy(self.live.haproxy) as haproxy:
            files.write(Path(folder), Renderer(made.context).render(made))
            haproxy.start(folder)
            return state(haproxy.command)

    def check(self):
        """Wait until the live HAProxy has what a fresh one has, and find nothing in the way."""
        wanted, end = self.fresh(), time.monotonic() + _SECONDS
        until(lambda: not differences(state(self.live.ask), wanted) or time.monotonic() > end)
        assert not differences(state(self.live.ask), wanted)
        assert self.live.metric('headrace_commands_refused_total') in (None, 0)
        until(lambda: self.live.admin('/healthz')[0] == 200)


@pytest.fixture
def followed(make_live):
    ports = Ports(*DRAWN_PORTS)
    numbers = {name: str(ports[name]) for name in DRAWN_PORTS}
    live = make_live(reloadInterval='50ms', maxOldWorkers=100, tcpPorts=','.join(sorted(numbers.values(), key=int)))
    live.start()
    yield Followed(live, numbers)
    ports.close()


@FEW
@given(before=strategies.worlds(), events=strategies.batches())
def test_a_live_haproxy_has_what_one_started_from_the_files_has(followed, before, events):
    followed.empty()
    followed.change(before)
    for batch in events:
        followed.change(batch)
        followed.check()
