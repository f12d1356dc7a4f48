"""The keys of a class's settings: their types, bounds and defaults, and what a change of each costs.

`x-applied` of a key is runtime, reload or restart; the reference in the documentation is made from this.
"""

from typing import Annotated, Literal

import msgspec

from headrace.settings import key_forms as forms
from headrace.settings.address_pools import AddressPool
from headrace.settings.key_forms import Duration, meta
from headrace.settings.listeners import Listeners
from headrace.settings.secret_keys import Secrets


class Settings(Listeners, frozen=True, kw_only=True, forbid_unknown_fields=True, rename='camel'):
    """The settings of one class (one installation)."""

    host_policy: Annotated[
        dict[str, tuple[str, ...]],
        meta(
            'Hosts that a namespace may claim: exact, `*.suffix` of any depth, or `*`. The key `*` speaks of all namespaces that are not named; without it they may claim none. Empty: no limits.',
            'runtime',
        ),
    ] = msgspec.field(default_factory=dict)
    host_sharing: Annotated[
        Literal['none', 'paths', 'all'],
        meta(
            'What other namespaces may have of a host, which belongs to the namespace of the oldest object that names it: nothing; `paths`: paths of their own, never its TLS; `all`: its TLS too, path by path the oldest object, and what its own routes leave to `*.x` and `*`.',
            'reload',
        ),
    ] = 'none'
    max_routes_per_object: Annotated[
        int, meta('Routes (hosts by paths of all ports) that one object may have.', 'runtime', ge=1, le=1_000_000)
    ] = 2048
    max_entries_per_object: Annotated[
        int,
        meta(
            'Map entries of routes and of networks (`allow`, `deny`) that one object may have; a network takes up to 8.',
            'runtime',
            ge=1,
            le=10_000_000,
        ),
    ] = 100_000
    max_entries_per_namespace: Annotated[
        int, meta('Map entries of all objects of a namespace.', 'runtime', ge=1, le=10_000_000)
    ] = 100_000
    max_bytes_per_namespace: Annotated[
        int,
        meta(
            'Bytes of rendered data of a namespace, about, without endpoints; a client CA counts for each host that asks for it.',
            'runtime',
            ge=1,
            le=1_000_000_000,
        ),
    ] = 32_000_000
    max_annotation_bytes_per_namespace: Annotated[
        int,
        meta(
            'Bytes of annotations of headrace and of the dialects that it reads, of all Services and Ingresses of a namespace that have more than 4096 each, about.',
            'restart',
            ge=0,
            le=1_000_000_000,
        ),
    ] = 16_000_000
    max_certificates_per_namespace: Annotated[
        int,
        meta(
            'Certificates of a namespace, counted for each host that has one, and CA files of each object.',
            'runtime',
            ge=0,
            le=1_000_000,
        ),
    ] = 1000
    max_crypt_hashes_per_namespace: Annotated[
        int,
        meta(
            'Different crypt hashes of passwords in a namespace (bcrypt, SHA-256 and others that HAProxy judges).',
            'runtime',
            ge=0,
            le=10_000,
        ),
    ] = 50
    max_crypt_hashes: Annotated[
        int, meta('Different crypt hashes of passwords in all namespaces.', 'runtime', ge=0, le=10_000)
    ] = 500
    max_checks_per_namespace: Annotated[
        int, meta('Health checks a second that each HAProxy makes for a namespace.', 'runtime', ge=0, le=1_000_000)
    ] = 500
    max_authentications_per_namespace: Annotated[
        int,
        meta(
            'Requests of a namespace for which external authentication is asked at once; more get 503. Copies (`mirror-service`) and error pages have as many each.',
            'reload',
            ge=1,
            le=100_000,
        ),
    ] = 64
    max_endpoints_per_namespace: Annotated[
        int,
        meta(
            'Endpoints of a namespace, for each port that they serve; with `sessionAffinity` twice.',
            'runtime',
            ge=1,
            le=1_000_000,
        ),
    ] = 10_000
    default_certificate: Annotated[
        str,
        meta(
            'NAMESPACE/NAME of the Secret whose certificate answers for unknown hosts.',
            'reload',
            pattern=f'{forms.REFERENCE}|^{forms.END}',
        ),
    ] = ''
    tls_min_version: Annotated[
        Literal['TLSv1.2', 'TLSv1.3'], meta('The oldest version of TLS that clients may use.', 'reload')
    ] = 'TLSv1.2'
    tls_ciphers: Annotated[
        str,
        meta(
            'Ciphers for TLS 1.2, as OpenSSL names them, separated by colons; empty: those with forward secrecy and authenticated encryption.',
            'reload',
            pattern=forms.CIPHERS,
        ),
    ] = ''
    secrets: Annotated[Secrets, meta('Where Secrets may be read, and the limits of what each may hold.', 'restart')] = (
        Secrets()
    )
    namespaces: Annotated[
        tuple[str, ...], meta('Namespaces that exist for this installation; empty: all.', 'restart')
    ] = ()
    address_source: Annotated[
        Literal['endpoints', 'node-ports'],
        meta(
            'Where servers come from: endpoints, or each ready Node and the nodePort, for a HAProxy that cannot reach pods.',
            'runtime',
        ),
    ] = 'endpoints'
    allow_external_name: Annotated[
        bool,
        meta(
            'Serve Services of type ExternalName, whose names HAProxy asks the name servers in /etc/resolv.conf for.',
            'reload',
        ),
    ] = False
    http3: Annotated[
        bool,
        meta(
            'Serve HTTP/3 on `httpsPort` (UDP) too, and say so in answers over TLS (`Alt-Svc`). It needs a HAProxy that has QUIC without restrictions, and excludes `acceptProxy`; hosts whose TLS is passed through have none.',
            'reload',
        ),
    ] = False
    error_pages: Annotated[
        dict[str, str],
        meta(
            'Bodies of answers that HAProxy or headrace give themselves, by status, as in `"503": <h1>Sorry</h1>`; for 400, 401, 403, 404, 408, 411, 413, 414, 421, 429, 431, 500, 501, 502, 503 and 504.',
            'reload',
        ),
    ] = msgspec.field(default_factory=dict)
    error_page_type: Annotated[str, meta('Content-Type of all `errorPages`.', 'reload', pattern=forms.MEDIA_TYPE)] = (
        'text/html; charset=utf-8'
    )
    access_log: Annotated[
        str,
        meta(
            "Where a line for each request and TCP connection goes: `stdout` or `stderr` of HAProxy's container, ADDRESS:PORT of a syslog server (UDP), or `off`.",
            'reload',
            pattern=forms.LOG,
        ),
    ] = 'off'
    access_log_http: Annotated[
        str,
        meta("Format of the lines for requests: `json`, or a text in HAProxy's `log-format`.", 'reload'),
    ] = 'json'
    access_log_tcp: Annotated[
        str,
        meta("Format of the lines for TCP connections: `json`, or a text in HAProxy's `log-format`.", 'reload'),
    ] = 'json'
    cookie_name: Annotated[
        str, meta('Name of the cookie that `headrace.io/cookie: "true"` uses.', 'reload', pattern=forms.COOKIE)
    ] = 'headrace'
    allowed_response_headers: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern=forms.HEADER)], ...],
        meta(
            'Headers of responses that ConfigMaps may set (`headrace.io/response-headers-config-map`). With any, the edge reads the ConfigMaps of `secrets.namespaces`.',
            'restart',
        ),
    ] = ()
    external_auth_hosts: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern=forms.AUTH_HOST)], ...],
        meta(
            "Who can be asked for external authentication besides Services of the own namespace: `https://HOST` or `http://HOST`, perhaps with a port, outside of the cluster, and `NAME.NAMESPACE.svc` for a Service, which all namespaces may ask then. Names are asked of the name servers in /etc/resolv.conf, and lead to no loopback or link-local address where objects come from an API server, nor to listeners of headrace; certificates are verified by the authorities of HAProxy's image.",
            'reload',
        ),
    ] = ()
    global_auth: Annotated[
        dict[str, str],
        meta(
            'External authentication of all HTTP routes of the edge without one of their own that have no `global-auth: "false"`: the keys `external-auth-url` and others without `external-auth-`, as in `{url: "http://auth.sso.svc/verify", signin: "/start"}`. The URL can name any Service, and a host outside of the cluster. `skip-paths` is `/.well-known/acme-challenge` by default.',
            'reload',
        ),
    ] = msgspec.field(default_factory=dict)
    defaults: Annotated[
        dict[str, str],
        meta(
            "Defaults of the backend's keys of annotations, without the prefix, as in `timeout-server: 30s`.", 'runtime'
        ),
    ] = msgspec.field(default_factory=dict)
    min_check_interval: Annotated[
        Duration,
        meta('The shortest `headrace.io/check-interval` that a Service may ask for.', 'runtime'),
    ] = '500ms'
    status_addresses: Annotated[
        tuple[str, ...],
        meta(
            'What the controller writes into `status.loadBalancer` of Services of this class: addresses or host names, `service:NAMESPACE/NAME` for those of that Service, `nodes` for those of the usable Nodes. Empty: nothing.',
            'restart',
        ),
    ] = ()
    address_pools: Annotated[
        tuple[AddressPool, ...],
        meta(
            'Pools of addresses of which Services of this class, and Gateways, get one of their own; see [Address pools](address-pools.md). The first pool that has one counts. Empty: the controller gives out no addresses.',
            'restart',
        ),
    ] = ()
    status_writes_per_second: Annotated[
        int,
        meta(
            'Writes of statuses and Events that the controller sends to the API server in a second at most; namespaces take turns.',
            'restart',
            ge=1,
            le=10_000,
        ),
    ] = 250
    maxconn: Annotated[
        int,
        meta(
            'Connections of clients that HAProxy accepts at once on one listener, and half as many more on all; twice as many in all, with those that it makes to itself for external authentication.',
            'reload',
            ge=10,
            le=10_000_000,
        ),
    ] = 4000
    threads: Annotated[int, meta("HAProxy's threads; 0: one for each core.", 'restart', ge=0, le=1024)] = 0
    file_descriptors: Annotated[
        int, meta("Limit of HAProxy's file descriptors, for the sum that `check` does; 0: unknown.", 'reload', ge=0)
    ] = 0
    table_size: Annotated[
        int,
        meta(
            'Clients that each table of rate limits remembers; twice `rateLimitClients` for each namespace that may reach that at a time.',
            'reload',
            ge=100,
            le=100_000_000,
        ),
    ] = 200_000
    rate_limit_clients: Annotated[
        int,
        meta(
            'Clients of one namespace whose rates are counted one by one, in the time for which one is remembered (10 s, 2 minutes or 2 hours for rates by second, minute and hour); others of a route share one count.',
            'reload',
            ge=1,
            le=100_000_000,
        ),
    ] = 20_000
    rate_limit_ipv6_prefix: Annotated[
        int, meta('Length of the prefix that is one client of IPv6 for rate limits.', 'reload', ge=1, le=128)
    ] = 64
    drain_timeout: Annotated[
        Duration,
        meta(
            'How long connections may finish that lead to an endpoint that is gone or to a Service that has gone back to kube-proxy, or that pass HAProxy by at a port which it serves now.',
            'runtime',
        ),
    ] = '5m'
    reload_interval: Annotated[
        Duration, meta('The shortest time between two reloads; the first after a while comes at once.', 'runtime')
    ] = '2s'
    reloads_per_minute: Annotated[
        int,
        meta(
            'So many reloads a minute may the objects of one namespace cause; what needs more of them waits.',
            'runtime',
            ge=1,
            le=1000,
        ),
    ] = 5
    total_reloads_per_minute: Annotated[
        int,
        meta(
            'The same for all namespaces together. Reloads for changes of the settings are not counted.',
            'runtime',
            ge=1,
            le=1000,
        ),
    ] = 20
    compare_interval: Annotated[
        Duration, meta('How often everything that HAProxy has is compared with what it should have.', 'runtime')
    ] = '5m'
    table_interval: Annotated[
        Duration,
        meta("How often a node's table of nftables is compared with what it should be, and repaired.", 'restart'),
    ] = '10s'
    sweep_interval: Annotated[
        Duration,
        meta('How often the lists of the API server are read again to find what no watch has told.', 'restart'),
    ] = '5m'
    watch_silence: Annotated[
        Duration,
        meta(
            'A watch of the API server that brings nothing for so long is opened again; something comes about once a minute.',
            'restart',
        ),
    ] = '70s'
    drain_delay: Annotated[
        Duration,
        meta('How long an agent that stops says "not ready" before HAProxy closes its listeners.', 'runtime'),
    ] = '1s'
    service_metrics: Annotated[bool, meta('Publish metrics of each Service.', 'restart')] = True
    max_old_workers: Annotated[
        int,
        meta(
            'So many workers may still finish connections. A reload that settings or the default certificate cause waits for one to end, and after `oldWorkerTimeout` ends the oldest; one that namespaces cause already waits when there are two less, and ends none.',
            'runtime',
            ge=1,
            le=100,
        ),
    ] = 8
    old_worker_timeout: Annotated[
        Duration,
        meta(
            'How long a reload that settings or the default certificate cause waits for an old worker to end, where there are `maxOldWorkers`.',
            'runtime',
        ),
    ] = '60s'
    hard_stop_after: Annotated[
        Duration, meta('How long connections on an old worker may live after a reload.', 'reload')
    ] = '10m'
