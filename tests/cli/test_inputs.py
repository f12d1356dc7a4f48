"""What all offline commands take, and that each mistake in it is an error of its own: exit code 2, and its name."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from support.objects import endpoint_slice, secret, service, tls_secret

WEB = service(annotations={'host': 'a.example.com'})
COMMANDS = ('render', 'check', 'plan')


@pytest.fixture(params=COMMANDS)
def run(request, headrace, tmp_path, haproxy_34):
    """Run each command in turn on a path, with further arguments."""

    def with_path(path, *more):
        arguments = {
            'render': ('-f', path, '-o', tmp_path / 'out'),
            'check': ('-f', path, '--haproxy', haproxy_34),
            'plan': ('--from', path, '--to', path),
        }[request.param]
        return headrace(request.param, *arguments, *more)

    return with_path


# --- mistakes of the administrator ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        pytest.param('httpPort: eighty', '$.httpPort', id='a wrong type'),
        pytest.param('htpPort: 80', 'htpPort', id='an unknown key'),
        pytest.param('tcpPorts: 8000-9000', 'tcpPorts: 8000-9000 holds 8', id='a range with a port of ours'),
        pytest.param('a: b: c', 'not YAML', id='no YAML'),
        pytest.param('defaults: {retries: many}', 'defaults: retries must be a whole number', id='a default that does not parse'),
        pytest.param('defaults: {host: a}', "defaults: host is not a key of a backend", id='a default of no backend'),
    ],
)  # fmt: skip
def test_a_mistake_in_the_settings_names_the_key(run, given, settings, words):
    outcome = run(given(WEB), '--config', given(settings, name='config.yaml'))
    assert (outcome.code, outcome.out) == (2, '')
    assert outcome.err.startswith('headrace: ')
    assert words in outcome.err


def test_settings_that_are_no_text_are_an_error_that_names_the_file(run, given, tmp_path):
    (tmp_path / 'config.yaml').write_bytes(b'class: \xff')
    outcome = run(given(WEB), '--config', tmp_path / 'config.yaml')
    assert outcome.code == 2
    assert 'config.yaml' in outcome.err


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        pytest.param(('--tcp-ports', 'many'), '$.tcpPorts', id='no numbers'),
        pytest.param(('--tcp-ports', '9-5'), 'tcpPorts: 9-5 is no range', id='from right to left'),
        pytest.param(('--tcp-ports', '8080'), 'tcpPorts: 8080-8080 holds 8080', id='a port of ours'),
        pytest.param(('--class', 'Edge'), '$.class', id='a class in upper case'),
        pytest.param(('--role', 'controller'), '--role', id='an unknown role'),
        pytest.param(('--format', 'xml'), '--format', id='an unknown format'),
        pytest.param(('--config', 'nowhere.yaml'), 'nowhere.yaml', id='settings that are not there'),
        pytest.param(('--overrides', 'nowhere'), 'nowhere is no folder', id='overrides that are not there'),
        pytest.param(('--unknown',), '--unknown', id='an unknown option'),
    ],
)
def test_a_wrong_option_is_told_by_its_name(run, given, arguments, words):
    outcome = run(given(WEB), *arguments)
    assert (outcome.code, outcome.out) == (2, '')
    assert words in outcome.err


def test_a_path_that_is_not_there_is_told(run, tmp_path):
    outcome = run(tmp_path / 'nowhere')
    assert (outcome.code, outcome.out) == (2, '')
    assert outcome.err == f'headrace: {tmp_path / "nowhere"}: no such file or folder\n'


# --- the administrator's overrides ------------------------------------------------------------------------------------

FRONTEND = 'templates/frontend-health.cfg.j2'


@pytest.mark.parametrize(
    ('name', 'text', 'words'),
    [
        pytest.param(FRONTEND, 'frontend health\n{% if %}', 'template frontend-health.cfg.j2, line 2', id='a template that does not parse'),
        pytest.param(FRONTEND, '{{ nothing }}', "template frontend-health.cfg.j2: 'nothing' is undefined", id='an unknown name'),
        pytest.param(FRONTEND, '{{ settings.nothing }}', 'template frontend-health.cfg.j2', id='an unknown setting'),
        pytest.param(FRONTEND, '{{ 1 / 0 }}', 'template frontend-health.cfg.j2: division by zero', id='a division by zero'),
        pytest.param(FRONTEND, '{{ "{1}".format(1) }}', 'template frontend-health.cfg.j2', id='a format of too few values'),
        pytest.param(FRONTEND, '{% include "frontend-health.cfg.j2" %}', 'template frontend-health.cfg.j2', id='a template that includes itself'),
        pytest.param(FRONTEND, '{{ "".__class__.__mro__ }}', 'template frontend-health.cfg.j2', id='a way out of the sandbox'),
        pytest.param(FRONTEND, '{{ "a\n" }}', 'template frontend-health.cfg.j2', id='a line break in a value'),
        pytest.param(FRONTEND, '{{ none }}', 'template frontend-health.cfg.j2: a value is None', id='None'),
        pytest.param(FRONTEND, '{% include "nowhere" %}', 'nowhere', id='an unknown include'),
        pytest.param('templates/frontend.cfg.j2', '', 'templates/frontend.cfg.j2 overrides nothing', id='an unknown template'),
        pytest.param('templates/sub/frontend.cfg.j2', '', 'templates/sub', id='a folder among the templates'),
        pytest.param('snippets/My_Tag.cfg', '', 'snippets/My_Tag.cfg', id='a snippet with a wrong name'),
        pytest.param('snippets/tag.cfg', 'http-response set-header A b\nfrontend other\n', "'frontend other' begins a section", id='a section in a snippet'),
        pytest.param('global.cfg', '  defaults', "global.cfg: 'defaults' begins a section", id='a section in global'),
    ],
)  # fmt: skip
def test_an_override_that_cannot_be_used_is_told_by_its_name(headrace, given, tmp_path, name, text, words):
    given(text, name=f'overrides/{name}')
    arguments = ('-f', given(WEB), '-o', tmp_path / 'out', '--overrides', tmp_path / 'overrides')
    outcome = headrace('render', *arguments)
    assert (outcome.code, outcome.out) == (2, '')
    assert words in outcome.err
    assert not (tmp_path / 'out').exists()


def test_an_override_that_is_no_text_is_told(run, given, tmp_path):
    given('', name='overrides/global.cfg').write_bytes(b'\xff')
    outcome = run(given(WEB), '--overrides', tmp_path / 'overrides')
    assert outcome.code == 2
    assert 'global.cfg' in outcome.err


def test_an_empty_override_takes_the_place_of_a_template_and_hidden_files_of_none(headrace, given, tmp_path, rendered):
    given('', name=f'overrides/{FRONTEND}')
    given('x', name='overrides/templates/..data')
    given('x', name='overrides/snippets/.hidden.cfg')
    outcome = headrace('render', '-f', given(WEB), '-o', tmp_path / 'out', '--overrides', tmp_path / 'overrides')
    assert outcome.code == 0
    assert b'frontend health' not in rendered(tmp_path / 'out')['haproxy/30-frontends.cfg']


# --- the input --------------------------------------------------------------------------------------------------------


def test_an_empty_folder_is_a_configuration_without_objects(headrace, tmp_path, haproxy_34):
    (tmp_path / 'in').mkdir()
    outcome = headrace('check', '-f', tmp_path / 'in', '--haproxy', haproxy_34)
    assert (outcome.code, outcome.err) == (0, '')
    assert outcome.out == '0 objects: no diagnostics\nHAProxy accepts the configuration\n'


def test_a_file_that_is_no_yaml_is_told_and_the_rest_is_served(headrace, given, tmp_path, haproxy_34):
    given(WEB, endpoint_slice(addresses=['10.0.0.1']), name='in/good.yaml')
    bad = given('a: b: c', name='in/bad.yaml')
    outcome = headrace('check', '-f', tmp_path / 'in', '--haproxy', haproxy_34, '--format', 'json')
    assert (outcome.code, outcome.said) == (1, [('InvalidObject', f'/{bad}')])
    assert outcome.values['haproxy']['accepted']
    headrace('render', '-f', tmp_path / 'in', '-o', tmp_path / 'out')
    assert (tmp_path / 'out/maps/routes.map').read_text().startswith('a.example.com/ shop_web_80')


def test_a_file_and_its_folder_together_are_the_same_as_the_folder(headrace, given, tmp_path, rendered):
    path = given(WEB, name='in/a.yaml')
    for name, files in (('one', ('-f', path.parent)), ('two', ('-f', path, '-f', path.parent, '-f', path))):
        assert headrace('render', *files, '-o', tmp_path / name).code == 0
    assert rendered(tmp_path / 'one') == rendered(tmp_path / 'two')


def test_an_object_that_occurs_twice_is_told(run, given):
    other = service(annotations={'host': 'b.example.com'})
    outcome = run(given(WEB, other), '--format', 'json')
    assert ('InvalidObject', 'shop/web') in outcome.said


def test_the_order_of_objects_and_files_does_not_matter(headrace, given, tmp_path, rendered):
    documents = [
        WEB, service('api', annotations={'host': 'a.example.com', 'path': '/api', 'allow': '10.0.0.0/8'}),
        service('db', annotations={'port': '5432'}), service('late', annotations={'host': 'a.example.com'}),
        endpoint_slice(addresses=['10.0.0.2', '10.0.0.1']), endpoint_slice(addresses=['10.0.0.3'], name='web-2'),
        endpoint_slice('api', addresses=['10.0.1.1']), tls_secret('tls'), secret('users', username='ann', password='x'),
    ]  # fmt: skip
    results = []
    for seed in range(4):
        random.Random(seed).shuffle(documents)
        paths = [given(document, name=f'{seed}/{number}.yaml') for number, document in enumerate(documents)]
        target = tmp_path / f'out-{seed}'
        arguments = [word for path in paths for word in ('-f', path)]
        outcome = headrace('render', *arguments, '-o', target, '--tcp-ports', '5432', '--format', 'json')
        results.append((rendered(target), outcome.values['diagnostics']))
    assert all(result == results[0] for result in results)


def test_endpoints_serve_a_service_that_has_no_slices(headrace, given, tmp_path):
    endpoints = {
        'apiVersion': 'v1', 'kind': 'Endpoints', 'metadata': {'name': 'web', 'namespace': 'shop'},
        'subsets': [{'addresses': [{'ip': '10.0.0.1'}], 'ports': [{'port': 8080}]}],
    }  # fmt: skip
    outcome = headrace('render', '-f', given(WEB, endpoints), '-o', tmp_path / 'out', '--format', 'json')
    assert outcome.said == []
    (shard,) = (tmp_path / 'out/haproxy').glob('backends-*.cfg')
    assert 'server 10.0.0.1:8080 10.0.0.1:8080\n' in shard.read_text()


# --- the program ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('arguments', 'code'),
    [
        pytest.param(('--version',), 0, id='version'),
        pytest.param(('--help',), 0, id='help'),
        pytest.param(('check', '-h'), 0, id='help of a command'),
        pytest.param(('check', '-f', 'good.yaml', '--haproxy', 'HAPROXY'), 0, id='all is well'),
        pytest.param(('check', '-f', 'bad.yaml', '--haproxy', 'HAPROXY'), 1, id='objects have errors'),
        pytest.param((), 2, id='no command'),
        pytest.param(('nonsense',), 2, id='an unknown command'),
        pytest.param(('check',), 2, id='no file'),
        pytest.param(('check', '-f', 'nowhere.yaml'), 2, id='a file that is not there'),
        pytest.param(('check', '-f', 'good.yaml', '--overrides', 'refused', '--haproxy', 'HAPROXY'), 3, id='HAProxy refuses it'),
        pytest.param(('check', '-f', 'good.yaml', '--haproxy', 'nowhere/haproxy'), 4, id='no HAProxy'),
        pytest.param(('check', '-f', 'good.yaml', '--haproxy', '/bin/true'), 4, id='another program'),
    ],
)  # fmt: skip
def test_the_exit_code_says_what_is_wrong(given, tmp_path, haproxy_34, arguments, code):
    given(WEB, endpoint_slice(addresses=['10.0.0.1']), name='good.yaml')
    given(service(annotations={'host': 'not a host!'}), name='bad.yaml')
    given('nonsense 1', name='refused/global.cfg')
    program = str(Path(sys.executable).with_name('headrace'))
    found = subprocess.run(
        [program, *(haproxy_34 if word == 'HAPROXY' else word for word in arguments)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == code, found.stderr
    assert 'Traceback' not in found.stderr
    assert '\x1b' not in found.stdout + found.stderr


@pytest.mark.parametrize('role', [('--role', 'edge'), ('--role', 'node', '--node', 'n1')], ids=['edge', 'no sockets'])
def test_a_seat_is_for_an_agent_of_a_node_with_sockets_of_its_own(headrace, given, role):
    outcome = headrace('run', '--source', given(WEB), '--instance-slots', *role)
    assert outcome.code == 2
    assert '--instance-slots' in outcome.err
