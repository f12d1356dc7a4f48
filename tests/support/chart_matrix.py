"""Values that the chart is rendered with: each option by itself, and some that meet."""

TCP = {'tcpPorts': '5432,20000-20002'}
EVERYTHING = {
    'imagePullSecrets': [{'name': 'registry'}],
    'settings': {**TCP, 'class': 'outer', 'defaultClass': True, 'domain': 'apps.example.com', 'httpsPublicPort': 8443},
    'secrets': {'namespaces': ['shop', 'mail']},
    'overrides': {
        'global': 'tune.bufsize 32768\n',
        'defaults': 'timeout queue 2s\n',
        'snippets': {'cache': 'http-response set-header X-Cache "no"\n'},
        'templates': {'frontend-health.cfg.j2': 'frontend health\n  bind :{{ settings.health_port }}\n'},
    },
    'edge': {
        'autoscaling': {'enabled': True},
        'nodeSelector': {'role': 'edge'},
        'tolerations': [{'key': 'edge', 'operator': 'Exists'}],
        'affinity': {'nodeAffinity': {}},
        'podAnnotations': {'a': 'b'},
        'podLabels': {'team': 'edge'},
        'serviceAccountAnnotations': {'a': 'b'},
        'topologySpreadConstraints': [
            {'topologyKey': 'rack', 'maxSkew': 1, 'whenUnsatisfiable': 'DoNotSchedule', 'labelSelector': {}}
        ],
    },
    'controller': {'nodeSelector': {'role': 'infra'}, 'podLabels': {'team': 'edge'}, 'podAnnotations': {'a': 'b'}},
    'service': {
        'loadBalancerClass': 'example.com/lb',
        'loadBalancerSourceRanges': ['192.0.2.0/24'],
        'nodePorts': {'http': 30080, 'https': 30443},
        'annotations': {'a': 'b'},
        'labels': {'a': 'b'},
    },
    'priorityClass': {'create': True},
    'networkPolicy': {'enabled': True, 'metricsFrom': [{'namespaceSelector': {'matchLabels': {'name': 'monitoring'}}}]},
    'metrics': {'podMonitor': {'enabled': True, 'labels': {'release': 'p'}}, 'dashboard': {'enabled': True}},
}
MATRIX = {
    'defaults': {},
    'everything': EVERYTHING,
    'daemon set': {'edge': {'kind': 'DaemonSet'}},
    'host ports': {
        'edge': {'kind': 'DaemonSet', 'hostPorts': {'enabled': True}},
        'service': {'enabled': False},
        'settings': TCP,
    },
    'host ports of a deployment': {'edge': {'hostPorts': {'enabled': True, 'http': 8080, 'https': 8443}}},
    'watched namespaces': {'watchNamespaces': ['shop', 'mail'], 'secrets': {'namespaces': ['shop', 'other']}},
    'the own namespace': {'watchNamespaces': ['edge']},
    'all secrets': {'secrets': {'namespaces': ['*']}},
    'all secrets of watched namespaces': {'watchNamespaces': ['shop', 'mail'], 'secrets': {'namespaces': ['*']}},
    'node ports as servers': {'settings': {'addressSource': 'node-ports'}, 'edge': {'topologyHints': False}},
    'addresses of nodes': {'settings': {'statusAddresses': ['nodes']}},
    'no hints': {'edge': {'topologyHints': False}},
    'node port': {'service': {'type': 'NodePort', 'nodePorts': {'http': 30080, 'https': 30443}}},
    'cluster ip': {'service': {'type': 'ClusterIP'}},
    'tcp ports': {'settings': TCP},
    'http3': {
        'settings': {'http3': True},
        'service': {'nodePorts': {'https': 30443}},
        'networkPolicy': {'enabled': True},
    },
    'http3 on host ports': {'settings': {'http3': True}, 'edge': {'kind': 'DaemonSet', 'hostPorts': {'enabled': True}}},
    'pages and a log': {'settings': {'errorPages': {'404': '<h1>No\n'}, 'accessLog': 'stdout'}},
    'no controller': {'controller': {'enabled': False}},
    'nothing but the edge': {
        'controller': {'enabled': False},
        'release': {'enabled': False},
        'service': {'enabled': False},
        'test': {'enabled': False},
        'edge': {'podDisruptionBudget': {'enabled': False}},
    },
    'service monitor': {'metrics': {'serviceMonitor': {'enabled': True}}},
    'other ports': {'settings': {'httpPort': 9080, 'httpsPort': 9443, 'healthPort': 9404}},
    'digests': {'image': {'digest': f'sha256:{"0" * 64}'}, 'haproxy': {'image': {'digest': f'sha256:{"1" * 64}'}}},
    'a priority class that is there': {'priorityClass': {'name': 'system-cluster-critical'}},
    'another name': {'fullnameOverride': 'outer', 'nameOverride': 'lb'},
    'more connections': {'haproxy': {'maxconn': 100000, 'fileDescriptors': 250000, 'threads': 8}},
}
"""By name; all of them render."""

REFUSED = {
    'a key that is none': ({'edges': {}}, 'edges'),
    'a setting that is none': ({'settings': {'unknown': 1}}, 'unknown'),
    'a setting with a place of its own': ({'settings': {'maxconn': 5000}}, 'maxconn'),
    'a port that is none': ({'settings': {'httpPort': 70000}}, 'httpPort'),
    'ranges that are none': ({'settings': {'tcpPorts': '1..2'}}, 'tcpPorts'),
    'too many ports for a Service': ({'settings': {'tcpPorts': '20000-20999'}}, '500'),
    'a port of the Service twice': ({'settings': {'tcpPorts': '443'}}, '443'),
    'a kind that is none': ({'edge': {'kind': 'StatefulSet'}}, 'kind'),
    'no threads': ({'haproxy': {'threads': 0}}, 'threads'),
    'too few descriptors': ({'haproxy': {'maxconn': 40000}}, 'fileDescriptors'),
    'a digest that is none': ({'image': {'digest': 'sha256:1'}}, 'digest'),
    'a replica count as text': ({'edge': {'replicas': '2'}}, 'replicas'),
    'a namespace that is none': ({'watchNamespaces': ['Shop']}, 'watchNamespaces'),
    'all Secrets and one more': ({'secrets': {'namespaces': ['*', 'shop']}}, 'namespaces'),
    'a name of a snippet that is none': ({'overrides': {'snippets': {'Cache!': ''}}}, 'Cache!'),
    'two monitors': ({'metrics': {'podMonitor': {'enabled': True}, 'serviceMonitor': {'enabled': True}}}, 'choose'),
    'nodes without the right': (
        {'watchNamespaces': ['a'], 'settings': {'addressSource': 'node-ports'}},
        'cluster-wide',
    ),
    'their addresses without the right': (
        {'watchNamespaces': ['a'], 'settings': {'statusAddresses': ['nodes']}},
        'cluster-wide',
    ),
    'a daemon set that scales': ({'edge': {'kind': 'DaemonSet', 'autoscaling': {'enabled': True}}}, 'autoscaling'),
    'the node role': ({'node': {'enabled': True}}, 'node'),
    'a level that is none': ({'edge': {'logLevel': 'trace'}}, 'logLevel'),
}
"""Values that are refused, and a word of the reason."""
