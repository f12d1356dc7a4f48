"""Builders of resources of the Gateway API with what a test does not speak of left at its default."""

GROUP = 'gateway.networking.k8s.io'


def resource(
    kind, name='web', namespace='shop', *, version='v1', annotations=None, created=None, generation=None, **spec
):
    """Return a resource of the Gateway API; annotations with their whole keys."""
    metadata = {'name': name}
    if namespace:
        metadata['namespace'] = namespace
    if annotations:
        metadata['annotations'] = annotations
    if created:
        metadata['creationTimestamp'] = created
    if generation:
        metadata['generation'] = generation
    return {'apiVersion': f'{GROUP}/{version}', 'kind': kind, 'metadata': metadata, 'spec': spec}


def gateway_class(name='headrace', controller='headrace.io/gateway-controller', **spec):
    """Return a GatewayClass."""
    return resource('GatewayClass', name, '', controllerName=controller, **spec)


def listener(name='http', port=80, protocol='HTTP', *, routes_from=None, kinds=None, **more):
    """Return a listener; `kinds` are names of kinds of routes."""
    allowed = {
        **({'namespaces': {'from': routes_from}} if routes_from else {}),
        **({'kinds': [{'kind': kind} for kind in kinds]} if kinds else {}),
    }
    return {
        'name': name,
        'port': port,
        'protocol': protocol,
        **({'allowedRoutes': allowed} if allowed else {}),
        **more,
    }


def gateway(name='public', namespace='shop', *listeners, class_name='headrace', **spec):
    """Return a Gateway, with one listener on port 80 unless others are given."""
    return resource(
        'Gateway', name, namespace, gatewayClassName=class_name, listeners=list(listeners) or [listener()], **spec
    )


def listener_set(name='more', namespace='shop', *listeners, parent='public', **spec):
    """Return a ListenerSet, with one listener on port 8080 unless others are given."""
    return resource(
        'ListenerSet',
        name,
        namespace,
        parentRef={'name': parent},
        listeners=list(listeners) or [listener('more', 8080)],
        **spec,
    )


def backend(name='web', port=80, **more):
    """Return a reference to a backend."""
    return {'name': name, 'port': port, **more}


def rule(path=None, *backends, kind='PathPrefix', **more):
    """Return a rule for a path, or of no match, with the backend `web` unless others are given."""
    matches = {'matches': [{'path': {'type': kind, 'value': path}}]} if path else {}
    return {**matches, 'backendRefs': list(backends) or [backend()], **more}


def route(kind, name='web', namespace='shop', *, parents=('public',), rules=None, **more):
    """Return a route; parents are names of Gateways, or dictionaries."""
    refs = [{'name': parent} if isinstance(parent, str) else parent for parent in parents]
    return resource(kind, name, namespace, parentRefs=refs, rules=[rule()] if rules is None else rules, **more)


def http_route(name='web', namespace='shop', **more):
    """Return an HTTPRoute."""
    return route('HTTPRoute', name, namespace, **more)


def reference_grant(name='grant', namespace='data', *, sources, targets, version='v1'):
    """Return a ReferenceGrant; sources are (group, kind, namespace), targets (group, kind) or (group, kind, name)."""
    return resource(
        'ReferenceGrant',
        name,
        namespace,
        version=version,
        **{
            'from': [dict(zip(('group', 'kind', 'namespace'), source, strict=True)) for source in sources],
            'to': [dict(zip(('group', 'kind', 'name'), target, strict=False)) for target in targets],
        },
    )
