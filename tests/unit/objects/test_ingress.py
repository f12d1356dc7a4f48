"""Ingress and IngressClass: what an API server takes is read, anything else is a problem of its field."""

import pytest

from headrace.names import Ref
from headrace.objects import ingress as ingresses
from headrace.objects import parse
from headrace.objects.ingress import (
    Ingress,
    IngressBackend,
    IngressClass,
    IngressPath,
    IngressRule,
    IngressTls,
    PathType,
)
from support.objects import ingress, ingress_class, ingress_rule

WEB = {'service': {'name': 'web', 'port': {'number': 80}}}


def read(document):
    """Return the object, and fields and messages of its problems."""
    item = parse.read(document).object
    assert {problem.reason for problem in item.problems} <= {'InvalidObject'}
    assert {problem.ref for problem in item.problems} <= {item.ref}
    assert all(problem.message.isprintable() for problem in item.problems)
    return item, [(problem.field, problem.message) for problem in item.problems]


def of_rules(*rules):
    item, problems = read(ingress(rules=list(rules)))
    return item.rules, problems


def of_path(**path):
    return of_rules(
        {'host': 'a.example.com', 'http': {'paths': [{'pathType': 'Prefix', 'path': '/', 'backend': WEB, **path}]}}
    )


def test_a_whole_ingress_is_read():
    document = ingress(
        created='2026-01-01T00:00:00Z',
        annotations={'headrace.io/hsts': '1h', 'cert-manager.io/cluster-issuer': 'le'},
        ingressClassName='headrace',
        rules=[
            {
                'host': 'shop.example.com',
                'http': {
                    'paths': [
                        {
                            'path': '/api',
                            'pathType': 'Exact',
                            'backend': {'service': {'name': 'api', 'port': {'name': 'http'}}},
                        },
                        {'path': '/', 'pathType': 'Prefix', 'backend': WEB},
                    ]
                },
            },
            {'host': '*.example.com', 'http': {'paths': [{'pathType': 'ImplementationSpecific', 'backend': WEB}]}},
            {'host': 'default.example.com'},
        ],
        tls=[
            {'hosts': ['shop.example.com', '*.example.com'], 'secretName': 'tls'},
            {'hosts': ['default.example.com']},
            {'secretName': 'more'},
        ],
        defaultBackend={'resource': {'kind': 'Bucket', 'name': 'files'}},
    )
    item, problems = read(document)
    assert problems == []
    assert item == Ingress(
        'shop',
        'web',
        created='2026-01-01T00:00:00Z',
        annotations=(('headrace.io/hsts', '1h'),),
        class_name='headrace',
        rules=(
            IngressRule(
                'shop.example.com',
                (
                    IngressPath('api', 'http', path='/api', type=PathType.EXACT),
                    IngressPath('web', '80', path='/', type=PathType.PREFIX),
                ),
            ),
            IngressRule('*.example.com', (IngressPath('web', '80', path='/', type=PathType.IMPLEMENTATION_SPECIFIC),)),
            IngressRule('default.example.com'),
        ),
        tls=(
            IngressTls(('shop.example.com', '*.example.com'), 'tls'),
            IngressTls(('default.example.com',)),
            IngressTls((), 'more'),
        ),
        default_backend=IngressBackend(resource=True),
    )
    assert item.ref == Ref('Ingress', 'shop', 'web')


def test_an_ingress_of_another_version_is_passed_over():
    assert parse.read({**ingress(), 'apiVersion': 'networking.k8s.io/v1beta1'}) == parse.Reading()
    assert parse.read({**ingress(), 'apiVersion': 'extensions/v1beta1'}) == parse.Reading()


