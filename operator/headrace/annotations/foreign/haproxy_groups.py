"""haproxy-ingress's keys that depend on each other, or whose values need more than a form."""

import re

from headrace.annotations import values
from headrace.annotations.foreign import forms, snippets
from headrace.annotations.foreign.nginx_security import secret, url
from headrace.annotations.foreign.nginx_traffic import apply_cors
from headrace.annotations.foreign.table import SESSION_COOKIE, Verdict
from headrace.annotations.foreign.translation import Translation
from headrace.annotations.values import Invalid
from headrace.diagnostics import shorten

_CORS_METHODS = 'GET, PUT, POST, DELETE, PATCH, OPTIONS'
_CORS_HEADERS = 'DNT, X-CustomHeader, Keep-Alive, User-Agent, X-Requested-With, If-Modified-Since, Cache-Control, Content-Type, Authorization'
_SERVICE_URL = re.compile(r'svc://(?:([a-z0-9-]{1,63})/)?([a-z0-9-]{1,63}):(\d{1,5})(/[^\s$]*)?')
_EXPRESSION = re.compile(r'%\[([^\]\[%]{0,64})\]')
_FETCHES = {
    'path': '$uri',
    'url': '$request_uri',
    'pathq': '$request_uri',
    'query': '$args',
    'hdr(host)': '$host',
    'req.hdr(host)': '$host',
}
_PROTECTING = re.compile(r'\b(?:deny|reject|tarpit|auth|silent-drop|return|use-service|lua\.)', re.IGNORECASE)
_HASHED = re.compile(r'hdr\(([A-Za-z0-9-]{1,64})\)(?: use_domain_only)?')
_ALGORITHMS = ('roundrobin', 'leastconn', 'first', 'source', 'uri', 'random')
_GROUP = re.compile(r'\\([1-9])')
_MAX_NAMED = 20
_MAX_ALIASES = 100


def basic_auth(translation: Translation) -> None:
    """Translate authentication by passwords; a file of the pod cannot be read."""
    text = translation.value('auth-secret')
    if 'auth-secret' not in translation.values:
        translation.note('auth-realm', Verdict.EXACT, 'without auth-secret it has no effect')
        return
    if text.startswith('file://') or not text:
        translation.refuse('auth-secret', 'the value must be the name of a Secret')
        return
    secret(translation, 'auth-secret', 'basic-auth-secret')
    translation.set('auth-realm', 'basic-auth-realm', translation.value('auth-realm') or 'localhost')


def external_auth(translation: Translation) -> None:
    """Translate external authentication; Services are named by URLs of the scheme svc."""
    if 'auth-url' not in translation.values:
        for name in ('auth-method', 'auth-signin', 'auth-headers-succeed'):
            translation.note(name, Verdict.EXACT, 'without auth-url it has no effect')
        return
    place = translation.value('auth-url')
    if service := _SERVICE_URL.fullmatch(place):
        place = f'http://{service[2]}.{service[1] or translation.namespace}.svc:{service[3]}{service[4] or "/"}'
    url(translation, 'auth-url', 'external-auth-url', place)
    method = translation.value('auth-method')
    if method == '*':
        translation.note('auth-method', Verdict.DIFFERS, "GET instead of the request's method")
    elif method:
        translation.set('auth-method', 'external-auth-method', method)
    if signin := translation.value('auth-signin'):
        text = expand(signin)
        if isinstance(text, Invalid):
            translation.invalid('auth-signin', text)
        else:
            url(translation, 'auth-signin', 'external-auth-signin', text)
    headers = [header for header in values.split(translation.value('auth-headers-succeed')) if '*' not in header]
    if headers:
        translation.set('auth-headers-succeed', 'external-auth-response-headers', ', '.join(headers))


def expand(text: str) -> str | Invalid:
    """Return a value with variables for the expressions of HAProxy that have one."""
    for expression in _EXPRESSION.findall(text):
        if expression not in _FETCHES:
            return Invalid(f'without the expression {shorten(expression)}')
    plain = _EXPRESSION.sub('', text)
    if '%[' in plain or '$' in plain:
        return Invalid('without an expression that does not end, and without $')
    return _EXPRESSION.sub(lambda match: _FETCHES[match[1]], text)


