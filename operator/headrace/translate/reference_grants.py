"""References across namespaces: those that a ReferenceGrant of the other namespace allows."""

from headrace.objects.reference_grants import GrantFrom
from headrace.objects.references import Reference
from headrace.store import Reader


def is_granted(source: GrantFrom, target: Reference, reader: Reader) -> bool:
    """Tell whether an object may refer to another one: of its own namespace, or of one that grants it."""
    if target.namespace == source.namespace:
        return True
    return any(grant.grants(source, target) for grant in reader.reference_grants(target.namespace))
