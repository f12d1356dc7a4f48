"""From a Service to its fragment at the edge.

Owns the order in which a Service is understood: whose it is, which ports are exposed, what each port's route and
backend are, and what closes a route. Two steps keep it pure: `interpret` says which other objects are needed, `build`
gets them in the snapshot.
"""

from dataclasses import dataclass, replace

from headrace import names
from headrace.annotations import reading, values
from headrace.annotations.reading import PREFIX, Annotations
from headrace.annotations.settings import RouteSettings
from headrace.cluster.objects import Protocol, Service, ServicePort, ServiceType
from headrace.cluster.store import NODES, Snapshot
from headrace.model import affinity, backends, classes, exposure, materials, partners, policies
from headrace.model.exposure import Exposed, Exposures
from headrace.model.ir import Backend, Claim, Entry, Fragment, HeaderEdits, HostTls, Kind, Map, Mode, Timeouts
from headrace.model.policies import Policy
from headrace.model.source_ranges import allowed_by_source_ranges
from headrace.model.view import View
from headrace.names import Ref
from headrace.verdicts import Verdict

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


def interpret(service: Service, view: View, demands: frozenset[Demand] = frozenset()) -> Interpretation | None:
    """Return how a Service is understood, or None when headrace has nothing to do with it."""
    if not view.exists(service.namespace):
        return None
    said = reading.read(service.ref, service.annotations, service.ports)
    ours = exposure.is_ours(service, said, view)
    exposures = exposure.expose(service, said, view) if ours else Exposures()
    asked = ours and exposure.is_asked(service, said, view)
    if asked and service.type is ServiceType.EXTERNAL_NAME:
        exposures = _external(service, view)
    remarks = exposures.verdicts or said.verdicts or (asked and service.problems)
    nobodys = said.service.get('class') == '' and view.class_name == exposure.DEFAULT_CLASS
    if not demands and not nobodys and not (ours and (exposures.ports or remarks)):
        return None
    needs = {ref for exposed in exposures.ports for ref in _secrets(service, said, exposed)}
    for label in (*(exposed.port.label for exposed in exposures.ports), *(label for label, _ in demands)):
        needs.update(backends.authorities(service, said, label, view))
    for exposed in exposures.ports:
        route = reading.route(said.values(exposed.port.label))
        if route.canary_service is not None:
            needs.add(Ref('Service', service.namespace, route.canary_service))
        if route.tls_redirect:
            needs.update(classes.needs(view))
    if view.settings.address_source == 'node-ports':
        needs.add(NODES)
    return Interpretation(service, said, exposures, tuple(sorted(needs)))


def _external(service: Service, view: View) -> Exposures:
    """Return no exposures for a Service of type ExternalName that asked for some, with a verdict."""
    if view.settings.allow_external_name:
        verdict = Verdict(
            service.ref, 'NotYet', 'this version does not serve Services of type ExternalName', 'spec.type'
        )
    else:
        verdict = Verdict(service.ref, 'ExternalNameForbidden', 'the class does not allow ExternalName', 'spec.type')
    return Exposures(verdicts=(verdict,))


def _secrets(service: Service, said: Annotations, exposed: Exposed) -> list[Ref]:
    values = said.values(exposed.port.label)
    keys = ('tls-secret', 'client-ca-secret', 'basic-auth-secret')
    return [Ref('Secret', service.namespace, str(values[key])) for key in keys if key in values]


def build(found: Interpretation, snapshot: Snapshot, view: View, demands: frozenset[Demand] = frozenset()) -> Fragment:
    """Return the fragment of a Service; `demands` are the ports that others need a backend for."""
    draft = Draft(found.service, found.said, snapshot, view)
    draft.verdicts += [*found.service.problems, *found.said.verdicts, *found.exposures.verdicts]
    draft.endpoint_verdicts.update(verdict for piece in snapshot.slices for verdict in piece.problems)
    for exposed in found.exposures.ports:
        PortDraft(draft, exposed).build()
    _not_applicable(draft, found.exposures)
    for key, label, why in partners.missing(found.said, found.exposures):
        draft.say('NotApplicable', draft.key(key, label), why)
    for label, mode in sorted(demands):
        draft.demanded(label, mode)
    return draft.fragment(found.needs)


