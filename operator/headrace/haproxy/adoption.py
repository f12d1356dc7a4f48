"""Adopting a worker that somebody else has told things: reading what it has, and setting right what differs.

Promises: where the worker agrees, nothing is changed and nothing reloads. Certificates are compared by fingerprint, so
that key material is never asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from headrace.haproxy import commands, entries, observed, render, words
from headrace.haproxy.answers import Answered, Outcome
from headrace.haproxy.commands import Command
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


async def adopt(worker: Worker, wanted: Picture, loaded: Loaded) -> Adopted:
    """Make a worker what is wanted, from whatever it has; raises RuntimeSocketError.

    `loaded` is what the files bring that the worker started from.
    """
    async with worker.turn:
        backends = observed.wanted_backends(wanted.fragments.values(), worker.capabilities)
        there = observed.backends(await worker.connection.tell('show backend', 60.0))
        held = await worker.observe(sorted({*there, *backends}), list(Map))
        reasons, missing = set[Reason](), set[str]()
        made: list[Command] = []
        for name in sorted({*held.backends, *backends}):
            backend = backends.get(name)
            if backend is not None and name not in held.backends:
                if reason := _unmakable(worker, name, backend.shape.profile, loaded.profiles):
                    reasons.add(reason)
                    missing.add(name)
                    continue
            elif backend is not None and worker.capabilities.dynamic_backends:
                # It may have been about to go when its former keeper ended.
                made.append(commands.publish_backend(name))
            made += observed.backend_repairs(name, held.backends.get(name), backend, worker.capabilities)
        wished = entries.of_picture(wanted, worker.capabilities)
        for file, entries_held in held.maps.items():
            made += observed.map_repairs(file, entries_held, wished[file], worker.capabilities)
        made += await _certificates(worker, wanted)
        worker.picture = wanted
        worker.loaded = replace(loaded, missing=frozenset(missing), passing=passing(wanted))
        answered = await worker.send(observed.ordered(made))
    refused = tuple(item for item in answered if item.outcome is not Outcome.DONE)
    reasons |= {Reason('refused', f'{item.command.named}: {item.answer}') for item in refused}
    return Adopted(len(answered), refused, tuple(sorted(reasons)))


def _unmakable(worker: Worker, name: str, profile: str, profiles: frozenset[str]) -> Reason | None:
    if not worker.capabilities.dynamic_backends:
        return Reason('backend', f'{name}: this version has no run-time backends')
    return None if profile in profiles else Reason('profile', f'{profile} is used for the first time')


async def _certificates(worker: Worker, wanted: Picture) -> list[Command]:
    """Return the commands that make files and lines of TLS what is wanted."""
    made: list[Command] = []
    files = {key: content for key, content in wanted.pointers.items() if isinstance(content, Pem)}
    lines = {
        line
        for (kind, key), content in wanted.pointers.items()
        if kind is Kind.TLS and (line := entries.certificate_line(key, content))
    }
    for kind, word in ((Kind.CERTIFICATE, 'cert'), (Kind.AUTHORITY, 'ca-file')):
        there = observed.names(await worker.connection.tell(f'show ssl {word}'))
        here = {render.pem_file(kind, key[1]): (key[1], pem) for key, pem in files.items() if key[0] is kind}
        texts = await worker.connection.ask([f'show ssl {word} {file}' for file in there])
        marks = {file: observed.fingerprints(text) for file, text in zip(there, texts, strict=True)}
        made += _file_repairs(kind, here, marks)
    text = await worker.connection.tell(f'show ssl crt-list -n {render.CRT_LIST}')
    if 'is not' in text.partition('\n')[0]:
        return made
    held = {observed.crt_list_words(line): line for line in observed.crt_list(text).values()}
    wished = {observed.crt_list_words(line): line for line in lines}
    default = observed.crt_list_words(f'{words.certificate_file(DEFAULT_CERTIFICATE)} *')
    made += [commands.add_certificate_line(render.CRT_LIST, wished[line]) for line in wished.keys() - held.keys()]
    made += [
        commands.del_certificate_line(render.CRT_LIST, held[line]) for line in held.keys() - wished.keys() - {default}
    ]
    return made


def _file_repairs(
    kind: Kind, wanted: dict[str, tuple[str, Pem]], held: dict[str, tuple[str, ...]]
) -> Iterable[Command]:
    certificate = kind is Kind.CERTIFICATE
    for file, (name, pem) in wanted.items():
        if file not in held:
            yield from (commands.new_certificate if certificate else commands.new_authority)(name, pem.data)
        elif not set(_fingerprints(pem)) & set(held[file]) or (
            not certificate and set(_fingerprints(pem)) != set(held[file])
        ):
            yield from (commands.set_certificate if certificate else commands.set_authority)(name, pem.data)
    for file in held.keys() - wanted.keys():
        name = file.rpartition('/')[2].removesuffix('.pem')
        if file in (words.certificate_file(name), words.authority_file(name)):
            yield (commands.del_certificate if certificate else commands.del_authority)(name)


def _fingerprints(pem: Pem) -> list[str]:
    """Return the SHA-1 fingerprints of a file's certificates, the first one first."""
    found = x509.load_pem_x509_certificates(pem.data)
    return [item.fingerprint(hashes.SHA1()).hex().upper() for item in found]  # noqa: S303  HAProxy shows this one
