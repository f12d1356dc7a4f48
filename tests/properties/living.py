"""The pure core from objects to plans, as the agent runs it: store, state, plan, and a simulated HAProxy that is told it."""

import re
from dataclasses import replace

from headrace import names, store
from headrace.haproxy.encode import profiles
from headrace.haproxy.encode.routes import NO_ROUTE
from headrace.haproxy.plan import adopted, deferred, live_state, plan
from headrace.haproxy.render import render
from headrace.haproxy.runtime import adoption, responses
from headrace.haproxy.runtime.responses import Outcome
from headrace.ir.fragment import Kind
from headrace.ir.pointers import Pointer
from headrace.ir.policy import Map
from headrace.ir.tls import Pem
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve import model_snapshot, state
from headrace.settings.settings import Secrets, Settings
from headrace.translate import build_context
from headrace.translate.endpoints import Topology
from properties.simulated import Simulated

SETTINGS = Settings(tcp_ports='5000-5999', secrets=Secrets(namespaces=('*',)), ingress_annotations=('ingress-nginx',))
VIEW = build_context.make(SETTINGS, topology=Topology('n1', 'z1'))
RENDERER = render.Renderer(VIEW)
ROUTES, PORTS, CANARY = 'maps/routes.map', 'maps/ports.map', 'maps/canary.map'
# What stands in the place of a route where a host belongs to a namespace.
RESERVED = re.compile('[a-z]+_')
PASSTHROUGH = 'maps/passthrough.map'


def cheap_files(shown):
    """Return the files of a snapshot that plans are about: backends, data, and the names of profiles."""
    fragments = [shown.fragments[ref] for ref in sorted(shown.fragments)]
    names = profiles.in_use(fragments, SETTINGS.cookie_name)
    return {
        'haproxy/20-profiles.cfg': ''.join(f'defaults {name}\n' for name in names).encode(),
        'haproxy/backends-0000.cfg': RENDERER.backends(fragments),
        **RENDERER.data(shown),
        **({} if model_snapshot.passing(shown) else {'haproxy/31-https.cfg': b'frontend https from base-http\n'}),
    }


def targets(value):
    """Return the pointers of an entry at which a request can arrive: one that is closed or redirects needs no backend."""
    listed = value.split(',')[1:-1] if value.startswith('?') else [value]
    # What candidates leave may be kept for a namespace, which is no pointer.
    candidates = [candidate for candidate in listed if candidate != NO_ROUTE and not RESERVED.fullmatch(candidate)]
    pointers = [candidate.partition('!')[0] for candidate in candidates]
    return [
        pointer
        for pointer in pointers
        if not {'X', 'R'} & set(pointer.split('|')[2]) and not pointer.startswith(f'{names.UNRESOLVED}|')
    ]


class Model:
    """Objects and the state that follows them."""

    def __init__(self, seen=VIEW):
        self.store, self.state = store.Store(), state.State(seen)

    def change(self, events):
        """Apply a batch of events and return what they changed."""
        for each in events:
            if isinstance(each, Ref):
                self.store.drop(each)
            else:
                self.store.put(parse.read(each).object)
        return self.state.update(self.store, self.store.take())

    def scratch(self):
        """Return a state that is built from the same objects at once."""
        made = state.State(self.state.context)
        made.update(self.store, self.store.translated())
        return made


