"""What the chart makes: valid for the API, within Pod Security, with no more rights than are used."""

import functools
import json
import re
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml

import headrace
from conftest import ROOT, binary
from headrace.haproxy.render import overrides
from headrace.kube.rights import CLASS_NAMESPACE, RULES, When, Where, class_lease
from headrace.objects import parse, registry
from headrace.objects.references import GATEWAY_GROUP
from headrace.settings import settings as class_settings
from headrace.translate.ingress_class import controller_name
from support import chart
from support.chart_matrix import EVERYTHING, MATRIX, REFUSED, WITH_EDGE

# Kinds without a known schema.
FOREIGN = {'PodMonitor', 'ServiceMonitor'}
SLICES, LEASES, EVENTS = 'discovery.k8s.io', 'coordination.k8s.io', 'events.k8s.io'
INGRESSES = 'networking.k8s.io'
REVIEWS = (
    ('*', 'authentication.k8s.io', 'tokenreviews', 'create'),
    ('*', 'authorization.k8s.io', 'subjectaccessreviews', 'create'),
)


def allowed(*rows):
    return {(namespace, group, resource, verb) for namespace, group, resource, verbs in rows for verb in verbs.split()}


@pytest.fixture(params=MATRIX.values(), ids=MATRIX.keys())
def documents(request):
    """The objects that some values make."""
    return chart.render(request.param)


@pytest.fixture(params=WITH_EDGE.values(), ids=WITH_EDGE.keys())
def with_edge(request):
    """The objects that some values make, a pod of the edge among them."""
    return chart.render(request.param)


