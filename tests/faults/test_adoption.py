"""An agent that starts, or lost its connection, finds a HAProxy that serves: what only a reload can bring waits for it."""

from support.live import until
from support.traffic import under_load


def reload_reasons(live):
    until(live.reloads, 'a reload is over')
    return {reason.partition(':')[0] for item in live.reloads() for reason in item['reasons']}


def test_a_service_whose_new_shape_needs_a_reload_is_served_until_then_by_an_agent_that_starts(live, town):
    one, two = town.pods(2)
    live.web([one], town.port, annotations={'request-headers': 'X-A: b'})
    live.start()
    with under_load(town, live) as load:
        live.kill()
        live.web([two], town.port, annotations={'retries': '7', 'allow': '127.0.0.0/8'})
        live.start()
        until(lambda: load.pods.get(two), 'the new endpoint serves')
        reload_reasons(live)
    live.serves([two])


def test_a_host_that_moved_to_a_service_that_needs_a_reload_is_served_until_then(live, town):
    one, two = town.pods(2)
    live.web([one], town.port, name='blue', annotations={'allow': '127.0.0.0/8'})
    live.start()
    with under_load(town, live) as load:
        live.kill()
        live.drop('blue')
        live.web([two], town.port, name='green', annotations={'retries': '7'})
        live.start()
        until(lambda: load.pods.get(two), 'the new endpoint serves')
    until(lambda: 'blue' not in live.ask('show backend'), 'the old backend is gone')


def test_a_canary_that_needs_a_reload_gets_nothing_until_then(live, town):
    one, two = town.pods(2)
    live.web([one], town.port)
    live.start()
    with under_load(town, live) as load:
        live.kill()
        live.web([two], town.port, name='next', host='next.example.com', annotations={'retries': '7'})
        live.web([one], town.port, annotations={'canary-service': 'next', 'canary-weight': '50'})
        live.start()
        until(lambda: load.pods.get(two), 'the canary serves')


def test_endpoints_of_a_service_that_waits_for_its_reload_stay_true_after_an_adoption(make_live, town):
    one, two = town.pods(2)
    live = make_live(fileDescriptors=200_000)
    live.web([one], town.port)
    live.start()
    live.kill()
    live.web([one], town.port, annotations={'retries': '7'})
    # No reload is let through.
    live.set(fileDescriptors=1)
    live.start()
    until(lambda: live.status()['problems'].get('reload'), 'the reload does not come')
    with under_load(town, live) as load:
        live.web([two], town.port, annotations={'retries': '7'})
        live.serves([two], 'shop_web_80')
        until(lambda: load.pods.get(two), 'the new endpoint serves')
        live.web([two], town.port)
        live.set(fileDescriptors=200_000)
        until(live.reloads, 'the reload has come')
    live.serves([two], 'shop_web_80')
    assert live.admin('/healthz')[0] == 200


def test_a_service_that_begins_to_compress_while_the_agent_is_away_gets_its_reload(live, town):
    pod = town.pod()
    live.web([pod], town.port)
    live.start()
    live.kill()
    live.web([pod], town.port, annotations={'compression': 'true'})
    live.start()
    assert 'compression' in reload_reasons(live)


def test_what_commands_can_bring_needs_no_reload_at_an_adoption(live, town):
    one, two = town.pods(2)
    live.web([one], town.port)
    live.start()
    worker = live.worker()
    with under_load(town, live):
        live.kill()
        live.web([two], town.port, annotations={'allow': '127.0.0.0/8', 'response-headers': 'X-A: b'})
        live.web([one], town.port, name='more', host='more.example.com')
        live.start()
        live.serves([two], 'shop_web_80')
        live.serves([one], 'shop_more_80')
    assert live.worker() == worker
    assert not live.reloads()


def test_a_limit_of_connections_that_an_agent_finds_changed_is_set(live, town):
    pod = town.pod()
    live.web([pod], town.port, annotations={'max-connections': '5'})
    live.start()
    live.kill()
    live.web([pod], town.port, annotations={'max-connections': '7'})
    live.start()
    until(lambda: _limit(live, pod) == '7', 'the limit is another one')
    assert not live.reloads()


def _limit(live, pod):
    """Return the limit of connections of a server, as `show stat` tells it (`slim`, the seventh column)."""
    rows = [line.split(',') for line in live.ask('show stat').splitlines()]
    return next(row[6] for row in rows if len(row) > 6 and row[0] == 'shop_web_80' and row[1].startswith(pod))
