"""Where health and metrics are bound: apart from clients, where the class says so."""

import pytest

from headrace.haproxy.render.render import Renderer
from headrace.settings.settings import Settings
from support.objects import built


@pytest.mark.parametrize(
    ('more', 'expected'),
    [
        pytest.param({}, ['192.0.2.1:8404'], id='as the listeners'),
        pytest.param(
            {'health_addresses': ('127.0.0.1', '::1')}, ['127.0.0.1:8404', '[::1]:8404 v6only'], id='their own'
        ),
    ],
)
def test_metrics_stand_open_on_the_addresses_of_health_only(more, expected):
    made = built(settings=Settings(addresses=('192.0.2.1',), **more))
    text = Renderer(made.context).render(made)['haproxy/30-frontends.cfg'].decode()
    binds = [line.strip() for line in text.splitlines() if line.strip().startswith('bind ')]
    assert [line.removeprefix('bind ') for line in binds if ':8404' in line] == expected
    assert any(line.startswith('bind 192.0.2.1:8080') for line in binds)
