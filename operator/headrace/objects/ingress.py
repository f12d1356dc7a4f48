"""Ingress and IngressClass of `networking.k8s.io/v1`: their values, and how documents become them.

What `read` keeps is what the validation of an API server would have let through; anything else is a problem of the
object. Only in a folder can there be any. A path whose backend cannot be read stays without a Service, so that its
requests reach no shorter path; a rule of which no path is left is left out.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from headrace.diagnostics import Diagnostic, is_scalar, shorten
from headrace.names import Ref
from headrace.objects import annotations, fields
from headrace.objects.problems import Problems
from headrace.objects.status import UNREAD, Status

CLASS_ANNOTATION = 'kubernetes.io/ingress.class'
DEFAULT_CLASS_ANNOTATION = 'ingressclass.kubernetes.io/is-default-class'
# Stands for a value that is too long or no text. No grammar takes it, so what it was to protect is closed.
UNREADABLE = '\N{REPLACEMENT CHARACTER}'
_PREFIXES = (annotations.PREFIX, *annotations.FOREIGN_PREFIXES)
_MAX_KEY = 317
_MAX_SHARED = 128
_MAX_PORT_NAME = 15
_LARGE = 500
_FORBIDDEN_IN_PATH = re.compile(r'//|/\.\.?(?:/|\Z)|%2[fF]')
_PORT_NAME = re.compile(r'(?=.*[a-z])(?!.*--)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?')
_SPEC = {'rules': list, 'tls': list, 'defaultBackend': dict}


class PathType(StrEnum):
    """How a path of an Ingress is compared with a request's."""

    EXACT = 'Exact'
    PREFIX = 'Prefix'
    IMPLEMENTATION_SPECIFIC = 'ImplementationSpecific'


@dataclass(frozen=True, slots=True)
class IngressBackend:
    """A backend: a Service and its port by name or number, or a resource of another kind.

    `port` is the number as text, which no name of a port can be. A backend with neither Service nor resource could not
    be read.
    """

    service: str = ''
    port: str = ''
    resource: bool = False


@dataclass(frozen=True, slots=True)
class IngressPath(IngressBackend):
    """A path with its backend. `path` is `/` where an ImplementationSpecific one has none."""

    path: str = '/'
    type: PathType = PathType.PREFIX


@dataclass(frozen=True, slots=True)
class IngressRule:
    """Paths of a host, in the order of the object. `host` is '' for all hosts; without paths the default backend serves it."""

    host: str = ''
    paths: tuple[IngressPath, ...] = ()


@dataclass(frozen=True, slots=True)
class IngressTls:
    """Hosts that the certificate of a Secret is for; without a Secret the default certificate serves them."""

    hosts: tuple[str, ...] = ()
    secret: str = ''


@dataclass(frozen=True, slots=True)
class Ingress:
    """An Ingress. `annotations` are those of headrace and of the dialects that it reads, with their whole keys, sorted.

    `class_name` is `spec.ingressClassName`. `status` is read for the controller alone. `omitted` is the size of its
    annotations where the store has no room for them.
    """

    namespace: str
    name: str
    created: str = ''
    annotations: tuple[tuple[str, str], ...] = ()
    class_name: str = ''
    rules: tuple[IngressRule, ...] = ()
    tls: tuple[IngressTls, ...] = ()
    default_backend: IngressBackend | None = None
    problems: tuple[Diagnostic, ...] = ()
    omitted: int = 0
    status: Status = field(default=UNREAD, compare=False)

    @property
    def ref(self) -> Ref:
        """Return the Ingress's reference."""
        return Ref('Ingress', self.namespace, self.name)

    @property
    def canary_hosts(self) -> frozenset[str]:
        """Return the hosts of which it takes a part of other Ingresses' requests, as one with an annotation `canary` does.

        Which controller's annotation it is, and whether it counts, is decided where the Ingress is translated.
        """
        if not any(value == 'true' and key.endswith('/canary') for key, value in self.annotations):
            return frozenset()
        return frozenset(rule.host for rule in self.rules)

    @property
    def expression_hosts(self) -> frozenset[tuple[str, str]]:
        """Return the hosts, each with the class that the Ingress names, of which it makes all paths regular expressions.

        ingress-nginx has annotations that do so for the paths of other Ingresses too.
        """
        if not any(
            (value == 'true' and key.endswith('/use-regex')) or (value and key.endswith('/rewrite-target'))
            for key, value in self.annotations
        ):
            return frozenset()
        return frozenset((self.class_name or self.class_annotation or '', rule.host) for rule in self.rules)

    @property
    def class_annotation(self) -> str | None:
        """Return the class that the annotation names which came before `spec.ingressClassName`; None without it."""
        return next((value for key, value in self.annotations if key == CLASS_ANNOTATION), None)


