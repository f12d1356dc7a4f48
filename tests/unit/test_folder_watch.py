"""The watched folder: what a large file may hold up."""

import asyncio
import json
import threading

import pytest

from headrace import folder, folder_watch
from headrace.folder_watch import WatchedFolder
from headrace.names import Ref
from headrace.store import Store
from support.objects import service

WEB = Ref('Service', 'shop', 'web')


def document(port, size=0):
    return json.dumps(service('web', namespace='shop', ports=[port], annotations={'padding': 'x' * size})).encode()


@pytest.fixture
def watched(tmp_path):
    return WatchedFolder(tmp_path, Store(), lambda _: None)


def port_of(watched):
    return watched.store.get(WEB, object).ports[0].number


def test_the_event_loop_goes_on_while_a_large_file_is_parsed(watched, tmp_path, monkeypatch):
    going, real = threading.Event(), folder.parse

    def parse(*given):
        assert going.wait(10), 'the event loop stood still'
        return real(*given)

    async def script():
        monkeypatch.setattr(folder, 'parse', parse)
        (tmp_path / 'web.json').write_bytes(document(80, folder_watch._SMALL))
        reading = asyncio.create_task(watched.read())
        await asyncio.sleep(0)
        going.set()
        await reading
        assert port_of(watched) == 80

    asyncio.run(script())


def test_what_is_read_later_counts_also_after_a_large_file(watched, tmp_path, monkeypatch):
    parsing, going, real = threading.Event(), threading.Event(), folder.parse

    def parse(content, *given):
        if len(content) > folder_watch._SMALL:
            parsing.set()
            assert going.wait(10)
        return real(content, *given)

    async def script():
        monkeypatch.setattr(folder, 'parse', parse)
        file = tmp_path / 'web.json'
        file.write_bytes(document(80, folder_watch._SMALL))
        first = asyncio.create_task(watched.read())
        assert await asyncio.to_thread(parsing.wait, 10)
        file.write_bytes(document(81))
        second = asyncio.create_task(watched.read())
        await asyncio.sleep(0.05)
        going.set()
        await first
        await second
        assert port_of(watched) == 81

    asyncio.run(script())
