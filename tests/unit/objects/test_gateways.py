"""GatewayClass, Gateway, ListenerSet and ReferenceGrant: their values, and what of a document cannot be read."""

import pytest

from headrace.names import Ref
from headrace.objects import gateway_classes, gateways, reference_grants
from headrace.objects.gateway_classes import GatewayClass
from headrace.objects.gateways import (
    FrontendTLS,
    FrontendValidation,
    Gateway,
    GatewayAddress,
    Infrastructure,
    ListenerSet,
)
from headrace.objects.label_selectors import NO_NAMESPACES, Namespaces, Requirement, Selector, Source
from headrace.objects.listeners import AllowedRoutes, Listener, ListenerTLS, RouteKind, TLSMode
from headrace.objects.reference_grants import GrantFrom, GrantTo
from headrace.objects.references import Reference
from support.gateway_objects import gateway, gateway_class, listener, listener_set, reference_grant, resource

GROUP = 'gateway.networking.k8s.io'
CLOSED = FrontendValidation()
CA = {'group': '', 'kind': 'ConfigMap', 'name': 'ca'}
CA_REF = Reference('', 'ConfigMap', 'shop', 'ca')


def fields_of(item):
    """Return the fields of the problems."""
    problems = list(item.problems if isinstance(item, GatewayClass) else item.diagnostics)
    assert {problem.reason for problem in problems} <= {'InvalidObject'}
    assert {problem.ref for problem in problems} <= {item.ref}
    assert all(problem.message.isprintable() for problem in problems)
    return [problem.field for problem in problems]


def read(**spec):
    """Return a Gateway, and the fields of its problems."""
    item = gateways.read('shop', 'public', gateway(**spec))
    return item, fields_of(item)


def of_listener(entry):
    item = gateways.read('shop', 'public', gateway('public', 'shop', entry))
    return item.listeners[0], [field.removeprefix('spec.listeners[0].') for field in fields_of(item)]


def test_a_whole_class_is_read():
    document = gateway_class(parametersRef={**CA, 'namespace': 'headrace'})
    document['metadata'] |= {'generation': 2, 'creationTimestamp': '2026-01-01T00:00:00Z'}
    document['metadata']['annotations'] = {'headrace.io/a': 'b', 'c': 'd'}
    assert gateway_classes.read('', 'headrace', document) == GatewayClass(
        'headrace',
        '2026-01-01T00:00:00Z',
        2,
        (('a', 'b'),),
        'headrace.io/gateway-controller',
        Reference('', 'ConfigMap', 'headrace', 'ca'),
    )


@pytest.mark.parametrize(
    ('spec', 'field'),
    [
        ({'controller': None}, 'spec.controllerName'),
        ({'controller': 'headrace'}, 'spec.controllerName'),
        ({'controller': 'a.b/c\n'}, 'spec.controllerName'),
        ({'controller': 'a/' + 'b' * 252}, 'spec.controllerName'),
        ({'parametersRef': 'x'}, 'spec.parametersRef'),
        ({'parametersRef': {'group': '', 'name': 'a'}}, 'spec.parametersRef.kind'),
    ],
)
def test_a_class_with_a_field_that_cannot_be_read_has_a_problem(spec, field):
    item = gateway_classes.read('', 'headrace', gateway_class(**spec))
    assert item.parameters is None
    assert fields_of(item) == [field]


