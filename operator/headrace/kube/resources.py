"""Which kinds an agent or the controller watches, where, and by which server-side selectors.

Pure. What is not needed is not asked for, so that it needs no right: Nodes only where an address or a zone is read from
them, Secrets only in the namespaces that the settings name, Ingresses and resources of the Gateway API only at the edge of
a class that serves them.
"""

from dataclasses import dataclass, replace

from headrace.objects import registry
from headrace.objects.references import GATEWAY_GROUP
from headrace.settings.settings import Settings
from headrace.translate import ingress_class
from headrace.translate.build_context import BuildContext, Role

# Types of Secrets that hold nothing for us, and that some clusters have thousands of.
_OTHER_SECRETS = ('helm.sh/release.v1', 'kubernetes.io/service-account-token', 'kubernetes.io/dockerconfigjson')
_SECRET_FIELDS = ','.join(f'type!={kind}' for kind in _OTHER_SECRETS)


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """A kind as the API serves it, and the part of it that is watched; an optional one may not be there.

    One that is `served_with` another kind, by its version and plural, is watched only while the API serves that one.
    """

    kind: str
    group: str
    version: str
    plural: str
    namespaced: bool = True
    label_selector: str = ''
    field_selector: str = ''
    optional: bool = False
    served_with: tuple[str, str] | None = None

    @property
    def evidence(self) -> tuple[str, str]:
        """Return the version and plural of the kind that the API must serve for this one to be watched."""
        return self.served_with or (self.api_version, self.plural)

    @property
    def api_version(self) -> str:
        """Return what objects of this kind carry as `apiVersion`."""
        return f'{self.group}/{self.version}' if self.group else self.version

    def path(self, namespace: str = '') -> str:
        """Return the path of the list, of one namespace or ('') of all."""
        stem = f'/apis/{self.group}/{self.version}' if self.group else f'/api/{self.version}'
        return f'{stem}/namespaces/{namespace}/{self.plural}' if namespace else f'{stem}/{self.plural}'


@dataclass(frozen=True, slots=True)
class Scope:
    """Kinds that are watched in the same namespaces; none stands for the whole cluster."""

    resources: tuple[Resource, ...]
    namespaces: tuple[str, ...] = ()

    def paths(self) -> dict[str, Resource]:
        """Return the lists that the scope is made of, by path."""
        return {
            resource.path(namespace): resource
            for resource in self.resources
            for namespace in (self.namespaces if self.namespaces and resource.namespaced else ('',))
        }


def _of(name: str, field_selector: str = '') -> Resource:
    kind = registry.BY_NAME[name]
    return Resource(
        name, kind.group, kind.version, kind.plural, kind.namespaced, '', field_selector, optional=kind.optional
    )


SERVICES, SLICES, NODES = _of('Service'), _of('EndpointSlice'), _of('Node')
SECRETS = _of('Secret', field_selector=_SECRET_FIELDS)
INGRESSES, INGRESS_CLASSES = _of('Ingress'), _of('IngressClass')
GATEWAY_CLASSES = _of('GatewayClass')
GATEWAY_RESOURCES = tuple(
    _of(kind.name) for kind in registry.KINDS if kind.group == GATEWAY_GROUP and kind.name != GATEWAY_CLASSES.kind
)
_GATEWAYS = _of('Gateway')
# Those of the Gateway API's kinds whose status the controller writes.
GATEWAY_STATUSES = (
    GATEWAY_CLASSES,
    _GATEWAYS,
    *map(_of, ('ListenerSet', 'HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute', 'UDPRoute', 'BackendTLSPolicy')),
)
# Each namespace has one that is the same in all of them.
_CONFIG_MAP_FIELDS = 'metadata.name!=kube-root-ca.crt'
# What is read for Gateways alone: labels of namespaces that listeners select, and authorities.
NAMESPACES, CONFIG_MAPS = (
    replace(resource, optional=True, served_with=_GATEWAYS.evidence)
    for resource in (_of('Namespace'), _of('ConfigMap', field_selector=_CONFIG_MAP_FIELDS))
)
# Read for headers of responses, whether there are Gateways or not.
_HEADERS = _of('ConfigMap', field_selector=_CONFIG_MAP_FIELDS)
# The kinds whose status the controller writes.
STATUSES = (SERVICES, INGRESSES)
EVERYWHERE = '*'


def status_kinds(settings: Settings) -> tuple[Resource, ...]:
    """Return the kinds whose status the controller writes."""
    return STATUSES if settings.ingress else (SERVICES,)


def ingress_resources(context: BuildContext) -> tuple[Resource, ...]:
    """Return what is watched for Ingresses; IngressClasses, which are cluster-wide, unless namespaces are named."""
    if not context.settings.ingress:
        return ()
    return (INGRESSES, INGRESS_CLASSES) if ingress_class.reads_classes(context) else (INGRESSES,)


def gateway_resources(context: BuildContext) -> tuple[Resource, ...]:
    """Return what is watched for Gateways besides ConfigMaps; namespaces' labels only where all namespaces are watched."""
    if not context.settings.gateway_api:
        return ()
    namespaces = () if context.settings.namespaces else (NAMESPACES,)
    return (GATEWAY_CLASSES, *GATEWAY_RESOURCES, *namespaces)


def _config_maps(context: BuildContext) -> tuple[Resource, ...]:
    """Return how ConfigMaps are watched: for headers of responses always, else while there can be Gateways."""
    if context.role is not Role.EDGE:
        return ()
    if context.settings.allowed_response_headers:
        return (_HEADERS,)
    return (CONFIG_MAPS,) if context.settings.gateway_api else ()


def scopes_of(context: BuildContext) -> tuple[Scope, ...]:
    """Return what a view needs, as few scopes as its namespaces allow."""
    kinds = [SERVICES, SLICES]
    if context.role is Role.EDGE:
        kinds += [*ingress_resources(context), *gateway_resources(context)]
    if context.role is Role.NODE or context.settings.address_source == 'node-ports':
        kinds.append(NODES)
    elif context.topology.node and not context.topology.zone:
        selector = f'metadata.name={context.topology.node}'
        kinds.append(_of('Node', field_selector=selector))
    secrets = (SECRETS, *_config_maps(context))
    namespaces, readable = context.settings.namespaces, context.settings.secrets.namespaces
    if EVERYWHERE in readable:
        readable = namespaces
    elif namespaces:
        readable = tuple(name for name in readable if name in namespaces)
        if not readable:
            return (Scope(tuple(kinds), namespaces),)
    elif not readable:
        return (Scope(tuple(kinds), namespaces),)
    if sorted(readable) == sorted(namespaces):
        return (Scope((*kinds, *secrets), namespaces),)
    return (Scope(tuple(kinds), namespaces), Scope(secrets, readable))
