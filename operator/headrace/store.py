"""The store: the objects as last seen, and what has changed since the last `take`.

Promises: `put` and `drop` cost as much as the object, never as the cluster; a reader records all that a fragment is made
from. Slices are kept under their Service's key, because endpoints move between slices.
"""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, cast

from headrace.names import Ref
from headrace.objects import annotation_budget, registry
from headrace.objects.annotation_budget import AnnotationBudget
from headrace.objects.backend_tls_policies import BackendTLSPolicy
from headrace.objects.gateways import Gateway, ListenerSet
from headrace.objects.grpc_routes import GRPCRoute
from headrace.objects.http_routes import HTTPRoute
from headrace.objects.ingress import Ingress, IngressClass
from headrace.objects.kinds import (
    DEFAULT_INGRESS_CLASS,
    NODES,
    ConfigMap,
    Endpoints,
    Node,
    Object,
    Secret,
    Service,
    Slice,
)
from headrace.objects.l4_routes import TCPRoute, TLSRoute, UDPRoute
from headrace.objects.reference_grants import ReferenceGrant
from headrace.settings.settings import Settings

# What stands for the Service that has an address as a ClusterIP: `Ref(CLUSTER_IP, '', ADDRESS)`.
CLUSTER_IP = 'ClusterIP'
# The kinds of objects that fragments are made of.
OfEdge = Ingress | Gateway | ListenerSet | HTTPRoute | GRPCRoute | BackendTLSPolicy | TCPRoute | TLSRoute | UDPRoute
Translated = Service | OfEdge
TRANSLATED = frozenset((
    'Service', 'Ingress', 'Gateway', 'ListenerSet', 'HTTPRoute', 'GRPCRoute', 'BackendTLSPolicy', 'TCPRoute', 'TLSRoute',
    'UDPRoute',
))  # fmt: skip
_Value = TypeVar('_Value')


