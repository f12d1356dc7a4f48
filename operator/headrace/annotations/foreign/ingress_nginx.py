"""The table of ingress-nginx's annotations: of each key, how it is served, and which of headrace's keys it sets."""

from dataclasses import replace

from headrace.annotations.foreign import forms
from headrace.annotations.foreign import nginx_backends as backends
from headrace.annotations.foreign import nginx_security as security
from headrace.annotations.foreign import nginx_traffic as traffic
from headrace.annotations.foreign.table import Row, Verdict, by_name, differs, exact, ignored, in_group, structural

PREFIXES = ('nginx.ingress.kubernetes.io/',)

_BACKEND_PROTOCOL = forms.choice(HTTP='http1', HTTPS='https', GRPC='h2c', GRPCS='h2')
_SNIPPET = 'add_header, more_set_headers, more_clear_headers, more_set_input_headers, proxy_set_header, proxy_hide_header, return, rewrite that redirects, allow and deny are read; a directive that may refuse requests and is not read closes the routes'

_SECURITY: tuple[tuple[Row, ...], ...] = (
    in_group(
        security.basic_auth,
        exact('auth-type', text='`basic`, and the endpoint gets the credentials too; `digest` closes the routes', closes=True),
        exact('auth-secret', 'basic-auth-secret', text='a Secret of the namespace of the Ingress', closes=True),
        exact('auth-secret-type', 'basic-auth-secret-type', text='`auth-file` and `auth-map`', closes=True),
        exact('auth-realm', 'basic-auth-realm'),
    ),
    in_group(
        security.external_auth,
        differs('auth-url', "the host is that of a Service of the namespace, `$host` for who serves it there, or one of the class's `externalAuthHosts`; with `$host`, `$scheme`, `$request_uri`, `$escaped_request_uri`, `$uri` and `$args`", 'external-auth-url', closes=True),
        exact('auth-signin', 'external-auth-signin', text='with the same variables as `auth-url`'),
        exact('auth-signin-redirect-param', 'external-auth-signin'),
        exact('auth-method', 'external-auth-method', closes=True),
        exact('auth-response-headers', 'external-auth-response-headers', closes=True),
        differs('auth-cache-key', 'the key is method, URL, client address, Cookie and Authorization', 'external-auth-cache'),
        differs('auth-cache-duration', 'one time: the shortest of those for success', 'external-auth-cache'),
    ),
    ignored('auth-keepalive auth-keepalive-requests auth-keepalive-share-vars auth-keepalive-timeout', 'connections to the authentication Service are kept as those to any other'),
    ignored('auth-proxy-set-headers', "headrace reads no ConfigMap; the authentication Service gets the request's headers"),
    ignored('auth-request-redirect', 'the authentication Service gets the original URL in other headers'),
    ignored('auth-always-set-cookie', 'cookies of the authentication Service always reach the client'),
    ignored('auth-snippet', 'the request to the authentication Service cannot be changed'),
    (exact('enable-global-auth', 'global-auth', text="of the class's setting `globalAuth`", form=forms.boolean, closes=True),),
    in_group(
        security.client_certificates,
        exact('auth-tls-secret', 'client-ca-secret', text='a Secret of the namespace of the Ingress', closes=True),
        differs('auth-tls-verify-client', '`optional_no_ca` is `optional`; a certificate that is refused ends the handshake', 'client-verify', closes=True),
        Row('auth-tls-match-cn', Verdict.IGNORED, 'the subject is not compared', closes=True),
    ),
    ignored('auth-tls-verify-depth', 'chains of any length are verified'),
    ignored('auth-tls-error-page', 'a client without a valid certificate is refused in the handshake'),
    ignored('auth-tls-pass-certificate-to-upstream', 'the endpoint does not get the certificate'),
    in_group(
        security.access,
        exact('allowlist-source-range', 'allow', closes=True),
        exact('whitelist-source-range', 'allow', closes=True),
        exact('denylist-source-range', 'deny', closes=True),
        exact('satisfy', 'satisfy'),
    ),
    in_group(
        security.limits,
        differs('limit-rps', 'answers 429; of limit-rps and limit-rpm the lower one counts', 'rate-limit'),
        differs('limit-rpm', 'answers 429; of limit-rps and limit-rpm the lower one counts', 'rate-limit'),
        exact('limit-burst-multiplier', 'rate-limit-burst'),
        exact('limit-whitelist', 'rate-limit-except'),
        exact('limit-allowlist', 'rate-limit-except'),
    ),
    (exact('limit-connections', 'connection-limit', form=forms.count),),
    ignored('global-rate-limit global-rate-limit-window global-rate-limit-key global-rate-limit-ignored-cidrs', 'rates are counted by each pod; ingress-nginx has removed it too'),
    ignored('enable-modsecurity enable-owasp-core-rules modsecurity-transaction-id modsecurity-snippet', 'headrace has no web application firewall: requests are not inspected'),
)  # fmt: skip

