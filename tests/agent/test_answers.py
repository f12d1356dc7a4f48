"""An administrator's pages and lines of the log, while headrace runs."""

import urllib.error
import urllib.request

from support.live import until
from support.objects import service


def page(live, host):
    """Return the status and the body that a host answers with."""
    asked = urllib.request.Request(f'http://127.0.0.1:{live.ports["http"]}/', headers={'Host': host})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_pages_change_by_a_reload_and_count_for_a_service_that_comes_at_run_time(live, town):
    live.set(errorPages={503: 'nobody is here', '404': 'first'}, reloadInterval='100ms')
    live.web([town.pod()], town.port)
    live.start()
    assert page(live, 'none.example.com') == (404, 'first')
    worker = live.worker()
    live.put('new', service('new', annotations={'host': 'new.example.com'}))
    until(lambda: page(live, 'new.example.com') == (503, 'nobody is here'), 'the new Service has the page')
    assert live.worker() == worker

    live.set(errorPages={404: 'second'}, accessLog='stdout')
    until(lambda: page(live, 'none.example.com') == (404, 'second'), 'the page is another one')
    until(live.reloads, 'the reload is told')
    assert [item['reasons'] for item in live.reloads()] == [['settings: accessLog, errorPages']]
    assert page(live, 'new.example.com')[0] == 503
    assert 'nobody' not in page(live, 'new.example.com')[1]
    log = live.sockets / 'haproxy.log'
    until(lambda: '"host": "new.example.com"' in log.read_text(), 'the request is in the log')


def test_pages_that_cannot_be_used_change_nothing(live, town):
    live.set(errorPages={404: 'first'})
    live.web([town.pod()], town.port)
    live.start()
    live.set(errorPages={418: 'teapot'})
    until(lambda: live.status()['problems'], 'the problem is shown')
    assert page(live, 'none.example.com') == (404, 'first')
    assert live.reloads() == []
