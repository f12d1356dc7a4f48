"""`headrace explain --request` of files: every step for people, one value for programs, and an exit code for scripts."""

import pytest

from support.gateways import gateway, http_route, listener, rule
from support.objects import endpoint_slice, service

HTTP = [{'name': 'http', 'port': 80}]
READY = endpoint_slice(addresses=['10.0.0.1', '10.0.0.2'], port_name='http')


def web(name='web', **annotations):
    given = {key.replace('_', '-'): text for key, text in annotations.items()}
    return service(name, annotations=given or {'host': 'a.example.com'}, ports=HTTP)


def test_a_request_that_an_endpoint_gets(headrace, given):
    objects = given(web(host='a.example.com', deny='192.0.2.7', rewrite_path='/new'), READY)
    outcome = headrace('explain', '--request', 'GET http://a.example.com/cart?x=1', '-f', objects)
    assert (outcome.code, outcome.err) == (0, '')
    lines = outcome.out.splitlines()
    assert lines[0] == 'GET http://a.example.com/cart?x=1: served by shop/web:http: one of 2 endpoints answers'
    assert [line.split() for line in lines[2:6]] == [
        ['listener', 'HTTP', 'of', 'class', 'headrace'],
        ['route', '+', 'a.example.com/', '(prefix)', 'of', 'Service', 'shop/web', 'no', 'conditions'],
        ['policy', '+', 'deny', 'of', 'Service', 'shop/web', '192.0.2.1', 'is', 'in', 'no', 'denied', 'network'],
        ['+', 'rewrite-path', 'of', 'Service', 'shop/web', 'endpoints', 'get', 'the', 'path', '/new/cart'],
    ]
    assert lines[-1].split() == [
        '100.0%',
        'shop/web:http',
        '/new/cart',
        'shop_web_http',
        '10.0.0.1:8080,',
        '10.0.0.2:8080',
    ]


def test_a_request_that_is_refused(headrace, given):
    objects = given(web(host='a.example.com', deny='10.0.0.0/8', rate_limit='5/s'), READY)
    outcome = headrace('explain', '--request', 'http://a.example.com/', '--from', '10.0.0.7', '-f', objects)
    assert outcome.code == 1
    assert outcome.out.startswith('GET http://a.example.com/: 403: 10.0.0.7 is in a denied network\n')


def test_what_a_client_can_see_instead(headrace, given):
    objects = given(
        web(host='a.example.com', rate_limit='5/s', external_auth_service='auth'), web('auth', enabled='true'), READY
    )
    outcome = headrace('explain', '--request', 'http://a.example.com/', '-f', objects)
    assert outcome.code == 0
    said = outcome.out.partition('unless:\n')[2].splitlines()
    assert said[0] == '  429: beyond 5 requests of a client in 1 s'
    assert said[1].startswith('  another answer: unless shop_auth_http answers 2xx')


@pytest.mark.parametrize(
    ('option', 'text', 'message'),
    [
        ('--from', '[::1]', "'[::1]' is no address of a client"),
        ('--from', 'fe80::1%lo', "'fe80::1%lo' is no address of a client"),
        ('--header', 'Host: a.example.com/x', "HAProxy accepts no Host header 'a.example.com/x'"),
    ],
)
def test_what_no_client_can_send_is_an_error(headrace, given, option, text, message):
    outcome = headrace('explain', '--request', 'http://a.example.com/', option, text, '-f', given(web(), READY))
    assert outcome.code == 2
    assert message in outcome.err


def test_texts_of_requests_steer_no_terminal(headrace, given):
    objects = given(web(host='a.example.com', cors_allow_origin='https://b.example.com'), READY)
    header = 'Origin: \u202e\x9b'
    outcome = headrace('explain', '--request', 'http://a.example.com/', '--header', header, '-f', objects)
    assert r'origin \u202e\x9b is not allowed' in outcome.out


def test_candidates_are_told_in_their_order(headrace, given):
    match = {'headers': [{'name': 'X-User', 'value': '8'}]}
    objects = given(
        gateway('web', listener()), http_route('r', rule('web', matches=[match]), rule('web'), hostnames=['a.example.com']),
        web(enabled='false'), READY,
    )  # fmt: skip
    value = headrace(
        'explain', '--request', 'http://a.example.com/', '--header', 'X-User: 7', '-f', objects, '--format', 'json'
    ).values
    routes = [(step['passed'], step['because']) for step in value['steps'] if step['stage'] == 'route']
    assert routes == [(False, "header x-user is '7', not '8'"), (True, 'no conditions')]
    assert value['outcome']['destinations'][0]['service'] == 'shop/web'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        pytest.param(['--request', 'a.example.com'], "'a.example.com' is no URL of scheme http or https", id='no URL'),
        pytest.param(['--request', 'G T http://a.com/'], "'G T' is no method", id='no method'),
        pytest.param(['--request', 'http://a.com/', '--header', 'x'], "'x' is no header: NAME: VALUE", id='no header'),
        pytest.param(['--request', 'http://a.com/', '--header', 'x: a\nb'], 'the value of x has control characters', id='control characters'),
        pytest.param(['--request', 'http://a.com/', '--from', 'me'], "'me' is no address of a client", id='no address'),
        pytest.param(['--request', 'http://a.com/é'], "'/é' has characters that no request may have", id='no target'),
        pytest.param(['--request', 'http://u:p@a.com/'], 'a name and password are sent as the header', id='credentials'),
        pytest.param(['--request', 'http://a.com/', '--listener', 'shop/none'], 'there is no listener shop/none', id='no listener'),
        pytest.param(['--request', 'http://a.com/', 'a.com'], 'name a host or an object, or give --request', id='both'),
        pytest.param([], 'name a host or an object, or give --request', id='nothing'),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_is_a_wrong_command_line(headrace, given, arguments, message):
    outcome = headrace('explain', *arguments, '-f', given(web(), READY))
    assert outcome.code == 2
    assert message in outcome.err


def test_a_listener_of_a_gateway_by_its_name(headrace, given):
    objects = given(
        gateway('web', listener('first'), listener('https', 443, 'HTTPS', tls={'certificateRefs': [{'name': 'tls'}]})),
        READY,
    )
    outcome = headrace('explain', '--request', 'http://a.com/', '--listener', 'shop/web/first', '-f', objects)
    assert outcome.out.splitlines()[2].split() == ['listener', 'port', '80', 'of', 'Gateway', 'shop/web']
    wrong = headrace('explain', '--request', 'http://a.com/', '--listener', 'shop/web/other', '-f', objects)
    assert (wrong.code, 'other of Gateway shop/web is not served for http' in wrong.err) == (2, True)
