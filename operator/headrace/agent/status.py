"""What is served, as JSON for `headrace status`: objects, backends, servers, plans, diagnostics; in pages.

Each page is bounded. It is made and encoded piece by piece: an encoder that runs in a thread would hold the interpreter
for the whole page.
"""

import asyncio
import heapq
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice

import msgspec

import headrace
from headrace.agent.pace import Pace
from headrace.diagnostics import Diagnostic
from headrace.haproxy.plan import live_state
from headrace.haproxy.runtime.apply import Applier
from headrace.haproxy.runtime.sockets import RuntimeSocketError
from headrace.ir.fragment import Fragment, Kind
from headrace.names import Ref
from headrace.resolve.state import State
from headrace.store import TRANSLATED

# Of one object no more than so much is shown.
_MOST_EXPOSED, _MOST_BACKENDS, _MOST_SERVERS, _MOST_DIAGNOSTICS = 100, 100, 500, 100
_MOST_REASONS = 20
_CHUNK = 2000
_EXPOSED = {Kind.ROUTE: 'http', Kind.PORT: 'tcp', Kind.TLS: 'tls', Kind.ADDRESS: 'address'}


@dataclass(frozen=True, slots=True)
class Page:
    """So many objects at most, in order, after this one; None for the first."""

    limit: int
    after: Ref | None = None


@dataclass(frozen=True, slots=True)
class DiagnosticsView:
    """The diagnostics that are known: of the model by object, and of what could not be read, which takes long to collect."""

    by_ref: Mapping[Ref, tuple[Diagnostic, ...]]
    unread: Callable[[], tuple[Diagnostic, ...]]


async def of_agent(state: State, applier: Applier, view: DiagnosticsView, page: Page) -> bytes:
    """Return one page; servers are in `of_object`. What is of no Service and no Ingress is in the first page."""
    stats, worker, pace = applier.stats, applier.worker, Pace()
    refs = await _after(state, page, pace)
    page_refs = refs[: page.limit]
    objects: list[msgspec.Raw] = []
    diagnostics: list[msgspec.Raw] = []
    if page.after is None:
        others = [ref for ref in list(view.by_ref) if ref.kind not in TRANSLATED]
        first_page = [diagnostic for ref in sorted(others) for diagnostic in view.by_ref.get(ref, ())]
        first_page += await asyncio.to_thread(lambda: heapq.nsmallest(page.limit, view.unread()))
        diagnostics += [_raw(diagnostic.value) for diagnostic in first_page[: page.limit]]
    for ref in page_refs:
        fragment = state.fragments.get(ref)
        if fragment is not None:
            objects.append(_raw(_object(state, fragment)))
            diagnostics += [_raw(diagnostic.value) for diagnostic in view.by_ref.get(ref, ())[:_MOST_DIAGNOSTICS]]
        await pace.rest()
    return msgspec.json.encode(
        {
            'version': headrace.__version__,
            'class': state.context.class_name,
            'role': str(state.context.role),
            'worker': {'pid': worker.facts.pid, 'version': worker.facts.version} if worker else None,
            'oldWorkers': list(applier.old_workers),
            'ready': applier.ready and worker is not None,
            'problems': dict(stats.problems),
            'objects': objects,
            'plans': [{**asdict(item), 'reasons': item.reasons[:_MOST_REASONS]} for item in stats.last_plans],
            'reloads': [{**asdict(item), 'reasons': item.reasons[:_MOST_REASONS]} for item in stats.last_reloads],
            'waiting': [asdict(item) for item in stats.waiting[:_MOST_REASONS]],
            'diagnostics': diagnostics,
            'continue': '/'.join(page_refs[-1]) if len(refs) > page.limit else '',
        }
    )


async def _after(state: State, page: Page, pace: Pace) -> list[Ref]:
    """Return the objects of a page in order, and one more where there are more; those of other classes have nothing here."""
    refs_after: list[Ref] = []
    refs = list(state.fragments)
    for start in range(0, len(refs), _CHUNK):
        chunk = (
            ref
            for ref in refs[start : start + _CHUNK]
            if ref.kind in TRANSLATED
            and (page.after is None or ref > page.after)
            and _is_served(state.fragments.get(ref))
        )
        refs_after = sorted((*refs_after, *chunk))[: page.limit + 1]
        await pace.rest()
    return refs_after


def _is_served(fragment: Fragment | None) -> bool:
    return fragment is not None and bool(fragment.claims or fragment.backends or fragment.diagnostics)


async def of_object(state: State, applier: Applier, view: DiagnosticsView, ref: Ref) -> bytes | None:
    """Return one object with its servers as HAProxy has them; None when there is none."""
    fragment = state.fragments.get(ref)
    if fragment is None:
        return None
    document = _object(state, fragment)
    document['diagnostics'] = [item.value for item in view.by_ref.get(ref, ())[:_MOST_DIAGNOSTICS]]
    pace = Pace()
    names = [backend.name for backend in fragment.backends if not backend.pin][:_MOST_BACKENDS]
    live = await _observe(applier, names)
    servers_by_name: dict[str, msgspec.Raw] = {}
    for name, servers in live.backends.items():
        servers_by_name[name] = _raw(
            [
                {'name': server, 'address': item.address, 'port': item.port, 'state': item.shown}
                for server, item in heapq.nsmallest(_MOST_SERVERS, servers.items(), key=lambda each: each[0])
            ]
        )
        await pace.rest()
    return msgspec.json.encode({**document, 'servers': servers_by_name})


async def server_states(applier: Applier, names: list[str]) -> dict[str, dict[str, str]]:
    """Return the states of servers as HAProxy has them, by backend and `ADDRESS:PORT`; nothing where it does not answer."""
    live = await _observe(applier, names)
    return {
        name: {f'{item.address}:{item.port}': item.shown for item in islice(servers.values(), _MOST_SERVERS)}
        for name, servers in live.backends.items()
    }


async def _observe(applier: Applier, names: list[str]) -> live_state.LiveState:
    try:
        return await applier.worker.observe(names, []) if applier.worker else live_state.LiveState()
    except RuntimeSocketError:
        return live_state.LiveState()


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _object(state: State, fragment: Fragment) -> dict[str, object]:
    claims = [claim for claim in fragment.claims if claim.kind in _EXPOSED]
    backends = [backend for backend in fragment.backends if not backend.pin]
    return {
        'kind': fragment.ref.kind,
        'namespace': fragment.ref.namespace,
        'name': fragment.ref.name,
        'exposed': [
            {
                'kind': _EXPOSED[claim.kind],
                'key': claim.address or claim.key,
                'served': state.claims.serves(fragment, claim, state.fragments),
            }
            for claim in claims[:_MOST_EXPOSED]
        ],
        'moreExposed': max(0, len(claims) - _MOST_EXPOSED),
        'backends': [
            {
                'name': backend.name,
                'port': backend.port,
                'profile': backend.shape.profile,
                'servers': sum(len(group.addresses) for group in backend.groups),
            }
            for backend in backends[:_MOST_BACKENDS]
        ],
        'moreBackends': max(0, len(backends) - _MOST_BACKENDS),
    }