def test_a_whole_gateway_is_read():
    document = gateway(
        'public',
        'shop',
        listener(),
        listener(
            'https',
            443,
            'HTTPS',
            hostname='*.example.com',
            tls={'certificateRefs': [{'name': 'b'}, {'name': 'a', 'namespace': 'certs'}], 'options': {'x/y': '1'}},
            allowedRoutes={
                'namespaces': {
                    'from': 'Selector',
                    'selector': {
                        'matchLabels': {'team': 'web'},
                        'matchExpressions': [{'key': 'env', 'operator': 'NotIn', 'values': ['b', 'a']}],
                    },
                },
                'kinds': [{'kind': 'HTTPRoute'}, {'group': 'example.com', 'kind': 'Other'}],
            },
        ),
        listener('tls', 8443, 'TLS', tls={'mode': 'Passthrough'}, routes_from='All'),
        addresses=[{'value': '192.0.2.1'}, {'type': 'Hostname', 'value': 'lb.example.com'}, {'type': 'IPAddress'}],
        infrastructure={'labels': {'b': '1', 'a': '2'}, 'annotations': {'c': '3'}, 'parametersRef': {**CA, 'namespace': 'x'}},
        allowedListeners={'namespaces': {'from': 'Same'}},
        tls={
            'backend': {'clientCertificateRef': {'name': 'client'}},
            'frontend': {
                'default': {'validation': {'caCertificateRefs': [CA]}},
                'perPort': [
                    {'port': 8443, 'tls': {'validation': {'caCertificateRefs': [CA], 'mode': 'AllowInsecureFallback'}}},
                    {'port': 443, 'tls': {}},
                ],
            },
        },
    )  # fmt: skip
    item = gateways.read('shop', 'public', document)
    assert fields_of(item) == []
    assert item == Gateway(
        namespace='shop',
        name='public',
        class_name='headrace',
        listeners=(
            Listener('http', 80, 'HTTP'),
            Listener(
                'https',
                443,
                'HTTPS',
                '*.example.com',
                ListenerTLS(
                    TLSMode.TERMINATE,
                    (Reference('', 'Secret', 'shop', 'b'), Reference('', 'Secret', 'certs', 'a')),
                    (('x/y', '1'),),
                ),
                AllowedRoutes(
                    Namespaces(
                        Source.SELECTOR,
                        Selector((Requirement('env', 'NotIn', ('a', 'b')), Requirement('team', 'In', ('web',)))),
                    ),
                    (RouteKind(GROUP, 'HTTPRoute'), RouteKind('example.com', 'Other')),
                ),
            ),
            Listener(
                'tls',
                8443,
                'TLS',
                tls=ListenerTLS(TLSMode.PASSTHROUGH),
                allowed=AllowedRoutes(Namespaces(Source.ALL)),
            ),
        ),
        addresses=(
            GatewayAddress('IPAddress', '192.0.2.1'),
            GatewayAddress('Hostname', 'lb.example.com'),
            GatewayAddress('IPAddress', ''),
        ),
        infrastructure=Infrastructure((('a', '2'), ('b', '1')), (('c', '3'),), CA_REF),
        listener_sets=Namespaces(Source.SAME),
        frontend_tls=FrontendTLS(
            FrontendValidation((CA_REF,)), ((443, None), (8443, FrontendValidation((CA_REF,), insecure_fallback=True)))
        ),
        client_certificate=Reference('', 'Secret', 'shop', 'client'),
    )
    assert item.ref == Ref('Gateway', 'shop', 'public')
    assert item.frontend_tls.validation(80) == FrontendValidation((CA_REF,))
    assert item.frontend_tls.validation(443) is None


def test_what_a_gateway_does_not_say_has_the_default():
    item, problems = read()
    assert problems == []
    assert item == Gateway('shop', 'public', class_name='headrace', listeners=(Listener('http', 80, 'HTTP'),))
    assert item.listener_sets == NO_NAMESPACES
    assert item.listeners[0].allowed.namespaces.admit('shop', 'shop', ())


@pytest.mark.parametrize('value', ['', 5, 'A b', {'a': 1}])
def test_what_is_no_name_of_a_class_is_the_name_of_none(value):
    item, problems = read(class_name=value)
    assert problems == ['spec.gatewayClassName']
    assert not item.class_name.isalnum()


