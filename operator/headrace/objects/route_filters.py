"""Filters of routes of the Gateway API: their values, and how documents become them.

A filter changes what the user gets and may protect a backend, so one that cannot be read is never passed over: it is a
problem of the rule or backend reference that holds it. Names and values of headers, paths and hosts are of the form that
the API allows.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from headrace.diagnostics import shorten
from headrace.objects import fields, references
from headrace.objects.problems import Problems
from headrace.objects.references import BackendObjectReference, Reference

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
HEADER_VALUE = re.compile(r'(?=.{1,4096}\Z)[!-~](?:[\t -~]*[!-~])?')
URI_PATH = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2}){1,1024}")
METHODS = frozenset(('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'))
_ORIGIN = re.compile(r'\*|https?://(?:(?:\*\.)?[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*|\*)(?::[0-9]{1,5})?')
_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_ORIGIN = 253
_MAX_NUMBER = 2**31 - 1
_MAX_BODY = 65535
_CORS_SECONDS = 5
Header = tuple[str, str]


@dataclass(frozen=True, slots=True)
class HeaderModifier:
    """Changes of headers. Of several with one name in a list the first counts; names are written as the user did."""

    set_headers: tuple[Header, ...] = ()
    add_headers: tuple[Header, ...] = ()
    remove_headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestHeaderModifier(HeaderModifier):
    """Changes of a request's headers."""


@dataclass(frozen=True, slots=True)
class ResponseHeaderModifier(HeaderModifier):
    """Changes of an answer's headers."""


@dataclass(frozen=True, slots=True)
class PathModifier:
    """A path that replaces the whole path of a request, or (`prefix`) the prefix that the rule has matched."""

    path: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class RequestRedirect:
    """A redirect; '', 0 and None leave that part of the request's address as it is."""

    scheme: str = ''
    hostname: str = ''
    path: PathModifier | None = None
    port: int = 0
    status: int = 302


@dataclass(frozen=True, slots=True)
class URLRewrite:
    """What the backend gets as host and path; '' and None leave it as it is."""

    hostname: str = ''
    path: PathModifier | None = None


@dataclass(frozen=True, slots=True)
class RequestMirror:
    """A backend that gets a copy of `numerator` of `denominator` requests."""

    backend: BackendObjectReference
    numerator: int = 100
    denominator: int = 100


@dataclass(frozen=True, slots=True)
class CORS:
    """What pages of other origins may do, in the order of the document. `max_age` is seconds."""

    origins: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age: int = _CORS_SECONDS


@dataclass(frozen=True, slots=True)
class ExternalAuth:
    """The backend that is asked about each request, by HTTP or (`grpc`) by Envoy's protocol.

    `headers` of the request are sent to it besides those that always are; `response_headers` of its answer go to the
    backend, all where there are none. `max_body` is how many bytes of the body it gets.
    """

    backend: BackendObjectReference
    grpc: bool = False
    path: str = ''
    headers: tuple[str, ...] = ()
    response_headers: tuple[str, ...] = ()
    max_body: int = 0


@dataclass(frozen=True, slots=True)
class ExtensionRef:
    """A filter of another API. headrace supports none."""

    reference: Reference


Filter = (
    RequestHeaderModifier
    | ResponseHeaderModifier
    | RequestRedirect
    | URLRewrite
    | RequestMirror
    | CORS
    | ExternalAuth
    | ExtensionRef
)
# From the body of a filter, the namespace of its route and the field to the filter; None, and a problem, when it is invalid.
Read = Callable[[fields.Document, str, str, Problems], Filter | None]


def read(
    document: fields.Document, namespace: str, field: str, problems: Problems, kinds: Mapping[str, tuple[str, Read]]
) -> tuple[Filter, ...]:
    """Return the filters under `filters`, in their order; one that cannot be read is a problem. `kinds` are the types."""
    filters: list[Filter] = []
    for index, entry in enumerate(problems.entries(document, 'filters', field)):
        where = f'{field}.filters[{index}]'
        name = entry.get('type') if isinstance(entry, dict) else entry
        if not isinstance(entry, dict) or not isinstance(name, str) or name not in kinds:
            problems.add(f'{where}.type', f'{shorten(name)} is no type of filter that is supported here')
            continue
        key, reading = kinds[name]
        body = entry.get(key)
        if not isinstance(body, dict):
            problems.add(f'{where}.{key}', f'a filter of type {name} has no {key}')
        elif (item := reading(body, namespace, f'{where}.{key}', problems)) is not None:
            filters.append(item)
    if len(filters) > 1:
        _judge_together(filters, f'{field}.filters', problems)
    return tuple(filters)


