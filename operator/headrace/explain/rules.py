"""The policy of a route, applied to a request in the order of the rules in `rules-http.cfg.j2`.

Each rule returns the outcome where it ends the request. What a live HAProxy alone knows becomes a proviso: the request goes on
as if a rate were not reached, and as if a Service that is asked had allowed it.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable

from headrace.explain import expressions, variables
from headrace.explain.arrival import Arrival
from headrace.explain.policy_data import PolicyData
from headrace.explain.routing import FoundRoute
from headrace.explain.trace import Outcome, Proviso, Stage, Step
from headrace.haproxy.encode import routes
from headrace.ir.fragment import Kind
from headrace.ir.policy import Map
from headrace.ir.routing import Authentication, ErrorPages, Mirrors, Split
from headrace.ir.tls import HostTls
from headrace.names import wildcard
from headrace.resolve.state import State
from headrace.translate import policies
from headrace.translate.build_context import Role

_HTTPS_PORT = 443
_SIGNS = re.compile(r'[^!-~]|[?#]|%(?![0-9A-Fa-f]{2})')


class Rules:
    """One request at its route: the rules, what they noted, and what is left of the path."""

    def __init__(self, state: State, arrival: Arrival, route: FoundRoute, port: int) -> None:
        self.state, self.arrival, self.request, self.route, self._port = state, arrival, arrival.request, route, port
        self.steps: list[Step] = []
        self.provisos: list[Proviso] = []
        self.path = self.request.path
        self.fragments = tuple(state.fragments[ref] for ref in state.claims.claimants(route.claim_key))
        target = route.target
        self.flags = frozenset(target.flags)
        if isinstance(target, Split) and not routes.ranges(target):
            self.flags |= {policies.CLOSED}
        self.data = PolicyData(target.policy, self.fragments)
        self.owner = next((item.ref for item in self.fragments if target.policy in item.policies), None)
        self._admitted = False

    def outcome(self) -> Outcome | None:
        """Return what ends the request before it gets to a backend, None where nothing does."""
        return next(filter(None, (rule(self) for rule in _RULES)), None)

    def note(self, subject: str, because: str, *, passed: bool = True) -> None:
        """Add a step about the policy."""
        self.steps.append(Step(Stage.POLICY, subject, passed, because, self.owner))

    def proviso(self, status: int, because: str) -> None:
        """Add what the client could see instead."""
        self.provisos.append(Proviso(status, because))

    def end(self, subject: str, because: str, status: int, **headers: str) -> Outcome:
        """Return an answer of headrace's own, after a step about it."""
        self.note(subject, because, passed=False)
        named = ((name.replace('_', '-'), text) for name, text in headers.items())
        return Outcome(because, status, tuple(named))

    # --- who may ask --------------------------------------------------------------------------------------------------

    def closed(self) -> Outcome | None:
        """Close what cannot be protected as asked, and what is in maintenance."""
        if policies.CLOSED in self.flags:
            return self.end('closed', 'the route is closed: what protects it, or its backend, cannot be used', 503)
        if policies.MAINTENANCE in self.flags:
            return self.end('maintenance', 'the route is in maintenance', 503, retry_after='60')
        return None

    def networks(self) -> Outcome | None:
        """Refuse clients of networks."""
        client = self.request.client
        if policies.DENY in self.flags:
            if self.data.has_client(Map.DENY, client):
                return self.end('deny', f'{client} is in a denied network', 403)
            self.note('deny', f'{client} is in no denied network')
        if policies.ALLOW in self.flags:
            allowed, either = self.data.has_client(Map.ALLOW, client), policies.SATISFY_ANY in self.flags
            if not allowed and not either:
                return self.end('allow', f'{client} is in no allowed network', 403)
            self._admitted = allowed and either
            where = 'an allowed network' if allowed else 'no allowed network, and authentication may take its place'
            self.note('allow', f'{client} is in {where}')
        return None

    def limits(self) -> Outcome | None:
        """Note rates and numbers of connections; only a live HAProxy counts them."""
        if policies.EXCEPT in self.flags and self.data.has_client(Map.RATE_EXCEPT, self.request.client):
            self.note('rate-limit-except', f'{self.request.client} has no limits')
            return None
        if policies.RATE in self.flags and (rate := self.data.value(Map.RATE)):
            seconds, count = rate.split('|')[:2]
            self.note('rate-limit', f'{count} requests of a client in {seconds} s')
            self.proviso(429, f'beyond {count} requests of a client in {seconds} s')
        if policies.CONNECTIONS in self.flags and (most := self.data.value(Map.CONNECTIONS)):
            self.note('connection-limit', f'{most} requests of a client at the same time')
            self.proviso(503, f'beyond {most} requests of a client at the same time')
        return None

    def secured(self) -> Outcome | None:
        """Send clients without TLS to HTTPS."""
        if policies.HTTPS not in self.flags:
            return None
        if self.arrival.https:
            self.note('tls-redirect', 'the request has TLS')
            return None
        port = self.state.context.settings.https_public_port
        suffix = '' if port == _HTTPS_PORT else f':{port}'
        location = f'https://{self.request.bare_host}{suffix}{self.request.target}'
        return self.end('tls-redirect', 'clients without TLS are sent to HTTPS', 308, location=location)

    def client_certificate(self) -> Outcome | None:
        """Refuse a connection that did not ask for client certificates as the route wants them."""
        required = policies.CLIENT_CERTIFICATE in self.flags
        if self.state.context.role is Role.NODE:
            # There the port's own listener asks for them.
            return None
        if not required and (policies.CLIENT_CERTIFICATE_OPTIONAL not in self.flags or not self.request.secure):
            return None
        authority = self._asked_authority()
        if authority != self.data.value(Map.ROUTE_CA):
            return self.end('client-ca-secret', 'the connection asked for no certificate of this authority', 421)
        if required and not self.request.certificate:
            return self.end('client-ca-secret', 'the client has shown no certificate', 421)
        self.note('client-ca-secret', 'the client certificate is accepted' if required else 'certificates are optional')
        return None

    def _asked_authority(self) -> str:
        """Return the authority whose certificates the connection asked for, '' for none."""
        for host in (self.request.sni, wildcard(self.request.sni)) if self.request.sni else ():
            tls = self.state.claims.content((Kind.TLS, host), self.state.fragments)
            if isinstance(tls, HostTls) and tls.certificates:
                return tls.client_ca
        return ''

    def cors(self) -> Outcome | None:
        """Answer a preflight of another origin."""
        origin, wanted = self.request.value('origin'), self.request.value('access-control-request-method')
        if policies.CORS not in self.flags or origin is None:
            return None
        by_filter = policies.CORS_FILTER in self.flags
        known = self._knows_origin(origin.lower(), with_wildcards=by_filter)
        self.note('cors-allow-origin', f'origin {origin} is {"allowed" if known else "not allowed"}', passed=known)
        if self.request.method != 'OPTIONS' or wanted is None or not (known or by_filter):
            return None
        if not known:
            return self.end('cors-allow-origin', 'a preflight of another origin gets no permission', 204)
        return self.end(
            'cors-allow-origin', 'the preflight is answered', 204, **{'access-control-allow-origin': origin}
        )

    def _knows_origin(self, origin: str, *, with_wildcards: bool) -> bool:
        origins = {name for name, _ in self.data.entries(Map.CORS_ORIGIN)}
        if origin in origins or '*' in origins:
            return True
        match = re.fullmatch(r'([a-z]+://)(.+?)(:\d*)?', origin) if with_wildcards else None
        if match is None:
            return False
        rest, port = match[2], match[3] or ''
        while rest := rest.partition('.')[2]:
            if f'{match[1]}*.{rest}{port}' in origins:
                return True
        return f'{match[1]}*{port}' in origins

    def password(self) -> Outcome | None:
        """Ask for a name and a password."""
        if policies.AUTH not in self.flags:
            return None
        if self._admitted:
            self.note('basic-auth-secret', 'the list of clients suffices')
            return None
        realm = self.data.value(Map.REALM) if policies.REALM in self.flags else None
        challenge = {'www_authenticate': f'Basic realm="{realm or self.request.bare_host}"'}
        credentials = _credentials(self.request.value('authorization') or '')
        if credentials is None:
            return self.end('basic-auth-secret', 'the request has no name and password', 401, **challenge)
        if self._has_password(*credentials):
            self.note('basic-auth-secret', f'the password of {credentials[0]} is right')
            return None
        if policies.AUTH_CRYPT not in self.flags or not self.data.has_hashes():
            return self.end('basic-auth-secret', 'the name or the password is wrong', 401, **challenge)
        self.note('basic-auth-secret', f'the hash of the password of {credentials[0]} is judged by HAProxy')
        self.proviso(401, 'a wrong name or password')
        return None

    def _has_password(self, user: str, password: str) -> bool:
        secret = f'{self.data.name}{password}'.encode(errors='surrogateescape')
        sha1 = base64.b64encode(hashlib.sha1(password.encode(errors='surrogateescape')).digest()).decode()  # noqa: S324
        name = hashlib.sha256(user.encode(errors='surrogateescape')).hexdigest().upper()
        keys = {key for key, _ in self.data.entries(Map.AUTH)}
        return not keys.isdisjoint((f'{name}:{hashlib.sha256(secret).hexdigest().upper()}', f'{name}:{sha1}'))

    def body(self) -> Outcome | None:
        """Refuse a body that is too large, or whose length is not declared."""
        most = self.data.value(Map.BODY) if policies.BODY in self.flags else None
        if most is None:
            return None
        length = self.request.value('content-length')
        if self.request.value('transfer-encoding') is not None:
            return self.end('max-body-size', 'the length of the body is not declared', 411)
        if length is not None and length.isdigit() and int(length) > int(most):
            return self.end('max-body-size', f'the body has {length} bytes, more than {most}', 413)
        self.note('max-body-size', f'{most} bytes')
        self.proviso(413, f'a body of more than {most} bytes')
        return None

    def external_authentication(self) -> Outcome | None:
        """Note which Service is asked; what it answers is not known."""
        lead = self.data.lead(Authentication) if policies.EXTERNAL_AUTH in self.flags else None
        if lead is None:
            return (
                self.end('external-auth', 'nothing can be asked', 500) if policies.EXTERNAL_AUTH in self.flags else None
            )
        skipped = any(f'{self.request.path}/'.startswith(path) for path, _ in self.data.entries(Map.EXTERNAL_AUTH_SKIP))
        if self._admitted or skipped:
            self.note('external-auth', 'the list of clients suffices' if self._admitted else 'the path is skipped')
            return None
        asked = lead.pointer.backend if lead.pointer else lead.origin or 'who serves that host and path'
        self.note('external-auth', f'{lead.method} http://{lead.url} is asked of {asked}')
        self.proviso(0, f'unless {asked} answers 2xx: its 401 or 403 with its body, a redirect to sign in, else 500')
        return None

    # --- what becomes of the request ----------------------------------------------------------------------------------

    def error_pages(self) -> Outcome | None:
        """Note whose answers replace errors."""
        pages = self.data.lead(ErrorPages) if policies.ERROR_PAGES in self.flags else None
        if pages is not None:
            codes = ', '.join(map(str, pages.statuses))
            self.note('error-service', f'answers with status {codes} are replaced by those of {pages.pointer.backend}')
        return None

    def redirect(self) -> Outcome | None:
        """Answer with a redirect."""
        if policies.REDIRECT not in self.flags or (found := self.data.value(Map.REDIRECT)) is None:
            return None
        code, _, location = found.partition('|')
        if policies.REDIRECT_VARIABLES in self.flags:
            location = variables.place(location, self.arrival, self._port)
        if not location:
            return self.end('redirect-to', 'a part of the request that the location names is missing', 400)
        return self.end('redirect-to', 'the route redirects', int(code), location=location)

    def mirrors(self) -> Outcome | None:
        """Note who gets copies."""
        mirrors = self.data.lead(Mirrors) if policies.MIRROR in self.flags else None
        for mirror in mirrors.items if mirrors else ():
            share = f'{mirror.numerator} of {mirror.denominator} requests'
            self.note('mirror-service', f'{mirror.pointer.backend} gets a copy of {share}')
        return None

    def rewrite(self) -> Outcome | None:
        """Change the path that endpoints get."""
        if policies.REWRITE_CAPTURES in self.flags:
            self.path = self._from_groups(self.data.value(Map.REWRITE_CAPTURES) or '')
            if not self.path:
                return self.end('rewrite-path', 'the new path leads out of what the route names', 400)
        if policies.REWRITE in self.flags and (new := self.data.value(Map.REWRITE)) is not None:
            matched = len(self.route.key) - len(self.route.stem) - 1
            tail = self.path[matched:]
            self.path = new + tail if new != '/' else tail or '/'
        if policies.REWRITE_FULL in self.flags:
            self.path = self.data.value(Map.REWRITE_FULL) or self.path
        if self.path != self.request.path:
            self.note('rewrite-path', f'endpoints get the path {self.path}')
        return None

    def _from_groups(self, template: str) -> str:
        """Return the path of a template with what groups of the expression matched, '' where it leads elsewhere."""
        groups = self.route.groups or ()
        path = re.sub(r'\$(\d)', lambda found: groups[int(found[1])] if int(found[1]) < len(groups) else '', template)
        data = path.encode(errors='surrogateescape').decode('latin-1')
        path = _SIGNS.sub(lambda found: f'%{ord(found[0]):02X}', data)
        return '' if expressions.has_dot_segments(path) else path


def _credentials(text: str) -> tuple[str, str] | None:
    """Return the name and password of an Authorization header, None for another one (RFC 7617)."""
    scheme, _, encoded = text.partition(' ')
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode(errors='surrogateescape')
    except (binascii.Error, ValueError):
        return None
    user, colon, password = decoded.partition(':')
    return (user, password) if scheme.lower() == 'basic' and colon else None


_RULES: tuple[Callable[[Rules], Outcome | None], ...] = (
    Rules.closed,
    Rules.networks,
    Rules.limits,
    Rules.secured,
    Rules.client_certificate,
    Rules.cors,
    Rules.password,
    Rules.body,
    Rules.external_authentication,
    Rules.error_pages,
    Rules.redirect,
    Rules.mirrors,
    Rules.rewrite,
)
