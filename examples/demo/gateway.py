"""A Gateway and its route, as they come into the folder of the demonstration."""

from typing import Any

HOST = 'gallery.example.com'
GATEWAY_API = 'gateway.networking.k8s.io/v1'


def gateway() -> dict[str, Any]:
    """Return a Gateway with a listener for HTTP."""
    return {
        'apiVersion': GATEWAY_API,
        'kind': 'Gateway',
        'metadata': {'name': 'public', 'namespace': 'shop'},
        'spec': {
            'gatewayClassName': 'headrace',
            'listeners': [{'name': 'http', 'port': 80, 'protocol': 'HTTP', 'hostname': '*.example.com'}],
        },
    }


def route(*weights: tuple[str, int], mirror: str = '') -> dict[str, Any]:
    """Return an HTTPRoute whose requests Services share by weight; those that ask for the next version go to the catalog.

    A `mirror` gets copies of the shared ones.
    """
    copies = [{'type': 'RequestMirror', 'requestMirror': {'backendRef': {'name': mirror, 'port': 80}}}]
    return {
        'apiVersion': GATEWAY_API,
        'kind': 'HTTPRoute',
        'metadata': {'name': 'gallery', 'namespace': 'shop'},
        'spec': {
            'parentRefs': [{'name': 'public'}],
            'hostnames': [HOST],
            'rules': [
                {
                    'matches': [{'headers': [{'name': 'X-Version', 'value': 'next'}]}],
                    'backendRefs': [{'name': 'catalog', 'port': 80}],
                },
                {
                    'filters': copies if mirror else [],
                    'backendRefs': [{'name': name, 'port': 80, 'weight': weight} for name, weight in weights],
                },
            ],
        },
    }
