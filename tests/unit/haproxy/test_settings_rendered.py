"""What a change of a setting of the class changes in HAProxy's files is what its page says that it costs."""

import pytest

from headrace.haproxy.render.render import Renderer
from headrace.settings import settings
from support.class_changes import BASE, HTTP3, RELOAD, RESTART, RUNTIME, applied
from support.objects import built, endpoint_slice, service, tls_secret

SERVICES = (
    service(annotations={'host': 'web.example.com', 'tls-secret': 'web', 'cookie': 'true', 'rate-limit': '1/s'}),
    endpoint_slice(addresses=['10.0.0.1']),
    tls_secret('web'),
    tls_secret('default'),
)


def loaded(**changed):
    """Return what HAProxy reads only when it starts: all files but the maps."""
    # Without ranges there is no frontend for TCP.
    wanted = {'tcpPorts': '20000', 'addresses': ['127.0.0.1'], **BASE, **changed}
    made = built(*SERVICES, settings=settings.make(wanted), all_secrets=True, own_namespace='headrace-system')
    files = Renderer(made.context).render(made)
    return {name: text for name, text in files.items() if not name.startswith('maps/')}


def test_each_setting_is_changed_as_its_page_says_it_is_applied():
    said = {word: {key for key, how in applied().items() if how == word} for word in ('runtime', 'reload', 'restart')}
    assert said == {'runtime': set(RUNTIME), 'reload': {*RELOAD, *HTTP3}, 'restart': set(RESTART)}


@pytest.mark.parametrize(('key', 'value'), [*(RELOAD | HTTP3).items()])
def test_a_setting_that_costs_a_reload_changes_what_haproxy_starts_with(key, value):
    value = {'httpPort': 81, 'httpsPort': 444, 'healthPort': 82, 'tcpPorts': '20001'}.get(key, value)
    assert loaded(**{key: value}) != loaded()


# Where servers come from changes the servers, which are told to HAProxy.
@pytest.mark.parametrize(('key', 'value'), [item for item in RUNTIME.items() if item[0] != 'addressSource'])
def test_a_setting_that_is_applied_at_run_time_changes_nothing_that_haproxy_starts_with(key, value):
    assert loaded(**{key: value}) == loaded()
