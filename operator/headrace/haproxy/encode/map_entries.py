"""From fragments to the entries of maps; what is typed in the model (headers, timeouts) is written here."""

from collections.abc import Iterator

from headrace import names
from headrace.haproxy.encode import routes, syntax, tls_listeners, userlists
from headrace.ir.fragment import Content, Fragment, Kind
from headrace.ir.pointers import GatewayPort, NoRoute, Pointer, Reserved, Unread
from headrace.ir.policy import Entry, HeaderEdits, Map, Timeouts
from headrace.ir.routing import Candidates, Split
from headrace.ir.tls import HostTls
from headrace.resolve.model_snapshot import ModelSnapshot

# Under which map a claim's content stands; certificates and authorities are files, not entries.
CLAIMED = {
    Kind.ROUTE: Map.ROUTES,
    Kind.PORT: Map.PORTS,
    Kind.ADDRESS: Map.ADDRESSES,
    Kind.GATEWAY_PORT: Map.GATEWAY_PORTS,
    Kind.GATEWAY_TLS: Map.GATEWAY_HOSTS,
    Kind.L4_ROUTE: Map.L4_ROUTES,
}
# The maps besides in which a claim may have an entry.
_FURTHER = {Kind.TLS: (Map.PASSTHROUGH, Map.CLIENT_CA), Kind.GATEWAY_PORT: (Map.GATEWAY_CLIENTS,)}

# What stands for a host of a listener that ends TLS; `_` where it has no certificate.
_LISTENER = 'tls'
# Which clients a port of Gateways lets in.
_VALID = 'valid'


def claimed(kind: Kind, key: str) -> Map:
    """Return the map under which a claimed key's content stands.

    Routes of Gateways' listeners, `PORT:HOST/PATH`, have a map of their own: the class's own ports look a request up by its Host
    header as it comes, which could begin with a port.
    """
    if kind is Kind.ROUTE and ':' in key.partition('/')[0]:
        return Map.GATEWAY_ROUTES
    return CLAIMED[kind]


def of_fragment(fragment: Fragment | None) -> frozenset[Entry]:
    """Return the entries that belong to a fragment alone."""
    if fragment is None:
        return frozenset()
    if not fragment.headers and not fragment.timeouts and not fragment.userlists and not fragment.leads:
        return frozenset(fragment.data)
    entries = list(fragment.data)
    for edits in fragment.headers:
        entries += _headers(edits)
    entries += [_timeouts(timeouts) for timeouts in fragment.timeouts]
    for userlist in fragment.userlists:
        entries += userlists.entries(userlist)
    for lead in fragment.leads:
        entries += routes.lead(lead)
    return frozenset(entries)


def of_snapshot(snapshot: ModelSnapshot) -> dict[Map, dict[str, str]]:
    """Return all entries of all maps that a snapshot stands for, by map and key."""
    entries_by_map: dict[Map, dict[str, str]] = {name: {} for name in Map}
    for fragment in snapshot.fragments.values():
        for entry in of_fragment(fragment):
            entries_by_map[entry.map][entry.key] = entry.value
    for (kind, key), content in snapshot.pointers.items():
        for entry in of_pointer(kind, key, content):
            entries_by_map[entry.map][entry.key] = entry.value
    for entry in tls_listeners.of_pointers(snapshot.pointers).entries():
        entries_by_map[entry.map][entry.key] = entry.value
    return entries_by_map


def _headers(edits: HeaderEdits) -> Iterator[Entry]:
    for set_map, del_map, headers in (
        (Map.REQUEST_HEADERS, Map.REQUEST_HEADERS_GONE, edits.request),
        (Map.RESPONSE_HEADERS, Map.RESPONSE_HEADERS_GONE, edits.response),
    ):
        if values := tuple(item for item in headers if item[1]):
            yield Entry(set_map, edits.policy, syntax.header_block(values))
        if empty := tuple(item for item in headers if not item[1]):
            yield Entry(del_map, edits.policy, syntax.header_names(empty))
    for add_map, headers in (
        (Map.REQUEST_HEADERS_ADDED, edits.request_added),
        (Map.RESPONSE_HEADERS_ADDED, edits.response_added),
    ):
        if headers:
            yield Entry(add_map, edits.policy, syntax.header_block(headers))


