"""`headrace render`, `check` and `plan`: what each prints and writes, for people and for programs."""

import pytest

from support.gateway_objects import gateway_class, listener_set, route
from support.objects import ca_secret, endpoint_slice, ingress, ingress_class, secret, service, tls_secret

READY = endpoint_slice(addresses=['10.0.0.1'])


def hosted(name='web', host='a.example.com', **annotations):
    return service(
        name, annotations={'host': host, **{key.replace('_', '-'): text for key, text in annotations.items()}}
    )


# --- render -----------------------------------------------------------------------------------------------------------


def test_render_says_what_it_wrote_and_how_to_start_it(headrace, given, tmp_path, rendered):
    target = tmp_path / 'out'
    outcome = headrace('render', '-f', given(hosted(), READY), '-o', target)
    assert (outcome.code, outcome.err) == (0, '')
    count = len(rendered(target))
    assert (
        outcome.out
        == f'{count} files with 1 backends in {target}; no diagnostics\nstart it with: haproxy -f {target}/haproxy\n'
    )


def test_render_for_programs_names_each_file_with_its_size(headrace, given, tmp_path, rendered):
    outcome = headrace('render', '-f', given(hosted(), READY), '-o', tmp_path / 'out', '--format', 'json')
    files = rendered(tmp_path / 'out')
    assert outcome.values == {
        'folder': str(tmp_path / 'out'),
        'files': {name: len(data) for name, data in files.items()},
        'diagnostics': [],
    }


def test_diagnostics_of_render_go_to_standard_error_and_do_not_change_its_exit_code(headrace, given, tmp_path):
    outcome = headrace('render', '-f', given(hosted(retries='many')), '-o', tmp_path / 'out')
    assert outcome.code == 0
    first, second = outcome.err.splitlines()
    message = "headrace.io/retries must be a whole number from 0 to 10, not 'many'"
    assert first.split('  ', 4)[-1].split('  ') == ['metadata.annotations[headrace.io/retries]', message]
    assert first.startswith('error    InvalidValue  Service shop/web  ')
    assert second.startswith('warning  NoEndpoints   Service shop/web  ')
    assert '1 error, 1 warning' in outcome.out


def test_render_replaces_what_it_wrote_before(headrace, given, tmp_path, rendered):
    target = tmp_path / 'out'
    headrace('render', '-f', given(hosted('old', tls_secret='tls'), tls_secret('tls')), '-o', target)
    (target / 'maps/.routes.map.new').write_text('what was never finished')
    headrace('render', '-f', given(hosted('new')), '-o', target)
    headrace('render', '-f', given(hosted('new')), '-o', tmp_path / 'fresh')
    assert rendered(target) == rendered(tmp_path / 'fresh')


@pytest.mark.parametrize(
    'name', ['haproxy/haproxy.cfg', 'maps/mine.txt', 'certificates/mine.key', 'authorities/sub/a.pem']
)
def test_render_does_not_touch_foreign_files(headrace, given, tmp_path, rendered, name):
    target = tmp_path / 'etc'
    given('mine', name=f'etc/{name}')
    outcome = headrace('render', '-f', given(hosted()), '-o', target)
    assert outcome.code == 2
    assert 'was not put there by headrace' in outcome.err
    assert rendered(target) == {name: b'mine'}


def test_render_leaves_alone_what_is_beside_its_folders(headrace, given, tmp_path, rendered):
    given('mine', name='etc/hosts')
    assert headrace('render', '-f', given(hosted()), '-o', tmp_path / 'etc').code == 0
    assert rendered(tmp_path / 'etc')['hosts'] == b'mine'


@pytest.mark.parametrize('place', ['a file', 'below a file'])
def test_a_folder_that_cannot_be_written_is_told(headrace, given, tmp_path, place):
    given('mine', name='taken')
    target = tmp_path / 'taken' if place == 'a file' else tmp_path / 'taken/out'
    outcome = headrace('render', '-f', given(hosted()), '-o', target)
    assert (outcome.code, outcome.out) == (2, '')
    assert 'taken' in outcome.err


