"""What a fragment depends on besides objects: the class's settings, the role, and where this process runs."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from headrace.annotations import keys, values
from headrace.objects.kinds import Node, Object
from headrace.settings.settings import INSTANCE_SLOT_STEP, INSTANCE_SLOTS, Settings, SettingsError, milliseconds
from headrace.translate.endpoints import Topology


class Role(StrEnum):
    """What an agent does: the way into the cluster, or the node's stand-in for kube-proxy."""

    EDGE = 'edge'
    NODE = 'node'


@dataclass(frozen=True, slots=True)
class BuildContext:
    """The class as an agent sees it.

    `labelled`: on a node, the controller's label says which Services are chosen, and not the wish itself; `slot`: which
    of the node's sets of ports this agent has, None where it is the only one; `synthetic_key`: the secret of the node's
    stand-ins of IPv6 addresses, empty where nothing is served.
    `api_server`: the objects come from one, and not from a folder; `own_namespace`: that of this installation in a cluster; `own_addresses`: those of this machine or pod;
    `admin_ports`: the agent's own.
    `offline`: Secrets may be missing and are then replaced by stand-ins; `all_secrets`: all that the source holds may be
    read, as from a folder.
    """

    settings: Settings
    role: Role = Role.EDGE
    topology: Topology = field(default_factory=Topology)
    offline: bool = False
    all_secrets: bool = False
    snippets: frozenset[str] = frozenset()
    defaults: tuple[tuple[str, object], ...] = ()
    global_auth: tuple[tuple[str, object], ...] = ()
    labelled: bool = False
    slot: int | None = None
    synthetic_key: bytes = field(default=b'', repr=False)
    api_server: bool = False
    own_namespace: str = ''
    own_addresses: frozenset[str] = frozenset()
    admin_ports: frozenset[int] = frozenset()

    @property
    def class_name(self) -> str:
        """Return the name of the class."""
        return self.settings.class_name

    @property
    def slots(self) -> dict[str, range]:
        """Return the ports that are bound for Gateways, by protocol; none where listeners have the class's own ports.

        That is so also where the Services of Gateways, which are in the own namespace, could not be read.
        """
        is_edge = self.role is Role.EDGE and self.settings.gateway_api
        has_services = bool(self.own_namespace) and self.exists(self.own_namespace)
        return self.settings.slots() if has_services and self.settings.gateway_slots and is_edge else {}

    @property
    def tls_slots(self) -> tuple[int, ...]:
        """Return the ports that are bound for Gateways' listeners that can end TLS."""
        return (*self.slots.get('HTTPS', ()), *self.slots.get('TLS', ()))

    @property
    def node_ports(self) -> tuple[int, ...]:
        """Return the ports of the node role's listeners here."""
        return self.settings.node_ports(self.slot or 0)

    @property
    def node_health_port(self) -> int:
        """Return the port of the node role's readiness here."""
        return self.settings.node_health_port + INSTANCE_SLOT_STEP * (self.slot or 0)

    @property
    def own_ports(self) -> frozenset[int]:
        """Return the ports of this agent's listeners, but for those of `tcp_ranges`."""
        if self.role is Role.NODE:
            slots = range(INSTANCE_SLOTS) if self.slot is not None else (0,)
            ports = (port for slot in slots for port in self.settings.node_ports(slot))
            healthz = (self.settings.node_healthz_port,) if self.settings.node_healthz_port else ()
            return frozenset((*ports, self.node_health_port, *healthz, *self.admin_ports))
        return self.settings.reserved_ports() | self.admin_ports

    @property
    def tcp_ranges(self) -> tuple[tuple[int, int], ...]:
        """Return the ranges of ports of the edge's Services and Gateways, none in the node role."""
        slots = tuple((ports.start, ports.stop - 1) for ports in self.slots.values())
        return (*self.settings.ranges(), *slots) if self.role is Role.EDGE else ()

    @property
    def closed_ports(self) -> tuple[int, ...]:
        """Return the ports of all agents that may be on the node, none where there can be no other."""
        if self.slot is None:
            return ()
        return tuple(port for slot in range(INSTANCE_SLOTS) for port in self.settings.node_ports(slot))

    def may_read_secrets(self, namespace: str) -> bool:
        """Tell whether Secrets of a namespace may be read."""
        if self.offline or self.all_secrets:
            return True
        return namespace in self.settings.secrets.namespaces or '*' in self.settings.secrets.namespaces

    def placed_by(self, objects: Iterable[Object]) -> 'BuildContext':
        """Return the view with the zone that its Node has, where the Node is there and no zone was given."""
        if not self.topology.node or self.topology.zone:
            return self
        zones = [item.zone for item in objects if isinstance(item, Node) and item.name == self.topology.node]
        return replace(self, topology=Topology(self.topology.node, zones[0])) if zones else self

    def exists(self, namespace: str) -> bool:
        """Tell whether a namespace exists for this installation."""
        return not self.settings.namespaces or namespace in self.settings.namespaces

    def may_claim(self, namespace: str, host: str) -> bool:
        """Tell whether the class's host policy gives a host to a namespace."""
        return not self.settings.host_policy or self.grant(namespace, host) > 0

    def grant(self, namespace: str, host: str) -> int:
        """Return how narrowly the class's host policy gives a host to a namespace; 0 where it does not."""
        policy = self.settings.host_policy
        patterns = policy.get(namespace, policy.get('*', ()))
        return max((_narrowness(pattern) for pattern in patterns if _covers(pattern, host)), default=0)


