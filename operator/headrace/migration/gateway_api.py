"""Ingresses as resources of the Gateway API: one Gateway, ListenerSets with the certificates of namespaces, and HTTPRoutes.

Pure. An Ingress is translated whole or not at all: where something of it or of another Ingress of its hosts has no
counterpart, the reason is in `refused`. What
is structure (hosts, paths, TLS, redirects to HTTPS, canaries, rewriting) becomes the API's own; other settings stay headrace's
annotations, which count on HTTPRoutes too.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from headrace.annotations.foreign.translation import CanaryRole
from headrace.migration import gateway_routes
from headrace.migration.gateway_routes import (
    MOST_LISTENERS,
    Cluster,
    Document,
    PathKey,
    Routes,
    document,
    hosts_of,
    texts_of,
)
from headrace.migration.report import IngressReport, Report
from headrace.migration.route_paths import UntranslatableError, is_by_groups
from headrace.names import Ref
from headrace.objects.ingress import IngressBackend
from headrace.objects.kinds import Service


@dataclass(frozen=True, slots=True)
class Translated:
    """The resources, what differs of Ingresses, and why others are not translated."""

    documents: tuple[Document, ...]
    remarks: tuple[tuple[Ref, str], ...]
    refused: tuple[tuple[Ref, str], ...]


def translate(report: Report, services: Iterable[Service], gateway: Ref, class_name: str) -> Translated:
    """Return what stands for the Ingresses of a report; ports that they name are looked up in `services`.

    Of a host all Ingresses are translated or none: a route of one would serve the paths of another one that is refused,
    without what protects them.
    """
    ports = {service.ref: {port.name: port.number for port in service.ports} for service in services}
    left = sorted(report.ingresses, key=lambda item: (item.ingress.created, item.ingress.ref))
    hosts = {item.ingress.ref: hosts_of(item) for item in left}
    refused: dict[Ref, str] = {}
    while True:
        cluster = Cluster(
            gateway,
            ports,
            frozenset().union(*hosts.values()),
            _class_hosts(item for item in left if item.foreign.structure.use_regex),
            _class_hosts(item for item in left if is_by_groups(texts_of(item).get('rewrite-path', ''))),
            _canaries(left),
            _certificates(left),
        )
        routes, remarks, found = _attempt(left, cluster)
        if not found:
            break
        refused |= _with_shared_hosts(found, {item.ingress.ref: hosts[item.ingress.ref] for item in left})
        left = [item for item in left if item.ingress.ref not in refused]
    documents = (_gateway(gateway, class_name), *_listener_sets(cluster), *routes) if routes else ()
    return Translated(tuple(documents), tuple(remarks), tuple(sorted(refused.items())))


def _attempt(
    reports: Iterable[IngressReport], cluster: Cluster
) -> tuple[list[Document], list[tuple[Ref, str]], dict[Ref, str]]:
    """Return the routes of Ingresses, what differs, and what has no counterpart; the oldest Ingress comes first."""
    routes: list[Document] = []
    remarks: list[tuple[Ref, str]] = []
    refused: dict[Ref, str] = {}
    for item in reports:
        builder = Routes(item, cluster)
        try:
            routes += builder.documents()
        except UntranslatableError as error:
            refused[item.ingress.ref] = str(error)
            continue
        remarks += [(item.ingress.ref, text) for text in builder.remarks]
    return routes, remarks, refused


def _with_shared_hosts(refused: Mapping[Ref, str], hosts: Mapping[Ref, frozenset[str]]) -> dict[Ref, str]:
    """Return what is refused, with all Ingresses that serve a host of it, and those that serve a host of these."""
    by_host: dict[str, list[Ref]] = {}
    for ref, names in hosts.items():
        for host in names:
            by_host.setdefault(host, []).append(ref)
    found, waiting = dict(refused), list(refused)
    for ref in waiting:
        for host in sorted(hosts[ref]):
            for other in (other for each in _serving(host) for other in by_host.get(each, ())):
                if other not in found:
                    found[other] = f'it serves hosts of {ref}, which is not translated'
                    waiting.append(other)
    return found


def _serving(host: str) -> Iterator[str]:
    """Yield the hosts of routes that serve a host: itself, and all wildcards above it."""
    yield host
    rest = host
    while rest := rest.partition('.')[2]:
        yield f'*.{rest}'


def _class_hosts(reports: Iterable[IngressReport]) -> frozenset[tuple[str, str]]:
    return frozenset((item.class_name, rule.host) for item in reports for rule in item.ingress.rules)


def _canaries(reports: Iterable[IngressReport]) -> dict[PathKey, tuple[CanaryRole, IngressBackend]]:
    """Return what takes a part of the requests of a path: the first canary of it."""
    canaries: dict[PathKey, tuple[CanaryRole, IngressBackend]] = {}
    for item in reports:
        if (role := item.foreign.structure.canary) is not None:
            for rule in item.ingress.rules:
                for path in rule.paths:
                    canaries.setdefault(gateway_routes.path_key(item.ingress, rule.host, path), (role, path))
    return canaries


def _certificates(reports: Iterable[IngressReport]) -> dict[str, dict[str, tuple[str, ...]]]:
    found: dict[str, dict[str, dict[str, None]]] = {}
    for item in reports:
        for host, secret in gateway_routes.tls_hosts(item):
            if secret:
                found.setdefault(host, {}).setdefault(item.ingress.namespace, {})[secret] = None
    return {host: {key: tuple(secrets) for key, secrets in of.items()} for host, of in found.items()}


def _gateway(gateway: Ref, class_name: str) -> Document:
    http = {'name': 'http', 'port': 80, 'protocol': 'HTTP', 'allowedRoutes': {'namespaces': {'from': 'All'}}}
    everywhere = {'namespaces': {'from': 'All'}}
    spec = {'gatewayClassName': class_name, 'listeners': [http], 'allowedListeners': everywhere}
    return document('Gateway', gateway.namespace, gateway.name, spec)


def _listener_sets(cluster: Cluster) -> Iterator[Document]:
    for namespace, hosts in sorted(cluster.listeners.items()):
        listeners = [
            {
                'name': gateway_routes.section(host),
                'port': 443,
                'protocol': 'HTTPS',
                **({'hostname': host} if host else {}),
                'tls': {'certificateRefs': [{'name': secret} for secret in secrets]},
            }
            for host, secrets in hosts.items()
        ]
        parent = {'namespace': cluster.gateway.namespace, 'name': cluster.gateway.name}
        for start in range(0, len(listeners), MOST_LISTENERS):
            spec = {'parentRef': parent, 'listeners': listeners[start : start + MOST_LISTENERS]}
            yield document('ListenerSet', namespace, gateway_routes.set_of(start), spec)
