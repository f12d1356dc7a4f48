"""What the tests of the chart share."""

import pytest

from support import chart
from support.fixtures import town  # noqa: F401


@pytest.fixture
def release(control_plane, namespace):
    """What installs the chart's objects for real, pods aside; they are gone after the test."""
    made = []

    def install(values=None):
        documents = chart.render(values, namespace=namespace)
        for document in chart.installed(documents):
            if document['kind'] not in chart.WITH_PODS:
                control_plane.api.create(document)
                made.append(document)
        return documents

    yield install
    for document in reversed(made):
        control_plane.api.delete(chart.home(document))
