"""Listeners with certificates of their own: who has which, and how one layout becomes another."""

import random

import pytest

from headrace.haproxy.encode import certificate_lists, tls_listeners
from headrace.haproxy.encode.certificate_lists import FIRST
from headrace.haproxy.encode.tls_listeners import NONE
from headrace.ir.fragment import Kind
from headrace.ir.tls import HostTls
from headrace.resolve.changes import PointerChange


def key(number, mode='http', more=0):
    """Return the key of a port that wants a listener of this number (of 64)."""
    return f'{mode}/{number:08x}{more:08x}'


def tls(name, **how):
    return HostTls(certificates=(name,), **how)


def ports(*keys):
    return {each: tls(each.partition('/')[2]) for each in keys}


def test_a_port_has_the_listener_of_its_number_and_who_comes_after_it_by_name_the_next():
    made = tls_listeners.of(ports(key(3), key(3, more=1), key(4), key(63), key(63, more=1), key(3, 'tcp')))
    assert made.names == {
        key(3): 'tls-http-3',
        key(3, more=1): 'tls-http-4',
        key(4): 'tls-http-5',
        key(63): 'tls-http-63',
        key(63, more=1): 'tls-http-0',
        key(3, 'tcp'): 'tls-tcp-3',
    }


@pytest.mark.parametrize(
    ('count', 'size'), [(0, 64), (1, 64), (32, 64), (33, 128), (64, 128), (65, 256)]
)  # fmt: skip
def test_at_most_half_of_the_listeners_have_a_port(count, size):
    made = tls_listeners.of(ports(*map(key, range(count))))
    assert (made.sizes, len(set(made.names.values()))) == ({'http': size, 'tcp': 16}, count)
    assert len(certificate_lists.names(made)) == size + 16


def test_a_layout_follows_from_the_ports_whatever_their_order():
    drawn = random.Random(7)
    found = ports(*(key(drawn.randrange(8), more=drawn.randrange(4)) for _ in range(20)))
    turned = dict(sorted(found.items(), reverse=True))
    assert tls_listeners.of(found).names == tls_listeners.of(turned).names


def test_changes_of_other_pointers_leave_the_layout_as_it_is():
    made = tls_listeners.of(ports(key(1)))
    assert made.after([PointerChange((Kind.TLS, 'a.com'), None, tls('a'))]) is made
    gone = made.after([PointerChange((Kind.LISTENER, key(1)), tls('a'), None)])
    assert gone == tls_listeners.of({})
    other = made.after([PointerChange((Kind.LISTENER, key(1)), tls('a'), tls('b'))])
    assert (other.names, other.tls) == (made.names, {key(1): tls('b')})
    both = made.after([PointerChange((Kind.LISTENER, key(2, 'tcp')), None, tls('c'))])
    assert both.names == {**made.names, key(2, 'tcp'): 'tls-tcp-2'}


@pytest.mark.parametrize(
    ('file', 'name'),
    [
        ('certificates/tls-http-3.txt', 'tls-http-3'),
        ('certificates/tls-tcp-0.txt', 'tls-tcp-0'),
        ('certificates/list.txt', ''),
        ('certificates/tls-secret.pem', ''),
        ('other/tls-http-3.txt', ''),
    ],
)
def test_a_list_of_a_listener_is_known_by_its_file(file, name):
    assert certificate_lists.is_one(file) is bool(name)
    assert not name or certificate_lists.name_of(file) == name


