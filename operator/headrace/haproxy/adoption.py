"""Adopting a worker that somebody else has told things: reading what it has, and setting right what differs.

Promises: where the worker agrees, nothing is changed and nothing reloads. Certificates are compared by fingerprint, so
that key material is never asked for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from headrace.haproxy import commands, entries, held, observed, plan, render, words
from headrace.haproxy.answers import Answered, Outcome
from headrace.haproxy.capabilities import Capabilities
from headrace.haproxy.commands import Command
from headrace.haproxy.observed import Observed
from headrace.haproxy.plan import Loaded, Reason
from headrace.haproxy.worker import Worker
from headrace.model.classes import DEFAULT_CERTIFICATE
from headrace.model.ir import Kind, Map, Pem
from headrace.model.picture import Picture, passing


@dataclass(frozen=True, slots=True)
class Adopted:
    """How an adoption went: commands sent, those refused, and what only a reload can bring."""

    sent: int
    refused: tuple[Answered, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Materials:
    """Files of TLS by kind and name with their certificates' fingerprints, and the lines of the crt-list, if there is one."""

    marks: Mapping[Kind, Mapping[str, tuple[str, ...]]]
    lines: tuple[str, ...] | None


async def adopt(worker: Worker, wanted: Picture, loaded: Loaded) -> Adopted:
    """Make a worker what is wanted, from whatever it has; raises RuntimeSocketError.

    `loaded` is what the files bring that the worker started from. What needs a backend that only a reload can bring stays
    as it is until then.
    """
    async with worker.turn:
        backends = observed.wanted_backends(wanted.fragments.values(), worker.capabilities)
        there = observed.backends(await worker.connection.tell('show backend', 60.0))
        had = await worker.observe(sorted({*there, *backends}), list(Map))
        missing = held.missing(wanted, had, loaded.profiles, worker.capabilities)
        kept = held.hold(wanted, missing, had, worker.capabilities)
        made = [*repairs(kept.picture, had, worker.capabilities), *material_repairs(wanted, await _materials(worker))]
        worker.picture = kept.picture
        worker.loaded = replace(loaded, missing=frozenset(missing), passing=passing(kept.picture))
        worker.held, worker.held_keys = kept.refs, kept.keys
        answered = await worker.send(observed.ordered(made))
    refused = tuple(item for item in answered if item.outcome is not Outcome.DONE)
    reasons = {*missing.values(), *(Reason('refused', f'{item.command.named}: {item.answer}') for item in refused)}
    if (unknown := plan.why_users(wanted.fragments.values(), loaded)) is not None:
        reasons.add(unknown)
    return Adopted(len(answered), refused, tuple(sorted(reasons)))


def repairs(picture: Picture, had: Observed, capabilities: Capabilities) -> list[Command]:
    """Return the commands that give a worker the backends, servers and entries of a picture."""
    made: list[Command] = []
    backends = observed.wanted_backends(picture.fragments.values(), capabilities)
    for name in sorted({*had.backends, *backends}):
        backend = backends.get(name)
        if backend is not None and name in had.backends and capabilities.dynamic_backends:
            # It may have been about to go when its former keeper ended.
            made.append(commands.publish_backend(name))
        made += observed.backend_repairs(name, had.backends.get(name), backend, capabilities, limits=True)
    wished = entries.of_picture(picture, capabilities)
    for file, entries_had in had.maps.items():
        made += observed.map_repairs(file, entries_had, wished[file], capabilities)
    return made


async def _materials(worker: Worker) -> Materials:
    marks: dict[Kind, dict[str, tuple[str, ...]]] = {}
    for kind, word in ((Kind.CERTIFICATE, 'cert'), (Kind.AUTHORITY, 'ca-file')):
        there = observed.names(await worker.connection.tell(f'show ssl {word}'))
        texts = await worker.connection.ask([f'show ssl {word} {file}' for file in there])
        marks[kind] = {file: observed.fingerprints(text) for file, text in zip(there, texts, strict=True)}
    text = await worker.connection.tell(f'show ssl crt-list -n {render.CRT_LIST}')
    lines = None if 'is not' in text.partition('\n')[0] else tuple(observed.crt_list(text).values())
    return Materials(marks, lines)


def material_repairs(wanted: Picture, had: Materials) -> list[Command]:
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
        for line in entries.certificate_lines(key, content)
    }
    there = {observed.crt_list_words(line): line for line in had.lines}
    wished = {observed.crt_list_words(line): line for line in lines}
    default = observed.crt_list_words(f'{words.certificate_file(DEFAULT_CERTIFICATE)} *')
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
    for file in held.keys() - wanted.keys():
        name = file.rpartition('/')[2].removesuffix('.pem')
        if file in (words.certificate_file(name), words.authority_file(name)):
            yield (commands.del_certificate if certificate else commands.del_authority)(name)


def fingerprints(pem: Pem) -> list[str]:
    """Return the SHA-1 fingerprints of a file's certificates, the first one first."""
    found = x509.load_pem_x509_certificates(pem.data)
    return [item.fingerprint(hashes.SHA1()).hex().upper() for item in found]  # noqa: S303  HAProxy shows this one
