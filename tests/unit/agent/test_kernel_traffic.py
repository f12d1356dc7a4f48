"""Traffic of Services that the kernel balances: totals of ports, from counters that come and go."""

from headrace.agent.kernel_traffic import KernelTraffic
from headrace.ir.l4 import TrafficPath, VirtualAddress
from headrace.nft.command import Counter

WEB, DNS = ('shop', 'web', 'http'), ('shop', 'dns', '53')


def addresses(*owners):
    return {
        f'10.96.0.{number}:80/TCP': VirtualAddress('kernel', TrafficPath(), TrafficPath(), owner=owner)
        for number, owner in enumerate(owners, 1)
    }


def counter(kind, number, packets, octets):
    return Counter(kind, f'10.96.0.{number} . tcp . 80', packets, octets)


def shown(traffic):
    """Return the values of the metrics, by their names, Service and direction."""
    return {
        (
            sample.name.removeprefix('headrace_service_kernel_'),
            sample.labels['service'],
            sample.labels.get('direction'),
        ): sample.value
        for metric in traffic.collect()
        for sample in metric.samples
    }


def test_the_first_packet_of_a_connection_counts_as_a_connection_and_as_a_packet_from_the_client():
    traffic = KernelTraffic(enabled=True, table_sync=None)
    traffic.take(
        [counter('opened', 1, 2, 120), counter('received', 1, 8, 800), counter('sent', 1, 6, 6000)], addresses(WEB)
    )
    assert shown(traffic) == {
        ('connections_total', 'web', None): 2,
        ('packets_total', 'web', 'in'): 10,
        ('packets_total', 'web', 'out'): 6,
        ('bytes_total', 'web', 'in'): 920,
        ('bytes_total', 'web', 'out'): 6000,
    }


def test_all_addresses_of_a_port_are_one_series_and_a_table_made_anew_takes_nothing_away():
    traffic, both = KernelTraffic(enabled=True, table_sync=None), addresses(WEB, WEB)
    traffic.take([counter('opened', 1, 2, 120), counter('opened', 2, 3, 180)], both)
    traffic.take([counter('opened', 1, 4, 240)], both)
    assert shown(traffic)['connections_total', 'web', None] == 7
    traffic.take([counter('opened', 1, 1, 60)], both)
    assert shown(traffic)['connections_total', 'web', None] == 8


def test_a_service_without_traffic_here_and_one_that_is_gone_have_no_series():
    traffic = KernelTraffic(enabled=True, table_sync=None)
    traffic.take([counter('opened', 1, 2, 120), counter('opened', 9, 2, 120)], addresses(WEB, DNS))
    assert {service for _, service, _ in shown(traffic)} == {'web'}
    traffic.take([], addresses())
    assert shown(traffic) == {}
