"""`headrace migrate`: the report, translated Ingresses, and the comparison of two controllers."""

import contextlib
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from support import certificates
from support.objects import ingress

NGINX = 'nginx.ingress.kubernetes.io/'
CONFIG = {
    'apiVersion': 'v1',
    'kind': 'ConfigMap',
    'metadata': {'name': 'settings', 'namespace': 'ingress-nginx'},
    'data': {'proxy-read-timeout': '120', 'bind-address': '192.0.2.1', 'hsts': 'false'},
}


def web(**annotations):
    named = {NGINX + key.replace('_', '-'): value for key, value in annotations.items()}
    return ingress(annotations=named, hosts={'a.example.com': 'web'}, ingressClassName='nginx')


def test_the_report_names_what_is_not_exact_and_counts_the_rest(headrace, given):
    bank = ingress(namespace='bank', hosts={'a.example.com': 'web'})
    outcome = headrace('migrate', '-f', given(web(load_balance='ewma', affinity='cookie'), bank))
    assert (outcome.code, outcome.err) == (0, '')
    lines = outcome.out.splitlines()
    assert lines[0] == 'bank/web: no foreign annotations'
    assert lines[1] == 'shop/web: 1 exact, 1 differs'
    assert lines[2].split()[:2] == ['differs', NGINX + 'load-balance']
    assert [NGINX + 'affinity', '1', '0', '0', '0'] in [line.split() for line in lines]
    assert '  a.example.com  bank, shop' in lines
    assert lines[-1] == '2 Ingresses, 0 of them closed; annotations: 1 exact, 1 differs, 0 ignored'


def test_an_ingress_that_would_be_closed_is_an_exit_code(headrace, given):
    outcome = headrace('migrate', '-f', given(web(whitelist_source_range='office')))
    assert outcome.code == 1
    assert outcome.out.startswith('shop/web: 1 ignored, closed\n')


def test_programs_get_one_value(headrace, given):
    outcome = headrace(
        'migrate',
        '-f',
        given(web(load_balance='ewma'), CONFIG),
        '--configmap',
        'ingress-nginx/settings',
        '--format',
        'json',
    )
    assert outcome.code == 0
    assert outcome.values['counts'] == {'ingresses': 1, 'closed': 0, 'exact': 0, 'differs': 1, 'ignored': 0}
    assert outcome.values['ingresses'][0]['annotations'][0]['key'] == NGINX + 'load-balance'
    assert outcome.values['keys'][0]['differs'] == 1
    assert outcome.values['settings'] == {'addresses': ['192.0.2.1'], 'defaults': {'timeout-server': '120s'}}
    assert [item['key'] for item in outcome.values['configMap']] == ['bind-address', 'hsts', 'proxy-read-timeout']


def test_the_settings_of_a_configmap_are_printed_as_yaml(headrace, given):
    outcome = headrace('migrate', '-f', given(CONFIG), '--configmap', 'ingress-nginx/settings')
    text = outcome.out.partition('Settings of the class:\n')[2].partition('\n\n')[0]
    assert yaml.safe_load(text) == {'addresses': ['192.0.2.1'], 'defaults': {'timeout-server': '120s'}}


def test_a_configmap_that_is_not_there_is_a_mistake_of_the_command_line(headrace, given):
    outcome = headrace('migrate', '-f', given(web()), '--configmap', 'ingress-nginx/settings')
    assert (outcome.code, outcome.err) == (2, 'headrace: ingress-nginx/settings: the input holds no such ConfigMap\n')


def test_translated_ingresses_are_documents_again(headrace, given):
    path = given(
        web(denylist_source_range='10.0.0.0/8', canary='true'),
        web(whitelist_source_range='x')
        | {'metadata': {'name': 'b', 'namespace': 'shop', 'annotations': {NGINX + 'whitelist-source-range': 'x'}}},
    )
    outcome = headrace('migrate', '-f', path, '--translate')
    assert outcome.code == 1
    first, second = yaml.safe_load_all(outcome.out)
    assert (first['metadata']['annotations'], first['spec']['ingressClassName']) == (
        {NGINX + 'canary': 'true'},
        'nginx',
    )
    assert second['metadata']['annotations'] == {'headrace.io/maintenance': 'true'}
    assert outcome.err.splitlines() == [
        f'Ingress shop/web: {NGINX}canary stays: headrace has no key for it',
        f'Ingress shop/b: {NGINX}whitelist-source-range cannot be applied: the Ingress is closed by headrace.io/maintenance',
    ]


