"""Who serves a Service's own addresses: kube-proxy, or this node.

Pure. The wish is an annotation; in a cluster the controller turns it into the labels by which agents choose, one step
at a time.
"""

from headrace.names import DEFAULT_CLASS, Ref
from headrace.objects.kinds import Service, ServiceType
from headrace.translate.build_context import BuildContext

_API = Ref('Service', 'default', 'kubernetes')


def is_ours(service: Service, context: BuildContext) -> bool:
    """Tell whether a Service is to be served in kube-proxy's stead: it asks for it, or carries our proxy name."""
    if not can_be_ours(service, context):
        return False
    if service.proxy_name is not None:
        return service.proxy_name == context.class_name
    if context.labelled:
        return service.chosen == context.class_name
    return is_wished(service, context)


def can_be_ours(service: Service, context: BuildContext) -> bool:
    """Tell whether a Service is one that kube-proxy serves, and that may be taken over."""
    if service.ref == _API or not service.cluster_ips or service.headless or service.type is ServiceType.EXTERNAL_NAME:
        return False
    return context.exists(service.namespace)


def is_wished(service: Service, context: BuildContext) -> bool:
    """Tell whether a Service asks for the node role of this class, be it able to have it or not."""
    annotations = dict(service.annotations)
    return (
        annotations.get('proxy', '').strip() == 'node'
        and annotations.get('class', DEFAULT_CLASS).strip() == context.class_name
    )


def is_leaving(service: Service, context: BuildContext) -> bool:
    """Tell whether a Service is about to go back: it does not stay, and kube-proxy has been told."""
    return context.labelled and service.proxy_name is None and not is_wished(service, context)
