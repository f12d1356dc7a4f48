"""CustomResourceDefinitions of the Gateway API that take any content, on an API server of the tests."""

import contextlib

from headrace.objects import registry
from headrace.objects.references import GATEWAY_GROUP
from support import waiting
from support.api import ApiError, collection

CRDS = collection('CustomResourceDefinition', api='apiextensions.k8s.io/v1')
_ANYTHING = {'openAPIV3Schema': {'type': 'object', 'x-kubernetes-preserve-unknown-fields': True}}


def definitions():
    """Return a definition of each kind, in the versions that are read of it."""
    for kind in registry.KINDS:
        if kind.group == GATEWAY_GROUP:
            versions = sorted(version.rpartition('/')[2] for version in kind.api_versions)
            yield {
                'apiVersion': 'apiextensions.k8s.io/v1',
                'kind': 'CustomResourceDefinition',
                'metadata': {
                    'name': f'{kind.plural}.{GATEWAY_GROUP}',
                    # The API server wants to see where the schema of a protected group was agreed upon.
                    'annotations': {'api-approved.kubernetes.io': 'unapproved, for tests'},
                },
                'spec': {
                    'group': GATEWAY_GROUP,
                    'scope': 'Namespaced' if kind.namespaced else 'Cluster',
                    'names': {'plural': kind.plural, 'singular': kind.name.lower(), 'kind': kind.name},
                    'versions': [
                        {
                            'name': version,
                            'served': True,
                            'storage': version == 'v1',
                            'schema': _ANYTHING,
                            'subresources': {'status': {}},
                        }
                        for version in versions
                    ],
                },
            }


def _created(api, definition):
    with contextlib.suppress(ApiError):
        api.create(definition)
        return True
    return False


@contextlib.contextmanager
def defined(api):
    """Define the kinds for a while."""
    for definition in definitions():
        # One that a test before has deleted may still be on its way out.
        waiting.until(lambda definition=definition: _created(api, definition), 'the definition can be made')
    try:
        yield
    finally:
        for definition in definitions():
            with contextlib.suppress(ApiError):
                api.delete(f'{CRDS}/{definition["metadata"]["name"]}')