_TRAFFIC: tuple[tuple[Row, ...], ...] = (
    in_group(
        traffic.https,
        exact('ssl-redirect', 'tls-redirect'),
        exact('force-ssl-redirect', 'tls-redirect'),
        exact('preserve-trailing-slash'),
    ),
    in_group(
        traffic.redirects,
        exact('temporal-redirect', 'redirect-to'),
        exact('temporal-redirect-code', 'redirect-code'),
        exact('permanent-redirect', 'redirect-to'),
        exact('permanent-redirect-code', 'redirect-code'),
    ),
    in_group(
        traffic.rewrite,
        exact('rewrite-target', 'rewrite-path', text='all paths of its hosts are regular expressions then'),
        structural('use-regex', 'for all paths of its hosts, without regard to case, at the beginning of the path'),
    ),
    (
        exact('app-root', 'redirect-root', text='to the path, on the host of the request', form=forms.plain),
        exact('from-to-www-redirect', 'www-redirect', form=forms.boolean),
    ),
    in_group(traffic.aliases, structural('server-alias', 'hosts; expressions are not served; an alias that is a host of another Ingress is of the older one')),
    in_group(
        traffic.canary,
        *(structural(name) for name in ('canary', 'canary-weight', 'canary-weight-total', 'canary-by-header', 'canary-by-header-value', 'canary-by-cookie')),
        replace(structural('canary-by-header-pattern'), sets=('canary-header-pattern',)),
    ),
    in_group(
        backends.affinity,
        exact('affinity', 'cookie', text='see `session-cookie-change-on-failure` for endpoints that refuse connections'),
        differs('affinity-mode', 'always `persistent`: clients stay where they are when endpoints are added'),
        differs('affinity-canary-behavior', 'clients are shared between both Services by their addresses, and stay'),
        exact('session-cookie-name', 'cookie'),
        exact('session-cookie-path', 'cookie-path'),
        exact('session-cookie-domain', 'cookie-domain'),
        exact('session-cookie-samesite', 'cookie-same-site'),
        exact('session-cookie-secure', 'cookie-secure'),
        exact('session-cookie-max-age', 'cookie-max-age'),
        differs('session-cookie-expires', 'as Max-Age, which browsers prefer to Expires', 'cookie-max-age'),
        differs('session-cookie-change-on-failure', 'with `false`, the default, the client keeps its cookie, but another endpoint answers where its own refuses connections; ingress-nginx answers 502', 'cookie-change-on-failure'),
        exact('session-cookie-conditional-samesite-none', 'cookie-conditional-same-site-none'),
    ),
    in_group(
        backends.balance,
        exact('upstream-hash-by', 'balance', text='variables of the request that headrace can hash'),
        differs('load-balance', '`ewma` is `leastconn`', 'balance'),
    ),
    ignored('upstream-hash-by-subset upstream-hash-by-subset-size', 'a hash leads to one endpoint'),
    (
        exact('backend-protocol', 'backend-protocol', text='HTTP, HTTPS, GRPC and GRPCS', form=_BACKEND_PROTOCOL),
        exact('upstream-vhost', 'host-header', text='without variables', form=forms.plain),
    ),
    in_group(backends.passthrough, structural('ssl-passthrough')),
    ignored('service-upstream', 'requests go to the endpoints of the Service'),
    in_group(
        backends.endpoints_tls,
        differs('proxy-ssl-secret', 'its CA verifies the endpoint; its certificate is not shown to the endpoint', 'backend-ca-secret', closes=True),
        exact('proxy-ssl-verify', 'backend-ca-secret'),
        exact('proxy-ssl-name', 'backend-sni'),
        exact('proxy-ssl-server-name', 'backend-sni'),
    ),
    ignored('proxy-ssl-ciphers proxy-ssl-protocols proxy-ssl-verify-depth', 'TLS to endpoints is the same for all Services'),
    ignored('ssl-ciphers ssl-prefer-server-ciphers', "ciphers are the class's: the setting `tlsCiphers`"),
    in_group(
        traffic.cors,
        exact('enable-cors', 'cors-allow-origin', text="for the origin `*` answers name the request's"),
        differs('cors-allow-origin', 'http and https origins and `*`, without patterns', 'cors-allow-origin'),
        exact('cors-allow-methods', 'cors-allow-methods'),
        exact('cors-allow-headers', 'cors-allow-headers'),
        exact('cors-expose-headers', 'cors-expose-headers'),
        exact('cors-allow-credentials', 'cors-allow-credentials'),
        exact('cors-max-age', 'cors-max-age'),
    ),
    (
        exact('proxy-connect-timeout', 'timeout-connect', form=forms.seconds),
        differs('proxy-body-size', '411 for a body without a declared length', 'max-body-size', form=forms.size),
        differs('limit-rate', 'without `proxy-buffering` too; needs a reload when it is switched on', 'bandwidth-limit', form=forms.kilobytes),
    ),
    in_group(
        traffic.buffering,
        differs('proxy-request-buffering', "with `on` up to HAProxy's buffer (16 kB), and 408 for a body that takes longer than 60s; without the key as with `off`", 'request-buffering'),
        Row('proxy-buffering', Verdict.IGNORED, 'HAProxy sends responses on as they come, as with `off`; an endpoint has to wait for a slow client'),
    ),
    in_group(
        backends.timeouts,
        differs('proxy-read-timeout', 'one timeout for both directions, the longer one; for WebSockets too', 'timeout-server', 'timeout-tunnel'),
        differs('proxy-send-timeout', 'one timeout for both directions, the longer one; for WebSockets too', 'timeout-server', 'timeout-tunnel'),
    ),
    in_group(
        backends.retries,
        exact('proxy-next-upstream', 'retry-on', text='statuses 403, 404, 429, 500, 502, 503 and 504'),
        exact('proxy-next-upstream-tries', 'retries', text='up to 11 tries'),
    ),
    ignored('proxy-next-upstream-timeout', 'the number of tries and their timeouts bound a request'),
    in_group(
        traffic.errors,
        differs('custom-http-errors', "bodies of the Service are read up to HAProxy's buffer", 'error-statuses', 'error-service'),
        differs('default-backend', 'a Service with one port', 'fallback-service', 'error-service'),
    ),
    ignored('disable-proxy-intercept-errors', 'it speaks of statuses that the ConfigMap intercepts, which headrace does not do'),
    in_group(
        traffic.mirror,
        differs('mirror-target', 'Services of the namespace', 'mirror-service'),
        exact('mirror-request-body', 'mirror-service', text='`on`'),
    ),
    ignored('mirror-host', "the mirror gets the request's Host"),
    in_group(
        traffic.answers,
        exact('proxy-cookie-domain', 'response-cookie-domain', text='without variables and expressions'),
        exact('proxy-cookie-path', 'response-cookie-path', text='without variables and expressions'),
        exact('proxy-redirect-from', 'location-rewrite', text='without variables and expressions'),
        exact('proxy-redirect-to', 'location-rewrite', text='without variables and expressions'),
    ),
    in_group(traffic.headers, exact('x-forwarded-prefix', 'request-headers', text='without variables; without `rewrite-target` too')),
    in_group(
        traffic.configuration_snippet,
        differs('configuration-snippet', _SNIPPET),
        differs('server-snippet', f'for the routes of this Ingress; {_SNIPPET}'),
    ),
    ignored('stream-snippet', 'no annotation carries configuration'),
    in_group(traffic.custom_headers, exact('custom-headers', 'response-headers-config-map', text="a ConfigMap of the namespace of the Ingress, which must be one of `secrets.namespaces`; the class's `allowedResponseHeaders` are `global-allowed-response-headers`")),
    ignored('connection-proxy-header', "the Connection header is HAProxy's"),
    ignored('fastcgi-index fastcgi-params-configmap', 'FastCGI is not served'),
    ignored('http2-push-preload', 'browsers have removed server push'),
    ignored('limit-rate-after', 'the limit holds from the first byte'),
    ignored('relative-redirects use-port-in-redirects', "redirects name the host and the class's public port"),
    (exact('proxy-http-version', text='`1.1`', form=forms.choice(**{'1.1': ''})),),
    ignored('client-body-buffer-size proxy-buffer-size proxy-buffers-number proxy-busy-buffers-size proxy-max-temp-file-size', 'HAProxy passes bodies on in buffers of one size, and writes none to a disk'),
    ignored('enable-access-log enable-rewrite-log', "the log is the class's: the setting `accessLog`"),
    ignored('enable-opentracing opentracing-trust-incoming-span enable-opentelemetry opentelemetry-trust-incoming-span opentelemetry-operation-name', 'headrace makes no traces; headers of traces are passed on'),
)  # fmt: skip

TABLE = by_name(*_SECURITY, *_TRAFFIC)