@pytest.mark.parametrize('helm', chart.HELMS)
def test_helm_finds_nothing_to_say(helm):
    done = subprocess.run([binary(helm), 'lint', '--strict', chart.CHART], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert 'WARNING' not in done.stdout


@pytest.mark.parametrize('name', MATRIX)
def test_helm_3_and_4_write_the_same(name):
    # But for empty lines before the next object, which Helm 4 keeps.
    four, three = (re.sub(r'\n+(---\n|$)', r'\n\1', chart.text(MATRIX[name], helm=helm)) for helm in chart.HELMS)
    assert three == four


def test_the_chart_has_the_version_of_the_program():
    about = yaml.safe_load((chart.CHART / 'Chart.yaml').read_text())
    assert about['version'] == about['appVersion'] == headrace.__version__


def test_every_object_is_one_that_the_api_takes(documents):
    for document in documents:
        if document['kind'] not in FOREIGN:
            validate(json.dumps(document))


@functools.cache  # each reads megabytes of schemas, and most objects are the same whatever the values
def validate(text):
    kubernetes_validate.validate(json.loads(text), '1.37', strict=True)


def test_every_object_is_in_its_namespace_and_labelled(documents):
    for document in documents:
        kind, metadata = document['kind'], document['metadata']
        clusterwide = kind in {'ClusterRole', 'ClusterRoleBinding', 'PriorityClass', 'IngressClass'}
        assert ('namespace' in metadata) != clusterwide, metadata['name']
        assert metadata['labels']['app.kubernetes.io/instance'] == chart.RELEASE


def test_no_two_objects_have_the_same_name(documents):
    names = [(one['kind'], one['metadata'].get('namespace'), one['metadata']['name']) for one in documents]
    assert len(names) == len(set(names))


def test_the_settings_are_those_that_the_operator_takes(documents):
    found = class_settings.parse(chart.settings(documents))
    assert found.threads > 0
    assert found.file_descriptors > 4 * found.maxconn
    assert found.secrets.namespaces


@pytest.mark.parametrize('name', MATRIX)
def test_pods_keep_to_the_strictest_pod_security_but_for_host_ports(name):
    documents = chart.render(MATRIX[name])
    for pod, spec in chart.pod_specs(documents).items():
        if pod.endswith('-node'):
            continue
        assert not {'hostNetwork', 'hostPID', 'hostIPC'} & spec.keys()
        assert spec['securityContext']['runAsNonRoot']
        assert spec['securityContext']['seccompProfile'] == {'type': 'RuntimeDefault'}
        assert {key for volume in spec.get('volumes', ()) for key in volume} <= {
            'name',
            'configMap',
            'emptyDir',
            'projected',
            'secret',
        }
        for container in chart.containers(spec).values():
            context = container['securityContext']
            assert context['allowPrivilegeEscalation'] is False
            assert context['capabilities'] == {'drop': ['ALL']}
            assert context['readOnlyRootFilesystem']
            assert context['runAsUser'] > 0
            assert container['resources']['limits']['memory']
            ports = [port for port in container.get('ports', ()) if 'hostPort' in port]
            assert bool(ports) == (container['name'] == 'haproxy' and 'host ports' in name)


def test_the_token_is_in_the_operators_container_only(documents):
    for name, spec in chart.pod_specs(documents).items():
        assert spec['automountServiceAccountToken'] is False
        tokens = {one['name'] for one in spec.get('volumes', ()) if 'projected' in one}
        holders = {
            one['name']
            for one in chart.containers(spec).values()
            if tokens & {mount['name'] for mount in one.get('volumeMounts', ())}
        }
        other = {'dashboard' if name.endswith('dashboard') else 'controller'} if 'volumes' in spec else set()
        wanted = {'operator'} if name.endswith(('edge', 'node')) else other
        assert holders == wanted, name


def test_keys_stay_in_memory_and_haproxy_cannot_write_its_configuration(with_edge):
    spec = next(spec for name, spec in chart.pod_specs(with_edge).items() if name.endswith('-edge'))
    volumes = {one['name']: one for one in spec['volumes']}
    assert {name for name, one in volumes.items() if one.get('emptyDir', {}).get('medium') == 'Memory'} >= {
        'state',
        'sockets',
        'tmp',
    }
    mounts = {one['name']: one for one in chart.containers(spec)['haproxy']['volumeMounts']}
    assert mounts.keys() == {'state', 'sockets'}
    assert mounts['state']['readOnly']


def test_a_pod_ends_after_its_clients(with_edge):
    spec = next(spec for name, spec in chart.pod_specs(with_edge).items() if name.endswith('-edge'))
    found = class_settings.parse(chart.settings(with_edge))
    stop = chart.containers(spec)['haproxy']['lifecycle']['preStop']['exec']['command'][-1]
    drains = int(re.search(r'sleep (\d+)', stop)[1])
    assert class_settings.milliseconds(found.drain_delay) == drains * 1000
    assert spec['terminationGracePeriodSeconds'] * 1000 > drains * 1000 + class_settings.milliseconds(
        found.hard_stop_after
    )


def test_readiness_is_haproxys_own_and_every_probed_port_is_named(with_edge):
    spec = next(spec for name, spec in chart.pod_specs(with_edge).items() if name.endswith('-edge'))
    found = chart.containers(spec)
    assert [name for name, one in found.items() if 'readinessProbe' in one] == ['haproxy']
    for one in found.values():
        ports = {port['name'] for port in one.get('ports', ())}
        assert {one[key]['httpGet']['port'] for key in one if key.endswith('Probe')} <= ports


@pytest.mark.parametrize('helm', chart.HELMS)
@pytest.mark.parametrize(('values', 'word'), REFUSED.values(), ids=REFUSED)
def test_values_that_cannot_work_are_refused_by_name(values, word, helm):
    with pytest.raises(chart.RefusedError, match=re.escape(word)):
        chart.render(values, helm=helm)


def test_every_value_is_known_to_the_schema_and_said_in_the_values():
    schema = json.loads((chart.CHART / 'values.schema.json').read_text())
    values = yaml.safe_load((chart.CHART / 'values.yaml').read_text())

    def compare(value, rule, path):
        rule = schema['$defs'][rule['$ref'].rpartition('/')[2]] if '$ref' in rule else rule
        if path == 'settings' or 'properties' not in rule:
            return
        assert rule['additionalProperties'] is False, path
        assert set(value) == set(rule['properties']) - {'global'} | ({'global'} & set(value)), path
        for key, inner in value.items():
            compare(inner, rule['properties'][key], f'{path}.{key}'.strip('.'))

    compare(values, schema, '')


def test_what_is_generated_is_what_the_chart_says():
    done = subprocess.run(
        [sys.executable, '-m', 'tools.chart', '--check'], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, '')


def test_rights_are_those_that_the_documentation_names():
    documents = chart.render()
    read = 'list watch'
    assert chart.rules(documents, 'edge') == allowed(
        ('*', '', 'services', read),
        ('*', SLICES, 'endpointslices', read),
        ('*', '', 'nodes', read),
        *(('*', INGRESSES, kind, read) for kind in ('ingresses', 'ingressclasses')),
        *(('*', GATEWAY_GROUP, kind.plural, read) for kind in registry.KINDS if kind.group == GATEWAY_GROUP),
        ('*', '', 'namespaces', read),
        ('edge', '', 'secrets', read),
        ('edge', '', 'configmaps', read),
        ('edge', LEASES, 'leases', 'get create update delete'),
        *REVIEWS,
    )
    assert chart.rules(documents, 'controller') == allowed(
        ('*', '', 'services', read),
        *(('*', INGRESSES, kind, read) for kind in ('ingresses', 'ingressclasses')),
        ('*', '', 'services/status', 'patch'),
        ('*', INGRESSES, 'ingresses/status', 'patch'),
        *(('*', GATEWAY_GROUP, kind.plural, read) for kind in registry.KINDS if kind.group == GATEWAY_GROUP),
        *(
            ('*', GATEWAY_GROUP, f'{kind}/status', 'patch')
            for kind in (
                'gatewayclasses',
                'gateways',
                'listenersets',
                'httproutes',
                'grpcroutes',
                'tlsroutes',
                'tcproutes',
                'udproutes',
                'backendtlspolicies',
            )
        ),
        ('*', '', 'namespaces', read),
        ('edge', '', 'services', 'create patch delete'),
        ('*', SLICES, 'endpointslices', 'list'),
        ('edge', SLICES, 'endpointslices', 'create patch delete'),
        ('*', EVENTS, 'events', 'get create patch'),
        ('edge', LEASES, 'leases', 'get list create update'),
        ('kube-system', LEASES, 'leases', 'get create update delete'),
    )


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ({}, ('headrace', 'headrace.io/ingress-controller', False)),
        ({'settings': {'class': 'outer'}}, ('outer', 'headrace.io/ingress-controller-outer', False)),
        ({'ingressClass': {'name': 'public', 'default': True}}, ('public', 'headrace.io/ingress-controller', True)),
        ({'ingressClass': {'enabled': False}}, None),
        ({'settings': {'ingress': False}}, None),
        (MATRIX['watched namespaces'], None),
        (MATRIX['the node role alone'], None),
    ],
    ids=str,
)
def test_a_release_that_serves_ingresses_has_an_ingress_class(values, expected):
    ingress_classes = [parse.read(one).object for one in chart.render(values) if one['kind'] == 'IngressClass']
    found = [(item.name, item.controller, item.is_default) for item in ingress_classes]
    assert found == ([expected] if expected else [])
    settings = class_settings.parse(chart.settings(chart.render(values)))
    assert not expected or expected[1] == controller_name(settings.class_name)