def test_certificates_can_be_read_by_their_owner_and_group_only(headrace, given, tmp_path):
    headrace('render', '-f', given(hosted(tls_secret='tls'), tls_secret('tls')), '-o', tmp_path / 'out')
    for path in (tmp_path / 'out/certificates').iterdir():
        assert path.stat().st_mode & 0o007 == 0


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_for_programs_holds_diagnostics_haproxys_answer_and_descriptors(headrace, given, haproxy_34):
    path = given(hosted(retries='many'), READY)
    outcome = headrace('check', '-f', path, '--haproxy', haproxy_34, '--format', 'json')
    assert outcome.code == 1
    found = outcome.values
    assert found['diagnostics'] == [
        {
            'level': 'error', 'reason': 'InvalidValue', 'kind': 'Service', 'namespace': 'shop', 'name': 'web',
            'field': 'metadata.annotations[headrace.io/retries]',
            'message': "headrace.io/retries must be a whole number from 0 to 10, not 'many'",
        }
    ]  # fmt: skip
    assert found['haproxy']['accepted'] is True
    assert found['problem'] == ''
    assert found['descriptors']['limit'] == 0
    assert found['descriptors']['needed'] > 8000


def test_check_counts_warnings_as_no_error(headrace, given, haproxy_34):
    outcome = headrace('check', '-f', given(hosted()), '--haproxy', haproxy_34)
    assert outcome.code == 0
    assert outcome.out.splitlines()[1:] == ['1 objects: 1 warning', 'HAProxy accepts the configuration']


