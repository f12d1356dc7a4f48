"""From the model to files: the folder that HAProxy starts and reloads from.

Promises: the same objects give the same bytes, in whatever order they came. All references are relative to the folder
(`default-path parent`), so it can be moved. `haproxy -f FOLDER/haproxy` loads it.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from importlib import resources
from typing import NamedTuple

from headrace import names
from headrace.haproxy.encode import (
    access_log,
    certificate_lists,
    error_pages,
    external_hosts,
    map_entries,
    profiles,
    syntax,
    tls_listeners,
    userlists,
)
from headrace.haproxy.render.templating import Block, Overrides, Templates
from headrace.ir.backend import Shape
from headrace.ir.fragment import Content, Fragment, Kind
from headrace.ir.policy import Map
from headrace.ir.tls import Pem
from headrace.names import Ref
from headrace.resolve.claims import ClaimKey
from headrace.resolve.model_snapshot import ModelSnapshot, of_state, passing
from headrace.resolve.state import State
from headrace.translate import placeholder_certificates, refused_addresses, shapes
from headrace.translate.build_context import BuildContext, Role
from headrace.translate.class_fragment import DEFAULT_CERTIFICATE

Files = Mapping[str, bytes]
SHARDS = 1024
CONFIG = 'haproxy'
# Its entry `ready` is what the health port says; a folder that was rendered whole is ready.
HEALTH = syntax.map_file('health')
# It sorts before the frontends, whose crt-list names certificates of it.
MATERIALS = f'{CONFIG}/15-materials.cfg'
# Of a folder in which no TLS is passed through.
HTTPS = f'{CONFIG}/31-https.cfg'
CRT_LIST = certificate_lists.HOSTS
# Hashes that only HAProxy can judge.
USERS = f'{CONFIG}/25-users.cfg'
# Rules in Lua, in the order in which they are loaded: those that every installation has, and what chooses among the candidates of routes with conditions. HAProxy
# reads no file of the folder that is no `.cfg` by itself.
LUA = ('messages.lua', 'requests.lua', 'authentication.lua', 'errors.lua', 'mirrors.lua', 'passwords.lua')
CHOOSE = 'choose.lua'


class Table(NamedTuple):
    """A table of rates: the period in seconds, and for how long a client is remembered, the window."""

    name: str
    seconds: int
    window: int


TABLES = (Table('rate-1s', 1, 10), Table('rate-1m', 60, 120), Table('rate-1h', 3600, 7200))
# So often may a request pass through headrace.
MOST_HOPS = 10
# So many bytes may the answer of an authentication have; with its headers it must fit one buffer.
LONGEST_ANSWER = 14_000
# So many wrong passwords for hashes may a client send in a minute.
GUESSES = 30
# HAProxy itself ends connections of clients that have been idle for so long.
KEEP_ALIVE_SECONDS = 60
COMPRESSION = (
    'compression algo gzip',
    'compression type text/html text/plain text/css text/xml text/javascript application/javascript application/json application/xml image/svg+xml',
)
# A filter costs each request of the section that has it 2,000 instructions, so frontends have none for this.
BANDWIDTH = (
    'filter bwlim-out bandwidth default-limit 1g default-period 1s',
    f'http-response set-bandwidth-limit bandwidth limit var(txn.owner),map_str_int({syntax.map_file(Map.BANDWIDTH)}) if {{ var(txn.owner),map_str_int({syntax.map_file(Map.BANDWIDTH)}) gt 0 }}',
)
_HTTPS = 443
_NODE = ('node_http', 'node_http_near', 'node_tcp', 'node_tcp_near', 'node_tls', 'node_tls_near')
_EDGE_FRONTENDS = ('http', 'sni', 'tcp', 'internal', 'health')
_NODE_FRONTENDS = ('node-http', 'node-tcp', 'node-tls', 'internal', 'health')
# The claim that decides about the first line of the crt-list, and about `strict-sni`.
DEFAULT: ClaimKey = (Kind.CERTIFICATE, DEFAULT_CERTIFICATE)


def shard(service: Ref) -> int:
    """Return the number of the shard that holds a Service's backends: by its key, which no change of shape moves."""
    return int(names.digest(f'{service.namespace}/{service.name}', 8), 16) % SHARDS


def shard_file(number: int) -> str:
    """Return the name of a shard's file; it sorts after all other sections."""
    return f'{CONFIG}/backends-{number:04d}.cfg'


