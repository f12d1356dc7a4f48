"""Because of whose objects a reload is needed."""

from dataclasses import replace

import pytest

from headrace import names
from headrace.haproxy.encode import commands
from headrace.haproxy.encode.commands import Phase
from headrace.haproxy.plan import reload_reasons
from headrace.haproxy.plan.reload_reasons import Reason
from headrace.ir.backend import Backend, Options, Shape
from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.pointers import Pointer
from headrace.ir.policy import Entry, Map, Timeouts
from headrace.ir.tls import HostTls, Pem
from headrace.names import Ref
from headrace.resolve.changes import Change, FragmentChange

WEB, OTHER = Ref('Service', 'shop', 'web'), Ref('Service', 'bank', 'web')
POLICY = names.policy(WEB, '80')


LISTENER = (Kind.LISTENER, f'http/{POLICY}')


def backend(ref):
    return Backend(f'{ref.namespace}_web_80', ref, '80', Shape(), Options())


def fragment(ref):
    file = Claim(Kind.CERTIFICATE, f'{ref.namespace}_tls', Pem(b''))
    policy = names.policy(ref, '80')
    pointer = Pointer(backend(ref).name, policy)
    host = f'{ref.namespace}.example.com'
    routes = tuple(Claim(Kind.ROUTE, f'{host}/{path}', pointer) for path in ('admin', 'a b'))
    port = Claim(Kind.PORT, '5000' if ref == WEB else '5001', replace(pointer, policy=f'of-{ref.namespace}'))
    tls = Claim(Kind.TLS, host, HostTls(certificates=('default',)))
    listener = Claim(Kind.LISTENER, f'http/{policy}', HostTls(certificates=('a',)))
    entries = (
        Entry(Map.BODY, policy, '1'),
        Entry(Map.ALLOW, f'{policy}:4C0A8', '1'),
        Entry(Map.AUTH, f'{policy}:AB', '1'),
    )
    return Fragment(
        ref,
        backends=(backend(ref),),
        claims=(file, port, *routes, tls, listener),
        data=entries,
        timeouts=(Timeouts(policy, server=1),),
    )


BOTH = Change((FragmentChange(OTHER, fragment(OTHER), None), FragmentChange(WEB, None, fragment(WEB))))
LIST = 'certificates/list.txt'


def added(name, *keys):
    (command,) = commands.add_entries(Phase.DATA, [Entry(name, key, '1') for key in keys])
    return command


def gone(name, key):
    return commands.del_entry(Phase.POINTERS_GONE, Entry(name, key, ''))


@pytest.mark.parametrize(
    ('command', 'found'),
    [
        pytest.param(commands.add_backend(backend(WEB))[0], (WEB,), id='a backend'),
        pytest.param(commands.del_server(backend(OTHER), '10.0.0.1:80')[-1], (OTHER,), id='a server'),
        pytest.param(commands.set_certificate('shop_tls', b'key')[0], (WEB,), id='a certificate'),
        pytest.param(commands.set_authority('shop_tls', b'key')[0], (OTHER, WEB), id='an authority of the same name'),
        pytest.param(
            commands.add_certificate_line(
                LIST, 'certificates/default.pem bank.example.com', (Kind.TLS, 'bank.example.com')
            ),
            (OTHER,),
            id='a line of a host',
        ),
        pytest.param(
            commands.del_certificate_line('certificates/tls-http-1.txt', 'certificates/a.pem *', LISTENER),
            (WEB,),
            id='a line of a listener',
        ),
        pytest.param(
            commands.del_certificate_line(LIST, 'certificates/a.pem *'), (OTHER, WEB), id='a line of no known claim'
        ),
        pytest.param(gone(Map.BODY, POLICY), (WEB,), id='a policy'),
        pytest.param(added(Map.ALLOW, f'{POLICY}:4C0A8'), (WEB,), id='an entry of a policy'),
        pytest.param(added(Map.AUTH, f'{POLICY}:AB'), (WEB,), id='an entry that is not shown'),
        pytest.param(gone(Map.TIMEOUTS, POLICY), (WEB,), id='an entry that is typed in the model'),
        pytest.param(gone(Map.ROUTES, 'shop.example.com/admin'), (WEB,), id='a route'),
        pytest.param(gone(Map.ROUTES, 'shop.example.com/a b'), (WEB,), id='a route whose key is escaped'),
        pytest.param(gone(Map.PORTS, '5001'), (OTHER,), id='a port'),
        pytest.param(added(Map.PORTS, '5000', '5001'), (OTHER, WEB), id='ports of both'),
        pytest.param(gone(Map.CLIENT_CA, 'bank.example.com'), (OTHER,), id='who may come to a host'),
        pytest.param(gone(Map.LISTENERS, POLICY), (WEB,), id='a listener'),
        pytest.param(gone(Map.RATE, '5001'), (OTHER, WEB), id='a key of another map'),
        pytest.param(commands.take_turns(passing=True)[0], (OTHER, WEB), id='nothing of one object'),
    ],
)
def test_a_refused_command_is_charged_to_the_objects_that_it_is_about(command, found):
    assert reload_reasons.concerned(command, BOTH) == found


def test_a_reason_is_of_the_namespaces_of_its_objects():
    assert Reason('profile', 'x', (WEB, OTHER, Ref('Class', '', 'headrace'))).namespaces == {'shop', 'bank'}
