"""A Service's fragment while it is put together: its backends besides what all fragments have."""

from dataclasses import replace

from headrace import names
from headrace.annotations.parse import Annotations
from headrace.ir.backend import Backend, Demand, Mode
from headrace.objects.kinds import Service, ServicePort
from headrace.store import Reader
from headrace.translate import affinity, backend_tls, backends, tls_material
from headrace.translate.build_context import BuildContext
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.policies import Policy


class FragmentBuilder(FragmentParts):
    """The fragment of a Service at the edge while it is put together."""

    def __init__(self, service: Service, annotations: Annotations, reader: Reader, context: BuildContext) -> None:
        super().__init__(service.ref, service.created, reader, context)
        self.service, self.annotations = service, annotations
        # By port: whose policy it has, where ports share one.
        self.policy_owners: dict[str, str] = {}

    def add_backend(self, spec: backends.BackendSpec, mode: Mode) -> Backend:
        """Add a backend of the Service, once however often it is asked for."""
        name = spec.name(self.service.ref)
        if (current := self.backends.get(name)) is not None:
            return current
        servers = backends.edge_servers(self.service, spec.port, self.reader, self.context)
        if spec.ca is not None:
            self.material(spec.ca, self.key('backend-ca-secret', spec.port.label), 'authorities')
        spec = replace(spec, options=tls_material.mark(spec.options, self.claims))
        backend = backends.make(self.service, spec, servers.groups)
        if not tls_material.has_files(backend, self.claims):
            backend, servers = replace(backend, groups=()), backends.Servers((), ())
        self.backends[name] = backend
        self.data += backends.data(self.service, spec, name, self.context)
        self.data += affinity.data(names.policy(self.service.ref, spec.port.label), backend.affinity)
        self.endpoint_diagnostics.update(servers.diagnostics)
        self.diagnostics += backends.judge(self.service, self.annotations, spec, mode, self.context)
        return backend

    def add_demanded(self, demand: Demand) -> None:
        """Add the backend that another object needs."""
        for port in self.service.ports:
            if port.label == demand.port:
                spec = backends.demanded_spec(self.service, self.annotations, port, demand, self.context)
                self._claim_files(demand, port)
                self.add_backend(spec, demand.mode)
                policy = Policy(names.policy(self.service.ref, port.label))
                timeouts = backends.of_policy(policy, spec) if not demand.values else []
                self.timeouts += [item for item in timeouts if item not in self.timeouts]
                self.data += [entry for entry in policy.entries if entry not in self.data]

    def _claim_files(self, demand: Demand, port: ServicePort) -> None:
        """Claim the files by which another object speaks TLS to the endpoints; what is wrong with one, its owner says."""
        if (secret := backends.certificate_of(demand)) is not None:
            claim = tls_material.claim(secret, '', 'certificate', self.reader, self.context, lambda *_: None)
            self.claims += [claim] if claim is not None else []
        if backends.tls_of(demand) is not None:
            tls = backend_tls.of_port(self.service, port.name, self.reader, self.context)
            self.claims += [tls.authority] if tls is not None and tls.authority is not None else []

    def own_backend(self, port: ServicePort, mode: Mode, endpoint: str) -> tuple[backends.BackendSpec, Backend]:
        """Add the backend of an exposed port, whose endpoints speak `endpoint` where no annotation says otherwise."""
        spec = backends.build_spec(
            self.service, self.annotations, port, mode, backends.endpoint_protocol(endpoint, mode), self.context
        )
        return spec, self.add_backend(spec, mode)

    def key(self, key: str, label: str) -> str:
        """Return a key as the user wrote it for a port."""
        return f'{key}.{label}' if self.annotations.has(key, label) else key
