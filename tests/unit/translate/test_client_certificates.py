"""Certificates that endpoints are shown for requests by a Gateway: which backends have them, and which cannot be used."""

import pytest

from headrace import names
from headrace.ir.fragment import Kind
from headrace.ir.pointers import Pointer
from headrace.names import Ref
from headrace.settings.settings import Secrets, Settings
from support.gateways import backend, backend_tls_policy, gateway, grant, http_route, listener, rule
from support.objects import built, ca_config_map, endpoint_slice, service, tls_secret

SETTINGS = Settings(http_port=80, https_port=443, health_port=8099, secrets=Secrets(namespaces=('shop', 'safe')))
PORTS = [{'name': 'web', 'port': 443, 'appProtocol': 'HTTPS'}, {'name': 'plain', 'port': 80}]
SECRET = tls_secret('client')
POLICY = (backend_tls_policy('policy', ('web', 'web'), authorities=['ca']), ca_config_map('ca'))


def shows(reference, name='web', *listeners):
    """Return a Gateway that shows endpoints a certificate; None for none."""
    tls = {'tls': {'backend': {'clientCertificateRef': reference}}} if reference else {}
    return gateway(name, *listeners, spec=tls)


def model(*documents, settings=SETTINGS, **seen):
    """Return the model of a route to a port with TLS, and one without."""
    rules = rule(backend('web', port=443), path='/tls'), rule('web', path='/plain')
    return built(
        http_route('r', *rules, hostnames=['a.com'], parents=[{'name': 'web'}, {'name': 'other'}]),
        service('web', ports=PORTS, annotations={'class': 'other'}),
        endpoint_slice('web', addresses=['10.0.0.1'], port=8443, port_name='web'),
        endpoint_slice('web', addresses=['10.0.0.1'], port=8080, port_name='plain', name='web-2'),
        *documents,
        settings=settings,
        **seen,
    )


def route(made, key):
    (found,) = [claim.value for claim in made.fragments[Ref('HTTPRoute', 'shop', 'r')].claims if claim.key == key]
    assert isinstance(found, Pointer)
    return found


def backend_at(made, key):
    """Return the backend that a route leads to."""
    fragment = made.fragments[Ref('Service', 'shop', 'web')]
    (found,) = [each for each in fragment.backends if each.name == route(made, key).backend]
    return found


def wrong(made, name='web'):
    return [(each.reason, each.message) for each in made.fragments[Ref('Gateway', 'shop', name)].diagnostics]


def files(made):
    claims = made.fragments[Ref('Service', 'shop', 'web')].claims
    return [claim.key for claim in claims if claim.kind is Kind.CERTIFICATE]


@pytest.mark.parametrize('more', [(), POLICY], ids=['by the port', 'by a policy'])
def test_endpoints_with_tls_are_shown_the_certificate_of_the_gateway(more):
    made = model(shows({'name': 'client'}), SECRET, *more)
    found = backend_at(made, '80:a.com/tls/')
    assert found.options.tls.certificate == 'shop_client'
    assert found.groups
    assert files(made) == ['shop_client']
    assert wrong(made) == []


def test_endpoints_without_tls_are_shown_nothing_and_share_their_backend():
    with_certificate, without = model(shows({'name': 'client'}), SECRET), model(shows(None))
    assert backend_at(with_certificate, '80:a.com/plain/') == backend_at(without, '80:a.com/plain/')


def test_a_service_has_a_backend_for_each_certificate():
    # Only at the class's own ports do Gateways share a port; the two have one each.
    secure = listener('http', 443, 'HTTPS', tls={'certificateRefs': [{'name': 'server'}]})
    made = model(shows({'name': 'client'}), shows(None, 'other', secure), SECRET, tls_secret('server', seed='two'))
    first, second = backend_at(made, '80:a.com/tls/'), backend_at(made, '443:a.com/tls/')
    assert (first.options.tls.certificate, second.options.tls.certificate) == ('shop_client', '')
    assert first.name != second.name
    assert route(made, '80:a.com/tls/').policy != route(made, '443:a.com/tls/').policy


@pytest.mark.parametrize(
    ('reference', 'documents', 'reason', 'message'),
    [
        pytest.param({'name': 'client'}, (), 'InvalidClientCertificateRef', 'Secret shop/client does not exist', id='absent'),
        pytest.param({'name': 'a', 'kind': 'Thing'}, (), 'InvalidClientCertificateRef', 'a certificate of kind Thing is not supported, Secrets are', id='kind'),
        pytest.param({'name': 'a', 'group': 'a.io'}, (), 'InvalidClientCertificateRef', 'a certificate of kind a.io/Secret is not supported, Secrets are', id='group'),
        pytest.param({'name': 'client', 'namespace': 'safe'}, (tls_secret('client', 'safe'),), 'RefNotPermitted', 'no ReferenceGrant of namespace safe allows a Gateway of shop to refer to Secret safe/client', id='no grant'),
        pytest.param({'name': 'client', 'namespace': 'far'}, (tls_secret('client', 'far'), grant(namespace='far', kind='Gateway', target='Secret')), 'InvalidClientCertificateRef', 'add far to secrets.namespaces to let headrace read Secret far/client', id='not read'),
    ],
)  # fmt: skip
def test_a_certificate_that_cannot_be_used_is_not_shown(reference, documents, reason, message):
    made = model(shows(reference), *documents)
    assert wrong(made) == [(reason, message)]
    assert backend_at(made, '80:a.com/tls/').options.tls.certificate == ''
    assert files(made) == []


def test_a_secret_without_a_certificate_is_not_shown():
    empty = {
        'apiVersion': 'v1',
        'kind': 'Secret',
        'metadata': {'name': 'client', 'namespace': 'shop'},
        'type': 'Opaque',
    }
    ((reason, _),) = wrong(model(shows({'name': 'client'}), empty))
    assert reason == 'InvalidClientCertificateRef'


def test_a_granted_secret_of_another_namespace_is_shown():
    granted = grant(namespace='safe', kind='Gateway', target='Secret')
    made = model(shows({'name': 'client', 'namespace': 'safe'}), tls_secret('client', 'safe'), granted)
    assert (wrong(made), files(made)) == ([], ['safe_client'])


def test_in_a_folder_a_placeholder_stands_for_a_secret_that_is_not_in_it():
    made = model(shows({'name': 'client'}), offline=True)
    assert (wrong(made), files(made)) == ([], ['shop_client'])
    assert route(made, '80:a.com/tls/').backend != names.UNRESOLVED