@dataclass(frozen=True, slots=True)
class IngressClass:
    """An IngressClass. `parameters` refers to the object that it names in `spec.parameters`, None where it names none."""

    name: str
    controller: str = ''
    is_default: bool = False
    created: str = ''
    parameters: Ref | None = None
    problems: tuple[Diagnostic, ...] = ()

    @property
    def ref(self) -> Ref:
        """Return the IngressClass's reference."""
        return Ref('IngressClass', '', self.name)


def is_large(document: fields.Document) -> bool:
    """Tell whether an Ingress has so many rules, paths or hosts that it takes milliseconds to read."""
    spec = fields.mapping(document, 'spec')
    rules, tls = fields.sequence(spec, 'rules'), fields.sequence(spec, 'tls')
    if len(rules) > _LARGE or len(tls) > _LARGE:
        return True
    paths = (fields.sequence(fields.mapping(rule, 'http'), 'paths') for rule in rules if isinstance(rule, dict))
    hosts = (fields.sequence(entry, 'hosts') for entry in tls if isinstance(entry, dict))
    return sum(map(len, (*paths, *hosts))) > _LARGE


def read(namespace: str, name: str, document: fields.Document) -> Ingress:
    """Return the Ingress of a document whose name is valid."""
    metadata, spec = fields.mapping(document, 'metadata'), fields.mapping(document, 'spec')
    problems = Problems(Ref('Ingress', namespace, name))
    problems.add_misfits(document, {'spec': dict})
    problems.add_misfits(spec, _SPEC, 'spec.')
    default = spec.get('defaultBackend')
    if not spec.get('rules') and default is None:
        problems.add('spec', 'the Ingress has neither rules nor a default backend')
    return Ingress(
        namespace=_text(namespace),
        name=_text(name),
        created=fields.text(metadata, 'creationTimestamp'),
        annotations=_annotations(metadata, problems),
        class_name=_class_name(spec, problems),
        rules=_rules(spec, problems),
        tls=_tls(spec, problems),
        default_backend=_backend(default, 'spec.defaultBackend', problems) if isinstance(default, dict) else None,
        problems=problems.diagnostics,
    )


def read_class(_: str, name: str, document: fields.Document) -> IngressClass:
    """Return the IngressClass of a document whose name is valid."""
    metadata, spec = fields.mapping(document, 'metadata'), fields.mapping(document, 'spec')
    problems = Problems(Ref('IngressClass', '', name))
    if not (controller := fields.text(spec, 'controller')):
        problems.add('spec.controller', 'the IngressClass names no controller')
    return IngressClass(
        name=name,
        controller=controller,
        is_default=_as_text(fields.mapping(metadata, 'annotations').get(DEFAULT_CLASS_ANNOTATION)) == 'true',
        created=fields.text(metadata, 'creationTimestamp'),
        parameters=_parameters(fields.mapping(spec, 'parameters')),
        problems=problems.diagnostics,
    )


def _annotations(metadata: fields.Document, problems: Problems) -> tuple[tuple[str, str], ...]:
    pairs = []
    for key, value in fields.mapping(metadata, 'annotations').items():
        if not isinstance(key, str) or len(key) > _MAX_KEY or not key.startswith(_PREFIXES):
            continue
        text = _as_text(value)
        if text == UNREADABLE:
            problems.add(
                f'metadata.annotations[{shorten(key)}]',
                f'the value is no text of at most {annotations.LONGEST} characters',
            )
        pairs.append(_shared_pair(key, text) if len(text) <= _MAX_SHARED else (key, text))
    return tuple(sorted(pairs))


def _as_text(value: object) -> str:
    """Return the text of an annotation; what no API server takes, or no setting is as long as, is unreadable."""
    if value is not None and not is_scalar(value):
        return UNREADABLE
    text = fields.as_text(value)
    return text if len(text) <= annotations.LONGEST else UNREADABLE


@lru_cache(maxsize=8192)
def _shared_pair(key: str, text: str) -> tuple[str, str]:
    """Return one value for all objects that have this annotation."""
    return key, text


@lru_cache(maxsize=8192)
def _shared_text(text: str) -> str:
    return text


def _text(text: str) -> str:
    """Return one value where a text stands several times: a host in a rule and in `tls`, a name, a common path."""
    return _shared_text(text) if len(text) <= _MAX_SHARED else text


def _class_name(spec: fields.Document, problems: Problems) -> str:
    value = spec.get('ingressClassName')
    if value is None or (isinstance(value, str) and fields.is_name(value, subdomain=True)):
        return _text(value or '')
    problems.add('spec.ingressClassName', f'{shorten(value)} is no name of an IngressClass')
    # In quotes it is the name of no class; without a class the Ingress would be of the default one.
    return shorten(value)


def _rules(spec: fields.Document, problems: Problems) -> tuple[IngressRule, ...]:
    rules = []
    for index, entry in enumerate(fields.sequence(spec, 'rules')):
        field = f'spec.rules[{index}]'
        if not isinstance(entry, dict):
            problems.add(field, f'{shorten(entry)} is no rule')
        elif (host := _host(entry.get('host'), f'{field}.host', problems)) is not None:
            paths = _paths(entry, f'{field}.http', problems)
            if paths is not None:
                rules.append(IngressRule(host, paths))
    return tuple(rules)