def test_with_the_node_role_there_are_the_rights_that_it_needs():
    documents = chart.render(MATRIX['the node role'])
    read = 'list watch'
    assert chart.rules(documents, 'node') == allowed(
        ('*', '', 'services', read),
        ('*', SLICES, 'endpointslices', read),
        ('*', '', 'nodes', read),
        ('edge', '', 'secrets', read),
        ('edge', LEASES, 'leases', 'get create update delete'),
        *REVIEWS,
    )
    more = chart.rules(documents, 'controller') - chart.rules(chart.render(), 'controller')
    assert more == allowed(('*', '', 'services', 'patch'), ('*', '', 'nodes', read))
    tainted = chart.rules(chart.render(MATRIX['a startup taint']), 'controller')
    assert tainted - chart.rules(documents, 'controller') == allowed(('*', '', 'nodes', 'get patch'))
    by_other_means = chart.render(MATRIX['agents of the node role by other means'])
    assert chart.rules(by_other_means, 'controller') == chart.rules(documents, 'controller')


def test_a_pod_of_the_node_role_asks_for_nothing_but_the_network_one_capability_and_one_folder():
    documents = chart.render(MATRIX['the node role'])
    spec = chart.pod_specs(documents)['hr-headrace-node']
    assert (spec['hostNetwork'], spec['dnsPolicy']) == (True, 'Default')
    assert not {'hostPID', 'hostIPC'} & spec.keys()
    assert spec['securityContext']['seccompProfile'] == {'type': 'RuntimeDefault'}
    paths = [one['hostPath'] for one in spec['volumes'] if 'hostPath' in one]
    assert paths == [{'path': '/var/lib/headrace', 'type': 'DirectoryOrCreate'}]
    for name, container in chart.containers(spec).items():
        context = container['securityContext']
        kept = {'drop': ['ALL'], 'add': ['NET_ADMIN']} if name == 'operator' else {'drop': ['ALL']}
        assert context['capabilities'] == kept
        assert (context['runAsUser'], context['runAsGroup']) == ((0 if name == 'operator' else 99), 99)
        assert context['allowPrivilegeEscalation'] is False
        assert context['readOnlyRootFilesystem']
        # The scheduler would keep declared ports of the host's network from the pod that takes over.
        assert 'ports' not in container
        assert container['resources']['limits']['memory']
    mounts = {one['name']: one for one in chart.containers(spec)['haproxy']['volumeMounts']}
    assert mounts.keys() == {'state', 'sockets'}
    assert mounts['state']['readOnly']


