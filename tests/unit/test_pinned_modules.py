"""The programs of Kubernetes that tests build from several modules fit together."""

import re

import pytest

from conftest import ROOT

_VERSIONED = re.compile(r'(k8s\.io/kubernetes|k8s\.io/\S+ => \S+) (v\S+)')


def _versions(folder):
    return dict(_VERSIONED.findall((ROOT / 'tests' / folder / 'go.mod').read_text()))


@pytest.mark.parametrize('folder', ['e2e', 'kind'])
def test_a_module_pins_the_version_of_kubernetes_that_the_control_plane_has(folder):
    pinned = _versions('controlplane')
    assert len(pinned) > 20
    assert _versions(folder) == pinned
