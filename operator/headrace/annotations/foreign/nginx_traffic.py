"""ingress-nginx's keys that decide which route a request takes, and what is done to it and its answer."""

import re

from headrace.annotations import values
from headrace.annotations.foreign import forms, snippets, variables
from headrace.annotations.foreign.table import Row, Verdict
from headrace.annotations.foreign.translation import CanaryRole, Translation
from headrace.annotations.values import Invalid
from headrace.diagnostics import shorten

_CORS_METHODS = 'GET, PUT, POST, DELETE, PATCH, OPTIONS'
_CORS_HEADERS = 'DNT, Keep-Alive, User-Agent, X-Requested-With, If-Modified-Since, Cache-Control, Content-Type, Range, Authorization'
_MAX_ALIASES = 100
_SERVICE_HOST = re.compile(r'([a-z0-9-]{1,63})\.([a-z0-9-]{1,63})\.svc(?:\.[a-z0-9.-]+)?')
_MIRROR = re.compile(r'https?://([^/$:?#]+)(?::(\d{1,5}))?(?:\$request_uri)?')
_STATUSES = re.compile(r'[45]\d\d', re.ASCII)


def https(translation: Translation) -> None:
    """Translate redirects to HTTPS: ssl-redirect speaks of hosts with TLS, force-ssl-redirect of all."""
    redirect, force = translation.boolean('ssl-redirect'), translation.boolean('force-ssl-redirect')
    if force:
        translation.set('force-ssl-redirect', 'tls-redirect', 'true')
        translation.shape(https=True)
        if redirect is False:
            translation.note('ssl-redirect', Verdict.EXACT, 'force-ssl-redirect counts')
    elif redirect is False:
        translation.set('ssl-redirect', 'tls-redirect', 'false')
    if translation.boolean('preserve-trailing-slash') is False:
        translation.note('preserve-trailing-slash', Verdict.DIFFERS, 'redirects keep a trailing slash always')


def redirects(translation: Translation) -> None:
    """Translate redirects: a temporal one counts more than a permanent one."""
    effective = ''
    for kind, default in (('temporal', '302'), ('permanent', '301')):
        name, code_name = f'{kind}-redirect', f'{kind}-redirect-code'
        place = translation.value(name)
        if not place:
            translation.note(code_name, Verdict.EXACT, f'without {name} it has no effect')
        elif effective:
            translation.note(name, Verdict.EXACT, f'{effective} counts')
            translation.note(code_name, Verdict.EXACT, f'{effective} counts')
        else:
            code = translation.value(code_name) or default
            if code not in ('301', '302', '303', '307', '308'):
                translation.note(code_name, Verdict.DIFFERS, f'only 301, 302, 303, 307 and 308; {default} counts')
                code = default
            if place.startswith(('http://', 'https://', '$')):
                snippets.redirect(translation, name, place, code)
            else:
                translation.note(name, Verdict.IGNORED, 'the value must be an http or https URL, for ingress-nginx too')
            if not translation.text('redirect-to'):
                translation.note(code_name, Verdict.IGNORED, f'as {name}')
            effective = name


def rewrite(translation: Translation) -> None:
    """Translate the rewriting of paths; with it, all paths of the hosts are regular expressions."""
    use_regex = translation.boolean('use-regex')
    target = translation.value('rewrite-target')
    if use_regex or target:
        translation.shape(use_regex=True)
    if not target:
        return
    text = variables.translate(target, {}, captures=True)
    if isinstance(text, Invalid):
        translation.invalid('rewrite-target', text)
    else:
        translation.set('rewrite-target', 'rewrite-path', text)


def canary_role(translation: Translation, rows: list[Row]) -> list[Row]:
    """Translate the role of a canary, and return the rows that count besides: of a canary few do."""
    canary(translation)
    remaining = [row for row in rows if row.group is not canary]
    if translation.structure.canary is None:
        return remaining
    for row in remaining:
        if not _of_canaries(row.name):
            translation.note(row.name, Verdict.EXACT, 'on a canary it has no effect')
    return [row for row in remaining if _of_canaries(row.name)]


def _of_canaries(name: str) -> bool:
    return name in ('load-balance', 'affinity') or name.startswith(('upstream-hash-by', 'affinity-', 'session-cookie-'))


