"""The class's settings: one YAML file, typed and judged whole, with a JSON schema.

Settings are the administrator's, so a mistake is an error that names the key, not a diagnostic. Each key says what a
change of it costs (`x-applied`: runtime, reload or restart); the reference in the documentation is made from this.
"""

import ipaddress
import itertools
import re
from collections.abc import Callable, Iterable

import msgspec
import yaml

from headrace.settings import address_pools
from headrace.settings.key_forms import (
    HOST,
    INSTANCE_SLOT_STEP,
    INSTANCE_SLOTS,
    MAX_PORT,
    OWN_PAGES,
    REFERENCE,
    RULES_PAGES,
    SLOT_PROTOCOLS,
)
from headrace.settings.schema import Settings
from headrace.settings.secret_keys import Secrets

__all__ = [
    'INSTANCE_SLOTS',
    'INSTANCE_SLOT_STEP',
    'OWN_PAGES',
    'UNREADABLE',
    'Secrets',
    'Settings',
    'SettingsError',
    'changed',
    'make',
    'milliseconds',
    'parse',
    'schema',
    'with_old',
]
# It has to fit into one buffer of HAProxy, with the headers.
_MOST_PAGE = 12_000
_MAX_MS = 2**31 - 1
# PyYAML's constructors let through what Python raises, as for the date 2020-13-45.
UNREADABLE = (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError, ValueError)
_MILLISECONDS = {'ms': 1, 's': 1000, 'm': 60_000, 'h': 3_600_000, 'd': 86_400_000}


class SettingsError(Exception):
    """The settings cannot be used; the message names the key."""


_DURATIONS = (
    'tcp_client_timeout',
    'drain_timeout',
    'reload_interval',
    'compare_interval',
    'sweep_interval',
    'table_interval',
    'watch_silence',
    'drain_delay',
    'hard_stop_after',
    'min_check_interval',
)
_NEVER_NOTHING = (
    'min_check_interval', 'tcp_client_timeout', 'compare_interval', 'sweep_interval', 'table_interval', 'watch_silence', 'hard_stop_after',
)  # fmt: skip


def milliseconds(duration: str) -> int:
    """Return a duration of the settings in milliseconds."""
    match = re.fullmatch(r'(\d+)(ms|s|m|h|d)', duration)
    assert match is not None
    return int(match[1]) * _MILLISECONDS[match[2]]


def parse(text: str) -> Settings:
    """Return the settings in a YAML text; raises SettingsError."""
    try:
        document = yaml.safe_load(text)
    except UNREADABLE as error:
        raise SettingsError(f'not YAML: {" ".join(str(error).split())}') from error
    return make({} if document is None else document)