def client_certificates(translation: Translation) -> None:
    """Translate authentication by certificates of clients."""
    verify = translation.value('auth-tls-verify-client')
    if not translation.value('auth-tls-secret'):
        if 'auth-tls-secret' in translation.values or verify not in ('', 'off'):
            name = 'auth-tls-secret' if 'auth-tls-secret' in translation.values else 'auth-tls-verify-client'
            translation.close(name, 'auth-tls-secret names no Secret')
        return
    if verify == 'off':
        translation.note(
            'auth-tls-secret', Verdict.EXACT, 'with auth-tls-verify-client: off no certificate is asked for'
        )
        return
    if translation.value('auth-tls-secret').startswith('file://'):
        translation.close('auth-tls-secret', 'the value must be the name of a Secret')
        return
    secret(translation, 'auth-tls-secret', 'client-ca-secret')
    if verify.startswith('optional'):
        translation.set('auth-tls-verify-client', 'client-verify', 'optional')
        if verify != 'optional':
            translation.note(
                'auth-tls-verify-client', Verdict.DIFFERS, 'as optional: a certificate of another CA is refused'
            )


def access(translation: Translation) -> None:
    """Translate the lists of networks; `!` excepts a network from its list."""
    allow = [name for name in ('allowlist-source-range', 'whitelist-source-range') if name in translation.values]
    for name in allow[1:]:
        translation.note(name, Verdict.EXACT, 'another name of allowlist-source-range, which counts')
    if allow:
        _networks(translation, allow[0], 'allow', 'deny')
    if 'denylist-source-range' in translation.values:
        _networks(translation, 'denylist-source-range', 'deny', '')


def _networks(translation: Translation, name: str, key: str, exception_key: str) -> None:
    parts = values.split(translation.value(name))
    exceptions = [part.removeprefix('!') for part in parts if part.startswith('!')]
    networks = forms.networks(', '.join(part for part in parts if not part.startswith('!')))
    if isinstance(networks, Invalid):
        translation.invalid(name, networks)
        return
    translation.set(name, key, networks, joined_by=', ' if key == 'deny' else '')
    if exceptions and exception_key:
        translation.set(name, exception_key, ', '.join(exceptions), joined_by=', ')
    elif exceptions:
        translation.note(name, Verdict.DIFFERS, 'networks with ! are denied too')


def affinity(translation: Translation) -> None:
    """Translate sticky sessions by cookie."""
    if translation.value('affinity') != 'cookie':
        if 'affinity' in translation.values:
            translation.invalid('affinity', Invalid('cookie'))
        for name in translation.values:
            if name.startswith('session-cookie-'):
                translation.note(name, Verdict.EXACT, 'without affinity it has no effect')
        return
    source = 'session-cookie-name' if translation.value('session-cookie-name') else 'affinity'
    translation.set(source, 'cookie', translation.value('session-cookie-name') or SESSION_COOKIE)
    if domain := translation.value('session-cookie-domain'):
        translation.set('session-cookie-domain', 'cookie-domain', domain)
    if translation.boolean('session-cookie-same-site'):
        translation.set('session-cookie-same-site', 'cookie-same-site', 'None')
        translation.set('session-cookie-same-site', 'cookie-secure', 'true')
    strategy = translation.value('session-cookie-strategy')
    if strategy in ('', 'insert'):
        translation.note('session-cookie-strategy', Verdict.EXACT)
    else:
        translation.note('session-cookie-strategy', Verdict.DIFFERS, 'insert: the cookie is one of its own')


def balance(translation: Translation) -> None:
    """Translate the algorithm that chooses an endpoint."""
    text = translation.value('balance-algorithm')
    match = _HASHED.fullmatch(text)
    if match:
        translation.set('balance-algorithm', 'balance', f'hdr:{match[1].lower()}')
    elif text.split('(')[0].split(' ')[0] in _ALGORITHMS:
        translation.set('balance-algorithm', 'balance', re.split(r'[( ]', text)[0])
        if text not in (*_ALGORITHMS, 'random(2)'):
            translation.note('balance-algorithm', Verdict.DIFFERS, 'without arguments')
    elif text == 'static-rr':
        translation.set('balance-algorithm', 'balance', 'roundrobin')
        translation.note('balance-algorithm', Verdict.DIFFERS, 'as roundrobin')
    else:
        translation.invalid('balance-algorithm', Invalid(f'one of {", ".join(_ALGORITHMS)}, static-rr or hdr(NAME)'))


