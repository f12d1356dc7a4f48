"""ingress-nginx's ConfigMap (`--configmap`) as class settings, and its TCP services (`--tcp-services-configmap`).

Only the migration tool uses this: an administrator decides about the settings of the class.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from headrace.annotations import values
from headrace.annotations.foreign import forms, nginx_security, variables
from headrace.annotations.foreign.nginx_backends import RETRY_ON
from headrace.annotations.foreign.table import Verdict
from headrace.annotations.keys import BY_NAME
from headrace.annotations.parse import PREFIX
from headrace.annotations.values import Invalid
from headrace.diagnostics import shorten

Setting = Callable[[str], 'tuple[str, object] | Invalid | None']
_PROTOCOLS = re.compile(r'TLSv1(?:\.[0-3])?|SSLv[23]')
_CIPHERS = re.compile(r'[A-Za-z0-9_:!+@=-]{1,4000}')
_WORKERS = re.compile(r'\d{1,4}|auto', re.ASCII)
_TCP = re.compile(r'([a-z0-9-]{1,63})/([a-z0-9-]{1,63}):([a-z0-9-]{1,63})(?::(PROXY)?(?::(PROXY)?)?)?')


@dataclass(frozen=True, slots=True)
class ConfigRemark:
    """What became of one key of the ConfigMap."""

    key: str
    verdict: Verdict
    text: str = ''


@dataclass(frozen=True, slots=True)
class ClassTranslation:
    """Settings of a class as its YAML file has them, and a remark for each key of the ConfigMap."""

    settings: Mapping[str, object]
    remarks: tuple[ConfigRemark, ...]


@dataclass(frozen=True, slots=True)
class TcpService:
    """A TCP port that leads to a port (name or number) of a Service."""

    port: int
    namespace: str
    service: str
    service_port: str
    accepts_proxy: bool = False
    sends_proxy: bool = False


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """A key of the ConfigMap: its verdict, how it differs or what to do instead, and what makes a setting of its value.

    `setting` returns the name and value of a setting (`GROUP.KEY` for a key of `defaults` or `globalAuth`), or None where
    headrace does the same without one.
    """

    name: str
    verdict: Verdict
    text: str = ''
    setting: Setting | None = None


def _to(name: str, form: Callable[[str], object]) -> Setting:
    """Return what makes a setting of one name; '' is its default."""

    def setting(text: str) -> tuple[str, object] | Invalid | None:
        value = form(text)
        if isinstance(value, Invalid):
            return value
        return (name, value) if value not in ('', None) else None

    return setting


def _auth(key: str) -> Setting:
    """Return what makes a key of `globalAuth`, with headrace's variables for nginx's."""
    parse = BY_NAME[f'external-auth-{key}'].parse

    def form(text: str) -> str | Invalid:
        translated = variables.translate(text)
        value = translated if isinstance(translated, Invalid) else parse(translated)
        return value if isinstance(value, Invalid) else str(translated)

    return _to(f'globalAuth.{key}', form)


def _only(*accepted: str) -> Setting:
    """Return what needs no setting for these values, and has none for others."""

    def setting(text: str) -> tuple[str, object] | Invalid | None:
        return None if text in accepted else Invalid(' or '.join(accepted))

    return setting


def _networks(text: str) -> tuple[str, ...] | Invalid:
    parts = values.split(text)
    if '0.0.0.0/0' in parts or '::/0' in parts:
        return Invalid('the networks of the proxies in front, not every address: any client could say who it is')
    return (
        tuple(parts)
        if parts and not any(isinstance(values.network(part), Invalid) for part in parts)
        else Invalid('a list of networks')
    )


def _boolean(text: str) -> bool | Invalid:
    value = forms.boolean(text)
    return value if isinstance(value, Invalid) else value == 'true'


def _tls_version(text: str) -> str | Invalid:
    versions = values.split(text)
    if not versions or not all(_PROTOCOLS.fullmatch(version) for version in versions):
        return Invalid('versions such as TLSv1.2 TLSv1.3')
    return 'TLSv1.3' if versions == ['TLSv1.3'] else 'TLSv1.2'


def _retry_on(text: str) -> str | Invalid:
    retries = {item for condition in values.split(text) for item in RETRY_ON.get(condition, ())}
    return ', '.join(item for item in values.SAFE_RETRIES if item in retries) or Invalid(
        'conditions such as error timeout'
    )


def _retries(text: str) -> str | Invalid:
    tries = forms.count(text)
    return tries if isinstance(tries, Invalid) else str(min(10, int(tries) - 1))


def _addresses(text: str) -> tuple[str, ...] | Invalid:
    parts = values.split(text)
    return (
        tuple(parts)
        if parts and not any(isinstance(forms.networks(part), Invalid) for part in parts)
        else Invalid('a list of addresses')
    )


def _rows(verdict: Verdict, names: str, text: str) -> tuple[ConfigRow, ...]:
    return tuple(ConfigRow(name, verdict, text) for name in names.split())


_E, _D, _I = Verdict.EXACT, Verdict.DIFFERS, Verdict.IGNORED
_ROWS: tuple[ConfigRow, ...] = (
    ConfigRow('proxy-connect-timeout', _E, '', _to('defaults.timeout-connect', forms.seconds)),
    ConfigRow('proxy-read-timeout', _D, 'for both directions', _to('defaults.timeout-server', forms.seconds)),
    ConfigRow('proxy-next-upstream', _D, 'what HAProxy retries safely', _to('defaults.retry-on', _retry_on)),
    ConfigRow('proxy-next-upstream-tries', _E, '', _to('defaults.retries', _retries)),
    ConfigRow('load-balance', _D, 'ewma is leastconn', _to('defaults.balance', forms.choice(round_robin='roundrobin', ewma='leastconn'))),
    ConfigRow('use-gzip', _E, '', _to('defaults.compression', lambda text: 'true' if forms.boolean(text) == 'true' else '')),
    ConfigRow('ssl-protocols', _D, 'TLS 1.2 is the oldest version', _to('tlsMinVersion', _tls_version)),
    ConfigRow('ssl-ciphers', _E, '', _to('tlsCiphers', lambda text: text if _CIPHERS.fullmatch(text) else Invalid('names of ciphers, separated by colons'))),
    ConfigRow('use-proxy-protocol', _E, 'trustedProxies must name the proxies', _to('acceptProxy', _boolean)),
    ConfigRow('proxy-real-ip-cidr', _E, '', _to('trustedProxies', _networks)),
    ConfigRow('use-forwarded-headers', _D, 'they are believed from trustedProxies alone', lambda _: None),
    ConfigRow('bind-address', _E, '', _to('addresses', _addresses)),
    ConfigRow('disable-ipv6', _E, '', _to('addresses', lambda text: ('0.0.0.0',) if forms.boolean(text) == 'true' else '')),  # noqa: S104
    ConfigRow('max-worker-connections', _D, 'of the whole process instead of each worker', _to('maxconn', values.number(10, 10_000_000))),
    ConfigRow('worker-processes', _D, 'threads of one process', _to('threads', lambda text: (0 if text == 'auto' else int(text)) if _WORKERS.fullmatch(text) else Invalid('a number or auto'))),
    ConfigRow('worker-shutdown-timeout', _E, '', _to('hardStopAfter', forms.haproxy_time)),
    ConfigRow('proxy-stream-timeout', _E, '', _to('tcpClientTimeout', forms.haproxy_time)),
    ConfigRow('disable-access-log', _E, '', _to('accessLog', lambda text: 'off' if forms.boolean(text) == 'true' else 'stdout')),
    ConfigRow('http-redirect-code', _E, '', _only('308')),
    ConfigRow('use-http2', _E, '', _only('true')),
    ConfigRow('server-tokens', _E, '', _only('false')),
    ConfigRow('ssl-redirect', _I, 'only on an Ingress: headrace.io/tls-redirect', _only('true')),
    ConfigRow('force-ssl-redirect', _I, 'only on an Ingress: headrace.io/tls-redirect', _only('false')),
    ConfigRow('ssl-session-tickets', _E, '', _only('true', 'false')),
    ConfigRow('reuse-port', _E, '', _only('true')),
    ConfigRow('enable-real-ip', _D, 'addresses are believed from trustedProxies alone', lambda _: None),
    *_rows(_I, 'whitelist-source-range denylist-source-range block-cidrs block-user-agents block-referers', 'it protects all Ingresses: write headrace.io/allow or headrace.io/deny on each of them before traffic moves'),
    ConfigRow('global-auth-url', _E, '', _auth('url')),
    ConfigRow('global-auth-method', _E, '', _auth('method')),
    ConfigRow('global-auth-signin', _E, '', _auth('signin')),
    ConfigRow('global-auth-signin-redirect-param', _I, 'write the parameter into globalAuth.signin, as in ?next=$scheme://$host$escaped_request_uri', _only('rd')),
    ConfigRow('global-auth-response-headers', _E, '', _auth('response-headers')),
    ConfigRow('global-auth-cache-key', _D, 'the key is method, URL, client address, Cookie and Authorization', lambda _: ('globalAuth.cache', '5m')),
    ConfigRow('global-auth-cache-duration', _D, 'one time, the shortest of those for success, where there is a global-auth-cache-key', _to('globalAuth.cache', nginx_security.cache_time)),
    ConfigRow('no-auth-locations', _E, '', _auth('skip-paths')),
    *_rows(_I, 'global-auth-request-redirect global-auth-snippet', 'the request to the authentication Service cannot be changed'),
    ConfigRow('global-allowed-response-headers', _E, '', _to('allowedResponseHeaders', lambda text: tuple(values.split(text)))),
    ConfigRow('limit-rate', _D, 'without proxy-buffering too', _to('defaults.bandwidth-limit', forms.kilobytes)),
    *_rows(_I, 'enable-modsecurity modsecurity-snippet enable-owasp-modsecurity-crs', 'headrace has no web application firewall'),
    *_rows(_I, 'proxy-body-size', 'write headrace.io/max-body-size on Ingresses that need it; ingress-nginx allows 1m by default, headrace any size'),
    *_rows(_I, 'hsts hsts-include-subdomains hsts-max-age hsts-preload', 'write headrace.io/hsts on Ingresses that need it; ingress-nginx sends the header by default'),
    *_rows(_I, 'add-headers proxy-set-headers hide-headers custom-http-errors proxy-cookie-path proxy-cookie-domain proxy-redirect-from proxy-redirect-to proxy-request-buffering limit-rate-after service-upstream', 'only on an Ingress'),
    *_rows(_I, 'main-snippet http-snippet server-snippet stream-snippet location-snippet', "it is configuration of nginx: what headrace needs of it goes into the administrator's templates and snippets"),
    *_rows(_I, 'limit-req-status-code limit-conn-status-code', 'clients beyond a limit get 429'),
    *_rows(_I, 'proxy-send-timeout client-header-timeout client-body-timeout proxy-next-upstream-timeout keep-alive keep-alive-requests', 'the timeouts of clients are headrace.io/timeout-client, those of endpoints headrace.io/timeout-server'),
    *_rows(_I, 'log-format-upstream log-format-stream log-format-escape-none log-format-escape-json access-log-params access-log-path http-access-log-path stream-access-log-path error-log-path error-log-level enable-access-log-for-default-backend skip-access-log-urls enable-syslog syslog-host syslog-port', 'the log is set by accessLog, accessLogHttp and accessLogTcp'),
    *_rows(_E, 'allow-snippet-annotations allow-cross-namespace-resources annotations-risk-level annotation-value-word-blocklist strict-validate-path-type', 'values are typed, snippets never run, and Secrets are of the own namespace'),
)  # fmt: skip
CONFIG_MAP: Mapping[str, ConfigRow] = {row.name: row for row in _ROWS}


def class_settings(data: Mapping[str, str]) -> ClassTranslation:
    """Return what the data of ingress-nginx's ConfigMap is as settings of a class."""
    settings: dict[str, object] = {}
    groups: dict[str, dict[str, str]] = {}
    remarks: list[ConfigRemark] = []
    for name in sorted(data):
        row = CONFIG_MAP.get(name)
        if row is None:
            remarks.append(ConfigRemark(name, Verdict.IGNORED, 'headrace has nothing that it could set'))
            continue
        setting = row.setting(data[name].strip()) if row.setting else None
        if isinstance(setting, Invalid):
            remarks.append(
                ConfigRemark(
                    name,
                    Verdict.IGNORED,
                    row.text or f'the value must be {setting.expected}, not {shorten(data[name])}',
                )
            )
            continue
        verdict = Verdict.EXACT if row.verdict is Verdict.IGNORED and row.setting else row.verdict
        remarks.append(ConfigRemark(name, verdict, '' if verdict is not row.verdict else row.text))
        if setting is not None and '.' in setting[0]:
            group, _, key = setting[0].partition('.')
            groups.setdefault(group, {}).setdefault(key, str(setting[1]))
        elif setting is not None:
            settings.setdefault(*setting)
    if 'global-auth-cache-key' not in data:
        groups.get('globalAuth', {}).pop('cache', None)
    if 'url' not in groups.get('globalAuth', {'url': ''}):
        del groups['globalAuth']
    settings |= groups
    return ClassTranslation(settings, tuple(remarks))


