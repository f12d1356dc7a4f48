"""Names that are made of what users choose: no user finds a value whose name is that of another user's."""

import itertools
from dataclasses import replace

import pytest

from headrace import names
from headrace.haproxy.encode import profiles
from headrace.haproxy.render.render import Renderer
from headrace.ir.backend import Options, Shape
from headrace.ir.fragment import Kind
from headrace.ir.l4 import Action, Balanced
from headrace.names import Ref
from headrace.nft import rules
from headrace.objects import parse
from headrace.resolve.state import State
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import build_context
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support.objects import built, endpoint_slice, service

HTTP = [{'name': 'http', 'port': 80}]
# Among so many values of 32 bits ten are expected to be equal.
MANY = 300_000


def test_a_header_that_is_called_as_a_check_does_not_take_the_profile_of_a_check():
    assert Shape(balance='hdr:x-user-check-http').profile != Shape(balance='hdr:x-user', check='http').profile
    assert Shape(balance='hdr:x-user-cookie').profile != Shape(balance='hdr:x-user', cookie='headrace').profile


def test_two_tenants_with_such_shapes_have_a_profile_each():
    made = built(
        service('web', namespace='tenant-a', annotations={'host': 'a.com', 'balance': 'hdr:x-user', 'check': 'http'}, ports=HTTP),
        service('web', namespace='tenant-b', annotations={'host': 'b.com', 'balance': 'hdr:x-user-check-http'}, ports=HTTP),
    )  # fmt: skip
    text = Renderer(build_context.make(Settings())).render(made)['haproxy/20-profiles.cfg'].decode()
    used = [backend.shape for fragment in made.fragments.values() for backend in fragment.backends]
    sections = {part.partition(' ')[0]: part for part in text.split('\ndefaults ')}
    checked, plain = (sections[shape.profile] for shape in sorted(used, key=lambda shape: shape.check != 'http'))
    assert 'option httpchk' in checked
    assert 'option httpchk' not in plain


def test_nothing_that_a_user_wrote_is_in_the_name_or_the_comment_of_a_profile():
    shape = Shape(balance='hdr:x-secret', cookie='chosen', retry_on=('503',), snippets=('mine',))
    made = profiles.section(shape.profile, shape, {})
    for text in ('x-secret', 'chosen', 'mine'):
        assert text not in made.name
        assert text not in made.about
    assert made.about == 'http, hdr, cookie, with other values'


def test_no_two_of_many_shapes_have_one_name():
    found = {Shape(cookie=f'c{number}').suffix for number in range(MANY)}
    assert len(found) == MANY


def test_no_two_of_many_options_of_a_server_have_one_name():
    found = {Options(interval=number).suffix for number in range(MANY)}
    # The default interval has no suffix.
    assert len(found) == MANY


def test_a_policy_has_too_many_digits_to_look_for_one_of_a_thousand_others():
    ref = Ref('Service', 'shop', 'web')
    assert len(names.policy(ref, 'http')) * 4 >= 128


def test_no_two_endpoints_of_one_group_share_a_chain_of_the_kernel():
    ends = tuple(
        sorted(
            (f'2001:db8::{first:x}:{second:x}', 80) for first, second in itertools.product(range(1, 200), range(1, 200))
        )
    )
    made = rules.group(Balanced('group', 'TCP', ends, affinity=60))
    assert len(made.chains) == len(ends) + 1
    assert len(made.sets) == len(ends)


# Found in seconds with an empty key: addresses whose stand-ins at port 80 are equal.
ALIKE = ('2001:db8::1b5:5f3c', '2001:db8::2cb:5084')


def taken_over(name, namespace, address, number, *, created, said=None):
    return (
        service(
            name, namespace, annotations={'proxy': 'node', 'mode': 'http', **(said or {})}, ports=HTTP, created=created,
            clusterIP=f'10.96.0.{number}', externalIPs=[address],
        ),
        endpoint_slice(name, namespace=namespace, port_name='http', family='IPv6', addresses=[f'fd00::{number}']),
    )  # fmt: skip


def on_a_node(*documents, key=b''):
    store, made = (
        Store(),
        State(replace(build_context.make(Settings(), role=Role.NODE, topology=Topology('n1')), synthetic_key=key)),
    )
    for document in documents:
        store.put(parse.read(document).object)
    made.update(store, store.take())
    return store, made


def led(made, address):
    """Return where the kernel leads clients of an address, and the backend that HAProxy finds there."""
    pointers = dict(made.pointers())
    virtual_address = pointers[Kind.VIRTUAL_ADDRESS, f'{address}:80/TCP']
    found = pointers.get((Kind.ADDRESS, virtual_address.synthetic_address))
    return virtual_address.external_path.action, found and found.backend.partition('_')[0]


OLDER = taken_over('web', 'tenant-a', ALIKE[0], 10, created='2020-01-01T00:00:00Z')
YOUNGER = taken_over('web', 'tenant-b', ALIKE[1], 11, created='2021-01-01T00:00:00Z')


def test_with_a_secret_of_the_node_no_user_can_look_for_an_address_of_the_same_stand_in():
    _, made = on_a_node(*OLDER, *YOUNGER, key=b'a secret of the node')
    assert led(made, ALIKE[0]) == (Action.SERVE, 'tenant-a')
    assert led(made, ALIKE[1]) == (Action.SERVE, 'tenant-b')
    assert names.synthetic_address(ALIKE[0], 80, b'one') != names.synthetic_address(ALIKE[0], 80, b'two')


@pytest.mark.parametrize('documents', [(*OLDER, *YOUNGER), (*YOUNGER, *OLDER)], ids=['older first', 'younger first'])
def test_of_two_addresses_of_one_stand_in_the_younger_is_closed_and_told(documents):
    _, made = on_a_node(*documents)
    assert led(made, ALIKE[0]) == (Action.SERVE, 'tenant-a')
    assert led(made, ALIKE[1])[0] is Action.REFUSE
    (told,) = [diagnostic for diagnostic in made.all_diagnostics() if diagnostic.reason == 'Conflict']
    assert told.ref.namespace == 'tenant-b'
    assert told.message == (
        f'what stands for address {ALIKE[1]}:80 in HAProxy stands for one of Service tenant-a/web too'
    )


def test_the_younger_is_served_when_the_older_leaves_and_closed_when_it_comes_back():
    store, made = on_a_node(*OLDER, *YOUNGER)
    older = parse.read(OLDER[0]).object
    store.drop(older.ref)
    change = made.update(store, store.take())
    assert (Kind.VIRTUAL_ADDRESS, f'{ALIKE[1]}:80/TCP') in {item.key for item in change.pointers}
    assert led(made, ALIKE[1]) == (Action.SERVE, 'tenant-b')
    store.put(older)
    made.update(store, store.take())
    assert led(made, ALIKE[1])[0] is Action.REFUSE


def test_two_services_that_name_one_address_are_told_once():
    again = taken_over('web', 'tenant-b', ALIKE[0], 11, created='2021-01-01T00:00:00Z')
    _, made = on_a_node(*OLDER, *again)
    (told,) = [diagnostic for diagnostic in made.all_diagnostics() if diagnostic.reason == 'Conflict']
    assert told.message == f'address {ALIKE[0]}:80 is held by Service tenant-a/web'
