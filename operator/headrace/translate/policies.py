"""From a route's settings to its policy: flags, and entries of maps under the policy's name.

Each flag switches on one static group of rules, which reads its own map (see the templates). The letters are part of
the values of the routing maps, so they are fixed here once. What cannot be used closes the route.
"""

import hashlib
from dataclasses import dataclass, field, replace

from headrace.annotations.settings import BackendSettings, RouteSettings
from headrace.annotations.values import MAX_HEADERS, Headers, Network
from headrace.ir.backend import Mode
from headrace.ir.fragment import Content
from headrace.ir.pointers import NoRoute, Pointer
from headrace.ir.policy import Entry, HeaderEdits, Map, Userlist
from headrace.ir.routing import Candidates, Split, Target
from headrace.objects.kinds import User
from headrace.objects.route_filters import CORS as CORSFilter  # noqa: N811
from headrace.translate import regular_expressions
from headrace.translate.regular_expressions import Unsupported

CLOSED = 'X'
MAINTENANCE = 'x'
HTTPS = 'L'
REDIRECT = 'R'
REDIRECT_VARIABLES = 'i'
DENY = 'd'
ALLOW = 'a'
RATE = 'r'
RATE_BURST = 'E'
EXCEPT = 'D'
CONNECTIONS = 'z'
SATISFY_ANY = 'y'
AUTH = 'b'
AUTH_CRYPT = 'B'
REALM = 'j'
BODY = 'm'
REWRITE = 'w'
REWRITE_CAPTURES = 'f'
REWRITE_FULL = '1'
REQUEST_HEADERS = 'h'
REQUEST_HEADERS_GONE = 'H'
REQUEST_HEADERS_ADDED = '2'
RESPONSE_HEADERS = 'o'
RESPONSE_HEADERS_GONE = 'O'
RESPONSE_HEADERS_ADDED = '3'
CORS = 'C'
CORS_FILTER = '4'
CANARY = 'c'
CANARY_MATCH = 'k'
CANARY_STAYS = 'K'
CANARY_PATTERN = 'q'
TIMEOUTS = 't'
CLIENT_TIMEOUT = 'T'
HSTS = 'S'
NOT_FORWARDED = 'n'
ACCEPT_PROXY = 'p'
TLS = 'e'
AFFINITY = 's'
HASH = 'F'
CLIENT_CERTIFICATE = 'v'
CLIENT_CERTIFICATE_OPTIONAL = 'u'
COOKIE_DOMAIN = 'G'
COOKIE_PATH = 'I'
LOCATION = 'J'
ERROR_PAGES = 'Q'
FALLBACK = 'U'
BANDWIDTH = 'Y'
REQUEST_BUFFERING = 'P'
MIRROR = 'M'
SESSION_COOKIE = 'N'
LEAVING = 'l'
GONE = 'g'
EXTERNAL_AUTH = 'A'
EXTERNAL_AUTH_BODY = 'V'
_DIGIT_BITS = 4
# The attributes that profiles give the session cookie.
_USUAL_ATTRIBUTES = 'path=/; HttpOnly; SameSite=Lax'


@dataclass(slots=True)
class Policy:
    """A policy while it is put together: flags, entries and header edits."""

    name: str
    flags: set[str] = field(default_factory=set)
    entries: list[Entry] = field(default_factory=list)
    headers: HeaderEdits | None = None

    def add(self, flag: str, *entries: tuple[Map, str, str]) -> None:
        """Set a flag, and add entries of maps."""
        self.flags.add(flag)
        self.entries += [Entry(where, key, value) for where, key, value in entries]

    def pointer(self, backend: str, cluster: str = '') -> Pointer:
        """Return what leads to `backend` with this policy."""
        return Pointer(backend, self.name, ''.join(sorted(self.flags)), cluster)


