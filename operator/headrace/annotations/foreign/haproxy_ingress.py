"""The table of haproxy-ingress's annotations: of each key, how it is served, and which of headrace's keys it sets."""

from headrace.annotations.foreign import forms
from headrace.annotations.foreign import haproxy_groups as groups
from headrace.annotations.foreign.table import Row, Verdict, by_name, differs, exact, ignored, in_group, structural

PREFIXES = ('haproxy-ingress.github.io/', 'ingress.kubernetes.io/')

_PROXY_PROTOCOL = forms.choice(
    **{'v1': 'proxy-v1', 'v2': 'proxy-v2', 'v2-ssl': 'proxy-v2', 'v2-ssl-cn': 'proxy-v2', 'no': 'forwarded'}
)
_GLOBAL = """
acme-emails acme-endpoint acme-expiring acme-shared acme-terms-agreed allow-local-bind auth-log-format auth-proxy
auth-tls-default-secret bind-ip-addr-healthz bind-ip-addr-prometheus bind-ip-addr-stats bind-ip-addr-tcp
close-sessions-duration config-defaults config-frontend config-frontend-early config-frontend-late config-global config-peers
config-proxy config-sections config-tcp cookie-key cpu-map create-default-frontends cross-namespace-secrets-ca
cross-namespace-secrets-crt cross-namespace-secrets-passwd cross-namespace-services default-backend-redirect
default-backend-redirect-code dns-accepted-payload-size dns-cluster-domain dns-hold-obsolete dns-hold-valid dns-resolvers
dns-timeout-retry drain-support drain-support-redispatch external-has-lua fcgi-enabled-apps forwardfor fronting-proxy-port
groupname healthz-port http-frontends http-log-format http-passthrough-port http-port http-response-prometheus-root
https-log-format https-port https-to-http-port load-server-state master-exit-on-failure max-connections modsecurity-args
modsecurity-endpoints modsecurity-timeout-hello modsecurity-timeout-idle modsecurity-timeout-processing modsecurity-use-coraza
nbthread no-redirect-locations no-tls-redirect-locations original-forwarded-for-hdr path-type-order peers-name peers-port
peers-table-global prometheus-port real-ip-hdr ssl-dh-default-max-size ssl-dh-param ssl-engine ssl-headers-prefix ssl-mode-async
ssl-options ssl-redirect-code stats-auth stats-port stats-proxy-protocol stats-ssl-cert strict-host syslog-endpoint syslog-format
syslog-length syslog-tag tcp-log-format timeout-client timeout-client-fin timeout-stop use-chroot use-cpu-map use-haproxy-user
username worker-max-reloads
"""
_FRONTEND = """
bind-fronting-proxy bind-http bind-http-passthrough bind-https bind-ip-addr-http http-frontend http-passthrough
redirect-from-code use-forwarded-proto use-proxy-protocol
"""
_RESPONSES = ' '.join(
    f'http-response-{code}'
    for code in (
        200,
        400,
        401,
        403,
        404,
        405,
        407,
        408,
        410,
        413,
        421,
        422,
        425,
        429,
        495,
        496,
        500,
        501,
        502,
        503,
        504,
    )
)