class Store:
    """Objects by reference. Not thread-safe; one task owns it."""

    def __init__(self, most_annotation_bytes: int = Settings().max_annotation_bytes_per_namespace) -> None:
        self._objects: dict[Ref, Object] = {}
        self._annotations = AnnotationBudget(most_annotation_bytes)
        # Objects that are kept without their annotations.
        self._omitted: set[Ref] = set()
        self._slices: dict[tuple[str, str], tuple[Slice, ...]] = {}
        self._nodes: tuple[Node, ...] | None = None
        self._dirty: set[Ref] = set()
        self._statuses: set[Ref] = set()
        # Whose each ClusterIP is, once any is asked for.
        self._owners: dict[str, tuple[Ref, ...]] | None = None
        self._default_classes: dict[Ref, IngressClass] = {}
        # By group: its members. None is kept empty.
        self._groups: dict[Ref, dict[Ref, Any]] = {}
        # By host: how many Ingresses make its paths regular expressions.
        self._expressions: Counter[Ref] = Counter()

    def put(self, item: Object) -> bool:
        """Keep an object, new or changed; return whether it differs from what was kept."""
        ref = item.ref
        if isinstance(item, Service | Ingress):
            item = self._within_budget(item)
        previous = self._objects.get(ref)
        if previous == item:
            return self._keep_status(item, previous)
        self._objects[ref] = item
        if isinstance(previous, Slice):
            self._forget(previous)
        if isinstance(item, Slice):
            self._keep(item)
        self._mark(ref, previous, item)
        return True

    def _within_budget(self, item: Service | Ingress) -> Service | Ingress:
        """Return an object as it is kept: without its annotations where its namespace has no room for them."""
        for ref in self._annotations.note(item.ref, item) - {item.ref}:
            other = self._objects[ref]
            assert isinstance(other, Service | Ingress)
            self._objects[ref] = annotation_budget.without(other)
            self._omitted.add(ref)
            self._mark(ref, other, self._objects[ref])
        if self._annotations.has_room(item.ref):
            self._omitted.discard(item.ref)
            return item
        self._omitted.add(item.ref)
        return annotation_budget.without(item)

    def incomplete(self) -> list[Ref]:
        """Return the objects that are kept without their annotations though there is room for them now: read them again."""
        return [ref for ref in self._omitted if self._annotations.has_room(ref)]

    def _keep_status(self, item: Object, previous: Object) -> bool:
        """Keep an object that differs by its status alone, which no fragment reads; return whether it does."""
        status = getattr(item, 'status', None)
        if status is None or status == getattr(previous, 'status', None):
            return False
        self._objects[item.ref] = item
        self._statuses.add(item.ref)
        return True

    def take_statuses(self) -> frozenset[Ref]:
        """Return the objects of which the status alone has changed since the last call."""
        refs = frozenset(self._statuses)
        self._statuses.clear()
        return refs

    def drop(self, ref: Ref) -> bool:
        """Forget an object; return whether it was kept."""
        previous = self._objects.pop(ref, None)
        if previous is None:
            return False
        if isinstance(previous, Service | Ingress):
            self._annotations.note(ref, None)
            self._omitted.discard(ref)
        if isinstance(previous, Slice):
            self._forget(previous)
        self._mark(ref, previous, None)
        return True

    def take(self) -> frozenset[Ref]:
        """Return the references of all that changed since the last call: a slice counts as a change of its Service's endpoints.

        Changed endpoints of the Service NAMESPACE/NAME are returned as `Ref('EndpointSlice', NAMESPACE, NAME)`; changed
        Nodes also as the one reference `NODES`, for those that read them all; and ClusterIPs, once a reader has looked one up.
        An IngressClass that is a default one, or was, is also `DEFAULT_INGRESS_CLASS`.
        """
        refs = frozenset(self._dirty)
        self._dirty.clear()
        return refs

    def slices(self, service: Ref) -> tuple[Slice, ...]:
        """Return the slices of a Service, by name; those mirrored from Endpoints when it has no others."""
        slices = self._slices.get((service.namespace, service.name), ())
        if slices:
            return slices
        endpoints = self._objects.get(Ref('Endpoints', service.namespace, service.name))
        return endpoints.slices if isinstance(endpoints, Endpoints) else ()

    def owner(self, address: str) -> Service | None:
        """Return the Service with a ClusterIP; in a folder several can have the same one."""
        if self._owners is None:
            self._owners = {}
            for ref in self.services():
                self._note_owner(self._owners, ref, None, self.get(ref, Service))
        refs = self._owners.get(address)
        return self.get(refs[0], Service) if refs else None

    def _note_owner(
        self, owners: dict[str, tuple[Ref, ...]], ref: Ref, old: Object | None, new: Object | None
    ) -> set[str]:
        """Note the ClusterIPs of a Service, and return those that have come or gone."""
        before = set(old.cluster_ips if isinstance(old, Service) else ())
        after = set(new.cluster_ips if isinstance(new, Service) else ())
        for address in before ^ after:
            rest = tuple(each for each in owners.get(address, ()) if each != ref)
            owners[address] = (*rest, ref) if address in after else rest
            if not owners[address]:
                del owners[address]
        return before ^ after

    @contextlib.contextmanager
    def showing(self, earlier: Iterable[Object]) -> Iterator[None]:
        """Show objects other than slices and Nodes as they were earlier, within this block; nothing becomes dirty."""
        items = {item.ref: item for item in earlier}
        originals = {ref: self._objects.get(ref) for ref in items}
        self._objects.update(items)
        try:
            yield
        finally:
            for ref, item in originals.items():
                if item is None:
                    del self._objects[ref]
                else:
                    self._objects[ref] = item

    def services(self) -> list[Ref]:
        """Return the references of all Services."""
        return [ref for ref in self._objects if ref.kind == 'Service']

    def translated(self) -> list[Ref]:
        """Return the references of all objects that fragments are made of."""
        return [ref for ref in self._objects if ref.kind in TRANSLATED]

    def source(self, ref: Ref) -> Translated | None:
        """Return an object that a fragment is made of, or None when there is none."""
        # By the kind, since to look a type up among ten takes ten times as long.
        return cast('Translated | None', self._objects.get(ref)) if ref.kind in TRANSLATED else None

    def get(self, ref: Ref, kind: type[_Value]) -> _Value | None:
        """Return the object of this reference, or None when there is none of this type."""
        item = self._objects.get(ref)
        return item if isinstance(item, kind) else None

    def objects(self) -> Iterable[Object]:
        """Return all objects, in no order."""
        return self._objects.values()

    def nodes(self) -> tuple[Node, ...]:
        """Return all Nodes, by name."""
        if self._nodes is None:
            nodes = [item for item in self._objects.values() if isinstance(item, Node)]
            self._nodes = tuple(sorted(nodes, key=lambda node: node.name))
        return self._nodes

    def default_ingress_class(self) -> IngressClass | None:
        """Return the default IngressClass: of several the newest, as API servers take it; None when there is none."""
        classes = sorted(self._default_classes.values(), key=lambda item: item.name)
        return max(classes, key=lambda item: item.created, default=None)

    def _mark(self, ref: Ref, old: Object | None, new: Object | None) -> None:
        if self._owners is not None and ref.kind == 'Service':
            addresses = self._note_owner(self._owners, ref, old, new)
            self._dirty.update(Ref(CLUSTER_IP, '', address) for address in addresses)
        if ref.kind == 'Node':
            self._nodes = None
        elif ref.kind == 'IngressClass':
            self._default_classes.pop(ref, None)
            if isinstance(new, IngressClass) and new.is_default:
                self._default_classes[ref] = new
        elif ref.kind == 'Ingress':
            self._note_expressions(ref.namespace, old, new)
        self._note_groups(ref, old, new)
        self._dirty.update(registry.touched(old, new))

    def _note_groups(self, ref: Ref, old: Object | None, new: Object | None) -> None:
        """Note the groups that an object is a member of; what reads all of a group changes with each of its members."""
        before, after = set(registry.groups(old)), set(registry.groups(new))
        for key in before - after:
            del self._groups[key][ref]
            if not self._groups[key]:
                del self._groups[key]
        for key in after:
            self._groups.setdefault(key, {})[ref] = new
        self._dirty |= before | after

    def _note_expressions(self, namespace: str, old: Object | None, new: Object | None) -> None:
        """Count who makes paths regular expressions; what reads of a host whether anything does changes with the first and last."""
        before = old.expression_hosts if isinstance(old, Ingress) else frozenset()
        after = new.expression_hosts if isinstance(new, Ingress) else frozenset()
        for each in before ^ after:
            ref = registry.expressions(namespace, *each)
            self._expressions[ref] += 1 if each in after else -1
            if not self._expressions[ref]:
                del self._expressions[ref]
            if self._expressions[ref] <= (each in after):
                self._dirty.add(ref)

    def has_expressions(self, ref: Ref) -> bool:
        """Tell whether any Ingress makes the paths of a host, as `registry.expressions` names it, regular expressions."""
        return ref in self._expressions

    def members(self, group: Ref, kind: type[_Value]) -> tuple[_Value, ...]:
        """Return the objects of a group, as `registry` names it, the oldest first."""
        items = self._groups.get(group, {}).values()
        return tuple(sorted((item for item in items if isinstance(item, kind)), key=_age))

    def _keep(self, new: Slice) -> None:
        if new.service:
            key = (new.namespace, new.service)
            rest = self._slices.get(key)
            slices = (*rest, new) if rest else (new,)
            self._slices[key] = tuple(sorted(slices, key=lambda item: item.name)) if rest else slices

    def _forget(self, old: Slice) -> None:
        key = (old.namespace, old.service)
        rest = tuple(item for item in self._slices.get(key, ()) if item.name != old.name)
        if rest:
            self._slices[key] = rest
        else:
            self._slices.pop(key, None)