def _judge_together(filters: list[Filter], field: str, problems: Problems) -> None:
    types = [type(item) for item in filters if not isinstance(item, RequestMirror | ExtensionRef)]
    if len(types) > len(set(types)):
        problems.add(field, 'only RequestMirror and ExtensionRef can occur several times')
    if RequestRedirect in types and URLRewrite in types:
        problems.add(field, 'RequestRedirect and URLRewrite exclude each other')


def _request_headers(body: fields.Document, _: str, field: str, problems: Problems) -> RequestHeaderModifier:
    return RequestHeaderModifier(*_edits(body, field, problems))


def _response_headers(body: fields.Document, _: str, field: str, problems: Problems) -> ResponseHeaderModifier:
    return ResponseHeaderModifier(*_edits(body, field, problems))


def _edits(
    body: fields.Document, field: str, problems: Problems
) -> tuple[tuple[Header, ...], tuple[Header, ...], tuple[str, ...]]:
    return (
        _headers(body, 'set', field, problems),
        _headers(body, 'add', field, problems),
        _texts(body, 'remove', field, problems, _is_header_name),
    )


def _headers(body: fields.Document, key: str, field: str, problems: Problems) -> tuple[Header, ...]:
    headers: dict[str, Header] = {}
    for index, entry in enumerate(problems.entries(body, key, field)):
        header = read_header(entry, f'{field}.{key}[{index}]', problems)
        if header is not None:
            headers.setdefault(header[0].lower(), header)
    return tuple(headers.values())


def read_header(entry: object, field: str, problems: Problems) -> Header | None:
    """Return the name and value of a header; None, and a problem, when they are none."""
    name, value = (entry.get('name'), entry.get('value')) if isinstance(entry, dict) else (entry, None)
    if not isinstance(name, str) or not HEADER_NAME.fullmatch(name):
        problems.add(f'{field}.name', f'{shorten(name)} is no name of a header')
    elif not isinstance(value, str) or not HEADER_VALUE.fullmatch(value):
        problems.add(f'{field}.value', f'{shorten(value)} is no value of a header')
    else:
        return name, value
    return None


def _is_header_name(text: str) -> bool:
    return HEADER_NAME.fullmatch(text) is not None


def _texts(
    body: fields.Document, key: str, field: str, problems: Problems, judge: Callable[[str], bool]
) -> tuple[str, ...]:
    """Return the texts under a key, each once and in their order; what is no such text is a problem."""
    entries = problems.entries(body, key, field)
    for index, entry in enumerate(entries):
        if not isinstance(entry, str) or not judge(entry):
            problems.add(f'{field}.{key}[{index}]', f'{shorten(entry)} is not allowed in {key}')
    return tuple(dict.fromkeys(entry for entry in entries if isinstance(entry, str) and judge(entry)))


def _redirect(body: fields.Document, _: str, field: str, problems: Problems) -> RequestRedirect | None:
    scheme, status, port = body.get('scheme'), body.get('statusCode'), body.get('port')
    if scheme is not None and scheme not in ('http', 'https'):
        problems.add(f'{field}.scheme', f'{shorten(scheme)} is neither http nor https')
    elif status is not None and fields.number(body, 'statusCode') not in _REDIRECTS:
        problems.add(f'{field}.statusCode', f'{shorten(status)} is not one of 301, 302, 303, 307 and 308')
    elif port is not None and not fields.port(body, 'port'):
        problems.add(f'{field}.port', f'{shorten(port)} is no port')
    else:
        place = _place(body, field, problems)
        return place and RequestRedirect(
            fields.text(body, 'scheme'), *place, fields.port(body, 'port'), fields.number(body, 'statusCode') or 302
        )
    return None


def _rewrite(body: fields.Document, _: str, field: str, problems: Problems) -> URLRewrite | None:
    place = _place(body, field, problems)
    return place and URLRewrite(*place)


def _place(body: fields.Document, field: str, problems: Problems) -> tuple[str, PathModifier | None] | None:
    """Return the host and path that a redirect or rewrite names; None, and a problem, when they are none."""
    hostname, path = body.get('hostname'), body.get('path')
    if hostname is not None and not (isinstance(hostname, str) and fields.is_host(hostname, wildcard=False)):
        problems.add(f'{field}.hostname', f'{shorten(hostname)} is no host')
        return None
    if path is None:
        return fields.text(body, 'hostname'), None
    kind = path.get('type') if isinstance(path, dict) else path
    if not isinstance(path, dict) or kind not in ('ReplaceFullPath', 'ReplacePrefixMatch'):
        problems.add(f'{field}.path.type', f'{shorten(kind)} is neither ReplaceFullPath nor ReplacePrefixMatch')
        return None
    key = 'replaceFullPath' if kind == 'ReplaceFullPath' else 'replacePrefixMatch'
    value = path.get(key)
    if not isinstance(value, str) or not _is_replacement(value):
        problems.add(f'{field}.path.{key}', f'{shorten(value)} is no path')
        return None
    return fields.text(body, 'hostname'), PathModifier(value, prefix=kind == 'ReplacePrefixMatch')


