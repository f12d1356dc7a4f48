"""What a change of the class's settings costs on a live HAProxy, by its worker's PID: what the page of settings says."""

from support.class_changes import BASE, RELOAD, RESTART, RUNTIME
from support.live import Ports, until
from support.traffic import Client

PORTS = ('httpPort', 'httpsPort', 'healthPort', 'tcpPorts')


def test_each_setting_is_applied_as_its_page_says(make_live, town):
    live = make_live(**BASE)
    live.web([town.pod()], town.port)
    live.start()
    worker = live.worker()
    live.set(**RUNTIME)
    until(lambda: live.times('read the settings again'), 'the settings are read')
    live.set(**RESTART)
    said = f'{", ".join(sorted(RESTART))}: changed, and need a restart'
    until(lambda: live.status()['problems'].get('settings') == said, 'what needs a restart is said')
    assert (live.worker(), live.times('reloading')) == (worker, 0)
    ports = Ports(*PORTS)
    try:
        live.set(**(RELOAD | {name: ports[name] for name in PORTS} | {'tcpPorts': str(ports['tcpPorts'])}))
        until(live.reloads, 'HAProxy is reloaded')
        assert [item['reasons'] for item in live.reloads()] == [[f'settings: {", ".join(sorted(RELOAD))}']]
        assert live.worker() != worker
        # The listeners are the new ones.
        client = Client(ports['httpPort'])
        try:
            assert town.run(client.ask('/', 'nobody.example.com'))[0] == 404
        finally:
            client.close()
    finally:
        ports.close()


def test_a_service_beyond_a_limit_is_served_as_it_was_when_a_setting_changes(make_live, town):
    live = make_live(maxRoutesPerObject=3)
    live.web([town.pod()], town.port)
    live.start()

    def shown():
        return [item['reason'] for item in live.status()['diagnostics']]

    def status(path):
        client = Client(live.ports['http'])
        try:
            return town.run(client.ask(path, 'shop.example.com'))[0]
        finally:
            client.close()

    live.web([town.pod()], town.port, annotations={'path': '/a /b /c /d'})
    until(lambda: 'BudgetExceeded' in shown(), 'the limit is exceeded')
    assert status('/') == 200
    live.set(drainTimeout='2m')
    until(lambda: live.times('read the settings again'), 'the settings are read')
    assert (status('/'), shown()) == (200, ['BudgetExceeded'])
    live.set(maxRoutesPerObject=4)
    until(lambda: status('/') == 404 and status('/a') == 200, 'the larger limit lets it in')