def refresh(held: Fragment, service: Service, snapshot: Snapshot, view: View) -> Fragment:
    """Return a fragment of which only the Service's endpoints have changed; equal to one that is built anew."""
    ports = {port.label: port for port in service.ports}
    made: list[Backend] = []
    verdicts = {verdict for piece in snapshot.slices for verdict in piece.problems}
    for backend in held.backends:
        if backend.pin:
            continue
        if not materials.can_verify(backend, held.claims):
            made.append(backend)
            continue
        servers = backends.edge_servers(service, ports[backend.port], snapshot, view)
        made.append(backend if servers.groups == backend.groups else backend.with_groups(servers.groups))
        verdicts.update(servers.verdicts)
    return held.with_endpoints(affinity.with_pins(made), tuple(sorted(verdicts)))


def _not_applicable(draft: 'Draft', exposures: Exposures) -> None:
    """Add a verdict for each key that was given in a form that no exposed port can use."""
    modes = {exposed.port.label: exposed.spoken.mode for exposed in exposures.ports}
    for keys, mode in ((_HTTP_ONLY, 'http'), (_TCP_ONLY, 'tcp')):
        if modes and mode not in modes.values():
            for key in draft.said.common.keys() & keys:
                draft.say('NotApplicable', key, f'no exposed port has mode {mode}')
        for label, given in draft.said.by_port.items():
            if modes.get(label, mode) != mode:
                for key in given.keys() & keys:
                    draft.say('NotApplicable', f'{key}.{label}', f'the port has mode {modes[label]}')


class Draft:
    """A fragment while it is put together."""

    def __init__(self, service: Service, said: Annotations, snapshot: Snapshot, view: View) -> None:
        self.service, self.said, self.snapshot, self.view = service, said, snapshot, view
        self.claims: list[Claim] = []
        self.data: list[Entry] = []
        self.backends: dict[str, Backend] = {}
        self.headers: list[HeaderEdits] = []
        self.timeouts: list[Timeouts] = []
        self.demands: set[tuple[Ref, str, Mode]] = set()
        self.verdicts: list[Verdict] = []
        self.endpoint_verdicts: set[Verdict] = set()

    def say(self, reason: str, key: str, message: str) -> None:
        """Add a verdict about one of the Service's annotations."""
        field = f'metadata.annotations[{PREFIX}{key}]'
        self.verdicts.append(Verdict(self.service.ref, reason, f'{PREFIX}{key}: {message}', field))

    def add_backend(self, port: ServicePort, mode: Mode, endpoint: str) -> tuple[backends.Wanted, Backend]:
        """Add the backend of a port, once however often it is asked for."""
        wanted = backends.want(self.service, self.said, port, mode, endpoint, self.view)
        name = wanted.name(self.service.ref)
        if (held := self.backends.get(name)) is not None:
            return wanted, held
        servers = backends.edge_servers(self.service, port, self.snapshot, self.view)
        if wanted.ca is not None:
            self.material(wanted.ca, self.key('backend-ca-secret', port.label), 'authorities')
        wanted = replace(wanted, options=materials.marked(wanted.options, self.claims))
        made = backends.make(self.service, wanted, servers.groups)
        if not materials.can_verify(made, self.claims):
            made, servers = replace(made, groups=()), backends.Servers((), ())
        self.backends[name] = made
        self.data += backends.data(wanted, name)
        policy = names.policy(self.service.ref, port.label)
        self.data += [entry for entry in affinity.data(policy, made.affinity) if entry not in self.data]
        self.endpoint_verdicts.update(servers.verdicts)
        self.verdicts += [*backends.judge(self.service, self.said, wanted, mode, self.view)]
        return wanted, made

    def demanded(self, label: str, mode: Mode) -> None:
        """Add the backend that another object needs."""
        for port in self.service.ports:
            if port.label == label:
                endpoint = exposure.spoken(port, None, has_host=False, asked=mode == 'http').endpoint
                wanted, made = self.add_backend(port, mode, _fitting(endpoint, mode))
                found = _of_backend(Policy(names.policy(self.service.ref, label)), wanted, made.name)
                self.timeouts += [item for item in found if item not in self.timeouts]

    def key(self, key: str, label: str) -> str:
        """Return a key as the user wrote it for a port."""
        return f'{key}.{label}' if self.said.says(key, label) else key

    def material(self, secret: Ref, key: str, kind: str) -> str:
        """Claim the file with a Secret's certificate or authorities; return its name, '' if there is none."""
        claim = materials.claim(secret, key, kind, self.snapshot, self.view, self.say)
        if claim is None:
            return ''
        self.claims.append(claim)
        return claim.key

    def fragment(self, needs: tuple[Ref, ...]) -> Fragment:
        """Return the finished value, everything sorted."""
        return Fragment(
            ref=self.service.ref,
            created=self.service.created,
            claims=self._own_claims(),
            data=tuple(sorted(self.data)),
            backends=affinity.with_pins(self.backends[name] for name in sorted(self.backends)),
            headers=tuple(sorted(self.headers, key=lambda edits: edits.policy)),
            timeouts=tuple(sorted(self.timeouts, key=lambda found: found.policy)),
            demands=tuple(sorted(self.demands)),
            needs=needs,
            endpoint_verdicts=tuple(sorted(self.endpoint_verdicts)),
            verdicts=tuple(sorted(set(self.verdicts))),
        )

    def _own_claims(self) -> tuple[Claim, ...]:
        """Return one claim for each key; where two ports of this Service claim the same, the first keeps it."""
        kept: dict[tuple[Kind, str], Claim] = {}
        for claim in self.claims:
            held = kept.setdefault((claim.kind, claim.key), claim)
            if held.value != claim.value:
                message = f'{claim.kind} {claim.key} is claimed by two ports of this Service; the first has it'
                self.verdicts.append(Verdict(self.service.ref, 'Conflict', message, claim.field))
        return tuple(kept[key] for key in sorted(kept))


