"""The typed settings of a port: how it is exposed, what its routes do, and what its backend does.

None means that the user said nothing; what then holds is decided by the model, which knows the mode and the class.
Structs, because a frozen dataclass of so many fields takes ten times as long to make.
"""

import msgspec

from headrace.annotations.authentication import ServiceReference, Url
from headrace.annotations.request_values import Burst, PathExpressions
from headrace.annotations.response_values import Replacement
from headrace.annotations.values import HeaderMatch, Headers, Network, Rate


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """How a port is reached."""

    mode: str | None = None
    host: tuple[str, ...] | None = None
    path: tuple[str, ...] | PathExpressions | None = None
    path_type: str = 'Prefix'
    port: int | None = None
    tls_secret: tuple[str, ...] | None = None
    client_ca_secret: str | None = None
    client_verify: str = 'required'
    accept_proxy: bool = False


class RouteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to a request before it goes to a backend. Times are milliseconds, sizes bytes."""

    tls_redirect: bool | None = None
    hsts: int = 0
    timeout_client: int | None = None
    maintenance: bool = False
    allow: tuple[Network, ...] | None = None
    deny: tuple[Network, ...] | None = None
    rate_limit: Rate | None = None
    rate_limit_burst: Burst | None = None
    rate_limit_except: tuple[Network, ...] | None = None
    connection_limit: int | None = None
    satisfy: str = 'all'
    basic_auth_secret: str | None = None
    basic_auth_realm: str | None = None
    basic_auth_secret_type: str = 'auth-file'  # noqa: S105
    max_body_size: int | None = None
    request_buffering: bool = False
    redirect_to: str | None = None
    redirect_code: str = '302'
    redirect_root: str | None = None
    www_redirect: bool = False
    rewrite_path: str | None = None
    host_header: str | None = None
    request_headers: Headers = ()
    response_headers: Headers = ()
    response_headers_config_map: str | None = None
    response_cookie_domain: Replacement | None = None
    response_cookie_path: Replacement | None = None
    error_statuses: tuple[int, ...] = ()
    error_service: ServiceReference | None = None
    fallback_service: ServiceReference | None = None
    mirror_service: ServiceReference | None = None
    mirror_percent: int = 100
    location_rewrite: Replacement | None = None
    cors_allow_origin: tuple[str, ...] | None = None
    cors_allow_methods: tuple[str, ...] = ('GET', 'HEAD', 'POST')
    cors_allow_headers: tuple[str, ...] = ()
    cors_expose_headers: tuple[str, ...] = ()
    cors_allow_credentials: bool = False
    cors_max_age: int = 5000
    canary_service: str | None = None
    canary_weight: int = 0
    canary_weight_total: int = 100
    canary_header: HeaderMatch | None = None
    canary_header_pattern: str | None = None
    canary_cookie: str | None = None
    external_auth_url: Url | None = None
    external_auth_service: ServiceReference | None = None
    external_auth_path: str = '/'
    external_auth_signin: str | None = None
    external_auth_method: str = 'GET'
    external_auth_response_headers: tuple[str, ...] = ()
    external_auth_timeout: int = 5000
    external_auth_cache: int = 0
    external_auth_skip_paths: tuple[str, ...] = ()
    external_auth_body_size: int | None = None
    global_auth: bool = True


class BackendSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How endpoints are chosen, asked and watched. Times are milliseconds."""

    client_ip: str | None = None
    backend_protocol: str | None = None
    backend_ca_secret: str | None = None
    backend_verify: bool | None = None
    backend_sni: str | None = None
    balance: str | None = None
    slow_start: int | None = None
    max_connections: int | None = None
    queue_timeout: int | None = None
    cookie: str | None = None
    cookie_path: str = '/'
    cookie_domain: str = ''
    cookie_same_site: str = 'Lax'
    cookie_conditional_same_site_none: bool = False
    cookie_max_age: int = 0
    cookie_secure: bool | None = None
    cookie_change_on_failure: bool = True
    check: str | None = None
    check_path: str | None = None
    check_host: str | None = None
    check_status: str | None = None
    check_interval: int | None = None
    check_rise: int | None = None
    check_fall: int | None = None
    eject_after: int | None = None
    timeout_connect: int | None = None
    timeout_server: int | None = None
    timeout_tunnel: int | None = None
    retries: int | None = None
    retry_on: tuple[str, ...] | None = None
    compression: bool = False
    bandwidth_limit: int | None = None
    snippets: tuple[str, ...] = ()
