"""From a backend's settings to its shape and its servers' options.

Owns which setting is part of the shape (the `defaults` section), which stands on the server's line, and what is
left out as data. The base set is what every installation renders in advance, so that Services of the usual kinds never
cost a reload.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from headrace.annotations.foreign.table import SESSION_COOKIE
from headrace.annotations.settings import BackendSettings
from headrace.ir.backend import DEFAULT_RETRY_ON, SECOND, Mode, Options, ServerTls, Shape
from headrace.settings.settings import Settings

BALANCES: dict[Mode, tuple[str, ...]] = {
    'http': ('random', 'random(1)', 'roundrobin', 'leastconn', 'first', 'source', 'uri', 'hash'),
    'tcp': ('random', 'random(1)', 'roundrobin', 'leastconn', 'first', 'source'),
}
HASH = 'hash:'
CHECKS = ('off', 'tcp', 'http')
# What is tried again, as users of NGINX's `proxy_next_upstream` have it: nothing, failures and timeouts, and besides them answers
# of endpoints that are not ready, each with its three tries in all or the four of headrace.
FAILURES = ('conn-failure', 'empty-response', 'response-timeout')
NOT_READY = (*FAILURES, '502', '503', '504')
RETRIES = ((0, DEFAULT_RETRY_ON), *product((2, 3), (FAILURES, NOT_READY)))
# The most tries that a route can have.
MOST_ATTEMPTS = 10
# What rules of HTTPRoutes usually ask for: up to three tries more, after failures and these statuses, or the most after failures.
ROUTE_RETRIES = (
    (MOST_ATTEMPTS, FAILURES),
    *product(
        (1, 2, 3),
        (
            (*FAILURES, *codes)
            for codes in ((), ('500',), ('503',), ('502', '503', '504'), ('500', '502', '503', '504'))
        ),
    ),
)
RETRIED_BALANCES = ('random', 'roundrobin')
CONNECT, SERVER, TUNNEL, QUEUE = 5 * SECOND, 60 * SECOND, 3600 * SECOND, 5 * SECOND


@dataclass(frozen=True, slots=True)
class ShapeContext:
    """What a shape depends on besides the settings: the class's cookie name, the role's balance, what exists."""

    cookie_name: str
    default_balance: str = 'random'


def usual_cookies(settings: Settings) -> tuple[str, ...]:
    """Return the names of session cookies that cost no reload: the class's, and that of the dialects it speaks."""
    return tuple(dict.fromkeys((settings.cookie_name, *((SESSION_COOKIE,) if settings.ingress_annotations else ()))))


def base_set(*cookies: str, external: bool = False) -> Iterator[Shape]:
    """Yield the shapes that are always rendered: mode, balance, check and a usual cookie or affinity, all else default.

    For some balances there are the usual values of what is tried again, too.

    `external` tells that Services of type ExternalName are served.
    """
    if external:
        yield from (Shape(mode=mode, external=True) for mode in BALANCES)
    for mode, balances in BALANCES.items():
        for balance in balances:
            for check in CHECKS:
                for cookie in ('', *cookies) if mode == 'http' else ('',):
                    yield Shape(mode=mode, balance=balance, check=check, cookie=cookie)
                yield Shape(mode=mode, balance=balance, check=check, affinity=True)
    for balance, cookie, (retries, retry_on) in product(RETRIED_BALANCES, ('', *cookies), RETRIES):
        yield Shape(balance=balance, cookie=cookie, retries=retries, retry_on=retry_on)
    for retries, retry_on in sorted({*ROUTE_RETRIES} - {*RETRIES}):
        yield Shape(balance='random', retries=retries, retry_on=retry_on)


def shape(settings: BackendSettings, mode: Mode, traits: ShapeContext, *, affinity: bool = False) -> Shape:
    """Return the shape of a backend; `affinity` tells that its Service wants clients to stay with their endpoints."""
    http = mode == 'http'
    balance = settings.balance or traits.default_balance
    if not http and (balance == 'uri' or balance.startswith(('hdr:', HASH))):
        balance = traits.default_balance
    if balance.startswith(HASH):
        # What is hashed is data.
        balance = 'hash'
    cookie = settings.cookie or ''
    return Shape(
        mode=mode,
        balance=balance,
        check=check(settings),
        expect=settings.check_status or '200-399' if check(settings) == 'http' else '200-399',
        cookie=(traits.cookie_name if cookie == 'true' else cookie) if http else '',
        retries=3 if settings.retries is None else settings.retries,
        retry_on=(settings.retry_on or DEFAULT_RETRY_ON) if http else DEFAULT_RETRY_ON,
        connect=CONNECT if http else settings.timeout_connect or CONNECT,
        server=SERVER if http else settings.timeout_server or SERVER,
        tunnel=TUNNEL if http else settings.timeout_tunnel or TUNNEL,
        queue=QUEUE if http else settings.queue_timeout or QUEUE,
        snippets=settings.snippets,
        compression=settings.compression and http,
        limited=settings.bandwidth_limit is not None and http,
        # A cookie tells clients apart that share an address, so it is the one that counts.
        affinity=affinity and not (http and cookie),
    )


def check(settings: BackendSettings) -> str:
    """Return the kind of active check; a path, host or status implies http."""
    if settings.check is not None:
        return settings.check
    http_settings = (settings.check_path, settings.check_host, settings.check_status)
    return 'http' if any(value is not None for value in http_settings) else 'off'


def options(settings: BackendSettings, *, protocol: str, ca_file: str) -> Options:
    """Return the options of a backend's servers; `protocol` is what its endpoints speak."""
    checked = check(settings) != 'off'
    return Options(
        protocol='h2' if protocol in ('h2c', 'h2') else '',
        tls=_tls(settings, ca_file) if protocol in ('https', 'h2', 'tls') else None,
        proxy=settings.client_ip[-2:] if settings.client_ip in ('proxy-v1', 'proxy-v2') else '',  # type: ignore[arg-type]
        check=checked,
        interval=settings.check_interval or 2 * SECOND if checked else 2 * SECOND,
        rise=settings.check_rise or 2 if checked else 2,
        fall=settings.check_fall or 3 if checked else 3,
        eject_after=settings.eject_after or 0 if checked else 0,
        slow_start=settings.slow_start or 0,
        max_connections=settings.max_connections or 0,
    )


def _tls(settings: BackendSettings, ca_file: str) -> ServerTls:
    verify = bool(ca_file) and settings.backend_verify is not False
    return ServerTls(verify=verify, ca_file=ca_file if verify else '', sni=settings.backend_sni or '')