def pod(name):
    return {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': name}}


def test_check_names_kinds_that_are_not_read(headrace, given, haproxy_34):
    old = ingress() | {'apiVersion': 'extensions/v1beta1'}
    read = [ingress(hosts={'a.example.com': 'web'}), ingress_class()]
    path = given(hosted(), READY, pod('a'), pod('b'), old, *read, {'no': 'object'})
    outcome = headrace('check', '-f', path, '--haproxy', haproxy_34)
    assert 'of kinds that are not read: 1 Ingress (extensions/v1beta1), 2 Pod (v1)' in outcome.out.splitlines()
    assert outcome.out.splitlines()[0] == '4 objects: no diagnostics'
    outcome = headrace('check', '-f', path, '--haproxy', haproxy_34, '--format', 'json')
    assert outcome.values['unread'] == {'Ingress (extensions/v1beta1)': 1, 'Pod (v1)': 2}


def test_check_reads_all_kinds_of_the_gateway_api(headrace, given, haproxy_34):
    path = given(hosted(), READY, gateway_class(), listener_set(), route('TCPRoute', 'a'), route('TCPRoute', 'b'))
    outcome = headrace('check', '-f', path, '--haproxy', haproxy_34, '--format', 'json')
    assert (outcome.code, outcome.values['unread']) == (0, {})


def test_check_says_what_haproxy_said_when_it_refuses(headrace, given, tmp_path, haproxy_34):
    given('nonsense 1', name='overrides/global.cfg')
    arguments = ('check', '-f', given(hosted(), READY), '--haproxy', haproxy_34, '--overrides', tmp_path / 'overrides')
    outcome = headrace(*arguments)
    assert outcome.code == 3
    assert "unknown keyword 'nonsense'" in outcome.out
    assert outcome.out.endswith('HAProxy refuses the configuration\n')
    values = headrace(*arguments, '--format', 'json').values
    assert values['haproxy']['accepted'] is False
    assert 'nonsense' in values['haproxy']['output']


def test_check_does_the_sum_of_descriptors_that_haproxy_does_not(headrace, given, haproxy_34):
    config = given('{maxconn: 1000, fileDescriptors: 1500}', name='config.yaml')
    arguments = ('check', '-f', given(hosted(), READY), '--haproxy', haproxy_34, '--config', config)
    outcome = headrace(*arguments)
    assert outcome.code == 3
    assert 'and fileDescriptors allows 1500: it would refuse to start' in outcome.out
    assert headrace(*arguments, '--format', 'json').values['descriptors']['limit'] == 1500


@pytest.mark.parametrize('binary', ['/nowhere/haproxy', '/bin/true'])
def test_check_without_a_haproxy_still_tells_diagnostics(headrace, given, binary):
    outcome = headrace('check', '-f', given(hosted()), '--haproxy', binary)
    assert outcome.code == 4
    assert 'NoEndpoints' in outcome.out
    assert f'HAProxy was not asked: {binary}' in outcome.out
    values = headrace('check', '-f', given(hosted()), '--haproxy', binary, '--format', 'json').values
    assert values['haproxy'] is None
    assert binary in values['problem']


def test_check_looks_for_haproxy_on_the_path(headrace, given, monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    outcome = headrace('check', '-f', given(hosted()))
    assert outcome.code == 4
    assert 'there is no haproxy on the PATH; name one with --haproxy' in outcome.out


def test_a_secret_that_is_not_in_the_input_is_replaced_and_named(headrace, given, haproxy_34):
    document = hosted(tls_secret='shop-tls', client_ca_secret='partners')
    outcome = headrace('check', '-f', given(document, READY), '--haproxy', haproxy_34, '--format', 'json')
    assert outcome.code == 0
    assert outcome.said == [('PlaceholderCertificate', 'shop/web')] * 2
    messages = ' '.join(diagnostic['message'] for diagnostic in outcome.values['diagnostics'])
    assert 'Secret shop/shop-tls is not in the input' in messages
    assert 'Secret shop/partners is not in the input' in messages


# --- plan -------------------------------------------------------------------------------------------------------------


def planned(headrace, given, before, after, *more):
    paths = given(*before, name='before.yaml'), given(*after, name='after.yaml')
    return headrace('plan', '--from', paths[0], '--to', paths[1], *more)


def test_plan_of_nothing_is_nothing_to_do(headrace, given):
    outcome = planned(headrace, given, [hosted(), READY], [READY, hosted()])
    assert (outcome.code, outcome.out, outcome.err) == (0, 'nothing to do\n', '')
    values = planned(headrace, given, [hosted(), READY], [hosted(), READY], '--format', 'json').values
    assert values == {'commands': [], 'reload': [], 'diagnostics': []}


def test_plan_of_an_endpoint_is_its_commands_and_no_reload(headrace, given):
    after = endpoint_slice(addresses=['10.0.0.2'])
    outcome = planned(headrace, given, [hosted(), READY], [hosted(), after])
    assert outcome.out.splitlines() == [
        'add server shop_web_80/10.0.0.2:8080 10.0.0.2:8080',
        'enable server shop_web_80/10.0.0.2:8080',
        'disable server shop_web_80/10.0.0.1:8080',
        'wait 2s srv-removable shop_web_80/10.0.0.1:8080',
        'del server shop_web_80/10.0.0.1:8080',
    ]
    values = planned(headrace, given, [hosted(), READY], [hosted(), after], '--format', 'json').values
    assert [command['phase'] for command in values['commands']] == ['endpoints'] * 3 + ['servers_gone'] * 2


def test_plan_names_the_line_of_the_list_where_hosts_share_a_certificate(headrace, given):
    both = [hosted(host='a.example.com, b.example.com', tls_secret='tls'), tls_secret('tls')]
    outcome = planned(headrace, given, both, [hosted(tls_secret='tls'), tls_secret('tls')])
    assert 'del ssl crt-list certificates/list.txt certificates/shop_tls.pem:2' in outcome.out.splitlines()


def test_plan_of_what_commands_cannot_do_is_a_reload_with_its_reason(headrace, given):
    after = hosted(balance='hdr:X-User')
    outcome = planned(headrace, given, [hosted(), READY], [after, READY])
    assert [line for line in outcome.out.splitlines() if line.startswith('reload: profile: ')]
    values = planned(headrace, given, [hosted(), READY], [after, READY], '--format', 'json').values
    assert [set(reason) for reason in values['reload']] == [{'reason', 'detail'}]


def test_diagnostics_of_plan_are_those_of_the_second_set_on_standard_error(headrace, given):
    outcome = planned(headrace, given, [hosted(retries='many'), READY], [hosted(cookie='a b'), READY])
    assert outcome.code == 0
    assert 'headrace.io/cookie' in outcome.err
    assert 'retries' not in outcome.err
    assert 'InvalidValue' not in outcome.out


# --- what is secret ---------------------------------------------------------------------------------------------------

SHA, OTHER = 'W6ph5Mm5Pz8GgiULbPgzG37mj9g=', '2jmj7l5rSw0yVb/vlWAYkK/YBwk='
PASSWORDS = ('first-password', 'second-password')


def secrets(seed, password, digest):
    return [
        tls_secret('tls', seed=seed), ca_secret('ca', seed=seed), tls_secret('default', 'edge', seed=seed),
        secret('users', username='ann', password=password), secret('file', auth=f'bob:{{SHA}}{digest}\ncarl:{password}'),
        secret('broken', tls_crt='not-a-certificate', tls_key=f'-----BEGIN PRIVATE KEY-----\n{password}\n-----END PRIVATE KEY-----'),
        secret('wrong', auth=f'dora:$apr1${password}'),
    ]  # fmt: skip


PROTECTED = [
    hosted('one', 'one.example.com', tls_secret='tls', client_ca_secret='ca', basic_auth_secret='users'),
    hosted('two', 'two.example.com', tls_secret='tls', basic_auth_secret='file', backend_protocol='https', backend_ca_secret='ca'),
    hosted('three', 'three.example.com', tls_secret='broken', basic_auth_secret='wrong'),
]  # fmt: skip


def material(documents):
    """Return every word that must not be seen: lines of PEM, passwords, and digests that stand for them."""
    found = {SHA, OTHER, *PASSWORDS, 'carl', 'dora', 'BEGIN'}
    for document in documents:
        for text in document['stringData'].values():
            found |= {
                line for line in text.splitlines() if len(line) > 30 and 'BEGIN' not in line and 'END' not in line
            }
    return found


def key_of_map(folder):
    """Return the hashes of credentials that a rendered folder holds."""
    lines = (folder / 'maps/auth.map').read_text().splitlines()
    return {part for line in lines for part in line.split()[0].split(':')[1:]}


@pytest.mark.parametrize('form', ['human', 'json'])
def test_no_command_prints_key_material_or_credentials(headrace, given, tmp_path, haproxy_34, form):
    before, after = secrets('one', PASSWORDS[0], SHA), secrets('two', PASSWORDS[1], OTHER)
    config = given('defaultCertificate: edge/default', name='config.yaml')
    old, new = given(*PROTECTED, *before, name='old.yaml'), given(*PROTECTED, *after, name='new.yaml')
    without = given(*before, name='without.yaml')
    seen = ('--config', config, '--format', form)
    outcomes = [
        headrace('render', '-f', old, '-o', tmp_path / 'old', *seen),
        headrace('render', '-f', new, '-o', tmp_path / 'new', *seen),
        headrace('check', '-f', old, '--haproxy', haproxy_34, *seen),
        *(
            headrace('plan', '--from', start, '--to', end, *seen)
            for start, end in ((old, new), (old, without), (without, old))
        ),
    ]
    hidden = material([*before, *after]) | key_of_map(tmp_path / 'old') | key_of_map(tmp_path / 'new')
    assert len(hidden) > 20
    for outcome in outcomes:
        assert outcome.code in (0, 1)
        text = outcome.out + outcome.err
        assert [word for word in hidden if word in text] == []
    changed = outcomes[3].out
    assert 'set ssl cert certificates/shop_tls.pem << (PEM)' in changed
    assert 'set ssl ca-file authorities/shop_ca.pem << (PEM)' in changed
    assert 'add map maps/auth.map << (credentials)' in changed
    assert ':(credentials)' in changed


def test_no_file_but_those_of_certificates_holds_a_key(headrace, given, tmp_path, rendered):
    headrace('render', '-f', given(*PROTECTED, *secrets('one', PASSWORDS[0], SHA)), '-o', tmp_path / 'out')
    for name, data in rendered(tmp_path / 'out').items():
        assert b'PRIVATE KEY' not in data or name.startswith('certificates/')
        assert not any(word.encode() in data for word in (*PASSWORDS, 'carl')) or name.startswith('certificates/')
