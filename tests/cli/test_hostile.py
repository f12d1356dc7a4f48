"""Hostile or mistaken input: it costs the object that holds it, and no other.

Every case is an object of its own that asks to be served; all of them together stand in one folder beside a good
Service. Nothing crashes, the good Service is served as if it were alone, what is wrong has a diagnostic, and both
HAProxy accepts the whole.
"""

import json

import pytest

from headrace.haproxy.runtime import check
from support.objects import PREFIX, ca_secret, endpoint_slice, secret, service, tls_secret

MEGABYTE = 'a' * 1_000_000
TEXTS = {
    'newline': 'a\nserver evil 192.0.2.66:80',
    'return': 'a\rserver evil 192.0.2.66:80',
    'double': 'a" evil',
    'single': "a' evil",
    'comment': 'a # evil',
    'hash': '#evil',
    'backslash': 'a\\ evil\\',
    'fetch': '%[env(HOME)]',
    'variable': '${HOME}',
    'dollar': '$HOME',
    'nul': 'a\0evil',
    'tab': 'a\tevil',
    'escape': 'a\x1b[31mevil',
    'pipe': 'shop_good_80|0123456789abcdef|',
    'semicolon': 'a; show info',
    'payload': '<<\nevil',
    'braces': '{{ 7 * 7 }}{% raw %}',
    'umlaut': 'ä',
    'bidi': '\u202eevil',
    'kelvin': '\N{KELVIN SIGN}evil',
    'emoji': '🦊',
    'empty': '',
    'blank': ' ',
    'dots': '../../../../tmp/evil',
    'long': MEGABYTE,
}
# A value of each wrong type, for every place where Kubernetes wants another one.
WRONG = {
    'null': None,
    'number': 5,
    'true': True,
    'text': 'text',
    'list': ['x'],
    'mapping': {'x': 'y'},
    'deep': [[[[]]]],
}
FIELD_TEXTS = {f't-{word}': text[:100_000] for word, text in TEXTS.items()}
KEYS = (
    'host', 'path', 'port', 'mode', 'tls-secret', 'client-ca-secret', 'hsts', 'allow', 'deny', 'rate-limit', 'basic-auth-secret',
    'max-body-size', 'redirect-to', 'redirect-root', 'rate-limit-burst', 'rewrite-path', 'request-headers', 'response-headers', 'response-cookie-path', 'location-rewrite', 'cors-allow-origin', 'cors-allow-methods',
    'cors-allow-headers', 'canary-service', 'canary-header', 'canary-cookie', 'snippets', 'balance', 'cookie', 'check-path', 'check-host',
    'check-status', 'backend-sni', 'backend-ca-secret', 'timeout-server', 'retry-on', 'class', 'maintenance', 'enabled',
)  # fmt: skip

GOOD = (
    service('good', annotations={'host': 'good.example.com', 'tls-secret': 'good-tls', 'allow': '10.0.0.0/8'}),
    endpoint_slice('good', addresses=['10.0.0.1', '10.0.0.2']),
    tls_secret('good-tls'),
)


def asking(name, **more):
    """Return a Service that asks to be served by a host of its own, with further annotations."""
    annotations = {'host': f'{name}.example.com', **more}
    return service(name, 'harm', annotations=annotations)


def patched(document, path, value):
    """Return a document with another value at a path."""
    copy = json.loads(json.dumps(document))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return copy


def annotation_cases():
    for key in KEYS:
        for word, text in TEXTS.items():
            values = [text]
            if key in ('path', 'rewrite-path', 'redirect-to', 'check-path'):
                values.append(f'/{text}')
            if key.endswith(('headers', 'header')):
                values += [f'X-Evil: {text}', f'{text}: evil']
            for number, value in enumerate(values):
                name = f'a-{key}-{word}-{number}'
                yield name, asking(name, **{key: value})
    for word, text in TEXTS.items():
        name = f'b-{word}'
        yield name, asking(name, **{text: 'x', f'retries.{text}': '1', f'allow.{text}': '10.0.0.0/8'})
    for word, value in WRONG.items():
        for key in ('host', 'allow', 'tls-secret', 'port'):
            name = f'c-{key}-{word}'
            yield name, patched(asking(name), ('metadata', 'annotations', PREFIX + key), value)