@pytest.mark.parametrize(
    ('entry', 'field'),
    [
        (listener(name='A'), 'name'),
        (listener(name=5), 'name'),
        (listener(port=0), 'port'),
        (listener(port='80'), 'port'),
        (listener(protocol='a b'), 'protocol'),
        (listener(protocol=None), 'protocol'),
        (listener(protocol='a' * 256), 'protocol'),
        (listener(hostname='A'), 'hostname'),
        (listener(hostname='192.0.2.1'), 'hostname'),
        (listener(hostname=['a']), 'hostname'),
        (listener(protocol='TCP', hostname='a.b'), 'hostname'),
        (listener(tls={}), 'tls'),
        (listener(protocol='HTTPS', tls={'mode': 'Passthrough'}), 'tls.mode'),
        (listener(protocol='HTTPS', tls={'mode': 'Mixed'}), 'tls.mode'),
        (listener(protocol='HTTPS', tls='a'), 'tls.mode'),
        (listener(protocol='HTTPS', tls={'options': []}), 'tls.options'),
        (listener(protocol='HTTPS', tls={'certificateRefs': {}}), 'tls.certificateRefs'),
        (listener(protocol='HTTPS', tls={'certificateRefs': [5]}), 'tls.certificateRefs[0]'),
        (listener(allowedRoutes=[]), 'allowedRoutes'),
        (listener(allowedRoutes={'kinds': 5}), 'allowedRoutes.kinds'),
        (listener(allowedRoutes={'kinds': [5]}), 'allowedRoutes.kinds[0]'),
        (listener(allowedRoutes={'kinds': [{'kind': 'A', 'group': '/'}]}), 'allowedRoutes.kinds[0].group'),
    ],
)
def test_a_listener_with_a_field_that_cannot_be_read_has_a_problem(entry, field):
    item, problems = of_listener(entry)
    assert problems == [field]
    assert item.problems


def test_what_is_no_listener_keeps_its_place():
    item = gateways.read('shop', 'public', gateway('public', 'shop', 'a', listener(), listener()))
    assert [each.name for each in item.listeners] == ['', 'http', 'http']
    assert fields_of(item) == ['spec.listeners[0]', 'spec.listeners[2].name']
    assert [bool(each.problems) for each in item.listeners] == [True, False, True]


@pytest.mark.parametrize(
    ('namespaces', 'field'),
    [
        (5, 'from'),
        ({'from': 'Other'}, 'from'),
        ({'from': ['All']}, 'from'),
        ({'from': 'Selector'}, 'selector'),
        ({'from': 'Selector', 'selector': {'matchLabels': []}}, 'selector'),
        ({'from': 'Selector', 'selector': {'matchLabels': {'a': 1}}}, 'selector'),
        ({'from': 'Selector', 'selector': {'matchExpressions': [5]}}, 'selector'),
        ({'from': 'Selector', 'selector': {'matchExpressions': [{'key': 'a', 'operator': 'Is'}]}}, 'selector'),
        ({'from': 'Selector', 'selector': {'matchExpressions': [{'key': 'a', 'operator': 'In'}]}}, 'selector'),
        (
            {
                'from': 'Selector',
                'selector': {'matchExpressions': [{'key': 'a', 'operator': 'Exists', 'values': ['a']}]},
            },
            'selector',
        ),
        (
            {'from': 'Selector', 'selector': {'matchExpressions': [{'key': 'a', 'operator': 'In', 'values': [1]}]}},
            'selector',
        ),
    ],
)
def test_namespaces_that_cannot_be_read_admit_none(namespaces, field):
    item, problems = of_listener(listener(allowedRoutes={'namespaces': namespaces}))
    assert problems == [f'allowedRoutes.namespaces.{field}']
    assert not item.allowed.namespaces.admit('shop', 'shop', (('a', 'a'),))
    _, problems = read(allowedListeners={'namespaces': namespaces})
    assert problems == [f'spec.allowedListeners.namespaces.{field}']


