"""TLS that is ended on Services' own addresses: the address decides whose certificate is shown, and no name does."""

import base64
import contextlib
import gzip
import http.client
import itertools
import json
import ssl

import pytest

from support import certificates
from support.live import until
from support.nodes import NODE, PODS, PORT, answer, say
from support.objects import endpoint_slice, secret, service

ONE, TWO, LINE = ('10.96.0.10', 'fd00:96::10'), ('10.96.0.20', 'fd00:96::20'), ('10.96.0.30', 'fd00:96::30')
NAME = 'api.example.com'
REFUSED = (ConnectionError, ssl.SSLError, TimeoutError)
# Two certificates for the same name, a third that comes later, and an authority of clients.
PAIRS = {name: certificates.for_names(NAME) for name in ('one', 'two', 'new', 'clients', 'strangers')}


def tls(name, pair=None):
    return certificates.tls_secret(name, *PAIRS[pair or name])


def served(name, addresses, pod, *, port=443, speaks='http', **said):
    """Return a Service with TLS at both families' addresses, and its endpoint."""
    kind = {'tls_secret': name, **said}
    extra = kind.pop('spec', {})
    document = service(
        name,
        annotations={'proxy': 'node', **{key.replace('_', '-'): value for key, value in kind.items()}},
        ports=[{'name': speaks, 'port': port, **extra.pop('port', {})}],
        clusterIPs=[*addresses],
        ipFamilies=['IPv4', 'IPv6'],
        **extra,
    )
    slices = [
        endpoint_slice(name, name=f'{name}-{index}', addresses=[PODS[pod][index]], port=PORT, port_name=speaks, family=family)
        for index, family in enumerate(('IPv4', 'IPv6'))
    ]  # fmt: skip
    return [document, *slices]


def context(alpn=(), shows=None):
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if alpn:
        made.set_alpn_protocols([*alpn])
    if shows:
        made.load_cert_chain(shows)
    return made


@contextlib.contextmanager
def secured(nodes, space, address, port=443, *, sni=NAME, used=None):
    """Give a connection with TLS from a namespace."""
    with (
        contextlib.closing(nodes.connected(space, address, port)) as plain,
        (used or context()).wrap_socket(plain, server_hostname=sni) as found,
    ):
        yield found


def shown(connection):
    """Return whose certificate was shown."""
    text = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True)).encode()
    return next((name for name, pair in PAIRS.items() if pair[1] == text), 'unknown')


def ask(nodes, address, *, space='client', port=443, path='/', sni=NAME, used=None, **headers):
    """Return whose certificate was shown, and status, headers and what the pod says."""
    with secured(nodes, space, address, port, sni=sni, used=used) as connection:
        lines = [f'GET {path} HTTP/1.1', 'Host: any.example.com', 'Connection: close']
        lines += [f'{name}: {value}' for name, value in headers.items()]
        connection.sendall('\r\n'.join([*lines, '', '']).encode())
        return shown(connection), *answer(connection)


def refused(nodes, address, **how):
    """Tell whether a client is refused, with TLS and without."""
    for way in (lambda: ask(nodes, address, **how), lambda: nodes.http('client', address, 443, seconds=2)):
        try:
            way()
        except (*REFUSED, IndexError):
            continue
        return False
    return True


