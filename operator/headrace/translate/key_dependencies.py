"""Annotation keys that only have an effect together with another key."""

from collections.abc import Iterator

from headrace.annotations.parse import PREFIX, Annotations
from headrace.translate.exposure import Exposures

_AUTHENTICATION = ('external-auth-service', 'external-auth-url')
PARTNERS = {
    'redirect-code': ('redirect-to',),
    'rate-limit-burst': ('rate-limit',),
    'basic-auth-realm': ('basic-auth-secret',),
    'basic-auth-secret-type': ('basic-auth-secret',),
    'client-verify': ('client-ca-secret',),
    'cors-allow-methods': ('cors-allow-origin',),
    'cors-allow-headers': ('cors-allow-origin',),
    'cors-expose-headers': ('cors-allow-origin',),
    'cors-allow-credentials': ('cors-allow-origin',),
    'cors-max-age': ('cors-allow-origin',),
    'canary-weight': ('canary-service',),
    'canary-header': ('canary-service',),
    'canary-weight-total': ('canary-weight',),
    'canary-header-pattern': ('canary-header',),
    'canary-cookie': ('canary-service',),
    'error-statuses': ('error-service',),
    'error-service': ('error-statuses',),
    'mirror-percent': ('mirror-service',),
    'external-auth-path': ('external-auth-service',),
    'external-auth-signin': _AUTHENTICATION,
    'external-auth-method': _AUTHENTICATION,
    'external-auth-response-headers': _AUTHENTICATION,
    'external-auth-timeout': _AUTHENTICATION,
    'external-auth-cache': _AUTHENTICATION,
    'external-auth-skip-paths': _AUTHENTICATION,
    'external-auth-body-size': _AUTHENTICATION,
}


def missing(annotations: Annotations, exposures: Exposures) -> Iterator[tuple[str, str, str]]:
    """Yield each key of an HTTP port that lacks its partner, the port's label, and why it has no effect."""
    for exposed in exposures.ports:
        label = exposed.port.label
        values = annotations.values(label)
        if exposed.spoken.mode != 'http':
            continue
        for key, partners in PARTNERS.items():
            if key in values and not {*values, *annotations.closing_keys(label)}.intersection(partners):
                yield key, label, f'it needs {" or ".join(PREFIX + partner for partner in partners)}'