def tcp_services(data: Mapping[str, str]) -> tuple[tuple[TcpService, ...], tuple[ConfigRemark, ...]]:
    """Return the TCP ports of a ConfigMap of TCP services, and a remark for each line that cannot be read."""
    services: list[TcpService] = []
    remarks: list[ConfigRemark] = []
    for port, text in sorted(data.items()):
        number, match = values.number(1, 65535)(port), _TCP.fullmatch(text.strip())
        if isinstance(number, Invalid) or match is None:
            remarks.append(
                ConfigRemark(
                    port, Verdict.IGNORED, f'must be PORT: NAMESPACE/NAME:PORT[:PROXY][:PROXY], not {shorten(text)}'
                )
            )
        else:
            services.append(TcpService(number, match[1], match[2], match[3], bool(match[4]), bool(match[5])))
    return tuple(services), tuple(remarks)


def udp_services(data: Mapping[str, str]) -> tuple[ConfigRemark, ...]:
    """Return a remark for each UDP port of a ConfigMap of UDP services: the edge serves none."""
    text = 'the edge serves no UDP: give the Service a type of its own, which the node role or kube-proxy serves'
    return tuple(ConfigRemark(port, Verdict.IGNORED, text) for port in sorted(data))


def annotations(service: TcpService) -> dict[str, str]:
    """Return headrace's annotations of a Service that serve a TCP port of it."""
    texts = {'port': str(service.port), 'mode': 'tcp'}
    if service.accepts_proxy:
        texts['accept-proxy'] = 'true'
    if service.sends_proxy:
        texts['client-ip'] = 'proxy-v1'
    return {f'{PREFIX}{key}.{service.service_port}': text for key, text in texts.items()}
