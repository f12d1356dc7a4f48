"""Because of whose objects a reload is needed."""

from dataclasses import replace

import pytest

from headrace import names
from headrace.haproxy.encode.commands import Command, Phase
from headrace.haproxy.plan import reload_reasons
from headrace.haproxy.plan.reload_reasons import Reason
from headrace.ir.backend import Backend, Options, Shape
from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.pointers import Pointer
from headrace.ir.tls import HostTls, Pem
from headrace.names import Ref
from headrace.resolve.changes import Change, FragmentChange

WEB, OTHER = Ref('Service', 'shop', 'web'), Ref('Service', 'bank', 'web')
POLICY = names.policy(WEB, '80')


def fragment(ref):
    file = Claim(Kind.CERTIFICATE, f'{ref.namespace}_tls', Pem(b''))
    backend = Backend(f'{ref.namespace}_web_80', ref, '80', Shape(), Options())
    pointer = Pointer(backend.name, names.policy(ref, '80'))
    host = f'{ref.namespace}.example.com'
    route = Claim(Kind.ROUTE, f'{host}/admin', pointer)
    port = Claim(Kind.PORT, '5000' if ref == WEB else '5001', replace(pointer, policy=f'of-{ref.namespace}'))
    tls = Claim(Kind.TLS, host, HostTls(certificates=('default',)))
    return Fragment(ref, backends=(backend,), claims=(file, port, route, tls))


BOTH = Change((FragmentChange(OTHER, fragment(OTHER), None), FragmentChange(WEB, None, fragment(WEB))))


@pytest.mark.parametrize(
    ('command', 'found'),
    [
        pytest.param(Command(Phase.BACKENDS, 'add backend shop_web_80 from http'), (WEB,), id='a backend'),
        pytest.param(Command(Phase.SERVERS_GONE, 'del server bank_web_80/10.0.0.1:80'), (OTHER,), id='a server'),
        pytest.param(
            Command(Phase.DATA, 'set ssl cert certificates/shop_tls.pem', 'key', payload_shown='hidden'),
            (WEB,),
            id='a certificate',
        ),
        pytest.param(
            Command(Phase.DATA, 'add ssl crt-list certificates/list.txt', 'certificates/bank_tls.pem a.example.com\n'),
            (OTHER,),
            id='a line of a list',
        ),
        pytest.param(Command(Phase.DATA_GONE, f'del map maps/body.map {POLICY}'), (WEB,), id='a policy'),
        pytest.param(
            Command(Phase.DATA, 'add map maps/allow.map', f'{POLICY}:4C0A8 1\n'), (WEB,), id='an entry of a policy'
        ),
        pytest.param(
            Command(Phase.DATA, 'add map maps/auth.map', f'{POLICY}:AB 1\n', payload_shown='credentials'),
            (WEB,),
            id='an entry that is not shown',
        ),
        pytest.param(
            Command(Phase.POINTERS_GONE, 'del map maps/routes.map shop.example.com/admin'), (WEB,), id='a route'
        ),
        pytest.param(Command(Phase.POINTERS_GONE, 'del map maps/ports.map 5001'), (OTHER,), id='a port'),
        pytest.param(
            Command(Phase.POINTERS, 'add map maps/ports.map', '5001 x|of-bank|\n'), (OTHER,), id='a pointer to a policy'
        ),
        pytest.param(
            Command(
                Phase.POINTERS, 'add ssl crt-list certificates/list.txt', 'certificates/default.pem bank.example.com\n'
            ),
            (OTHER,),
            id='a host with the default certificate',
        ),
        pytest.param(
            Command(Phase.POINTERS_GONE, 'del map maps/rate.map 5001'), (OTHER, WEB), id='a key of another map'
        ),
        pytest.param(Command(Phase.DATA, 'clear map maps/routes.map'), (OTHER, WEB), id='nothing of one object'),
    ],
)
def test_a_refused_command_is_charged_to_those_it_speaks_of(command, found):
    assert reload_reasons.subjects(command, BOTH) == found


def test_a_reason_is_of_the_namespaces_of_its_objects():
    assert Reason('profile', 'x', (WEB, OTHER, Ref('Class', '', 'headrace'))).namespaces == {'shop', 'bank'}
