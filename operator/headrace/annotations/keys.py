"""The table of keys: the contract with users, from which the parser and the reference are both made.

Each key says of what it speaks, how its value parses, its default, and whether a value that does not parse closes the
route instead of being treated as absent. Fields of the settings' classes in `settings` have the keys' names, with `_`
for `-`.
"""

from dataclasses import dataclass
from enum import StrEnum

from headrace.annotations import authentication, request_values, response_values, values
from headrace.annotations.values import Parse
from headrace.names import DEFAULT_CLASS


class Scope(StrEnum):
    """What a key speaks of: the Service as a whole, how a port is exposed, its route, or its backend."""

    SERVICE = 'Service'
    EXPOSURE = 'exposure'
    ROUTE = 'route'
    BACKEND = 'backend'


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its name without the prefix, whose it is, and what the reference says of it."""

    name: str
    scope: Scope
    of: str
    parse: Parse
    shown: str
    default: str
    meaning: str
    closes: bool = False

    @property
    def field(self) -> str:
        """Return the name of the settings' field that holds the value."""
        return self.name.replace('-', '_')


_S, _E, _R, _B = Scope.SERVICE, Scope.EXPOSURE, Scope.ROUTE, Scope.BACKEND
_TRUE, _NONE = 'true', '–'

KEYS: tuple[Key, ...] = (
    Key('enabled', _S, 'Service', values.boolean, 'boolean', 'false', 'serve at the edge'),
    Key('proxy', _S, 'Service', values.one_of('node'), '`node`', _NONE, 'take the Service over from kube-proxy'),
    Key('datapath', _S, 'Service', values.one_of('auto', 'kernel', 'haproxy'), 'auto, kernel, haproxy', 'auto', 'node role: what balances its TCP ports that ask for nothing which only HAProxy gives; auto: the kernel, but for ports that speak HTTP and have no session affinity'),
    Key('address', _S, 'Service of a pool', values.list_of(values.address, most=16), 'list of IP addresses', _NONE, 'the [address of a pool](address-pools.md) that it is to have, of each family at most one; counts before `spec.loadBalancerIP`'),
    Key('address-pool', _S, 'Service of a pool', values.name, 'name', 'the first that has one', 'the pool that its address is to come from'),
    Key('address-sharing-key', _S, 'Service of a pool', values.shared_key, 'letters, digits, `.`, `_`, `/`, `-`', _NONE, 'Services of the namespace with the same text can have one address together, where their ports differ'),
    Key('class', _S, 'Service', values.name, 'name', DEFAULT_CLASS, 'which installation'),
    Key('mode', _E, 'port', values.one_of('tcp', 'http', 'tls-passthrough'), 'tcp, http, tls-passthrough', 'see [modes](#modes)', 'what the port speaks'),
    Key('host', _E, 'port', values.list_of(values.host, most=100), 'list of hosts', _NONE, 'http and TLS routing; `*.example.com` matches one label, `*` every host'),
    Key('path', _E, 'port', values.list_of(values.route_path, most=100), 'list of paths', '/', 'with host'),
    Key('path-type', _E, 'port', values.one_of('Prefix', 'Exact', 'RegularExpression'), 'Prefix, Exact, RegularExpression', 'Prefix', 'by path element, as Ingress; [expressions](#expressions) are of the beginning of the path, without regard to case', closes=True),
    Key('port', _E, 'port', values.number(1, 65535), 'number', 'the Service port', 'TCP port at the edge'),
    Key('tls-secret', _E, 'port', values.list_of(values.object_name, most=4), 'list of names', _NONE, 'terminate TLS with this `kubernetes.io/tls` Secret, for its hosts, or in the node role at the Service\'s own addresses; several, if their keys are of different kinds (RSA, ECDSA): each client gets the one that it can use', closes=True),
    Key('client-ca-secret', _E, 'port', values.object_name, 'name', _NONE, 'with tls-secret: clients show a certificate of this CA; a request whose Host is not the SNI\'s gets 421', closes=True),
    Key('client-verify', _E, 'port', values.one_of('required', 'optional'), 'required, optional', 'required', 'with client-ca-secret'),
    Key('tls-redirect', _R, 'port', values.boolean, 'boolean', 'true with tls-secret', 'http to https, 308'),
    Key('hsts', _R, 'port', values.duration_or_off, 'duration, `off`', 'off', 'Strict-Transport-Security'),
    Key('accept-proxy', _E, 'TCP port of its own', values.boolean, 'boolean', 'false', 'clients send PROXY v1 or v2 (on shared listeners a class setting, then the key is a diagnostic)'),
    Key('timeout-client', _R, 'http port', values.duration, 'duration', '60s', 'for TCP a class setting (`tcpClientTimeout`), and the key a diagnostic'),
    Key('maintenance', _R, 'route', values.boolean, 'boolean', 'false', '503 with Retry-After for all, while the rest stays as it is', closes=True),
    Key('client-ip', _B, 'port', values.one_of('none', 'forwarded', 'proxy-v1', 'proxy-v2', 'preserve'), 'none, forwarded, proxy-v1, proxy-v2, preserve', 'forwarded for http, none for tcp', "how the endpoint learns the client's address; preserve in the node role only, on TCP ports that ask for nothing else"),
    Key('backend-protocol', _B, 'port', values.one_of('http1', 'h2c', 'https', 'h2', 'tcp', 'tls'), 'http1, h2c, https, h2, tcp, tls', 'by appProtocol', 'what the endpoint speaks'),
    Key('backend-ca-secret', _B, 'port', values.object_name, 'name', _NONE, 're-encryption: the CA that the endpoint\'s certificate must come from', closes=True),
    Key('backend-verify', _B, 'port', values.boolean, 'boolean', 'true with a CA', 're-encryption: verify the endpoint\'s certificate'),
    Key('backend-sni', _B, 'port', values.sni, 'host, `host-header`', _NONE, 're-encryption: the server name sent to the endpoint'),
    Key('balance', _B, 'port', request_values.balance, 'random, roundrobin, leastconn, first, source, uri, hdr:NAME, hash:VARIABLES', 'random', 'hashes are consistent; [variables](#hashes) name parts of the request; `random(1)` in the node role'),
    Key('slow-start', _B, 'port', values.duration, 'duration', 'off', 'a new endpoint gets its share little by little'),
    Key('max-connections', _B, 'port', values.number(1, 1_000_000), 'number', 'none', 'per endpoint and pod of headrace'),
    Key('queue-timeout', _B, 'port', values.duration, 'duration', '5s', 'how long a request may wait for an endpoint that is full'),
    Key('cookie', _B, 'port', values.cookie_or_true, 'name, true', _NONE, "sticky sessions; the value is the endpoint's identity, hashed. `true` takes the class's name; another name costs a reload when first used"),
    Key('cookie-path', _B, 'port', response_values.cookie_path, 'path', '/', 'with cookie: its Path'),
    Key('cookie-domain', _B, 'port', response_values.cookie_domain, 'host', _NONE, 'with cookie: its Domain'),
    Key('cookie-same-site', _B, 'port', values.one_of('Lax', 'Strict', 'None'), 'Lax, Strict, None', 'Lax', 'with cookie: its SameSite'),
    Key('cookie-conditional-same-site-none', _B, 'port', values.boolean, 'boolean', 'false', 'with cookie: no `SameSite=None` for browsers that refuse it (iOS 12, Safari of macOS 10.14, Chrome 51 to 66)'),
    Key('cookie-max-age', _B, 'port', values.duration_or_off, 'duration, `off`', 'off', 'with cookie: its Max-Age, counted from the answer that sets it'),
    Key('cookie-secure', _B, 'port', values.boolean, 'boolean', 'on TLS', 'with cookie: whether it is Secure'),
    Key('cookie-change-on-failure', _B, 'port', values.boolean, 'boolean', 'true', 'with cookie: a client whose endpoint refuses connections gets the cookie of the one that answered instead; with false it keeps its own'),
    Key('check', _B, 'port', values.one_of('off', 'tcp', 'http'), 'off, tcp, http', 'off', 'active checks in addition to readiness; any `check-…` key but interval, rise and fall implies http'),
    Key('check-path', _B, 'port', values.path, 'path', '/', 'what the check asks for'),
    Key('check-host', _B, 'port', values.plain_host, 'host', _NONE, "the check's Host header"),
    Key('check-status', _B, 'port', values.statuses, 'list or range', '200-399', 'the answers that count as healthy'),
    Key('check-interval', _B, 'port', values.duration, 'duration', '2s', 'time between two checks of an endpoint; at least the class\'s `minCheckInterval`'),
    Key('check-rise', _B, 'port', values.number(1, 1000), 'number', '2', 'good checks until an endpoint is up'),
    Key('check-fall', _B, 'port', values.number(1, 1000), 'number', '3', 'bad checks until an endpoint is down'),
    Key('eject-after', _B, 'port', values.number(1, 1000), 'number', 'off', 'passive, needs `check`: so many connection errors in a row put an endpoint aside until its check passes again'),
    Key('timeout-connect', _B, 'port', values.duration, 'duration', '5s', 'on TCP ports other values cost a reload when first used'),
    Key('timeout-server', _B, 'port', values.duration, 'duration', '60s', 'on TCP ports other values cost a reload when first used'),
    Key('timeout-tunnel', _B, 'port', values.duration, 'duration', '1h', 'on TCP ports other values cost a reload when first used'),
    Key('retries', _B, 'port', values.number(0, 10), 'number', '3', 'how often a request is tried again; the last time, or without `cookie` and a hash each time, at another endpoint. 0, and 2 with a usual `retry-on`, cost no reload, other values do when first used'),
    Key('retry-on', _B, 'port', values.retry_on, 'list of conditions', 'conn-failure', 'requests that are not idempotent are only retried when the connection failed. `conn-failure empty-response response-timeout`, and these with `502 503 504`, cost no reload where `balance` is random or roundrobin, without a check, other values do when first used'),
    Key('allow', _R, 'port or route', values.list_of(values.network), 'list of CIDRs', _NONE, 'only these clients; others get 403 or a reset', closes=True),
    Key('deny', _R, 'port or route', values.list_of(values.network), 'list of CIDRs', _NONE, 'not these clients, judged before `allow`; 403 or a reset', closes=True),
    Key('rate-limit', _R, 'port or route', values.rate, 'rate', _NONE, 'requests (http) or connections (tcp) per client address (IPv6: the class\'s `rateLimitIpv6Prefix`) and pod of headrace; 429 or a reset'),
    Key('rate-limit-burst', _R, 'port or route', request_values.burst, 'number, or multiple as `5x`', 'off', 'with rate-limit: so many more may come at once, or so many times the rate; then as many as the rate says'),
    Key('rate-limit-except', _R, 'port or route', values.list_of(values.network), 'list of CIDRs', _NONE, 'with rate-limit or connection-limit: not for these clients'),
    Key('connection-limit', _R, 'port or route', values.number(1, 1_000_000), 'number', 'none', 'requests (http) or connections (tcp) at the same time per client address (as for rate-limit) and pod of headrace; 503 or a reset'),
    Key('satisfy', _R, 'route', values.one_of('all', 'any'), 'all, any', 'all', 'with allow, and basic-auth-secret or external authentication: `any` lets clients in that either of them does'),
    Key('basic-auth-secret', _R, 'route', values.object_name, 'name', _NONE, 'Secret of type `kubernetes.io/basic-auth`, or with `auth` (htpasswd). `{SHA}` lines and clear passwords are data; crypt hashes (`$2y$` up to cost 10, `$5$` and `$6$` up to 100,000 rounds) cost a reload when first used, and up to 50 ms of CPU for each password that was not tried in the last minutes; `$apr1$` hashes are data, and cost 3 ms of it', closes=True),
    Key('basic-auth-secret-type', _R, 'route', values.one_of('auth-file', 'auth-map'), 'auth-file, auth-map', 'auth-file', 'with basic-auth-secret: `auth-map` is a Secret that has under the name of each user the hash of the password, in one of the forms of htpasswd', closes=True),
    Key('basic-auth-realm', _R, 'route', request_values.realm, 'text', "the request's host", 'with basic-auth-secret: what clients are shown when they are asked for a password'),
    Key('external-auth-service', _R, 'route', authentication.service_reference, '`NAME` or `NAME:PORT`', _NONE, 'ask this Service of the namespace whether a request may go on; see [external authentication](external-authentication.md)', closes=True),
    Key('external-auth-path', _R, 'route', authentication.request_target, 'path', '/', 'with external-auth-service: the path (and query) that is asked', closes=True),
    Key('external-auth-url', _R, 'route', authentication.url, 'URL', _NONE, 'the same as one URL, whose host is `NAME.NAMESPACE.svc`, `NAME.NAMESPACE.svc.DOMAIN` or `$host`, or one of the class\'s `externalAuthHosts`; [variables](#redirects) can stand in its path and query', closes=True),
    Key('external-auth-signin', _R, 'route', request_values.location, 'URL or path', _NONE, 'where clients go when the answer is 401: 302, with the URL that they asked for as parameter `rd`; [variables](#redirects) stand for parts of the request'),
    Key('external-auth-method', _R, 'route', values.one_of('GET', 'HEAD', 'POST', 'PUT', 'DELETE'), 'GET, HEAD, POST, PUT, DELETE', 'GET', 'method of the request that asks', closes=True),
    Key('external-auth-response-headers', _R, 'route', values.list_of(authentication.answer_header, most=50, longest=2000), 'list of headers', _NONE, 'headers of the answer that the request gets; those that a client sends itself are removed', closes=True),
    Key('external-auth-timeout', _R, 'route', values.duration, 'duration', '5s', 'how long an answer may take; 500 beyond it'),
    Key('external-auth-cache', _R, 'route', values.duration_or_off, 'duration, `off`', 'off', 'remember for so long that a client may go on, for the same method, URL, address, `Cookie` and `Authorization`'),
    Key('external-auth-skip-paths', _R, 'route', values.list_of(values.route_path, most=100), 'list of paths', _NONE, 'paths, by element, that need no authentication'),
    Key('external-auth-body-size', _R, 'route', authentication.body_size, 'size', _NONE, 'send the body along, up to this size (at most 12k); 413 for more, 411 for a body without a declared length', closes=True),
    Key('global-auth', _R, 'route', values.boolean, 'boolean', 'true', 'whether the class\'s [`globalAuth`](settings.md#globalauth) asks about its requests', closes=True),
    Key('max-body-size', _R, 'route', values.size, 'size', _NONE, '413 for more; 411 for a body without a declared length'),
    Key('request-buffering', _R, 'route', values.boolean, 'boolean', 'false', "a request goes to an endpoint when its body is there, or HAProxy's buffer (16 kB) is full; 408 after 60s"),
    Key('redirect-to', _R, 'route', request_values.location, 'URL or path', _NONE, 'answer with a redirect; [variables](#redirects) stand for parts of the request', closes=True),
    Key('redirect-code', _R, 'route', values.one_of('301', '302', '303', '307', '308'), '301, 302, 303, 307, 308', '302', 'with redirect-to'),
    Key('redirect-root', _R, 'route', request_values.below_root, 'path', _NONE, 'requests for exactly `/` of its hosts are redirected to this path, 302'),
    Key('www-redirect', _R, 'port', values.boolean, 'boolean', 'false', 'a host that differs from one of its hosts by `www.` is redirected there, 308; with tls-secret, its TLS too where the certificate names it'),
    Key('rewrite-path', _R, 'route', values.path, 'path', _NONE, 'replaces the matched prefix; with `path-type: RegularExpression` the whole path, and `$1` to `$9` stand for groups'),
    Key('host-header', _R, 'route', request_values.authority, 'host, perhaps with a port', _NONE, 'the Host header that endpoints get; X-Forwarded-Host keeps what the client sent. It counts before a Host in request-headers, and backend-sni `host-header` follows it'),
    Key('request-headers', _R, 'route', values.headers, 'headers', _NONE, 'set or remove headers of requests'),
    Key('response-headers', _R, 'route', values.headers, 'headers', _NONE, 'set or remove headers of responses'),
    Key('response-headers-config-map', _R, 'route', values.object_name, 'name', _NONE, "a ConfigMap of the namespace whose entries are headers of responses; all of them must be among the class's `allowedResponseHeaders`, else none is set. response-headers counts more. It is read where Secrets are (`secrets.namespaces`), by the edge"),
    Key('response-cookie-domain', _R, 'route', response_values.replacement(response_values.cookie_domain), '`FROM TO`', _NONE, 'cookies that endpoints set for the domain FROM are for the domain TO'),
    Key('response-cookie-path', _R, 'route', response_values.replacement(response_values.cookie_path), '`FROM TO`', _NONE, 'cookies that endpoints set for a path that begins with FROM have TO in its place'),
    Key('error-statuses', _R, 'route', response_values.error_statuses, 'list of 400 to 599', _NONE, 'answers with these codes are replaced by what error-service answers; also 503 where there is no endpoint'),
    Key('error-service', _R, 'route', authentication.service_reference, '`NAME` or `NAME:PORT`', _NONE, 'a Service of the namespace, which is asked as the default backend of ingress-nginx is: `GET /` with `X-Code`, `X-Format`, `X-Original-URI`, `X-Namespace`, `X-Ingress-Name`, `X-Service-Name`, `X-Service-Port` and `X-Request-ID`. Its code, headers and body (up to 14,000 bytes) are the answer; where it gives none in 5s, the answer stays'),
    Key('fallback-service', _R, 'route', authentication.service_reference, '`NAME` or `NAME:PORT`', _NONE, 'a Service of the namespace that gets the requests while the one that they are for has no endpoint that can be used. Endpoints that come and go cost nothing here: each request looks at them'),
    Key('mirror-service', _R, 'route', authentication.service_reference, '`NAME` or `NAME:PORT`', _NONE, 'a Service of the namespace that gets a copy of requests: the client does not wait for it, its answers are dropped. Not copied: methods but GET, HEAD, POST, PUT and DELETE, bodies without a declared length or above about 15,000 bytes, and what exceeds the class\'s `maxAuthenticationsPerNamespace` at once'),
    Key('mirror-percent', _R, 'route', values.number(0, 100), '0–100', '100', 'with mirror-service: percent of the requests'),
    Key('location-rewrite', _R, 'route', response_values.location_rewrite, '`FROM TO`, `off`', 'off', 'a `Location` of endpoints (or the URL of `Refresh`) that begins with FROM begins with TO instead; `default`, as NGINX has it, is `off`'),
    Key('cors-allow-origin', _R, 'route', values.list_of(values.origin, most=100), 'list of origins', 'off', 'switches CORS on; preflight requests are answered here'),
    Key('cors-allow-methods', _R, 'route', values.list_of(values.token, most=50, longest=4000), 'list of methods', 'GET, HEAD, POST', 'with cors-allow-origin'),
    Key('cors-allow-headers', _R, 'route', values.list_of(values.token, most=100, longest=4000), 'list of headers', _NONE, 'with cors-allow-origin'),
    Key('cors-expose-headers', _R, 'route', values.list_of(values.token, most=100, longest=4000), 'list of headers', _NONE, 'with cors-allow-origin'),
    Key('cors-allow-credentials', _R, 'route', values.boolean, 'boolean', 'false', 'with cors-allow-origin'),
    Key('cors-max-age', _R, 'route', values.duration, 'duration', '5s', 'with cors-allow-origin'),
    Key('compression', _B, 'route', values.boolean, 'boolean', 'false', 'needs a reload when it is switched'),
    Key('bandwidth-limit', _B, 'route', values.size, 'size', 'none', 'bytes of each response that are sent in a second; needs a reload when it is switched on, another value does not'),
    Key('canary-service', _R, 'route', values.name, 'Service in the namespace', _NONE, 'part of the traffic goes to the port of the same name, else number, of this Service'),
    Key('canary-weight', _R, 'route', values.number(0, 1_000_000), 'number', '0', 'parts of `canary-weight-total`, so percent of the requests; with `cookie` or `sessionAffinity`, here or at the canary, of the clients, by their addresses'),
    Key('canary-weight-total', _R, 'route', values.number(1, 1_000_000), 'number', '100', 'what `canary-weight` is a part of'),
    Key('canary-header', _R, 'route', values.header_match, '`Name` or `Name: value`', _NONE, 'requests whose header of this name is `always`, or the value, go to the canary; without a value those with `never` do not'),
    Key('canary-header-pattern', _R, 'route', request_values.pattern, 'regular expression', _NONE, 'with canary-header without a value: requests whose header matches go to the canary, and `always` and `never` mean nothing. Of the syntax of [expressions](#expressions), of any part of the header, and with regard to case'),
    Key('canary-cookie', _R, 'route', values.cookie, 'name', _NONE, 'requests whose cookie of this name is `always` go to the canary, those with `never` do not; a header counts more'),
    Key('snippets', _B, 'port or route', values.list_of(values.snippet, most=20), 'names', _NONE, 'fragments that the administrator wrote into the installation; no annotation carries HAProxy text'),
)  # fmt: skip

