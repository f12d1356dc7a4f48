"""From a Service, as it is, to what it asks the address pools for."""

from functools import lru_cache

from headrace.annotations import parse
from headrace.annotations.parse import PREFIX, Annotations
from headrace.controller import gateway_services
from headrace.diagnostics import Diagnostic, shorten
from headrace.objects import fields
from headrace.objects.kinds import Service, ServicePort
from headrace.pools.requests import Foreign, Port, Request
from headrace.translate import ownership, pool_addresses
from headrace.translate.build_context import BuildContext

_LOAD_BALANCER_IP = 'spec.loadBalancerIP'


def of_service(service: Service, context: BuildContext) -> Request | Foreign | None:
    """Return what a Service asks for, or which addresses another controller gave it; None for neither."""
    annotations = parse.read(service.ref, service.annotations, service.ports)
    if pool_addresses.has_pool_address(service, annotations, context):
        return None if _is_withheld(service, annotations, context) else _request(service, annotations, context)
    # Not in the namespaces of this installation, or of another class: whose its addresses are says its status.
    return Foreign(service.ref, service.created, service.load_balancer_ips) if service.load_balancer_ips else None


def _is_withheld(service: Service, annotations: Annotations, context: BuildContext) -> bool:
    """Tell whether a Service gets no address because kube-proxy serves it, and a key protects it that kube-proxy does not know."""
    is_handed_over = service.proxy_name == context.class_name and ownership.can_be_ours(service, context)
    return not is_handed_over and bool(pool_addresses.protecting_keys(annotations))


def _request(service: Service, annotations: Annotations, context: BuildContext) -> Request:
    addresses, field, problems = _addresses(service, annotations)
    labels = dict(service.status.labels)
    is_of_gateway = labels.get(gateway_services.CLASS_LABEL) == context.class_name
    is_own = is_of_gateway and service.namespace == context.own_namespace
    pool, sharing_key = (
        str(annotations.service.get(key, '')) for key in (pool_addresses.POOL, pool_addresses.SHARING_KEY)
    )
    return Request(
        service.ref,
        service.created,
        labels.get(gateway_services.NAMESPACE_LABEL, '') if is_own else service.namespace,
        service.ip_families or (4,),
        service.status.family_policy == 'RequireDualStack',
        addresses,
        pool,
        field or (_field(pool_addresses.POOL) if pool else ''),
        sharing_key,
        repr(service.status.selector) if service.external_local else '',
        _ports(service.ports),
        service.status.labels,
        service.load_balancer_ips,
        problems,
    )


def _addresses(service: Service, annotations: Annotations) -> tuple[tuple[str, ...], str, tuple[Diagnostic, ...]]:
    """Return the addresses that a Service asks for, in which field, and what is wrong with them."""
    text, key = service.load_balancer_ip, _field(pool_addresses.ADDRESS)
    by_field = (fields.address(text),) if text and fields.address(text) else ()
    named = annotations.service.get(pool_addresses.ADDRESS)
    if isinstance(named, tuple):
        return named, key, ()
    if pool_addresses.ADDRESS in dict(service.annotations):
        message = 'what the Service asks for is no list of addresses, so it gets no other one'
        return (), key, (Diagnostic(service.ref, 'AddressNotInPool', message, key),)
    if text and not by_field:
        message = f'{shorten(text)} is no address'
        return (), _LOAD_BALANCER_IP, (Diagnostic(service.ref, 'AddressNotInPool', message, _LOAD_BALANCER_IP),)
    return by_field, _LOAD_BALANCER_IP if by_field else '', ()


@lru_cache(maxsize=4096)
def _ports(ports: tuple[ServicePort, ...]) -> frozenset[Port]:
    """Return one value for all Services with these ports: most clusters have few different ones."""
    return frozenset((str(port.protocol), port.number) for port in ports)


def _field(key: str) -> str:
    return f'metadata.annotations[{PREFIX}{key}]'