def closed(pointer: Pointer) -> Pointer:
    """Return a pointer whose route is closed besides."""
    return replace(pointer, flags=_with(pointer.flags, CLOSED))


def secured(pointer: Pointer) -> Pointer:
    """Return a pointer whose requests without TLS are sent to HTTPS besides."""
    return replace(pointer, flags=_with(pointer.flags, HTTPS))


def closed_target(target: Target) -> Target:
    """Return a target that is closed besides."""
    if isinstance(target, NoRoute):
        return target
    return closed(target) if isinstance(target, Pointer) else replace(target, flags=_with(target.flags, CLOSED))


def closed_route(value: Content) -> Content:
    """Return what is claimed at a route with all of its targets closed."""
    if isinstance(value, Candidates):
        return Candidates(tuple(replace(item, target=closed_target(item.target)) for item in value.items))
    return closed_target(value) if isinstance(value, Pointer | Split) else value


def _with(flags: str, flag: str) -> str:
    return ''.join(sorted({*flags, flag}))


def network_keys(name: str, network: Network) -> list[str]:
    """Return the keys whose prefix match (`map_beg`) is a network: at most 8, family digit and hex digits."""
    whole, bits = divmod(network.length, _DIGIT_BITS)
    stem = f'{name}:{network.family}{network.digits[:whole]}'
    if not bits:
        return [stem]
    first = int(network.digits[whole], 16)
    return [f'{stem}{digit:X}' for digit in range(first, first + 2 ** (_DIGIT_BITS - bits))]


def keys_of(network: Network) -> int:
    """Return how many keys a network has, without making them."""
    bits = network.length % _DIGIT_BITS
    return 2 ** (_DIGIT_BITS - bits) if bits else 1


def apply(policy: Policy, settings: RouteSettings, mode: Mode) -> None:
    """Add to a policy what a route's settings say, but for those that name other objects."""
    if settings.maintenance:
        policy.add(MAINTENANCE)
    if settings.request_buffering and mode == 'http':
        policy.add(REQUEST_BUFFERING)
    _apply_networks(policy, DENY, Map.DENY, settings.deny)
    _apply_networks(policy, ALLOW, Map.ALLOW, settings.allow)
    _apply_limits(policy, settings)
    if mode == 'http':
        _apply_http(policy, settings)


def _apply_networks(policy: Policy, flag: str, where: Map, networks: tuple[Network, ...] | None) -> None:
    if networks is not None:
        keys = {key for network in networks for key in network_keys(policy.name, network)}
        policy.add(flag, *((where, key, '1') for key in keys))


def _apply_limits(policy: Policy, settings: RouteSettings) -> None:
    """Add rate and connections of each client. A burst is kept in thousandths, as the rules count it."""
    name, rate, burst = policy.name, settings.rate_limit, settings.rate_limit_burst
    if rate is not None and burst is None:
        policy.add(RATE, (Map.RATE, name, f'{rate.seconds}|{rate.count}'))
    elif rate is not None and burst is not None:
        policy.add(RATE, (Map.RATE, name, f'{rate.seconds}|{rate.count}|{burst.of(rate.count) * 1000}'))
        policy.add(RATE_BURST)
    if settings.connection_limit is not None:
        policy.add(CONNECTIONS, (Map.CONNECTIONS, name, str(settings.connection_limit)))
    if rate is not None or settings.connection_limit is not None:
        _apply_networks(policy, EXCEPT, Map.RATE_EXCEPT, settings.rate_limit_except)


def satisfy(policy: Policy, settings: RouteSettings) -> bool:
    """Let one of the list of clients and authentication suffice where that is asked for; return whether it can be as asked."""
    if settings.satisfy == 'all':
        return True
    if ALLOW not in policy.flags or policy.flags.isdisjoint((AUTH, EXTERNAL_AUTH)):
        return False
    policy.add(SATISFY_ANY)
    return True


