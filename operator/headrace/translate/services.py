"""From a Service to its fragment at the edge.

Owns the order in which a Service is understood: whose it is, which ports are exposed, and then port by port (`ports`).
Two steps keep it pure: `interpret` says which other objects are needed, `build` gets them in the snapshot.
"""

from dataclasses import dataclass

from headrace.annotations import parse
from headrace.annotations.parse import Annotations
from headrace.diagnostics import Diagnostic
from headrace.ir.backend import Backend, Mode
from headrace.ir.fragment import Fragment
from headrace.names import DEFAULT_CLASS, Ref
from headrace.objects.kinds import Service, ServiceType
from headrace.store import NODES, Snapshot
from headrace.translate import affinity, backends, budgets, class_fragment, exposure, key_dependencies, tls_material
from headrace.translate.build_context import BuildContext
from headrace.translate.edge_ports import EdgePort
from headrace.translate.exposure import Exposed, Exposures
from headrace.translate.fragment_builder import FragmentBuilder

Demand = tuple[str, Mode]
_HTTP_ONLY = frozenset((
    'path', 'path-type', 'hsts', 'max-body-size', 'redirect-to', 'redirect-code', 'rewrite-path', 'request-headers',
    'response-headers', 'cors-allow-origin', 'cors-allow-methods', 'cors-allow-headers', 'cors-expose-headers',
    'cors-allow-credentials', 'cors-max-age', 'canary-service', 'canary-weight', 'canary-header', 'canary-cookie',
    'timeout-client', 'tls-redirect',
))  # fmt: skip
_TCP_ONLY = frozenset(('port', 'accept-proxy'))


@dataclass(frozen=True, slots=True)
class Interpretation:
    """A Service as understood: what it says, what it exposes, and the other objects that its fragment needs."""

    service: Service
    said: Annotations
    exposures: Exposures
    needs: tuple[Ref, ...]


def interpret(
    service: Service, context: BuildContext, demands: frozenset[Demand] = frozenset()
) -> Interpretation | None:
    """Return how a Service is understood, or None when headrace has nothing to do with it."""
    if not context.exists(service.namespace):
        return None
    said = parse.read(service.ref, service.annotations, service.ports)
    ours = exposure.is_ours(service, said, context)
    exposures = exposure.expose(service, said, context) if ours else Exposures()
    asked = ours and exposure.is_asked(service, said, context)
    if asked and service.type is ServiceType.EXTERNAL_NAME and not context.settings.allow_external_name:
        diagnostic = Diagnostic(
            service.ref, 'ExternalNameForbidden', 'the class does not allow ExternalName', 'spec.type'
        )
        exposures = Exposures(diagnostics=(diagnostic,))
    remarks = exposures.diagnostics or said.diagnostics or (asked and service.problems)
    unclassed = said.service.get('class') == '' and context.class_name == DEFAULT_CLASS
    if not demands and not unclassed and not (ours and (exposures.ports or remarks)):
        return None
    needs = {ref for exposed in exposures.ports for ref in _secrets(service, said, exposed)}
    for label in (*(exposed.port.label for exposed in exposures.ports), *(label for label, _ in demands)):
        needs.update(backends.authorities(service, said, label, context))
    for exposed in exposures.ports:
        route = parse.route(said.values(exposed.port.label))
        if route.canary_service is not None:
            needs.add(Ref('Service', service.namespace, route.canary_service))
        if route.tls_redirect:
            needs.update(class_fragment.needs(context))
    if context.settings.address_source == 'node-ports':
        needs.add(NODES)
    return Interpretation(service, said, exposures, tuple(sorted(needs)))


def _secrets(service: Service, said: Annotations, exposed: Exposed) -> list[Ref]:
    values = said.values(exposed.port.label)
    keys = ('client-ca-secret', 'basic-auth-secret')
    named = [str(values[key]) for key in keys if key in values]
    named += parse.exposure(values).tls_secret or ()
    return [Ref('Secret', service.namespace, name) for name in named]


def build(
    found: Interpretation, snapshot: Snapshot, context: BuildContext, demands: frozenset[Demand] = frozenset()
) -> Fragment:
    """Return the fragment of a Service; `demands` are the ports that others need a backend for."""
    sharing = budgets.shared(found.service, found.said, found.exposures, context)
    if (excess := budgets.excess(found.service, found.said, found.exposures, context, sharing)) is not None:
        diagnostics = (*found.said.diagnostics, *found.exposures.diagnostics, excess.diagnostic(found.service.ref))
        return budgets.closed(found.service, found.exposures, found.needs, diagnostics, context)
    builder = FragmentBuilder(found.service, found.said, snapshot, context)
    builder.sharing = sharing
    builder.diagnostics += [*found.service.problems, *found.said.diagnostics, *found.exposures.diagnostics]
    builder.endpoint_diagnostics.update(diagnostic for piece in snapshot.slices for diagnostic in piece.problems)
    for exposed in found.exposures.ports:
        EdgePort(builder, exposed).build()
    _not_applicable(builder, found.exposures)
    for key, label, why in key_dependencies.missing(found.said, found.exposures):
        builder.say('NotApplicable', builder.key(key, label), why)
    for label, mode in sorted(demands):
        builder.demanded(label, mode)
    return builder.fragment(found.needs)


def refresh(held: Fragment, service: Service, snapshot: Snapshot, context: BuildContext) -> Fragment:
    """Return a fragment of which only the Service's endpoints have changed; equal to one that is built anew."""
    ports = {port.label: port for port in service.ports}
    made: list[Backend] = []
    diagnostics = {diagnostic for piece in snapshot.slices for diagnostic in piece.problems}
    for backend in held.backends:
        if backend.pin:
            continue
        if backend.port not in ports:
            # The Service has become more than a budget allows, and keeps what it was.
            made.append(backend)
            continue
        if not tls_material.can_verify(backend, held.claims):
            made.append(backend)
            continue
        servers = backends.edge_servers(service, ports[backend.port], snapshot, context)
        made.append(backend if servers.groups == backend.groups else backend.with_groups(servers.groups))
        diagnostics.update(servers.diagnostics)
    return held.with_endpoints(affinity.with_pins(made), tuple(sorted(diagnostics)))


def _not_applicable(builder: FragmentBuilder, exposures: Exposures) -> None:
    """Add a diagnostic for each key that was given in a form that no exposed port can use."""
    modes = {exposed.port.label: exposed.spoken.mode for exposed in exposures.ports}
    for keys, mode in ((_HTTP_ONLY, 'http'), (_TCP_ONLY, 'tcp')):
        if modes and mode not in modes.values():
            for key in builder.said.common.keys() & keys:
                builder.say('NotApplicable', key, f'no exposed port has mode {mode}')
        for label, given in builder.said.by_port.items():
            if modes.get(label, mode) != mode:
                for key in given.keys() & keys:
                    builder.say('NotApplicable', f'{key}.{label}', f'the port has mode {modes[label]}')