@pytest.mark.parametrize(
    ('spec', 'problem'),
    [
        pytest.param({}, 'spec', id='empty'),
        pytest.param({'rules': []}, 'spec', id='no rules'),
        pytest.param({'rules': 'all'}, 'spec.rules', id='rules of another type'),
        pytest.param({'tls': {}, 'defaultBackend': WEB}, 'spec.tls', id='TLS of another type'),
        pytest.param({'rules': [ingress_rule()], 'defaultBackend': 5}, 'spec.defaultBackend', id='default backend of another type'),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_type_or_missing_is_a_problem(spec, problem):
    _, problems = read({**ingress(), 'spec': spec})
    assert [field for field, _ in problems] == [problem]


def test_a_spec_of_another_type_is_a_problem():
    item, problems = read({**ingress(), 'spec': ['rules']})
    assert (item.rules, [field for field, _ in problems]) == ((), ['spec', 'spec'])


# --- annotations and class --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        pytest.param('', '', id='empty'),
        pytest.param(None, '', id='null'),
        pytest.param(True, 'true', id='a boolean of YAML'),
        pytest.param(8, '8', id='a number of YAML'),
        pytest.param('a' * 65536, 'a' * 65536, id='long'),
        pytest.param('a' * 65537, ingresses.UNREADABLE, id='too long'),
        pytest.param(['10.0.0.0/8'], ingresses.UNREADABLE, id='a list'),
        pytest.param({'a': 'b'}, ingresses.UNREADABLE, id='a mapping'),
        pytest.param(10**5000, ingresses.UNREADABLE, id='a number of thousands of digits'),
    ],
)
def test_an_annotation_that_is_no_text_is_neither_left_out_nor_empty(value, text):
    item, problems = read(ingress(annotations={'nginx.ingress.kubernetes.io/x': value}, hosts={'a.example.com': 'web'}))
    assert item.annotations == (('nginx.ingress.kubernetes.io/x', text),)
    assert [field for field, _ in problems] == (
        ["metadata.annotations['nginx.ingress.kubernetes.io/x']"] if text == ingresses.UNREADABLE else []
    )


def test_keys_that_kubernetes_does_not_allow_and_those_that_nothing_reads_are_left_out():
    document = ingress(
        annotations={
            'kubectl.kubernetes.io/last-applied-configuration': '{}',
            'x' * 318: 'a',
            5: 'b',
            'headrace.io/kept': 'c',
        },
        hosts={'a.example.com': 'web'},
    )
    item, problems = read(document)
    assert (item.annotations, problems) == ((('headrace.io/kept', 'c'),), [])


def test_an_annotation_that_many_objects_have_is_one_value():
    both = [
        read(ingress(name, annotations={'headrace.io/b': 'true'}, hosts={'a.example.com': 'web'}))[0] for name in 'ab'
    ]
    assert both[0].annotations[0] is both[1].annotations[0]


def test_a_text_that_stands_several_times_is_one_value():
    hosts = {'a.example.com': 'web'}
    item, _ = read(ingress('web', hosts=hosts, tls=[{'hosts': ['a.example.' + 'com'], 'secretName': 'tls'}]))
    (rule,), (tls,) = item.rules, item.tls
    assert rule.host is tls.hosts[0]
    assert rule.paths[0].service is item.name


@pytest.mark.parametrize(
    ('annotations', 'expected'),
    [
        pytest.param({}, None, id='none'),
        pytest.param({'kubernetes.io/ingress.class': 'nginx'}, 'nginx', id='named'),
        pytest.param({'kubernetes.io/ingress.class': ''}, '', id='empty'),
    ],
)
def test_the_annotation_of_the_class_is_known(annotations, expected):
    item, _ = read(ingress(annotations=annotations, hosts={'a.example.com': 'web'}))
    assert (item.class_annotation, item.class_name) == (expected, '')


@pytest.mark.parametrize('value', ['Nginx', 'a b', '', 5, ['nginx'], 'a' * 254], ids=str)
def test_a_name_that_no_class_can_have_does_not_make_an_ingress_one_without_a_class(value):
    item, problems = read(ingress(hosts={'a.example.com': 'web'}, ingressClassName=value))
    assert item.class_name.startswith("'")
    assert [field for field, _ in problems] == ['spec.ingressClassName']


# --- hosts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('host', ['a.example.com', 'localhost', '*.example.com', '*.com', '1a.2b', ''], ids=str)
def test_a_host_that_an_api_server_takes_is_kept(host):
    rules, problems = of_rules({**ingress_rule(), 'host': host})
    assert ([rule.host for rule in rules], problems) == ([host], [])


