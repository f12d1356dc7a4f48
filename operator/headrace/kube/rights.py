"""Every right that headrace uses, by role: one table, with a reason for each line.

Data, and the only place that says so: the manifests, the documentation and the accounts of the tests are compared with
it, and a test holds it to what an API server's audit log saw. Nothing here is ever `*`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from headrace.kube.resources import (
    CONFIG_MAPS,
    GATEWAY_CLASSES,
    GATEWAY_RESOURCES,
    GATEWAY_STATUSES,
    INGRESS_CLASSES,
    INGRESSES,
    NAMESPACES,
    NODES,
    SECRETS,
    SERVICES,
    SLICES,
    Resource,
)
from headrace.names import DEFAULT_CLASS

# The namespace of the Leases of classes: only administrators write there.
CLASS_NAMESPACE = 'kube-system'


def class_lease(class_name: str) -> str:
    """Return the name of the Lease of a class, which the release holds that writes for it."""
    return f'headrace-class-{class_name}'


class Where(StrEnum):
    """Where a right is needed."""

    NAMESPACES = 'namespaces'  # in those of the setting `namespaces`; in the whole cluster when it is empty
    SECRETS = 'secrets'  # in those of the setting `secrets.namespaces`; the own one when it is empty
    OWN = 'own'  # in the namespace that the process runs in
    CLUSTER = 'cluster'  # not namespaced
    UNLIMITED = 'unlimited'  # not namespaced, and used only where `namespaces` is empty
    CLASS = 'class'  # where the Leases of classes are, of a controller that watches all namespaces


class When(StrEnum):
    """What a right is needed for, if not always."""

    ALWAYS = ''
    INGRESS = 'ingress'
    GATEWAY_API = 'gatewayApi'
    CONFIG_MAPS = 'gatewayApi, or allowedResponseHeaders'
    NODE_ADDRESSES = 'addressSource: node-ports, or --node without --zone'
    STATUS_OF_NODES = 'nodes among statusAddresses'
    NODE_ROLE = 'nodeRole'
    STARTUP_TAINT = 'startupTaint'
    API = '--api'
    TOKENS = '--auth token'


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: these roles use these verbs on this resource (`services/status` for a part of one).

    `names`: on these objects alone, with what is in braces (`class_name`, `agent`, `account`) filled in.
    """

    roles: tuple[str, ...]
    group: str
    resource: str
    verbs: tuple[str, ...]
    where: Where
    reason: str
    when: When = When.ALWAYS
    names: tuple[str, ...] = ()

    def document(self, class_name: str = DEFAULT_CLASS, agent: str = '', account: str = '') -> dict[str, Any]:
        """Return the line as a rule of RBAC, for an agent and its ServiceAccount where the line names them."""
        values = {'class_name': class_name, 'agent': agent, 'account': account}
        names = {'resourceNames': [name.format(**values) for name in self.names]} if self.names else {}
        return {'apiGroups': [self.group], 'resources': [self.resource], 'verbs': list(self.verbs), **names}


PODS = ('edge', 'node')
# An agent of the role edge on a host outside of the cluster, which has an account of its own.
EXTERNAL = ('external',)
EDGE = ('edge', *EXTERNAL)
AGENTS = (*PODS, *EXTERNAL)
CONTROLLER = ('controller',)
DASHBOARD = ('dashboard',)
_READ = ('list', 'watch')
_LEASES = 'coordination.k8s.io'


def _read(roles: tuple[str, ...], resource: Resource, where: Where, reason: str, when: When = When.ALWAYS) -> Rule:
    return Rule(roles, resource.group, resource.plural, _READ, where, reason, when)