def test_a_file_that_is_no_yaml_is_reported_and_costs_itself(headrace, given):
    outcome = headrace('migrate', '-f', given('{', name='broken.yaml'), '-f', given(web()), '--translate')
    assert outcome.code == 1
    assert 'broken.yaml' in outcome.err
    assert len(list(yaml.safe_load_all(outcome.out))) == 1


def test_without_files_the_api_server_of_a_kubeconfig_is_asked(headrace, monkeypatch, tmp_path):
    monkeypatch.setenv('KUBECONFIG', str(tmp_path / 'none'))
    outcome = headrace('migrate')
    assert (outcome.code, 'none' in outcome.err) == (4, True)


TCP = {
    'apiVersion': 'v1',
    'kind': 'ConfigMap',
    'metadata': {'name': 'tcp', 'namespace': 'ingress-nginx'},
    'data': {'9000': 'shop/db:5432', '9001': 'shop/mq:amqp:PROXY:PROXY', '9002': 'x'},
}


def test_tcp_ports_are_annotations_of_services(headrace, given):
    outcome = headrace('migrate', '-f', given(TCP), '--tcp-services', 'ingress-nginx/tcp')
    lines = [line.split() for line in outcome.out.splitlines()]
    assert 'TCP ports, of which the setting tcpPorts must hold 9000, 9001:' in outcome.out
    assert ['shop/db', 'headrace.io/port.5432:', '9000'] in lines
    assert ['shop/mq', 'headrace.io/client-ip.amqp:', 'proxy-v1'] in lines
    assert ['shop/mq', 'headrace.io/accept-proxy.amqp:', 'true'] in lines
    assert [line[:2] for line in lines if line[:1] == ['ignored']] == [['ignored', '9002']]


def test_the_name_of_a_configmap_has_two_parts(headrace, given):
    outcome = headrace('migrate', '-f', given(TCP), '--configmap', 'tcp')
    assert (outcome.code, 'is not NAMESPACE/NAME' in outcome.err) == (2, True)


