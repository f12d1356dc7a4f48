"""One agent before which one change after another is made: what each costs, and what HAProxy does after it.

Each change has Services of its own, all of which are there from the start, so that one agent is enough for all.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from headrace.translate import build_context
from support.live import Live, until
from support.objects import endpoint_slice, service
from support.servers import Endpoints
from support.transitions import TRUSTED, Stage, place

SNIPPETS = {'greeting': 'http-response set-header X-Snippet yes\n'}
DEFAULT = 'shop/default'
_MARK = 'mark.example.com'


class Other:
    """What is another value than before."""

    def __repr__(self):
        return 'another value than before'


OTHER = Other()


@dataclass(frozen=True)
class Change:
    """A change of a key, or else of objects: in words, the objects before and after it, and where it is seen.

    `was` and `now` are what `look` shows of the scene before and after it; None for whatever it is.
    """

    key: str
    what: str
    before: list
    after: list
    look: Callable
    was: object
    now: object

    @property
    def name(self):
        """The name of the change, and of its file."""
        return f'{self.key} {self.what}'.strip().replace(' ', '-').replace('/', '-')


class Scene:
    """An agent and its HAProxy with the objects before all changes."""

    def __init__(self, binary, ports, changes, shared):
        self.shared, self._held, self._turn = shared, {}, 0
        self.endpoints = Endpoints().__enter__()
        self.stage = Stage(self.endpoints, ports, binary)
        own = {
            'trusted_proxies': (f'{TRUSTED}/32',),
            'default_certificate': DEFAULT,
            'reload_interval': '0s',
            'allow_external_name': True,
            'allowed_response_headers': ('X-A',),
            'reloads_per_minute': 1000,
            'total_reloads_per_minute': 1000,
        }
        settings = msgspec.structs.replace(self.stage.context.settings, **own, hard_stop_after='5s', maxconn=1000)
        self.stage.context = build_context.make(settings, all_secrets=True, snippets=frozenset(SNIPPETS))
        self.live = Live(binary, **msgspec.to_builtins(settings))
        self.live.overrides = self.live.root / 'overrides'
        for name, text in SNIPPETS.items():
            path = self.live.overrides / 'snippets' / f'{name}.cfg'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._mark()
        self.live.put('shared', *place(shared, self.stage.words))
        for change in changes:
            self.put(change, change.before)
        self.live.start()

    def close(self):
        """End the agent, its HAProxy, and the endpoints."""
        self.live.close()
        self.endpoints.__exit__()

    def put(self, change, documents):
        """Write the objects of a change, if they are others than those that are there."""
        placed = place(documents, self.stage.words)
        for item in placed:
            said = item['metadata'].get('annotations', {})
            said.update({key: str(value) for key, value in said.items()})
        if self._held.get(change.name) != placed:
            self._held[change.name] = placed
            self.live.put(change.name, *placed)

    def play(self, change):
        """Make a change, and return what it cost: `nothing`, `commands`, or the words of a reload's reasons."""
        self.put(change, change.before)
        self._shown(change, change.was)
        self._quiet()
        worker, seen, since = self.live.worker(), change.look(self), len(self._reloads())
        plan = self.stage.between([*self.shared, *change.before], [*self.shared, *change.after])
        words = sorted({reason.word for reason in plan.reasons})
        self.put(change, change.after)
        if words:
            until(lambda: self.live.times('reloaded') > since, f'{change.name}: HAProxy is reloaded', 15)
            done = self._reloads()[since:]
            assert (
                sorted({reason.partition(':')[0] for item in done for reason in item['reasons'].split('; ')}) == words
            )
        self._shown(change, change.now, seen)
        self._quiet()
        assert (self.live.worker() != worker) is bool(words)
        assert len(self._reloads()) == since + bool(words)
        return ', '.join(words) or ('commands' if plan.commands else 'nothing')

    def _shown(self, change, wanted, before=None):
        def true():
            seen[:] = [change.look(self)]
            return seen[0] != before if wanted is OTHER else wanted is None or seen[0] == wanted

        seen = []
        try:
            until(true, change.name, 10)
        except AssertionError:
            raise AssertionError(f'{change.name}: {wanted!r} is not seen, but {seen}') from None

    def _reloads(self):
        return [line for line in self.live.lines() if line['message'] == 'reloading']

    def _mark(self):
        """Move the endpoint of a Service of no change, and return where it is now."""
        self._turn += 1
        where = f'127.60.0.{self._turn % 250 + 1}'
        found = endpoint_slice('mark', addresses=[where], port=self.endpoints.port)
        self.live.put('mark', service('mark', annotations={'host': _MARK}), found)
        return where

    def _quiet(self):
        """Wait until all that was written before is known to HAProxy: what is written after it is."""
        where = self._mark()
        until(lambda: self.live.addresses('shop_mark_80') == {where}, 'the mark has moved')
        until(lambda: self.live.times('reloading') == self.live.times('reloaded'), 'no reload is under way')

    # What changes look at

    def file(self, text):
        """Tell whether what HAProxy was loaded from has a text."""
        return any(text in path.read_text() for path in (self.live.state / 'current' / 'haproxy').iterdir())

    def backends(self, name):
        """Return the names of a Service's backends."""
        cells = [line.split(' ') for line in self.live.ask('show backend').splitlines()]
        return sorted(cell[0] for cell in cells if cell[0].startswith(f'shop_{name}_'))

    def figures(self, name, column, server):
        """Return a column of HAProxy's figures: of each server of a Service that may be used, or of its backends."""
        rows = csv.DictReader(self.live.ask('show stat').removeprefix('# ').splitlines())
        return sorted(
            row[column]
            for row in rows
            if row['pxname'].startswith(f'shop_{name}_')
            and (row['svname'] != 'BACKEND') is server
            and not row['status'].startswith('MAINT')
        )

    def entry(self, where, value):
        """Tell whether a map has an entry of this value."""
        return value in self.live.routes(where).values()
