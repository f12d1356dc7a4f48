"""Because of whose objects a reload is needed."""

import pytest

from headrace.haproxy import reasons
from headrace.haproxy.commands import Command, Phase
from headrace.haproxy.reasons import Reason
from headrace.model.changes import Change, FragmentChange
from headrace.model.ir import Backend, Claim, Fragment, Kind, Options, Pem, Shape
from headrace.names import Ref

WEB, OTHER = Ref('Service', 'shop', 'web'), Ref('Service', 'bank', 'web')


def fragment(ref):
    file = Claim(Kind.CERTIFICATE, f'{ref.namespace}_tls', Pem(b''))
    backend = Backend(f'{ref.namespace}_web_80', ref, '80', Shape(), Options())
    return Fragment(ref, backends=(backend,), claims=(file,))


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
        pytest.param(Command(Phase.DATA, 'clear map maps/routes.map'), (OTHER, WEB), id='nothing of one object'),
    ],
)
def test_a_refused_command_is_charged_to_those_it_speaks_of(command, found):
    assert reasons.concerned(command, BOTH) == found


def test_a_reason_is_of_the_namespaces_of_its_objects():
    assert Reason('profile', 'x', (WEB, OTHER, Ref('Class', '', 'headrace'))).namespaces == {'shop', 'bank'}
