"""Whether the kernel or HAProxy balances a TCP port of the node role, and what a port that goes through HAProxy cannot have.

The kernel keeps the clients' addresses, and costs a connection next to nothing; what a port asks for beyond that only
HAProxy gives. `headrace.io/datapath` decides where both could.
"""

from headrace.annotations.parse import PREFIX
from headrace.objects.kinds import Service
from headrace.translate import backends
from headrace.translate.policies import Policy

# Keys that only say what serves a port, or how it is called.
CHOOSING = frozenset(('host', 'path', 'path-type', 'port'))
# What other keys may say of a port that the kernel balances: it is so there.
_GIVEN_BY_KERNEL = {'mode': ('tcp',), 'client-ip': ('none', 'preserve')}
_NO_SOURCE = (
    'HAProxy would need the right to send from any address, and pods behind a bridge would not find the way back; '
    'on a TCP port that nothing else is said of, the kernel keeps it'
)
Values = dict[str, object]


def beyond_kernel(values: Values) -> list[str]:
    """Return the keys of a port that ask for what only HAProxy gives, sorted."""
    return sorted(
        key for key, value in values.items() if key not in CHOOSING and value not in _GIVEN_BY_KERNEL.get(key, ())
    )


def by_kernel(
    service: Service, wish: object, values: Values, policy: Policy, spec: backends.BackendSpec, common: frozenset[str]
) -> bool:
    """Tell whether the kernel alone serves a TCP port, whose `values` and policy ask for nothing that only HAProxy gives.

    `wish` is what the Service says of it, None for nothing: then HAProxy serves ports that speak HTTP, but for those that keep clients
    with their endpoints. `common` are the flags that each policy of the Service has.
    """
    if wish == 'haproxy' or (wish != 'kernel' and spec.shape.mode != 'tcp' and not service.affinity_seconds):
        return False
    return not (beyond_kernel(values) or policy.flags - common or spec.options.tls is not None or spec.options.proxy)


def lacking(wish: object, label: str, values: Values, spec: backends.BackendSpec) -> dict[str, tuple[str, str]]:
    """Return, by key, reason and message of what a port asks for that it does not have, because it goes through HAProxy."""
    found: dict[str, tuple[str, str]] = {}
    keys = ', '.join(beyond_kernel(values))
    if values.get('client-ip') == 'preserve':
        others = f', and here is {keys}' if spec.shape.mode == 'tcp' and keys else ''
        found['client-ip'] = 'NotYet', f'the node role does not apply it: {_NO_SOURCE}{others}'
    if wish == 'kernel':
        why = keys or f"a default of the class, or what {PREFIX}mode makes of the port's name"
        found['datapath'] = 'NotApplicable', f'port {label} goes through HAProxy, which alone gives {why}'
    return found