@pytest.mark.parametrize(
    'host',
    [
        pytest.param('A.example.com', id='upper case'),
        pytest.param('a.example.com.', id='final dot'),
        pytest.param('a_b.example.com', id='underscore'),
        pytest.param('*', id='a star alone'),
        pytest.param('a.*.com', id='a star inside'),
        pytest.param('*.*.com', id='two stars'),
        pytest.param('*a.com', id='part of a label'),
        pytest.param('192.0.2.1', id='an IPv4 address'),
        pytest.param('2001:db8::1', id='an IPv6 address'),
        pytest.param('a.example.com:80', id='a port'),
        pytest.param('a.example.com/x', id='a path'),
        pytest.param('a.example.com\nuse_backend x', id='a line break'),
        pytest.param('a' * 254, id='too long'),
        pytest.param(5, id='a number'),
        pytest.param(['a.example.com'], id='a list'),
    ],
)
def test_a_rule_with_another_host_is_left_out(host):
    rules, problems = of_rules({**ingress_rule(), 'host': host}, ingress_rule('b.example.com'))
    assert [rule.host for rule in rules] == ['b.example.com']
    assert [field for field, _ in problems] == ['spec.rules[0].host']


@pytest.mark.parametrize('rule', [None, 'a.example.com', 5, ['http']], ids=str)
def test_what_is_no_rule_is_left_out(rule):
    rules, problems = of_rules(rule, ingress_rule('b.example.com'))
    assert ([item.host for item in rules], [field for field, _ in problems]) == (['b.example.com'], ['spec.rules[0]'])


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('path', 'kind', 'expected'),
    [
        pytest.param('/', 'Prefix', '/', id='root'),
        pytest.param('/a/b/', 'Prefix', '/a/b/', id='slash at the end'),
        pytest.param('/a.b/..c', 'Exact', '/a.b/..c', id='dots inside elements'),
        pytest.param('/a(/|$)(.*)', 'ImplementationSpecific', '/a(/|$)(.*)', id='an expression'),
        pytest.param('/a//b/../%2F', 'ImplementationSpecific', '/a//b/../%2F', id='what only Exact and Prefix refuse'),
        pytest.param('', 'ImplementationSpecific', '/', id='empty, as root'),
        pytest.param(None, 'ImplementationSpecific', '/', id='null, as root'),
    ],
)
def test_a_path_that_an_api_server_takes_is_kept(path, kind, expected):
    rules, problems = of_path(path=path, pathType=kind)
    assert ([(item.path, item.type) for item in rules[0].paths], problems) == ([(expected, kind)], [])


@pytest.mark.parametrize(
    ('path', 'kind', 'field'),
    [
        pytest.param('', 'Prefix', 'path', id='empty'),
        pytest.param(None, 'Exact', 'path', id='null'),
        pytest.param('a', 'Exact', 'path', id='relative'),
        pytest.param('.*', 'ImplementationSpecific', 'path', id='a relative expression'),
        pytest.param('/a//b', 'Prefix', 'path', id='an empty element'),
        pytest.param('/a/./b', 'Prefix', 'path', id='a dot segment'),
        pytest.param('/a/../b', 'Exact', 'path', id='two dots'),
        pytest.param('/a/..', 'Prefix', 'path', id='two dots at the end'),
        pytest.param('/a/.', 'Exact', 'path', id='a dot at the end'),
        pytest.param('/a%2fb', 'Prefix', 'path', id='an encoded slash'),
        pytest.param('/a%2Fb', 'Exact', 'path', id='an encoded slash in upper case'),
        pytest.param(5, 'Prefix', 'path', id='a number'),
        pytest.param(['/a'], 'Prefix', 'path', id='a list'),
        pytest.param('/', 'prefix', 'pathType', id='lower case of the type'),
        pytest.param('/', None, 'pathType', id='no type'),
        pytest.param('/', 'Regex', 'pathType', id='another type'),
        pytest.param('/', ['Prefix'], 'pathType', id='a list as type'),
    ],
)
def test_a_path_that_an_api_server_refuses_is_left_out_and_with_the_last_one_its_rule(path, kind, field):
    rules, problems = of_path(path=path, pathType=kind)
    assert ([name for name, _ in problems], rules) == ([f'spec.rules[0].http.paths[0].{field}'], ())


@pytest.mark.parametrize('http', [5, [], {}, {'paths': None}, {'paths': []}, {'paths': {'path': '/'}}], ids=str)
def test_a_rule_without_a_list_of_paths_does_not_become_one_for_the_default_backend(http):
    rules, problems = of_rules({'host': 'a.example.com', 'http': http})
    assert (rules, [field for field, _ in problems]) == ((), ['spec.rules[0].http.paths'])


