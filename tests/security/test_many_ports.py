"""A Service of thousands of ports, each with keys of its own, is read in steps that grow with it and not with its square."""

import pytest

from headrace import store
from headrace.objects import parse
from headrace.resolve import state
from headrace.settings.settings import Settings
from headrace.translate import build_context
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support.objects import endpoint_slice, service
from support.steps import counted

FEW, TIMES = 500, 4


def steps(seen, ports, **given):
    """Return how many calls it takes to read and build a Service with so many ports."""
    annotations = {**{f'rate-limit.p{number}': '5/s' for number in range(ports)}, **given.pop('annotations')}
    numbers = [{'name': f'p{number}', 'port': number + 1} for number in range(ports)]
    documents = (service(ports=numbers, annotations=annotations, **given), endpoint_slice(addresses=['10.0.0.1']))
    held, made = store.Store(), state.State(seen)

    def work():
        for document in documents:
            held.put(parse.read(document).object)
        return made.update(held, held.services())

    change, calls = counted(work)
    assert change.fragments
    return calls


def is_linear(seen, **given):
    return steps(seen, TIMES * FEW, **given) < 1.5 * TIMES * steps(seen, FEW, **given)


@pytest.mark.parametrize('more', [{}, {'host': 'a.example.com'}, {'enabled': 'true'}, {'allow.x': '::1'}])
def test_many_ports_at_the_edge(more):
    assert is_linear(build_context.make(Settings()), annotations=more)


def test_many_ports_on_a_node():
    seen = build_context.make(Settings(), role=Role.NODE, topology=Topology('n1'))
    ips = {'clusterIP': '10.96.0.1', 'clusterIPs': ['10.96.0.1']}
    assert is_linear(seen, annotations={'proxy': 'node'}, **ips)


def test_the_square_of_something_is_not_linear():
    calls = [
        counted(lambda size=size: [len('x') for _ in range(size) for _ in range(size)])[1] for size in (FEW, 2 * FEW)
    ]
    assert calls[1] > 3 * calls[0]