@pytest.mark.parametrize(
    ('namespaces', 'admitted'),
    [
        ({'from': 'All'}, {'a', 'b', 'c'}),
        ({'from': 'Same'}, {'a'}),
        ({}, {'a'}),
        ({'from': 'None'}, set()),
        ({'from': 'Selector', 'selector': {}}, {'a', 'b', 'c'}),
        ({'from': 'Selector', 'selector': {'matchLabels': {'team': 'x'}}}, {'b'}),
        ({'from': 'Selector', 'selector': {'matchLabels': {'team': 'x', 'env': 'test'}}}, set()),
        ({'from': 'Selector', 'selector': {'matchExpressions': [{'key': 'team', 'operator': 'Exists'}]}}, {'b', 'c'}),
        ({'from': 'Selector', 'selector': {'matchExpressions': [{'key': 'team', 'operator': 'DoesNotExist'}]}}, {'a'}),
        (
            {
                'from': 'Selector',
                'selector': {'matchExpressions': [{'key': 'team', 'operator': 'In', 'values': ['x', 'y']}]},
            },
            {'b', 'c'},
        ),
        (
            {
                'from': 'Selector',
                'selector': {'matchExpressions': [{'key': 'team', 'operator': 'NotIn', 'values': ['x']}]},
            },
            {'a', 'c'},
        ),
    ],
)
def test_namespaces_admit(namespaces, admitted):
    item, problems = of_listener(listener(allowedRoutes={'namespaces': namespaces}))
    assert problems == []
    labels = {'a': (), 'b': (('team', 'x'),), 'c': (('env', 'test'), ('team', 'y'))}
    assert {name for name, of in labels.items() if item.allowed.namespaces.admit('a', name, of)} == admitted


@pytest.mark.parametrize(
    ('address', 'field', 'expected'),
    [
        ({'value': '2001:DB8::1'}, None, GatewayAddress('IPAddress', '2001:db8::1')),
        ({'type': 'example.com/pool', 'value': 'a'}, None, GatewayAddress('example.com/pool', 'a')),
        (5, 'type', GatewayAddress('', '-')),
        ({'type': 'a b'}, 'type', GatewayAddress('', '-')),
        ({'type': []}, 'type', GatewayAddress('', '-')),
        ({'value': '192.0.2.300'}, 'value', GatewayAddress('IPAddress', '-')),
        ({'value': 5}, 'value', GatewayAddress('IPAddress', '-')),
        ({'type': 'Hostname', 'value': 'a b'}, 'value', GatewayAddress('Hostname', '-')),
        ({'type': 'NamedAddress', 'value': 'a\n'}, 'value', GatewayAddress('NamedAddress', '-')),
    ],
)
def test_an_address_is_read(address, field, expected):
    item, problems = read(addresses=[address])
    assert item.addresses == (expected,)
    assert problems == ([f'spec.addresses[0].{field}'] if field else [])


@pytest.mark.parametrize(
    ('frontend', 'expected', 'fields'),
    [
        (5, FrontendTLS(CLOSED), ['']),
        ({'default': []}, FrontendTLS(CLOSED), ['']),
        ({'default': {}}, FrontendTLS(), []),
        ({'default': {'validation': 5}}, FrontendTLS(CLOSED), ['.default.validation.mode']),
        ({'default': {'validation': {'mode': 'Off'}}}, FrontendTLS(CLOSED), ['.default.validation.mode']),
        ({'default': {'validation': {}}}, FrontendTLS(CLOSED), []),
        (
            {'default': {'validation': {'caCertificateRefs': [5]}}},
            FrontendTLS(CLOSED),
            ['.default.validation.caCertificateRefs[0]'],
        ),
        ({'perPort': [5]}, FrontendTLS(CLOSED), ['.perPort[0]']),
        ({'perPort': [{'port': 443}]}, FrontendTLS(CLOSED), ['.perPort[0]']),
        (
            {'perPort': [{'port': 443, 'tls': {}}, {'port': 443, 'tls': {}}]},
            FrontendTLS(CLOSED, ((443, None),)),
            ['.perPort[1]'],
        ),
    ],
)
def test_validation_of_clients_that_cannot_be_read_lets_none_in(frontend, expected, fields):
    item, problems = read(tls={'frontend': frontend})
    assert item.frontend_tls == expected
    assert problems == [f'spec.tls.frontend{field}' for field in fields]


@pytest.mark.parametrize(
    ('spec', 'field'),
    [
        ({'tls': []}, 'spec.tls'),
        ({'tls': {'backend': 5}}, 'spec.tls.backend.clientCertificateRef'),
        ({'tls': {'backend': {'clientCertificateRef': {'name': 5}}}}, 'spec.tls.backend.clientCertificateRef.name'),
        ({'infrastructure': 5}, 'spec.infrastructure'),
        ({'infrastructure': {'labels': []}}, 'spec.infrastructure.labels'),
        ({'infrastructure': {'parametersRef': 5}}, 'spec.infrastructure.parametersRef'),
        ({'allowedListeners': 5}, 'spec.allowedListeners'),
        ({'addresses': 5}, 'spec.addresses'),
    ],
)
def test_a_gateway_with_a_field_that_cannot_be_read_has_a_problem(spec, field):
    assert read(**spec)[1] == [field]


