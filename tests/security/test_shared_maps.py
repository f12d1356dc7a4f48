"""Maps are of all namespaces: what a request costs must not grow with the entries of others."""

import re

import pytest

from headrace.haproxy.render.render import Renderer
from headrace.settings.settings import Settings
from headrace.translate.build_context import Role
from support.objects import built

# HAProxy looks for these in a tree; the other kinds compare each entry of the map with the sample.
_BY_TREE = {'map_str', 'map_str_int', 'map_beg', 'map_beg_key', 'map_ip'}


@pytest.mark.parametrize('role', [Role.EDGE, Role.NODE])
def test_no_rule_compares_a_request_with_each_entry_of_a_map(role):
    made = built(settings=Settings(tcp_ports='5000'), role=role)
    text = '\n'.join(
        data.decode() for name, data in Renderer(made.context).render(made).items() if name.endswith('.cfg')
    )
    used = set(re.findall(r'\bmap(?:_\w+)?(?=\()', text))
    assert 'map_beg' in used or role is Role.NODE
    assert used <= _BY_TREE
