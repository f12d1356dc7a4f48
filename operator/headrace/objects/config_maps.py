"""Reading ConfigMaps: the authorities under `ca.crt`, parsed whole and written anew; nothing else of one is kept."""

from headrace.objects import certificates, fields
from headrace.objects.certificates import UnusableError
from headrace.objects.kinds import ConfigMap
from headrace.objects.secrets import DEFAULT_LIMITS
from headrace.settings.secret_keys import Secrets

_KEY = 'ca.crt'


def is_slow(document: fields.Document) -> bool:
    """Tell whether a ConfigMap holds certificates, which take some milliseconds to read."""
    return _KEY in fields.mapping(document, 'data')


def read(namespace: str, name: str, document: fields.Document, limits: Secrets = DEFAULT_LIMITS) -> ConfigMap:
    """Return the ConfigMap with its authorities, or the problem with them in words."""
    text = fields.text(fields.mapping(document, 'data'), _KEY)
    if not text:
        return ConfigMap(namespace, name, authorities_problem=f'{_KEY} is missing')
    try:
        return ConfigMap(namespace, name, certificates.authorities(text.encode(errors='replace'), limits))
    except UnusableError as error:
        return ConfigMap(namespace, name, authorities_problem=str(error))
