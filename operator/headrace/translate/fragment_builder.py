"""A Service's fragment while it is put together: its backends besides what all fragments have."""

from dataclasses import replace

from headrace import names
from headrace.annotations.parse import Annotations
from headrace.ir.backend import Backend, Demand, Mode
from headrace.objects.kinds import Service, ServicePort
from headrace.store import Reader
from headrace.translate import affinity, backends, tls_material
from headrace.translate.build_context import BuildContext
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.policies import Policy


class FragmentBuilder(FragmentParts):
    """The fragment of a Service at the edge while it is put together."""

    def __init__(self, service: Service, said: Annotations, reader: Reader, context: BuildContext) -> None:
        super().__init__(service.ref, service.created, reader, context)
        self.service, self.said = service, said
        # By port: whose policy it has, where ports share one.
        self.sharing: dict[str, str] = {}

    def add_backend(self, wanted: backends.BackendSpec, mode: Mode) -> Backend:
        """Add a backend of the Service, once however often it is asked for."""
        name = wanted.name(self.service.ref)
        if (held := self.backends.get(name)) is not None:
            return held
        servers = backends.edge_servers(self.service, wanted.port, self.reader, self.context)
        if wanted.ca is not None:
            self.material(wanted.ca, self.key('backend-ca-secret', wanted.port.label), 'authorities')
        wanted = replace(wanted, options=tls_material.marked(wanted.options, self.claims))
        made = backends.make(self.service, wanted, servers.groups)
        if not tls_material.can_verify(made, self.claims):
            made, servers = replace(made, groups=()), backends.Servers((), ())
        self.backends[name] = made
        self.data += backends.data(self.service, wanted, name, self.context)
        self.data += affinity.data(names.policy(self.service.ref, wanted.port.label), made.affinity)
        self.endpoint_diagnostics.update(servers.diagnostics)
        self.diagnostics += backends.judge(self.service, self.said, wanted, mode, self.context)
        return made

    def add_demanded(self, demand: Demand) -> None:
        """Add the backend that another object needs."""
        for port in self.service.ports:
            if port.label == demand.port:
                wanted = backends.demanded_spec(self.service, self.said, port, demand, self.context)
                self.add_backend(wanted, demand.mode)
                policy = Policy(names.policy(self.service.ref, port.label))
                found = backends.of_policy(policy, wanted) if not demand.values else []
                self.timeouts += [item for item in found if item not in self.timeouts]
                self.data += [entry for entry in policy.entries if entry not in self.data]

    def own_backend(self, port: ServicePort, mode: Mode, endpoint: str) -> tuple[backends.BackendSpec, Backend]:
        """Add the backend of an exposed port, whose endpoints speak `endpoint` where no annotation says otherwise."""
        wanted = backends.build_spec(
            self.service, self.said, port, mode, backends.endpoint_protocol(endpoint, mode), self.context
        )
        return wanted, self.add_backend(wanted, mode)

    def key(self, key: str, label: str) -> str:
        """Return a key as the user wrote it for a port."""
        return f'{key}.{label}' if self.said.has(key, label) else key
