"""The source without a cluster: a folder (or files) of YAML or JSON documents.

Promises: documents of kinds that headrace does not read are passed over, and counted by kind; a file that does not parse is reported and costs itself
only. JSON is read as JSON, which is a hundred times as fast as the same text read as YAML.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import yaml

from headrace import parsing
from headrace.diagnostics import Diagnostic, shorten
from headrace.names import Ref
from headrace.objects import fields
from headrace.objects.kinds import Object
from headrace.objects.secrets import DEFAULT_LIMITS
from headrace.settings.secret_keys import Secrets

SUFFIXES = ('.yaml', '.yml', '.json')
_MAX_NAME = 4096
_MAX_KIND = 200
_Loader: type[yaml.SafeLoader] = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


class SourceError(Exception):
    """A path cannot be read at all."""


class _TextLoader(_Loader):  # type: ignore[misc, valid-type]
    """YAML's safe loader, but timestamps and numbers to base 60 stay texts, as they are in the API.

    Python takes seconds for a number to base 60 of 200 kB, and minutes for one of 1 MB.
    """

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int | str:
        """Return the integer, or the text of one to base 60."""
        return node.value if ':' in node.value else super().construct_yaml_int(node)  # type: ignore[no-any-return]

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float | str:
        """Return the number, or the text of one to base 60."""
        return node.value if ':' in node.value else super().construct_yaml_float(node)  # type: ignore[no-any-return]


_TextLoader.add_constructor('tag:yaml.org,2002:int', _TextLoader.construct_yaml_int)
_TextLoader.add_constructor('tag:yaml.org,2002:float', _TextLoader.construct_yaml_float)
_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != 'tag:yaml.org,2002:timestamp']
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Contents:
    """The objects of some files, what was wrong with the rest, and how many objects of kinds there were that are not read."""

    objects: tuple[Object, ...]
    diagnostics: tuple[Diagnostic, ...]
    unread: tuple[tuple[str, int], ...] = ()


def paths(sources: Iterable[Path]) -> list[Path]:
    """Return the files that paths stand for: a folder's YAML and JSON files at any depth, hidden ones left out."""
    files: list[Path] = []
    for path in sources:
        if path.is_dir():
            candidates = [file for file in path.rglob('*') if file.suffix in SUFFIXES and file.is_file()]
            files += sorted(
                file for file in candidates if not any(part.startswith('.') for part in file.relative_to(path).parts)
            )
        elif path.exists():
            files.append(path)
        else:
            raise SourceError(f'{path}: no such file or folder')
    return files


def read(sources: Iterable[Path], limits: Secrets = DEFAULT_LIMITS) -> Contents:
    """Return the objects of files and folders; raises SourceError for a path that cannot be read."""
    objects: list[Object] = []
    diagnostics: list[Diagnostic] = []
    unread: Counter[str] = Counter()
    for path in paths(sources):
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SourceError(f'{path}: {error.strerror}') from error
        contents = parse(data, str(path), limits)
        objects += contents.objects
        diagnostics += contents.diagnostics
        unread.update(dict(contents.unread))
    by_ref: dict[Ref, Object] = {}
    for item in objects:
        if item.ref in by_ref and by_ref[item.ref] != item:
            message = 'the input holds this object twice, with different contents; the last one counts'
            diagnostics.append(Diagnostic(item.ref, 'InvalidObject', message))
        by_ref[item.ref] = item
    return Contents(tuple(by_ref.values()), tuple(sorted(set(diagnostics))), tuple(sorted(unread.items())))


def parse(data: bytes, name: str, limits: Secrets = DEFAULT_LIMITS) -> Contents:
    """Return the objects in one file's contents; `name` is what diagnostics call it, `limits` are those of a Secret."""
    objects: list[Object] = []
    diagnostics: list[Diagnostic] = []
    unread: Counter[str] = Counter()
    try:
        for document in documents(data):
            reading = parsing.parse(document, limits)
            diagnostics += reading.diagnostics
            if reading.object is not None:
                objects.append(reading.object)
            elif not reading.diagnostics and (kind := _kind(document)):
                unread[kind] += 1
    except Exception as error:  # noqa: BLE001  PyYAML lets through what Python raises, as for `!!bool maybe`
        message = f'not YAML: {shorten(" ".join(str(error).split()), 200)}'
        ref = Ref('File', '', name if name.isprintable() else shorten(name, _MAX_NAME))
        diagnostics.append(Diagnostic(ref, 'InvalidObject', message))
    return Contents(tuple(objects), tuple(diagnostics), tuple(sorted(unread.items())))


def _kind(document: object) -> str:
    """Return kind and version of a document, '' when it does not look like an object of Kubernetes."""
    if not isinstance(document, dict):
        return ''
    kind, version = fields.text(document, 'kind'), fields.text(document, 'apiVersion')
    text = f'{kind} ({version})'
    if not kind or not version:
        return ''
    return text if text.isprintable() and len(text) <= _MAX_KIND else shorten(text, _MAX_KIND)


def documents(data: bytes) -> Iterator[object]:
    """Yield the documents of a file, the items of lists one by one; raises what PyYAML lets through."""
    for document in _load(data):
        if (
            isinstance(document, dict)
            and fields.text(document, 'kind').endswith('List')
            and isinstance(document.get('items'), list)
        ):
            yield from map(partial(_item, document), document['items'])
        else:
            yield document


def _item(typed_list: dict[str, object], item: object) -> object:
    """Return an item of a list; one of a typed list (`kind: ServiceList`) need not have a kind, as the API server's do not."""
    kind = fields.text(typed_list, 'kind').removesuffix('List')
    if not kind or not isinstance(item, dict) or 'kind' in item:
        return item
    return {'apiVersion': typed_list.get('apiVersion'), 'kind': kind, **item}


def _load(data: bytes) -> Iterator[object]:
    if data.lstrip()[:1] in (b'{', b'['):
        try:
            yield msgspec.json.decode(data)
        except msgspec.DecodeError:
            pass
        else:
            return
    yield from yaml.load_all(data, Loader=_TextLoader)
