"""Annotations of headrace, which any object can have, and those of other controllers on Ingresses."""

from sys import intern

from headrace.objects import fields

PREFIX = 'headrace.io/'
# Of the dialects that are understood on Ingresses, and of the class.
FOREIGN_PREFIXES = (
    'nginx.ingress.kubernetes.io/',
    'haproxy-ingress.github.io/',
    'ingress.kubernetes.io/',
    'kubernetes.io/ingress.class',
)
# No key has a longer value. Of a longer one the beginning is kept, with one character more.
LONGEST = 65536


def read(metadata: fields.Document) -> tuple[tuple[str, str], ...]:
    """Return our annotations without their prefix, sorted; a value that YAML did not read as text becomes text."""
    pairs = fields.mapping(metadata, 'annotations').items()
    ours = [(key, value) for key, value in pairs if isinstance(key, str) and key.startswith(PREFIX)]
    # No key takes an empty text, so what is no scalar parses as little as it should.
    return tuple(sorted((intern(key[len(PREFIX) :]), fields.as_text(value)[: LONGEST + 1]) for key, value in ours))