def test_what_is_no_path_is_left_out():
    entry = {'path': '/', 'pathType': 'Prefix', 'backend': WEB}
    rules, problems = of_rules({'http': {'paths': ['/', entry, None]}})
    assert [len(rule.paths) for rule in rules] == [1]
    assert [field for field, _ in problems] == ['spec.rules[0].http.paths[0]', 'spec.rules[0].http.paths[2]']


# --- backends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('port', 'expected'),
    [
        ({'number': 1}, '1'),
        ({'number': 65535}, '65535'),
        ({'name': 'http'}, 'http'),
        ({'name': '8a'}, '8a'),
        ({'name': 'http', 'number': 0}, 'http'),
        ({'name': '', 'number': 80}, '80'),
    ],
    ids=str,
)
def test_a_port_is_a_name_or_a_number(port, expected):
    rules, problems = of_path(backend={'service': {'name': 'web', 'port': port}})
    (path,) = rules[0].paths
    assert ((path.service, path.port, path.resource), problems) == (('web', expected, False), [])


@pytest.mark.parametrize(
    ('backend', 'field'),
    [
        pytest.param(None, '', id='null'),
        pytest.param('web', '', id='a text'),
        pytest.param({}, '', id='empty'),
        pytest.param({'serviceName': 'web', 'servicePort': 80}, '', id='as in v1beta1'),
        pytest.param({**WEB, 'resource': {'kind': 'Bucket'}}, '', id='service and resource'),
        pytest.param({'service': 'web'}, '.service.name', id='a service that is a text'),
        pytest.param({'service': {'port': {'number': 80}}}, '.service.name', id='no name'),
        pytest.param({'service': {'name': 'Web', 'port': {'number': 80}}}, '.service.name', id='upper case'),
        pytest.param({'service': {'name': '../web', 'port': {'number': 80}}}, '.service.name', id='a path'),
        pytest.param({'service': {'name': 5, 'port': {'number': 80}}}, '.service.name', id='a number'),
        pytest.param({'service': {'name': 'web'}}, '.service.port', id='no port'),
        pytest.param({'service': {'name': 'web', 'port': 80}}, '.service.port', id='a bare number'),
        pytest.param({'service': {'name': 'web', 'port': {'name': 'http', 'number': 80}}}, '.service.port', id='name and number'),
        pytest.param({'service': {'name': 'web', 'port': {'name': '80'}}}, '.service.port', id='digits as name'),
        pytest.param({'service': {'name': 'web', 'port': {'name': 'a--b'}}}, '.service.port', id='two hyphens'),
        pytest.param({'service': {'name': 'web', 'port': {'name': 'a' * 16}}}, '.service.port', id='a long name'),
        pytest.param({'service': {'name': 'web', 'port': {'name': ['http']}}}, '.service.port', id='a list'),
        pytest.param({'service': {'name': 'web', 'port': {'number': 65536}}}, '.service.port', id='too high'),
        pytest.param({'service': {'name': 'web', 'port': {'number': -1}}}, '.service.port', id='negative'),
        pytest.param({'service': {'name': 'web', 'port': {'number': '80'}}}, '.service.port', id='a text as number'),
        pytest.param({'service': {'name': 'web', 'port': {'number': True}}}, '.service.port', id='a boolean as number'),
    ],
)  # fmt: skip
def test_a_path_whose_backend_cannot_be_read_stays_without_one(backend, field):
    rules, problems = of_path(path='/secret', backend=backend)
    assert rules[0].paths == (IngressPath('', '', path='/secret'),)
    assert [name for name, _ in problems] == [f'spec.rules[0].http.paths[0].backend{field}']


def test_a_backend_that_is_a_resource_is_known_as_one():
    rules, problems = of_path(backend={'resource': {'apiGroup': 'g', 'kind': 'Bucket', 'name': 'b'}})
    assert (rules[0].paths, problems) == ((IngressPath(resource=True),), [])


def test_a_default_backend_that_cannot_be_read_stays_without_a_service():
    item, problems = read(ingress(defaultBackend={'service': {'name': 'web'}}))
    assert (item.default_backend, [field for field, _ in problems]) == (
        IngressBackend(),
        ['spec.defaultBackend.service.port'],
    )


def test_only_the_first_problems_are_named():
    rules, problems = of_rules(*[5] * 1000)
    assert (rules, len(problems)) == ((), 100)


