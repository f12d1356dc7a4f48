"""Files follow a snapshot change by change: what is written is what rendering the whole snapshot gives."""

import asyncio
from pathlib import Path

import pytest

from headrace.haproxy.render.render import Renderer
from headrace.haproxy.runtime.staging import Staging
from headrace.resolve import model_snapshot
from headrace.settings.settings import Secrets, Settings
from support.following import Following
from support.gateways import GATEWAY_CLASS, OWN_NAMESPACE, gateway, listener, slot_service
from support.objects import secret, service, tls_secret

HTTP = [{'name': 'http', 'port': 80}]
OTHERS = (
    service('next', ports=HTTP),
    secret('users', username='ann', password='x'),
    secret('more', auth='a:$2y$04$N9qo8uLOickgx2ZMRZoMyenKJXgBwQmuTsuw5rDZiG8GbL4/WHFLO'),
)
CHANGES = [
    {'allow': '10.0.0.0/8'},
    {'response-headers': 'X-A: 1'},
    {'timeout-server': '7s'},
    {'basic-auth-secret': 'users'},
    {'basic-auth-secret': 'more'},
    {'canary-service': 'next', 'canary-weight': '5'},
    {'mirror-service': 'next', 'mirror-percent': '5'},
    {'error-service': 'next', 'error-statuses': '503'},
    {'external-auth-service': 'next'},
    {'balance': 'hdr:x-user'},
    {'path': '/a'},
]


@pytest.mark.parametrize('annotations', CHANGES, ids=lambda given: next(iter(given)))
def test_a_change_of_one_setting_reaches_the_files_when_it_comes_and_when_it_goes(annotations, tmp_path):
    following = Following(Settings(secrets=Secrets(namespaces=('*',))))
    following.put(service(annotations={'host': 'a.com'}, ports=HTTP), *OTHERS)
    renderer, snapshot = Renderer(following.state.context), model_snapshot.of_state(following.state)
    staging = Staging(tmp_path, renderer, snapshot)
    staging.fill()
    for given in (annotations, {}):
        change = following.put(service(annotations={'host': 'a.com', **given}, ports=HTTP))
        snapshot.tell(change)
        staging.note(change)
        asyncio.run(staging.flush())
        assert written(tmp_path) == renderer.snapshot(snapshot)


def test_certificates_of_a_gateway_reach_the_list_of_their_slot_when_they_come_and_when_they_go(tmp_path):
    tls = tls_secret('tls')
    listener_of = {
        name: listener('https', 443, 'HTTPS', 'a.com', tls={'certificateRefs': [{'name': name}]})
        for name in ('tls', 'absent')
    }
    following = Following(Settings(secrets=Secrets(namespaces=('*',)), gateway_slots=2), own_namespace=OWN_NAMESPACE)
    following.put(GATEWAY_CLASS, tls, slot_service('web', {443: 28002}), gateway('web', listener_of['absent']))
    renderer, snapshot = Renderer(following.state.context), model_snapshot.of_state(following.state)
    staging = Staging(tmp_path, renderer, snapshot)
    staging.fill()
    for name, file in (('tls', 'shop_tls.pem'), ('absent', 'nobody.pem')):
        change = following.put(gateway('web', listener_of[name]))
        snapshot.tell(change)
        staging.note(change)
        asyncio.run(staging.flush())
        assert written(tmp_path) == renderer.snapshot(snapshot)
        assert f'certificates/{file} a.com' in (tmp_path / 'certificates/slot-28002.txt').read_text()
    staging.use(renderer)
    staging.renew()
    asyncio.run(staging.flush())
    assert written(tmp_path) == renderer.snapshot(snapshot)


def written(folder: Path):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_each_file_reaches_the_disk_once_before_it_is_frozen(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr('os.fsync', lambda descriptor: synced.append(Path(f'/proc/self/fd/{descriptor}').readlink()))
    following = Following(Settings())
    following.put(service(annotations={'host': 'a.com'}, ports=HTTP))
    renderer, snapshot = Renderer(following.state.context), model_snapshot.of_state(following.state)
    staging = Staging(tmp_path / 'candidate', renderer, snapshot)
    staging.fill()
    for timeout in ('7s', '8s'):
        change = following.put(service(annotations={'host': 'a.com', 'timeout-server': timeout}, ports=HTTP))
        snapshot.tell(change)
        staging.note(change)
        asyncio.run(staging.flush())
    assert synced == []
    asyncio.run(staging.freeze(tmp_path / 'frozen'))
    assert len(set(synced)) == len(synced)
    assert tmp_path / 'candidate/maps/timeouts.map' in synced
    asyncio.run(staging.freeze(tmp_path / 'again'))
    assert len(set(synced)) == len(synced)
