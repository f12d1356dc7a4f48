"""Ingresses as resources of the Gateway API: one Gateway, ListenerSets with the certificates of namespaces, and HTTPRoutes.

Pure. An Ingress is translated whole or not at all: where something of it has no counterpart, the reason is in `refused`. What
is structure (hosts, paths, TLS, redirects to HTTPS, canaries, rewriting) becomes the API's own; other settings stay headrace's
annotations, which count on HTTPRoutes too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from headrace.annotations.foreign.translation import CanaryRole
from headrace.migration import gateway_routes
from headrace.migration.gateway_routes import MOST_LISTENERS, Cluster, Document, PathKey, Routes, document
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
    """Return what stands for the Ingresses of a report; ports that they name are looked up in `services`."""
    cluster = Cluster(
        gateway,
        {service.ref: {port.name: port.number for port in service.ports} for service in services},
        _hosts_of(item for item in report.ingresses if item.foreign.structure.use_regex),
        _hosts_of(item for item in report.ingresses if is_by_groups(dict(item.foreign.texts).get('rewrite-path', ''))),
        _canaries(report.ingresses),
        _certificates(report.ingresses),
    )
    routes: list[Document] = []
    remarks: list[tuple[Ref, str]] = []
    refused: list[tuple[Ref, str]] = []
    for item in report.ingresses:
        builder = Routes(item, cluster)
        try:
            routes += builder.documents()
        except UntranslatableError as error:
            refused.append((item.ingress.ref, str(error)))
            continue
        remarks += [(item.ingress.ref, text) for text in builder.remarks]
    documents = (_gateway(gateway, class_name), *_listener_sets(cluster), *routes) if routes else ()
    return Translated(tuple(documents), tuple(remarks), tuple(refused))


def _hosts_of(reports: Iterable[IngressReport]) -> frozenset[tuple[str, str]]:
    return frozenset((item.class_name, rule.host) for item in reports for rule in item.ingress.rules)


def _canaries(reports: Iterable[IngressReport]) -> dict[PathKey, tuple[CanaryRole, IngressBackend]]:
    """Return what takes a part of the requests of a path: the oldest canary of it."""
    canaries: dict[PathKey, tuple[CanaryRole, IngressBackend]] = {}
    for item in sorted(reports, key=lambda item: (item.ingress.created, item.ingress.ref)):
        if (role := item.foreign.structure.canary) is not None:
            for rule in item.ingress.rules:
                for path in rule.paths:
                    canaries.setdefault(gateway_routes.path_key(item.ingress, rule.host, path), (role, path))
    return canaries


def _certificates(reports: Iterable[IngressReport]) -> dict[tuple[str, str], tuple[str, ...]]:
    found: dict[tuple[str, str], dict[str, None]] = {}
    for item in reports:
        for host, secret in gateway_routes.tls_hosts(item):
            if secret:
                found.setdefault((item.ingress.namespace, host), {})[secret] = None
    return {key: tuple(secrets) for key, secrets in found.items()}


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