def test_a_listener_set_is_read():
    document = listener_set(parent='public')
    document['metadata']['generation'] = 3
    item = gateways.read_listener_set('shop', 'more', document)
    assert fields_of(item) == []
    assert item == ListenerSet(
        'shop', 'more', generation=3, parent=Reference(GROUP, 'Gateway', 'shop', 'public'), listeners=(Listener('more', 8080, 'HTTP'),)
    )  # fmt: skip
    item = gateways.read_listener_set('shop', 'more', resource('ListenerSet', listeners=[5]))
    assert item.parent is None
    assert fields_of(item) == ['spec.parentRef', 'spec.listeners[0]']


def test_a_grant_is_read():
    document = reference_grant(
        sources=[(GROUP, 'HTTPRoute', 'shop'), (GROUP, 'Gateway', 'infra')],
        targets=[('', 'Service'), ('', 'Secret', 'tls')],
    )
    item = reference_grants.read('data', 'grant', document)
    assert (item.sources, item.targets) == (
        (GrantFrom(GROUP, 'Gateway', 'infra'), GrantFrom(GROUP, 'HTTPRoute', 'shop')),
        (GrantTo('', 'Secret', 'tls'), GrantTo('', 'Service')),
    )
    assert item.problems == ()
    assert item.ref == Ref('ReferenceGrant', 'data', 'grant')


@pytest.mark.parametrize(
    ('source', 'target', 'granted'),
    [
        ((GROUP, 'HTTPRoute', 'shop'), ('', 'Service', 'data', 'a'), True),
        ((GROUP, 'HTTPRoute', 'shop'), ('', 'Service', 'other', 'a'), False),
        ((GROUP, 'HTTPRoute', 'other'), ('', 'Service', 'data', 'a'), False),
        ((GROUP, 'GRPCRoute', 'shop'), ('', 'Service', 'data', 'a'), False),
        (('', 'HTTPRoute', 'shop'), ('', 'Service', 'data', 'a'), False),
        ((GROUP, 'HTTPRoute', 'shop'), ('', 'Secret', 'data', 'tls'), True),
        ((GROUP, 'HTTPRoute', 'shop'), ('', 'Secret', 'data', 'other'), False),
        ((GROUP, 'HTTPRoute', 'shop'), ('example.com', 'Service', 'data', 'a'), False),
    ],
)
def test_a_grant_grants_what_it_names(source, target, granted):
    document = reference_grant(sources=[(GROUP, 'HTTPRoute', 'shop')], targets=[('', 'Service'), ('', 'Secret', 'tls')])
    item = reference_grants.read('data', 'grant', document)
    assert item.grants(GrantFrom(*source), Reference(*target)) is granted


@pytest.mark.parametrize(
    ('spec', 'fields'),
    [
        ({}, []),
        ({'from': 5, 'to': 5}, ['spec.from', 'spec.to']),
        ({'from': [5], 'to': [5]}, ['spec.from[0]', 'spec.to[0]']),
        ({'from': [{'kind': 'A'}]}, ['spec.from[0]']),
        ({'from': [{'kind': 'A b', 'namespace': 'a'}]}, ['spec.from[0].kind']),
        ({'to': [{'kind': 'A', 'name': 5}]}, ['spec.to[0].name']),
        ({'to': [{'kind': 'A', 'name': '*'}]}, ['spec.to[0].name']),
        ({'to': [{'name': 'a'}]}, ['spec.to[0].kind']),
    ],
)
def test_an_entry_that_cannot_be_read_grants_nothing(spec, fields):
    item = reference_grants.read('data', 'grant', resource('ReferenceGrant', **spec))
    assert (item.sources, item.targets) == ((), ())
    assert [problem.field for problem in item.problems] == fields
