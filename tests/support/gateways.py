"""Resources of the Gateway API as documents."""

from dataclasses import replace

from headrace.names import Ref
from headrace.settings.settings import Settings
from headrace.translate import build_context, gateway_listeners

API = 'gateway.networking.k8s.io/v1'


def _document(kind, name, namespace, spec, created='2024-01-01T00:00:00Z', **metadata):
    return {
        'apiVersion': API,
        'kind': kind,
        'metadata': {'name': name, 'namespace': namespace, 'creationTimestamp': created, **metadata},
        'spec': spec,
    }


def gateway(name='web', *listeners, namespace='shop', class_name='headrace', admits=None, spec=(), **more):
    """Return a Gateway; without listeners it has one for HTTP at port 80. `admits` are the namespaces of its ListenerSets."""
    document = {'gatewayClassName': class_name, 'listeners': list(listeners) or [listener()], **dict(spec)}
    if admits is not None:
        document['allowedListeners'] = {'namespaces': {'from': admits}}
    return _document('Gateway', name, namespace, document, **more)


def listener_set(name, *listeners, parent='web', namespace='shop', **more):
    """Return a ListenerSet of a Gateway, by its name or reference."""
    reference = parent if isinstance(parent, dict) else {'name': parent}
    return _document('ListenerSet', name, namespace, {'parentRef': reference, 'listeners': list(listeners)}, **more)


def listener(name='http', port=80, protocol='HTTP', hostname=None, *, namespaces='Same', **more):
    """Return a listener; `namespaces` are those whose routes it allows."""
    return {
        'name': name,
        'port': port,
        'protocol': protocol,
        **({'hostname': hostname} if hostname else {}),
        'allowedRoutes': {'namespaces': {'from': namespaces}},
        **more,
    }


def http_route(name, *rules, hostnames=(), parents=({'name': 'web'},), namespace='shop', **more):
    """Return an HTTPRoute."""
    spec = {'parentRefs': list(parents), 'rules': list(rules)}
    return _document(
        'HTTPRoute', name, namespace, {**spec, **({'hostnames': list(hostnames)} if hostnames else {})}, **more
    )


def grpc_route(name, *rules, hostnames=(), parents=({'name': 'web'},), namespace='shop', **more):
    """Return a GRPCRoute."""
    return {
        **http_route(name, *rules, hostnames=hostnames, parents=parents, namespace=namespace, **more),
        'kind': 'GRPCRoute',
    }


def call(service=None, method=None, *, expression=False, headers=()):
    """Return a match of a gRPC call; `headers` are pairs."""
    names = {**({'service': service} if service else {}), **({'method': method} if method else {})}
    return {
        **({'method': {'type': 'RegularExpression' if expression else 'Exact', **names}} if names else {}),
        **({'headers': [{'name': name, 'value': value} for name, value in headers]} if headers else {}),
    }


def tcp_route(name, *backends, port=None, gateway='web', namespace='shop', **more):
    """Return a TCPRoute with one rule, for all ports of a Gateway or one."""
    return l4_route('TCPRoute', name, *backends, port=port, gateway=gateway, namespace=namespace, **more)


def l4_route(kind, name, *backends, hostnames=(), port=None, gateway='web', namespace='shop', **more):
    """Return a route of connections with one rule, for all ports of a Gateway or one."""
    parent = {'name': gateway, **({'port': port} if port else {})}
    spec = {'parentRefs': [parent], 'rules': [rule(*backends)], **({'hostnames': list(hostnames)} if hostnames else {})}
    return _document(kind, name, namespace, spec, **more)


def rule(*backends, path=None, exact=False, matches=None, **more):
    """Return a rule; `path` is a prefix unless it is exact, `matches` are its matches instead, backends names or references."""
    if path is not None:
        matches = [{'path': {'type': 'Exact' if exact else 'PathPrefix', 'value': path}}]
    return {
        **({'matches': matches} if matches else {}),
        'backendRefs': [backend(each) if isinstance(each, str) else each for each in backends],
        **more,
    }


