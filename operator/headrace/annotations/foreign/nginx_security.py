"""ingress-nginx's keys that decide who gets in: passwords, external authentication, client certificates, networks, rates."""

import re

from headrace.annotations.foreign import forms, variables
from headrace.annotations.foreign.table import Verdict
from headrace.annotations.foreign.translation import Translation
from headrace.annotations.values import Invalid, split
from headrace.diagnostics import shorten

_PARAMETER = re.compile('[A-Za-z0-9_-]{1,64}')
_CACHE = re.compile(r'((?:(?:any|[1-5]\d\d)\s+)*)(\d{1,9}(?:ms|s|m|h|d)?)', re.ASCII)


def secret(translation: Translation, name: str, key: str) -> None:
    """Set a key to the name of a Secret, which must be in the namespace of the Ingress."""
    namespace, slash, secret_name = translation.value(name).rpartition('/')
    if slash and namespace != translation.namespace:
        translation.refuse(name, f'the Secret must be in the namespace {translation.namespace} of the Ingress')
    else:
        translation.set(name, key, secret_name)


def basic_auth(translation: Translation) -> None:
    """Translate authentication by passwords."""
    kind = translation.value('auth-type')
    if kind != 'basic':
        if 'auth-type' in translation.values:
            translation.close('auth-type', f'only basic is served, not {shorten(kind)}')
        for name in ('auth-secret', 'auth-secret-type', 'auth-realm'):
            translation.note(name, Verdict.EXACT, 'without auth-type it has no effect')
        return
    if secret_type := translation.value('auth-secret-type'):
        translation.set('auth-secret-type', 'basic-auth-secret-type', secret_type)
    if translation.value('auth-secret'):
        secret(translation, 'auth-secret', 'basic-auth-secret')
    else:
        translation.close('auth-type', 'auth-secret names no Secret')
    realm = translation.value('auth-realm')
    if realm:
        translation.set('auth-realm', 'basic-auth-realm', realm)


def external_auth(translation: Translation) -> None:
    """Translate external authentication."""
    names = (
        'auth-signin', 'auth-signin-redirect-param', 'auth-method', 'auth-response-headers', 'auth-cache-key', 'auth-cache-duration',
    )  # fmt: skip
    if 'auth-url' not in translation.values:
        for name in names:
            translation.note(name, Verdict.EXACT, 'without auth-url it has no effect')
        return
    url(translation, 'auth-url', 'external-auth-url', translation.value('auth-url'))
    _signin(translation)
    if method := translation.value('auth-method'):
        translation.set('auth-method', 'external-auth-method', method)
    if headers := split(translation.value('auth-response-headers')):
        translation.set('auth-response-headers', 'external-auth-response-headers', ', '.join(headers))
    if 'auth-cache-key' in translation.values:
        _cache(translation)
    else:
        translation.note('auth-cache-duration', Verdict.EXACT, 'without auth-cache-key it has no effect')


def url(translation: Translation, name: str, key: str, text: str) -> None:
    """Set a key to a URL, with headrace's variables where its parser has them."""
    place = variables.translate(text)
    if isinstance(place, str) and '$' in place and not translation.understands(key, 'https://$host/'):
        place = Invalid('without variables')
    if isinstance(place, Invalid):
        translation.invalid(name, place)
    else:
        translation.set(name, key, place)


def _signin(translation: Translation) -> None:
    """Set the URL for signing in, with the parameter that ingress-nginx adds to it: the URL that was asked for."""
    place = translation.value('auth-signin')
    if not place:
        translation.note('auth-signin-redirect-param', Verdict.EXACT, 'without auth-signin it has no effect')
        return
    parameter = translation.value('auth-signin-redirect-param') or 'rd'
    if not _PARAMETER.fullmatch(parameter):
        translation.invalid('auth-signin-redirect-param', Invalid('the name of a parameter'))
    elif not re.search(rf'[?&]{parameter}=', place):
        place += f'{"&" if "?" in place else "?"}{parameter}=$scheme://$host$escaped_request_uri'
    url(translation, 'auth-signin', 'external-auth-signin', place)


def cache_time(text: str) -> str | Invalid:
    """Return the shortest of the times that speak of success, '' where none does."""
    times: list[str] = []
    for part in text.split(','):
        match = _CACHE.fullmatch(part.strip())
        if match is None:
            return Invalid('statuses and a time, as in 200 202 5m')
        if not match[1] or {'any', '200', '202'} & set(match[1].split()):
            times.append(match[2] + ('s' if match[2].isdigit() else ''))
    return min(times, key=_milliseconds, default='')


def _cache(translation: Translation) -> None:
    """Set how long answers are remembered."""
    time = cache_time(translation.value('auth-cache-duration') or '200 202 401 5m')
    if isinstance(time, Invalid):
        translation.note('auth-cache-duration', Verdict.IGNORED, f'the value must be {time.expected}')
    elif time:
        translation.set('auth-cache-key', 'external-auth-cache', time)