def canary(translation: Translation) -> None:
    """Translate the role of an Ingress that is a canary."""
    names = [name for name in translation.values if name.startswith('canary-')]
    if not translation.boolean('canary'):
        for name in names:
            translation.note(name, Verdict.EXACT, 'without canary it has no effect')
        return
    numbers = {'canary-weight': 0, 'canary-weight-total': 100}
    for name, default in numbers.items():
        text = translation.value(name) or str(default)
        number = values.number(0, 1_000_000)(text)
        if isinstance(number, Invalid):
            translation.invalid(name, number)
        else:
            numbers[name] = number
    weight, total = numbers['canary-weight'], max(1, numbers['canary-weight-total'])
    header, cookie = translation.value('canary-by-header'), translation.value('canary-by-cookie')
    value, pattern = translation.value('canary-by-header-value'), translation.value('canary-by-header-pattern')
    match = values.header_match(f'{header}: {value}' if value else header) if header else None
    if isinstance(match, Invalid):
        translation.invalid('canary-by-header', Invalid('the name of a header'))
        match = None
    if match is None:
        for name in ('canary-by-header-value', 'canary-by-header-pattern'):
            translation.note(name, Verdict.EXACT, 'without canary-by-header it has no effect')
        value = pattern = ''
    elif value and pattern:
        translation.note('canary-by-header-pattern', Verdict.EXACT, 'canary-by-header-value counts')
        pattern = ''
    if cookie and isinstance(values.cookie(cookie), Invalid):
        translation.invalid('canary-by-cookie', Invalid('the name of a cookie'))
        cookie = ''
    role = CanaryRole(min(weight, total), total, match.name if match else '', value, pattern, cookie)
    translation.shape(canary=role)


def cors(translation: Translation) -> None:
    """Translate CORS, with ingress-nginx's defaults."""
    names = [name for name in translation.values if name.startswith('cors-')]
    if not translation.boolean('enable-cors'):
        for name in names:
            translation.note(name, Verdict.EXACT, 'without enable-cors it has no effect')
        return
    apply_cors(translation, 'enable-cors', _CORS_METHODS, _CORS_HEADERS, '1728000')


def apply_cors(translation: Translation, switch: str, methods: str, headers: str, age: str) -> None:
    """Set the keys of CORS; `switch` is the foreign key that asks for it, the others are the dialect's defaults."""
    origins = values.split(translation.value('cors-allow-origin') or '*')
    unsupported = [item for item in origins if isinstance(values.origin(item), Invalid)]
    if unsupported:
        translation.note(
            'cors-allow-origin',
            Verdict.DIFFERS,
            f'without {shorten(", ".join(unsupported))}: patterns and other schemes are not served',
        )
    supported = [item for item in origins if item not in unsupported]
    source = 'cors-allow-origin' if 'cors-allow-origin' in translation.values else switch
    if not supported or not translation.set(source, 'cors-allow-origin', ', '.join(supported)):
        for name in translation.values:
            if name.startswith('cors-'):
                translation.note(name, Verdict.IGNORED, 'no origin is allowed by it')
        return
    for name, default in (
        ('cors-allow-methods', methods),
        ('cors-allow-headers', headers),
        ('cors-expose-headers', ''),
    ):
        if items := values.split(translation.value(name) or default):
            translation.set(name, name, ', '.join(items))
    credentials = translation.boolean('cors-allow-credentials') is not False
    if credentials and '*' in supported:
        # Browsers refuse credentials together with `*`, whatever the answer says.
        translation.note(
            'cors-allow-credentials', Verdict.DIFFERS, 'not with the origin *, for which browsers refuse it'
        )
    else:
        translation.set('cors-allow-credentials', 'cors-allow-credentials', 'true' if credentials else 'false')
    duration = forms.seconds(translation.value('cors-max-age') or age)
    if isinstance(duration, Invalid):
        translation.invalid('cors-max-age', duration)
    else:
        translation.set('cors-max-age', 'cors-max-age', duration)


def errors(translation: Translation) -> None:
    """Translate the Service that answers instead of another one: where that has no endpoint, and for its errors."""
    service = translation.value('default-backend')
    if 'default-backend' in translation.values and isinstance(values.name(service), Invalid):
        translation.invalid('default-backend', Invalid('the name of a Service in the namespace'))
        service = ''
    if service:
        translation.set('default-backend', 'fallback-service', service)
    if 'custom-http-errors' not in translation.values:
        return
    codes = values.split(translation.value('custom-http-errors'))
    if not codes or not all(_STATUSES.fullmatch(code) for code in codes):
        translation.invalid('custom-http-errors', Invalid('a list of statuses from 400 to 599'))
    elif not service:
        translation.note(
            'custom-http-errors',
            Verdict.IGNORED,
            'without default-backend, the error pages of the class are meant: the setting errorPages',
        )
    elif translation.set('custom-http-errors', 'error-statuses', ', '.join(codes)):
        translation.set('custom-http-errors', 'error-service', service)


