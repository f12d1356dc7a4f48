"""The HTTPRoutes of one Ingress: hosts, paths, canaries, redirects, and where they attach.

Pure. What routes of several Ingresses share is in `Cluster`: it is filled while they are put together.
"""

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace import names
from headrace.annotations import authentication
from headrace.annotations.authentication import OWN_HOST, Url
from headrace.annotations.foreign.translation import CanaryRole
from headrace.annotations.keys import BY_NAME, Scope
from headrace.annotations.parse import PREFIX
from headrace.migration.report import IngressReport
from headrace.migration.route_paths import UntranslatableError, of_path
from headrace.names import Ref
from headrace.objects.ingress import Ingress, IngressBackend, IngressPath, PathType
from headrace.objects.references import GATEWAY_GROUP

Document = dict[str, Any]
# The API takes no more listeners of a set.
MOST_LISTENERS = 64
_API = f'{GATEWAY_GROUP}/v1'
_WWW = 'www.'
# The API takes no more hosts of a route, matches of a rule, and rules and matches of a route.
_MOST_HOSTS, _MOST_MATCHES_OF_RULE, _MOST_RULES, _MOST_MATCHES = 16, 64, 16, 127
_LONGEST_NAME = 253
# Keys that become the API's own.
_STRUCTURAL = frozenset(('tls-redirect', 'rewrite-path', 'redirect-root', 'www-redirect', 'path-type'))
PathKey = tuple[str, str, str, PathType]


@dataclass(slots=True)
class Cluster:
    """What routes of several Ingresses share."""

    gateway: Ref
    ports: Mapping[Ref, Mapping[str, int]]
    # Hosts of all Ingresses, translated or not.
    hosts: frozenset[str]
    # Hosts, with the class, of which an Ingress makes all paths expressions, and those of which paths are rewritten by groups.
    expression_hosts: frozenset[tuple[str, str]]
    prefix_hosts: frozenset[tuple[str, str]]
    canaries: Mapping[PathKey, tuple[CanaryRole, IngressBackend]]
    # By host and namespace: the Secrets that any Ingress names for it.
    certificates: Mapping[str, Mapping[str, tuple[str, ...]]]
    # By namespace: the Secrets of each host that has a listener for TLS.
    listeners: dict[str, dict[str, dict[str, None]]] = field(default_factory=dict)
    # By host, type and value of a match: the path that it was, and the Ingress.
    matches: dict[tuple[str, str, str], tuple[str, Ref]] = field(default_factory=dict)
    # Namespaces and names of routes.
    routes: set[tuple[str, str]] = field(default_factory=set)


def tls_hosts(report: IngressReport) -> Iterator[tuple[str, str]]:
    """Yield the hosts that an Ingress wants TLS for, each with a Secret; '' where it names none."""
    ingress = report.ingress
    first = ingress.rules[0].host if ingress.rules else ''
    for entry in ingress.tls:
        hosts = entry.hosts or tuple(dict.fromkeys(rule.host for rule in ingress.rules))
        for host in (*hosts, *(report.foreign.structure.aliases if first in hosts else ())):
            yield host, entry.secret


def hosts_of(report: IngressReport) -> frozenset[str]:
    """Return the hosts that an Ingress serves; '' for all hosts."""
    rules = {rule.host for rule in report.ingress.rules} | (
        {''} if report.ingress.default_backend is not None else set()
    )
    return frozenset(rules | set(report.foreign.structure.aliases))


def texts_of(report: IngressReport) -> dict[str, str]:
    """Return the annotations of an Ingress by headrace's keys: its own count before those that foreign ones stand for."""
    own = {key.removeprefix(PREFIX): text for key, text in report.ingress.annotations if key.startswith(PREFIX)}
    return {**dict(report.foreign.texts), **own}


def path_key(ingress: Ingress, host: str, path: IngressPath) -> PathKey:
    """Return the key of a path of a host: paths with one key are the same path."""
    return ingress.namespace, host, path.path, path.type


def document(kind: str, namespace: str, name: str, spec: Document, annotations: Mapping[str, str] = {}) -> Document:
    """Return a resource of the Gateway API."""
    metadata = {'namespace': namespace, 'name': name, **({'annotations': dict(annotations)} if annotations else {})}
    return {'apiVersion': _API, 'kind': kind, 'metadata': metadata, 'spec': spec}


def set_of(position: int) -> str:
    """Return the name of the ListenerSet with the listener at a position."""
    return 'ingress' if position < MOST_LISTENERS else f'ingress-{position // MOST_LISTENERS + 1}'


