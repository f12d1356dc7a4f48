"""References across namespaces: those that a ReferenceGrant of the other namespace allows."""

from headrace.names import Ref
from headrace.objects.reference_grants import GrantFrom
from headrace.objects.references import GATEWAY_GROUP, Reference
from headrace.store import Reader


def refusal(owner: Ref, target: Reference, reader: Reader) -> str:
    """Return why an object of the Gateway API may not refer to another one; '' where it may, as within its own namespace."""
    source = GrantFrom(GATEWAY_GROUP, owner.kind, owner.namespace)
    if target.namespace == source.namespace:
        return ''
    if any(grant.grants(source, target) for grant in reader.reference_grants(target.namespace)):
        return ''
    return (
        f'no ReferenceGrant of namespace {target.namespace} allows a {owner.kind} of {owner.namespace} '
        f'to refer to {target.ref}'
    )
