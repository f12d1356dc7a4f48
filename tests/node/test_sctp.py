"""SCTP to a Service's own address: real packets, made and read by hand, for few kernels speak it by themselves."""

import contextlib
import select
import socket
import struct

import pytest

from support.live import until
from support.nodes import PODS, PORT
from support.objects import endpoint_slice, service

ADDRESSES = ('10.96.0.10', 'fd00:96::10')
FAMILIES = (socket.AF_INET, socket.AF_INET6)
PROTOCOL, INIT, INIT_ACK = 132, 1, 2


def crc32c(data):
    """Return the checksum of SCTP (RFC 9260, appendix A)."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def packet(source, target, tag, kind, own):
    """Return a packet with one chunk that begins an association: INIT, or what answers it."""
    chunk = struct.pack('!BBHIIHHI', kind, 0, 20, own, 65536, 1, 1, 7)
    head = struct.pack('!HHI', source, target, tag)
    return head + struct.pack('<I', crc32c(head + bytes(4) + chunk)) + chunk


def read(held, family):
    """Return the sender, the ports and the kind of chunk of a packet that has come; its checksum must be right."""
    data, (sender, *_) = held.recvfrom(4096)
    if family == socket.AF_INET:
        data = data[(data[0] & 15) * 4 :]
    source, target, _, checksum = struct.unpack('!HHI', data[:8]) + struct.unpack('<I', data[8:12])
    assert checksum == crc32c(data[:8] + bytes(4) + data[12:])
    return sender, source, target, data[12]


def opened(nodes, space, family):
    return nodes.spaces[space].enter(socket.socket, family, socket.SOCK_RAW, PROTOCOL)


def put(agent, *pods):
    document = service(
        annotations={'proxy': 'node'},
        ports=[{'name': 'sig', 'port': 80, 'protocol': 'SCTP'}],
        clusterIPs=[*ADDRESSES],
        ipFamilies=['IPv4', 'IPv6'],
    )
    slices = [
        endpoint_slice(
            name=f'web-{index}', addresses=[PODS[pod][index] for pod in pods], port=PORT, port_name='sig',
            protocol='SCTP', family=family,
        )
        for index, family in enumerate(('IPv4', 'IPv6'))
    ]  # fmt: skip
    agent.put('web', document, *slices)


@pytest.mark.parametrize('index', [0, 1], ids=['IPv4', 'IPv6'])
def test_associations_are_spread_over_endpoints_and_answered_from_the_services_address(nodes, agent, index):
    put(agent, 'one', 'three')
    agent.start()
    family, address = FAMILIES[index], ADDRESSES[index]
    with contextlib.ExitStack() as closing:
        client = closing.enter_context(opened(nodes, 'client', family))
        pods = {closing.enter_context(opened(nodes, pod, family)): pod for pod in ('one', 'two', 'three')}
        seen = set()
        for source in range(40000, 40030):
            client.sendto(packet(source, 80, 0, INIT, source), (address, 0))
            ready, _, _ = select.select([*pods], [], [], 5)
            (held,) = ready
            sender, port, target, kind = read(held, family)
            # A pod is seen as who it is, and the port is the endpoint's.
            assert (sender, target, kind) == (PODS['client'][index], PORT, INIT)
            held.sendto(packet(PORT, port, source, INIT_ACK, 1), (sender, 0))
            assert select.select([client], [], [], 5)[0]
            assert read(client, family) == (address, 80, source, INIT_ACK)
            seen.add(pods[held])
        assert seen == {'one', 'three'}


def test_without_endpoints_nothing_is_let_through(nodes, agent):
    put(agent, 'one')
    agent.start()
    sources = iter(range(41000, 42000))
    with opened(nodes, 'client', socket.AF_INET) as client, opened(nodes, 'one', socket.AF_INET) as pod:

        def comes():
            client.sendto(packet(next(sources), 80, 0, INIT, 1), (ADDRESSES[0], 0))
            if not select.select([pod], [], [], 0.3)[0]:
                return False
            read(pod, socket.AF_INET)
            return True

        assert comes()
        put(agent)
        until(lambda: not comes(), 'nothing comes any more')