def _age(item: Any) -> tuple[str, str, str]:
    """Return what orders objects of a group: when they were created, and namespace and name."""
    return item.created, item.namespace, item.name


class Reader:
    """Reads a store for the fragment of one object, and records which other objects the fragment is made from.

    The object's own slices are not recorded: the store marks a change of them by their Service.
    """

    __slots__ = ('_needs', '_store', 'ref', 'slices')

    def __init__(self, store: Store, ref: Ref) -> None:
        self._store, self.ref = store, ref
        self._needs: set[Ref] = set()
        # A Service's slices, by name.
        self.slices: tuple[Slice, ...] = store.slices(ref) if ref.kind == 'Service' else ()

    @property
    def needs(self) -> tuple[Ref, ...]:
        """Return what has been read besides the object itself, sorted; what does not exist is among it."""
        return tuple(sorted(self._needs))

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Return all Nodes, by name."""
        self._needs.add(NODES)
        return self._store.nodes()

    def get(self, ref: Ref, kind: type[_Value]) -> _Value | None:
        """Return another object, or None when there is none of this type."""
        self._needs.add(ref)
        return self._store.get(ref, kind)

    def secret(self, ref: Ref) -> Secret | None:
        """Return a Secret, or None when there is none."""
        return self.get(ref, Secret)

    def config_map(self, ref: Ref) -> ConfigMap | None:
        """Return a ConfigMap, or None when there is none."""
        return self.get(ref, ConfigMap)

    def other_service(self, ref: Ref) -> Service | None:
        """Return another Service, or None when there is none."""
        return self.get(ref, Service)

    def ingress_class(self, name: str) -> IngressClass | None:
        """Return an IngressClass, or None when there is none."""
        return self.get(Ref('IngressClass', '', name), IngressClass)

    @property
    def default_ingress_class(self) -> IngressClass | None:
        """Return the IngressClass of Ingresses that name none, or None when there is none."""
        self._needs.add(DEFAULT_INGRESS_CLASS)
        return self._store.default_ingress_class()

    def reference_grants(self, namespace: str) -> tuple[ReferenceGrant, ...]:
        """Return the ReferenceGrants of a namespace, the oldest first."""
        return self.members(registry.grants_of(namespace), ReferenceGrant)

    def canaries(self, host: str) -> tuple[Ingress, ...]:
        """Return the canary Ingresses of a host in the object's namespace, the oldest first."""
        return self.members(registry.canaries(self.ref.namespace, host), Ingress)

    def members(self, group: Ref, kind: type[_Value]) -> tuple[_Value, ...]:
        """Return the objects of a group, as `registry` names it, the oldest first."""
        self._needs.add(group)
        return self._store.members(group, kind)

    def has_expressions(self, ingress: Ingress, host: str) -> bool:
        """Tell whether any Ingress of the same class and namespace makes the paths of a host regular expressions."""
        ingress_class = ingress.class_name or ingress.class_annotation or ''
        ref = registry.expressions(ingress.namespace, ingress_class, host)
        self._needs.add(ref)
        return self._store.has_expressions(ref)

    def owner(self, address: str) -> Service | None:
        """Return the Service that has an address as a ClusterIP, or None when there is none."""
        self._needs.add(Ref(CLUSTER_IP, '', address))
        return self._store.owner(address)
