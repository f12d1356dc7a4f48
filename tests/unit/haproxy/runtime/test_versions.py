"""Which versions of HAProxy are accepted, and what of the settings a build cannot do."""

import pytest

from headrace.haproxy.runtime import probe, versions
from headrace.haproxy.runtime.versions import OldHaproxyError
from headrace.settings.settings import Settings


@pytest.mark.parametrize('version', ['3.4', '3.4.7-1', '3.4-dev5', '3.4.8', '3.10', '4.0'])
def test_a_version_from_3_4_on_is_accepted(version):
    versions.require(version, 'bin/haproxy')


@pytest.mark.parametrize('version', ['3.0.11', '3.3.9', '2.8.1', '', 'three', '.4', '-3.4'])
def test_another_version_is_refused_with_the_one_found_and_the_one_needed(version):
    with pytest.raises(OldHaproxyError) as raised:
        versions.require(version, 'bin/haproxy')
    assert str(raised.value) == f'bin/haproxy is HAProxy {version}; headrace needs HAProxy 3.4 or later'


@pytest.mark.parametrize(('http3', 'quic'), [(True, True), (False, True), (False, False)])
def test_a_build_that_can_do_all_that_is_asked_lacks_nothing(http3, quic):
    assert probe.lacking(Settings(http3=http3), quic=quic) == ''


def test_a_build_without_quic_lacks_http3():
    assert probe.lacking(Settings(http3=True), quic=False).startswith('http3: this HAProxy was built without QUIC')
