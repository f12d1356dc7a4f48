"""What a worker has of TLS when it is adopted, and the commands that correct it."""

from headrace.haproxy.runtime import adoption
from headrace.ir.fragment import Kind
from headrace.ir.tls import HostTls
from headrace.resolve.model_snapshot import ModelSnapshot

SLOT = 'certificates/slot-28002.txt'
HOSTS = 'certificates/list.txt'


def commands(live, **tls):
    """Return the commands for lists of a worker; `tls` are the wanted certificates by host: those of a slot, and of the class."""
    pointers = {
        (Kind.GATEWAY_TLS, '28002:a.com'): HostTls(certificates=tls.get('slot', ())),
        (Kind.TLS, 'b.com'): HostTls(certificates=tls.get('hosts', ())),
    }
    batch = adoption.material_repairs(ModelSnapshot({}, pointers), adoption.Materials({}, live))
    return {(command.line, command.payload.strip() or command.locate) for command in batch}


def test_each_list_gets_its_own_lines():
    live = {SLOT: ('certificates/nobody.pem *',), HOSTS: ('certificates/default.pem *',)}
    assert commands(live, slot=('shop_a',), hosts=('shop_b',)) == {
        (f'add ssl crt-list {SLOT}', 'certificates/shop_a.pem a.com'),
        (f'add ssl crt-list {HOSTS}', 'certificates/shop_b.pem b.com'),
    }


def test_lines_that_are_not_wanted_go():
    live = {
        SLOT: ('certificates/nobody.pem *', 'certificates/x_x.pem x.com'),
        HOSTS: ('certificates/shop_b.pem b.com',),
    }
    assert commands(live, hosts=('shop_b',)) == {
        (f'del ssl crt-list {SLOT} certificates/x_x.pem', 'certificates/x_x.pem x.com')
    }


def test_a_list_that_a_worker_does_not_have_is_left_to_a_reload():
    assert commands({}, slot=('shop_a',), hosts=('shop_b',)) == set()
