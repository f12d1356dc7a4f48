"""From a Service to its fragment at the edge.

Owns the order in which a Service is understood: whose it is, which ports are exposed, and then port by port (`edge_ports`).
"""

from dataclasses import replace

from headrace.annotations import keys, parse
from headrace.diagnostics import Diagnostic
from headrace.ir.backend import Backend, Demand
from headrace.ir.fragment import Fragment
from headrace.names import DEFAULT_CLASS
from headrace.objects.kinds import Service, ServiceType
from headrace.store import Reader
from headrace.translate import affinity, backends, budgets, exposure, key_dependencies, pool_addresses, tls_material
from headrace.translate.build_context import BuildContext
from headrace.translate.edge_ports import EdgePort
from headrace.translate.exposure import Exposures
from headrace.translate.fragment_builder import FragmentBuilder

# Backends of a Service with settings of objects that lead to it: each is built again with the Service.
MOST_DEMANDED = 64


def translate(
    service: Service, reader: Reader, context: BuildContext, demands: frozenset[Demand] = frozenset()
) -> Fragment | None:
    """Return the fragment of a Service, None when headrace has nothing to do with it.

    `demands` are the backends of it that others need.
    """
    if not context.exists(service.namespace):
        return None
    annotations = parse.read(service.ref, service.annotations, service.ports)
    ours = exposure.is_ours(service, annotations, context)
    exposures = exposure.expose(service, annotations, context) if ours else Exposures()
    if ours and (annotations is not parse.NO_ANNOTATIONS):
        of_pools = pool_addresses.judge(service, annotations, context)
        exposures = replace(exposures, diagnostics=(*exposures.diagnostics, *of_pools)) if of_pools else exposures
    wants_edge = ours and exposure.wants_edge(service, annotations, context)
    if wants_edge and service.type is ServiceType.EXTERNAL_NAME and not context.settings.allow_external_name:
        diagnostic = Diagnostic(
            service.ref, 'ExternalNameForbidden', 'the class does not allow ExternalName', 'spec.type'
        )
        exposures = Exposures(diagnostics=(diagnostic,))
    remarks = exposures.diagnostics or annotations.diagnostics or (wants_edge and service.problems)
    without_class = annotations.service.get('class') == '' and context.class_name == DEFAULT_CLASS
    if not demands and not without_class and not (ours and (exposures.ports or remarks)):
        return None
    return _build(FragmentBuilder(service, annotations, reader, context), exposures, demands)


def _build(builder: FragmentBuilder, exposures: Exposures, demands: frozenset[Demand]) -> Fragment:
    service, annotations, context = builder.service, builder.annotations, builder.context
    if exposures.ports:
        builder.policy_owners = budgets.shared_policies(service, annotations, exposures, context)
        if (excess := budgets.excess(service, annotations, exposures, context, builder.policy_owners)) is not None:
            diagnostics = (*annotations.diagnostics, *exposures.diagnostics, excess.diagnostic(service.ref))
            return budgets.closed(service, exposures, diagnostics, context)
    builder.diagnostics += [*service.problems, *annotations.diagnostics, *exposures.diagnostics]
    builder.endpoint_diagnostics.update(diagnostic for item in builder.reader.slices for diagnostic in item.problems)
    for exposed in exposures.ports:
        EdgePort(builder, exposed).build()
    _not_applicable(builder, exposures)
    for key, label, why in key_dependencies.missing(annotations, exposures):
        builder.say('NotApplicable', builder.key(key, label), why)
    for demand in sorted(demands)[:MOST_DEMANDED]:
        builder.add_demanded(demand)
    if len(demands) > MOST_DEMANDED:
        excess = budgets.Excess(
            'different backends that other objects ask for', len(demands), MOST_DEMANDED, 'a fixed limit'
        )
        builder.diagnostics.append(replace(excess.diagnostic(service.ref), field=''))
    return builder.fragment()


def refresh(fragment: Fragment, service: Service, reader: Reader, context: BuildContext) -> Fragment:
    """Return a fragment of which only the Service's endpoints have changed; equal to one that is built anew."""
    ports = {port.label: port for port in service.ports}
    updated: list[Backend] = []
    diagnostics = {diagnostic for item in reader.slices for diagnostic in item.problems}
    for backend in fragment.backends:
        if backend.pin:
            continue
        if backend.port not in ports:
            # The Service has become more than a budget allows, and keeps what it was.
            updated.append(backend)
            continue
        if not tls_material.has_files(backend, fragment.claims):
            updated.append(backend)
            continue
        servers = backends.edge_servers(service, ports[backend.port], reader, context)
        updated.append(backend if servers.groups == backend.groups else backend.with_groups(servers.groups))
        diagnostics.update(servers.diagnostics)
    return fragment.with_endpoints(affinity.with_pins(updated), tuple(sorted(diagnostics)))


def _not_applicable(builder: FragmentBuilder, exposures: Exposures) -> None:
    """Add a diagnostic for each key that was given in a form that no exposed port can use."""
    if not exposures.ports:
        return
    modes = {exposed.port.label: exposed.spoken.mode for exposed in exposures.ports}
    for names, mode in ((keys.HTTP_ONLY, 'http'), (keys.TCP_ONLY, 'tcp')):
        if mode not in modes.values():
            for key in builder.annotations.common.keys() & names:
                builder.say('NotApplicable', key, f'no exposed port has mode {mode}')
        for label, port_values in builder.annotations.by_port.items():
            if modes.get(label, mode) != mode:
                for key in port_values.keys() & names:
                    builder.say('NotApplicable', f'{key}.{label}', f'the port has mode {modes[label]}')
