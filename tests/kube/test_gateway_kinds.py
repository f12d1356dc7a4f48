"""Resources of the Gateway API as an edge follows them on a real API server, from before there are CRDs to after."""

import asyncio
import contextlib

from headrace.kube import access as accesses
from headrace.kube import resources
from headrace.kube.source import KubeSource
from headrace.names import Ref
from headrace.objects.kinds import ConfigMap, Namespace
from headrace.settings.settings import Secrets, Settings
from headrace.store import Store
from headrace.translate import build_context
from support import gateway_crds
from support.api import ApiError
from support.gateway_objects import gateway, http_route, reference_grant, resource, route
from support.objects import ca_secret

SECONDS = 60


def documents(namespace):
    """Return one object of each kind but the class, in a namespace."""
    pem = ca_secret()['stringData']['ca.crt']
    metadata = {'name': 'ca', 'namespace': namespace}
    return [
        {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': metadata, 'data': {'ca.crt': pem}},
        gateway('public', namespace),
        resource('ListenerSet', 'more', namespace),
        http_route('web', namespace),
        *(route(kind, 'web', namespace) for kind in ('GRPCRoute', 'TLSRoute', 'TCPRoute', 'UDPRoute')),
        reference_grant('grant', namespace, sources=[], targets=[]),
        resource('BackendTLSPolicy', 'web', namespace),
    ]


async def until(condition, task):
    async with asyncio.timeout(SECONDS):
        while not condition():
            assert not task.done(), task.result()
            await asyncio.sleep(0.05)


async def tried(api, document):
    """Create an object as soon as the API serves its kind."""
    async with asyncio.timeout(SECONDS):
        while True:
            with contextlib.suppress(ApiError):
                await asyncio.to_thread(api.create, document)
                return
            await asyncio.sleep(0.1)


def test_all_kinds_come_with_their_definitions_and_go_with_them(control_plane, namespace):
    settings = Settings(secrets=Secrets(namespaces=(namespace,)))
    store = Store()
    scopes = resources.scopes_of(build_context.make(settings))
    source = KubeSource(accesses.find(control_plane.kubeconfig, ''), scopes, store, lambda _: None, settings)
    kept = {Ref(each['kind'], namespace, each['metadata']['name']) for each in documents(namespace)}

    def of_gateways():
        own = Ref('Namespace', '', namespace)
        return {item.ref for item in store.objects() if item.ref in kept or item.ref == own}

    async def script():
        task = asyncio.create_task(source.follow())
        try:
            async with asyncio.timeout(SECONDS):
                await source.read()
            assert of_gateways() == set()
            with gateway_crds.defined(control_plane.api):
                for document in documents(namespace):
                    await tried(control_plane.api, document)
                await until(lambda: of_gateways() == {*kept, Ref('Namespace', '', namespace)}, task)
                assert store.get(Ref('ConfigMap', namespace, 'ca'), ConfigMap).authorities
                labels = dict(store.get(Ref('Namespace', '', namespace), Namespace).labels)
                assert labels['kubernetes.io/metadata.name'] == namespace
                assert not store.get(Ref('ConfigMap', namespace, 'kube-root-ca.crt'), ConfigMap)
            await until(lambda: of_gateways() == set(), task)
        finally:
            source.stop()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(script())
