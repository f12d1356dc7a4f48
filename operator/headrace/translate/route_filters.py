"""Filters of HTTPRoutes and GRPCRoutes as settings and data of a policy.

Redirects are templates that are completed for each request; `${tailN}` is what follows the first N bytes of its path.
"""

from collections.abc import Iterable

from headrace.annotations import authentication as keys
from headrace.annotations.settings import RouteSettings
from headrace.annotations.values import Invalid
from headrace.objects.kinds import ServicePort
from headrace.objects.route_filters import (
    CORS,
    ExternalAuth,
    Filter,
    HeaderModifier,
    PathModifier,
    RequestHeaderModifier,
    RequestRedirect,
    ResponseHeaderModifier,
    URLRewrite,
)
from headrace.translate import policies
from headrace.translate.policies import Policy

_DEFAULT_PORTS = {'http': 80, 'https': 443}


def apply(policy: Policy, filters: Iterable[Filter], prefix: str) -> None:
    """Add to a policy what filters do; `prefix` is the path of the rule's match, which ReplacePrefixMatch replaces."""
    for each in filters:
        match each:
            case RequestHeaderModifier():
                policies.edit_headers(policy, request=_edits(each))
            case ResponseHeaderModifier():
                policies.edit_headers(policy, response=_edits(each))
            case RequestRedirect():
                policies.apply_redirect(policy, str(each.status), _location(each, prefix))
            case URLRewrite():
                _rewrite(policy, each)
            case CORS():
                policies.apply_cors_filter(policy, each)
            case _:
                # What needs other objects is the rule's (`route_rules`).
                pass


def unsupported_of_backend(filters: Iterable[Filter]) -> str:
    """Return the type of a filter that a backend cannot have, '' for none: each of them can change headers, host and path."""
    for each in filters:
        if isinstance(each, URLRewrite) and each.path is not None and each.path.prefix:
            return 'URLRewrite with ReplacePrefixMatch'
        if not isinstance(each, HeaderModifier | URLRewrite):
            return type(each).__name__
    return ''


def authentication(external: ExternalAuth, port: ServicePort) -> RouteSettings | str:
    """Return the settings by which an ExternalAuth filter asks a port of its Service, or why they cannot be had."""
    if external.grpc:
        return 'authentication by gRPC is not supported, by HTTP it is'
    path = keys.request_target(f'/{external.path.lstrip("/")}')
    if isinstance(path, Invalid):
        return f'the path is no {path.expected}'
    names = [keys.answer_header(name) for name in external.response_headers]
    headers = tuple(name for name in names if not isinstance(name, Invalid))
    if len(headers) < len(names):
        return 'a header of the answer frames a message'
    if external.max_body and isinstance(keys.body_size(str(external.max_body)), Invalid):
        return 'a body of more than 12k bytes cannot be sent along'
    return RouteSettings(
        external_auth_service=keys.ServiceReference(external.backend.name, str(port.number)),
        external_auth_path=path,
        external_auth_response_headers=headers,
        external_auth_body_size=external.max_body or None,
    )


def _edits(modifier: HeaderModifier) -> policies.Edits:
    """Return headers to set and, with an empty value, to remove, and those to add."""
    gone = tuple((name, '') for name in modifier.remove_headers)
    return policies.Edits((*modifier.set_headers, *gone), modifier.add_headers)


def _rewrite(policy: Policy, rewrite: URLRewrite) -> None:
    if rewrite.hostname:
        policies.edit_headers(policy, request=policies.Edits((('Host', rewrite.hostname),)))
    if rewrite.path is not None and rewrite.path.prefix:
        policies.apply_rewrite(policy, rewrite.path.path)
    elif rewrite.path is not None:
        policies.apply_full_rewrite(policy, rewrite.path.path or '/')


def _location(redirect: RequestRedirect, prefix: str) -> str:
    """Return the template of a Location. A port that is the scheme's own is left out (HTTPRoute, `RequestRedirect.port`)."""
    scheme, host = redirect.scheme or '${scheme}', redirect.hostname or '${host}'
    if redirect.port:
        own = _DEFAULT_PORTS.get(redirect.scheme)
        port = '' if redirect.port == own else f':{redirect.port}' if own else f'${{port{redirect.port}}}'
    else:
        port = '' if redirect.scheme else '${port}'
    return f'{scheme}://{host}{port}{_path(redirect.path, prefix)}${{query}}'


def _path(modifier: PathModifier | None, prefix: str) -> str:
    if modifier is None:
        return '${uri}'
    if not modifier.prefix:
        return modifier.path or '/'
    kept, matched = modifier.path.rstrip('/'), len(prefix.rstrip('/'))
    return f'{kept}${{tail{matched}}}' if kept else f'${{rest{matched}}}'
