"""`headrace migrate` of what an API server has, beside that of files."""

import yaml

from support.objects import ingress, ingress_rule, service

NGINX = 'nginx.ingress.kubernetes.io/'


def test_ingresses_and_configmaps_of_an_api_server_are_read(headrace, control_plane, namespace):
    for number in range(3):
        annotations = {NGINX + 'load-balance': 'ewma'} if number else {NGINX + 'whitelist-source-range': '10.0.0.0/8'}
        control_plane.api.create(
            ingress(
                f'web-{number}',
                namespace,
                annotations=annotations,
                hosts={'a.example.com': 'web'},
                ingressClassName='nginx',
            )
        )
    tcp = {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'tcp', 'namespace': namespace}}
    control_plane.api.create({**tcp, 'data': {'9000': 'shop/db:5432'}})
    outcome = headrace(
        'migrate', '--kubeconfig', control_plane.kubeconfig, '--tcp-services', f'{namespace}/tcp', '--format', 'json'
    )
    assert (outcome.code, outcome.err) == (0, '')
    here = [item for item in outcome.values['ingresses'] if item['namespace'] == namespace]
    assert [(item['name'], item['dialect'], item['annotations'][0]['verdict']) for item in here] == [
        ('web-0', 'ingress-nginx', 'exact'),
        ('web-1', 'ingress-nginx', 'differs'),
        ('web-2', 'ingress-nginx', 'differs'),
    ]
    annotations = {'headrace.io/port.5432': '9000', 'headrace.io/mode.5432': 'tcp'}
    assert outcome.values['tcpServices'] == [{'namespace': 'shop', 'service': 'db', 'annotations': annotations}]


def test_a_configmap_that_an_api_server_does_not_have_is_named(headrace, control_plane, namespace):
    outcome = headrace('migrate', '--kubeconfig', control_plane.kubeconfig, '--configmap', f'{namespace}/settings')
    assert outcome.code == 4
    assert '/configmaps/settings: 404' in outcome.err


def test_ports_by_name_are_those_of_the_services_of_an_api_server(headrace, control_plane, namespace):
    control_plane.api.create(service('web', namespace, ports=[{'name': 'web', 'port': 8080}]))
    control_plane.api.create(
        ingress('named', namespace, rules=[ingress_rule('named.example.com', port='web')], ingressClassName='nginx')
    )
    outcome = headrace('migrate', '--kubeconfig', control_plane.kubeconfig, '--gateway-api')
    (route,) = [
        each
        for each in yaml.safe_load_all(outcome.out)
        if each['kind'] == 'HTTPRoute' and each['metadata']['namespace'] == namespace
    ]
    assert route['spec']['rules'][0]['backendRefs'] == [{'name': 'web', 'port': 8080}]
