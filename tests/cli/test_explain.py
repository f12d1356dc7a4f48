"""`headrace explain` of files: an answer for people and for programs, and an exit code for scripts."""

import pytest

from support.objects import endpoint_slice, service

HTTP = [{'name': 'http', 'port': 80}]
READY = endpoint_slice(addresses=['10.0.0.1'], port_name='http')


def web(name='web', created='2024-01-01T00:00:00Z', **annotations):
    return service(name, annotations=annotations or {'host': 'a.example.com'}, ports=HTTP, created=created)


@pytest.mark.parametrize('target', ['shop/web', 'a.example.com', 'a.example.com/any/path'])
def test_what_is_served_is_told_with_exit_code_0(headrace, given, target):
    outcome = headrace('explain', target, '-f', given(web(), READY))
    assert (outcome.code, outcome.err) == (0, '')
    first, blank, header, row = outcome.out.splitlines()
    assert first.startswith(f'{target}: served: ')
    assert (blank, header.split()) == ('', ['CLAIM', 'KEY', 'HOLDER', 'WAITING', 'LEADS', 'TO'])
    assert row.split() == ['route', 'a.example.com/', 'Service', 'shop/web', '–', 'shop_web_http']


def test_what_is_not_served_is_told_with_exit_code_1(headrace, given):
    outcome = headrace('explain', 'b.example.com', '-f', given(web(), READY))
    assert (outcome.code, outcome.err) == (1, '')
    assert outcome.out == 'b.example.com: not served: no object has a route for this host: 404\n'


def test_who_waits_for_a_contested_host_is_told_with_the_diagnostics(headrace, given):
    young = web('young', created='2024-06-01T00:00:00Z')
    outcome = headrace('explain', 'a.example.com', '-f', given(web(), READY, young))
    assert outcome.code == 0
    claim = next(line for line in outcome.out.splitlines() if line.startswith('  route'))
    assert claim.index('Service shop/web') < claim.index('Service shop/young')
    assert any(line.startswith('error') and 'Conflict' in line for line in outcome.out.splitlines())


def test_programs_get_one_value(headrace, given):
    outcome = headrace('explain', 'shop/web', '-f', given(web(), READY), '--format', 'json')
    assert outcome.code == 0
    assert outcome.values == {
        'target': 'shop/web',
        'served': True,
        'because': 'it has 1 of the 1 things that it claims',
        'claims': [
            {
                'what': 'route',
                'key': 'a.example.com/',
                'holder': 'Service shop/web',
                'waiting': [],
                'backend': 'shop_web_http',
                'moreWaiting': 0,
            }
        ],
        'diagnostics': [],
        'moreClaims': 0,
        'moreDiagnostics': 0,
    }


def test_tls_that_is_passed_through_is_told(headrace, given):
    outcome = headrace('explain', 'a.example.com', '-f', given(web(host='a.example.com', mode='tls-passthrough')))
    assert outcome.code == 0
    assert 'has its TLS as it comes' in outcome.out


def test_files_may_be_several_and_are_read_as_the_settings_say(headrace, given):
    config = given('domain: example.org\n', name='config.yaml')
    objects = given(web(enabled='true'), name='objects.yaml')
    outcome = headrace('explain', 'web.shop.example.org', '-f', objects, '-f', given(READY), '--config', config)
    assert outcome.code == 0


def test_the_class_decides_what_is_served(headrace, given):
    outcome = headrace('explain', 'shop/web', '-f', given(web(), READY), '--class', 'edge')
    assert (outcome.code, 'it names no class, and this is class edge' in outcome.out) == (1, True)


def test_a_node_sees_other_things_than_the_edge(headrace, given):
    outcome = headrace('explain', 'shop/web', '-f', given(web(), READY), '--role', 'node')
    assert (outcome.code, 'headrace.io/proxy: node' in outcome.out) == (1, True)


def test_an_object_that_cannot_be_read_is_told_beside_the_answer(headrace, given):
    broken = {'apiVersion': 'v1', 'kind': 'Service', 'metadata': {'name': 'Web!', 'namespace': 'shop'}}
    outcome = headrace('explain', 'shop/web', '-f', given(broken))
    assert outcome.code == 1
    assert 'InvalidObject' in outcome.err


@pytest.mark.parametrize('arguments', [['-f', 'nowhere.yaml'], ['--config', 'nowhere.yaml', '-f', 'x']])
def test_input_that_cannot_be_used_is_exit_code_2(headrace, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert headrace('explain', 'shop/web', *arguments).code == 2


def test_without_files_an_agent_is_asked_and_one_that_is_not_there_is_exit_code_4(headrace):
    # No process listens on port 0.
    outcome = headrace('explain', 'shop/web', '--admin', '127.0.0.1:0')
    assert (outcome.code, outcome.out) == (4, '')
