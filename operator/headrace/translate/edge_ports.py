"""From one exposed port of a Service to its part of the fragment: the policy of its routes, their claims, what closes them."""

from functools import partial

import msgspec

from headrace import names
from headrace.annotations import parse, values
from headrace.annotations.parse import PREFIX
from headrace.annotations.request_values import has_captures_only
from headrace.annotations.settings import RouteSettings
from headrace.ir.backend import Backend, Mode
from headrace.ir.fragment import Claim, Kind
from headrace.ir.policy import Map
from headrace.ir.routing import Candidate, Candidates
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.objects.kinds import ServiceType
from headrace.translate import backends, class_fragment, policies, redirects, tls_material
from headrace.translate.exposure import Exposed
from headrace.translate.fragment_builder import FragmentBuilder
from headrace.translate.policies import Policy
from headrace.translate.route_policies import RoutePolicy
from headrace.translate.source_ranges import allowed_by_source_ranges


class EdgePort:
    """One exposed port while its part of the fragment is put together."""

    def __init__(self, builder: FragmentBuilder, exposed: Exposed) -> None:
        self.builder, self.exposed, self.service = builder, exposed, builder.service
        self.label = exposed.port.label
        self.mode: Mode = 'http' if exposed.spoken.mode == 'http' else 'tcp'
        self.settings: RouteSettings = parse.route(builder.annotations.values(self.label))
        self.owner = builder.policy_owners.get(self.label, self.label)
        self.policy = Policy(names.policy(self.service.ref, self.owner))
        # Bound to the builder, and not to this port: a cycle would be left for the collector with each port.
        key = partial(builder.key, label=self.label)
        self.route = RoutePolicy(builder, self.policy, self.settings, self.mode, key, f'port {self.label}')

    def build(self) -> None:
        """Add the port's backend, policy and claims to the draft."""
        spec, backend = self.builder.own_backend(self.exposed.port, self.mode, self.exposed.spoken.endpoint)
        self._apply(self._with_captures() if self.exposed.expressions else self.settings)
        self._apply_source_ranges()
        self.route.judge()
        self._authority(spec, backend)
        if backend.shape.affinity:
            self.policy.add(policies.AFFINITY)
        self.route.further_services(self.service.ref, self.exposed.port)
        self.route.canary(self.exposed.port, backend.shape)
        self.route.close_unparsed(self.builder.annotations, self.label)
        if self.mode == 'http':
            self._http(spec, backend)
        elif self.exposed.spoken.mode == 'tls-passthrough':
            self._passthrough(backend)
        else:
            self._tcp(backend)
        self.builder.data += self.policy.entries

    def _with_captures(self) -> RouteSettings:
        """Let what groups of the path's expression match be the new path; return the other settings."""
        template = self.settings.rewrite_path
        if template is not None:
            policies.apply_captures(self.policy, template)
            if not has_captures_only(template):
                self._close('rewrite-path', 'a $ must be followed by the number of a group, 1 to 9')
        return msgspec.structs.replace(self.settings, rewrite_path=None)

    def _key(self, key: str) -> str:
        """Return a key as the user wrote it for this port."""
        return self.builder.key(key, self.label)

    def _close(self, key: str, why: str) -> None:
        self.route.close(key, why)

    def _apply_source_ranges(self) -> None:
        """Let in only the clients of spec.loadBalancerSourceRanges, where no annotation says who is let in."""
        ranges, kind = self.service.source_ranges, self.service.type
        if self.settings.allow is not None or not ranges or kind is not ServiceType.LOAD_BALANCER:
            return
        networks = allowed_by_source_ranges(ranges)
        if networks is None:
            self._close('allow', 'spec.loadBalancerSourceRanges holds something that is no CIDR')
        else:
            self._apply(RouteSettings(allow=networks))

    def _apply(self, settings: RouteSettings) -> None:
        """Add to the policy what settings say; where another port has the same lists, its entries are there already."""
        if self.owner != self.label:
            flags = ((policies.ALLOW, settings.allow), (policies.DENY, settings.deny))
            self.policy.flags.update(flag for flag, networks in flags if networks is not None)
            settings = msgspec.structs.replace(settings, allow=None, deny=None)
        policies.apply(self.policy, settings, self.mode)

    def _http(self, spec: backends.BackendSpec, backend: Backend) -> None:
        self.builder.timeouts += backends.of_policy(self.policy, spec)
        self._tls()
        if self.exposed.shuts:
            self._close('path', 'the value does not parse, so it is not known what another key protects')
            self.builder.shut.update(self.exposed.hosts)
        pointer = self.policy.pointer(backend.name)
        expressions = enumerate(self.exposed.expressions)
        candidates = tuple(Candidate(pointer, conditions, rule) for rule, conditions in expressions)
        value = Candidates(candidates) if candidates else pointer
        field = f'metadata.annotations[{PREFIX}{self._key("host")}]'
        for host in self.exposed.hosts:
            for path in self.exposed.paths:
                key = route_key(host, path, exact=self.exposed.exposure.path_type == 'Exact')
                self.builder.claims.append(Claim(Kind.ROUTE, key, value, field))
        self._redirects(backend.name)

    def _redirects(self, backend: str) -> None:
        """Claim the routes that only redirect: the root of the hosts, and hosts that differ by `www.`."""
        service, hosts = self.service.ref, self.exposed.hosts
        redirect_routes = [
            ('redirect-root', redirect)
            for redirect in redirects.roots(service, self.label, self.settings, hosts, backend)
        ]
        if self.settings.www_redirect:
            to_https = policies.HTTPS in self.policy.flags
            port = self.builder.context.settings.https_public_port if to_https else None
            www_routes = redirects.others(service, self.label, hosts, backend, port)
            redirect_routes += [
                ('www-redirect', redirect) for redirect in www_routes if self._may_claim(redirect.host, 'www-redirect')
            ]
        for key, redirect in redirect_routes:
            route = route_key(redirect.host, redirect.path, exact=redirect.exact)
            field = f'metadata.annotations[{PREFIX}{self._key(key)}]'
            self.builder.claims.append(Claim(Kind.ROUTE, route, redirect.pointer, field))
            self.builder.data += redirect.data

    def _may_claim(self, host: str, key: str) -> bool:
        allowed = self.builder.context.may_claim(self.service.namespace, host)
        if not allowed:
            message = f'namespace {self.service.namespace} may not claim {host}'
            self.builder.say('HostForbidden', self._key(key), message)
        return allowed

    def _tls(self) -> None:
        if self.exposed.exposure.tls_secret is None:
            self._without_certificate()
            return
        if self.settings.tls_redirect is not False:
            self.policy.add(policies.HTTPS)
        elif self.exposed.exposure.client_ca_secret is not None and self.exposed.exposure.client_verify == 'required':
            self.policy.add(policies.HTTPS)
            message = 'required client certificates count: clients show them over TLS only, so http is redirected'
            self.builder.say('ContradictoryKeys', self._key('tls-redirect'), message)
        if '*' in self.exposed.hosts:
            self._close('tls-secret', "the host * has the class's default certificate; name the hosts")
        certificates = self._certificates(self.exposed.exposure.tls_secret)
        value = self._host_tls(certificates)
        field = f'metadata.annotations[{PREFIX}{self._key("tls-secret")}]'
        self.builder.claims += [Claim(Kind.TLS, host, value, field) for host in self.exposed.hosts if host != '*']
        if self.settings.www_redirect and certificates:
            certificate_names = self._certificate_names(self.exposed.exposure.tls_secret)
            www_hosts = [
                host for host in map(redirects.other, self.exposed.hosts) if redirects.is_named(host, certificate_names)
            ]
            plain = HostTls(certificates=certificates)
            self.builder.claims += [
                Claim(Kind.TLS, host, plain, field)
                for host in www_hosts
                if host not in self.exposed.hosts and self.builder.context.may_claim(self.service.namespace, host)
            ]

    def _certificate_names(self, secrets: tuple[str, ...]) -> set[str]:
        """Return the hosts that the certificates of some Secrets are for."""
        refs = (Ref('Secret', self.service.namespace, name) for name in secrets)
        secrets_here = (self.builder.reader.secret(ref) for ref in refs)
        return {name for secret in secrets_here if secret and secret.certificate for name in secret.certificate.names}

    def _host_tls(self, certificates: tuple[str, ...]) -> HostTls:
        """Return the TLS of the port's hosts; with an authority for clients, the policy demands what the hosts ask for."""
        if (ca := self.exposed.exposure.client_ca_secret) is None:
            return HostTls(certificates=certificates)
        authority = self._material(Ref('Secret', self.service.namespace, ca), 'client-ca-secret', 'authorities')
        optional = self.exposed.exposure.client_verify == 'optional'
        flag = policies.CLIENT_CERTIFICATE_OPTIONAL if optional else policies.CLIENT_CERTIFICATE
        self.policy.add(flag, (Map.ROUTE_CA, self.policy.name, authority or 'none'))
        verify = self.exposed.exposure.client_verify if authority else 'none'
        return HostTls(certificates=certificates, client_ca=authority, verify=verify)

    def _without_certificate(self) -> None:
        """Judge the keys of TLS on a port that has no certificate of its own."""
        if self.exposed.exposure.client_ca_secret is not None:
            self._close('client-ca-secret', f'it needs {PREFIX}tls-secret')
        if not self.settings.tls_redirect:
            return
        if class_fragment.has_certificate(self.builder.context, self.builder.reader):
            self.policy.add(policies.HTTPS)
        else:
            message = f'it needs {PREFIX}tls-secret, or a default certificate of the class'
            self.builder.say('NotApplicable', self._key('tls-redirect'), message)

    def _authority(self, spec: backends.BackendSpec, backend: Backend) -> None:
        if not tls_material.has_files(backend, self.builder.claims):
            if spec.ca is not None:
                self._close('backend-ca-secret', f'{spec.ca} cannot be used')
        elif spec.ca is None and spec.options.tls is not None and spec.settings.backend_verify:
            self._close('backend-verify', f'it needs {PREFIX}backend-ca-secret')

    def _certificates(self, secrets: tuple[str, ...]) -> tuple[str, ...]:
        """Claim the files with some Secrets' certificates; one that cannot be used closes the route, as all would."""
        refs = [Ref('Secret', self.service.namespace, name) for name in secrets]
        usable, duplicates = tls_material.of_each_kind(refs, self.builder.reader)
        for ref, kind in duplicates:
            message = f'{ref} has a {kind} key, and so has one before it, which counts'
            self.builder.say('ContradictoryKeys', self._key('tls-secret'), message)
        files = [self._material(ref, 'tls-secret', 'certificate') for ref in usable]
        return tuple(sorted(files)) if all(files) else ()

    def _material(self, secret: Ref, key: str, kind: str) -> str:
        """Claim the file with a Secret's certificate or authorities; return its name, '' (and close) if there is none."""
        name = self.builder.material(secret, self._key(key), kind)
        if not name:
            self._close(key, f'{secret} cannot be used')
        return name

    def _passthrough(self, backend: Backend) -> None:
        if self.exposed.exposure.client_ca_secret is not None:
            self._close('client-ca-secret', 'TLS that is passed through is not ended here')
        if self.exposed.exposure.tls_secret is not None:
            self._close('tls-secret', 'TLS that is passed through cannot be ended here')
        value = HostTls(passthrough=self.policy.pointer(backend.name))
        field = f'metadata.annotations[{PREFIX}{self._key("host")}]'
        self.builder.claims += [Claim(Kind.TLS, host, value, field) for host in self.exposed.hosts]

    def _tcp(self, backend: Backend) -> None:
        if self.exposed.exposure.tls_secret is not None:
            self._tcp_tls(self.exposed.exposure.tls_secret)
        elif self.exposed.exposure.client_ca_secret is not None:
            self._close('client-ca-secret', f'it needs {PREFIX}tls-secret')
        if self.exposed.exposure.accept_proxy:
            self.policy.add(policies.ACCEPT_PROXY)
            if not self.builder.context.settings.trusted_proxies:
                self._close('accept-proxy', 'the class trusts no proxies (trustedProxies), so no header is believed')
        pointer = self.policy.pointer(backend.name)
        field = f'metadata.annotations[{PREFIX}{self._key("port")}]'
        self.builder.claims.append(Claim(Kind.PORT, str(self.exposed.number), pointer, field))

    def _tcp_tls(self, secrets: tuple[str, ...]) -> None:
        """End TLS on a TCP port; the certificate is found by the hosts of the port, or else by those it is for."""
        self.policy.add(policies.TLS)
        certificates = self._certificates(secrets)
        context, namespace = self.builder.context, self.service.namespace
        certificate_names = sorted(self._certificate_names(secrets))
        hosts = self.exposed.hosts or tuple(
            host
            for name in certificate_names
            if isinstance(host := values.host(name), str) and context.may_claim(namespace, host)
        )
        if certificates and not hosts and not class_fragment.has_certificate(context, self.builder.reader):
            message = f'the certificate names no host, so it needs {PREFIX}host: clients find it by their server name'
            self.builder.say('NotApplicable', self._key('tls-secret'), message)
        field = f'metadata.annotations[{PREFIX}{self._key("tls-secret")}]'
        value = self._host_tls(certificates)
        self.builder.claims += [Claim(Kind.TLS, host, value, field) for host in hosts if host != '*']


def route_key(host: str, path: str, *, exact: bool) -> str:
    """Return the key of a route in the routing map: `host/foo/` for the prefix /foo, `host/foo/#` for exactly /foo.

    A request's key is its host, its path and `/#`; `#` never arrives in a path, so no client can forge an exact key.
    """
    return f'{host}{path}/#' if exact else f'{host}{path.rstrip("/")}/'