@pytest.mark.parametrize(
    ('document', 'large'),
    [
        pytest.param(ingress(hosts={'a.example.com': 'web'}, tls=[{'hosts': ['a.example.com']}]), False, id='usual'),
        pytest.param(ingress(rules=[{'host': 'a'}] * 501), True, id='rules'),
        pytest.param(ingress(tls=[{'secretName': 'a'}] * 501), True, id='entries of TLS'),
        pytest.param(
            ingress(rules=[{'http': {'paths': [{}] * 251}}, {'http': {'paths': [{}] * 250}}]), True, id='paths'
        ),
        pytest.param(ingress(tls=[{'hosts': ['a'] * 501}]), True, id='hosts of TLS'),
        pytest.param(
            ingress(rules=[5, {'http': 5}, {'http': {'paths': 5}}], tls=[5, {'hosts': 5}]), False, id='other types'
        ),
        pytest.param({}, False, id='nothing'),
    ],
)
def test_an_ingress_that_takes_long_to_read_is_known_before(document, large):
    assert ingresses.is_large(document) is large


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('entry', 'field'),
    [
        pytest.param('tls', '', id='a text'),
        pytest.param(None, '', id='null'),
        pytest.param({'hosts': 'a.example.com'}, '', id='hosts that are a text'),
        pytest.param({'secretName': ['tls']}, '', id='a list as Secret'),
        pytest.param({'secretName': '../tls'}, '.secretName', id='a path as Secret'),
        pytest.param({'secretName': 'shop/tls'}, '.secretName', id='a namespace before the Secret'),
    ],
)
def test_what_is_no_entry_of_tls_is_left_out(entry, field):
    item, problems = read(ingress(hosts={'a.example.com': 'web'}, tls=[entry, {'secretName': 'good'}]))
    assert ([tls.secret for tls in item.tls], [name for name, _ in problems]) == (['good'], [f'spec.tls[0]{field}'])


@pytest.mark.parametrize('host', ['A.example.com', '', None, 5, '192.0.2.1', '*'], ids=str)
def test_a_host_of_tls_that_is_none_is_left_out(host):
    item, problems = read(ingress(hosts={'a.example.com': 'web'}, tls=[{'hosts': [host, 'a.example.com']}]))
    assert (item.tls, [name for name, _ in problems]) == ((IngressTls(('a.example.com',)),), ['spec.tls[0].hosts'])


# --- classes ----------------------------------------------------------------------------------------------------------


def test_a_class_is_read():
    document = ingress_class('edge', 'headrace.io/ingress-controller', default=True)
    document['metadata'] |= {'creationTimestamp': '2026-01-01T00:00:00Z', 'namespace': 'ignored'}
    document['spec']['parameters'] = {'apiGroup': 'g', 'kind': 'Limits', 'name': 'large', 'namespace': 'shop'}
    item, problems = read(document)
    assert problems == []
    assert item == IngressClass(
        'edge',
        'headrace.io/ingress-controller',
        is_default=True,
        created='2026-01-01T00:00:00Z',
        parameters=Ref('Limits', 'shop', 'large'),
    )
    assert item.ref == Ref('IngressClass', '', 'edge')


@pytest.mark.parametrize('value', ['false', 'True', '1', '', None, ['true']], ids=str)
def test_only_the_text_true_makes_a_class_the_default_one(value):
    document = ingress_class()
    document['metadata']['annotations'] = {ingresses.DEFAULT_CLASS_ANNOTATION: value}
    assert read(document)[0].is_default is False


def test_a_class_without_a_controller_is_a_problem():
    item, problems = read({**ingress_class(), 'spec': {'controller': 5}})
    assert (item.controller, [field for field, _ in problems]) == ('', ['spec.controller'])


@pytest.mark.parametrize(
    ('parameters', 'expected'),
    [
        pytest.param({'kind': 'Limits', 'name': 'large'}, Ref('Limits', '', 'large'), id='cluster-wide'),
        pytest.param({'kind': 'Limits', 'name': 'x', 'namespace': 'A B'}, Ref('Limits', '', 'x'), id='an impossible namespace'),
        pytest.param({'kind': 'Lim\nits', 'name': 'large'}, None, id='a line break'),
        pytest.param({'kind': 'Limits', 'name': 5}, None, id='a number'),
        pytest.param({}, None, id='empty'),
        pytest.param('Limits', None, id='a text'),
    ],
)  # fmt: skip
def test_parameters_are_a_reference(parameters, expected):
    document = ingress_class()
    document['spec']['parameters'] = parameters
    assert read(document)[0].parameters == expected
