"""Traffic of Services that the kernel balances, from the counters of a node's table.

Promises: a series is named by namespace, Service and port alone; totals only grow, also when the table is made anew, or a port moves
between the kernel and HAProxy. What a node has had no traffic of has no series: each node would have those of all Services. The cost is
bounded: counters are read in a thread, not too often, and only those that have counted anything are kept.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, Metric

from headrace.ir.l4 import VirtualAddress
from headrace.nft.command import Counter, NftError
from headrace.nft.sync import TableSync

log = logging.getLogger(__name__)
LABELS = ('namespace', 'service', 'port')
Owner = tuple[str, str, str]
_SHORTEST_INTERVAL = 5.0
# Of what opens a connection the first packet is from the client too.
_DIRECTIONS = {'opened': 'in', 'received': 'in', 'sent': 'out'}


@dataclass(slots=True)
class Totals:
    """What a port of a Service has had: new connections, and packets and bytes by direction, as a client's side sees them."""

    connections: int = 0
    packets: dict[str, int] = field(default_factory=lambda: {'in': 0, 'out': 0})
    octets: dict[str, int] = field(default_factory=lambda: {'in': 0, 'out': 0})


@dataclass(slots=True, eq=False)
class KernelTraffic:
    """Totals by Service port."""

    enabled: bool
    table_sync: TableSync
    clock: Callable[[], float] = time.monotonic
    totals: dict[Owner, Totals] = field(default_factory=dict)
    _last: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    _read_at: float = float('-inf')

    async def read(self) -> None:
        """Read the counters, unless they were read a moment ago."""
        table = self.table_sync.table
        if not self.enabled or table is None or self.clock() - self._read_at < _SHORTEST_INTERVAL:
            return
        self._read_at = self.clock()
        try:
            counters = await self.table_sync.counters()
        except NftError as error:
            log.warning('the counters of the table cannot be read', extra={'error': str(error)})
            return
        self.take(counters, table.virtual_addresses)

    def take(self, counters: Iterable[Counter], virtual_addresses: Mapping[str, VirtualAddress]) -> None:
        """Take what the kernel has counted, by the virtual addresses that there are; those of another table begin anew."""
        last = dict[tuple[str, str], tuple[int, int]]()
        for counter in counters:
            address, protocol, port = counter.key.split(' . ')
            virtual_address = virtual_addresses.get(f'{address}:{port}/{protocol.upper()}')
            if virtual_address is not None:
                before = self._last.get(counter[:2], (0, 0))
                last[counter[:2]] = counter.packets, counter.octets
                # An element that went and came again begins anew.
                packets, octets = before if counter.packets >= before[0] else (0, 0)
                self._grow(virtual_address.owner, counter.kind, counter.packets - packets, counter.octets - octets)
        self._last = last
        owners = {virtual_address.owner for virtual_address in virtual_addresses.values()}
        # Exchanged as a whole, because a reader may be using it.
        self.totals = {owner: totals for owner, totals in self.totals.items() if owner in owners}

    def _grow(self, owner: Owner, kind: str, packets: int, octets: int) -> None:
        totals, direction = self.totals.setdefault(owner, Totals()), _DIRECTIONS[kind]
        totals.connections += packets if kind == 'opened' else 0
        totals.packets[direction] += packets
        totals.octets[direction] += octets

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as Prometheus' registry asks for them."""
        connections = CounterMetricFamily(
            'headrace_service_kernel_connections', 'New connections that the kernel led to endpoints.', labels=LABELS
        )
        packets = CounterMetricFamily(
            'headrace_service_kernel_packets',
            'Packets of connections that the kernel leads, in from clients and out to them.',
            labels=(*LABELS, 'direction'),
        )
        octets = CounterMetricFamily(
            'headrace_service_kernel_bytes',
            'Bytes of those packets, with their headers.',
            labels=(*LABELS, 'direction'),
        )
        for owner, totals in list(self.totals.items()):
            connections.add_metric(owner, totals.connections)
            for direction in ('in', 'out'):
                packets.add_metric((*owner, direction), totals.packets[direction])
                octets.add_metric((*owner, direction), totals.octets[direction])
        yield from (connections, packets, octets)