def _of_backend(policy: Policy, wanted: backends.Wanted, name: str) -> list[Timeouts]:
    """Add to a policy the flags that the backend's own settings need, and return its timeouts if it has any."""
    if wanted.settings.client_ip in ('none', 'proxy-v1', 'proxy-v2'):
        policy.add(policies.NOT_FORWARDED)
    if wanted.shape.affinity:
        policy.add(policies.AFFINITY)
    found = backends.timeouts(wanted, policy.name, name)
    if found is None:
        return []
    policy.add(policies.TIMEOUTS)
    return [found]


def _fitting(endpoint: str, mode: Mode) -> str:
    """Return what endpoints speak when a port is used in another mode than its own."""
    return ('http1' if endpoint == 'tcp' else endpoint) if mode == 'http' else 'tcp'


class PortDraft:
    """One exposed port while its part of the fragment is put together."""

    def __init__(self, draft: Draft, exposed: Exposed) -> None:
        self.draft, self.exposed, self.service = draft, exposed, draft.service
        self.label = exposed.port.label
        self.mode: Mode = 'http' if exposed.spoken.mode == 'http' else 'tcp'
        self.settings: RouteSettings = reading.route(draft.said.values(self.label))
        self.policy = Policy(names.policy(self.service.ref, self.label))

    def build(self) -> None:
        """Add the port's backend, policy and claims to the draft."""
        wanted, backend = self.draft.add_backend(
            self.exposed.port, self.mode, _fitting(self.exposed.spoken.endpoint, self.mode)
        )
        self._settings()
        self._authority(wanted, backend)
        if backend.shape.affinity:
            self.policy.add(policies.AFFINITY)
        if self.mode == 'tcp' and self.exposed.exposure.client_ca_secret is not None:
            self._close('client-ca-secret', 'this version asks for certificates of HTTP clients only')
        self._canary()
        self._close_unparsed()
        if self.mode == 'http':
            self._http(wanted, backend)
        elif self.exposed.spoken.mode == 'tls-passthrough':
            self._passthrough(backend)
        else:
            self._tcp(backend)
        self.draft.data += self.policy.entries

    def _key(self, key: str) -> str:
        """Return a key as the user wrote it for this port."""
        return self.draft.key(key, self.label)

    def _close(self, key: str, why: str) -> None:
        self.policy.add(policies.CLOSED)
        self.draft.say('RouteClosed', self._key(key), f'port {self.label} is closed: {why}')

    def _close_unparsed(self) -> None:
        for key in self.draft.said.closing(self.label):
            self._close(*self.draft.said.why_closed(key))

    def _settings(self) -> None:
        policies.apply(self.policy, self.settings, self.mode)
        if self.settings.cors_allow_credentials and '*' in (self.settings.cors_allow_origin or ()):
            message = 'an origin of * excludes credentials, so none are allowed'
            self.draft.say('ContradictoryKeys', self._key('cors-allow-credentials'), message)
        if self.policy.headers is not None:
            self.draft.headers.append(self.policy.headers)
        if (
            self.settings.allow is None
            and self.service.source_ranges
            and self.service.type is ServiceType.LOAD_BALANCER
        ):
            networks = allowed_by_source_ranges(self.service.source_ranges)
            if networks is None:
                self._close('allow', 'spec.loadBalancerSourceRanges holds something that is no CIDR')
            else:
                policies.apply(self.policy, RouteSettings(allow=networks), self.mode)
        if self.settings.basic_auth_secret is not None:
            self._users(self.settings.basic_auth_secret)

    def _users(self, name: str) -> None:
        key = self._key('basic-auth-secret')
        if self.mode != 'http':
            self._close('basic-auth-secret', 'only HTTP has authentication')
            return
        ref = Ref('Secret', self.service.namespace, name)
        if (problem := materials.problem(ref, 'users', self.draft.snapshot, self.draft.view)) is not None:
            self.draft.say(problem[0], key, problem[1])
            self._close('basic-auth-secret', f'{ref} cannot be used')
            return
        secret = self.draft.snapshot.secret(ref)
        assert secret is not None
        if not policies.apply_users(self.policy, secret.users):
            self.draft.say('CostlyHash', key, f'{ref} holds crypt hashes')
            self.draft.say('NotYet', key, 'this version does not judge crypt hashes')
            self._close('basic-auth-secret', f'{ref} holds crypt hashes')

    def _canary(self) -> None:
        settings, name = self.settings, self.settings.canary_service
        if name is None or self.mode != 'http':
            return
        ref = Ref('Service', self.service.namespace, name)
        other = self.draft.snapshot.other_service(ref)
        ports = [p for p in other.ports if p.protocol is Protocol.TCP] if other else []
        port = next((p for p in ports if p.name and p.name == self.exposed.port.name), None)
        if port is None:
            port = next((p for p in ports if p.number == self.exposed.port.number), None)
        if other is None or port is None:
            missing = 'has no port of this name or number' if other else 'does not exist'
            self.draft.say('ServiceMissing', self._key('canary-service'), f'{ref} {missing}')
            return
        said = reading.read(ref, other.annotations, other.ports)
        endpoint = exposure.spoken(port, None, has_host=False, asked=True).endpoint
        wanted = backends.want(other, said, port, self.mode, _fitting(endpoint, self.mode), self.draft.view)
        self.draft.demands.add((ref, port.label, self.mode))
        # What a request needs of the backend's own settings comes with it, whoever's route it took.
        own = Policy(names.policy(ref, port.label))
        _of_backend(own, wanted, wanted.name(ref))
        value = f'{settings.canary_weight * 100}|{own.pointer(wanted.name(ref))}'
        self.policy.add(policies.CANARY, (Map.CANARY, self.policy.name, value))
        policies.apply_canary_matches(self.policy, settings)

    def _http(self, wanted: backends.Wanted, backend: Backend) -> None:
        self.draft.timeouts += _of_backend(self.policy, wanted, backend.name)
        self._tls()
        pointer = self.policy.pointer(backend.name)
        field = f'metadata.annotations[{PREFIX}{self._key("host")}]'
        for host in self.exposed.hosts:
            for path in self.exposed.paths:
                key = route_key(host, path, exact=self.exposed.exposure.path_type == 'Exact')
                self.draft.claims.append(Claim(Kind.ROUTE, key, pointer, field))

    def _tls(self) -> None:
        name = self.exposed.exposure.tls_secret
        if name is None:
            self._without_certificate()
            return
        if self.settings.tls_redirect is not False:
            self.policy.add(policies.HTTPS)
        elif self.exposed.exposure.client_ca_secret is not None and self.exposed.exposure.client_verify == 'required':
            self.policy.add(policies.HTTPS)
            message = 'required client certificates count: without TLS nobody shows one, so http is redirected'
            self.draft.say('ContradictoryKeys', self._key('tls-redirect'), message)
        if '*' in self.exposed.hosts:
            self._close('tls-secret', "the host * has the class's default certificate; name the hosts")
        secret = Ref('Secret', self.service.namespace, name)
        certificate = self._material(secret, 'tls-secret', 'certificate')
        authority, verify = '', 'none'
        if (ca := self.exposed.exposure.client_ca_secret) is not None:
            authority = self._material(Ref('Secret', self.service.namespace, ca), 'client-ca-secret', 'authorities')
            verify = self.exposed.exposure.client_verify if authority else 'none'
            optional = self.exposed.exposure.client_verify == 'optional'
            flag = policies.CLIENT_CERTIFICATE_OPTIONAL if optional else policies.CLIENT_CERTIFICATE
            self.policy.add(flag, (Map.ROUTE_CA, self.policy.name, authority or 'none'))
        value = HostTls(certificate=certificate, client_ca=authority, verify=verify)
        field = f'metadata.annotations[{PREFIX}{self._key("tls-secret")}]'
        self.draft.claims += [Claim(Kind.TLS, host, value, field) for host in self.exposed.hosts if host != '*']

    def _without_certificate(self) -> None:
        """Judge the keys of TLS on a port that has no certificate of its own."""
        if self.exposed.exposure.client_ca_secret is not None:
            self._close('client-ca-secret', f'it needs {PREFIX}tls-secret')
        if not self.settings.tls_redirect:
            return
        if classes.has_certificate(self.draft.view, self.draft.snapshot):
            self.policy.add(policies.HTTPS)
        else:
            message = f'it needs {PREFIX}tls-secret, or a default certificate of the class'
            self.draft.say('NotApplicable', self._key('tls-redirect'), message)

    def _authority(self, wanted: backends.Wanted, backend: Backend) -> None:
        if not materials.can_verify(backend, self.draft.claims):
            if wanted.ca is not None:
                self._close('backend-ca-secret', f'{wanted.ca} cannot be used')
        elif wanted.ca is None and wanted.options.tls is not None and wanted.settings.backend_verify:
            self._close('backend-verify', f'it needs {PREFIX}backend-ca-secret')

    def _material(self, secret: Ref, key: str, kind: str) -> str:
        """Claim the file with a Secret's certificate or authorities; return its name, '' (and close) if there is none."""
        name = self.draft.material(secret, self._key(key), kind)
        if not name:
            self._close(key, f'{secret} cannot be used')
        return name

    def _passthrough(self, backend: Backend) -> None:
        if self.exposed.exposure.tls_secret is not None:
            self._close('tls-secret', 'TLS that is passed through cannot be ended here')
        value = HostTls(passthrough=self.policy.pointer(backend.name))
        field = f'metadata.annotations[{PREFIX}{self._key("host")}]'
        self.draft.claims += [Claim(Kind.TLS, host, value, field) for host in self.exposed.hosts]

    def _tcp(self, backend: Backend) -> None:
        if self.exposed.exposure.tls_secret is not None:
            self._tcp_tls(Ref('Secret', self.service.namespace, self.exposed.exposure.tls_secret))
        if self.exposed.exposure.accept_proxy:
            self.policy.add(policies.ACCEPT_PROXY)
            if not self.draft.view.settings.trusted_proxies:
                self._close(
                    'accept-proxy', "the class trusts no proxies (trustedProxies), so nobody's header is believed"
                )
        pointer = self.policy.pointer(backend.name)
        field = f'metadata.annotations[{PREFIX}{self._key("port")}]'
        self.draft.claims.append(Claim(Kind.PORT, str(self.exposed.number), pointer, field))

    def _tcp_tls(self, secret: Ref) -> None:
        """End TLS on a TCP port; the certificate is found by the hosts of the port, or else by those it is for."""
        self.policy.add(policies.TLS)
        certificate = self._material(secret, 'tls-secret', 'certificate')
        held = self.draft.snapshot.secret(secret)
        view, namespace = self.draft.view, self.service.namespace
        named = held.certificate.names if held and held.certificate else ()
        hosts = self.exposed.hosts or tuple(
            host for name in named if isinstance(host := values.host(name), str) and view.may_claim(namespace, host)
        )
        if certificate and not hosts and not classes.has_certificate(view, self.draft.snapshot):
            message = f'the certificate names no host, so it needs {PREFIX}host: clients find it by their server name'
            self.draft.say('NotApplicable', self._key('tls-secret'), message)
        field = f'metadata.annotations[{PREFIX}{self._key("tls-secret")}]'
        value = HostTls(certificate=certificate)
        self.draft.claims += [Claim(Kind.TLS, host, value, field) for host in hosts if host != '*']


def route_key(host: str, path: str, *, exact: bool) -> str:
    """Return the key of a route in the routing map: `host/foo/` for the prefix /foo, `host/foo/#` for exactly /foo.

    A request's key is its host, its path and `/#`; `#` never arrives in a path, so no client can forge an exact key.
    """
    return f'{host}{path}/#' if exact else f'{host}{path.rstrip("/")}/'