BY_NAME: dict[str, Key] = {key.name: key for key in KEYS}
# Keys that only ports of this mode have.
HTTP_ONLY = frozenset((
    'path', 'path-type', 'hsts', 'max-body-size', 'request-buffering', 'redirect-to', 'redirect-code', 'satisfy', 'basic-auth-realm', 'basic-auth-secret-type', 'host-header', 'redirect-root', 'www-redirect', 'rewrite-path', 'request-headers',
    'response-headers', 'cors-allow-origin', 'cors-allow-methods', 'cors-allow-headers', 'cors-expose-headers',
    'cors-allow-credentials', 'cors-max-age', 'canary-service', 'canary-weight', 'canary-header', 'canary-cookie',
    'canary-weight-total', 'canary-header-pattern',
    'external-auth-path', 'external-auth-signin', 'external-auth-method', 'external-auth-response-headers',
    'external-auth-timeout', 'external-auth-cache', 'external-auth-skip-paths', 'external-auth-body-size', 'global-auth',
    'timeout-client', 'tls-redirect', 'response-cookie-domain', 'response-headers-config-map', 'response-cookie-path', 'location-rewrite', 'error-statuses',
    'error-service', 'fallback-service', 'mirror-service', 'mirror-percent',
))  # fmt: skip
TCP_ONLY = frozenset(('port', 'accept-proxy'))
CLOSING = frozenset(key.name for key in KEYS if key.closes)