@contextlib.contextmanager
def controller(answers, pem=None):
    """Serve answers by path (status and headers) on a free port; what was asked is in `.asked`."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self):
            self.server.asked.append((self.command, self.headers['Host'], self.path))
            status, headers = answers.get(self.path, (404, {}))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header('Content-Length', '0')
            self.end_headers()

        do_GET = do_HEAD = do_POST = handle_one  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.asked = []
    if pem:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


OLD = {'/': (200, {'X-By': 'old'}), '/r': (301, {'Location': 'https://a/'}), '/s': (200, {})}
NEW = {'/': (200, {'X-By': 'new'}), '/r': (308, {'Location': 'https://b/'}), '/s': (200, {})}


def compare(headrace, path, old, new, *options):
    return headrace(
        'migrate',
        'compare',
        path,
        '--old',
        f'127.0.0.1:{old.server_port}',
        '--new',
        f'127.0.0.1:{new.server_port}',
        '--rate',
        '1000',
        *options,
    )


def test_answers_of_two_controllers_are_compared(headrace, given):
    with controller(OLD) as old, controller(NEW) as new:
        path = given(
            'http://a.example.com/\nhttp://a.example.com/r\nHEAD http://a.example.com/s\nnone\n', name='requests'
        )
        outcome = compare(headrace, path, old, new)
    assert outcome.code == 1
    assert [line.split() for line in outcome.out.splitlines()[1:3]] == [
        ['GET', 'http://a.example.com/r', 'status', '301', '308'],
        ['GET', 'http://a.example.com/r', 'location', 'https://a/', 'https://b/'],
    ]
    assert '3 requests sent to each, 1 with differences; left out: 1 lines' in outcome.out
    assert (
        old.asked
        == new.asked
        == [('GET', 'a.example.com', '/'), ('GET', 'a.example.com', '/r'), ('HEAD', 'a.example.com', '/s')]
    )


def test_headers_that_are_named_are_compared_too(headrace, given):
    with controller(OLD) as old, controller(NEW) as new:
        outcome = compare(
            headrace, given('http://a/\n', name='requests'), old, new, '--header', 'X-By', '--format', 'json'
        )
    (row,) = outcome.values['differing']
    assert row['request'] == 'GET http://a/'
    assert [item['what'] for item in row['differences']] == ['x-by']


def test_equal_answers_are_exit_code_0(headrace, given):
    with controller(OLD) as old:
        outcome = compare(headrace, given('http://a/\n', name='requests'), old, old)
    assert (outcome.code, outcome.out[:16]) == (0, '1 requests sent ')


def test_methods_that_may_change_something_are_sent_on_request_only(headrace, given):
    path = given('POST http://a/\nhttp://a/s\nhttp://a/r\n', name='requests')
    with controller(OLD) as old:
        outcome = compare(headrace, path, old, old, '--limit', '1', '--format', 'json')
        assert outcome.values == {'sent': 1, 'differing': [], 'unread': 0, 'unsafe': 1, 'beyondLimit': 1}
        assert [asked[0] for asked in old.asked] == ['GET', 'GET']
        compare(headrace, path, old, old, '--all-methods')
        assert ('POST', 'a', '/') in old.asked


def test_a_log_is_read_with_the_host_that_is_given(headrace, given):
    with controller(OLD) as old:
        compare(headrace, given('- "GET /s HTTP/1.1" 200\n', name='log'), old, old, '--host', 'a.example.com')
    assert old.asked == [('GET', 'a.example.com', '/s')] * 2


def test_tls_is_verified_unless_it_is_asked_not_to(headrace, given, tmp_path):
    pem = tmp_path / 'a.pem'
    pem.write_bytes(b''.join(certificates.for_names('a.example.com')))
    path = given('https://a.example.com/s\n', name='requests')
    with controller(OLD, pem) as old:
        at = f'127.0.0.1:1:{old.server_port}'
        refused = headrace('migrate', 'compare', path, '--old', at, '--new', at)
        assert (refused.code, 'SSLCertVerificationError' in refused.out) == (1, True)
        assert headrace('migrate', 'compare', path, '--old', at, '--new', at, '--insecure').code == 0


def test_a_controller_that_does_not_answer_is_a_difference(headrace, given):
    with controller(OLD) as gone:
        pass
    with controller(OLD) as old:
        outcome = compare(headrace, given('http://a/\n', name='requests'), old, gone)
    assert (outcome.code, 'ConnectionRefusedError' in outcome.out) == (1, True)


@pytest.mark.parametrize('text', ['', ':80', 'a:0', 'a:65536', 'a:x', 'a:1:2:3', '[]:80'])
def test_an_address_that_is_none_is_a_mistake_of_the_command_line(headrace, given, text):
    outcome = headrace('migrate', 'compare', given('', name='requests'), '--old', text, '--new', 'a')
    assert (outcome.code, 'is not HOST' in outcome.err) == (2, True)


def test_an_ipv6_address_stands_in_brackets(headrace, given):
    assert (
        headrace('migrate', 'compare', given('', name='requests'), '--old', '[::1]:80', '--new', '[::1]:80:443').code
        == 0
    )


def test_a_file_that_cannot_be_read_is_a_mistake_of_the_command_line(headrace, tmp_path):
    path = tmp_path / 'requests'
    path.write_bytes(b'\xff\xfe')
    assert headrace('migrate', 'compare', path, '--old', 'a', '--new', 'b').code == 0


def test_ingresses_are_printed_as_resources_of_the_gateway_api(headrace, given):
    passed = ingress('b', annotations={NGINX + 'ssl-passthrough': 'true'}, hosts={'b.example.com': 'web'})
    passed['spec']['ingressClassName'] = 'nginx'
    path = given(web(canary_weight='5'), passed)
    outcome = headrace('migrate', '-f', path, '--gateway-api', '--gateway', 'edge/public', '--gateway-class', 'mine')
    assert outcome.code == 1
    gateway, route = yaml.safe_load_all(outcome.out)
    assert (gateway['metadata']['name'], gateway['spec']['gatewayClassName']) == ('public', 'mine')
    assert (route['kind'], route['spec']['parentRefs'][0]['name']) == ('HTTPRoute', 'public')
    assert outcome.err == 'Ingress shop/b is not translated: connections are passed through, which needs a TLSRoute\n'
    assert '&id' not in outcome.out


def test_one_gateway_is_for_ingresses_of_one_class(headrace, given):
    inside = ingress('b', hosts={'b.example.com': 'web'}, ingressClassName='inside')
    rest = ingress('c', hosts={'c.example.com': 'web'})
    path = given(web(), inside, rest)
    outcome = headrace('migrate', '-f', path, '--gateway-api')
    assert (outcome.code, outcome.out) == (2, '')
    assert 'the Ingresses are of several classes ("", inside, nginx): name one by --ingress-class' in outcome.err
    for name, expected in (('inside', 'b'), ('nginx', 'web'), ('', 'c')):
        outcome = headrace('migrate', '-f', path, '--gateway-api', '--ingress-class', name)
        assert outcome.code == 0
        assert [each['metadata']['name'] for each in yaml.safe_load_all(outcome.out)] == ['ingress', expected]


def test_a_gateway_without_a_namespace_is_a_mistake_of_the_command_line(headrace, given):
    outcome = headrace('migrate', '-f', given(web()), '--gateway-api', '--gateway', 'public')
    assert (outcome.code, "'public' is not NAMESPACE/NAME" in outcome.err) == (2, True)
