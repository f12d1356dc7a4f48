"""A live HAProxy follows the folder: without a reload where that is promised, and with one where only that can do it."""

import contextlib
import itertools
import json
import os
import shutil
import time
from pathlib import Path

from support.live import until
from support.objects import endpoint_slice, service, tls_secret
from support.traffic import Client


def get(town, live, path='/', host='shop.example.com', **how):
    """Ask once on a connection of its own; return status and body."""
    client = Client(live.ports['http'])
    try:
        status, _, said = town.run(client.ask(path, host, **how))
    finally:
        client.close()
    return status, said


def served_by(town, live, pod, host='shop.example.com'):
    """Wait until a pod answers all requests."""
    until(lambda: {get(town, live, host=host)[1]['pod'] for _ in range(4)} == {pod}, f'{pod} answers')


def test_a_folder_that_is_named_by_a_relative_path_is_followed(live, town, monkeypatch):
    one, other = town.pods(2)
    monkeypatch.chdir(live.root)
    live.source = Path('src')
    live.web([one], town.port)
    live.start()
    # The whole folder is read once more soon after the start.
    time.sleep(1.0)
    live.web([other], town.port)
    live.serves({other})
    live.drop('web')
    live.serves(())


def test_endpoints_come_and_go_without_a_reload(live, town):
    one, other = town.pods(2)
    live.web([one], town.port)
    live.start()
    worker = live.worker()
    assert get(town, live)[1]['pod'] == one
    live.web([one, other], town.port)
    until(lambda: live.addresses() == {one, other})
    assert {get(town, live)[1]['pod'] for _ in range(40)} == {one, other}
    live.web([other], town.port)
    served_by(town, live, other)
    until(lambda: one not in str(live.all_servers()), 'the old server is gone')
    live.web([], town.port)
    until(lambda: get(town, live)[0] == 503)
    assert live.worker() == worker
    assert live.reloads() == []


def test_a_service_with_settings_of_its_own_comes_changes_and_goes_without_a_reload(live, town):
    first, second = town.pods(2)
    live.web([first], town.port)
    live.start()
    worker = live.worker()
    live.web(
        [second],
        town.port,
        'pay',
        'pay.example.com',
        {'request-headers': 'X-Tenant: one', 'allow': '127.0.0.0/8', 'check': 'tcp', 'balance': 'leastconn'},
    )
    until(lambda: get(town, live, host='pay.example.com')[0] == 200)
    assert get(town, live, host='pay.example.com')[1]['headers']['x-tenant'] == 'one'
    live.web([second], town.port, 'pay', 'pay.example.com', {'request-headers': 'X-Tenant: two'})
    until(lambda: get(town, live, host='pay.example.com')[1]['headers'].get('x-tenant') == 'two')
    live.web([second], town.port, 'pay', 'pay.example.com', {'redirect-to': 'https://new.example.com/'})
    until(lambda: get(town, live, host='pay.example.com')[0] == 302)
    live.drop('pay')
    until(lambda: get(town, live, host='pay.example.com')[0] == 404)
    until(lambda: 'pay' not in live.ask('show backend'), 'the backend is gone')
    assert live.worker() == worker
    assert live.reloads() == []


def test_a_tcp_port_and_a_certificate_come_without_a_reload(live, town):
    first, second = town.pods(2)
    live.web([first], town.port)
    live.start()
    worker = live.worker()
    live.tcp([second], town.port)
    until(lambda: str(live.ports['tcp']) in str(live.routes('ports')))
    client = Client(live.ports['tcp'])
    assert town.run(client.ask())[2]['pod'] == second
    client.close()
    live.put('tls', tls_secret('shop-tls'))
    live.web([first], town.port, annotations={'tls-secret': 'shop-tls'})
    until(lambda: 'shop.example.com' in live.ask('show ssl crt-list certificates/list.txt'))
    live.put('tls', tls_secret('shop-tls', seed='two'))
    until(lambda: live.times('applied') >= 4)
    assert live.worker() == worker
    assert live.reloads() == []


def test_a_shape_seen_for_the_first_time_costs_one_reload_with_that_reason(live, town):
    pod = town.pod()
    live.web([pod], town.port)
    live.start()
    worker = live.worker()
    live.web([pod], town.port, annotations={'retries': '7'})
    until(live.reloads)
    assert [reason.partition(':')[0] for reason in live.reloads()[0]['reasons']] == ['profile']
    assert live.worker() != worker
    assert get(town, live)[0] == 200
    again = live.worker()
    live.web([pod], town.port, 'other', 'other.example.com', {'retries': '7'})
    until(lambda: get(town, live, host='other.example.com')[0] == 200)
    assert live.worker() == again


