"""A HAProxy that is older than headrace needs, or built without QUIC, at the command line."""

from support import fakes
from support.objects import service

WEB = service(annotations={'host': 'web.example.com'})
REFUSED = 'is HAProxy 3.0.11; headrace needs HAProxy 3.4 or later'


def test_check_does_not_ask_an_old_haproxy_and_says_which_version_it_found(headrace, given, tmp_path):
    old = fakes.old(tmp_path)
    outcome = headrace('check', '-f', given(WEB), '--haproxy', old)
    assert outcome.code == 4
    assert outcome.out.endswith(f'HAProxy was not asked: {old} {REFUSED}\n')
    assert (tmp_path / 'called').read_text() == '-v\n'


def test_check_says_the_same_to_programs(headrace, given, tmp_path):
    old = fakes.old(tmp_path)
    outcome = headrace('check', '-f', given(WEB), '--haproxy', old, '--format', 'json')
    assert (outcome.code, outcome.values['haproxy'], outcome.values['problem']) == (4, None, f'{old} {REFUSED}')


def test_check_warns_where_a_build_lacks_what_the_settings_ask_for(headrace, given, tmp_path, haproxy_34):
    config = given('http3: true', name='config.yaml')
    for binary, said in ((fakes.without_quic(tmp_path, haproxy_34), ['BeyondHaproxy']), (haproxy_34, [])):
        outcome = headrace('check', '-f', given(WEB), '--haproxy', binary, '--config', config, '--format', 'json')
        assert outcome.values['haproxy']['accepted']
        assert [reason for reason, _ in outcome.said if reason == 'BeyondHaproxy'] == said