class Renderer:
    """Renders for one view and one administrator's overrides; `quic` says whether HAProxy was built with all of QUIC.

    At the edge, the rules of routes with conditions and split backends are there from the start, so that the first one needs
    no reload.
    """

    def __init__(self, context: BuildContext, overrides: Overrides | None = None, *, quic: bool = True) -> None:
        self.context, self.quic = context, quic
        self.conditions = context.role is Role.EDGE
        self.overrides = overrides or Overrides()
        self._templates = Templates(self.overrides)

    def with_view(self, context: BuildContext) -> 'Renderer':
        """Return a renderer for another view, with the same overrides."""
        return Renderer(context, self.overrides, quic=self.quic)

    def render(self, state: State) -> dict[str, bytes]:
        """Return all files of a state; raises TemplateError when an administrator's template cannot be used."""
        return self.snapshot(of_state(state))

    def snapshot(self, snapshot: ModelSnapshot) -> dict[str, bytes]:
        """Return all files of a snapshot; raises TemplateError when an administrator's template cannot be used."""
        fragments = [snapshot.fragments[ref] for ref in sorted(snapshot.fragments)]
        files = self.sections(fragments)
        by_shard: dict[int, list[Fragment]] = {}
        for fragment in fragments:
            if fragment.backends:
                by_shard.setdefault(shard(fragment.ref), []).append(fragment)
        for number, members in sorted(by_shard.items()):
            files[shard_file(number)] = self.backends(members)
        if (direct := self.https(snapshot)) is not None:
            files[HTTPS] = direct
        return files | self.data(snapshot)

    def https(self, snapshot: ModelSnapshot) -> bytes | None:
        """Return the frontend that ends TLS itself; None where TLS is passed through, so that SNI is looked at first."""
        if self.context.role is Role.NODE or passing(snapshot):
            return None
        return self._templates.render('frontend-https.cfg.j2', self._values([*snapshot.fragments.values()])).encode()

    def sections(self, fragments: list[Fragment]) -> dict[str, bytes]:
        """Return the sections that are no backends: global, defaults, profiles and frontends."""
        values = self._values(fragments)
        frontends = [f'frontend-{name}.cfg.j2' for name in _EDGE_FRONTENDS]
        if self.context.role is Role.NODE:
            frontends = [f'frontend-{name}.cfg.j2' for name in _NODE_FRONTENDS]
        elif not self.context.settings.ranges():
            del frontends[2]
        if self.context.slots:
            frontends += [f'frontend-gateway{name}.cfg.j2' for name in ('', '-https', '-tls', '-tcp')]
        if self.conditions:
            frontends.append('backend-unresolved.cfg.j2')
        shapes_by_profile = profiles.in_use(
            fragments, *shapes.usual_cookies(self.context.settings), external=self.context.settings.allow_external_name
        )
        texts = {
            f'{CONFIG}/00-global.cfg': self._templates.render('global.cfg.j2', values),
            f'{CONFIG}/10-defaults.cfg': self._templates.render('defaults.cfg.j2', values),
            f'{CONFIG}/20-profiles.cfg': self._profiles(shapes_by_profile, values),
            USERS: userlists.section(userlists.needed(fragments)),
            f'{CONFIG}/30-frontends.cfg': '\n'.join(self._templates.render(name, values) for name in frontends),
        }
        unread = [name for name in Map if not any(syntax.map_file(name) in text for text in texts.values())]
        if unread:
            maps = self._templates.render('maps.cfg.j2', {**values, 'unread': unread})
            texts[f'{CONFIG}/30-frontends.cfg'] += f'\n{maps}'
        source = resources.files('headrace.haproxy').joinpath('lua')
        texts |= {f'{CONFIG}/{name}': source.joinpath(name).read_text() for name in self._lua()}
        return {name: text.encode() for name, text in texts.items()} | error_pages.files(self.context.settings)

    def _lua(self) -> tuple[str, ...]:
        return (*LUA, CHOOSE) if self.conditions else LUA

    def _profiles(self, shapes_by_profile: Mapping[str, Shape], values: dict[str, object]) -> str:
        snippets = dict(self.overrides.snippets)
        return ''.join(
            self._templates.render(
                'profile.cfg.j2', {**values, 'profile': profiles.section(name, shapes_by_profile[name], snippets)}
            )
            for name in sorted(shapes_by_profile)
        )

    def _values(self, fragments: list[Fragment]) -> dict[str, object]:
        settings, default = self.context.settings, any(map(has_default_certificate, fragments))
        strict = '' if default else ' strict-sni'
        return {
            'settings': settings,
            'overrides': self.overrides,
            'role': str(self.context.role),
            'tables': TABLES,
            'map': syntax.map_file,
            'health': HEALTH,
            'binds': self._binds(),
            'slots': self._slots('HTTP'),
            'tls_slots': self._slots('HTTPS'),
            'sni_slots': self._slots('TLS'),
            'tcp_slots': self._slots('TCP'),
            'placeholder': certificate_lists.PLACEHOLDER_SERIAL,
            'http3': settings.http3 and self.quic,
            'quic': f' ssl crt-list {CRT_LIST} alpn h3{strict}',
            'hop': 'unix@"${HEADRACE_SOCKETS-/run/headrace}/https.sock"',
            'sockets': 'unix@"${HEADRACE_SOCKETS-/run/headrace}/',
            'listeners': self._listeners(fragments),
            'tls_hop': 'unix@"${HEADRACE_SOCKETS-/run/headrace}/tcp-tls.sock"',
            'crt_list': CRT_LIST,
            'strict': strict,
            'tls': f' ssl crt-list {CRT_LIST} alpn h2,http/1.1{strict}',
            'synthetic_addresses': names.SYNTHETIC_ADDRESSES,
            'trusted': ' '.join(settings.trusted_proxies) if self.context.role is Role.EDGE else '',
            'https_suffix': '' if settings.https_public_port == _HTTPS else f':{settings.https_public_port}',
            'default_certificate': default,
            'about_listener': self._about_listener(),
            'pages': error_pages.lines(settings),
            'answer': partial(error_pages.answer, settings),
            'log': access_log.target(settings),
            'log_http': access_log.of_http(settings),
            'log_tcp': access_log.of_tcp(settings),
            'log_agent': settings.access_log_http == access_log.JSON,
            'guesses': GUESSES,
            'foreign_networks': ' '.join(refused_addresses.NETWORKS) if self.context.api_server else '',
            'own_networks': ' '.join((*refused_addresses.LOOPBACK, *_own_ipv4(self.context))),
            'external_hosts': external_hosts.of_class(self.context),
            'hops': names.HOPS,
            'unresolved': names.UNRESOLVED,
            'port': '',
            'most_hops': MOST_HOPS,
            'keep_alive': KEEP_ALIVE_SECONDS,
            'hashes': bool(userlists.needed(fragments)),
            'conditions': self.conditions,
            'real_ip': self.context.role is Role.EDGE and 'ingress-nginx' in settings.ingress_annotations,
            'longest_answer': LONGEST_ANSWER,
            'lua': [f'{CONFIG}/{name}' for name in self._lua()],
        }

    def _listeners(self, fragments: Iterable[Fragment]) -> dict[str, list[dict[str, str]]]:
        """Return the listeners of ports that end TLS, by mode, each with its list of certificates."""
        if self.context.role is not Role.NODE:
            return {}
        layout = tls_listeners.of_fragments(fragments)
        return {
            mode: [{'name': name, 'crt_list': tls_listeners.crt_list(name)} for name in layout.every(mode)]
            for mode in certificate_lists.MODES
        }

    def _slots(self, protocol: str) -> list[dict[str, object]]:
        """Return the ports that are bound for Gateways' listeners of a protocol."""
        return [
            {
                'name': slot,
                'binds': _bind(self.context.settings.addresses, [str(slot)]),
                'crt_list': certificate_lists.of_slot(slot),
            }
            for slot in self.context.slots.get(protocol, ())
        ]

    def slot_lists(self, pointers: Mapping[ClaimKey, Content]) -> dict[str, bytes]:
        """Return the crt-lists of slots, and the certificate that they begin with; nothing where there are no slots."""
        slots = self.context.tls_slots
        if not slots:
            return {}
        lines = certificate_lists.placed(pointers, Kind.GATEWAY_TLS)
        files = {file: certificate_lists.text(lines.get(file, ())) for file in map(certificate_lists.of_slot, slots)}
        return {certificate_lists.PLACEHOLDER: placeholder_certificates.placeholder(), **files}

    def _about_listener(self) -> dict[str, str]:
        """Return the headers that tell a listener, as Base64; none where a trusted proxy may say more."""
        settings = self.context.settings
        if self.context.role is Role.NODE or settings.trusted_proxies:
            return {}
        return {
            proto: syntax.header_block((('X-Forwarded-Proto', proto), ('X-Forwarded-Port', str(port))))
            for proto, port in (('http', settings.http_port), ('https', settings.https_port))
        }

    def _binds(self) -> dict[str, list[str]]:
        settings = self.context.settings
        ranges = [f'{first}-{last}' if first != last else str(first) for first, last in settings.ranges()]
        return {
            'http': _bind(settings.addresses, [str(settings.http_port)]),
            'https': _bind(settings.addresses, [str(settings.https_port)]),
            'quic': self._quic(),
            'health': self._health_binds(),
            'tcp': _bind(settings.addresses, ranges),
            **{
                name: _bind(settings.addresses, [str(port)])
                for name, port in zip(_NODE, self.context.node_ports, strict=True)
            },
        }

    def _quic(self) -> list[str]:
        settings = self.context.settings
        if not settings.http3 or not self.quic:
            return []
        binds = _bind(settings.addresses, [str(settings.https_port)])
        return [f'quic6@{bind}' if bind.startswith('[') else f'quic4@{bind}' for bind in binds]

    def _health_binds(self) -> list[str]:
        settings = self.context.settings
        if self.context.role is Role.NODE:
            # In the host's network all hosts that reach the node would reach it.
            return _bind(('127.0.0.1',), [str(self.context.node_health_port)])
        return _bind(settings.health_addresses or settings.addresses, [str(settings.health_port)])

    def backends(self, fragments: Iterable[Fragment]) -> bytes:
        """Return the backends of some fragments, one shard's file."""
        sections = [
            {
                'name': backend.name,
                'profile': shape.rendered.profile,
                'lines': (*(COMPRESSION if shape.compression else ()), *(BANDWIDTH if shape.limited else ())),
                'servers': Block(''.join(f'  server {line}\n' for line in syntax.server_lines(backend))),
            }
            for fragment in fragments
            for backend in fragment.backends
            for shape in (backend.shape,)
        ]
        return self._templates.render('backends.cfg.j2', {'backends': sections}).encode()

    def materials(self, pointers: Mapping[ClaimKey, Content]) -> bytes | None:
        """Return the sections that name each certificate and authority, so that all are loaded; None for no file."""
        files = {
            kind: sorted(pem_file(kind, key) for claim_kind, key in pointers if claim_kind is kind)
            for kind in (Kind.CERTIFICATE, Kind.AUTHORITY)
        }
        if not any(files.values()):
            return None
        values = {'certificates': files[Kind.CERTIFICATE], 'authorities': files[Kind.AUTHORITY]}
        return self._templates.render('materials.cfg.j2', values).encode()

    def data(self, snapshot: ModelSnapshot) -> dict[str, bytes]:
        """Return maps, certificates, authorities, and what names these."""
        files = {
            pem_file(kind, key): content.data
            for (kind, key), content in snapshot.pointers.items()
            if isinstance(content, Pem)
        }
        if self.context.role is Role.NODE:
            files |= certificate_lists.files(tls_listeners.of_pointers(snapshot.pointers))
        files[CRT_LIST] = crt_list(snapshot.pointers)
        files |= self.slot_lists(snapshot.pointers)
        if (materials := self.materials(snapshot.pointers)) is not None:
            files[MATERIALS] = materials
        files[HEALTH] = b'ready yes\n'
        for name, entries in map_entries.of_snapshot(snapshot).items():
            files[syntax.map_file(name)] = map_text(entries)
        return files


