"""Ingresses and IngressClasses from a real API server into the store, and to traffic."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

from headrace.kube import access as accesses
from headrace.kube import resources
from headrace.kube.source import KubeSource
from headrace.names import Ref
from headrace.objects.ingress import Ingress, IngressClass
from headrace.objects.kinds import DEFAULT_INGRESS_CLASS
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import build_context
from support.api import ApiError, home
from support.cluster import pod
from support.live import until
from support.objects import endpoint_slice, ingress, ingress_class, service
from support.traffic import Client

SECONDS = 30


class Follower:
    """A source that follows a control plane into a store, and what it marked."""

    def __init__(self, plane, context, *, scopes=None):
        self.store, self.marked = Store(), set()
        access = accesses.find(plane.kubeconfig, '')
        self.source = KubeSource(
            access, scopes or resources.scopes_of(context), self.store, lambda _: None, context.settings
        )

    async def until(self, true):
        async with asyncio.timeout(SECONDS):
            while not true():
                self.marked |= self.store.take()
                await asyncio.sleep(0.01)
        self.marked |= self.store.take()

    async def __aenter__(self):
        self._task = asyncio.create_task(self.source.follow())
        async with asyncio.timeout(SECONDS):
            await self.source.read()
        self.store.take()
        return self

    async def __aexit__(self, *_):
        self.source.stop()
        await asyncio.gather(self._task, return_exceptions=True)


def of(plane, **settings):
    return Follower(plane, replace(build_context.make(Settings(**settings)), api_server=True))


def test_an_ingress_and_its_class_come_change_and_go(control_plane, namespace):
    api = control_plane.api
    item = ingress('web', namespace, hosts={'a.example.com': 'web'}, ingressClassName=namespace)
    class_document = ingress_class(namespace, default=True)
    ref, class_ref = Ref('Ingress', namespace, 'web'), Ref('IngressClass', '', namespace)

    async def script():
        async with of(control_plane) as follower:
            store = follower.store
            await asyncio.to_thread(api.create, item)
            await follower.until(lambda: store.get(ref, Ingress))
            found = store.get(ref, Ingress)
            assert (found.class_name, [rule.host for rule in found.rules]) == (namespace, ['a.example.com'])
            assert found.created
            await asyncio.to_thread(api.create, class_document)
            await follower.until(lambda: store.get(class_ref, IngressClass))
            assert store.default_ingress_class().name == namespace
            assert follower.marked == {ref, class_ref, DEFAULT_INGRESS_CLASS}

            follower.marked.clear()
            status = {'status': {'loadBalancer': {'ingress': [{'ip': '192.0.2.1'}]}}}
            await asyncio.to_thread(api.patch, f'{home(item)[1]}/status', status)
            await asyncio.to_thread(api.patch, home(item)[1], {'metadata': {'annotations': {'headrace.io/hsts': '1d'}}})
            await follower.until(lambda: store.get(ref, Ingress).annotations)
            assert follower.marked == {ref}

            await asyncio.to_thread(api.delete, home(class_document)[1])
            await asyncio.to_thread(api.delete, home(item)[1])
            await follower.until(lambda: not store.get(ref, Ingress) and not store.get(class_ref, IngressClass))
            assert store.default_ingress_class() is None

    try:
        asyncio.run(script())
    finally:
        with contextlib.suppress(ApiError):
            api.delete(home(class_document)[1])


def test_with_namespaces_named_only_their_ingresses_come_and_no_class(control_plane, namespace):
    api = control_plane.api
    api.create(ingress('ours', namespace, hosts={'a.example.com': 'web'}))
    api.create(ingress('theirs', 'default', hosts={'b.example.com': 'web'}))

    async def script():
        async with of(control_plane, namespaces=(namespace,)) as follower:
            return {item.ref for item in follower.store.objects() if item.ref.kind.startswith('Ingress')}

    try:
        assert asyncio.run(script()) == {Ref('Ingress', namespace, 'ours')}
    finally:
        api.delete(home(ingress('theirs', 'default'))[1])


@pytest.fixture
def class_names(control_plane, namespace):
    """Names for IngressClasses, which are gone after the test."""
    names = (namespace, f'{namespace}-other')
    yield names
    for name in names:
        with contextlib.suppress(ApiError):
            control_plane.api.delete(home(ingress_class(name))[1])


def status(town, cluster, host):
    client = Client(cluster.ports['http'])
    try:
        return town.run(client.ask('/', host))[0]
    finally:
        town.loop.call_soon_threadsafe(client.close)


def test_an_ingress_is_served_as_long_as_its_class_is_ours(make_cluster, town, class_names):
    cluster = make_cluster(everywhere=True, namespaces=[])
    mine, other = class_names
    host = f'{mine}.example.com'
    item = ingress('web', hosts={host: 'web'}, ingressClassName=mine)
    cluster.put('web', service('web'), endpoint_slice('web', addresses=[pod(town)], port=town.port), item)
    cluster.start()
    api = cluster.plane.api
    assert status(town, cluster, host) == 404
    api.create(ingress_class(mine))
    until(lambda: status(town, cluster, host) == 200)
    # The controller of a class cannot be changed, but a class can be made again.
    api.delete(home(ingress_class(mine))[1])
    until(lambda: status(town, cluster, host) == 404)
    api.create(ingress_class(mine, 'k8s.io/ingress-nginx'))
    api.create(ingress_class(other))
    api.patch(home(item)[1], {'spec': {'ingressClassName': other}})
    until(lambda: status(town, cluster, host) == 200)
    api.delete(home(item)[1])
    until(lambda: status(town, cluster, host) == 404)
    assert not cluster.reloads()


def test_an_ingress_without_a_class_is_served_by_the_default_class(make_cluster, town, class_names):
    cluster = make_cluster(everywhere=True, namespaces=[])
    mine, _ = class_names
    host = f'{mine}.example.com'
    item = ingress('web', hosts={host: 'web'})
    cluster.put('web', service('web'), endpoint_slice('web', addresses=[pod(town)], port=town.port), item)
    api = cluster.plane.api
    api.create(ingress_class(mine))
    cluster.start()
    assert status(town, cluster, host) == 404
    mark = {'metadata': {'annotations': {'ingressclass.kubernetes.io/is-default-class': 'true'}}}
    api.patch(home(ingress_class(mine))[1], mark)
    until(lambda: status(town, cluster, host) == 200)
    mark['metadata']['annotations']['ingressclass.kubernetes.io/is-default-class'] = 'false'
    api.patch(home(ingress_class(mine))[1], mark)
    until(lambda: status(town, cluster, host) == 404)
    assert not cluster.reloads()
