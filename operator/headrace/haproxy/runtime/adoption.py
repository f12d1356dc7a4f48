"""Adopting a worker that another process configured: reading what it has, and correcting what differs.

Promises: where the worker agrees, nothing is changed and nothing reloads. Certificates are compared by fingerprint, so
that key material is never asked for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from headrace.haproxy.encode import certificate_lists, commands, map_entries, syntax, tls_listeners
from headrace.haproxy.encode.commands import Command, OfMap, Phase
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

    `lines` are those of the lists that claims have lines in, by file; `listeners` those of listeners that have one of their own.
    """

    marks: Mapping[Kind, Mapping[str, tuple[str, ...]]]
    lines: Mapping[str, tuple[str, ...]]
    listeners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


async def adopt(worker: Worker, desired: ModelSnapshot, loaded: Loaded) -> Adopted:
    """Make a worker what is wanted, from whatever it has; raises RuntimeSocketError.

    `loaded` is what the files bring that the worker started from. What needs a backend that only a reload can bring stays
    as it is until then.
    """
    async with worker.turn:
        backends = live_state.desired_backends(desired.fragments.values())
        live_names = live_state.backends(await worker.connection.tell('show backend', 60.0))
        live = await worker.observe(sorted({*live_names, *backends}), list(Map))
        missing = adopted.missing(desired, live, loaded.profiles)
        deferral = adopted.defer(desired, missing, live)
        materials = await _materials(worker)
        layout, listener_reason = _listeners(deferral.snapshot, materials)
        batch = [*repairs(deferral.snapshot, live), *material_repairs(desired, materials)]
        if listener_reason is None:
            batch += listener_repairs(layout, materials.listeners, live.maps[Map.LISTENERS])
        else:
            batch = [item for item in batch if not _is_about(Map.LISTENERS, item)]
        worker.snapshot = deferral.snapshot
        worker.loaded = replace(
            loaded,
            missing=frozenset(missing),
            passing=passing(deferral.snapshot),
            listeners=Layout() if listener_reason else layout,
        )
        worker.deferred = deferred.of_difference(deferral.snapshot, desired, deferral.refs, deferral.keys)
        answers = await worker.send(live_state.ordered(batch))
    refused = tuple(item for item in answers if item.outcome is not Outcome.DONE)
    reasons = {*missing.values(), *(Reason('refused', f'{item.command.named}: {item.answer}') for item in refused)}
    reasons.update(why_users(desired.fragments.values(), loaded.users))
    if listener_reason is not None:
        reasons.add(listener_reason)
    return Adopted(len(answers), refused, tuple(sorted(reasons)))


def _is_about(name: Map, command: Command) -> bool:
    return isinstance(command.subject, OfMap) and command.subject.map is name


def _listeners(snapshot: ModelSnapshot, materials: Materials) -> tuple[Layout, Reason | None]:
    """Return who is to have which listener, and why a worker cannot have it so, if it has others."""
    layout = tls_listeners.of_pointers(snapshot.pointers)
    if materials.listeners.keys() == set(certificate_lists.names(layout)) or not (materials.listeners or layout.tls):
        return layout, None
    return layout, Reason('listeners', NUMBER_OF_LISTENERS)


def listener_repairs(
    layout: Layout, live: Mapping[str, tuple[str, ...]], listener_map: Mapping[str, list[str]]
) -> list[Command]:
    """Return the commands that give a worker's listeners the wanted lines; `listener_map` is what its map of listeners says.

    Where a listener has lines of another port, no client is led to it until they are gone.
    """
    batch: list[Command] = []
    desired = certificate_lists.lines(layout)
    policies = {tls_listeners.policy(key): name for key, name in layout.names.items()}
    for name, crt_lines in live.items():
        live_lines = {
            live_state.crt_list_words(line): line
            for line in crt_lines
            if not line.startswith(certificate_lists.PLACEHOLDER)
        }
        desired_lines = {live_state.crt_list_words(line): line for line in desired[name]}
        surplus, file = (
            [live_lines[line] for line in live_lines.keys() - desired_lines.keys()],
            tls_listeners.crt_list(name),
        )
        for policy in sorted(key for key, values in listener_map.items() if surplus and name in values):
            batch.append(commands.set_entry(Phase.DATA, tls_listeners.entry(policy, tls_listeners.NONE)))
            if policy in policies:
                batch.append(commands.set_entry(Phase.POINTERS, tls_listeners.entry(policy, policies[policy])))
        batch += [commands.del_certificate_line(file, line, phase=Phase.DATA) for line in surplus]
        batch += [
            commands.add_certificate_line(file, desired_lines[line], phase=Phase.DATA)
            for line in desired_lines.keys() - live_lines.keys()
        ]
    return batch