def test_the_node_role_is_on_every_node_before_others_and_is_upgraded_beside_the_old_pod():
    daemons = chart.find(chart.render(MATRIX['the node role']), 'DaemonSet')
    assert daemons['spec']['updateStrategy'] == {'rollingUpdate': {'maxSurge': '10%', 'maxUnavailable': 0}}
    spec = daemons['spec']['template']['spec']
    assert (spec['priorityClassName'], spec['tolerations']) == ('system-node-critical', [{'operator': 'Exists'}])
    containers = chart.containers(spec)
    assert [name for name, one in containers.items() if 'readinessProbe' in one] == ['haproxy']
    assert all('exec' in one[key] for one in containers.values() for key in one if key.endswith('Probe'))
    assert class_settings.parse(chart.settings(chart.render(MATRIX['the node role']))).node_role
    assert not class_settings.parse(chart.settings(chart.render())).node_role


def test_without_an_edge_nothing_of_it_is_made():
    documents = chart.render(MATRIX['the node role alone'])
    made = {(one['kind'], one['metadata']['name']) for one in documents}
    assert not [name for _, name in made if name.endswith('-edge') or '-edge-' in name.removeprefix('edge-')]
    assert not {kind for kind, _ in made} & {'Service', 'Pod', 'PodMonitor', 'HorizontalPodAutoscaler'}
    assert not class_settings.parse(chart.settings(documents)).status_addresses
    assert {name for kind, name in made if kind in {'Deployment', 'DaemonSet', 'NetworkPolicy'}} == {
        'hr-headrace-node', 'hr-headrace-controller',
    }  # fmt: skip


def test_pods_of_a_daemon_set_have_no_budget_because_they_are_not_counted():
    budgets = [one['metadata']['name'] for one in chart.render(MATRIX['daemon set']) if one['kind'].endswith('Budget')]
    assert budgets == ['hr-headrace-controller']


def test_the_controller_that_takes_a_startup_taint_away_runs_on_nodes_that_have_it():
    specs = chart.pod_specs(chart.render({**MATRIX['a startup taint'], 'controller': {'tolerations': [{'key': 'a'}]}}))
    for name in ('hr-headrace-controller', 'hr-headrace-release'):
        assert specs[name]['tolerations'] == [{'key': 'a'}, {'key': 'headrace.io/starting', 'operator': 'Exists'}]
    assert 'tolerations' not in chart.pod_specs(chart.render())['hr-headrace-controller']