def test_the_address_decides_whose_certificate_is_shown_whatever_name_a_client_sends(nodes, agent):
    outer = {
        'type': 'LoadBalancer',
        'port': {'nodePort': 30443},
        'externalIPs': ['203.0.113.7'],
    }
    found = served('one', ONE, 'one', spec=outer)
    found[0]['status'] = {'loadBalancer': {'ingress': [{'ip': '203.0.113.8'}]}}
    agent.put('one', tls('one'), *found)
    agent.start()
    before = len(agent.reloads())
    # This one comes to a HAProxy that serves, and has the name of the first in its certificate.
    agent.put('two', tls('two'), *served('two', TWO, 'three'))
    until(lambda: len(agent.routes('listeners')) == 2, 'both have a listener')
    for index, sni in itertools.product((0, 1), (NAME, None, 'other.example.com')):
        who, status, _, answered = ask(nodes, ONE[index], sni=sni)
        assert (who, status, answered['pod']) == ('one', 200, 'one')
        assert (answered['seen']['x-forwarded-proto'], answered['seen']['x-forwarded-port']) == ('https', '443')
        who, status, _, answered = ask(nodes, TWO[index], sni=sni)
        assert (who, status, answered['pod']) == ('two', 200, 'three')
    for address, port in ((NODE[0], 30443), (NODE[1], 30443), ('203.0.113.7', 443), ('203.0.113.8', 443)):
        who, status, _, answered = ask(nodes, address, space='outside', port=port)
        assert (who, status, answered['pod']) == ('one', 200, 'one')
        assert answered['seen']['x-forwarded-port'] == str(port)
    assert ask(nodes, ONE[0], space='node')[0] == 'one'
    with secured(nodes, 'client', ONE[0], used=context(['h2', 'http/1.1'])) as connection:
        assert connection.selected_alpn_protocol() == 'h2'
    # Who speaks in the clear is told so at once.
    with pytest.raises((ConnectionError, IndexError)):
        nodes.http('client', ONE[0], 443, seconds=2)
    assert len(agent.reloads()) == before


def test_annotations_hold_behind_tls_and_tcp_ends_it_too(nodes, agent):
    web = served(
        'one', ONE, 'one',
        hsts='1h', request_headers='X-Added: yes', deny=f'{PODS["two"][0]}, {PODS["two"][1]}', rate_limit='6/m',
        redirect_to='/there', tls_redirect='true',
    )  # fmt: skip
    line = served('two', LINE, 'three', port=5432, speaks='tcp', deny=f'{PODS["two"][0]}, {PODS["two"][1]}')
    agent.put('all', tls('one'), tls('two'), *web, *line)
    agent.start()
    for index in (0, 1):
        _, status, headers, _ = ask(nodes, ONE[index])
        assert (status, headers['location'], headers['strict-transport-security']) == (302, '/there', 'max-age=3600')
        assert ask(nodes, ONE[index], space='two')[1] == 403
        assert 429 in {ask(nodes, ONE[index])[1] for _ in range(7)}
        for sni in (NAME, None):
            with secured(nodes, 'client', LINE[index], 5432, sni=sni) as connection:
                assert (shown(connection), say(connection)['pod']) == ('two', 'three')
        with pytest.raises(REFUSED), secured(nodes, 'two', LINE[index], 5432) as connection:
            say(connection)
    assert 'NotApplicable' in {found['reason'] for found in agent.status()['diagnostics']}


def test_users_are_asked_for_behind_tls_and_answers_are_compressed(nodes, agent):
    users = secret('users', username='ann', password='pw')
    users['type'] = 'kubernetes.io/basic-auth'
    agent.put('all', tls('one'), users, *served('one', ONE, 'one', basic_auth_secret='users', compression='true'))
    agent.start()
    right, wrong = (base64.b64encode(f'ann:{word}'.encode()).decode() for word in ('pw', 'no'))
    for index, sni in itertools.product((0, 1), (NAME, None)):
        who, status, headers, _ = ask(nodes, ONE[index], sni=sni)
        assert (who, status, headers['www-authenticate'].partition(' ')[0]) == ('one', 401, 'basic')
        assert ask(nodes, ONE[index], sni=sni, Authorization=f'Basic {wrong}')[1] == 401
        # What was not asked for is not compressed.
        _, status, headers, answered = ask(nodes, ONE[index], sni=sni, Authorization=f'Basic {right}')
        assert (status, 'content-encoding' in headers, answered['pod']) == (200, False, 'one')
        with secured(nodes, 'client', ONE[index], sni=sni) as connection:
            asked = http.client.HTTPConnection(ONE[index])
            asked.sock = connection
            asked.request('GET', '/', headers={'Authorization': f'Basic {right}', 'Accept-Encoding': 'gzip'})
            packed = asked.getresponse()
            body = packed.read()
        assert (packed.status, packed.headers['Content-Encoding']) == (200, 'gzip')
        assert json.loads(gzip.decompress(body))['pod'] == 'one'
    # Without the Secret all clients are refused.
    agent.put('all', tls('one'), *served('one', ONE, 'one', basic_auth_secret='users', compression='true'))
    until(lambda: ask(nodes, ONE[0], Authorization=f'Basic {right}')[1] == 503, 'it is closed')


