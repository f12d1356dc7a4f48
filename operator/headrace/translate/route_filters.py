"""Filters of HTTPRoutes and GRPCRoutes as settings and data of a policy.

Redirects are templates that are completed for each request; `${tailN}` is what follows the first N bytes of its path.
"""

from collections.abc import Iterable

from headrace.objects.route_filters import (
    CORS,
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