def make(document: object) -> Settings:
    """Return the settings that a document holds; raises SettingsError."""
    if isinstance(document, dict) and isinstance(pages := document.get('errorPages'), dict):
        # In YAML a status without quotes is a number.
        document = {**document, 'errorPages': {str(status): text for status, text in pages.items()}}
    try:
        settings = msgspec.convert(document, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(str(error)) from error
    _judge(settings)
    return settings


def schema() -> dict[str, object]:
    """Return the JSON schema of the settings."""
    document = msgspec.json.schema(Settings)
    document['$schema'] = 'https://json-schema.org/draft/2020-12/schema'
    return document


def changed(before: Settings, after: Settings, applied: str) -> set[str]:
    """Return the keys that differ and are applied in this way: `runtime`, `reload` or `restart`."""
    return {
        item.encode_name
        for item in msgspec.inspect.type_info(Settings).fields  # type: ignore[attr-defined]
        if getattr(before, item.name) != getattr(after, item.name) and _apply_mode(item) == applied
    }


def with_old(before: Settings, after: Settings, keys: Iterable[str]) -> Settings:
    """Return `after` with the values that these keys had `before`."""
    previous = {
        item.name: getattr(before, item.name)
        for item in msgspec.inspect.type_info(Settings).fields  # type: ignore[attr-defined]
        if item.encode_name in keys
    }
    return msgspec.structs.replace(after, **previous)


def _apply_mode(item: msgspec.inspect.Field) -> str:
    field_type = item.type
    extra = field_type.extra_json_schema if isinstance(field_type, msgspec.inspect.Metadata) else None
    return str((extra or {}).get('x-applied', 'restart'))


def _judge(settings: Settings) -> None:
    """Raise for what the types alone do not say."""
    _judge_ports(settings)
    _judge_node_ports(settings)
    _judge_slots(settings)
    _judge_durations(settings)
    if not settings.addresses:
        raise SettingsError('addresses: at least one is needed')
    if settings.secrets.min_rsa_bits > settings.secrets.max_rsa_bits:
        raise SettingsError('secrets.minRsaBits: must not be more than secrets.maxRsaBits')
    _judge_status_addresses(settings.status_addresses)
    _judge_repetitions('ingressClasses', settings.ingress_classes)
    _judge_repetitions('ingressAnnotations', settings.ingress_annotations)
    _judge_repetitions('externalAuthHosts', settings.external_auth_hosts)
    _judge_hosts(settings.host_policy)
    if settings.http3 and settings.accept_proxy:
        raise SettingsError('http3: over UDP no proxy can send a PROXY header, so acceptProxy excludes it')
    _judge_pages(settings.error_pages)
    _judge_log(settings)
    if settings.startup_taint.partition('/')[0].endswith(('kubernetes.io', 'k8s.io')):
        raise SettingsError(f'startupTaint: {settings.startup_taint!r} is a taint of Kubernetes itself')
    if settings.startup_taint and not settings.node_role:
        raise SettingsError('startupTaint: without nodeRole no agent would ever serve')
    _judge_addresses('trustedProxies', ipaddress.ip_network, settings.trusted_proxies)
    _judge_addresses('podNetworks', ipaddress.ip_network, settings.pod_networks)
    _judge_addresses('serviceNetworks', ipaddress.ip_network, settings.service_networks)
    _judge_addresses('addresses', ipaddress.ip_address, settings.addresses)
    _judge_addresses('healthAddresses', ipaddress.ip_address, settings.health_addresses)
    networks = (*settings.pod_networks, *settings.service_networks)
    own_addresses = filter(_is_address, settings.status_addresses)
    if wrong := address_pools.problem(settings.address_pools, networks, own_addresses):
        raise SettingsError(f'addressPools: {wrong}')


def _judge_addresses(key: str, parse: Callable[[str], object], texts: tuple[str, ...]) -> None:
    """Raise for what does not parse, names a zone, or stands there twice."""
    values: set[object] = set()
    for text in texts:
        try:
            value = parse(text)
        except ValueError as error:
            raise SettingsError(f'{key}: {error}') from error
        if '%' in text:
            raise SettingsError(f'{key}: {text!r} names a zone, which HAProxy does not take')
        if value in values:
            raise SettingsError(f'{key}: {text!r} stands there twice')
        values.add(value)


def _judge_repetitions(key: str, texts: tuple[str, ...]) -> None:
    for text in texts:
        if texts.count(text) > 1:
            raise SettingsError(f'{key}: {text!r} stands there twice')


def _judge_hosts(policy: dict[str, tuple[str, ...]]) -> None:
    for namespace, patterns in policy.items():
        for pattern in patterns:
            if pattern != '*' and not re.fullmatch(HOST[1:], pattern.removeprefix('*.'), re.IGNORECASE | re.ASCII):
                raise SettingsError(f'hostPolicy: {pattern!r} of {namespace} is no host, *.suffix or *')


def _judge_pages(pages: dict[str, str]) -> None:
    for status, text in pages.items():
        if status not in map(str, (*OWN_PAGES, *RULES_PAGES)):
            raise SettingsError(f'errorPages: {status!r} is no status that can have a page')
        if len(text.encode(errors='replace')) > _MOST_PAGE:
            raise SettingsError(f'errorPages: the page for {status} has more than {_MOST_PAGE} bytes')


def _judge_log(settings: Settings) -> None:
    host, colon, port = settings.access_log.rpartition(':')
    if colon:
        _judge_addresses('accessLog', ipaddress.ip_address, (host.strip('[]'),))
        if not 1 <= int(port) <= MAX_PORT:
            raise SettingsError(f'accessLog: {port} is no port')
    for key, text in (('accessLogHttp', settings.access_log_http), ('accessLogTcp', settings.access_log_tcp)):
        if not text or any(not character.isprintable() for character in text):
            raise SettingsError(f'{key}: must be one line of text')


def _judge_status_addresses(texts: tuple[str, ...]) -> None:
    for text in texts:
        # What ends in a number is no host name, but an address with a mistake.
        host = re.fullmatch(HOST, text) and not text.rpartition('.')[2].isdigit()
        valid = text == 'nodes' or host or re.fullmatch(rf'service:{REFERENCE[1:]}', text)
        if not valid and not _is_address(text):
            raise SettingsError(f'statusAddresses: {text!r} is no address, host name, service:NAMESPACE/NAME or nodes')


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    # A scope has a meaning on one machine only.
    return getattr(address, 'scope_id', None) is None


def _judge_slots(settings: Settings) -> None:
    """Raise where ports that are bound for Gateways are used twice."""
    first = settings.gateway_first_slot
    slots = range(first, first + len(SLOT_PROTOCOLS) * settings.gateway_slots)
    if slots and slots[-1] > MAX_PORT:
        raise SettingsError(f'gatewayFirstSlot, gatewaySlots: {slots[-1]} is no port')
    if any(port in slots for port in settings.reserved_ports()) or any(
        first < slots.stop and last >= slots.start for first, last in settings.ranges()
    ):
        raise SettingsError('gatewayFirstSlot, gatewaySlots: a port is one of tcpPorts, or of headrace itself, too')


def _judge_ports(settings: Settings) -> None:
    """Raise for ranges that are none, and for ports that are used twice."""
    for first, last in settings.ranges():
        if not 1 <= first <= last <= MAX_PORT:
            raise SettingsError(f'tcpPorts: {first}-{last} is no range of ports')
        for own in settings.reserved_ports():
            if first <= own <= last:
                raise SettingsError(f'tcpPorts: {first}-{last} holds {own}, which headrace itself listens on')
    for before, after in itertools.pairwise(settings.ranges()):
        if after[0] <= before[1]:
            raise SettingsError(f'tcpPorts: {after[0]} stands there twice')
    if len(settings.reserved_ports()) < 3:  # noqa: PLR2004
        raise SettingsError('httpPort, httpsPort and healthPort must differ')


def _judge_node_ports(settings: Settings) -> None:
    """Raise for ports of the node role that are none, or are used twice by the agents of a node."""
    instances = [
        (*settings.node_ports(slot), settings.node_health_port + INSTANCE_SLOT_STEP * slot)
        for slot in range(INSTANCE_SLOTS)
    ]
    if max(map(max, instances)) > MAX_PORT:
        raise SettingsError(
            f'nodeHttpPort, nodeTcpPort, nodeTlsPort, nodeHealthPort: {INSTANCE_SLOT_STEP * (INSTANCE_SLOTS - 1)} on is no port'
        )
    if len({port for slot in instances for port in slot}) < len(instances[0]) * INSTANCE_SLOTS:
        raise SettingsError(
            'nodeHttpPort, nodeTcpPort, nodeTlsPort, the port after each, and nodeHealthPort must differ, '
            f'and those {INSTANCE_SLOT_STEP} on, up to {INSTANCE_SLOTS - 1} times'
        )
    if any(settings.node_healthz_port in slot for slot in instances):
        raise SettingsError(
            'nodeHealthzPort must differ from nodeHttpPort, nodeTcpPort, nodeTlsPort, the port after each, and nodeHealthPort, '
            f'and those {INSTANCE_SLOT_STEP} on, up to {INSTANCE_SLOTS - 1} times'
        )


def _judge_durations(settings: Settings) -> None:
    """Raise for a duration that HAProxy's timers cannot hold, or that must not be nothing."""
    for item in msgspec.structs.fields(settings):
        if item.name not in _DURATIONS:
            continue
        value = getattr(settings, item.name)
        if milliseconds(value) > _MAX_MS:
            raise SettingsError(f'{item.encode_name}: {value} is longer than HAProxy can wait, 24 days')
        if item.name in _NEVER_NOTHING and not milliseconds(value):
            raise SettingsError(f'{item.encode_name}: must be more than nothing')