_SECURITY: tuple[tuple[Row, ...], ...] = (
    in_group(
        groups.basic_auth,
        exact('auth-secret', 'basic-auth-secret', text='a Secret of the namespace of the Ingress; a file closes the routes', closes=True),
        exact('auth-realm', 'basic-auth-realm'),
    ),
    ignored('auth-type', 'haproxy-ingress has given it up: `auth-secret` is enough'),
    in_group(
        groups.external_auth,
        differs('auth-url', "the host is that of a Service of the namespace, or one of the class's `externalAuthHosts`", 'external-auth-url', closes=True),
        differs('auth-method', '`*` is GET', 'external-auth-method', closes=True),
        differs('auth-signin', 'expressions: path, url, pathq, query and hdr(host)', 'external-auth-signin'),
        differs('auth-headers-succeed', 'names of headers, without patterns', 'external-auth-response-headers', closes=True),
    ),
    ignored('auth-external-placement', 'a request is authenticated before its Service is chosen'),
    ignored('auth-headers-request auth-headers-fail', 'which headers go to the authentication Service and back cannot be chosen'),
    (Row('oauth', Verdict.IGNORED, 'the Service cannot be told from it: `auth-url` and `auth-signin` can be used instead', closes=True),),
    ignored('oauth-uri-prefix oauth-headers', 'as `oauth`'),
    in_group(
        groups.client_certificates,
        exact('auth-tls-secret', 'client-ca-secret', text='a Secret of the namespace of the Ingress; a file closes the routes', closes=True),
        differs('auth-tls-verify-client', '`optional_no_ca` is `optional`', 'client-verify', closes=True),
    ),
    ignored('auth-tls-strict', 'always true: without its CA the routes are closed'),
    ignored('auth-tls-cert-header ssl-fingerprint-lower ssl-fingerprint-sha2-bits', 'the endpoint does not get the certificate'),
    ignored('auth-tls-error-page', 'a client without a valid certificate is refused in the handshake'),
    in_group(
        groups.access,
        exact('allowlist-source-range', 'allow', closes=True),
        exact('whitelist-source-range', 'allow', closes=True),
        differs('denylist-source-range', 'networks with `!` are denied too', 'deny', closes=True),
    ),
    (
        Row('allowlist-source-header', Verdict.IGNORED, "clients are known by their connection or a trusted proxy's header alone", closes=True),
        differs('limit-connections', 'answers 503 instead of ending the connection', 'connection-limit', form=forms.count),
        differs('limit-rps', 'requests instead of connections, and answers 429', 'rate-limit', form=forms.rate_per_second),
        exact('limit-whitelist', 'rate-limit-except', form=forms.networks),
    ),
    ignored('waf waf-mode', 'headrace has no web application firewall: requests are not inspected'),
    (
        Row('tcp-service-port', Verdict.IGNORED, 'a TCP port is served by `headrace.io/port` on the Service', closes=True),
        Row('http-header-match', Verdict.IGNORED, 'conditions of an Ingress are not served', closes=True),
        Row('http-header-match-regex', Verdict.IGNORED, 'conditions of an Ingress are not served', closes=True),
    ),
)  # fmt: skip

