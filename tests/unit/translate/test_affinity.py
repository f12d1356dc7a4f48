"""Pins: the backends of one endpoint that clients with `sessionAffinity: ClientIP` are led to."""

import zlib
from dataclasses import replace

from headrace.ir.backend import Backend, Group, Options, Shape
from headrace.names import Ref
from headrace.translate import affinity
from support.objects import built, endpoint_slice, fragment, service

WEB = Ref('Service', 'shop', 'web')
STAYS = Shape(affinity=True)


def backend(*groups, name='b', seconds=60):
    return Backend(name, WEB, 'http', STAYS, Options(), groups, seconds)


def test_each_endpoint_of_a_backend_whose_clients_stay_has_a_pin():
    held = backend(Group(80, ('10.0.0.1', '10.0.0.2')), Group(81, ('10.0.0.1',)))
    made = {item.name: (item.pin, item.groups) for item in affinity.with_pins([held])}
    wanted = {
        f'b:{zlib.crc32(pin.encode())}': (pin, (Group(int(pin[-2:]), (pin[:-3],)),))
        for pin in ('10.0.0.1:80', '10.0.0.2:80', '10.0.0.1:81')
    }
    assert made == {'b': ('', held.groups), **wanted}


def test_backends_whose_clients_do_not_stay_have_none():
    plain = backend(Group(80, ('10.0.0.1',)), seconds=0)
    assert affinity.with_pins([plain]) == (plain,)
    assert len(affinity.with_pins([plain, backend(Group(80, ('10.0.0.1',)), name='a')])) == 3


def test_endpoints_of_one_crc_share_their_pin():
    pair = ('10.145.22.157', '228.200.100.15')
    assert len({zlib.crc32(f'{address}:80'.encode()) for address in pair}) == 1
    _, pin = affinity.with_pins([backend(Group(80, pair))])
    assert pin.groups == (Group(80, (pair[0],)), Group(80, (pair[1],)))


def test_pins_have_the_names_and_options_that_follow_from_the_backend():
    held = backend(Group(80, ('10.0.0.1',)))
    other = replace(held, options=Options(check=True))
    assert [item.name for item in affinity.with_pins([held])] == [item.name for item in affinity.with_pins([other])]
    assert all(item.options.check for item in affinity.with_pins([other]))


def test_pins_are_in_the_fragment_and_count_nowhere_else():
    made = built(
        service(ports=[{'name': 'http', 'port': 80}], annotations={'host': 'a.com'}, sessionAffinity='ClientIP'),
        endpoint_slice(addresses=['10.0.0.1', '10.0.0.2'], port_name='http'),
    )
    main, *pins = fragment(made).backends
    assert (main.pin, [pin.pin for pin in pins]) == ('', ['10.0.0.2:8080', '10.0.0.1:8080'])
    assert {(pin.service, pin.port, pin.shape) for pin in pins} == {(WEB, 'http', main.shape)}
