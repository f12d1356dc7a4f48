"""Headers of responses that a ConfigMap holds: those of the class's `allowedResponseHeaders`, or none."""

from typing import NamedTuple

from headrace.annotations import values
from headrace.annotations.values import Headers, Invalid
from headrace.names import Ref
from headrace.store import Reader
from headrace.translate.build_context import BuildContext


class Unusable(NamedTuple):
    """Why headers are not set: the reason of a diagnostic, and its message."""

    reason: str
    message: str


def read(config_map: Ref, reader: Reader, context: BuildContext) -> Headers | Unusable:
    """Return the headers of a ConfigMap. The reader records it, so that a change of it counts."""
    allowed = {name.lower() for name in context.settings.allowed_response_headers}
    if not allowed:
        return Unusable('NotApplicable', 'the class has no allowedResponseHeaders')
    if not context.may_read_secrets(config_map.namespace):
        return Unusable(
            'SecretForbidden', f'add {config_map.namespace} to secrets.namespaces to let headrace read {config_map}'
        )
    material = reader.config_map(config_map)
    if material is None:
        return Unusable('InvalidValue', f'{config_map} does not exist')
    if material.headers_problem:
        return Unusable('InvalidValue', f'{config_map}: {material.headers_problem}')
    if refused := [name for name, _ in material.headers if name.lower() not in allowed]:
        return Unusable('InvalidValue', f"{config_map}: {refused[0]} is not one of the class's allowedResponseHeaders")
    headers = values.headers('\n'.join(f'{name}: {value}' for name, value in material.headers))
    return (
        Unusable('InvalidValue', f'{config_map}: must be {headers.expected}')
        if isinstance(headers, Invalid)
        else headers
    )