class Gate:
    """A file of a configuration that HAProxy can read, each time, once it is let."""

    def __init__(self, folder):
        self.path = folder / 'gate'
        os.mkfifo(self.path)

    def open(self):
        """Wait for the reader of the file, and let it go on."""
        until(self._written, 'the file is read')

    def _written(self):
        with contextlib.suppress(OSError):
            file = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            os.write(file, b'192.0.2.1\n')
            os.close(file)
            return True
        return False


def replaced(live):
    """Tell whether the master calls its first worker an old one; while it starts itself again, it does not answer."""
    with contextlib.suppress(OSError):
        return live.old_workers()


def test_a_reload_that_takes_its_time_is_made_once_though_changes_go_on(live, town):
    one, other = town.pods(2)
    gate = Gate(live.root)
    live.overrides = live.root / 'overrides'
    (live.overrides / 'snippets').mkdir(parents=True)
    rule = f'http-request set-header X-Gate passed unless {{ src -f {gate.path} }}\n'
    (live.overrides / 'snippets' / 'gate.cfg').write_text(rule)
    live.web([one], town.port)
    live.start()
    live.web([one], town.port, 'gated', 'gated.example.com', {'snippets': 'gate'})
    gate.open()  # the check of the candidate
    until(lambda: replaced(live), 'the next one starts')
    live.web([other], town.port)
    served_by(town, live, other)
    # The agent looks for its worker once a second, and the master calls it an old one.
    looked = time.monotonic() + 1.5
    until(lambda: time.monotonic() > looked)
    gate.open()
    until(lambda: live.times('reloaded'))
    assert get(town, live, host='gated.example.com')[1]['headers']['x-gate'] == 'passed'
    assert live.times('reloading') == live.times('reloaded') == 1
    assert not live.times('adopted the worker')
    served_by(town, live, other)


def test_a_service_that_waits_for_its_reload_keeps_its_endpoints_true_meanwhile(make_live, town):
    one, other = town.pods(2)
    live = make_live(reloadInterval='1h')
    live.web([one], town.port)
    live.start()
    live.web([one], town.port, annotations={'retries': '7'})
    until(live.reloads)
    live.web([one], town.port, annotations={'retries': '8'})
    until(lambda: live.status()['plans'][-1]['reasons'])
    live.web([other], town.port, annotations={'retries': '8'})
    served_by(town, live, other)
    assert len(live.reloads()) == 1


def test_services_that_need_reloads_come_by_reloads_that_keep_their_distance(live, town):
    live.set(reloadInterval='1500ms')
    pod = town.pod()
    live.web([pod], town.port)
    live.start()
    for number in range(12):
        live.web([pod], town.port, f'more-{number}', f'{number}.example.com', annotations={'retries': f'{number + 4}'})
        until(lambda: get(town, live, host=f'{number}.example.com')[0] in (404, 503, 200))  # noqa: B023
    for number in range(12):
        until(lambda: get(town, live, host=f'{number}.example.com')[0] == 200)  # noqa: B023
    until(lambda: live.times('reloading') == live.times('reloaded'))
    moments = [item['at'] for item in live.reloads()]
    assert 1 <= len(moments) <= 6
    assert all(later - earlier >= 1.5 for earlier, later in itertools.pairwise(moments))
    assert {reason.partition(':')[0] for item in live.reloads() for reason in item['reasons']} == {'profile'}


def test_settings_are_read_again_and_say_what_they_cost(live, town):
    pod = town.pod()
    live.web([pod], town.port)
    live.start()
    worker = live.worker()
    live.set(domain='apps.example.com')
    live.put(
        'plain',
        service('plain', annotations={'enabled': 'true', 'mode': 'http'}),
        endpoint_slice('plain', addresses=[pod], port=town.port),
    )
    until(lambda: get(town, live, host='plain.shop.apps.example.com')[0] == 200)
    assert live.worker() == worker
    live.set(maxconn=600)
    until(live.reloads)
    assert live.reloads()[0]['reasons'] == ['settings: maxconn']
    assert 'Maxconn: 1200' in live.ask('show info')
    live.write(live.config, 'maxconn: many')
    until(lambda: 'maxconn' in live.status()['problems'].get('settings', ''))
    assert get(town, live)[0] == 200
    live.set(**{'class': 'other'})
    until(lambda: live.status()['problems'].get('settings') == 'class: changed, and need a restart')
    assert live.status()['class'] == 'headrace'
    live.set(**{'class': 'headrace'})
    until(lambda: live.status()['problems'] == {})


