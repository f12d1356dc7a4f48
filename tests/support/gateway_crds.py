"""CustomResourceDefinitions of the Gateway API on an API server of the tests: those of its release, or such that take any content."""

import contextlib

import yaml

from conftest import ROOT
from headrace.objects import registry
from headrace.objects.references import GATEWAY_GROUP
from support import waiting
from support.api import ApiError, collection

RELEASED = ROOT / 'bin' / 'conformance' / 'crds' / 'standard'
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


def released():
    """Return the definitions of the standard channel, as its release has them."""
    assert RELEASED.is_dir(), 'bin/conformance is missing: run make conformance-tools'
    for path in sorted(RELEASED.glob('*.yaml')):
        for document in yaml.load_all(path.read_text(), yaml.CSafeLoader):
            if document and document['kind'] == 'CustomResourceDefinition':
                yield document


def _created(api, definition):
    with contextlib.suppress(ApiError):
        api.create(definition)
        return True
    return False


@contextlib.contextmanager
def defined(api, definitions=definitions):
    """Define the kinds for a while."""
    made = list(definitions())
    for definition in made:
        # One that a test before has deleted may still be on its way out.
        waiting.until(lambda definition=definition: _created(api, definition), 'the definition can be made')
    try:
        yield
    finally:
        for definition in made:
            with contextlib.suppress(ApiError):
                api.delete(f'{CRDS}/{definition["metadata"]["name"]}')