def _timeouts(timeouts: Timeouts) -> Entry:
    """Return the entry `server:tunnel:connect:queue` (ms, empty where the profile's holds)."""
    values = (timeouts.server, timeouts.tunnel, timeouts.connect, timeouts.queue)
    return Entry(Map.TIMEOUTS, timeouts.policy, ':'.join(str(value or '') for value in values))


def of_pointer(kind: Kind, key: str, content: Content | None) -> list[Entry]:
    """Return the entries that a claimed key's content makes; a listener's depend on all of them, and are made by `listeners`."""
    if kind is Kind.LISTENER:
        return []
    if isinstance(content, Pointer | Split | NoRoute | Candidates):
        return [Entry(claimed(kind, key), key, routes.value(key, content))]
    if isinstance(content, GatewayPort):
        clients = [Entry(Map.GATEWAY_CLIENTS, key, _VALID)] if content.validates else []
        return [Entry(CLAIMED[kind], key, str(content.number)), *clients]
    if isinstance(content, Unread):
        return [Entry(claimed(kind, key), key, content.text)]
    if isinstance(content, Reserved):
        return [Entry(Map.CLIENT_CA if kind is Kind.TLS else claimed(kind, key), key, f'{content.namespace}_')]
    if kind is Kind.GATEWAY_TLS and isinstance(content, HostTls):
        return [Entry(CLAIMED[kind], key, _LISTENER if content.certificates else routes.NO_ROUTE)]
    if isinstance(content, HostTls) and content.certificates:
        # Where clients show no certificate, the namespace of the host's own one stands there.
        return [Entry(Map.CLIENT_CA, key, content.client_ca or f'{names.namespace_of_file(content.certificates[0])}_')]
    if isinstance(content, HostTls) and content.passthrough:
        return [Entry(Map.PASSTHROUGH, key, syntax.pointer(content.passthrough))]
    return []


def places(kind: Kind, key: str) -> set[tuple[Map, str]]:
    """Return the maps, and the keys in them, in which a claimed key's content may have entries, whatever it is."""
    if kind is Kind.LISTENER:
        return {(Map.LISTENERS, tls_listeners.policy(key))}
    maps = _FURTHER.get(kind, ())
    return {(name, key) for name in ((claimed(kind, key), *maps) if kind in CLAIMED else maps)}


def read_pointer(kind: Kind, text: str) -> Content:
    """Return the content of a claimed key whose entry has this value, as far as the value says it."""
    try:
        if kind is Kind.GATEWAY_PORT:
            return GatewayPort(int(text))
        if text.endswith('_') and text != routes.NO_ROUTE:
            return Reserved(text.removesuffix('_'))
        content = routes.read_value(text)
    except ValueError:
        return Unread(text)
    return HostTls(passthrough=content) if kind is Kind.TLS and isinstance(content, Pointer) else content


def certificate_lines(host: str, content: Content | None) -> tuple[str, ...]:
    """Return the lines of the crt-list that a host's TLS makes.

    Hosts that a wildcard leaves out are named in its own lines: HAProxy takes the certificate of a wildcard for a host that has
    a line of its own, too, where the wildcard's key is of the kind that it prefers.
    """
    if not isinstance(content, HostTls):
        return ()
    options = ''
    if content.client_ca:
        options = f' [ca-file {syntax.authority_file(content.client_ca)} verify {content.verify}]'
    hosts = ' '.join((host, *(f'!{exclusion}' for exclusion in content.excluded)))
    return tuple(f'{syntax.certificate_file(name)}{options} {hosts}' for name in content.certificates)
