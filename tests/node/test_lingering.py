"""A Service goes back to kube-proxy, and clients are connected to HAProxy: each of their requests is answered."""

import contextlib
import http.client
import time

from support.live import until
from support.nodes import PODS, PORT
from support.objects import endpoint_slice, service
from support.wire import Http2, h2_headers

ADDRESS = '10.96.0.10'


def web(pod='one', **said):
    """Return the Service and its endpoints; it is ours with `proxy`."""
    made = service('web', clusterIP=ADDRESS, ports=[{'name': 'http', 'port': 80}], annotations=said)
    return made, endpoint_slice('web', addresses=[PODS[pod][0]], port=PORT, port_name='http')


def served(nodes, agent, seconds):
    """Start an agent that serves `web` by HAProxy, and lets connections to what is gone live for so long."""
    agent.set(drainTimeout=seconds, reloadInterval='50ms')
    agent.put('web', *web(proxy='node'))
    agent.start()
    until(lambda: reaches(nodes), 'it is served')


def back(nodes, agent):
    """Let the Service go back, and wait until the kernel leads no client to HAProxy any more."""
    agent.put('web', *web())
    until(lambda: not reaches(nodes), 'the kernel leads no client here')


def reaches(nodes):
    with contextlib.suppress(OSError):
        nodes.connected('client', ADDRESS, 80, seconds=0.3).close()
        return True
    return False


@contextlib.contextmanager
def kept(nodes):
    """A client of HTTP/1 that is connected and has not asked for anything yet."""
    made = http.client.HTTPConnection(ADDRESS)
    made.sock = nodes.connected('client', ADDRESS, 80)
    yield made
    made.close()


def asked(client):
    """Ask, and return the status, and whether the client is to connect anew."""
    client.request('GET', '/')
    answer = client.getresponse()
    answer.read()
    return answer.status, answer.will_close


def test_a_client_that_connected_and_asked_only_after_the_hand_back_is_answered(nodes, agent):
    served(nodes, agent, '60s')
    with kept(nodes) as late, kept(nodes) as idle:
        assert asked(idle) == (200, False)
        back(nodes, agent)
        # Longer than any network takes for a handshake.
        time.sleep(1)
        assert asked(late) == (200, True)
        assert asked(idle) == (200, True)
    assert agent.reloads() == []


def test_after_the_drain_timeout_haproxy_forgets_the_service(nodes, agent):
    served(nodes, agent, '6s')
    back(nodes, agent)
    assert agent.routes('addresses')
    until(lambda: not agent.routes('addresses'), 'it is forgotten')
    assert agent.reloads() == []


def test_a_service_that_comes_again_meanwhile_stays(nodes, agent):
    served(nodes, agent, '2s')
    with kept(nodes) as client:
        back(nodes, agent)
        agent.put('web', *web(proxy='node'))
        until(lambda: reaches(nodes), 'it is served again')
        time.sleep(2.5)
        assert asked(client) == (200, False)
        assert agent.routes('addresses')


def test_endpoints_change_while_a_service_lingers(nodes, agent):
    served(nodes, agent, '60s')
    with kept(nodes) as client:
        back(nodes, agent)
        agent.put('web', *web('two'))
        until(lambda: PODS['two'][0] in agent.addresses(), 'the endpoint is told')
        client.request('GET', '/')
        assert b'"pod": "two"' in client.getresponse().read()


def test_clients_of_http2_are_told_to_leave_before_haproxy_forgets_the_service(nodes, make_agent):
    agent = make_agent()
    served(nodes, agent, '2s')
    before = len(agent.reloads())
    with contextlib.closing(Http2(nodes.connected('client', ADDRESS, 80))) as client:
        back(nodes, agent)
        statuses = set()
        deadline = time.monotonic() + 20
        while not client.told_to_leave and time.monotonic() < deadline:
            statuses.add(client.ask(h2_headers('any.example.com'))[0])
            time.sleep(0.02)
        assert client.told_to_leave
        assert statuses == {200}
    until(lambda: len(agent.reloads()) == before + 1, 'the reload is counted')
    assert agent.metric('headrace_reloads_total', reason='kept-connections', result='good') == 1
    until(lambda: not agent.routes('addresses'), 'it is forgotten')
    assert len(agent.reloads()) == before + 1


def test_a_client_of_a_port_that_moves_to_the_kernel_is_answered_on_its_connection(nodes, agent):
    served(nodes, agent, '60s')
    with kept(nodes) as late, kept(nodes) as idle:
        assert asked(idle) == (200, False)
        made, endpoints = web(proxy='node')
        made['spec']['sessionAffinity'] = 'ClientIP'
        agent.put('web', made, endpoints)
        own = PODS['client'][0]
        until(lambda: nodes.http('client', ADDRESS, 80)[2]['client'] == own, 'the kernel serves')
        # The change is applied to HAProxy after the kernel.
        until(lambda: asked(idle) == (200, True), 'the client is to connect anew')
        assert asked(late) == (200, True)
    assert agent.reloads() == []
