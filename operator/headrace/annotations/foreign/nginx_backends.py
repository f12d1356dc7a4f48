"""ingress-nginx's keys that decide which endpoint gets a request, how it is reached, and what is tried again."""

from headrace.annotations import values
from headrace.annotations.foreign import forms, variables
from headrace.annotations.foreign.table import SESSION_COOKIE, Verdict
from headrace.annotations.foreign.translation import Translation
from headrace.annotations.values import Invalid
from headrace.diagnostics import shorten

_COOKIE_TEXTS = {
    'session-cookie-path': 'cookie-path',
    'session-cookie-domain': 'cookie-domain',
    'session-cookie-samesite': 'cookie-same-site',
}
_COOKIE_SWITCHES = {
    'session-cookie-secure': 'cookie-secure',
    'session-cookie-conditional-samesite-none': 'cookie-conditional-same-site-none',
}
_MAX_RETRIES = 10
RETRY_ON = {
    'error': ('conn-failure', 'empty-response'),
    'timeout': ('conn-failure', 'response-timeout'),
    'invalid_header': ('junk-response',),
    'http_403': ('403',),
    'http_404': ('404',),
    'http_429': ('429',),
    'http_500': ('500',),
    'http_502': ('502',),
    'http_503': ('503',),
    'http_504': ('504',),
}


def affinity(translation: Translation) -> None:
    """Translate sticky sessions by cookie."""
    if translation.value('affinity') != 'cookie':
        if 'affinity' in translation.values:
            translation.invalid('affinity', Invalid('cookie'))
        for name in translation.values:
            if name.startswith(('session-cookie-', 'affinity-')):
                translation.note(name, Verdict.EXACT, 'without affinity it has no effect')
        return
    source = 'session-cookie-name' if translation.value('session-cookie-name') else 'affinity'
    translation.set(source, 'cookie', translation.value('session-cookie-name') or SESSION_COOKIE)
    for name, key in _COOKIE_TEXTS.items():
        if text := translation.value(name):
            translation.set(name, key, text)
    for name, key in _COOKIE_SWITCHES.items():
        if (switch := translation.boolean(name)) is not None:
            translation.set(name, key, 'true' if switch else 'false')
    _failure(translation, source)
    _age(translation)
    if translation.value('affinity-mode') == 'persistent':
        translation.note('affinity-mode', Verdict.EXACT)


def _failure(translation: Translation, source: str) -> None:
    """Let a client keep its cookie when its endpoint fails, as ingress-nginx does by default."""
    name, key = 'session-cookie-change-on-failure', 'cookie-change-on-failure'
    changes = translation.boolean(name)
    if name in translation.values or key not in translation.own_keys:
        translation.set(source if changes is None else name, key, 'true' if changes else 'false')
    if changes:
        translation.note(name, Verdict.EXACT)


def _age(translation: Translation) -> None:
    """Set how long browsers keep the cookie: Max-Age counts more than Expires."""
    names = [name for name in ('session-cookie-max-age', 'session-cookie-expires') if translation.value(name)]
    for name in names[:1]:
        age = forms.seconds(translation.value(name))
        if isinstance(age, Invalid):
            translation.invalid(name, age)
        else:
            translation.set(name, 'cookie-max-age', age)
    for name in names[1:]:
        translation.note(name, Verdict.EXACT, f'{names[0]} counts')


def balance(translation: Translation) -> None:
    """Translate the choice of an endpoint: a hash counts more than an algorithm."""
    template = translation.value('upstream-hash-by')
    algorithm = translation.value('load-balance')
    if template:
        algorithms = hash_of(template, translation)
        if isinstance(algorithms, Invalid):
            translation.invalid('upstream-hash-by', algorithms)
        else:
            translation.set('upstream-hash-by', 'balance', algorithms)
        translation.note('load-balance', Verdict.EXACT, 'upstream-hash-by counts')
    elif algorithm == 'round_robin':
        translation.set('load-balance', 'balance', 'roundrobin')
        translation.note('load-balance', Verdict.EXACT)
    elif algorithm == 'ewma':
        translation.set('load-balance', 'balance', 'leastconn')
        translation.note(
            'load-balance', Verdict.DIFFERS, 'the endpoint with the fewest connections instead of the lowest latency'
        )
    elif 'load-balance' in translation.values:
        translation.invalid('load-balance', Invalid('round_robin or ewma'))


