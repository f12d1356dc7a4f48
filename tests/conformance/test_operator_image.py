"""The layer of the operator's image that has what changed in the checkout."""

import io
import tarfile
from pathlib import Path

from conformance import operator_image

_FOLDER = 'lib/site-packages/headrace'


def _files(known):
    built = operator_image.Built(Path('none'), _FOLDER, known)
    with tarfile.open(fileobj=io.BytesIO(operator_image._layer(built))) as archive:
        return {member.name.removeprefix(f'{_FOLDER}/'): member.size for member in archive}


def test_it_has_what_differs_and_hides_what_is_gone():
    built = {path: operator_image._digest(content) for path, content in operator_image._package().items()}
    assert _files(built) == {}
    changed = {**built, '__init__.py': 'other', 'kube/gone.py': 'some'}
    added = changed.pop('__main__.py')
    assert added
    found = _files(changed)
    assert set(found) == {'__init__.py', '__main__.py', 'kube/.wh.gone.py'}
    assert found['__main__.py'] > 0