def cors(translation: Translation) -> None:
    """Translate CORS, with haproxy-ingress's defaults."""
    if not translation.boolean('cors-enable'):
        for name in translation.values:
            if name.startswith('cors-') and name != 'cors-enable':
                translation.note(name, Verdict.EXACT, 'without cors-enable it has no effect')
    elif translation.value('cors-allow-origin-regex') and not translation.value('cors-allow-origin'):
        # With its default `*` every origin would be allowed.
        translation.note(
            'cors-enable', Verdict.IGNORED, 'origins by expressions are not served, so no origin is allowed'
        )
    else:
        apply_cors(translation, 'cors-enable', _CORS_METHODS, _CORS_HEADERS, '86400')


def backend(translation: Translation) -> None:
    """Translate what endpoints speak, and how they are verified."""
    secure = translation.boolean('secure-backends')
    protocol = translation.value('backend-protocol').lower() or 'h1'
    protocols = {
        'h1': 'http1',
        'http': 'http1',
        'h2': 'h2c',
        'grpc': 'h2c',
        'h1-ssl': 'https',
        'https': 'https',
        'h2-ssl': 'h2',
        'grpcs': 'h2',
    }
    if protocol not in protocols:
        translation.invalid('backend-protocol', Invalid('one of h1, h2, h1-ssl, h2-ssl, grpc and grpcs'))
        return
    backend_protocol = protocols[protocol]
    if secure:
        backend_protocol = {'http1': 'https', 'h2c': 'h2'}.get(backend_protocol, backend_protocol)
    name = 'backend-protocol' if 'backend-protocol' in translation.values else 'secure-backends'
    if name in translation.values:
        translation.set(name, 'backend-protocol', backend_protocol)
    if ca := translation.value('secure-verify-ca-secret'):
        if ca.startswith('file://'):
            translation.close('secure-verify-ca-secret', 'the value must be the name of a Secret')
        else:
            secret(translation, 'secure-verify-ca-secret', 'backend-ca-secret')
    if sni := translation.value('secure-sni'):
        translation.set('secure-sni', 'backend-sni', 'host-header' if sni in ('host', 'sni') else sni)
        if sni == 'sni':
            translation.note('secure-sni', Verdict.DIFFERS, "the request's host is sent")
    elif hostname := translation.value('secure-verify-hostname'):
        translation.set('secure-verify-hostname', 'backend-sni', hostname)


def checks(translation: Translation) -> None:
    """Translate health checks: any of its keys asks for them."""
    if uri := translation.value('health-check-uri'):
        translation.set('health-check-uri', 'check', 'http')
        translation.set('health-check-uri', 'check-path', uri)
    intervals = [name for name in ('health-check-interval', 'backend-check-interval') if name in translation.values]
    for name in intervals[:1]:
        interval = forms.haproxy_time(translation.value(name))
        if isinstance(interval, Invalid):
            translation.invalid(name, interval)
        else:
            translation.set(name, 'check-interval', interval)
    for name in intervals[1:]:
        translation.note(name, Verdict.EXACT, 'another name of health-check-interval, which counts')
    for name, key in (('health-check-rise-count', 'check-rise'), ('health-check-fall-count', 'check-fall')):
        if text := translation.value(name):
            translation.set(name, key, text)
    sources = [
        name
        for name in ('health-check-interval', 'health-check-rise-count', 'health-check-fall-count')
        if name in translation.values
    ]
    if sources and not translation.text('check'):
        translation.set(sources[0], 'check', 'tcp')


def hsts(translation: Translation) -> None:
    """Translate Strict-Transport-Security: its time, without its other words."""
    switch = translation.boolean('hsts')
    if switch is False:
        translation.set('hsts', 'hsts', 'off')
    elif switch or 'hsts-max-age' in translation.values:
        age = forms.seconds(translation.value('hsts-max-age') or '15768000')
        if isinstance(age, Invalid):
            translation.invalid('hsts-max-age', age)
        else:
            translation.set('hsts-max-age' if 'hsts-max-age' in translation.values else 'hsts', 'hsts', age)


