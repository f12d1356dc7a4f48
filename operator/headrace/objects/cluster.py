"""Reading Nodes and Namespaces."""

from headrace.objects import fields
from headrace.objects.kinds import Namespace, Node

ZONE_LABEL = 'topology.kubernetes.io/zone'
EXCLUDE_LABEL = 'node.kubernetes.io/exclude-from-external-load-balancers'
AUTOSCALER_TAINT = 'ToBeDeletedByClusterAutoscaler'


def read_node(_: str, name: str, document: fields.Document) -> Node:
    """Return the Node of a document whose name is valid."""
    labels = fields.mapping(fields.mapping(document, 'metadata'), 'labels')
    status = fields.mapping(document, 'status')
    conditions = fields.documents(status, 'conditions')
    ready = [fields.text(condition, 'status') for condition in conditions if condition.get('type') == 'Ready']
    internal: dict[int, str] = {}
    for kind in ('InternalIP', 'ExternalIP'):
        for entry in fields.documents(status, 'addresses'):
            if entry.get('type') == kind and (address := fields.address(fields.text(entry, 'address'))):
                internal.setdefault(fields.family(address), address)
    return Node(
        name=name,
        zone=fields.text(labels, ZONE_LABEL),
        addresses=tuple(internal[family] for family in sorted(internal)),
        usable=ready == ['True'] and EXCLUDE_LABEL not in labels,
        pods=_pod_networks(document),
        eligible=_is_eligible(document),
    )


def _is_eligible(document: fields.Document) -> bool:
    taints = fields.documents(fields.mapping(document, 'spec'), 'taints')
    tainted = any(taint.get('key') == AUTOSCALER_TAINT for taint in taints)
    return not tainted and not fields.mapping(document, 'metadata').get('deletionTimestamp')


def _pod_networks(document: fields.Document) -> tuple[str, ...]:
    """Return the networks that the cluster has given to the pods of a Node."""
    spec = fields.mapping(document, 'spec')
    texts = fields.texts(spec, 'podCIDRs') or (fields.text(spec, 'podCIDR'),)
    return tuple(network for text in texts if (network := fields.network(text)))


def read_namespace(_: str, name: str, document: fields.Document) -> Namespace:
    """Return the Namespace of a document whose name is valid."""
    return Namespace(name=name, labels=fields.labels(fields.mapping(document, 'metadata')))