def _is_replacement(path: str) -> bool:
    """Tell whether a text can replace a path or the prefix of one; the empty one takes a prefix away."""
    return not path or (path.startswith('/') and URI_PATH.fullmatch(path) is not None)


def _mirror(body: fields.Document, namespace: str, field: str, problems: Problems) -> RequestMirror | None:
    backend = references.read_backend(body.get('backendRef'), namespace, f'{field}.backendRef', problems)
    percent, fraction = body.get('percent'), body.get('fraction')
    if percent is not None and fraction is not None:
        problems.add(field, 'percent and fraction exclude each other')
        return None
    numerator, denominator = fields.number_within(body, 'percent', 0, 100, 100), 100
    if fraction is not None:
        document = fields.mapping(body, 'fraction')
        denominator = fields.number_within(document, 'denominator', 1, _MAX_NUMBER, 100) or 0
        numerator = fields.number_within(document, 'numerator', 0, denominator, -1)
    if numerator is None or numerator < 0:
        problems.add(field, 'the part of the requests that is mirrored is no percentage or fraction')
        return None
    return None if backend is None else RequestMirror(backend, numerator, denominator)


def _cors(body: fields.Document, _: str, field: str, problems: Problems) -> CORS | None:
    age = fields.number_within(body, 'maxAge', 1, _MAX_NUMBER, _CORS_SECONDS)
    if age is None:
        problems.add(f'{field}.maxAge', f'{shorten(body["maxAge"])} is no number of seconds')
        return None
    problems.add_misfits(body, {'allowCredentials': bool}, f'{field}.')
    return CORS(
        _texts(body, 'allowOrigins', field, problems, _is_origin),
        _texts(body, 'allowMethods', field, problems, _is_method),
        _texts(body, 'allowHeaders', field, problems, _is_header_name),
        _texts(body, 'exposeHeaders', field, problems, _is_header_name),
        fields.flag(body, 'allowCredentials'),
        age,
    )


def _is_method(text: str) -> bool:
    return text == '*' or text in METHODS


def _is_origin(text: str) -> bool:
    return len(text) <= _MAX_ORIGIN and _ORIGIN.fullmatch(text) is not None


def _external_auth(body: fields.Document, namespace: str, field: str, problems: Problems) -> ExternalAuth | None:
    protocol = fields.text(body, 'protocol')
    if protocol not in ('HTTP', 'GRPC'):
        problems.add(f'{field}.protocol', f'{shorten(body.get("protocol"))} is neither HTTP nor GRPC')
        return None
    problems.add_misfits(body, {'http': dict, 'grpc': dict, 'forwardBody': dict}, f'{field}.')
    how = fields.mapping(body, protocol.lower())
    size = fields.number_within(fields.mapping(body, 'forwardBody'), 'maxSize', 0, _MAX_BODY, 0)
    where = f'{field}.{protocol.lower()}'
    path = how.get('path')
    if path is not None and not (isinstance(path, str) and (not path or URI_PATH.fullmatch(path))):
        problems.add(f'{where}.path', f'{shorten(path)} is no path')
        return None
    if size is None:
        problems.add(f'{field}.forwardBody.maxSize', f'the size is no number of bytes up to {_MAX_BODY}')
        return None
    backend = references.read_backend(body.get('backendRef'), namespace, f'{field}.backendRef', problems)
    if backend is None:
        return None
    return ExternalAuth(
        backend,
        protocol == 'GRPC',
        fields.text(how, 'path'),
        _texts(how, 'allowedHeaders', where, problems, _is_header_name),
        _texts(how, 'allowedResponseHeaders', where, problems, _is_header_name),
        size,
    )


def _extension(body: fields.Document, namespace: str, field: str, problems: Problems) -> ExtensionRef | None:
    reference = references.read(body, namespace, field, problems, references.LOCAL)
    return None if reference is None else ExtensionRef(reference)


GRPC: Mapping[str, tuple[str, Read]] = {
    'RequestHeaderModifier': ('requestHeaderModifier', _request_headers),
    'ResponseHeaderModifier': ('responseHeaderModifier', _response_headers),
    'RequestMirror': ('requestMirror', _mirror),
    'ExtensionRef': ('extensionRef', _extension),
}
HTTP: Mapping[str, tuple[str, Read]] = {
    **GRPC,
    'RequestRedirect': ('requestRedirect', _redirect),
    'URLRewrite': ('urlRewrite', _rewrite),
    'CORS': ('cors', _cors),
    'ExternalAuth': ('externalAuth', _external_auth),
}