def section(host: str) -> str:
    """Return the name of the listener of a host."""
    name = f'wildcard-{host[2:]}' if host.startswith('*.') else f'https-{host}' if host else 'https'
    return name if len(name) <= _LONGEST_NAME else f'https-{names.digest(host)}'


class Routes:
    """The HTTPRoutes of one Ingress while they are put together."""

    def __init__(self, report: IngressReport, cluster: Cluster) -> None:
        self.ingress, self.structure, self.cluster = report.ingress, report.foreign.structure, cluster
        self.report = report
        self.texts = texts_of(report)
        self.remarks: dict[str, None] = {}

    def documents(self) -> list[Document]:
        """Return the routes, none for a canary; raises UntranslatableError."""
        if self.structure.canary is not None:
            return []
        if self.structure.passthrough:
            raise UntranslatableError('connections are passed through, which needs a TLSRoute')
        if self.ingress.problems:
            raise UntranslatableError(self.ingress.problems[0].message)
        own_tls = dict(tls_hosts(self.report))
        for host, secret in own_tls.items():
            if not secret:
                raise UntranslatableError(
                    f'spec.tls names no Secret for {host or "its hosts"}, and a listener needs one'
                )
        annotations = self._annotations()
        routes: list[Document] = []
        for hosts, paths in self._hosts():
            for served_hosts, rules in self._alike(hosts, paths):
                if root := self.texts.get('redirect-root'):
                    rules.insert(0, _redirect_root(root))
                for part in _parts(served_hosts, _MOST_HOSTS):
                    routes += self._served(part, _merged(rules), own_tls, annotations)
            routes += self._www(hosts[0])
        return routes

    def _alike(
        self, hosts: tuple[str, ...], paths: tuple[IngressPath, ...]
    ) -> Iterator[tuple[list[str], list[Document]]]:
        """Yield hosts that have the same rules, and these; a host without any is left out."""
        found = [(host, [rule for path in paths for rule in self._rules(hosts[0], host, path)]) for host in hosts]
        for rules, group in itertools.groupby(found, key=lambda item: item[1]):
            if rules:
                yield [host for host, _ in group], rules

    def _hosts(self) -> Iterator[tuple[tuple[str, ...], tuple[IngressPath, ...]]]:
        """Yield hosts with their paths; '' for all hosts. Aliases are further names of the first rule's host."""
        by_host: dict[str, list[IngressPath]] = {}
        default = self.ingress.default_backend
        root = (IngressPath(default.service, default.port, default.resource),) if default is not None else ()
        for rule in self.ingress.rules:
            by_host.setdefault(rule.host, []).extend(rule.paths or root)
        if root:
            by_host.setdefault('', []).extend(root)
        for number, (host, paths) in enumerate(by_host.items()):
            aliases = self.structure.aliases if not number and host else ()
            yield (host, *aliases), tuple(dict.fromkeys(paths))

    def _annotations(self) -> dict[str, str]:
        """Return headrace's annotations of the routes."""
        if 'client-ca-secret' in self.texts:
            raise UntranslatableError(
                "certificates of clients are demanded by a Gateway's spec.tls.frontend, for a whole port"
            )
        asked = authentication.url(self.texts.get('external-auth-url', ''))
        if isinstance(asked, Url) and asked.host == OWN_HOST:
            raise UntranslatableError('external authentication by the host of the request has no counterpart')
        kept = {
            key: text
            for key, text in self.texts.items()
            if key in BY_NAME and BY_NAME[key].scope in (Scope.ROUTE, Scope.BACKEND) and key not in _STRUCTURAL
        }
        if self.report.foreign.closed:
            kept['maintenance'] = 'true'
        return {PREFIX + key: text for key, text in sorted(kept.items())}

    def _rules(self, named: str, host: str, path: IngressPath) -> Iterator[Document]:
        """Yield the rules of a path: those of a canary's header come first. `named` is the host that `host` is an alias of."""
        key = self.report.class_name, named
        ours = key in self.cluster.expression_hosts
        declared = self.texts.get('path-type') == 'RegularExpression' or self.structure.path_type == 'regex'
        expression = ours or (declared and path.type is PathType.IMPLEMENTATION_SPECIFIC)
        rewrite, prefixes = self.texts.get('rewrite-path', ''), key in self.cluster.prefix_hosts
        found = of_path(path, rewrite, expression=expression, prefixes=prefixes)
        if found.remark:
            self.remarks[found.remark] = None
        if not self._take(host, path, found.match):
            return
        filters = [{'type': 'URLRewrite', 'urlRewrite': {'path': found.modifier}}] if found.modifier else []
        for headers, backends in self._backends(named, path):
            match = {'path': found.match, **({'headers': headers} if headers else {})}
            yield {'matches': [match], **({'filters': filters} if filters else {}), 'backendRefs': backends}

    def _take(self, host: str, path: IngressPath, match: Document) -> bool:
        """Note what a path has become; return whether it is that of no older Ingress.

        Two paths that were apart may be one then, which raises UntranslatableError.
        """
        key = host, match['type'], match['value'].rstrip('/')
        first, owner = self.cluster.matches.setdefault(key, (path.path, self.ingress.ref))
        if first.rstrip('/') != path.path.rstrip('/'):
            raise UntranslatableError(f'the paths {first} and {path.path} of {host or "all hosts"} would be one')
        if owner != self.ingress.ref:
            self.remarks[f'{path.path} of {host or "all hosts"} is a path of {owner}, which is older'] = None
        return owner == self.ingress.ref

    def _backends(self, host: str, path: IngressPath) -> Iterator[tuple[list[Document], list[Document]]]:
        """Yield headers that a request must have, and the backends that it can go to then."""
        main = self._reference(path)
        role, backend = self.cluster.canaries.get(path_key(self.ingress, host, path), (None, None))
        if role is None or backend is None:
            yield [], [main]
            return
        canary = self._reference(backend)
        if role.header and role.pattern:
            yield [_header(role.header, f'.*(?:{role.pattern}).*', 'RegularExpression')], [canary]
        elif role.header:
            yield [_header(role.header, role.value or 'always')], [canary]
        if role.header and not role.value and not role.pattern:
            yield [_header(role.header, 'never')], [main]
        if role.cookie:
            yield [_cookie(role.cookie, 'always')], [canary]
            yield [_cookie(role.cookie, 'never')], [main]
        shares = [{**main, 'weight': role.total - role.weight}, {**canary, 'weight': role.weight}]
        yield [], shares if role.weight else [main]

    def _reference(self, backend: IngressBackend) -> Document:
        """Return the reference to a backend, whose port may be a name; raises UntranslatableError."""
        if backend.resource or not backend.service:
            raise UntranslatableError('a backend that is no Service has no counterpart')
        if backend.port.isdecimal():
            return {'name': backend.service, 'port': int(backend.port)}
        ref = Ref('Service', self.ingress.namespace, backend.service)
        number = self.cluster.ports.get(ref, {}).get(backend.port)
        if number is None:
            raise UntranslatableError(
                f'{ref} with the port {backend.port} is not in the input, and a route needs its number'
            )
        return {'name': backend.service, 'port': number}

    def _served(
        self, hosts: list[str], rules: list[Document], own_tls: Collection[str], annotations: Mapping[str, str]
    ) -> Iterator[Document]:
        """Yield the routes of some hosts, and the redirect to HTTPS of those that are served there alone."""
        redirect = self.texts.get('tls-redirect')
        asked = self.structure.https or redirect == 'true'
        groups: dict[tuple[bool, bool], list[str]] = {}
        for host in hosts:
            has_tls = self._listener_of(host) is not None
            if self.structure.https and not has_tls:
                raise UntranslatableError(
                    f'requests are sent to HTTPS, and no certificate is named for {host or "all hosts"}'
                )
            usual = any(each in own_tls for each in _covering(host))
            redirects = has_tls and redirect != 'false' and (asked or usual)
            groups.setdefault((has_tls, redirects), []).append(host)
        for (has_tls, redirects), group in groups.items():
            parents = [*(self._secure(group) if has_tls else ()), *(() if redirects else [self._plain()])]
            for part in _routes_of(rules):
                yield self._route(parents, group, part, annotations)
            if redirects:
                filters = [{'type': 'RequestRedirect', 'requestRedirect': {'scheme': 'https', 'statusCode': 308}}]
                yield self._route([self._plain()], group, [{'filters': filters}], {}, 'redirect')

    def _www(self, host: str) -> Iterator[Document]:
        """Yield the redirect of the host that differs by `www.`."""
        other = host.removeprefix(_WWW) if host.startswith(_WWW) else _WWW + host
        if self.texts.get('www-redirect') != 'true' or other in self.cluster.hosts or '*' in host or not host:
            return
        scheme = {'scheme': 'https'} if self._listener_of(host) is not None else {}
        redirect = {**scheme, 'hostname': host, 'statusCode': 308}
        parents = [self._plain(), *(self._secure([other]) if self._listener_of(other) is not None else ())]
        rule = {'filters': [{'type': 'RequestRedirect', 'requestRedirect': redirect}]}
        yield self._route(parents, [other], [rule], {}, 'www')

    def _route(
        self,
        parents: list[Document],
        hosts: list[str],
        rules: list[Document],
        annotations: Mapping[str, str],
        suffix: str = '',
    ) -> Document:
        namespace = self.ingress.namespace
        stem = f'{self.ingress.name}-{suffix}' if suffix else self.ingress.name
        numbered = (stem if number == 1 else f'{stem}-{number}' for number in itertools.count(1))
        short = (name if len(name) <= _LONGEST_NAME else names.digest(name) for name in numbered)
        name = next(name for name in short if (namespace, name) not in self.cluster.routes)
        self.cluster.routes.add((namespace, name))
        hostnames = {'hostnames': hosts} if hosts != [''] else {}
        spec = {'parentRefs': parents, **hostnames, 'rules': rules}
        return document('HTTPRoute', namespace, name, spec, annotations)

    def _plain(self) -> Document:
        gateway = self.cluster.gateway
        return {'namespace': gateway.namespace, 'name': gateway.name, 'sectionName': 'http'}

    def _listener_of(self, host: str) -> str | None:
        """Return the host of the listener that serves a host by TLS, whichever Ingress names its certificate; None for none.

        A listener of another namespace serves no route of this one, which raises UntranslatableError.
        """
        named = next((each for each in _covering(host) if each in self.cluster.certificates), None)
        if named is not None and self.cluster.certificates[named].keys() != {self.ingress.namespace}:
            raise UntranslatableError(f'the certificate of {host} is named by an Ingress of another namespace')
        return named

    def _secure(self, hosts: Iterable[str]) -> list[Document]:
        """Return the parents for the listeners of hosts with TLS, each in the ListenerSet that its position says."""
        listeners = self.cluster.listeners.setdefault(self.ingress.namespace, {})
        parents: dict[str, Document] = {}
        for host in hosts:
            name = self._listener_of(host)
            if name is not None and name not in parents:
                secrets = self.cluster.certificates[name][self.ingress.namespace]
                listeners.setdefault(name, dict.fromkeys(secrets))
                parents[name] = {
                    'group': GATEWAY_GROUP,
                    'kind': 'ListenerSet',
                    'name': set_of(list(listeners).index(name)),
                    'sectionName': section(name),
                }
        return list(parents.values())