def mirror(translation: Translation) -> None:
    """Translate a mirror: headrace mirrors to Services of the namespace."""
    if 'mirror-target' not in translation.values:
        for name in ('mirror-request-body', 'mirror-host'):
            translation.note(name, Verdict.EXACT, 'without mirror-target it has no effect')
        return
    match = _MIRROR.fullmatch(translation.value('mirror-target'))
    host = _SERVICE_HOST.fullmatch(match[1]) if match else None
    if match is None or host is None or host[2] != translation.namespace:
        translation.invalid(
            'mirror-target', Invalid('a Service of the namespace, as in http://NAME.NAMESPACE.svc$request_uri')
        )
    else:
        translation.set('mirror-target', 'mirror-service', f'{host[1]}:{match[2]}' if match[2] else host[1])
    if translation.value('mirror-request-body') == 'off':
        translation.note('mirror-request-body', Verdict.IGNORED, 'the body is mirrored too')


def custom_headers(translation: Translation) -> None:
    """Translate the ConfigMap with headers of responses, which must be in the namespace of the Ingress."""
    namespace, slash, name = translation.value('custom-headers').rpartition('/')
    if slash and namespace != translation.namespace:
        expected = f'a ConfigMap of the namespace {translation.namespace} of the Ingress'
        translation.invalid('custom-headers', Invalid(expected))
    elif name:
        translation.set('custom-headers', 'response-headers-config-map', name)


def buffering(translation: Translation) -> None:
    """Translate whether bodies are read before they go on; HAProxy does that for those of requests alone."""
    if translation.value('proxy-buffering') == 'off':
        translation.note('proxy-buffering', Verdict.EXACT)
    name = 'proxy-request-buffering'
    buffers = translation.switch(name)
    if translation.value(name) in ('on', 'off'):
        translation.set(name, 'request-buffering', 'true' if buffers else 'false')
        if not buffers:
            translation.note(name, Verdict.EXACT)


def answers(translation: Translation) -> None:
    """Translate what is replaced in the answers of endpoints: cookies' attributes, and places to redirect to."""
    for name, key in (('proxy-cookie-domain', 'response-cookie-domain'), ('proxy-cookie-path', 'response-cookie-path')):
        text = translation.value(name)
        if not text or text == 'off':
            translation.note(name, Verdict.EXACT)
        elif '$' in text or text.startswith('~') or len(text.split()) != 2:  # noqa: PLR2004
            translation.invalid(name, Invalid('off, or two words without variables and expressions'))
        else:
            translation.set(name, key, text)
    source, place = translation.value('proxy-redirect-from'), translation.value('proxy-redirect-to')
    if source in ('', 'off', 'default') or place in ('', 'off'):
        for name in ('proxy-redirect-from', 'proxy-redirect-to'):
            translation.note(name, Verdict.EXACT, 'off')
    elif '$' in source + place or source.startswith('~'):
        translation.invalid('proxy-redirect-from', Invalid('a text without variables and expressions'))
        translation.note('proxy-redirect-to', Verdict.IGNORED, 'as proxy-redirect-from')
    elif not translation.set('proxy-redirect-from', 'location-rewrite', f'{source} {place}'):
        translation.note('proxy-redirect-to', Verdict.IGNORED, 'as proxy-redirect-from')


def headers(translation: Translation) -> None:
    """Translate the header that names the prefix of the path."""
    if prefix := translation.value('x-forwarded-prefix'):
        line = f'X-Forwarded-Prefix: {prefix}'
        success = (
            '$' not in prefix
            and prefix.isprintable()
            and translation.append('x-forwarded-prefix', 'request-headers', line)
        )
        if not success and 'request-headers' not in translation.own_keys:
            translation.invalid('x-forwarded-prefix', Invalid('a text without variables'))


def aliases(translation: Translation) -> None:
    """Translate further names of the Ingress's hosts."""
    hosts, unsupported = [], []
    items = values.split(translation.value('server-alias'))
    for item in items[:_MAX_ALIASES]:
        host = values.host(item)
        if isinstance(host, str) and host != '*':
            hosts.append(host)
        else:
            unsupported.append(item)
    unsupported += items[_MAX_ALIASES:]
    translation.shape(aliases=tuple(dict.fromkeys(hosts)))
    if unsupported:
        verdict = Verdict.DIFFERS if hosts else Verdict.IGNORED
        translation.note(
            'server-alias',
            verdict,
            f'without {shorten(", ".join(unsupported))}: only names and *.NAME are served, up to 100',
        )


def configuration_snippet(translation: Translation) -> None:
    """Translate the directives of both snippets."""
    for name in ('configuration-snippet', 'server-snippet'):
        if translation.value(name):
            snippets.translate(translation, name)
