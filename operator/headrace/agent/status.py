"""What is served, as values for `headrace status` and the admin port: Services, backends, servers, plans, verdicts."""

import asyncio
from collections.abc import Iterable
from dataclasses import asdict

import headrace
from headrace.haproxy import observed
from headrace.haproxy.apply import Applier
from headrace.haproxy.runtime import RuntimeSocketError
from headrace.model.ir import Fragment, Kind
from headrace.model.state import State
from headrace.names import Ref
from headrace.verdicts import Verdict

# Changes wait for no more than so many Services.
_AT_ONCE = 200
_EXPOSED = {Kind.ROUTE: 'http', Kind.PORT: 'tcp', Kind.TLS: 'tls', Kind.ADDRESS: 'address'}


async def of_agent(state: State, applier: Applier, verdicts: Iterable[Verdict]) -> dict[str, object]:
    """Return the whole as one value for JSON; servers are in `of_service`."""
    record = applier.record
    held = applier.worker
    services: list[dict[str, object]] = []
    for number, ref in enumerate(sorted(state.fragments)):
        fragment = state.fragments.get(ref)
        if fragment is not None and ref.kind == 'Service':
            services.append(_service(state, fragment))
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
    return {
        'version': headrace.__version__,
        'class': state.view.class_name,
        'role': str(state.view.role),
        'worker': {'pid': held.facts.pid, 'version': held.facts.version} if held else None,
        'oldWorkers': list(applier.old_workers),
        'ready': applier.ready and held is not None,
        'troubles': dict(record.troubles),
        'services': services,
        'plans': [asdict(item) for item in record.last_plans],
        'reloads': [asdict(item) for item in record.last_reloads],
        'verdicts': [_verdict(item) for item in verdicts],
    }


async def of_service(state: State, applier: Applier, ref: Ref) -> dict[str, object] | None:
    """Return one Service with its servers as HAProxy has them; None when there is none."""
    fragment = state.fragments.get(ref)
    if fragment is None:
        return None
    found = _service(state, fragment)
    found['verdicts'] = [_verdict(item) for item in state.verdicts(ref)]
    held = applier.worker
    try:
        seen = (
            await held.observe([backend.name for backend in fragment.backends if not backend.pin], [])
            if held
            else observed.Observed()
        )
    except RuntimeSocketError:
        seen = observed.Observed()
    found['servers'] = {
        name: [
            {'name': server, 'address': item.address, 'port': item.port, 'state': item.shown}
            for server, item in sorted(servers.items())
        ]
        for name, servers in seen.backends.items()
    }
    return found


def _service(state: State, fragment: Fragment) -> dict[str, object]:
    won = [
        {
            'kind': _EXPOSED[claim.kind],
            'key': claim.key,
            'served': state.claims.claimants((claim.kind, claim.key))[:1] == (fragment.ref,),
        }
        for claim in fragment.claims
        if claim.kind in _EXPOSED
    ]
    return {
        'namespace': fragment.ref.namespace,
        'name': fragment.ref.name,
        'exposed': won,
        'backends': [
            {
                'name': backend.name,
                'port': backend.port,
                'profile': backend.shape.profile,
                'servers': sum(len(group.addresses) for group in backend.groups),
            }
            for backend in fragment.backends
            if not backend.pin
        ],
    }


def _verdict(verdict: Verdict) -> dict[str, str]:
    return {
        'level': verdict.level,
        'reason': verdict.reason,
        'object': str(verdict.ref),
        'field': verdict.field,
        'message': verdict.message,
    }
