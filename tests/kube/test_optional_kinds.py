"""A kind whose CustomResourceDefinition may be missing: it comes, goes and comes back, on a real API server."""

import asyncio
import contextlib
from dataclasses import dataclass

import pytest

from headrace.kube import access as accesses
from headrace.kube.resources import SERVICES, Resource, Scope
from headrace.kube.source import KubeSource
from headrace.names import Ref
from headrace.objects import registry
from headrace.objects.registry import Kind
from headrace.settings.settings import Settings
from headrace.store import Store
from support.api import ApiError

SECONDS = 60
GROUP, VERSION = 'tests.headrace.io', 'v1'
WIDGETS = Resource('Widget', GROUP, VERSION, 'widgets', optional=True)
CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
CRD = {
    'apiVersion': 'apiextensions.k8s.io/v1',
    'kind': 'CustomResourceDefinition',
    'metadata': {'name': f'widgets.{GROUP}'},
    'spec': {
        'group': GROUP,
        'scope': 'Namespaced',
        'names': {'plural': 'widgets', 'singular': 'widget', 'kind': 'Widget'},
        'versions': [
            {
                'name': VERSION,
                'served': True,
                'storage': True,
                'schema': {'openAPIV3Schema': {'type': 'object', 'x-kubernetes-preserve-unknown-fields': True}},
            }
        ],
    },
}


@dataclass(frozen=True, slots=True)
class Widget:
    """An object of the kind."""

    namespace: str
    name: str

    @property
    def ref(self):
        return Ref('Widget', self.namespace, self.name)


@pytest.fixture
def widgets(monkeypatch, control_plane):
    """A row for the kind, and no definition of it before and after."""
    row = Kind(
        Widget, 'Widget', GROUP, VERSION, 'widgets', lambda namespace, name, _: Widget(namespace, name),
        lambda before, after: ((after or before).ref,), optional=True,
    )  # fmt: skip
    monkeypatch.setitem(registry.BY_NAME, 'Widget', row)
    monkeypatch.setitem(registry.BY_TYPE, Widget, row)
    monkeypatch.setitem(registry.BY_VERSION, (row.api_version, 'Widget'), row)
    yield
    with contextlib.suppress(ApiError):
        control_plane.api.delete(f'{CRDS}/{CRD["metadata"]["name"]}')


class Followed:
    """A source that follows Services and the optional kind, in the whole cluster or in a namespace."""

    def __init__(self, plane, namespaces=()):
        self.plane, self.woken = plane, 0
        self.store = Store()
        scopes = (Scope((SERVICES, WIDGETS), namespaces),)
        self.source = KubeSource(accesses.find(plane.kubeconfig, ''), scopes, self.store, self._wake, Settings())

    def _wake(self, _):
        self.woken += 1

    def names(self):
        return {item.name for item in self.store.objects() if item.ref.kind == 'Widget'}

    async def until(self, names):
        async with asyncio.timeout(SECONDS):
            while self.names() != names:
                assert not self._task.done(), self._task.result()
                await asyncio.sleep(0.02)

    async def define(self):
        """Create the definition, once the one before is gone."""
        await self._tried(CRD)

    async def _tried(self, document):
        async with asyncio.timeout(SECONDS):
            while True:
                with contextlib.suppress(ApiError):
                    await asyncio.to_thread(self.plane.api.create, document)
                    return
                await asyncio.sleep(0.1)

    async def create(self, namespace, name):
        document = {
            'apiVersion': f'{GROUP}/{VERSION}',
            'kind': 'Widget',
            'metadata': {'name': name, 'namespace': namespace},
        }
        await self._tried(document)

    async def remove(self):
        await asyncio.to_thread(self.plane.api.delete, f'{CRDS}/{CRD["metadata"]["name"]}')

    async def __aenter__(self):
        self._task = asyncio.create_task(self.source.follow())
        async with asyncio.timeout(20):
            await self.source.read()
        return self

    async def __aexit__(self, *_):
        self.source.stop()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.mark.parametrize('limited', [False, True], ids=['everywhere', 'in a namespace'])
@pytest.mark.usefixtures('widgets')
def test_a_kind_comes_goes_and_comes_back_without_a_restart(control_plane, namespace, limited):
    async def script():
        # It does not hold the start up.
        async with Followed(control_plane, (namespace,) if limited else ()) as followed:
            assert followed.names() == set()
            assert not followed.source.problems()
            await followed.define()
            await followed.create(namespace, 'a')
            await followed.until({'a'})
            await followed.create(namespace, 'b')
            await followed.until({'a', 'b'})

            await followed.remove()
            await followed.until(set())
            async with asyncio.timeout(SECONDS):
                while followed.source.discovery.served:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert not followed.source.problems()

            woken = followed.woken
            await followed.define()
            await followed.create(namespace, 'c')
            await followed.until({'c'})
            assert followed.woken > woken
            assert not followed.source.problems()

    asyncio.run(script())


@pytest.mark.usefixtures('widgets')
def test_a_kind_that_is_served_is_read_before_the_start(control_plane, namespace):
    async def script():
        before = Followed(control_plane)
        await before.define()
        await before.create(namespace, 'a')
        async with Followed(control_plane) as followed:
            assert followed.names() == {'a'}

    asyncio.run(script())


@pytest.mark.usefixtures('widgets')
def test_a_definition_that_is_exchanged_at_once_leaves_no_ghosts(control_plane, namespace):
    async def script():
        async with Followed(control_plane) as followed:
            await followed.define()
            await followed.create(namespace, 'old')
            await followed.until({'old'})
            await followed.remove()
            await followed.define()
            await followed.create(namespace, 'new')
            await followed.until({'new'})

    asyncio.run(script())