def _apply_http(policy: Policy, settings: RouteSettings) -> None:
    name = policy.name
    if settings.hsts:
        policy.add(HSTS, (Map.HSTS, name, str(settings.hsts // 1000)))
    if settings.timeout_client is not None:
        policy.add(CLIENT_TIMEOUT, (Map.CLIENT_TIMEOUT, name, str(settings.timeout_client)))
    if settings.max_body_size is not None:
        policy.add(BODY, (Map.BODY, name, str(settings.max_body_size)))
    if settings.redirect_to is not None:
        apply_redirect(policy, settings.redirect_code, settings.redirect_to)
    if settings.rewrite_path is not None:
        apply_rewrite(policy, settings.rewrite_path)
    for flag, where, replacement in (
        (COOKIE_DOMAIN, Map.COOKIE_DOMAIN, settings.response_cookie_domain),
        (COOKIE_PATH, Map.COOKIE_PATH, settings.response_cookie_path),
        (LOCATION, Map.LOCATION, settings.location_rewrite),
    ):
        if replacement is not None:
            policy.add(flag, (where, name, f'{replacement.old}|{replacement.new}'))
    if settings.basic_auth_realm is not None and settings.basic_auth_secret is not None:
        policy.add(REALM, (Map.REALM, name, settings.basic_auth_realm))
    if (request := _with_host(settings)) or settings.response_headers:
        edit_headers(policy, Edits(request), Edits(settings.response_headers))
    _apply_cors(policy, settings)


def apply_redirect(policy: Policy, code: str, location: str) -> None:
    """Let a policy answer with a redirect; a location with variables is completed for each request."""
    policy.add(REDIRECT, (Map.REDIRECT, policy.name, f'{code}|{location}'))
    if '${' in location:
        policy.add(REDIRECT_VARIABLES)


def apply_rewrite(policy: Policy, path: str) -> None:
    """Let a policy replace the prefix of a path that its route has matched."""
    policy.add(REWRITE, (Map.REWRITE, policy.name, path.rstrip('/') or '/'))


def apply_full_rewrite(policy: Policy, path: str) -> None:
    """Let a policy replace whole paths."""
    policy.add(REWRITE_FULL, (Map.REWRITE_FULL, policy.name, path))


def apply_captures(policy: Policy, template: str) -> None:
    """Let a policy replace paths by a template in which `$1` to `$9` stand for what groups of the path's expression matched.

    All that leads to the policy has such an expression; a request without one is refused.
    """
    policy.add(REWRITE_CAPTURES, (Map.REWRITE_CAPTURES, policy.name, template))


def _with_host(settings: RouteSettings) -> Headers:
    """Return the headers of requests, with the Host that endpoints are to get."""
    if settings.host_header is None:
        return settings.request_headers
    headers = (item for item in settings.request_headers if item[0].lower() != 'host')
    return tuple(sorted((('Host', settings.host_header), *headers), key=lambda item: item[0].lower()))


@dataclass(frozen=True, slots=True)
class Edits:
    """Headers to set and, where the value is empty, to remove, and headers to add to those of the same name."""

    kept: Headers = ()
    added: Headers = ()


_NO_EDITS = Edits()


def edit_headers(policy: Policy, request: Edits = _NO_EDITS, response: Edits = _NO_EDITS) -> None:
    """Let a policy change headers, besides those that it changes already; a later change of a header counts."""
    before = policy.headers or HeaderEdits(policy.name)
    policy.headers = edits = HeaderEdits(
        policy.name,
        _merged(before.request, request.kept),
        _merged(before.response, response.kept),
        (*before.request_added, *request.added),
        (*before.response_added, *response.added),
    )
    for headers, set_flag, delete_flag in (
        (edits.request, REQUEST_HEADERS, REQUEST_HEADERS_GONE),
        (edits.response, RESPONSE_HEADERS, RESPONSE_HEADERS_GONE),
    ):
        if any(value for _, value in headers):
            policy.flags.add(set_flag)
        if any(not value for _, value in headers):
            policy.flags.add(delete_flag)
    for headers, add_flag in (
        (edits.request_added, REQUEST_HEADERS_ADDED),
        (edits.response_added, RESPONSE_HEADERS_ADDED),
    ):
        if headers:
            policy.flags.add(add_flag)


def _merged(before: Headers, headers: Headers) -> Headers:
    """Return headers sorted by name, each once."""
    by_name = {name.lower(): (name, value) for name, value in (*before, *headers)}
    return tuple(by_name[name] for name in sorted(by_name))


def add_response_headers(policy: Policy, headers: Headers) -> bool:
    """Set further headers of responses, but for those that the policy names; return whether all fit one entry of a map."""
    edits = policy.headers or HeaderEdits(policy.name)
    names = {name.lower() for name, _ in edits.response}
    further = tuple(item for item in headers if item[0].lower() not in names)
    response = tuple(sorted((*edits.response, *further), key=lambda item: item[0].lower()))
    if sum(len(name) + len(value) + 2 for name, value in response) > MAX_HEADERS:
        return False
    policy.headers = replace(edits, response=response)
    policy.flags.add(RESPONSE_HEADERS)
    return True


def _apply_cors(policy: Policy, settings: RouteSettings) -> None:
    if settings.cors_allow_origin is None:
        return
    name, headers = policy.name, ', '.join(settings.cors_allow_headers)
    answer = f'{settings.cors_max_age // 1000}|{", ".join(settings.cors_allow_methods)}|{headers}'
    policy.add(
        CORS,
        (Map.CORS, name, answer),
        *((Map.CORS_ORIGIN, f'{name}:{origin}', '1') for origin in settings.cors_allow_origin),
    )
    # With any origin allowed there are no credentials (Fetch standard, CORS protocol and credentials).
    with_credentials = settings.cors_allow_credentials and '*' not in settings.cors_allow_origin
    if with_credentials or settings.cors_expose_headers:
        credentials = 'true' if with_credentials else 'false'
        policy.add(CORS, (Map.CORS_MORE, name, f'{credentials}|{", ".join(settings.cors_expose_headers)}'))


def apply_cors_filter(policy: Policy, cors: CORSFilter) -> None:
    """Let a policy answer preflights as an HTTPRoute's filter says; origins are in lower case, as the rules compare them.

    With credentials, `*` means what a preflight asks for: browsers take it as a name there (Fetch standard).
    """
    name, credentials = policy.name, 'true' if cors.credentials else 'false'
    policy.add(CORS_FILTER)
    policy.add(
        CORS,
        (Map.CORS, name, f'{cors.max_age}|{", ".join(cors.methods)}|{", ".join(cors.headers)}'),
        (Map.CORS_MORE, name, f'{credentials}|{", ".join(cors.expose)}'),
        *((Map.CORS_ORIGIN, f'{name}:{origin.lower()}', '1') for origin in cors.origins),
    )


def apply_canary_matches(policy: Policy, settings: RouteSettings) -> None:
    """Add what a request says to go to the canary, or not to: a header, or a cookie whose value is `always` or `never`.

    The keys are texts as the rules make them of a request: `%`, comma and blank are percent-encoded. What a header says counts
    more than a cookie, and so has another value.
    """
    header, cookie = settings.canary_header, settings.canary_cookie
    both = ((Map.CANARY_ALWAYS, 'always'), (Map.CANARY_NEVER, 'never'))
    if header is not None and settings.canary_header_pattern is None:
        matches = ((Map.CANARY_ALWAYS, header.value),) if header.value else both
        for where, value in matches:
            policy.add(CANARY_MATCH, (where, f'{policy.name}>{_encode(f"{header.name.lower()}: {value}")}<', '2'))
    if cookie is not None:
        for where, value in both:
            policy.add(CANARY_MATCH, (where, f'{policy.name}>{_encode(cookie)}={value}<', '1'))


def apply_canary_pattern(policy: Policy, settings: RouteSettings) -> str:
    """Add the expression that a header must match to go to the canary; return why it cannot be ('' when it is done)."""
    header, pattern = settings.canary_header, settings.canary_header_pattern
    if header is None or pattern is None:
        return ''
    if header.value:
        return 'canary-header has a value, which counts'
    written = regular_expressions.parse_anywhere(pattern)
    if isinstance(written, Unsupported):
        return f'the regular expression {written.reason}'
    policy.add(CANARY_PATTERN, (Map.CANARY_PATTERN, policy.name, f'{header.name.lower()}|{written}'))
    return ''


def _encode(text: str) -> str:
    return text.replace('%', '%25').replace(',', '%2C').replace(' ', '%20')


def apply_hash(policy: Policy, text: str) -> None:
    """Let a policy's requests go to the endpoint that the hash of a text with variables leads to."""
    policy.add(HASH, (Map.HASH, policy.name, text))


def apply_bandwidth(policy: Policy, limit: int) -> None:
    """Send so many bytes a second of each response; the backend's own section reads it."""
    policy.add(BANDWIDTH, (Map.BANDWIDTH, policy.name, str(limit)))


def apply_session_cookie(policy: Policy, name: str, settings: BackendSettings) -> None:
    """Add the attributes of the session cookie, if any is not the profile's.

    The value is LETTERS|NAME|ATTRIBUTES: Secure always (s) or never (n), no SameSite=None for old browsers (o), kept by a client
    whose endpoint fails (k). Whether it is Secure otherwise is for the rules to say.
    """
    marks = {
        's': settings.cookie_secure is True,
        'n': settings.cookie_secure is False,
        'o': settings.cookie_conditional_same_site_none,
        'k': not settings.cookie_change_on_failure,
    }
    attributes = [f'path={settings.cookie_path}']
    if settings.cookie_domain:
        attributes.append(f'domain={settings.cookie_domain}')
    if settings.cookie_max_age:
        attributes.append(f'Max-Age={settings.cookie_max_age // 1000}')
    attributes += ['HttpOnly', f'SameSite={settings.cookie_same_site}']
    letters, text = ''.join(letter for letter, holds in marks.items() if holds), '; '.join(attributes)
    if letters or text != _USUAL_ATTRIBUTES:
        policy.add(SESSION_COOKIE, (Map.SESSION_COOKIE, policy.name, f'{letters}|{name}|{text}'))


def apply_users(policy: Policy, users: tuple[User, ...]) -> Userlist | None:
    """Add basic authentication; return the users whose hashes are of a kind that is no data (crypt), None for none."""
    data = [user for user in users if user.scheme not in ('crypt', 'apr1')]
    policy.add(AUTH, *((Map.AUTH, _credential(policy.name, user), '1') for user in data))
    if apr1_users := [user for user in users if user.scheme == 'apr1']:
        policy.add(
            AUTH_CRYPT, *((Map.AUTH_APR1, f'{policy.name}:{_name_digest(user)}', user.secret) for user in apr1_users)
        )
    crypt_users = tuple((user.name, user.secret) for user in users if user.scheme == 'crypt')
    if not crypt_users:
        return None
    policy.add(AUTH_CRYPT)
    return Userlist(policy.name, crypt_users)


def _name_digest(user: User) -> str:
    return hashlib.sha256(user.name.encode()).hexdigest().upper()


def _credential(name: str, user: User) -> str:
    """Return the key of the map that a client with the right name and password makes: hashes only, no free text."""
    user_digest = _name_digest(user)
    if user.scheme == 'sha1':
        return f'{name}:{user_digest}:{user.secret}'
    return f'{name}:{user_digest}:{hashlib.sha256(f"{name}{user.secret}".encode()).hexdigest().upper()}'