def test_a_certificate_is_renewed_without_losing_a_connection_and_without_one_clients_are_refused(nodes, agent):
    agent.put('one', *served('one', ONE, 'one'), *served('line', LINE, 'three', speaks='tcp', tls_secret='one'))
    agent.put('two', tls('two'), *served('two', TWO, 'three'))
    agent.start()
    assert refused(nodes, ONE[0])
    assert refused(nodes, ONE[1])
    agent.put('secret', tls('one'))
    until(lambda: not refused(nodes, ONE[0]), 'the Secret has come')
    before = len(agent.reloads())
    with secured(nodes, 'client', LINE[0]) as connection:
        assert (shown(connection), say(connection)['pod']) == ('one', 'three')
        agent.put('secret', tls('one', 'new'))
        until(lambda: ask(nodes, ONE[0])[0] == 'new', 'the new one is shown')
        assert say(connection)['pod'] == 'three'
    assert ask(nodes, ONE[1], sni=None)[0] == 'new'
    # What replaces a good one and is broken closes the address, as for an agent that starts.
    agent.put('secret', secret('one', tls_crt='none', tls_key='none'))
    until(lambda: 'CertificateUnusable' in {found['reason'] for found in agent.status()['diagnostics']}, 'it is said')
    until(lambda: refused(nodes, ONE[0]) and refused(nodes, ONE[1]), 'it is closed')
    agent.put('secret', tls('one', 'new'))
    until(lambda: not refused(nodes, ONE[0]), 'the Secret is good again')
    agent.drop('secret')
    until(lambda: refused(nodes, ONE[0]) and refused(nodes, ONE[1]), 'it is closed')
    assert ask(nodes, TWO[0])[0] == 'two'
    assert len(agent.reloads()) == before


def test_clients_show_a_certificate_of_the_ports_own_authority(nodes, agent, tmp_path):
    files = {}
    for name in ('clients', 'strangers'):
        files[name] = tmp_path / f'{name}.pem'
        files[name].write_bytes(b''.join(PAIRS[name]))
    shows = {name: context(shows=str(path)) for name, path in files.items()} | {'nothing': context()}
    ca = {name: secret(f'ca-{name}', ca_crt=PAIRS[name][1].decode()) for name in ('clients', 'strangers')}
    agent.put('ca', *ca.values())
    agent.put('one', tls('one'), *served('one', ONE, 'one', client_ca_secret='ca-clients'))
    agent.put(
        'two', tls('two'), *served('two', TWO, 'three', client_ca_secret='ca-strangers', client_verify='optional')
    )
    agent.start()
    for index, sni in itertools.product((0, 1), (NAME, None)):
        assert ask(nodes, ONE[index], sni=sni, used=shows['clients'])[:2] == ('one', 200)
        assert ask(nodes, TWO[index], sni=sni, used=shows['strangers'])[:2] == ('two', 200)
        assert ask(nodes, TWO[index], sni=sni, used=shows['nothing'])[:2] == ('two', 200)
        for address, other in ((ONE, 'strangers'), (ONE, 'nothing'), (TWO, 'clients')):
            assert refused(nodes, address[index], sni=sni, used=shows[other])
    # Another authority counts at once, and without one all clients are refused.
    agent.put('one', tls('one'), *served('one', ONE, 'one', client_ca_secret='ca-strangers'))
    until(lambda: refused(nodes, ONE[0], used=shows['clients']), 'the other authority counts')
    assert ask(nodes, ONE[0], used=shows['strangers'])[:2] == ('one', 200)
    agent.put('one', tls('one'), *served('one', ONE, 'one', client_ca_secret='missing'))
    until(lambda: refused(nodes, ONE[0], used=shows['strangers']), 'it is closed')