def hash_of(text: str, translation: Translation) -> str | Invalid:
    """Return headrace's algorithm for a hash of nginx's variables and text."""
    names = variables.names(text)
    alone = len(names) == 1 and text in (f'${names[0]}', f'${{{names[0]}}}')
    if alone and names[0] in ('binary_remote_addr', 'remote_addr'):
        return 'source'
    if alone and names[0] in ('host', 'http_host'):
        return 'hdr:host'
    if alone and names[0].startswith('http_'):
        return 'hdr:' + names[0].removeprefix('http_').replace('_', '-')
    if not translation.understands('balance', f'hash:{text}'):
        return (
            'uri'
            if alone and names[0] in ('request_uri', 'uri')
            else Invalid('one of $remote_addr, $host, $request_uri and $http_NAME')
        )
    return f'hash:{text}'


def timeouts(translation: Translation) -> None:
    """Translate timeouts: HAProxy has one for both directions, and one of its own for WebSockets."""
    times: dict[str, int] = {}
    for name in ('proxy-read-timeout', 'proxy-send-timeout'):
        time = forms.seconds(translation.value(name)) if name in translation.values else ''
        if isinstance(time, Invalid):
            translation.invalid(name, time)
        elif time:
            times[name] = int(time[:-1])
    if times:
        name = max(times, key=lambda name: times[name])
        translation.set(name, 'timeout-server', f'{times[name]}s')
        translation.set(name, 'timeout-tunnel', f'{times[name]}s')


def retries(translation: Translation) -> None:
    """Translate what is tried again at another endpoint, and how often."""
    conditions = values.split(translation.value('proxy-next-upstream'))
    if 'off' in conditions:
        translation.set('proxy-next-upstream', 'retries', '0')
        return
    supported = {item for condition in conditions for item in RETRY_ON.get(condition, ())}
    unsupported = [condition for condition in conditions if condition not in RETRY_ON]
    if supported:
        translation.set(
            'proxy-next-upstream', 'retry-on', ', '.join(item for item in values.SAFE_RETRIES if item in supported)
        )
    if unsupported:
        verdict = Verdict.DIFFERS if supported else Verdict.IGNORED
        translation.note(
            'proxy-next-upstream',
            verdict,
            f'without {shorten(", ".join(unsupported))}, which HAProxy does not retry safely',
        )
    if 'proxy-next-upstream-tries' in translation.values:
        tries = forms.count(translation.value('proxy-next-upstream-tries'))
        if isinstance(tries, Invalid):
            translation.note(
                'proxy-next-upstream-tries', Verdict.DIFFERS, 'without a limit of its own there are 3 retries'
            )
            return
        if int(tries) > _MAX_RETRIES + 1:
            translation.note('proxy-next-upstream-tries', Verdict.DIFFERS, f'at most {_MAX_RETRIES} retries')
        translation.set('proxy-next-upstream-tries', 'retries', str(min(_MAX_RETRIES, int(tries) - 1)))


def endpoints_tls(translation: Translation) -> None:
    """Translate TLS to endpoints: ingress-nginx does not verify their certificates by default."""
    if translation.switch('proxy-ssl-verify'):
        if translation.value('proxy-ssl-secret'):
            namespace, slash, name = translation.value('proxy-ssl-secret').rpartition('/')
            if slash and namespace != translation.namespace:
                translation.close(
                    'proxy-ssl-secret', f'the Secret must be in the namespace {translation.namespace} of the Ingress'
                )
            else:
                translation.set('proxy-ssl-secret', 'backend-ca-secret', name)
        else:
            translation.note('proxy-ssl-verify', Verdict.EXACT, 'without proxy-ssl-secret it has no effect')
    else:
        translation.note(
            'proxy-ssl-secret',
            Verdict.IGNORED,
            'headrace shows no certificate to endpoints, and without proxy-ssl-verify the CA is not used',
        )
    name = translation.value('proxy-ssl-name')
    if name:
        translation.set('proxy-ssl-name', 'backend-sni', name)
    elif translation.switch('proxy-ssl-server-name'):
        translation.set('proxy-ssl-server-name', 'backend-sni', 'host-header')
        translation.note('proxy-ssl-server-name', Verdict.DIFFERS, "without proxy-ssl-name the request's host is sent")


def passthrough(translation: Translation) -> None:
    """Translate TLS that goes through to the endpoint."""
    if translation.boolean('ssl-passthrough'):
        translation.shape(passthrough=True)
