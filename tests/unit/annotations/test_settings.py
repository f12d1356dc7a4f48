"""From values by key to the typed settings of a port."""

import pytest

from headrace.annotations import keys, parse
from headrace.annotations.settings import BackendSettings, Exposure, RouteSettings


@pytest.mark.parametrize(
    ('make', 'empty'),
    [(parse.exposure, Exposure()), (parse.route, RouteSettings()), (parse.backend, BackendSettings())],
    ids=['exposure', 'route', 'backend'],
)
def test_nothing_said_is_the_defaults_and_one_value_for_all(make, empty):
    assert make({}) == empty
    assert make({}) is make({'unrelated': 1})


@pytest.mark.parametrize('key', [key for key in keys.KEYS if key.scope != 'Service'], ids=lambda key: key.name)
def test_a_value_is_in_the_field_of_its_key_and_nowhere_else(key):
    made = [make({key.name: 'value'}) for make in (parse.exposure, parse.route, parse.backend)]
    holders = [item for item in made if getattr(item, key.field, None) == 'value']
    assert len(holders) == 1
    assert [item for item in made if item not in holders] == [
        empty for empty in (Exposure(), RouteSettings(), BackendSettings()) if type(empty) is not type(holders[0])
    ]
