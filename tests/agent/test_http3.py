"""HTTP/3 while headrace runs: hosts and certificates come without a reload, and the setting comes and goes by one."""

from concurrent.futures import ThreadPoolExecutor

from support import http3
from support.live import until
from support.objects import tls_secret


def status(live, host):
    """Return the status that a client of HTTP/3 gets, 0 when it cannot connect."""
    try:
        return http3.get(live.ports['https'], host, seconds=2.0)[0].status
    except (ConnectionError, TimeoutError):
        return 0


def test_hosts_come_and_go_without_a_reload_and_the_listener_by_one(make_live, town):
    live = make_live(http3=True, reloadInterval='100ms')
    pod = town.pod()
    live.put('t', tls_secret('t'))
    live.web([pod], town.port, annotations={'tls-secret': 't'})
    live.start()
    worker = live.worker()
    assert status(live, 'shop.example.com') == 200
    live.put('u', tls_secret('u', seed='two'))
    live.web([pod], town.port, name='new', host='new.example.com', annotations={'tls-secret': 'u'})
    until(lambda: status(live, 'new.example.com') == 200, 'the new host is served')
    live.drop('web')
    until(lambda: status(live, 'shop.example.com') == 0, 'the old host is refused')
    assert live.worker() == worker

    live.web([pod], town.port, name='late', host='late.example.com', annotations={'tls-secret': 'u', 'retries': '7'})
    until(lambda: live.worker() != worker, 'a shape that is new has come by a reload')
    until(live.reloads, 'the reload is over')
    until(lambda: status(live, 'late.example.com') == 200, 'the new worker serves it')
    live.set(http3=False)
    until(lambda: status(live, 'new.example.com') == 0, 'the port is closed')


def test_a_request_that_is_under_way_outlives_a_reload(make_live, town):
    live = make_live(http3=True)
    pod = town.pod()
    live.put('t', tls_secret('t'))
    live.web([pod], town.port, annotations={'tls-secret': 't'})
    live.start()
    worker = live.worker()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(http3.get, live.ports['https'], 'shop.example.com', path='/wait/3')
        until(lambda: town.seen(pod) == 1, 'the endpoint has the request')
        live.set(maxconn=400)
        until(lambda: live.worker() != worker, 'there is another worker')
        assert not asked.done()
        assert asked.result()[0].status == 200
    assert status(live, 'shop.example.com') == 200


def test_a_haproxy_without_quic_is_a_trouble_that_says_so(without_quic, town):
    live = without_quic
    live.web([town.pod()], town.port)
    live.start()
    code, said = live.admin('/healthz')
    assert code == 503
    assert 'http3: this HAProxy was built without QUIC' in said
    live.set(http3=False)
    until(lambda: live.admin('/healthz')[0] == 200, 'it is no trouble any more')