def backend(name, weight=1, port=80, **more):
    """Return a reference to a Service."""
    return {'name': name, 'port': port, 'weight': weight, **more}


def modifier(kind, **edits):
    """Return a filter that edits headers: `set` and `add` are mappings, `remove` a list."""
    body = {
        key: edit if key == 'remove' else [{'name': name, 'value': value} for name, value in edit.items()]
        for key, edit in edits.items()
    }
    return {'type': f'{kind}HeaderModifier', f'{kind[0].lower()}{kind[1:]}HeaderModifier': body}


def redirect(**body):
    """Return a filter that redirects."""
    return {'type': 'RequestRedirect', 'requestRedirect': body}


def rewrite(**body):
    """Return a filter that rewrites host or path."""
    return {'type': 'URLRewrite', 'urlRewrite': body}


def mirror(name, *, namespace=None, port=80, **part):
    """Return a filter that copies requests to a Service; `part` is a percent or fraction."""
    reference = {'name': name, 'port': port, **({'namespace': namespace} if namespace else {})}
    return {'type': 'RequestMirror', 'requestMirror': {'backendRef': reference, **part}}


def cors(**body):
    """Return a filter for requests of other origins."""
    return {'type': 'CORS', 'cors': body}


def prefix_path(value):
    """Return the path of a filter that replaces the matched prefix."""
    return {'type': 'ReplacePrefixMatch', 'replacePrefixMatch': value}


def full_path(value):
    """Return the path of a filter that replaces whole paths."""
    return {'type': 'ReplaceFullPath', 'replaceFullPath': value}


def grant(*targets, namespace, source='shop', kind='HTTPRoute', target='Service'):
    """Return a ReferenceGrant for Services, or objects of another kind of the core, of these names or all."""
    to = [{'group': '', 'kind': target, 'name': name} for name in targets] or [{'group': '', 'kind': target}]
    group = API.partition('/')[0]
    return _document(
        'ReferenceGrant', 'grant', namespace, {'from': [{'group': group, 'kind': kind, 'namespace': source}], 'to': to}
    )


GATEWAY_CLASS = {
    'apiVersion': API,
    'kind': 'GatewayClass',
    'metadata': {'name': 'headrace'},
    'spec': {'controllerName': 'headrace.io/gateway-controller'},
}


def backend_tls_policy(name, target, *, hostname='a.example.com', authorities=(), system=None, names=(), **more):
    """Return a BackendTLSPolicy for a Service, a Service and the name of its port, or a reference.

    `authorities` are names of ConfigMaps, or references; `system`: those of the system, or what is said in their place.
    """
    service, section = target if isinstance(target, tuple) else (target, None)
    reference = service if isinstance(service, dict) else {'group': '', 'kind': 'Service', 'name': service}
    refs = [
        each if isinstance(each, dict) else {'group': '', 'kind': 'ConfigMap', 'name': each} for each in authorities
    ]
    validation = {
        'hostname': hostname,
        **({'caCertificateRefs': refs} if refs else {}),
        **({'wellKnownCACertificates': 'System' if system is True else system} if system else {}),
        **({'subjectAltNames': list(names)} if names else {}),
    }
    targets = [{**reference, **({'sectionName': section} if section else {})}]
    return _document('BackendTLSPolicy', name, 'shop', {'targetRefs': targets, 'validation': validation}, **more)


OWN_NAMESPACE = 'headrace-system'
CLUSTER = replace(build_context.make(Settings()), api_server=True, own_namespace=OWN_NAMESPACE)


def slot_service(name, targets, *, namespace='shop', context=CLUSTER):
    """Return the Service that the controller keeps for a Gateway; `targets` are slots by port."""
    ref = gateway_listeners.service_of(Ref('Gateway', namespace, name), context)
    ports = [{'name': f'p{port}', 'port': port, 'targetPort': slot} for port, slot in targets.items()]
    return {
        'apiVersion': 'v1',
        'kind': 'Service',
        'metadata': {'name': ref.name, 'namespace': ref.namespace},
        'spec': {'type': 'LoadBalancer', 'ports': ports},
    }
