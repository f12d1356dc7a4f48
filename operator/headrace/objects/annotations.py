"""Annotations of headrace, which any object can have."""

from headrace.objects import fields

PREFIX = 'headrace.io/'


def read(metadata: fields.Document) -> tuple[tuple[str, str], ...]:
    """Return our annotations without their prefix, sorted; a value that YAML did not read as text becomes text."""
    pairs = fields.mapping(metadata, 'annotations').items()
    ours = [(key, value) for key, value in pairs if isinstance(key, str) and key.startswith(PREFIX)]
    # No key takes an empty text, so what is no scalar parses as little as it should.
    return tuple(sorted((key[len(PREFIX) :], fields.as_text(value)) for key, value in ours))
