"""Reading ConfigMaps: the authorities under `ca.crt`, parsed whole and written anew, and headers; nothing else of one is kept."""

import re

from headrace.objects import certificates, fields
from headrace.objects.certificates import UnusableError
from headrace.objects.kinds import ConfigMap
from headrace.objects.secrets import DEFAULT_LIMITS
from headrace.settings.secret_keys import Secrets

_KEY = 'ca.crt'
_HEADER = re.compile(r'[A-Za-z0-9_.-]{1,128}')
_VALUE = re.compile(r'[\x20-\x7e]{1,1024}')
_MAX_HEADERS = 50


def is_slow(document: fields.Document) -> bool:
    """Tell whether a ConfigMap holds certificates, which take some milliseconds to read."""
    return _KEY in fields.mapping(document, 'data')


def read(namespace: str, name: str, document: fields.Document, limits: Secrets = DEFAULT_LIMITS) -> ConfigMap:
    """Return the ConfigMap with its authorities and its headers, or the problem with each in words."""
    data = fields.mapping(document, 'data')
    authorities, problem = _authorities(fields.text(data, _KEY), limits)
    headers, headers_problem = _headers(data)
    return ConfigMap(namespace, name, authorities, problem, headers, headers_problem)


def _authorities(text: str, limits: Secrets) -> tuple[bytes, str]:
    if not text:
        return b'', f'{_KEY} is missing'
    try:
        return certificates.authorities(text.encode(errors='replace'), limits), ''
    except UnusableError as error:
        return b'', str(error)


def _headers(data: fields.Document) -> tuple[tuple[tuple[str, str], ...], str]:
    """Return all entries as headers; of a ConfigMap that holds anything else, nothing is kept."""
    if not data or len(data) > _MAX_HEADERS:
        return (), f'it holds {len(data)} entries; 1 to {_MAX_HEADERS} can be headers'
    headers: list[tuple[str, str]] = []
    for name, value in data.items():
        if not _HEADER.fullmatch(str(name)) or not isinstance(value, str):
            return (), 'it holds a key that is no name of a header'
        if not _VALUE.fullmatch(value):
            return (), f'{name} is no header of 1 to 1024 printable ASCII characters'
        headers.append((str(name), value))
    return tuple(sorted(headers)), ''
