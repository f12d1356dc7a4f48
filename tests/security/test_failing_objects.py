"""An object on which headrace itself fails costs that object: it stays as it was, and all others arrive."""

import asyncio
import json
import logging
from dataclasses import replace

import pytest

from headrace import parsing
from headrace.folder_watch import WatchedFolder
from headrace.kube.access import Access
from headrace.kube.resources import SECRETS, SERVICES, Scope
from headrace.kube.source import KubeSource
from headrace.names import Ref
from headrace.objects import registry
from headrace.settings.settings import Settings
from headrace.store import Store
from support.objects import service

BAD, GOOD = Ref('Service', 'shop', 'bad'), Ref('Service', 'shop', 'good')


class Panic(BaseException):
    """What Rust code raises when it panics is no Exception."""


def fail(monkeypatch, error, kind=('v1', 'Service')):
    """Let the parser of a kind fail on objects called `bad`."""
    row = registry.BY_VERSION[kind]

    def failing(namespace, name, document):
        if name == 'bad':
            raise error
        return row.read(namespace, name, document)

    monkeypatch.setitem(registry.BY_VERSION, kind, replace(row, read=failing))


@pytest.mark.parametrize('error', [ValueError('odd'), RecursionError('deep'), MemoryError(), Panic('rust')], ids=repr)
def test_any_error_is_a_diagnostic_and_a_traceback_in_the_log(monkeypatch, caplog, error):
    fail(monkeypatch, error)
    found = parsing.parse(service('bad'))
    assert found.object is None
    (diagnostic,) = found.diagnostics
    assert (diagnostic.ref, diagnostic.reason) == (BAD, 'InternalError')
    (record,) = caplog.records
    assert (record.levelno, record.exc_info[1], record.object) == (logging.ERROR, error, 'Service shop/bad')


def test_who_ends_the_process_may(monkeypatch):
    fail(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        parsing.parse(service('bad'))


def test_in_a_folder_the_object_stays_as_it_was(monkeypatch, tmp_path):
    async def script():
        store, file = Store(), tmp_path / 'all.json'
        watched = WatchedFolder(tmp_path, store, lambda _: None)
        file.write_bytes(document(service('bad', ports=[80]), service('good', ports=[80])))
        await watched.read()
        before = store.get(BAD, object)
        fail(monkeypatch, ValueError('odd'))
        file.write_bytes(document(service('bad', ports=[81]), service('good', ports=[8080])))
        await watched.read()
        assert store.get(BAD, object) is before
        assert store.get(GOOD, object).ports[0].number == 8080
        assert [diagnostic.reason for diagnostic in watched.diagnostics()] == ['InternalError']

    asyncio.run(script())


def document(*items):
    return json.dumps({'kind': 'List', 'items': list(items)}).encode()


def versioned(version, made):
    made['metadata']['resourceVersion'] = str(version)
    return made


def listed(version, *items):
    return {'metadata': {'resourceVersion': str(version)}, 'items': list(items)}


@pytest.fixture
def source():
    scope = Scope((SERVICES, SECRETS))
    return KubeSource(Access('http://127.0.0.1:9', False, None, 'shop'), (scope,), Store(), lambda _: None, Settings())


def test_in_a_cluster_the_object_stays_as_it_was_through_events_and_lists(monkeypatch, source):
    async def script():
        services = source.paths[SERVICES.path()]
        await services.page(listed(5, versioned(3, service('bad')), versioned(4, service('good'))), first=True)
        before = source.store.get(BAD, object)
        fail(monkeypatch, ValueError('odd'))
        await source.paths[SERVICES.path()].event('MODIFIED', versioned(7, service('bad', ports=[81])))
        await source.paths[SERVICES.path()].event('MODIFIED', versioned(8, service('good', ports=[8080])))
        assert source.store.get(BAD, object) is before
        assert source.store.get(GOOD, object).ports[0].number == 8080
        await services.page(listed(9, versioned(7, service('bad')), versioned(8, service('good'))), first=True)
        assert source.store.get(BAD, object) is before
        assert [diagnostic.reason for diagnostic in source.diagnostics()] == ['InternalError']
        await source.paths[SERVICES.path()].event('DELETED', versioned(10, service('bad')))
        assert source.store.get(BAD, object) is None
        assert source.diagnostics() == ()

    asyncio.run(script())


def test_an_object_that_is_parsed_again_has_its_diagnostic_no_more(monkeypatch, source):
    async def script():
        with monkeypatch.context() as patch:
            fail(patch, ValueError('odd'))
            await source.paths[SERVICES.path()].event('ADDED', versioned(7, service('bad')))
        assert len(source.diagnostics()) == 1
        await source.paths[SERVICES.path()].event('MODIFIED', versioned(8, service('bad')))
        assert source.diagnostics() == ()
        assert source.store.get(BAD, object) is not None

    asyncio.run(script())


def test_an_event_on_which_the_store_fails_ends_no_watch(monkeypatch, caplog, source):
    async def script():
        services = source.paths[SERVICES.path()]
        with monkeypatch.context() as patch:
            patch.setattr(source.store, 'put', lambda _: {}['odd'])
            await services.event('ADDED', versioned(7, service('bad')))
        await services.event('ADDED', versioned(8, service('good')))
        assert source.store.get(GOOD, object) is not None

    asyncio.run(script())
    assert 'failed on an event' in caplog.text