def headers(translation: Translation) -> None:
    """Translate headers that are set, added and removed."""
    if 'headers' in translation.values and 'request-set-headers' in translation.values:
        translation.note('headers', Verdict.EXACT, 'another name of request-set-headers, which counts')
    source = 'request-set-headers' if 'request-set-headers' in translation.values else 'headers'
    for name, key in (
        ('request-add-headers', 'request-headers'),
        (source, 'request-headers'),
        ('response-add-headers', 'response-headers'),
        ('response-set-headers', 'response-headers'),
    ):
        for line in translation.value(name).splitlines():
            if line.strip():
                header, _, value = line.partition(':')
                text = value.strip().replace('%[namespace]', translation.namespace)
                dynamic = '%' in text.replace('%%', '') or '$' in text
                plain = Invalid('without expressions') if dynamic else text.replace('%%', '%')
                snippets.set_header(translation, name, key, header.strip(), plain)
    for name, key in (('request-del-headers', 'request-headers'), ('response-del-headers', 'response-headers')):
        for header in values.split(translation.value(name)):
            snippets.set_header(translation, name, key, header, '')


def configuration(translation: Translation) -> None:
    """Name the lines of HAProxy's configuration; none is applied, and one that may refuse requests closes the routes."""
    for name in ('config-backend', 'config-tcp-service'):
        lines = [
            line.strip()
            for line in translation.value(name).splitlines()
            if line.strip() and not line.strip().startswith('#')
        ]
        if not lines:
            continue
        keywords = dict.fromkeys(' '.join(line.split()[:2]) for line in lines)
        summary = ', '.join(shorten(item) for item in list(keywords)[:_MAX_NAMED])
        if any(_PROTECTING.search(line) for line in lines):
            translation.close(name, f'configuration is not read, and may refuse requests: {summary}')
        else:
            translation.note(name, Verdict.IGNORED, f'configuration is not read: {summary}')


def https(translation: Translation) -> None:
    """Translate redirects to HTTPS, which haproxy-ingress does by default for hosts with TLS."""
    if translation.boolean('ssl-redirect') is False:
        translation.set('ssl-redirect', 'tls-redirect', 'false')


def redirects(translation: Translation) -> None:
    """Translate a redirect of the routes."""
    place = translation.value('redirect-to')
    if not place:
        translation.note('redirect-to-code', Verdict.EXACT, 'without redirect-to it has no effect')
        return
    if '$' in place or '%' in place:
        translation.invalid('redirect-to', Invalid('a URL without expressions'))
    elif translation.set('redirect-to', 'redirect-to', place):
        code = translation.value('redirect-to-code') or '302'
        translation.set(
            'redirect-to-code' if 'redirect-to-code' in translation.values else 'redirect-to', 'redirect-code', code
        )


def structure(translation: Translation) -> None:
    """Translate what changes the structure of the Ingress."""
    if translation.boolean('ssl-passthrough'):
        translation.shape(passthrough=True)
    _path_type(translation)
    _rewrite(translation)
    hosts = [values.host(item) for item in values.split(translation.value('server-alias'))]
    if 'server-alias' in translation.values:
        if not 1 <= len(hosts) <= _MAX_ALIASES or any(isinstance(host, Invalid) or host == '*' for host in hosts):
            translation.invalid('server-alias', Invalid('a host, or up to 100'))
        else:
            translation.shape(aliases=tuple(dict.fromkeys(str(host) for host in hosts)))


def _rewrite(translation: Translation) -> None:
    """Set the path that replaces what matched; groups of expressions have a backslash for haproxy-ingress, and `$` here."""
    target = translation.value('rewrite-target')
    if '$' in target or '%' in target:
        translation.invalid('rewrite-target', Invalid('a path without expressions'))
    elif target and translation.structure.path_type == 'regex':
        translation.set('rewrite-target', 'rewrite-path', _GROUP.sub(r'$\1', target))
    elif target:
        translation.set('rewrite-target', 'rewrite-path', target)


def _path_type(translation: Translation) -> None:
    """Translate what ImplementationSpecific means; a path that was compared whole must not serve what is below it."""
    kind = translation.value('path-type').lower()
    if kind == 'regex':
        translation.shape(path_type=kind)
        translation.note('path-type', Verdict.EXACT)
    elif kind == 'prefix':
        translation.note('path-type', Verdict.EXACT)
    elif 'path-type' in translation.values and kind != 'begin':
        translation.close('path-type', 'begin, prefix and regex are served; `pathType: Exact` says it in the Ingress')