class Told:
    """A simulated HAProxy that is told plans, and what it has been told. It is looked at between any two commands."""

    def __init__(self, model):
        self.snapshot = model_snapshot.of_state(model.state)
        self.start()

    def start(self):
        """Start from the files of what is told, as a reload does."""
        files = cheap_files(self.snapshot)
        self.simulated = Simulated(files)
        self.loaded = plan.started(self.snapshot, self.simulated.profiles)
        self.deferred = deferred.Deferred()

    def reload(self, model):
        """Start anew from the files of the model."""
        self.snapshot = model_snapshot.of_state(model.state)
        self.start()

    def tell(self, model, change):
        """Plan a change, and what still waits; tell it, and return the plan."""
        whole = model_snapshot.of_state(model.state)
        refs, keys = {item.ref for item in change.fragments}, {item.key for item in change.pointers}
        with_all = self.snapshot.change_to(whole, refs | self.deferred.refs, keys | self.deferred.keys)
        refs, keys = self.deferred.planned_with(refs, keys, self.snapshot, whole)
        wanted = self.snapshot.change_to(whole, refs, keys)
        made, expected = plan.plan(wanted, self.loaded), plan.plan(with_all, self.loaded)
        self.deferred.note(refs, keys, wanted, made)
        # What waits and is not planned again would have come to the same.
        assert made.commands == expected.commands
        assert (self.deferred.refs, self.deferred.keys) == (expected.deferred, expected.deferred_keys)
        before = self.snapshot.copy()
        plan.record(self.snapshot, wanted, made)
        served = self.served(before)
        both = [key for key in served if key in self.served(self.snapshot)]
        for command in made.commands:
            self.send(command)
            self.look(command, both)
        self.loaded = replace(self.loaded, missing=self.loaded.missing | made.missing, passing=made.passing)
        assert self.simulated.passes_as_it_should(), made.commands
        return made

    def adopt(self, model):
        """Be found by an agent that knows nothing but the model; return what was held for a reload."""
        wanted, had = model_snapshot.of_state(model.state), self.observed()
        lacked = adopted.missing(wanted, had, self.loaded.profiles)
        kept = adopted.defer(wanted, lacked, had)
        before = self.served(self.snapshot)
        self.snapshot = kept.snapshot
        both = [key for key in before if key in self.served(wanted)]
        made = adoption.repairs(kept.snapshot, had) + adoption.material_repairs(wanted, self.materials())
        for command in live_state.ordered(made):
            self.send(command)
            self.look(command, both)
        self.deferred = deferred.of_difference(self.snapshot, wanted, kept.refs, kept.keys)
        self.loaded = replace(self.loaded, missing=frozenset(lacked), passing=model_snapshot.passing(kept.snapshot))
        if self.simulated.direct:
            self.simulated.listening = {'sni'} if self.loaded.passing else {'https'}
        assert self.simulated.passes_as_it_should()
        return kept

    def observed(self):
        """Return what a worker says that it has."""
        found = live_state.LiveState()
        for name, made in self.simulated.backends.items():
            servers = found.backends[name] = {}
            for server, one in made.servers.items():
                address, _, port = server.partition('_')[0].rpartition(':')
                servers[server] = live_state.Server(address, int(port), disabled=not one.enabled)
        for name in Map:
            held_entries = found.maps[name] = {}
            for key, value in self.simulated.maps.get(f'maps/{name}.map', ()):
                held_entries.setdefault(key, []).append(value)
        return found

    def materials(self):
        """Return what a worker says of its certificates."""
        marks = {
            kind: {file: tuple(adoption.fingerprints(Pem(text.encode()))) for file, text in files.items()}
            for kind, files in (
                (Kind.CERTIFICATE, self.simulated.certificates),
                (Kind.AUTHORITY, self.simulated.authorities),
            )
        }
        return adoption.Materials(marks, {render.CRT_LIST: tuple(self.simulated.crt_list.values())})

    def send(self, command):
        """Send one command, which must not be refused."""
        text = command.text
        if command.locate:
            number = live_state.line_number(self.simulated.numbered(), command.locate)
            assert number, (command, self.simulated.crt_list)
            text = f'{text}:{number}'
        answer = self.simulated.tell(text)
        assert responses.judge(command, answer).outcome is Outcome.DONE, (command, answer)

    def served(self, shown):
        """Return the routes, ports and TLS hosts of a snapshot that have a usable server or certificate."""
        endpoints = {
            backend.name: bool(backend.groups) for item in shown.fragments.values() for backend in item.backends
        }
        found = []
        for (kind, key), content in shown.pointers.items():
            if kind in (Kind.ROUTE, Kind.PORT) and isinstance(content, Pointer) and endpoints.get(content.backend):
                found.append((ROUTES if kind is Kind.ROUTE else PORTS, key))
            elif kind is Kind.TLS and content.certificates:
                found.append(('certificates/list.txt', key))
            elif kind is Kind.TLS and content.passthrough and endpoints.get(content.passthrough.backend):
                found.append((PASSTHROUGH, key))
        return found

    def look(self, command, both):
        """Find every pointer leading somewhere, no key twice, and what is served before and after served now."""
        maps = self.simulated.maps
        for file in (ROUTES, PORTS, PASSTHROUGH, CANARY):
            for key, value in maps[file]:
                if file == ROUTES and RESERVED.fullmatch(value):
                    # No route, but the namespace that a host belongs to.
                    assert key.endswith('/'), (command, key)
                    continue
                for pointer in targets(value.partition('|')[2] if file == CANARY else value):
                    assert self.simulated.leads(pointer) is not None, (command, file, key, value)
        for file, pairs in maps.items():
            assert len(dict(pairs)) == len(pairs), (command, file)
        lines = {word for line in self.simulated.crt_list.values() for word in line.split()}
        for file, key in both:
            if file == 'certificates/list.txt':
                assert key in lines, (command, key)
            else:
                assert self.simulated.leads(dict(maps[file])[key]).usable(), (command, key)

    def check(self):
        """Compare what HAProxy has with the files of what it has been told."""
        expected = Simulated(cheap_files(self.snapshot)).value()
        found = self.simulated.value()
        assert found == expected