def _covering(host: str) -> tuple[str, str]:
    """Return the hosts whose certificates a host can have: itself, and the wildcard above it."""
    return host, f'*.{host.partition(".")[2]}'


def _header(name: str, value: str, kind: str = 'Exact') -> Document:
    return {'name': name, 'type': kind, 'value': value}


def _cookie(name: str, value: str) -> Document:
    return _header('Cookie', f'(?:.*; ?)?{re.escape(name)}={value}(?:;.*)?', 'RegularExpression')


def _redirect_root(path: str) -> Document:
    modifier = {'type': 'ReplaceFullPath', 'replaceFullPath': path}
    redirect = {'path': modifier, 'statusCode': 302}
    return {
        'matches': [{'path': {'type': 'Exact', 'value': '/'}}],
        'filters': [{'type': 'RequestRedirect', 'requestRedirect': redirect}],
    }


def _merged(rules: list[Document]) -> list[Document]:
    """Return rules of which those that do the same are one; a rewritten prefix is that of the only match of its rule.

    Rules of headers keep their order, which decides between rules of one path.
    """
    merged: list[Document] = []
    for rule in rules:
        same = [] if _stays_alone(rule) else [each for each in merged if _action(each) == _action(rule)]
        free = (each for each in same if not _stays_alone(each) and len(each['matches']) < _MOST_MATCHES_OF_RULE)
        found = next(free, None)
        if found is None:
            merged.append({**rule, 'matches': list(rule['matches'])})
        else:
            found['matches'] += rule['matches']
    return merged


def _stays_alone(rule: Document) -> bool:
    return 'filters' in rule or any('headers' in match for match in rule.get('matches', ()))


def _action(rule: Document) -> Document:
    return {key: value for key, value in rule.items() if key != 'matches'}


def _routes_of(rules: list[Document]) -> Iterator[list[Document]]:
    """Yield as many rules at a time as one route can have."""
    part: list[Document] = []
    for rule in rules:
        matches = sum(len(each['matches']) for each in (*part, rule))
        if part and (len(part) == _MOST_RULES or matches > _MOST_MATCHES):
            yield part
            part = []
        part.append(rule)
    yield part


def _parts(items: list[Any], most: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]
