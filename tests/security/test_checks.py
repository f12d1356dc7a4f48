"""Active checks: no namespace asks for more of them than the class allows."""

import pytest

from headrace.settings.settings import Settings, SettingsError
from headrace.translate import build_context
from support.objects import built, endpoint_slice, fragment, service

ROUTE = {'host': 'a.example.com', 'check': 'http'}


def checked(interval, **settings):
    """Return how often the endpoints are checked (ms), and the diagnostics."""
    document = service(annotations={**ROUTE, 'check-interval': interval})
    made = built(document, endpoint_slice(addresses=['10.0.0.1']), settings=Settings(**settings))
    (backend,) = fragment(made).backends
    return backend.options.interval, [(diagnostic.reason, diagnostic.message) for diagnostic in made.all_diagnostics()]


@pytest.mark.parametrize('interval', ['1ms', '499ms'])
def test_a_service_cannot_have_its_endpoints_checked_a_thousand_times_a_second(interval):
    used, told = checked(interval)
    assert used == 2000
    assert told == [
        (
            'InvalidValue',
            f"headrace.io/check-interval of port 80: {interval} is less than the class's minCheckInterval, 500ms",
        )
    ]


@pytest.mark.parametrize(
    ('interval', 'settings', 'used'),
    [
        pytest.param('500ms', {}, 500, id='the least'),
        pytest.param('100ms', {'min_check_interval': '100ms'}, 100, id='another setting'),
        pytest.param('1ms', {'defaults': {'check-interval': '5s'}}, 5000, id="the class's default counts instead"),
    ],
)
def test_what_the_class_allows_is_used(interval, settings, used):
    assert checked(interval, **settings)[0] == used


def test_a_default_of_the_class_below_its_own_minimum_is_refused():
    with pytest.raises(SettingsError, match='minCheckInterval'):
        build_context.make(Settings(defaults={'check-interval': '10ms'}))
