"""A Service of thousands of ports, each with keys of its own, is read in time that grows with it and not with its square."""

import time

import pytest

from headrace import store
from headrace.objects import parse
from headrace.resolve import state
from headrace.settings.settings import Settings
from headrace.translate import build_context
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support.objects import endpoint_slice, service

# With the square it took 19 s of CPU to read the ports, and 23 s to build a node's fragment of 12,000.
SECONDS = 6.0
MANY = 12_000
PORTS = [{'name': f'p{number}', 'port': number + 1} for number in range(MANY)]
LIMITED = {f'rate-limit.p{number}': '5/s' for number in range(MANY)}


def bounded(seen, **given):
    began = time.process_time()
    held, made = store.Store(), state.State(seen)
    for document in (service(ports=PORTS, **given), endpoint_slice(addresses=['10.0.0.1'])):
        held.put(parse.read(document).object)
    made.update(held, held.services())
    assert time.process_time() - began < SECONDS
    return made


@pytest.mark.parametrize('more', [{}, {'host': 'a.example.com'}, {'enabled': 'true'}, {f'allow.x{MANY}': '::1'}])
def test_many_ports_at_the_edge(more):
    assert bounded(build_context.make(Settings()), annotations={**LIMITED, **more}) is not None


def test_many_ports_on_a_node():
    ips = {'clusterIP': '10.96.0.1', 'clusterIPs': ['10.96.0.1']}
    made = bounded(
        build_context.make(Settings(), role=Role.NODE, topology=Topology('n1')),
        annotations={**LIMITED, 'proxy': 'node'},
        **ips,
    )
    assert made.fragments
