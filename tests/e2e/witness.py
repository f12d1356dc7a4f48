"""Who served the Services of a run: what proves that a test went through headrace, and did not only run beside it."""

import contextlib
import json
import threading
import time

from support.api import ApiError, collection
from support.names import ZONE, Names

_LABEL = 'service.kubernetes.io/service-proxy-name'
_CONDITION = 'headrace.io/Programmed'


class Witness:
    """Looks at all Services of the tests all the time; `seen` is what it saw, by uid."""

    def __init__(self, api, file):
        self._api, self._file = api, file
        self.seen, self.specs = {}, {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self):
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_):
        """End, and write down what was seen."""
        self._stop.set()
        self._thread.join(60)
        self._file.write_text(json.dumps(list(self.seen.values()), indent=1))

    def _look(self):
        while not self._stop.wait(0.25):
            with contextlib.suppress(ApiError, OSError):
                found = self._api.list(collection('Service'))['items']
                self.specs = {(each['metadata']['name'], each['metadata']['namespace']): each['spec'] for each in found}
                for service in found:
                    self._note(service)

    def _note(self, service):
        metadata, spec, now = service['metadata'], service['spec'], round(time.time(), 2)
        held = self.seen.setdefault(metadata['uid'], {
            'namespace': metadata['namespace'], 'name': metadata['name'], 'first': now, 'handed': None, 'told': '',
        })  # fmt: skip
        held |= {'last': now, 'type': spec['type'], 'headless': spec.get('clusterIP') == 'None'}
        if held['handed'] is None and metadata.get('labels', {}).get(_LABEL) == 'headrace':
            held['handed'] = now
        for condition in service.get('status', {}).get('conditions', ()):
            if condition['type'] == _CONDITION:
                held['told'] = f'{condition["reason"]}: {condition["message"]}'


class Remembered(Names):
    """The cluster's DNS, from what a witness has seen last: an API server that is busy holds no client up."""

    def __init__(self, address, witness):
        super().__init__(address, None)
        self._witness = witness

    def _find(self, name):
        spec = self._witness.specs.get(tuple(name.removesuffix(f'.{ZONE}').split('.')), {})
        if spec.get('type') == 'ExternalName':
            return self._find(spec['externalName'])
        return spec.get('clusterIP', '').removeprefix('None')
