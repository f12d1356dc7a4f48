"""What a source keeps of objects that could not be read: until they can be, or are gone."""

import asyncio
import threading
import types
from dataclasses import replace

import pytest

from headrace.kube.access import Access
from headrace.kube.resources import INGRESSES, SECRETS, SERVICES, Scope
from headrace.kube.source import KubeSource
from headrace.names import Ref
from headrace.objects import registry, secrets
from headrace.objects.kinds import Service
from headrace.settings.settings import Settings
from headrace.store import Store
from support.objects import ingress, secret, service

SERVICES_PATH = '/api/v1/services'


def unreadable(name, version):
    made = service(name)
    # Without its annotations a Service would be another one.
    made['metadata'] |= {'annotations': ['x'], 'resourceVersion': str(version)}
    return made


def readable(name, version):
    made = service(name)
    made['metadata']['resourceVersion'] = str(version)
    return made


def page(version, *items):
    return {'metadata': {'resourceVersion': str(version)}, 'items': list(items)}


class Followed:
    """A source of Services that is told what the API server says."""

    def __init__(self):
        access = Access('http://127.0.0.1:1', tls=False, token=types.SimpleNamespace(), namespace='headrace')
        self.source = KubeSource(access, (Scope((SERVICES,)),), Store(), lambda _: None, Settings())
        self.followed = self.source.paths[SERVICES_PATH]

    def names(self):
        return [diagnostic.ref.name for diagnostic in self.source.diagnostics()]


def test_what_was_wrong_with_objects_is_forgotten_when_a_list_has_them_no_more():
    async def run():
        seen = Followed()
        await seen.followed.page(page(5, unreadable('a', 3), unreadable('b', 4), readable('c', 2)), first=True)
        assert seen.names() == ['a', 'b']
        await seen.followed.page(page(9, unreadable('b', 4), readable('c', 2)), first=True)
        assert seen.names() == ['b']
        await seen.followed.page(page(12, readable('b', 11)), first=True)
        assert seen.names() == []

    asyncio.run(run())


def test_what_an_event_has_told_after_a_list_is_not_forgotten_with_it():
    async def run():
        seen = Followed()
        await seen.followed.page(page(5), first=True)
        await seen.followed.event('ADDED', unreadable('late', 10))
        await seen.followed.page(page(9), first=True)
        assert seen.names() == ['late']
        await seen.followed.event('DELETED', unreadable('late', 11))
        assert seen.names() == []

    asyncio.run(run())


@pytest.mark.parametrize(
    ('resource', 'document', 'beside'),
    [
        pytest.param(SERVICES, service(), False, id='Service'),
        pytest.param(SECRETS, secret(), True, id='Secret'),
        pytest.param(INGRESSES, ingress(hosts={'a.example.com': 'web'}), False, id='Ingress'),
        pytest.param(INGRESSES, ingress(rules=[{'host': f'h{number}.example.com'} for number in range(1000)]), True, id='large Ingress'),
    ],
)  # fmt: skip
def test_what_takes_long_to_parse_is_parsed_beside_the_event_loop(monkeypatch, resource, document, beside):
    threads = []
    row = registry.BY_NAME[resource.kind]

    def read(*given, **limits):
        threads.append(threading.current_thread())
        return row.read(*given, **limits)

    monkeypatch.setitem(registry.BY_VERSION, (row.api_version, row.name), replace(row, read=read))
    monkeypatch.setattr(secrets, 'read', read if resource == SECRETS else secrets.read)
    (reading,) = asyncio.run(Followed().source.parse(resource, [document]))
    assert reading.object.ref.kind == resource.kind
    assert [thread is not threading.main_thread() for thread in threads] == [beside]


def test_an_object_without_room_for_its_annotations_is_read_again_by_a_sweep_once_there_is_room():
    large = {'request-headers': f'X-Text: {"x" * 50_000}'}

    def written(name, version):
        made = service(name, annotations=large)
        made['metadata'] |= {'resourceVersion': str(version), 'creationTimestamp': f'2024-01-01T00:00:0{version}Z'}
        return made

    async def run():
        seen = Followed()
        seen.source.store = Store(60_000)
        await seen.followed.page(page(5, written('a', 1), written('b', 2)), first=True)
        seen.source.store.drop(Ref('Service', 'shop', 'a'))
        seen.followed.reflector.drop(Ref('Service', 'shop', 'a'), 6)
        assert seen.source.store.get(Ref('Service', 'shop', 'b'), Service).omitted

        async def pages(*_):
            yield page(9, written('b', 2))

        seen.source.calls.pages = pages
        await seen.source._sweep(SERVICES_PATH, seen.followed)
        assert not seen.source.store.get(Ref('Service', 'shop', 'b'), Service).omitted
        assert (seen.source.missed_changes, seen.followed.unconfirmed) == (0, set())

    asyncio.run(run())