@pytest.mark.parametrize(
    ('account', 'values', 'when'),
    [
        ('edge', {}, {When.GATEWAY_API, When.CONFIG_MAPS, When.INGRESS, When.NODE_ADDRESSES, When.API}),
        ('edge', {'settings': {'ingress': False}}, {When.GATEWAY_API, When.CONFIG_MAPS, When.NODE_ADDRESSES, When.API}),
        ('edge', {'api': {'enabled': False}}, {When.GATEWAY_API, When.CONFIG_MAPS, When.INGRESS, When.NODE_ADDRESSES}),
        ('edge', {'edge': {'topologyHints': False}}, {When.GATEWAY_API, When.CONFIG_MAPS, When.INGRESS, When.API}),
        ('edge', {'edge': {'topologyHints': False}, 'settings': {'addressSource': 'node-ports'}}, {When.GATEWAY_API, When.CONFIG_MAPS, When.INGRESS, When.NODE_ADDRESSES, When.API}),
        ('edge', {'settings': {'gatewayApi': False, 'allowedResponseHeaders': ['X-A']}}, {When.CONFIG_MAPS, When.INGRESS, When.NODE_ADDRESSES, When.API}),
        ('edge', {'settings': {'gatewayApi': False}}, {When.INGRESS, When.NODE_ADDRESSES, When.API}),
        ('controller', {}, {When.GATEWAY_API, When.INGRESS}),
        ('controller', {'settings': {'ingress': False}}, {When.GATEWAY_API}),
        ('controller', {'settings': {'gatewayApi': False}}, {When.INGRESS}),
        ('dashboard', MATRIX['the dashboard'], {When.TOKENS}),
        ('dashboard', MATRIX['the dashboard behind a proxy'], set()),
        ('dashboard', {}, None),
        ('controller', {'settings': {'statusAddresses': ['nodes']}}, {When.GATEWAY_API, When.INGRESS, When.STATUS_OF_NODES}),
    ],
)  # fmt: skip
def test_rights_are_those_that_the_program_uses(account, values, when):
    assert chart.rules(chart.render(values), account) == (set() if when is None else used(account, when))


def used(account, when):
    """Return what an account has rights for, by the table of the program."""
    where = {
        Where.NAMESPACES: '*',
        Where.SECRETS: 'edge',
        Where.OWN: 'edge',
        Where.CLUSTER: '*',
        Where.UNLIMITED: '*',
        Where.CLASS: CLASS_NAMESPACE,
    }
    return {
        (where[rule.where], rule.group, rule.resource, verb)
        for rule in RULES
        if account in rule.roles and rule.when in {When.ALWAYS, *when}
        for verb in rule.verbs
    }


@pytest.mark.parametrize(
    ('values', 'when'),
    [
        ({}, {When.GATEWAY_API, When.CONFIG_MAPS, When.INGRESS, When.API}),
        ({'settings': {'ingress': False, 'gatewayApi': False}}, {When.API}),
        ({'settings': {'addressSource': 'node-ports'}}, {When.GATEWAY_API, When.CONFIG_MAPS, When.INGRESS, When.API, When.NODE_ADDRESSES}),
        ({'edge': {'enabled': False}, 'service': {'enabled': False}}, {When.GATEWAY_API, When.CONFIG_MAPS, When.INGRESS, When.API}),
    ],
)  # fmt: skip
def test_each_host_outside_of_the_cluster_has_an_account_that_reads_as_the_edge(values, when):
    documents = chart.render(values | MATRIX['hosts outside of the cluster'])
    for agent in ('lb-1', 'lb-2.example.com'):
        assert chart.rules(documents, f'external-{agent}') == used('external', when)


def test_a_host_outside_of_the_cluster_may_write_its_own_lease_and_renew_its_own_token_alone():
    documents = chart.render(MATRIX['hosts outside of the cluster'] | {'settings': {'class': 'outer'}})
    for agent in ('lb-1', 'lb-2.example.com'):
        role = chart.find(documents, 'Role', f'-external-{agent}-lease')
        assert role['rules'] == [
            rule.document('outer', agent, f'hr-headrace-external-{agent}')
            for rule in RULES
            if 'external' in rule.roles and rule.where is Where.OWN
        ]
        binding = chart.find(documents, 'RoleBinding', f'-external-{agent}-lease')
        assert [subject['name'] for subject in binding['subjects']] == [f'hr-headrace-external-{agent}']


def test_who_may_see_what_is_served_is_for_administrators_to_say():
    documents = chart.render()
    role = chart.find(documents, 'ClusterRole', '-view')
    assert role['rules'] == [{'apiGroups': ['headrace.io'], 'resources': ['agents/status'], 'verbs': ['get']}]
    # The chart binds it to no account, and nothing adds it to the roles that every namespace has.
    assert role['metadata']['name'] not in {one['roleRef']['name'] for one in documents if 'roleRef' in one}
    assert not [key for key in role['metadata']['labels'] if 'aggregate' in key]


