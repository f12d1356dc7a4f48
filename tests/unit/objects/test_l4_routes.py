"""TLSRoute, TCPRoute, UDPRoute and BackendTLSPolicy: their values, and what of a document cannot be read."""

import pytest

from headrace.names import Ref
from headrace.objects import backend_tls_policies, l4_routes
from headrace.objects.backend_tls_policies import BackendTLSPolicy, PolicyTarget, SubjectAltName
from headrace.objects.l4_routes import TCPRoute, TLSRoute, UDPRoute
from headrace.objects.references import ParentRef, Reference
from headrace.objects.route_backends import BackendRef
from headrace.objects.routes import RouteRule
from support.gateway_objects import backend, resource, route, rule

PARENTS = (ParentRef('gateway.networking.k8s.io', 'Gateway', 'shop', 'public'),)
RULES = (
    RouteRule('one', (BackendRef('', 'Service', 'shop', 'a', 1, 3), BackendRef('', 'Service', 'shop', 'web', 80))),
)
CA = {'group': '', 'kind': 'ConfigMap', 'name': 'ca', 'namespace': 'other'}


def fields_of(problems):
    problems = list(problems)
    assert all(problem.message.isprintable() for problem in problems)
    return [problem.field for problem in problems]


def read(reading, kind, **spec):
    item = reading('shop', 'web', route(kind, **spec))
    return item, fields_of(item.diagnostics)


@pytest.mark.parametrize(
    ('reading', 'kind', 'hosts', 'expected'),
    [
        (
            l4_routes.read_tls,
            'TLSRoute',
            {'hostnames': ['a.b', '*.c']},
            TLSRoute('shop', 'web', parents=PARENTS, hostnames=('a.b', '*.c'), rules=RULES),
        ),
        (l4_routes.read_tcp, 'TCPRoute', {}, TCPRoute('shop', 'web', parents=PARENTS, rules=RULES)),
        (l4_routes.read_udp, 'UDPRoute', {}, UDPRoute('shop', 'web', parents=PARENTS, rules=RULES)),
    ],
)
def test_a_whole_route_is_read(reading, kind, hosts, expected):
    item, problems = read(reading, kind, rules=[rule(None, backend('a', 1, weight=3), backend(), name='one')], **hosts)
    assert problems == []
    assert item == expected
    assert item.ref == Ref(kind, 'shop', 'web')
    bad, problems = read(reading, kind, rules=[5, {'backendRefs': 5, 'name': '!'}, {'backendRefs': [5]}])
    assert len(bad.rules) == 3
    assert problems == [
        'spec.rules',
        'spec.rules[0]',
        'spec.rules[1].name',
        'spec.rules[1].backendRefs',
        'spec.rules[2].backendRefs[0]',
    ]


def test_a_route_for_tls_of_whose_hosts_none_can_be_read_serves_nothing():
    item, problems = read(l4_routes.read_tls, 'TLSRoute', hostnames=['192.0.2.1'])
    assert (item.hostnames, item.rules) == ((), ())
    assert problems == ['spec.hostnames[0]']


def policy(**spec):
    wanted = {
        'targetRefs': [{'group': '', 'kind': 'Service', 'name': 'web'}],
        'validation': {'hostname': 'a.b', 'wellKnownCACertificates': 'System'},
        **spec,
    }
    item = backend_tls_policies.read('shop', 'web', resource('BackendTLSPolicy', **wanted))
    return item, fields_of(item.problems)


def test_a_whole_policy_is_read():
    item, problems = policy(
        targetRefs=[
            {'group': '', 'kind': 'Service', 'name': 'web', 'sectionName': 'https', 'namespace': 'other'},
            {'group': '', 'kind': 'Service', 'name': 'api'},
        ],
        validation={
            'hostname': 'a.b',
            'caCertificateRefs': [CA],
            'subjectAltNames': [
                {'type': 'URI', 'uri': 'spiffe://cluster.local/ns/shop/sa/web'},
                {'type': 'Hostname', 'hostname': '*.a.b'},
            ],
        },
        options={'b': '2', 'a': '1'},
    )
    assert problems == []
    assert item == BackendTLSPolicy(
        'shop',
        'web',
        targets=(PolicyTarget('', 'Service', 'shop', 'web', 'https'), PolicyTarget('', 'Service', 'shop', 'api')),
        hostname='a.b',
        names=(SubjectAltName('spiffe://cluster.local/ns/shop/sa/web', uri=True), SubjectAltName('*.a.b')),
        authorities=(Reference('', 'ConfigMap', 'shop', 'ca'),),
        options=(('a', '1'), ('b', '2')),
    )
    assert item.ref == Ref('BackendTLSPolicy', 'shop', 'web')
    assert policy()[0].well_known == 'System'


@pytest.mark.parametrize(
    ('spec', 'fields'),
    [
        ({'targetRefs': 5}, ['spec.targetRefs']),
        ({'targetRefs': [5]}, ['spec.targetRefs[0]']),
        ({'targetRefs': [{'kind': 'A', 'name': 'a', 'sectionName': '/'}]}, ['spec.targetRefs[0].sectionName']),
        ({'validation': 5}, ['spec.validation', 'spec.validation.hostname', 'spec.validation']),
        ({'options': 5}, ['spec.options']),
    ],
)
def test_a_policy_with_a_field_that_cannot_be_read_has_problems(spec, fields):
    assert policy(**spec)[1] == fields


@pytest.mark.parametrize(
    ('validation', 'fields'),
    [
        ({'hostname': '*.a'}, ['.hostname']),
        ({'hostname': None}, ['.hostname']),
        ({'wellKnownCACertificates': 'a b'}, ['.wellKnownCACertificates']),
        ({'wellKnownCACertificates': ['System']}, ['.wellKnownCACertificates']),
        ({'wellKnownCACertificates': None}, ['']),
        ({'caCertificateRefs': [CA]}, ['']),
        ({'wellKnownCACertificates': None, 'caCertificateRefs': [5]}, ['.caCertificateRefs[0]']),
        ({'subjectAltNames': 5}, ['.subjectAltNames']),
        ({'subjectAltNames': [5]}, ['.subjectAltNames[0]']),
        ({'subjectAltNames': [{'type': 'URI', 'uri': 'a'}]}, ['.subjectAltNames[0]']),
        ({'subjectAltNames': [{'type': 'URI', 'uri': 'a:b\n'}]}, ['.subjectAltNames[0]']),
        ({'subjectAltNames': [{'type': 'Hostname', 'hostname': 'a', 'uri': 'a:b'}]}, ['.subjectAltNames[0]']),
        ({'subjectAltNames': [{'type': 'IP', 'hostname': 'a'}]}, ['.subjectAltNames[0]']),
    ],
)
def test_a_validation_that_cannot_be_read_is_a_problem(validation, fields):
    item, problems = policy(validation={'hostname': 'a.b', 'wellKnownCACertificates': 'System', **validation})
    assert problems == [f'spec.validation{field}' for field in fields]
    assert item.problems
