"""What `headrace migrate` reads: documents of Ingresses, their classes, ConfigMaps and Services, from files or an API server."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace import folder, parsing
from headrace.diagnostics import Diagnostic
from headrace.kube import access as accesses
from headrace.kube import resources, session
from headrace.kube.calls import Calls
from headrace.objects.ingress import Ingress, IngressClass
from headrace.objects.kinds import Object, Service

_PAGE = 500
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Input:
    """Documents as they came, the objects that they hold, and what is wrong with them."""

    documents: tuple[Document, ...]
    objects: tuple[Object, ...]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def ingresses(self) -> list[Ingress]:
        """Return the Ingresses."""
        return [item for item in self.objects if isinstance(item, Ingress)]

    @property
    def classes(self) -> list[IngressClass]:
        """Return the IngressClasses."""
        return [item for item in self.objects if isinstance(item, IngressClass)]

    @property
    def services(self) -> list[Service]:
        """Return the Services."""
        return [item for item in self.objects if isinstance(item, Service)]

    def data(self, name: str) -> dict[str, str]:
        """Return the data of the ConfigMap NAMESPACE/NAME; raises SourceError where there is none."""
        for document in self.documents:
            metadata = document.get('metadata') or {}
            full_name = f'{metadata.get("namespace", "default")}/{metadata.get("name")}'
            if document.get('kind') == 'ConfigMap' and full_name == name:
                return {str(key): str(value) for key, value in (document.get('data') or {}).items()}
        raise folder.SourceError(f'{name}: the input holds no such ConfigMap')


def of_files(paths: tuple[Path, ...]) -> Input:
    """Return the input of files and folders; raises SourceError for a path that cannot be read."""
    contents = folder.read(paths)
    documents: list[Document] = []
    for path in folder.paths(paths):
        try:
            documents += [item for item in folder.documents(path.read_bytes()) if isinstance(item, dict)]
        except Exception:  # noqa: BLE001, S112  PyYAML lets through what Python raises; the file has a diagnostic
            continue
    return Input(tuple(documents), contents.objects, contents.diagnostics)


def of_cluster(
    kubeconfig: Path | None, context: str, config_maps: Iterable[str], *, with_services: bool = False
) -> Input:
    """Return the input of an API server; raises AccessError and CallError."""
    kinds = (resources.INGRESSES, resources.INGRESS_CLASSES, *([resources.SERVICES] if with_services else []))
    documents = asyncio.run(_documents(accesses.find(kubeconfig, context), kinds, config_maps))
    readings = [parsing.parse(document) for document in documents if document['kind'] != 'ConfigMap']
    return Input(
        tuple(documents),
        tuple(reading.object for reading in readings if reading.object is not None),
        tuple(diagnostic for reading in readings for diagnostic in reading.diagnostics),
    )


async def _documents(
    access: accesses.Access, kinds: Iterable[resources.Resource], config_maps: Iterable[str]
) -> list[Document]:
    documents: list[Document] = []
    api_session = session.make(access, {})
    try:
        calls = Calls(access.server, lambda: api_session)
        for resource in kinds:
            async for page in calls.pages(resource.path(), resource, _PAGE):
                kind = {'apiVersion': resource.api_version, 'kind': resource.kind}
                documents += [{**kind, **item} for item in page['items']]
        for name in config_maps:
            namespace, _, config_map_name = name.partition('/')
            config_map = await calls.call('GET', f'/api/v1/namespaces/{namespace}/configmaps/{config_map_name}')
            documents.append({**config_map, 'apiVersion': 'v1', 'kind': 'ConfigMap'})
    finally:
        await api_session.close()
    return documents
