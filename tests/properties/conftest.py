"""How many examples the properties draw: few and always the same for every change, many and new ones on request."""

import os

from hypothesis import HealthCheck, settings

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

settings.register_profile(
    'ci', max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=SLOW
)
settings.register_profile('long', max_examples=2000, deadline=None, suppress_health_check=SLOW)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'ci'))
