"""The first TLS that is passed through, and the last, while clients of other hosts come and go: no reload, nothing lost."""

import socket
import ssl

import pytest

from support.edge import Endpoints, client_context
from support.live import until
from support.objects import endpoint_slice, service, tls_secret

PASSED = {'host': 'pass.example.com', 'mode': 'tls-passthrough'}
ENDED = {'host': 'shop.example.com', 'tls-secret': 'tls'}


@pytest.fixture
def inner(tmp_path):
    """An endpoint that ends TLS itself."""
    path = tmp_path / 'inner.pem'
    path.write_bytes(
        tls_secret(seed='inner')['stringData']['tls.key'].encode()
        + tls_secret(seed='inner')['stringData']['tls.crt'].encode()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with Endpoints(context) as found:
        yield found


def certificate(live, name):
    """Return the certificate that a new client of a server name sees; None where it gets none."""
    with socket.create_connection(('127.0.0.1', live.ports['https']), timeout=10) as plain:
        try:
            with client_context().wrap_socket(plain, server_hostname=name) as secured:
                return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True))
        except (ssl.SSLError, ConnectionError):
            return None


def listening(live):
    """Return which of the two frontends of HTTPS has the connections."""
    rows = [line.split(',') for line in live.ask('show stat').splitlines()]
    return {row[0] for row in rows if row[1:2] == ['FRONTEND'] and row[17] == 'OPEN'} & {'https', 'sni'}


def test_the_hop_is_there_only_while_tls_is_passed_through(live, town, inner):
    pod = town.pod()
    live.put(
        'web', service('web', annotations=ENDED), endpoint_slice('web', addresses=[pod], port=town.port), tls_secret()
    )
    live.start()
    worker, ours = live.worker(), certificate(live, 'shop.example.com')
    assert listening(live) == {'https'}
    for _ in range(2):
        live.put(
            'pass',
            service('pass', annotations=PASSED),
            endpoint_slice('pass', addresses=['127.0.9.1'], port=inner.port),
        )
        until(lambda: certificate(live, 'pass.example.com') not in (None, ours), 'TLS is passed through')
        assert listening(live) == {'sni'}
        assert all(certificate(live, 'shop.example.com') == ours for _ in range(5))
        live.drop('pass')
        until(lambda: listening(live) == {'https'}, 'the hop is gone')
        assert certificate(live, 'pass.example.com') is None
        assert certificate(live, 'shop.example.com') == ours
    assert live.worker() == worker
    assert not live.reloads()


def test_after_a_reload_and_a_new_agent_the_right_frontend_has_the_connections(live, town, inner):
    pod = town.pod()
    live.put(
        'web', service('web', annotations=ENDED), endpoint_slice('web', addresses=[pod], port=town.port), tls_secret()
    )
    live.start()
    live.put(
        'pass', service('pass', annotations=PASSED), endpoint_slice('pass', addresses=['127.0.9.1'], port=inner.port)
    )
    until(lambda: certificate(live, 'pass.example.com'), 'TLS is passed through')
    theirs, ours = certificate(live, 'pass.example.com'), certificate(live, 'shop.example.com')
    before = len(live.reloads())
    live.put('odd', service('odd', annotations={'host': 'odd.example.com', 'retries': '9'}))
    until(lambda: len(live.reloads()) > before, 'a reload is over')
    for _ in range(20):
        assert certificate(live, 'pass.example.com') == theirs
        assert certificate(live, 'shop.example.com') == ours
    live.kill()
    live.drop('pass')
    live.start()
    until(lambda: certificate(live, 'pass.example.com') is None, 'it is gone')
    assert all(certificate(live, 'shop.example.com') == ours for _ in range(10))