def service_cases():
    whole = service(
        'x', 'harm', annotations={'enabled': 'true', 'host.http': 'x.example.com'}, labels={'a': 'b'}, created='2026-01-01T00:00:00Z',
        ports=[{'name': 'http', 'port': 80, 'protocol': 'TCP', 'nodePort': 30080, 'appProtocol': 'http'}], type='LoadBalancer',
        externalName='a.example.com', clusterIP='10.96.0.1', clusterIPs=['10.96.0.1'], ipFamilies=['IPv4'], externalIPs=['192.0.2.1'],
        loadBalancerClass='headrace.io/headrace', loadBalancerSourceRanges=['10.0.0.0/8'], sessionAffinity='ClientIP',
        sessionAffinityConfig={'clientIP': {'timeoutSeconds': 5}}, internalTrafficPolicy='Local', externalTrafficPolicy='Local',
    )  # fmt: skip
    paths = [
        ('metadata',), *((('metadata', key)) for key in whole['metadata'] if key != 'name'), ('metadata', 'name'), ('spec',),
        *((('spec', key)) for key in whole['spec']), ('spec', 'ports', 0), *((('spec', 'ports', 0, key)) for key in whole['spec']['ports'][0]),
        ('spec', 'sessionAffinityConfig', 'clientIP'), ('spec', 'sessionAffinityConfig', 'clientIP', 'timeoutSeconds'),
        ('spec', 'clusterIPs', 0), ('spec', 'externalIPs', 0), ('spec', 'loadBalancerSourceRanges', 0), ('spec', 'ipFamilies', 0), ('status',),
    ]  # fmt: skip
    values = {**WRONG, **FIELD_TEXTS}
    for number, path in enumerate(paths):
        for word, value in values.items():
            name = f's-{number}-{word}'
            named = json.loads(
                json.dumps(whole).replace('"x"', f'"{name}"').replace('x.example.com', f'{name}.example.com')
            )
            yield name, patched(named, path, value)


def other_cases():
    slice_paths = [
        ('metadata', 'labels'), ('metadata', 'labels', 'kubernetes.io/service-name'), ('addressType',), ('ports',), ('ports', 0),
        ('ports', 0, 'name'), ('ports', 0, 'port'), ('ports', 0, 'protocol'), ('endpoints',), ('endpoints', 0), ('endpoints', 0, 'addresses'),
        ('endpoints', 0, 'addresses', 0), ('endpoints', 0, 'conditions'), ('endpoints', 0, 'conditions', 'ready'), ('endpoints', 0, 'nodeName'),
        ('endpoints', 0, 'hints'), ('endpoints', 0, 'hints', 'forZones'), ('endpoints', 0, 'hints', 'forZones', 0),
    ]  # fmt: skip
    ends = [
        {
            'addresses': ['10.0.0.9'],
            'conditions': {'ready': True},
            'nodeName': 'n',
            'hints': {'forZones': [{'name': 'z'}]},
        }
    ]
    secret_paths = [
        ('metadata', 'name'),
        ('type',),
        ('data',),
        ('stringData',),
        ('stringData', 'tls.crt'),
        ('stringData', 'tls.key'),
        ('stringData', 'auth'),
    ]
    node = {
        'apiVersion': 'v1',
        'kind': 'Node',
        'metadata': {'name': 'n', 'labels': {}},
        'status': {'addresses': [], 'conditions': []},
    }
    node_paths = [
        ('metadata', 'name'),
        ('metadata', 'labels'),
        ('status',),
        ('status', 'addresses'),
        ('status', 'conditions'),
    ]
    subsets = [{'addresses': [{'ip': '10.0.0.9'}], 'ports': [{'port': 80}]}]
    old = {
        'apiVersion': 'v1',
        'kind': 'Endpoints',
        'metadata': {'name': 'old', 'namespace': 'harm'},
        'subsets': subsets,
    }
    old_paths = [
        ('subsets',),
        ('subsets', 0),
        ('subsets', 0, 'addresses'),
        ('subsets', 0, 'addresses', 0),
        ('subsets', 0, 'addresses', 0, 'ip'),
        ('subsets', 0, 'ports'),
    ]
    pair = tls_secret('pair', 'harm')
    pair['stringData']['auth'] = 'ann:secret'
    values = {**WRONG, **FIELD_TEXTS}
    kinds = (('e', slice_paths, None), ('k', secret_paths, pair), ('n', node_paths, node), ('o', old_paths, old))
    for kind, paths, document in kinds:
        for number, path in enumerate(paths):
            for word, value in values.items():
                name = f'{kind}-{number}-{word}'
                if kind == 'e':
                    yield '', asking(name)
                    yield '', patched(endpoint_slice(name, 'harm', endpoints=ends), path, value)
                else:
                    named = json.loads(json.dumps(document))
                    named['metadata']['name'] = name
                    yield '', patched(named, path, value)
                    if kind == 'k':
                        yield '', asking(name, **{'tls-secret': name, 'basic-auth-secret': name})