RULES: tuple[Rule, ...] = (
    _read(AGENTS, SERVICES, Where.NAMESPACES, 'What is served, and how its annotations want it.'),
    _read(AGENTS, SLICES, Where.NAMESPACES, 'The endpoints that get the traffic.'),
    _read(AGENTS, SECRETS, Where.SECRETS, 'Certificates, authorities and users that annotations name.'),
    _read(EDGE, INGRESSES, Where.NAMESPACES, 'What is served by Ingresses.', When.INGRESS),
    _read(EDGE, INGRESS_CLASSES, Where.UNLIMITED, 'Which Ingresses are for this class.', When.INGRESS),
    _read(EDGE, GATEWAY_CLASSES, Where.CLUSTER, 'Which Gateways are for this class.', When.GATEWAY_API),
    *(
        _read(EDGE, resource, Where.NAMESPACES, 'What is served by the Gateway API.', When.GATEWAY_API)
        for resource in GATEWAY_RESOURCES
    ),
    _read(
        EDGE,
        NAMESPACES,
        Where.UNLIMITED,
        'The labels by which listeners select the namespaces of routes.',
        When.GATEWAY_API,
    ),
    _read(
        EDGE,
        CONFIG_MAPS,
        Where.SECRETS,
        'Authorities that certificates of clients and of backends are validated against, and headers of responses.',
        When.CONFIG_MAPS,
    ),
    _read(EDGE, NODES, Where.CLUSTER, 'Addresses of Nodes, and the zone of the own one.', When.NODE_ADDRESSES),
    _read(('node',), NODES, Where.CLUSTER, 'Addresses of Nodes, and the zone of the own one.'),
    Rule(
        PODS,
        _LEASES,
        'leases',
        ('get', 'create', 'update', 'delete'),
        Where.OWN,
        'Its own Lease: that it lives, what it has applied, and what only it can know; it takes it away at its end. '
        'Of the Leases of the controllers, the highest epoch that they have written, and who else holds the class.',
    ),
    Rule(
        EXTERNAL,
        _LEASES,
        'leases',
        ('get', 'create', 'update', 'delete'),
        Where.OWN,
        'The same of its own Lease alone: the name of a host is known, and that of a pod is not.',
        names=('{class_name}-edge-{agent}',),
    ),
    Rule(
        EXTERNAL,
        _LEASES,
        'leases',
        ('get',),
        Where.OWN,
        'The Leases of the controllers.',
        names=('{class_name}-controller', '{class_name}-class-held'),
    ),
    Rule(
        EXTERNAL,
        '',
        'serviceaccounts/token',
        ('create',),
        Where.OWN,
        'Renew its own token.',
        names=('{account}',),
    ),
    Rule(
        AGENTS,
        'authentication.k8s.io',
        'tokenreviews',
        ('create',),
        Where.CLUSTER,
        'Authenticate the tokens of requests for pages.',
        When.API,
    ),
    Rule(
        AGENTS,
        'authorization.k8s.io',
        'subjectaccessreviews',
        ('create',),
        Where.CLUSTER,
        'Whether that one may see it.',
        When.API,
    ),
    _read(CONTROLLER, SERVICES, Where.NAMESPACES, 'The objects that it judges.'),
    _read(CONTROLLER, INGRESSES, Where.NAMESPACES, 'The Ingresses that it judges.', When.INGRESS),
    _read(CONTROLLER, INGRESS_CLASSES, Where.UNLIMITED, 'Which Ingresses are for this class.', When.INGRESS),
    Rule(
        CONTROLLER,
        '',
        'services/status',
        ('patch',),
        Where.NAMESPACES,
        'Its condition and its addresses, by server-side apply.',
    ),
    Rule(
        CONTROLLER,
        INGRESSES.group,
        'ingresses/status',
        ('patch',),
        Where.NAMESPACES,
        'The addresses of Ingresses, by server-side apply.',
        When.INGRESS,
    ),
    _read(CONTROLLER, GATEWAY_CLASSES, Where.CLUSTER, 'Which Gateways are for this class.', When.GATEWAY_API),
    *(
        _read(CONTROLLER, resource, Where.NAMESPACES, 'The Gateways and routes that it judges.', When.GATEWAY_API)
        for resource in GATEWAY_RESOURCES
    ),
    _read(
        CONTROLLER,
        NAMESPACES,
        Where.UNLIMITED,
        'The labels by which listeners select the namespaces of routes.',
        When.GATEWAY_API,
    ),
    Rule(
        CONTROLLER,
        GATEWAY_CLASSES.group,
        f'{GATEWAY_CLASSES.plural}/status',
        ('patch',),
        Where.CLUSTER,
        'Whether the class is accepted, and which features it has.',
        When.GATEWAY_API,
    ),
    *(
        Rule(
            CONTROLLER,
            resource.group,
            f'{resource.plural}/status',
            ('patch',),
            Where.NAMESPACES,
            'Addresses, and conditions of listeners and routes.',
            When.GATEWAY_API,
        )
        for resource in GATEWAY_STATUSES
        if resource.namespaced
    ),
    Rule(
        CONTROLLER,
        '',
        'services',
        ('create', 'patch', 'delete'),
        Where.OWN,
        'The Services that it keeps for Gateways.',
        When.GATEWAY_API,
    ),
    Rule(
        CONTROLLER,
        SLICES.group,
        SLICES.plural,
        ('list',),
        Where.NAMESPACES,
        'The endpoints of UDPRoutes, and those that it has written for them.',
        When.GATEWAY_API,
    ),
    Rule(
        CONTROLLER,
        SLICES.group,
        SLICES.plural,
        ('create', 'patch', 'delete'),
        Where.OWN,
        'The endpoints that it writes for UDP ports of Gateways.',
        When.GATEWAY_API,
    ),
    Rule(
        CONTROLLER,
        'events.k8s.io',
        'events',
        ('get', 'create', 'patch'),
        Where.NAMESPACES,
        'Events about mistakes, and how often they have happened.',
    ),
    Rule(
        CONTROLLER,
        _LEASES,
        'leases',
        ('get', 'list', 'create', 'update'),
        Where.OWN,
        'The Lease that elects one controller, and those in which agents tell what they saw.',
    ),
    Rule(
        CONTROLLER,
        _LEASES,
        'leases',
        ('create',),
        Where.CLASS,
        'The Lease of the class, by which two releases of it notice each other; no rule can name what is to be created.',
    ),
    Rule(
        CONTROLLER,
        _LEASES,
        'leases',
        ('get', 'update', 'delete'),
        Where.CLASS,
        'That Lease alone.',
        names=(class_lease('{class_name}'),),
    ),
    _read(CONTROLLER, NODES, Where.CLUSTER, 'The addresses that it publishes.', When.STATUS_OF_NODES),
    _read(CONTROLLER, NODES, Where.CLUSTER, 'The Nodes whose agents must all have a Service.', When.NODE_ROLE),
    Rule(
        CONTROLLER,
        '',
        'services',
        ('patch',),
        Where.NAMESPACES,
        'The labels and the number by which a Service goes from kube-proxy to the nodes and back.',
        When.NODE_ROLE,
    ),
    Rule(
        CONTROLLER,
        '',
        'nodes',
        ('get', 'patch'),
        Where.CLUSTER,
        'The startup taint, which it takes from a Node whose agent serves.',
        When.STARTUP_TAINT,
    ),
    Rule(DASHBOARD, '', 'pods', ('list',), Where.OWN, 'The agents that it asks.'),
    Rule(DASHBOARD, 'headrace.io', 'agents/status', ('get',), Where.OWN, 'What agents tell to those who may see it.'),
    Rule(
        DASHBOARD,
        'authentication.k8s.io',
        'tokenreviews',
        ('create',),
        Where.CLUSTER,
        'Authenticate the tokens of users.',
        When.TOKENS,
    ),
    Rule(
        DASHBOARD,
        'authorization.k8s.io',
        'subjectaccessreviews',
        ('create',),
        Where.CLUSTER,
        'Whether users may see what agents tell.',
        When.TOKENS,
    ),
)
# Asked by kopf once at its start, and by `discovery`; every account has the right by the ClusterRole system:discovery.
DISCOVERY = (
    '/api',
    '/api/v1',
    '/apis',
    '/apis/admissionregistration.k8s.io/v1',
    '/apis/apiextensions.k8s.io/v1',
    '/apis/discovery.k8s.io/v1',
    '/apis/gateway.networking.k8s.io/v1',
    '/apis/gateway.networking.k8s.io/v1beta1',
    '/apis/networking.k8s.io/v1',
)


def rules(
    roles: Collection[str], where: Iterable[Where], when: Iterable[When] = (), agent: str = '', account: str = ''
) -> list[dict[str, Any]]:
    """Return what some roles of one process need there, as rules of RBAC: always, and for what is named."""
    places, uses = set(where), {When.ALWAYS, *when}
    return [
        rule.document(agent=agent, account=account)
        for rule in RULES
        if rule.where in places and rule.when in uses and not set(roles).isdisjoint(rule.roles)
    ]
