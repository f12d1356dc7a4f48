"""Files of Services that are probed: one endpoint each, whose address is the body of what it answers."""

import json
from pathlib import Path

from tools.bench import varied

COUNT = 50
# Of all endpoints.
PORT = 9000


def address(number: int) -> str:
    """Return an endpoint's address; no two numbers have the same."""
    return f'127.{200 + (number >> 16)}.{number >> 8 & 255}.{number & 255}'


def put(folder: Path, number: int, endpoint: str, **settings: str) -> None:
    """Write the file of a Service with one endpoint, whole; its host is pNUMBER.example.com."""
    metadata = {'name': f'probe-{number}', 'namespace': 'probes'}
    said = {**({} if settings.get('mode') == 'tcp' else {'host': f'p{number}.example.com'}), **settings}
    items: list[varied.Document] = [
        {
            'apiVersion': 'v1', 'kind': 'Service', 'spec': {'ports': [{'name': 'main', 'port': 80}]},
            'metadata': {**metadata, 'annotations': {varied.PREFIX + key: value for key, value in said.items()}},
        },
        {
            'apiVersion': 'discovery.k8s.io/v1', 'kind': 'EndpointSlice', 'addressType': 'IPv4',
            'metadata': {**metadata, 'labels': {'kubernetes.io/service-name': metadata['name']}},
            'ports': [{'name': 'main', 'port': PORT}], 'endpoints': [{'addresses': [endpoint]}],
        },
    ]  # fmt: skip
    write(folder, f'probe-{number}', items)


def write(folder: Path, name: str, items: list[varied.Document]) -> None:
    """Write a file of a folder, whole."""
    temporary = folder / f'.{name}'
    temporary.write_text(json.dumps({'apiVersion': 'v1', 'kind': 'List', 'items': items}))
    temporary.replace(folder / f'{name}.json')