def test_an_agent_that_comes_back_takes_over_what_runs_and_sets_right_what_changed(nodes, agent):
    agent.put('one', tls('one'), *served('one', ONE, 'one'))
    agent.put('two', tls('two'), *served('two', TWO, 'three'))
    agent.start()
    assert (ask(nodes, ONE[0])[0], ask(nodes, TWO[0])[0]) == ('one', 'two')
    agent.kill()
    assert (ask(nodes, ONE[0])[0], ask(nodes, TWO[1])[0]) == ('one', 'two')
    agent.start()
    assert agent.status()['reloads'] == []
    assert (ask(nodes, ONE[0])[0], ask(nodes, TWO[0])[0]) == ('one', 'two')
    agent.kill()
    # The first goes, its Secret is the second's now, and a third comes.
    agent.put('one', tls('new'), *served('new', LINE, 'one'))
    agent.put('two', tls('one'), *served('two', TWO, 'three', tls_secret='one'))
    agent.start()
    until(lambda: ask(nodes, TWO[0])[0] == 'one', 'the other Secret counts')
    assert (ask(nodes, TWO[1], sni=None)[0], ask(nodes, LINE[0])[0]) == ('one', 'new')
    with pytest.raises(REFUSED):
        nodes.connected('client', ONE[0], 443, seconds=0.5)
    assert agent.status()['reloads'] == []


def test_while_haproxy_is_away_no_client_gets_past_it_in_the_clear(nodes, agent):
    agent.put('two', tls('two'), *served('two', LINE, 'three', port=443, speaks='tcp'))
    agent.put('plain', *served('plain', TWO, 'three', speaks='tcp', tls_secret='two'))
    agent.start()
    until(lambda: agent.metric('headrace_table_bypass') == 0, 'HAProxy serves')
    agent.process.terminate()
    until(lambda: agent.times('plain TCP goes past HAProxy'), 'it is led past')
    for address in (*LINE, *TWO):
        with pytest.raises(REFUSED), contextlib.closing(nodes.connected('client', address, 443, seconds=3)) as held:
            say(held)
    assert agent.process.wait(30) == 0


def test_when_half_of_the_listeners_are_taken_one_reload_makes_twice_as_many(nodes, agent):
    agent.put('one', tls('one'), *served('one', ONE, 'one'))
    agent.put('two', tls('two'), *served('two', TWO, 'three', speaks='tcp'))
    agent.start()
    many = [
        service(f'more-{number}', annotations={'proxy': 'node', 'tls-secret': 'one'}, clusterIP=f'10.96.1.{number}',
                ports=[{'name': 'http', 'port': 443}])
        for number in range(1, 33)
    ]  # fmt: skip
    slices = [
        endpoint_slice(f'more-{number}', addresses=[PODS['one'][0]], port=PORT, port_name='http')
        for number in range(1, 33)
    ]
    with secured(nodes, 'client', TWO[0]) as connection:
        assert say(connection)['pod'] == 'three'
        agent.put('more', *many, *slices)
        until(lambda: [reload for reload in agent.reloads() if 'listeners' in str(reload['reasons'])], 'it reloads')
        until(lambda: len(agent.routes('listeners')) == 34, 'all have a listener')
        assert {ask(nodes, f'10.96.1.{number}')[:2] for number in range(1, 33, 6)} == {('one', 200)}
        assert ask(nodes, ONE[0])[:2] == ('one', 200)
        assert say(connection)['pod'] == 'three'
    # While the agent is away most of them go: the one that comes back finds more listeners than it would have made.
    agent.kill()
    agent.drop('more')
    agent.start()
    until(agent.reloads, 'it reloads')
    until(lambda: len(agent.routes('listeners')) == 2, 'two have a listener')
    assert ask(nodes, ONE[0])[:2] == ('one', 200)
    with secured(nodes, 'client', TWO[1], sni=None) as connection:
        assert (shown(connection), say(connection)['pod']) == ('two', 'three')