def _host(value: object, field: str, problems: Problems) -> str | None:
    """Return a host, '' for all hosts; None when an API server would not take it."""
    if value is None:
        return ''
    if isinstance(value, str) and (not value or fields.is_host(value)):
        return _text(value)
    problems.add(field, f'{shorten(value)} is no DNS name in lower case, nor one after "*."')
    return None


def _paths(rule: fields.Document, field: str, problems: Problems) -> tuple[IngressPath, ...] | None:
    """Return the paths of a rule; None when it has a list of paths, and none of them can be read."""
    http = rule.get('http')
    if http is None:
        return ()
    entries = fields.sequence(http, 'paths') if isinstance(http, dict) else []
    if not entries:
        problems.add(f'{field}.paths', 'the rule has no list of paths')
    paths = []
    for index, entry in enumerate(entries):
        path = _path(entry, f'{field}.paths[{index}]', problems)
        if path is not None:
            paths.append(path)
    return tuple(paths) or None


def _path(entry: object, field: str, problems: Problems) -> IngressPath | None:
    if not isinstance(entry, dict):
        problems.add(field, f'{shorten(entry)} is no path')
        return None
    kind, path = entry.get('pathType'), entry.get('path', '')
    if not isinstance(kind, str) or kind not in PathType.__members__.values():
        problems.add(f'{field}.pathType', f'{shorten(kind)} is not one of Exact, Prefix and ImplementationSpecific')
        return None
    path_type = PathType(kind)
    if path in ('', None) and path_type is PathType.IMPLEMENTATION_SPECIFIC:
        path = '/'
    if not isinstance(path, str) or not path.startswith('/'):
        problems.add(f'{field}.path', f'{shorten(path)} does not begin with /')
        return None
    if path_type is not PathType.IMPLEMENTATION_SPECIFIC and _FORBIDDEN_IN_PATH.search(path):
        problems.add(f'{field}.path', f'{shorten(path)} has an empty element, a dot segment or %2F')
        return None
    document = fields.mapping(entry, 'backend')
    backend = _backend(document, f'{field}.backend', problems)
    return IngressPath(backend.service, backend.port, backend.resource, _text(path), path_type)


_UNUSABLE = IngressBackend()


def _backend(document: fields.Document, field: str, problems: Problems) -> IngressBackend:
    service, resource = document.get('service'), document.get('resource')
    if (service is None) == (resource is None):
        problems.add(field, 'a backend is either a service or a resource')
        return _UNUSABLE
    if resource is not None:
        return IngressBackend(resource=True)
    name = fields.text(service, 'name') if isinstance(service, dict) else ''
    if not isinstance(service, dict) or not fields.is_name(name):
        problems.add(f'{field}.service.name', f'{shorten(name)} is no name of a Service')
        return _UNUSABLE
    port = _port(fields.mapping(service, 'port'))
    if not port:
        problems.add(f'{field}.service.port', 'the port is neither a name alone nor a number alone from 1 to 65535')
        return _UNUSABLE
    return IngressBackend(_text(name), port)


def _port(document: fields.Document) -> str:
    """Return the name or number of a port, '' when it is neither or both."""
    name, number = document.get('name') or None, document.get('number') or None
    if name is None and number is not None:
        found = fields.port(document, 'number')
        return _text(str(found)) if found else ''
    if isinstance(name, str) and number is None and len(name) <= _MAX_PORT_NAME and _PORT_NAME.fullmatch(name):
        return _text(name)
    return ''


def _tls(spec: fields.Document, problems: Problems) -> tuple[IngressTls, ...]:
    entries = []
    for index, entry in enumerate(fields.sequence(spec, 'tls')):
        field = f'spec.tls[{index}]'
        if not isinstance(entry, dict) or fields.misfits(entry, {'hosts': list, 'secretName': str}):
            problems.add(field, 'the entry is no mapping of hosts and secretName')
            continue
        secret = fields.text(entry, 'secretName')
        if secret and not fields.is_name(secret, subdomain=True):
            problems.add(f'{field}.secretName', f'{shorten(secret)} is no name of a Secret')
            continue
        hosts = [_host(host or 0, f'{field}.hosts', problems) for host in fields.sequence(entry, 'hosts')]
        entries.append(IngressTls(tuple(host for host in hosts if host), _text(secret)))
    return tuple(entries)


def _parameters(parameters: fields.Document) -> Ref | None:
    kind, name = fields.text(parameters, 'kind'), fields.text(parameters, 'name')
    namespace = fields.text(parameters, 'namespace')
    if not (kind.isalnum() and kind.isascii() and fields.is_name(name, subdomain=True)):
        return None
    return Ref(kind, namespace if fields.is_name(namespace) else '', name)