@pytest.mark.parametrize('values', [{'api': {'enabled': False}}, MATRIX['watched namespaces']], ids=['off', 'watched'])
def test_pages_for_tokens_can_be_left_out(values):
    documents = chart.render(values | {'networkPolicy': {'enabled': True}})
    operator = chart.containers(chart.pod_specs(documents)['hr-headrace-edge'])['operator']
    assert '8406' not in json.dumps([operator, *(one for one in documents if one['kind'] == 'NetworkPolicy')])
    assert not [one for one in documents if one['metadata']['name'].endswith(('-view', '-reviews'))]


@pytest.mark.parametrize('pod', ['edge', 'node'])
def test_the_certificate_for_pages_is_for_the_operator_alone_and_pods_do_not_wait_for_it(pod):
    spec = chart.pod_specs(chart.render(MATRIX['a certificate for pages']))[f'hr-headrace-{pod}']
    (volume,) = [each for each in spec['volumes'] if each['name'] == 'api-certificate']
    assert (volume['secret']['secretName'], volume['secret']['optional']) == ('pages', True)
    for name, container in chart.containers(spec).items():
        mounts = {each['name']: each['mountPath'] for each in container['volumeMounts']}
        assert mounts.get('api-certificate') == ('/etc/headrace-api' if name == 'operator' else None)
        assert ('--api-certificate=/etc/headrace-api' in container.get('args', ())) == (name == 'operator')


@pytest.mark.parametrize('name', ['headrace', 'outer'])
def test_in_kube_system_a_controller_may_change_the_lease_of_its_class_alone(name):
    documents = chart.render({'settings': {'class': name}})
    (role,) = [
        one for one in documents if one['metadata'].get('namespace') == CLASS_NAMESPACE and one['kind'] == 'Role'
    ]
    assert [rule.get('resourceNames') for rule in role['rules']] == [None, [class_lease(name)]]
    assert role['rules'][0]['verbs'] == ['create']


def test_with_watched_namespaces_only_gateway_classes_are_read_cluster_wide():
    watched = MATRIX['watched namespaces']
    without = chart.render(watched | {'settings': {**watched.get('settings', {}), 'gatewayApi': False}})
    assert not [one for one in without if one['kind'].startswith('Cluster')]
    assert not {row[2] for row in chart.rules(without, 'edge')} & {'gateways', 'gatewayclasses', 'configmaps'}
    documents = chart.render(watched)
    roles = [one for one in documents if one['kind'] == 'ClusterRole']
    resources = sorted(rule['resources'] for role in roles for rule in role['rules'])
    assert resources == [['gatewayclasses'], ['gatewayclasses'], ['gatewayclasses/status']]
    assert not [one for one in documents if one['metadata'].get('namespace') == CLASS_NAMESPACE]
    assert not [one for one in documents if one['kind'] == 'IngressClass']
    for kind in ('services', 'ingresses', 'gateways'):
        assert {row[0] for row in chart.rules(documents, 'edge') if row[2] == kind} == {'shop', 'mail'}
    assert not [row for row in chart.rules(documents, 'edge') if row[2] == 'ingressclasses']
    # Of the namespaces whose Secrets may be read, one is not watched.
    for kind in ('secrets', 'configmaps'):
        assert {row[0] for row in chart.rules(documents, 'edge') if row[2] == kind} == {'shop'}
    containers = chart.containers(chart.pod_specs(documents)['hr-headrace-edge'])
    assert 'HEADRACE_NODE' not in {one['name'] for one in containers['operator']['env']}


def test_secrets_are_read_where_it_is_said_and_nowhere_else():
    everywhere = chart.render(MATRIX['all secrets'])
    assert {row[0] for row in chart.rules(everywhere, 'edge') if row[2] == 'secrets'} == {'*'}
    named = chart.render({'secrets': {'namespaces': ['shop', 'mail']}})
    assert {row[0] for row in chart.rules(named, 'edge') if row[2] == 'secrets'} == {'shop', 'mail'}
    assert not {row for row in chart.rules(named, 'controller') if row[2] == 'secrets'}


