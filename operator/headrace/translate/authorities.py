"""Certificates of authorities that resources of the Gateway API refer to: in ConfigMaps, and in Secrets."""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.names import Ref
from headrace.objects.kinds import ConfigMap
from headrace.objects.references import Reference
from headrace.store import Reader
from headrace.translate import reference_grants
from headrace.translate.build_context import BuildContext


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the reference of a number cannot be used; `is_kind` tells that it is for its kind."""

    number: int
    message: str
    is_kind: bool = False
    is_permitted: bool = True


def read(
    owner: Ref, references: Iterable[Reference], reader: Reader, context: BuildContext
) -> tuple[bytes, tuple[Problem, ...]]:
    """Return the certificates that an object refers to, as PEM, and why some references cannot be used."""
    texts: list[bytes] = []
    problems: list[Problem] = []
    for number, reference in enumerate(references):
        found = _read(owner, number, reference, reader, context)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            texts.append(found)
    return b''.join(dict.fromkeys(texts)), tuple(problems)


def _read(owner: Ref, number: int, reference: Reference, reader: Reader, context: BuildContext) -> bytes | Problem:
    if (reference.group, reference.kind) not in (('', 'ConfigMap'), ('', 'Secret')):
        message = f'certificates of kind {reference.qualified_kind} are not supported, ConfigMaps and Secrets are'
        return Problem(number, message, is_kind=True)
    ref = reference.ref
    if refusal := reference_grants.refusal(owner, reference, reader):
        return Problem(number, refusal, is_permitted=False)
    if not context.may_read_secrets(ref.namespace):
        return Problem(number, f'add {ref.namespace} to secrets.namespaces to let headrace read {ref}')
    item = reader.get(ref, ConfigMap) if ref.kind == 'ConfigMap' else reader.secret(ref)
    if item is None:
        return Problem(number, f'{ref} does not exist')
    return Problem(number, f'{ref}: {item.authorities_problem}') if item.authorities_problem else item.authorities