def has_default_certificate(fragment: Fragment) -> bool:
    """Tell whether a fragment is that of a class whose default certificate is there."""
    return fragment.ref.kind == 'Class' and bool(fragment.claims)


def pem_file(kind: Kind, key: str) -> str:
    """Return the file of a certificate's or an authority's claim."""
    return syntax.certificate_file(key) if kind is Kind.CERTIFICATE else syntax.authority_file(key)


def crt_list(pointers: Mapping[ClaimKey, Content]) -> bytes:
    """Return the text of the crt-list: the default certificate first, where there is one."""
    lines = certificate_lists.placed(pointers, Kind.TLS).get(CRT_LIST, [])
    if DEFAULT in pointers:
        lines.insert(0, f'{syntax.certificate_file(DEFAULT_CERTIFICATE)} *')
    return ''.join(f'{line}\n' for line in lines).encode()


def crt_lists(pointers: Mapping[ClaimKey, Content]) -> dict[str, bytes]:
    """Return the texts of all crt-lists by file."""
    slots = certificate_lists.placed(pointers, Kind.GATEWAY_TLS)
    return {
        CRT_LIST: crt_list(pointers),
        **{file: certificate_lists.text(lines) for file, lines in slots.items()},
        **certificate_lists.files(tls_listeners.of_pointers(pointers)),
    }


def map_text(entries: Mapping[str, str]) -> bytes:
    """Return the text of a map's file: one entry a line, sorted by key."""
    return ''.join(f'{key} {syntax.checked(entries[key])}\n' for key in sorted(entries)).encode()


def _own_ipv4(context: BuildContext) -> list[str]:
    """Return the own IPv4 addresses other than loopback's; names are resolved to IPv4 alone."""
    return sorted(text for text in context.own_addresses if ':' not in text and not text.startswith('127.'))


def _bind(addresses: tuple[str, ...], ports: list[str]) -> list[str]:
    """Return the words of binds: each address has its own, and IPv6 ones take no IPv4 clients."""
    return [
        f'[{address}]:{port} v6only' if ':' in address else f'{address}:{port}'
        for port in ports
        for address in addresses
    ]