def test_every_rule_says_why():
    text = (chart.CHART / 'templates' / '_rights.tpl').read_text().splitlines()
    for number, line in enumerate(text):
        if line.startswith('- apiGroups'):
            before = text[number - 1]
            assert before.startswith(('#', '  verbs')), text[number : number + 2]


def test_pods_roll_for_what_needs_a_new_process_and_for_nothing_else():
    def mark(**values):
        template = chart.find(chart.render(values), 'Deployment', '-edge')['spec']['template']
        return template['metadata']['annotations']['headrace.io/restart-hash']

    fields = class_settings.schema()['$defs']['Settings']['properties']
    restart = {name for name, item in fields.items() if item.get('x-applied') == 'restart'}
    text = (chart.CHART / 'templates' / '_class.tpl').read_text()
    listed = set(
        re.findall(r'"(\w+)"', re.search(r'range \$key := list (.*) -}}\n.*\n', text.partition('restartHash')[2])[1])
    )
    assert listed == restart
    assert mark() == mark(settings={'reloadInterval': '5s'})
    assert mark() != mark(settings={'class': 'other'})
    assert mark() != mark(settings={'ingress': False})
    assert mark() != mark(overrides={'snippets': {'a': 'option httpclose'}})


def test_overrides_reach_the_operator_as_the_folder_that_it_reads(tmp_path):
    documents = chart.render(EVERYTHING)
    spec = chart.pod_specs(documents)['hr-headrace-edge']
    volume = next(one for one in spec['volumes'] if one['name'] == 'overrides')['configMap']
    data = chart.find(documents, 'ConfigMap', volume['name'])['data']
    for item in volume['items']:
        path = tmp_path / item['path']
        path.parent.mkdir(exist_ok=True)
        path.write_text(data[item['key']])
    found = overrides.read(tmp_path)
    assert found.global_lines == ('tune.bufsize 32768',)
    assert found.defaults_lines == ('timeout queue 2s',)
    assert found.snippets.keys() == {'cache'}
    assert found.templates.keys() == {'frontend-health.cfg.j2'}


def test_the_edges_own_service_is_never_served_and_lists_all_ports():
    found = chart.find(chart.render(EVERYTHING), 'Service', 'headrace')
    assert found['metadata']['annotations']['headrace.io/enabled'] == 'false'
    assert [port['port'] for port in found['spec']['ports']] == [80, 443, 5432, 20000, 20001, 20002]


def test_the_addresses_of_the_edge_are_published_where_they_can_be_read():
    def published(**values):
        return class_settings.parse(chart.settings(chart.render(values))).status_addresses

    assert published() == ('service:edge/hr-headrace',)
    assert published(watchNamespaces=['shop']) == ()
    assert published(service={'publish': False}) == ()
    assert published(settings={'statusAddresses': ['192.0.2.1']}) == ('192.0.2.1',)


def test_before_an_uninstall_everything_is_given_back_with_the_controllers_rights():
    (hook,) = [one for one in chart.hooks(chart.render()) if one['kind'] == 'Job']
    assert hook['metadata']['annotations']['helm.sh/hook'] == 'pre-delete'
    spec = hook['spec']['template']['spec']
    assert spec['serviceAccountName'] == 'hr-headrace-controller'
    assert spec['containers'][0]['args'][:3] == ['release', '--all', '--wait']


@pytest.mark.parametrize('name', ['http3', 'defaults'])
def test_udp_is_open_for_http3_and_only_for_it(name):
    documents = chart.render(MATRIX[name])
    services = [one['spec']['ports'] for one in documents if one['kind'] == 'Service']
    policies = [rule['ports'] for one in documents if one['kind'] == 'NetworkPolicy' for rule in one['spec']['ingress']]
    pods = [box.get('ports', []) for spec in chart.pod_specs(documents).values() for box in spec['containers']]
    found = [
        [port for group in groups for port in group if port['protocol'] == 'UDP']
        for groups in (services, policies, pods)
    ]
    if name == 'defaults':
        assert found == [[], [], []]
        return
    assert found[0] == [{'name': 'http3', 'port': 443, 'targetPort': 'http3', 'protocol': 'UDP', 'nodePort': 30443}]
    assert found[1] == [{'port': 8443, 'protocol': 'UDP'}]
    assert found[2] == [{'name': 'http3', 'containerPort': 8443, 'protocol': 'UDP'}]