CASES = [*annotation_cases(), *service_cases(), *other_cases()]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """All of it as JSON, which can hold what YAML cannot, with the good Service among it."""
    made = tmp_path_factory.mktemp('hostile')
    documents = [document for _, document in CASES]
    half = len(documents) // 2
    (made / 'a.json').write_text(json.dumps({'kind': 'List', 'items': documents[:half]}))
    (made / 'good.json').write_text(json.dumps({'kind': 'List', 'items': GOOD}))
    (made / 'z.json').write_text(json.dumps({'kind': 'List', 'items': documents[half:]}))
    return made


@pytest.fixture(scope='module')
def rendered():
    """The folder and the diagnostics of what has been rendered of it."""
    return []


@pytest.fixture
def harm(headrace, folder, rendered, tmp_path_factory):
    """Render all of it, if that is not done yet, and return the folder and the diagnostics, both to be read only."""
    if not rendered:
        out = tmp_path_factory.mktemp('harm') / 'out'
        outcome = headrace('render', '-f', folder, '-o', out, '--tcp-ports', '5432', '--format', 'json')
        assert outcome.code == 0, outcome.err
        rendered[:] = out, outcome.values['diagnostics']
    return rendered


def test_all_of_it_together_is_a_configuration_that_haproxy_accepts(harm, haproxy_34):
    outcome = check.check(haproxy_34, harm[0])
    assert outcome.accepted, outcome.output[:2000]


def test_none_of_it_reaches_the_configuration(harm):
    """Words of attackers may stand in maps as values that are data; in the configuration stands none of them."""
    for path in (harm[0] / 'haproxy').iterdir():
        for line in path.read_text().splitlines():
            assert len(line) < 5000
            assert not line.lstrip().startswith(('server evil', '#evil'))
            assert '192.0.2.66' not in line or ('set-header' in line and "'" in line)
    for path in (harm[0] / 'maps').iterdir():
        lines = path.read_bytes().splitlines()
        assert max(map(len, lines), default=0) < 16_384, path.name
        keys = [line.split()[0] for line in lines]
        assert len(set(keys)) == len(keys), path.name


def test_a_good_service_is_served_as_if_it_were_alone(harm, headrace, given, tmp_path):
    alone = tmp_path / 'alone'
    arguments = ('-o', alone, '--tcp-ports', '5432', '--format', 'json')
    headrace('render', '-f', given(*GOOD), *arguments)
    for name in ('maps/routes.map', 'maps/allow.map', 'certificates/list.txt', 'certificates/shop_good-tls.pem'):
        mine = [line for line in (alone / name).read_text().splitlines() if line]
        all_lines = (harm[0] / name).read_text().splitlines()
        assert mine
        assert [line for line in mine if line not in all_lines] == []
    (shard,) = (alone / 'haproxy').glob('backends-*.cfg')
    assert shard.read_text().strip() in (harm[0] / 'haproxy' / shard.name).read_text()
    assert [diagnostic for diagnostic in harm[1] if diagnostic['name'] in ('good', 'good-1', 'good-tls')] == []


