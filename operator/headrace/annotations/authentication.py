"""The grammar of values of external authentication; see `values`, which has that of all other keys."""

import re
from dataclasses import dataclass

from headrace.annotations import request_values, values
from headrace.annotations.values import AUTHORITY, PATH_CHARACTERS, Invalid

_TARGET = rf'(?:/(?:{PATH_CHARACTERS}|/)*)?(?:\?(?:{PATH_CHARACTERS}|[/?])*)?'
_TARGETS = re.compile(_TARGET, re.ASCII)
_AUTHORITIES = re.compile(AUTHORITY, re.ASCII)
_URL = re.compile(r'(https?|\$\{scheme\})://(\$\{host\}|[^/?$]*)(.*)')
# The authority of a URL that means the host of the request.
OWN_HOST = '${host}'
_MAX_BODY = 12 * 1024
_EXPECTED = 'an http or https URL such as http://auth.shop.svc/verify, in which $host is a whole host, and other variables stand in the path and the query'


@dataclass(frozen=True, slots=True)
class ServiceReference:
    """A Service of the namespace, and the name or number of its port ('' for its only one)."""

    name: str
    port: str = ''


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https URL: scheme, host with the port if one is given, and path with the query.

    The host can be `OWN_HOST`; the path and the query can have variables, as `${name}`.
    """

    scheme: str
    authority: str
    target: str

    @property
    def host(self) -> str:
        """Return the host without the port."""
        host, colon, port = self.authority.rpartition(':')
        return host if colon and ']' not in port else self.authority

    @property
    def port(self) -> str:
        """Return the port, that of the scheme where none is given."""
        port = self.authority.removeprefix(self.host).removeprefix(':')
        return port or ('443' if self.scheme == 'https' else '80')


def url(text: str) -> Url | Invalid:
    """Return an http or https URL without a fragment; variables stand for parts of a request, as `${name}`, but for its host."""
    template = request_values.template(text[:8].lower() + text[8:])
    match = None if isinstance(template, Invalid) else _URL.fullmatch(template.text)
    if isinstance(template, Invalid) or match is None:
        return Invalid(_EXPECTED)
    scheme, authority, target = match.groups()
    before = f'{scheme.replace("${scheme}", "https")}://{authority.replace(OWN_HOST, "host")}'
    example = template.example.removeprefix(before)
    known = authority == OWN_HOST or (_AUTHORITIES.fullmatch(authority) is not None and '$' not in scheme)
    if not known or not _TARGETS.fullmatch(example):
        return Invalid(_EXPECTED)
    return Url(scheme.replace('${scheme}', 'http'), authority, target if example.startswith('/') else f'/{target}')


def request_target(text: str) -> str | Invalid:
    """Return a path, perhaps with a query, of a request that headrace makes itself."""
    value = url(f'http://a{text}') if text.startswith('/') else Invalid('')
    return value.target if isinstance(value, Url) else Invalid('a path, perhaps with a query')


def service_reference(text: str) -> ServiceReference | Invalid:
    """Return a Service of the namespace: NAME, or NAME:PORT with the name or the number of a port."""
    service, colon, port = text.partition(':')
    if isinstance(values.name(service), Invalid) or (colon and isinstance(values.name(port), Invalid)):
        return Invalid('NAME or NAME:PORT of a Service in the namespace')
    return ServiceReference(service, port)


def answer_header(text: str) -> str | Invalid:
    """Return the name of a header that an answer of authentication may set in a request, in lower case."""
    value = values.token(text)
    if isinstance(value, Invalid) or text.lower() in values.FRAMING:
        return Invalid('the name of a header that does not frame a message, such as X-Auth-Request-User')
    return value.lower()


def body_size(text: str) -> int | Invalid:
    """Return how many bytes of a body are sent along: it must fit HAProxy's buffer, beside the headers."""
    value = values.size(text)
    return value if isinstance(value, int) and value <= _MAX_BODY else Invalid('a size of at most 12k')