_TRAFFIC: tuple[tuple[Row, ...], ...] = (
    in_group(
        groups.affinity,
        exact('affinity', 'cookie'),
        exact('session-cookie-name', 'cookie'),
        exact('session-cookie-domain', 'cookie-domain'),
        exact('session-cookie-same-site', 'cookie-same-site', 'cookie-secure'),
        differs('session-cookie-strategy', '`insert`'),
    ),
    ignored('session-cookie-dynamic session-cookie-keywords session-cookie-preserve session-cookie-shared session-cookie-value-strategy', "the cookie's value stands for the endpoint, on every pod the same"),
    in_group(groups.balance, differs('balance-algorithm', 'without arguments', 'balance')),
    in_group(
        groups.cors,
        exact('cors-enable', 'cors-allow-origin'),
        exact('cors-allow-origin', 'cors-allow-origin'),
        exact('cors-allow-methods', 'cors-allow-methods'),
        exact('cors-allow-headers', 'cors-allow-headers'),
        exact('cors-expose-headers', 'cors-expose-headers'),
        exact('cors-allow-credentials', 'cors-allow-credentials'),
        exact('cors-max-age', 'cors-max-age'),
        Row('cors-allow-origin-regex', Verdict.IGNORED, 'origins by expressions are not served'),
    ),
    in_group(
        groups.backend,
        exact('backend-protocol', 'backend-protocol', text='h1, h2, h1-ssl, h2-ssl, grpc and grpcs'),
        exact('secure-backends', 'backend-protocol'),
        exact('secure-verify-ca-secret', 'backend-ca-secret', text='a Secret of the namespace of the Ingress; a file closes the routes', closes=True),
        exact('secure-sni', 'backend-sni', text='a host or `host`; `sni` is `host`'),
        differs('secure-verify-hostname', 'the name is sent as SNI too', 'backend-sni'),
    ),
    ignored('secure-crt-secret', 'headrace shows no certificate to endpoints'),
    in_group(
        groups.checks,
        exact('health-check-uri', 'check', 'check-path'),
        exact('health-check-interval', 'check-interval'),
        exact('backend-check-interval', 'check-interval'),
        exact('health-check-rise-count', 'check-rise'),
        exact('health-check-fall-count', 'check-fall'),
    ),
    ignored('health-check-addr health-check-port', 'endpoints are checked on the port that they serve'),
    ignored('agent-check-addr agent-check-interval agent-check-port agent-check-send', 'agents on endpoints are not asked'),
    in_group(
        groups.hsts,
        exact('hsts', 'hsts'),
        exact('hsts-max-age', 'hsts'),
    ),
    ignored('hsts-include-subdomains hsts-preload', '`hsts` has a time alone'),
    in_group(
        groups.headers,
        exact('request-set-headers', 'request-headers', text='an expression closes the routes, but `%[namespace]`'),
        exact('headers', 'request-headers', text='an expression closes the routes, but `%[namespace]`'),
        differs('request-add-headers', 'headers replace those of the request', 'request-headers'),
        exact('request-del-headers', 'request-headers'),
        exact('response-set-headers', 'response-headers', text='without expressions'),
        differs('response-add-headers', 'headers replace those of the answer', 'response-headers'),
        exact('response-del-headers', 'response-headers'),
    ),
    in_group(
        groups.configuration,
        *(Row(name, Verdict.IGNORED, 'no annotation carries configuration; lines that may refuse requests close the routes') for name in ('config-backend', 'config-tcp-service')),
    ),
    in_group(groups.https, differs('ssl-redirect', '308 instead of 302', 'tls-redirect')),
    in_group(
        groups.redirects,
        exact('redirect-to', 'redirect-to', text='without expressions', closes=True),
        exact('redirect-to-code', 'redirect-code'),
    ),
    in_group(
        groups.structure,
        exact('rewrite-target', 'rewrite-path', text='without expressions of HAProxy'),
        *(structural(name) for name in ('server-alias', 'ssl-passthrough')),
        Row('path-type', Verdict.DIFFERS, '`begin` is `prefix`, by path element; `exact` closes the routes', closes=True, shapes=True),
    ),
    (
        exact('app-root', 'redirect-root', form=forms.plain),
        exact('maxconn-server', 'max-connections', form=forms.count),
        differs('proxy-body-size', '411 for a body without a declared length', 'max-body-size', form=forms.haproxy_size),
        differs('proxy-protocol', '`v2-ssl` and `v2-ssl-cn` are `v2`', 'client-ip', form=_PROXY_PROTOCOL),
        exact('timeout-connect', 'timeout-connect', form=forms.haproxy_time),
        exact('timeout-queue', 'queue-timeout', form=forms.haproxy_time),
        exact('timeout-server', 'timeout-server', form=forms.haproxy_time),
        exact('timeout-tunnel', 'timeout-tunnel', form=forms.haproxy_time),
    ),
    ignored('timeout-http-request timeout-keep-alive timeout-server-fin', "these timeouts are the class's"),
    ignored('maxqueue-server', '`queue-timeout` bounds the queue'),
    ignored('redirect-from redirect-from-regex server-alias-regex', 'a host of the Ingress can be redirected by an Ingress of its own'),
    ignored('blue-green-balance blue-green-cookie blue-green-deploy blue-green-header blue-green-mode', 'labels of pods have no weights: `canary-service` shares requests between Services'),
    ignored('initial-weight slots-min-free backend-server-slots-increment dynamic-scaling assign-backend-server-id backend-server-naming', 'endpoints come and go without a reload'),
    ignored('ssl-always-add-https ssl-always-follow-redirect', 'a host without a certificate of its own is served on HTTPS with the default one, where there is one'),
    ignored('ssl-cipher-suites ssl-ciphers ssl-options-host tls-alpn', "TLS is the class's: the settings `tlsCiphers` and `tlsMinVersion`"),
    ignored('ssl-cipher-suites-backend ssl-ciphers-backend ssl-options-backend', 'TLS to endpoints is the same for all Services'),
    ignored('ssl-passthrough-http-port', 'a host whose TLS is passed through has no route for HTTP'),
    ignored('acme-preferred-chain cert-signer', 'certificates come from Secrets: cert-manager makes them'),
    ignored('fcgi-app', 'FastCGI is not served'),
    ignored('peers-table', 'rates are counted by each pod'),
    ignored('source-address-intf use-resolver var-namespace', 'it has no equivalent'),
    ignored('service-upstream', 'requests go to the endpoints of the Service'),
    ignored('tcp-service-proxy-protocol', 'as `tcp-service-port`'),
    ignored('tcp-service-log-format', "the log is the class's: the setting `accessLogTcp`"),
    ignored(_RESPONSES, "pages of errors are the class's: the setting `errorPages`"),
    ignored(_FRONTEND, "listeners are the class's"),
    ignored(_GLOBAL, 'haproxy-ingress reads it in its ConfigMap only'),
)  # fmt: skip

TABLE = by_name(*_SECURITY, *_TRAFFIC)
