"""Names that are made of what users choose: no user finds a value whose name is that of another user's."""

import itertools

from headrace import names
from headrace.haproxy import profiles
from headrace.haproxy.capabilities import of_version
from headrace.haproxy.render import Renderer
from headrace.model import view
from headrace.model.ir import Balanced, Options, Shape
from headrace.names import Ref
from headrace.node import ruleset
from headrace.settings import Settings
from support.objects import built, service

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
    text = Renderer(view.make(Settings()), of_version('3.4')).render(made)['haproxy/20-profiles.cfg'].decode()
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
    made = ruleset.group(Balanced('group', 'TCP', ends, affinity=60))
    assert len(made.chains) == len(ends) + 1
    assert len(made.sets) == len(ends)