def test_three_hundred_changes_in_a_second_all_arrive(live, town):
    pods = town.pods(2)
    for number in range(30):
        live.web(pods[:1], town.port, f'web-{number}', f'{number}.example.com')
    live.start()
    worker = live.worker()
    for turn in range(10):
        for number in range(30):
            live.web([pods[(turn + number) % 2]], town.port, f'web-{number}', f'{number}.example.com')
    wanted = {str(number): pods[(9 + number) % 2] for number in range(30)}
    until(
        lambda: (
            {
                item.partition('_web-')[2].partition('_')[0]: item.rpartition('/')[2].rpartition(':')[0]
                for item in live.servers()
            }
            == wanted
        )
    )
    assert live.worker() == worker
    assert live.reloads() == []


def test_a_file_that_is_being_written_changes_nothing_until_it_is_whole(live, town):
    pod = town.pod()
    live.web([pod], town.port)
    live.start()
    path = live.source / 'web.yaml'
    whole = path.read_text()
    before = live.metric('headrace_commands_total')
    with path.open('w') as file:
        file.write(whole[: len(whole) // 2])
        file.flush()
        until(lambda: any(item['reason'] == 'InvalidObject' for item in live.status()['diagnostics']))
        assert get(town, live)[0] == 200
        file.write(whole[len(whole) // 2 :])
    until(lambda: live.status()['diagnostics'] == [])
    assert get(town, live)[0] == 200
    assert live.metric('headrace_commands_total') == before


def test_a_file_that_is_replaced_by_removing_it_first_loses_nothing(live, town):
    pod = town.pod()
    live.web([pod], town.port)
    live.start()
    before = live.metric('headrace_commands_total')
    text = (live.source / 'web.yaml').read_text()
    for _ in range(5):
        live.drop('web')
        (live.source / 'web.yaml').write_text(text)
        assert get(town, live)[0] == 200
    assert live.metric('headrace_commands_total') == before


def test_a_folder_that_is_gone_keeps_what_was_read_and_is_followed_when_it_is_back(live, town):
    one, other = town.pods(2)
    live.web([one], town.port)
    live.start()
    shutil.rmtree(live.source)
    until(lambda: live.times('the folder cannot be watched; what was read stays'))
    assert get(town, live)[1]['pod'] == one
    live.source.mkdir()
    live.web([other], town.port)
    served_by(town, live, other)
    live.web([one], town.port)
    served_by(town, live, one)
    live.drop('web')
    until(lambda: get(town, live)[0] == 404)


def test_a_volume_of_a_configmap_is_followed(live, town):
    """The kubelet exchanges the link `..data`, through which all files lead."""
    one, other = town.pods(2)
    live.web([one], town.port)
    text = (live.source / 'web.yaml').read_text()
    live.drop('web')
    for number, content in enumerate((text, text.replace(one, other))):
        (live.source / f'..{number}').mkdir()
        (live.source / f'..{number}' / 'web.yaml').write_text(content)
    (live.source / '..data').symlink_to('..0')
    (live.source / 'web.yaml').symlink_to('..data/web.yaml')
    live.start()
    assert get(town, live)[1]['pod'] == one
    (live.source / '..new').symlink_to('..1')
    (live.source / '..new').replace(live.source / '..data')
    served_by(town, live, other)


def test_a_folder_that_moves_in_and_out_takes_its_files_along(live, town):
    pod = town.pod()
    live.web([pod], town.port)
    outside = live.root / 'team'
    outside.mkdir()
    text = json.dumps(
        {
            'kind': 'List',
            'items': [
                service('pay', annotations={'host': 'pay.example.com'}),
                endpoint_slice('pay', addresses=[pod], port=town.port),
            ],
        }
    )
    (outside / 'pay.yaml').write_text(text)
    live.start()
    outside.rename(live.source / 'team')
    until(lambda: get(town, live, host='pay.example.com')[0] == 200)
    (live.source / 'team').rename(outside)
    until(lambda: get(town, live, host='pay.example.com')[0] == 404)
