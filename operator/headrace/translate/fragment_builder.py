"""A Service's fragment while it is put together: its backends, claims, data and diagnostics so far."""

from dataclasses import replace

from headrace import names
from headrace.annotations.parse import PREFIX, Annotations
from headrace.diagnostics import Diagnostic
from headrace.ir.backend import Backend, Mode
from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.policy import Entry, HeaderEdits, Timeouts, Userlist
from headrace.ir.routing import Canary, Split
from headrace.names import Ref
from headrace.objects.kinds import Service, ServicePort
from headrace.store import Reader
from headrace.translate import affinity, backends, exposure, policies, tls_material
from headrace.translate.build_context import BuildContext
from headrace.translate.policies import Policy


class FragmentBuilder:
    """A fragment while it is put together."""

    def __init__(self, service: Service, said: Annotations, reader: Reader, context: BuildContext) -> None:
        self.service, self.said, self.reader, self.context = service, said, reader, context
        self.claims: list[Claim] = []
        self.data: list[Entry] = []
        self.backends: dict[str, Backend] = {}
        self.headers: list[HeaderEdits] = []
        self.timeouts: list[Timeouts] = []
        self.userlists: list[Userlist] = []
        self.leads: list[Canary | Split] = []
        self.demands: set[tuple[Ref, str, Mode]] = set()
        self.diagnostics: list[Diagnostic] = []
        self.endpoint_diagnostics: set[Diagnostic] = set()
        # By port: whose policy it has, where ports share one.
        self.sharing: dict[str, str] = {}

    def say(self, reason: str, key: str, message: str) -> None:
        """Add a diagnostic about one of the Service's annotations."""
        field = f'metadata.annotations[{PREFIX}{key}]'
        self.diagnostics.append(Diagnostic(self.service.ref, reason, f'{PREFIX}{key}: {message}', field))

    def add_backend(self, port: ServicePort, mode: Mode, endpoint: str) -> tuple[backends.Wanted, Backend]:
        """Add the backend of a port, once however often it is asked for."""
        wanted = backends.want(self.service, self.said, port, mode, endpoint, self.context)
        name = wanted.name(self.service.ref)
        if (held := self.backends.get(name)) is not None:
            return wanted, held
        servers = backends.edge_servers(self.service, port, self.reader, self.context)
        if wanted.ca is not None:
            self.material(wanted.ca, self.key('backend-ca-secret', port.label), 'authorities')
        wanted = replace(wanted, options=tls_material.marked(wanted.options, self.claims))
        made = backends.make(self.service, wanted, servers.groups)
        if not tls_material.can_verify(made, self.claims):
            made, servers = replace(made, groups=()), backends.Servers((), ())
        self.backends[name] = made
        self.data += backends.data(self.service, wanted, name, self.context)
        policy = names.policy(self.service.ref, port.label)
        self.data += [entry for entry in affinity.data(policy, made.affinity) if entry not in self.data]
        self.endpoint_diagnostics.update(servers.diagnostics)
        self.diagnostics += [*backends.judge(self.service, self.said, wanted, mode, self.context)]
        return wanted, made

    def demanded(self, label: str, mode: Mode) -> None:
        """Add the backend that another object needs."""
        for port in self.service.ports:
            if port.label == label:
                endpoint = exposure.spoken(port, None, has_host=False, asked=mode == 'http').endpoint
                wanted, _ = self.add_backend(port, mode, fitting(endpoint, mode))
                found = of_backend(Policy(names.policy(self.service.ref, label)), wanted)
                self.timeouts += [item for item in found if item not in self.timeouts]

    def key(self, key: str, label: str) -> str:
        """Return a key as the user wrote it for a port."""
        return f'{key}.{label}' if self.said.says(key, label) else key

    def material(self, secret: Ref, key: str, kind: str) -> str:
        """Claim the file with a Secret's certificate or authorities; return its name, '' if there is none."""
        claim = tls_material.claim(secret, key, kind, self.reader, self.context, self.say)
        if claim is None:
            return ''
        self.claims.append(claim)
        return claim.key

    def fragment(self) -> Fragment:
        """Return the finished value, everything sorted."""
        return Fragment(
            ref=self.service.ref,
            created=self.service.created,
            claims=self._own_claims(),
            data=tuple(sorted(self.data)),
            backends=affinity.with_pins(self.backends[name] for name in sorted(self.backends)),
            headers=tuple(sorted(self.headers, key=lambda edits: edits.policy)),
            timeouts=tuple(sorted(self.timeouts, key=lambda found: found.policy)),
            userlists=tuple(sorted(self.userlists, key=lambda found: found.policy)),
            leads=tuple(sorted(self.leads, key=lambda lead: lead.policy)),
            demands=tuple(sorted(self.demands)),
            needs=self.reader.needs,
            endpoint_diagnostics=tuple(sorted(self.endpoint_diagnostics)),
            diagnostics=tuple(sorted(set(self.diagnostics))),
        )

    def _own_claims(self) -> tuple[Claim, ...]:
        """Return one claim for each key; where two ports of this Service claim the same, the first keeps it."""
        kept: dict[tuple[Kind, str], Claim] = {}
        for claim in self.claims:
            held = kept.setdefault((claim.kind, claim.key), claim)
            if held.value != claim.value:
                message = f'{claim.kind} {claim.key} is claimed by two ports of this Service; the first has it'
                self.diagnostics.append(Diagnostic(self.service.ref, 'Conflict', message, claim.field))
        return tuple(kept[key] for key in sorted(kept))


def of_backend(policy: Policy, wanted: backends.Wanted) -> list[Timeouts]:
    """Add to a policy the flags that the backend's own settings need, and return its timeouts if it has any."""
    if wanted.settings.client_ip in ('none', 'proxy-v1', 'proxy-v2'):
        policy.add(policies.NOT_FORWARDED)
    if wanted.shape.affinity:
        policy.add(policies.AFFINITY)
    found = backends.timeouts(wanted, policy.name)
    if found is None:
        return []
    policy.add(policies.TIMEOUTS)
    return [found]


def fitting(endpoint: str, mode: Mode) -> str:
    """Return what endpoints speak when a port is used in another mode than its own."""
    return ('http1' if endpoint == 'tcp' else endpoint) if mode == 'http' else 'tcp'
