"""Which Services have an address of a pool, and what their annotations say about it.

The address of a pool is a Service's own: kube-proxy, or the node role, leads it to the endpoints. What only the edge gives does not
hold there, so a Service that asks for the edge has the addresses of the class, and one with a key that protects it has no address
of a pool unless the node role serves it.
"""

from collections.abc import Iterable

from headrace.annotations import keys
from headrace.annotations.parse import PREFIX, Annotations
from headrace.diagnostics import Diagnostic
from headrace.objects.kinds import Service, ServiceType
from headrace.translate import exposure, ownership
from headrace.translate.build_context import BuildContext

ADDRESS, POOL, SHARING_KEY = 'address', 'address-pool', 'address-sharing-key'
_KEYS = (ADDRESS, POOL, SHARING_KEY)
# Keys that shut clients out, besides those that close what they are on where they cannot be read.
_PROTECTING = keys.CLOSING | {'rate-limit', 'connection-limit'}


def has_pool_address(service: Service, annotations: Annotations, context: BuildContext) -> bool:
    """Tell whether a Service of this class gets an address of a pool."""
    return (
        bool(context.settings.address_pools)
        and exposure.is_load_balancer(service, context)
        and exposure.is_ours(service, annotations, context)
        and not exposure.wants_edge(service, annotations, context)
        and context.exists(service.namespace)
    )


def protecting_keys(annotations: Annotations) -> tuple[str, ...]:
    """Return the keys that protect the Service and that only headrace knows, sorted."""
    found = {*annotations.common, *(key for values in annotations.by_port.values() for key in values)} & _PROTECTING
    return tuple(sorted(found.union(*annotations.closed.values())))


def judge(service: Service, annotations: Annotations, context: BuildContext) -> tuple[Diagnostic, ...]:
    """Return what is wrong with the keys of a Service of this class as far as pools are concerned."""
    if not has_pool_address(service, annotations, context):
        return tuple(_not_applicable(service, annotations, context))
    if not ownership.is_wished(service, context):
        if protecting := protecting_keys(annotations):
            return (_withheld(service, protecting[0]),)
        return tuple(_without_effect(service, annotations))
    return ()


def _not_applicable(service: Service, annotations: Annotations, context: BuildContext) -> Iterable[Diagnostic]:
    if service.type is not ServiceType.LOAD_BALANCER:
        why = 'it is for Services of type LoadBalancer'
    elif not context.settings.address_pools:
        why = 'the class has no addressPools'
    elif exposure.wants_edge(service, annotations, context):
        why = "the Service is served at the edge, whose addresses are the class's"
    else:
        why = f'the Service is not of the loadBalancerClass {PREFIX}{context.class_name}'
    for key in _KEYS:
        if key in annotations.service:
            yield _diagnostic(service, 'NotApplicable', key, why)


def _without_effect(service: Service, annotations: Annotations) -> Iterable[Diagnostic]:
    for label, values in (('', annotations.common), *annotations.by_port.items()):
        for key in sorted(values):
            name = f'{key}.{label}' if label else key
            yield _diagnostic(
                service,
                'NotApplicable',
                name,
                f'kube-proxy serves the address of the Service: it needs {PREFIX}proxy: node, or {PREFIX}enabled',
            )


def _withheld(service: Service, key: str) -> Diagnostic:
    message = (
        f'{PREFIX}{key} would not hold at an address of a pool, which kube-proxy serves: '
        f'it needs {PREFIX}proxy: node, or {PREFIX}enabled'
    )
    return Diagnostic(service.ref, 'AddressWithheld', message, f'metadata.annotations[{PREFIX}{key}]')


def _diagnostic(service: Service, reason: str, key: str, why: str) -> Diagnostic:
    return Diagnostic(service.ref, reason, f'{PREFIX}{key}: {why}', f'metadata.annotations[{PREFIX}{key}]')
