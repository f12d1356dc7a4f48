"""A change of each setting of the class, by what it costs: all keys of `docs/settings.md`, by hand."""

from headrace.settings import settings

# What some settings need to have an effect.
BASE = {
    'accessLog': 'stdout',
    'trustedProxies': ['198.51.100.1'],
    'errorPages': {'503': 'Sorry'},
}
RUNTIME = {
    'minCheckInterval': '1s',
    'defaultClass': True,
    'ingressClasses': ['nginx'],
    'domain': 'apps.example.com',
    'hostPolicy': {'*': ['*']},
    'maxRoutesPerObject': 4000,
    'maxEntriesPerObject': 4000,
    'maxEntriesPerNamespace': 4000,
    'maxBytesPerNamespace': 1000000,
    'maxCertificatesPerNamespace': 10,
    'maxCryptHashesPerNamespace': 10,
    'maxCryptHashes': 100,
    'maxChecksPerNamespace': 100,
    'maxEndpointsPerNamespace': 100,
    'maxGatewayPortsPerNamespace': 4,
    'addressSource': 'node-ports',
    'defaults': {'timeout-server': '30s'},
    'drainTimeout': '1m',
    'reloadInterval': '1s',
    'reloadsPerMinute': 10,
    'totalReloadsPerMinute': 100,
    'compareInterval': '1m',
    'drainDelay': '2s',
    'maxOldWorkers': 3,
    'oldWorkerTimeout': '30s',
}
RELOAD = {
    'gatewayFirstSlot': 30000,
    'gatewaySlots': 2,
    'addresses': ['127.0.0.1', '127.0.0.2'],
    'healthAddresses': ['127.0.0.2'],
    'httpPort': 'a free port',
    'httpsPort': 'a free port',
    'healthPort': 'a free port',
    'httpsPublicPort': 8443,
    'tcpPorts': 'a free port',
    'tcpClientTimeout': '30s',
    'trustedProxies': ['198.51.100.0/24'],
    'acceptProxy': True,
    'defaultCertificate': 'shop/default',
    'hostSharing': 'all',
    'tlsMinVersion': 'TLSv1.3',
    'tlsCiphers': 'ECDHE-RSA-AES128-GCM-SHA256',
    'allowExternalName': True,
    'externalAuthHosts': ['http://sso.example.com'],
    'globalAuth': {'url': 'http://sso.example.com/verify'},
    'errorPages': {'503': 'Later'},
    'errorPageType': 'text/plain',
    'accessLog': 'stderr',
    'accessLogHttp': '%ci %ST',
    'accessLogTcp': '%ci %B',
    'cookieName': 'stay',
    'ingressAnnotations': ['ingress-nginx'],
    'maxAuthenticationsPerNamespace': 10,
    'maxconn': 400,
    'fileDescriptors': 100000,
    'tableSize': 5000,
    'rateLimitClients': 100,
    'rateLimitIpv6Prefix': 56,
    'hardStopAfter': '1m',
}
# It excludes `acceptProxy`, and needs a HAProxy that has it.
HTTP3 = {'http3': True}
RESTART = {
    'allowedResponseHeaders': ['X-A'],
    'gatewayServiceAnnotations': ['metallb.io/address-pool'],
    'class': 'other',
    'gatewayApi': False,
    'ingress': False,
    'maxAnnotationBytesPerNamespace': 1_000_000,
    'nodeRole': True,
    'startupTaint': 'example.com/taint',
    'nodeHttpPort': 10380,
    'nodeTcpPort': 10382,
    'nodeTlsPort': 10386,
    'nodeHealthPort': 10384,
    'nodeHealthzPort': 10500,
    'podNetworks': ['10.0.0.0/8'],
    'serviceNetworks': ['10.96.0.0/12'],
    'secrets': {'namespaces': ['shop']},
    'namespaces': ['shop'],
    'statusAddresses': ['nodes'],
    'addressPools': [{'name': 'public', 'addresses': ['192.0.2.0/24']}],
    'statusWritesPerSecond': 50,
    'ingressStatus': True,
    'threads': 2,
    'tableInterval': '20s',
    'sweepInterval': '1m',
    'watchSilence': '2m',
    'serviceMetrics': False,
}


def applied():
    """Return how a change of each setting is applied, as the schema and the page of settings say it."""
    properties = settings.schema()['$defs']['Settings']['properties']
    return {key: found['x-applied'] for key, found in properties.items()}