def repairs(snapshot: ModelSnapshot, live: LiveState) -> list[Command]:
    """Return the commands that give a worker the backends, servers and entries of a snapshot."""
    batch: list[Command] = []
    backends = live_state.desired_backends(snapshot.fragments.values())
    for name in sorted({*live.backends, *backends}):
        backend = backends.get(name)
        if backend is not None and name in live.backends:
            # It may have been about to go when its former keeper ended.
            batch.append(commands.publish_backend(backend))
        batch += live_state.backend_repairs(name, live.backends.get(name), backend, limits=True)
    desired = map_entries.of_snapshot(snapshot)
    for file, entries_had in live.maps.items():
        batch += live_state.map_repairs(file, entries_had, desired[file])
    return batch


async def _materials(worker: Worker) -> Materials:
    marks: dict[Kind, dict[str, tuple[str, ...]]] = {}
    for kind, word in ((Kind.CERTIFICATE, 'cert'), (Kind.AUTHORITY, 'ca-file')):
        answer = await worker.connection.tell(f'show ssl {word}')
        if transaction := live_state.transaction(answer):
            # An agent that ended between `set` and `commit` has left it.
            await worker.connection.tell(f'abort ssl {word} {transaction}')
        files = live_state.names(answer)
        texts = await worker.connection.ask([f'show ssl {word} {file}' for file in files])
        marks[kind] = {file: live_state.fingerprints(text) for file, text in zip(files, texts, strict=True)}
    lists = sorted((await worker.connection.tell('show ssl crt-list')).split())
    texts = await worker.connection.ask([f'show ssl crt-list -n {file}' for file in lists])
    lines = {file: tuple(live_state.crt_list(text).values()) for file, text in zip(lists, texts, strict=True)}
    return Materials(
        marks,
        {file: found for file, found in lines.items() if certificate_lists.has_claims(file)},
        {certificate_lists.name_of(file): found for file, found in lines.items() if certificate_lists.is_one(file)},
    )


def material_repairs(desired: ModelSnapshot, live: Materials) -> list[Command]:
    """Return the commands that make files and lines of TLS what is wanted."""
    batch: list[Command] = []
    files = {key: content for key, content in desired.pointers.items() if isinstance(content, Pem)}
    for kind, marks in live.marks.items():
        desired_files = {render.pem_file(kind, key[1]): (key[1], pem) for key, pem in files.items() if key[0] is kind}
        batch += _file_repairs(kind, desired_files, marks)
    desired_lines = {
        file: lines
        for kind in (Kind.TLS, Kind.GATEWAY_TLS)
        for file, lines in certificate_lists.placed(desired.pointers, kind).items()
    }
    for file, lines in live.lines.items():
        batch += _line_repairs(file, desired_lines.get(file, ()), lines)
    return batch


def _line_repairs(file: str, desired: Iterable[str], live: Iterable[str]) -> list[Command]:
    """Return the commands that give a crt-list the wanted lines besides its first one."""
    live_lines = {live_state.crt_list_words(line): line for line in live}
    desired_lines = {live_state.crt_list_words(line): line for line in desired}
    first = {
        live_state.crt_list_words(line)
        for line in (f'{syntax.certificate_file(DEFAULT_CERTIFICATE)} *', certificate_lists.FIRST)
    }
    added = [
        commands.add_certificate_line(file, desired_lines[line]) for line in desired_lines.keys() - live_lines.keys()
    ]
    removed = live_lines.keys() - desired_lines.keys() - first
    return [*added, *(commands.del_certificate_line(file, live_lines[line]) for line in removed)]


def _file_repairs(
    kind: Kind, desired: Mapping[str, tuple[str, Pem]], live: Mapping[str, tuple[str, ...]]
) -> Iterable[Command]:
    certificate = kind is Kind.CERTIFICATE
    for file, (name, pem) in desired.items():
        if file not in live:
            yield from (commands.new_certificate if certificate else commands.new_authority)(name, pem.data)
        elif not set(fingerprints(pem)) & set(live[file]) or (
            not certificate and set(fingerprints(pem)) != set(live[file])
        ):
            yield from (commands.set_certificate if certificate else commands.set_authority)(name, pem.data)
    for file in live.keys() - desired.keys() - {certificate_lists.PLACEHOLDER}:
        if name := syntax.pem_name(file):
            yield (commands.del_certificate if certificate else commands.del_authority)(name)


def fingerprints(pem: Pem) -> list[str]:
    """Return the SHA-1 fingerprints of a file's certificates, the first one first."""
    certificates = x509.load_pem_x509_certificates(pem.data)
    return [item.fingerprint(hashes.SHA1()).hex().upper() for item in certificates]  # noqa: S303  HAProxy shows this one
