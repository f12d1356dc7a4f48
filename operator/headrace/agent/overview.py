"""What an agent is and does, in numbers and without names of users' objects but those of the last reloads."""

import time
from collections import Counter
from dataclasses import asdict

import msgspec

import headrace
from headrace.agent.loop import Loop
from headrace.agent.source import Source
from headrace.ir.fragment import Kind
from headrace.nft.sync import TableSync

_MOST_REASONS, _MOST_WAITING, _LONGEST = 5, 20, 300
_STARTED = time.time()


def of_agent(loop: Loop, source: Source, table_sync: TableSync | None) -> bytes:
    """Return the summary of an agent."""
    state, applier, stats = loop.state, loop.applier, loop.applier.stats
    worker, levels = applier.worker, Counter[str]()
    for (level, _), count in loop.diagnostics_index.counts.items():
        levels[level] += count
    kinds = Counter(ref.kind for ref, fragment in state.fragments.items() if fragment.claims or fragment.backends)
    return msgspec.json.encode(
        {
            'version': headrace.__version__,
            'class': state.context.class_name,
            'role': str(state.context.role),
            'node': state.context.topology.node,
            'started': _STARTED,
            'worker': {'pid': worker.facts.pid, 'version': worker.facts.version} if worker else None,
            'oldWorkers': len(applier.old_workers),
            'ready': applier.ready and worker is not None,
            'problems': {**source.problems(), **stats.problems},
            'objects': dict(sorted(kinds.items())),
            'routes': len(state.claims.keys_of(Kind.ROUTE)),
            'gatewayPorts': sorted(map(int, filter(str.isdigit, state.claims.keys_of(Kind.GATEWAY_PORT)))),
            'diagnostics': dict(levels),
            'events': source.events,
            'plans': dict(stats.plans),
            'commands': stats.commands,
            'refused': sum(stats.refused.values()),
            'reloads': sum(stats.reloads.values()),
            'lastReload': _last_reload(loop),
            'waiting': [
                {'reason': item.reason[:_LONGEST], 'objects': item.objects[:_MOST_REASONS], 'why': item.why}
                for item in stats.waiting[:_MOST_WAITING]
            ],
            'changes': loop.journal.number,
            'table': _table(table_sync) if table_sync is not None else None,
            'draining': len(state.draining),
        }
    )


def _last_reload(loop: Loop) -> dict[str, object] | None:
    records = loop.applier.stats.last_reloads
    if not records:
        return None
    return {**asdict(records[-1]), 'reasons': [text[:_LONGEST] for text in records[-1].reasons[:_MOST_REASONS]]}


def _table(table_sync: TableSync) -> dict[str, object]:
    table = table_sync.table
    return {
        'good': table_sync.good,
        'held': table is not None,
        'elements': table.size if table is not None else 0,
        'bypass': table is not None and table.facts.bypass,
        'transactions': table_sync.transactions,
        'repairs': table_sync.repairs,
    }
