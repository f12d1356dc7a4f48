"""Adopting a worker that another process configured: reading what it has, and correcting what differs.

Promises: where the worker agrees, nothing is changed and nothing reloads. Certificates are compared by fingerprint, so
that key material is never asked for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from headrace.haproxy.encode import certificate_lists, commands, map_entries, syntax, tls_listeners
from headrace.haproxy.encode.commands import Command, Phase
from headrace.haproxy.encode.tls_listeners import Layout
from headrace.haproxy.plan import adopted, deferred, live_state
from headrace.haproxy.plan.live_state import LiveState
from headrace.haproxy.plan.plan import Loaded
from headrace.haproxy.plan.reload_reasons import NUMBER_OF_LISTENERS, Reason, why_users
from headrace.haproxy.render import render
from headrace.haproxy.runtime.responses import Answered, Outcome
from headrace.haproxy.runtime.worker import Worker
from headrace.ir.fragment import Kind
from headrace.ir.policy import Map
from headrace.ir.tls import Pem
from headrace.resolve.model_snapshot import ModelSnapshot, passing
from headrace.translate.class_fragment import DEFAULT_CERTIFICATE


@dataclass(frozen=True, slots=True)
class Adopted:
    """How an adoption went: commands sent, those refused, and what only a reload can bring."""

    sent: int
    refused: tuple[Answered, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Materials:
    """Files of TLS by kind and name with their certificates' fingerprints, and the lines of crt-lists.

    `lines` are those of the one for hosts, if there is one; `listeners` those of listeners that have one of their own.
    """

    marks: Mapping[Kind, Mapping[str, tuple[str, ...]]]
    lines: tuple[str, ...] | None
    listeners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


async def adopt(worker: Worker, wanted: ModelSnapshot, loaded: Loaded) -> Adopted:
    """Make a worker what is wanted, from whatever it has; raises RuntimeSocketError.

    `loaded` is what the files bring that the worker started from. What needs a backend that only a reload can bring stays
    as it is until then.
    """
    async with worker.turn:
        backends = live_state.wanted_backends(wanted.fragments.values())
        there = live_state.backends(await worker.connection.tell('show backend', 60.0))
        had = await worker.observe(sorted({*there, *backends}), list(Map))
        missing = adopted.missing(wanted, had, loaded.profiles)
        kept = adopted.hold(wanted, missing, had)
        there_too = await _materials(worker)
        layout, odd = _listeners(kept.snapshot, there_too)
        made = [*repairs(kept.snapshot, had), *material_repairs(wanted, there_too)]
        if odd is None:
            made += listener_repairs(layout, there_too.listeners, had.maps[Map.LISTENERS])
        else:
            made = [item for item in made if syntax.map_file(Map.LISTENERS) not in item.line]
        worker.snapshot = kept.snapshot
        worker.loaded = replace(
            loaded, missing=frozenset(missing), passing=passing(kept.snapshot), listeners=Layout() if odd else layout
        )
        worker.deferred = deferred.of_difference(kept.snapshot, wanted, kept.refs, kept.keys)
        answered = await worker.send(live_state.ordered(made))
    refused = tuple(item for item in answered if item.outcome is not Outcome.DONE)
    reasons = {*missing.values(), *(Reason('refused', f'{item.command.named}: {item.answer}') for item in refused)}
    reasons.update(why_users(wanted.fragments.values(), loaded.users))
    if odd is not None:
        reasons.add(odd)
    return Adopted(len(answered), refused, tuple(sorted(reasons)))


def _listeners(snapshot: ModelSnapshot, had: Materials) -> tuple[Layout, Reason | None]:
    """Return who is to have which listener, and why a worker cannot have it so, if it has others."""
    layout = tls_listeners.of_pointers(snapshot.pointers)
    if had.listeners.keys() == set(certificate_lists.names(layout)) or not (had.listeners or layout.held):
        return layout, None
    return layout, Reason('listeners', NUMBER_OF_LISTENERS)


def listener_repairs(wanted: Layout, had: Mapping[str, tuple[str, ...]], led: Mapping[str, list[str]]) -> list[Command]:
    """Return the commands that give a worker's listeners the wanted lines; `led` is what its map of listeners says.

    Where a listener has lines of another port, no client is led to it until they are gone.
    """
    found: list[Command] = []
    wished = certificate_lists.lines(wanted)
    policies = {tls_listeners.policy(key): name for key, name in wanted.names.items()}
    for name, there in had.items():
        now = {
            live_state.crt_list_words(line): line
            for line in there
            if not line.startswith(certificate_lists.PLACEHOLDER)
        }
        then = {live_state.crt_list_words(line): line for line in wished[name]}
        gone, file = [now[line] for line in now.keys() - then.keys()], tls_listeners.crt_list(name)
        for policy in sorted(key for key, values in led.items() if gone and name in values):
            found.append(commands.set_entry(Phase.DATA, tls_listeners.entry(policy, tls_listeners.NONE)))
            if policy in policies:
                found.append(commands.set_entry(Phase.POINTERS, tls_listeners.entry(policy, policies[policy])))
        found += [commands.del_certificate_line(file, line, Phase.DATA) for line in gone]
        found += [commands.add_certificate_line(file, then[line], Phase.DATA) for line in then.keys() - now.keys()]
    return found


def repairs(snapshot: ModelSnapshot, had: LiveState) -> list[Command]:
    """Return the commands that give a worker the backends, servers and entries of a snapshot."""
    made: list[Command] = []
    backends = live_state.wanted_backends(snapshot.fragments.values())
    for name in sorted({*had.backends, *backends}):
        backend = backends.get(name)
        if backend is not None and name in had.backends:
            # It may have been about to go when its former keeper ended.
            made.append(commands.publish_backend(name))
        made += live_state.backend_repairs(name, had.backends.get(name), backend, limits=True)
    wished = map_entries.of_snapshot(snapshot)
    for file, entries_had in had.maps.items():
        made += live_state.map_repairs(file, entries_had, wished[file])
    return made


async def _materials(worker: Worker) -> Materials:
    marks: dict[Kind, dict[str, tuple[str, ...]]] = {}
    for kind, word in ((Kind.CERTIFICATE, 'cert'), (Kind.AUTHORITY, 'ca-file')):
        listed = await worker.connection.tell(f'show ssl {word}')
        if opened := live_state.transaction(listed):
            # An agent that ended between `set` and `commit` has left it.
            await worker.connection.tell(f'abort ssl {word} {opened}')
        there = live_state.names(listed)
        texts = await worker.connection.ask([f'show ssl {word} {file}' for file in there])
        marks[kind] = {file: live_state.fingerprints(text) for file, text in zip(there, texts, strict=True)}
    text = await worker.connection.tell(f'show ssl crt-list -n {render.CRT_LIST}')
    lines = None if 'is not' in text.partition('\n')[0] else tuple(live_state.crt_list(text).values())
    own = sorted(
        file for file in (await worker.connection.tell('show ssl crt-list')).split() if certificate_lists.is_one(file)
    )
    texts = await worker.connection.ask([f'show ssl crt-list -n {file}' for file in own])
    return Materials(
        marks,
        lines,
        {
            certificate_lists.name_of(file): tuple(live_state.crt_list(text).values())
            for file, text in zip(own, texts, strict=True)
        },
    )


def material_repairs(wanted: ModelSnapshot, had: Materials) -> list[Command]:
    """Return the commands that make files and lines of TLS what is wanted."""
    made: list[Command] = []
    files = {key: content for key, content in wanted.pointers.items() if isinstance(content, Pem)}
    for kind, marks in had.marks.items():
        here = {render.pem_file(kind, key[1]): (key[1], pem) for key, pem in files.items() if key[0] is kind}
        made += _file_repairs(kind, here, marks)
    if had.lines is None:
        return made
    lines = {
        line
        for (kind, key), content in wanted.pointers.items()
        if kind is Kind.TLS
        for line in map_entries.certificate_lines(key, content)
    }
    there = {live_state.crt_list_words(line): line for line in had.lines}
    wished = {live_state.crt_list_words(line): line for line in lines}
    default = live_state.crt_list_words(f'{syntax.certificate_file(DEFAULT_CERTIFICATE)} *')
    made += [commands.add_certificate_line(render.CRT_LIST, wished[line]) for line in wished.keys() - there.keys()]
    made += [
        commands.del_certificate_line(render.CRT_LIST, there[line]) for line in there.keys() - wished.keys() - {default}
    ]
    return made


def _file_repairs(
    kind: Kind, wanted: Mapping[str, tuple[str, Pem]], held: Mapping[str, tuple[str, ...]]
) -> Iterable[Command]:
    certificate = kind is Kind.CERTIFICATE
    for file, (name, pem) in wanted.items():
        if file not in held:
            yield from (commands.new_certificate if certificate else commands.new_authority)(name, pem.data)
        elif not set(fingerprints(pem)) & set(held[file]) or (
            not certificate and set(fingerprints(pem)) != set(held[file])
        ):
            yield from (commands.set_certificate if certificate else commands.set_authority)(name, pem.data)
    for file in held.keys() - wanted.keys() - {certificate_lists.PLACEHOLDER}:
        name = file.rpartition('/')[2].removesuffix('.pem')
        if file in (syntax.certificate_file(name), syntax.authority_file(name)):
            yield (commands.del_certificate if certificate else commands.del_authority)(name)


def fingerprints(pem: Pem) -> list[str]:
    """Return the SHA-1 fingerprints of a file's certificates, the first one first."""
    found = x509.load_pem_x509_certificates(pem.data)
    return [item.fingerprint(hashes.SHA1()).hex().upper() for item in found]  # noqa: S303  HAProxy shows this one