def _narrowness(pattern: str) -> int:
    """Return a number that is greater for a narrower pattern: `*`, `*.x`, `*.a.x`, `a.x`."""
    return len(pattern) if pattern.startswith('*') else 1000


def _covers(pattern: str, host: str) -> bool:
    """Tell whether a pattern of the host policy covers a host: exact, `*.suffix` of any depth, or `*`."""
    lower = pattern.lower()
    return lower in ('*', host) or (lower.startswith('*.') and host.endswith(lower[1:]))


def make(
    settings: Settings,
    *,
    role: Role = Role.EDGE,
    topology: Topology | None = None,
    offline: bool = False,
    all_secrets: bool = False,
    snippets: frozenset[str] = frozenset(),
) -> BuildContext:
    """Return the view; raises SettingsError when a default of the class is not a key of a backend or does not parse."""
    context = BuildContext(settings, role, topology or Topology(), offline, all_secrets, snippets)
    return with_settings(context, settings)


def with_settings(context: BuildContext, settings: Settings) -> BuildContext:
    """Return a view with other settings; raises SettingsError as `make` does."""
    defaults: dict[str, object] = {}
    for name, text in settings.defaults.items():
        key = keys.BY_NAME.get(name)
        if key is None or key.scope is not keys.Scope.BACKEND:
            raise SettingsError(f'defaults: {name} is not a key of a backend')
        value = key.parse(text)
        if isinstance(value, values.Invalid):
            raise SettingsError(f'defaults: {name} must be {value.expected}')
        defaults[name] = value
    interval = defaults.get('check-interval')
    if isinstance(interval, int) and interval < milliseconds(settings.min_check_interval):
        raise SettingsError(f'defaults: check-interval is less than minCheckInterval, {settings.min_check_interval}')
    snippets = defaults.get('snippets', ())
    assert isinstance(snippets, tuple)
    if unknown := [snippet for snippet in snippets if snippet not in context.snippets]:
        raise SettingsError(f'defaults: snippets names {unknown[0]}, and there is no such snippet')
    return replace(
        context, settings=settings, defaults=tuple(sorted(defaults.items())), global_auth=_global_auth(settings)
    )


def _global_auth(settings: Settings) -> tuple[tuple[str, object], ...]:
    """Return the authentication of the class as fields of a route's settings; raises SettingsError."""
    if not settings.global_auth:
        return ()
    if 'url' not in settings.global_auth:
        raise SettingsError('globalAuth: url is missing')
    fields: dict[str, object] = {'external_auth_skip_paths': ('/.well-known/acme-challenge',)}
    for name, text in settings.global_auth.items():
        key = keys.BY_NAME.get(f'external-auth-{name}')
        if key is None or name in ('service', 'path'):
            raise SettingsError(f'globalAuth: {name} is not one of its keys')
        value = key.parse(text)
        if isinstance(value, values.Invalid):
            raise SettingsError(f'globalAuth: {name} must be {value.expected}')
        fields[key.field] = value
    return tuple(sorted(fields.items()))