class Simulated:
    """What a HAProxy has: the lines of its lists, and its map. No client sees the certificate of another port."""

    def __init__(self, layout):
        self.lists = {
            tls_listeners.crt_list(name): [FIRST, *found] for name, found in certificate_lists.lines(layout).items()
        }
        self.map = {entry.key: entry.value for entry in layout.entries()}
        self.closed = 0

    def do(self, made, owned):
        for command in made:
            words = command.line.split(' ')
            match words:
                case ['add', 'ssl', 'crt-list', file]:
                    self.lists[file].append(command.payload.removesuffix('\n'))
                case ['del', 'ssl', 'crt-list', file, _]:
                    assert command.locate != FIRST
                    self.lists[file].remove(command.locate)
                case ['set', 'map', 'maps/listeners.map', policy, name]:
                    assert policy in self.map
                    self.map[policy] = name
                    self.closed += name == NONE
                case ['add', 'map', 'maps/listeners.map']:
                    policy, name = command.payload.split()
                    assert policy not in self.map
                    self.map[policy] = name
                case ['del', 'map', 'maps/listeners.map', policy]:
                    del self.map[policy]
                case _:
                    raise AssertionError(command.line)
            self.judge(owned)

    def judge(self, owned):
        """Fail where a client of a port would see the certificate of another one, or none though it has a listener."""
        for policy, name in self.map.items():
            if name != NONE:
                shown = {line.split(' ')[0] for line in self.lists[tls_listeners.crt_list(name)][1:]}
                assert shown
                assert shown <= owned[policy]


def files(layout):
    """Return the certificates of each port by its policy."""
    return {
        tls_listeners.policy(each): {f'certificates/{name}.pem' for name in held.certificates}
        for each, held in layout.tls.items()
    }


def test_ports_come_go_and_move_and_no_client_sees_the_certificate_of_another():
    drawn = random.Random(3)
    before = tls_listeners.of({})
    held = Simulated(before)
    moved = 0
    for _ in range(300):
        wanted = dict(before.tls)
        for _ in range(drawn.randrange(1, 4)):
            each = key(drawn.randrange(6), drawn.choice(['http', 'http', 'tcp']), more=16 * drawn.randrange(3))
            each = f'{each[:-1]}{"a" if each.startswith("tcp") else "b"}'
            if each in wanted and drawn.random() < 0.6:
                del wanted[each]
            elif len(wanted) < 8 or each in wanted:
                wanted[each] = tls(
                    f'{tls_listeners.policy(each)}-{drawn.randrange(2)}', client_ca=drawn.choice(['', 'ca'])
                )
        after = tls_listeners.of(wanted)
        assert after.sizes == before.sizes
        moved += sum(after.names.get(each, name) != name for each, name in before.names.items())
        owned = {policy: files(before).get(policy, set()) | found for policy, found in files(after).items()}
        held.do(certificate_lists.moves(before, after), {**files(before), **owned})
        fresh = Simulated(after)
        assert {file: sorted(found) for file, found in held.lists.items()} == {
            file: sorted(found) for file, found in fresh.lists.items()
        }
        assert held.map == fresh.map
        before = after
    assert moved > 50


def test_where_ports_wait_for_one_another_one_is_closed_for_that_moment():
    first, second = key(1), key(2)
    before = tls_listeners.of(ports(first, second))
    after = tls_listeners.Layout(before.tls, {first: 'tls-http-2', second: 'tls-http-1'}, before.sizes)
    held = Simulated(before)
    held.do(certificate_lists.moves(before, after), files(before))
    assert (held.map, held.closed) == (
        {tls_listeners.policy(first): 'tls-http-2', tls_listeners.policy(second): 'tls-http-1'},
        1,
    )


def test_a_list_begins_with_an_untrusted_certificate_and_its_lines_hold_for_every_name():
    made = tls_listeners.of({key(5): tls('shop_tls', client_ca='shop_ca', verify='required')})
    found = certificate_lists.files(made)
    assert found['certificates/tls-http-5.txt'] == (
        b'certificates/nobody.pem *\ncertificates/shop_tls.pem [ca-file authorities/shop_ca.pem verify required] *\n'
    )
    assert found['certificates/tls-http-6.txt'] == b'certificates/nobody.pem *\n'
    assert b'PRIVATE KEY' in found['certificates/nobody.pem']
    assert certificate_lists.differing(tls_listeners.of({}), made) == {'certificates/tls-http-5.txt'}