def _milliseconds(time: str) -> int:
    digits = time.rstrip('msdh')
    return int(digits) * {'ms': 1, 's': 1000, 'm': 60_000, 'h': 3_600_000, 'd': 86_400_000}[time[len(digits) :]]


def client_certificates(translation: Translation) -> None:
    """Translate authentication by certificates of clients."""
    if not translation.value('auth-tls-secret'):
        if 'auth-tls-secret' in translation.values:
            translation.close('auth-tls-secret', 'it names no Secret')
        for name in (
            'auth-tls-verify-client',
            'auth-tls-match-cn',
            'auth-tls-verify-depth',
            'auth-tls-error-page',
            'auth-tls-pass-certificate-to-upstream',
        ):
            translation.note(name, Verdict.EXACT, 'without auth-tls-secret it has no effect')
        return
    verify = translation.value('auth-tls-verify-client')
    if verify == 'off':
        translation.note(
            'auth-tls-secret', Verdict.EXACT, 'with auth-tls-verify-client: off no certificate is asked for'
        )
        return
    secret(translation, 'auth-tls-secret', 'client-ca-secret')
    if verify == 'optional':
        translation.set('auth-tls-verify-client', 'client-verify', 'optional')
    elif verify == 'optional_no_ca':
        translation.set('auth-tls-verify-client', 'client-verify', 'optional')
        translation.note(
            'auth-tls-verify-client', Verdict.DIFFERS, 'as optional: a certificate of another CA is refused'
        )
    elif verify not in ('', 'on'):
        translation.note(
            'auth-tls-verify-client', Verdict.DIFFERS, 'as on, which ingress-nginx takes for other words too'
        )
    if translation.value('auth-tls-match-cn'):
        translation.close('auth-tls-match-cn', 'headrace does not compare the subject of certificates')


def access(translation: Translation) -> None:
    """Translate the lists of networks, and how they go together with authentication."""
    allow = [name for name in ('allowlist-source-range', 'whitelist-source-range') if name in translation.values]
    for name in allow[1:]:
        translation.note(name, Verdict.EXACT, 'another name of allowlist-source-range, which counts')
    for name, key in ((allow[0], 'allow') if allow else ('', ''), ('denylist-source-range', 'deny')):
        if name in translation.values:
            networks = forms.networks(translation.value(name))
            if isinstance(networks, Invalid):
                translation.invalid(name, networks)
            else:
                translation.set(name, key, networks)
    satisfy = translation.value('satisfy')
    if satisfy == 'any':
        translation.set('satisfy', 'satisfy', 'any')
    elif satisfy == 'all':
        translation.note('satisfy', Verdict.EXACT)
    else:
        translation.note('satisfy', Verdict.IGNORED, 'the value must be any or all')


def limits(translation: Translation) -> None:
    """Translate the limits of rates and connections; of two rates the lower one counts."""
    rates: list[tuple[float, str, int, str]] = []
    for name, unit, period in (('limit-rps', 's', 1), ('limit-rpm', 'm', 60)):
        text = forms.count(translation.value(name)) if name in translation.values else ''
        if isinstance(text, Invalid):
            translation.invalid(name, text)
        elif text:
            rates.append((int(text) / period, name, int(text), unit))
    rates.sort()
    for _, name, number, unit in rates[:1]:
        if translation.set(name, 'rate-limit', f'{number}/{unit}'):
            _burst(translation, name, number)
        else:
            translation.note('limit-burst-multiplier', Verdict.IGNORED, f'as {name}')
    for _, name, _, _ in rates[1:]:
        translation.note(name, Verdict.IGNORED, f'{rates[0][1]} is lower and counts alone')
    if not rates:
        translation.note('limit-burst-multiplier', Verdict.EXACT, 'without a rate it has no effect')
    _exceptions(translation)


def _exceptions(translation: Translation) -> None:
    """Set the networks without limits."""
    names = [name for name in ('limit-allowlist', 'limit-whitelist') if name in translation.values]
    for name in names[:1]:
        networks = forms.networks(translation.value(name))
        if isinstance(networks, Invalid):
            translation.invalid(name, networks)
        else:
            translation.set(name, 'rate-limit-except', networks)
    for name in names[1:]:
        translation.note(name, Verdict.EXACT, 'another name of limit-allowlist, which counts')


def _burst(translation: Translation, name: str, number: int) -> None:
    """Set how many requests at once a client may send beyond its rate: five times the rate, or as often as is asked for."""
    multiplier = forms.count(translation.value('limit-burst-multiplier') or '5')
    if isinstance(multiplier, Invalid):
        translation.invalid('limit-burst-multiplier', multiplier)
    else:
        source = 'limit-burst-multiplier' if 'limit-burst-multiplier' in translation.values else name
        translation.set(source, 'rate-limit-burst', str(number * int(multiplier)))
