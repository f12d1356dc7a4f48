"""What the tests of the dashboard share."""

import pytest

from support.browser import Browser
from support.dashboards import Dashboard
from support.fixtures import live, make_live, town  # noqa: F401


@pytest.fixture
def dashboard(live):  # noqa: F811
    """The dashboard of an agent that is not started yet: see `begin`."""
    return Dashboard(live)


@pytest.fixture(scope='module')
def browser():
    """Chromium, for the tests of one file."""
    made = Browser()
    yield made
    made.close()
