"""The proxy that tests put before the API server: each fault is what it is called, and ends."""

import queue
import threading
import time

import pytest

from support.api import Api, collection
from support.objects import service
from support.proxy import Proxy


@pytest.fixture
def proxy(control_plane):
    """A proxy before the API server."""
    with Proxy(control_plane.port) as proxy:
        yield proxy


@pytest.fixture
def api(control_plane, proxy):
    """A client that goes through the proxy; the API server's certificate is good for that too."""
    return Api(f'https://127.0.0.1:{proxy.port}', control_plane.token, control_plane.ca)


@pytest.fixture
def watched(api, namespace):
    """What a watch of the namespace's Services saw: their names, and at last how it ended."""
    path = collection('Service', namespace)
    since = api.list(path)['metadata']['resourceVersion']
    seen = queue.Queue()

    def watch():
        try:
            for _, document in api.watch(path, since):
                seen.put(document['metadata']['name'])
        except OSError as error:
            seen.put(type(error))
        else:
            seen.put('ended')

    thread = threading.Thread(target=watch)
    thread.start()
    yield seen
    thread.join(timeout=30)
    assert not thread.is_alive()


def test_a_watch_passes_through_it_until_it_is_cut(control_plane, proxy, namespace, watched):
    control_plane.api.create(service('web', namespace))
    assert watched.get(timeout=20) == 'web'
    proxy.cut()
    assert watched.get(timeout=20) is ConnectionResetError
    assert proxy.connections == 0


def test_a_stalled_watch_gets_all_later(control_plane, proxy, namespace, watched):
    control_plane.api.create(service('first', namespace))
    assert watched.get(timeout=20) == 'first'
    with proxy.stalled():
        control_plane.api.create(service('second', namespace))
        with pytest.raises(queue.Empty):
            watched.get(timeout=1)
    assert watched.get(timeout=20) == 'second'
    proxy.cut()


def test_a_stalled_proxy_takes_connections_and_answers_nothing(proxy, api):
    with proxy.stalled(), pytest.raises(TimeoutError):
        api.request('GET', '/readyz', seconds=1)
    assert api.get('/readyz') == 'ok'


def test_a_delay_holds_each_direction_up(proxy, api):
    with proxy.delayed(0.3):
        started = time.monotonic()
        assert api.get('/readyz') == 'ok'
        # There and back, for the handshake and then for the request.
        assert time.monotonic() - started >= 1.2


def test_it_refuses_connections_and_takes_them_again(proxy, api):
    with proxy.refusing(), pytest.raises(ConnectionRefusedError):
        api.get('/readyz')
    assert api.get('/readyz') == 'ok'


def test_it_resets_open_connections_when_it_refuses(control_plane, proxy, namespace, watched):
    control_plane.api.create(service('web', namespace))
    assert watched.get(timeout=20) == 'web'
    with proxy.refusing():
        assert watched.get(timeout=20) is ConnectionResetError


def test_a_big_answer_arrives_whole(control_plane, api, namespace):
    text = 'x' * 250_000
    for name in ('a', 'b', 'c', 'd'):
        document = {'metadata': {'name': name, 'namespace': namespace}, 'data': {'text': text}}
        control_plane.api.create({'apiVersion': 'v1', 'kind': 'ConfigMap', **document})
    found = api.list(collection('ConfigMap', namespace), labelSelector='!none')['items']
    assert [item['data']['text'] for item in found if 'text' in item['data']] == [text] * 4