def test_every_hostile_annotation_has_a_diagnostic_or_became_a_typed_value(harm):
    told = {
        diagnostic['name']
        for diagnostic in harm[1]
        if diagnostic['reason'] not in ('NoEndpoints', 'NotYet', 'PlaceholderCertificate')
    }
    silent = {name for name, _ in CASES if name.startswith(('a-', 'b-')) and name not in told}
    # Free text is text in a header's value, a path may be good after its slash, a tab separates hosts and Secrets, and the names of
    # methods may have nearly any character (RFC 9110, section 5.6.2).
    fine = ('-headers-', 'a-canary-header-', 'a-host-tab-', 'a-tls-secret-tab-', 'a-cors-allow-methods-')
    assert {name for name in silent if not name.endswith('-1') and not any(part in name for part in fine)} == set()


def test_diagnostics_can_be_printed_and_are_short(harm):
    for diagnostic in harm[1]:
        for text in diagnostic.values():
            assert text.isprintable(), diagnostic
            assert len(text) < 700, diagnostic


def test_check_and_plan_take_all_of_it(headrace, folder, given, haproxy_34):
    outcome = headrace('check', '-f', folder, '--haproxy', haproxy_34, '--tcp-ports', '5432')
    assert outcome.code == 1
    assert 'HAProxy accepts the configuration' in outcome.out
    assert all(line.isprintable() for line in outcome.out.splitlines())
    good = given(*GOOD)
    for start, end in ((good, folder), (folder, good), (folder, folder)):
        outcome = headrace('plan', '--from', start, '--to', end, '--tcp-ports', '5432', '--format', 'json')
        assert outcome.code == 0
        commands = [command['command'] for command in outcome.values['commands']]
        assert not [text for text in commands if 'good.example.com' in text]
        assert (start == end) is not bool(commands)


def test_the_node_role_takes_all_of_it(headrace, folder, tmp_path, haproxy_34):
    outcome = headrace('render', '-f', folder, '-o', tmp_path / 'node', '--role', 'node', '--node', 'n')
    assert outcome.code == 0
    answer = check.check(haproxy_34, tmp_path / 'node')
    assert answer.accepted, answer.output[:2000]


def test_the_longest_names_that_kubernetes_allows_are_served(headrace, given, tmp_path, haproxy_34):
    long, name = 'n' * 63, 's' * 63
    annotations = {
        'host': '.'.join(['h' * 61] * 4), 'path': '/' + 'p' * 2047, 'tls-secret': 't' * 253, 'client-ca-secret': 'c' * 253,
        'basic-auth-secret': 'u' * 253, 'request-headers': 'X-A: ' + 'v' * 4000, 'backend-protocol': 'https', 'backend-ca-secret': 'c' * 253,
    }  # fmt: skip
    documents = [
        service(name, long, annotations=annotations, ports=[{'name': 'p' * 63, 'port': 80}]),
        endpoint_slice(name, long, name='e' * 253, addresses=['10.0.0.1'], port_name='p' * 63),
        tls_secret('t' * 253, long), ca_secret('c' * 253, long), secret('u' * 253, long, username='a' * 255, password='p' * 1024),
    ]  # fmt: skip
    arguments = ('-o', tmp_path / 'out', '--format', 'json')
    outcome = headrace('render', '-f', given(*documents), *arguments)
    assert (outcome.code, outcome.values['diagnostics']) == (0, [])
    answer = check.check(haproxy_34, tmp_path / 'out')
    assert answer.accepted, answer.output[:2000]
