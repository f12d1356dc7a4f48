"""No text of an object becomes a directive, a word, or a control character of what HAProxy reads.

Whatever stands in a field, the files have the directives and words that a harmless value gives, or those of an object
without the field: what does not parse counts as absent.
"""

import functools
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.annotations import keys
from headrace.haproxy.encode import profiles, syntax
from headrace.haproxy.render import render
from headrace.objects import parse
from headrace.resolve import model_snapshot, state
from headrace.store import Store
from properties import strategies
from properties.living import RENDERER, VIEW
from support.objects import ca_secret, endpoint_slice, secret, service, tls_secret

# One test for each key and field is many tests.
SHORT = settings(max_examples=max(10, settings().max_examples // 10))
CONTROL = re.compile(r'[\x00-\x08\x0b-\x1f\x7f]')
# Words as HAProxy cuts them (manual 2.2): quotes keep blanks, a backslash keeps the next character, # ends the line.
WORD = re.compile(r"""(?:[^\s'"\\#]|(?<=\S)#|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+|(?P<rest>#.*|\S)""")
HTTP = [{'name': 'http', 'port': 80}]
SHARED = [tls_secret(), ca_secret(), secret('users', username='u', password='p'), service('next', ports=HTTP)]
EXPOSED = {'host': 'a.example.com', 'tls-secret': 'tls'}
ROUTED = {
    'redirect-to': '/',
    'check': 'http',
    'cors-allow-origin': '*',
    'backend-protocol': 'https',
    'canary-service': 'next',
}


def rendered(documents):
    """Return the files of some documents; what cannot be read at all is left out."""
    held, made = Store(), state.State(VIEW)
    for document in documents:
        if (found := parse.read(document).object) is not None:
            held.put(found)
    made.update(held, held.take())
    return user_files(model_snapshot.of_state(made))


def user_files(shown):
    """Return the parts of the files that objects have a say in; the rest is the same for all, and long."""
    renderer, fragments = RENDERER, [shown.fragments[ref] for ref in sorted(shown.fragments)]
    used = profiles.in_use(fragments, 'headrace')
    base = profiles.in_use([], 'headrace')
    sections = [profiles.section(name, used[name], {}) for name in used.keys() - base.keys()]
    texts = [
        renderer._templates.render('profile.cfg.j2', {'profile': each, 'map': syntax.map_file, 'trusted': ''})
        for each in sections
    ]
    return {
        'haproxy/20-profiles.cfg': ''.join(texts).encode(),
        'haproxy/backends-0000.cfg': renderer.backends(fragments),
        **renderer.data(shown),
    }


def cut(line):
    """Return the words of a line of configuration; a quote that never ends is a failure."""
    found = []
    for match in WORD.finditer(line):
        if match['rest']:
            assert match['rest'].startswith('#'), line
            break
        found.append(match[0])
    return found


def shape(files):
    """Return how many lines of a directive with so many words there are, and judge what no harmless text makes."""
    found = Counter()
    for name, data in files.items():
        text = data.decode()
        assert not CONTROL.search(text), name
        if name.startswith('haproxy/'):
            found.update((made[0], len(made)) for line in text.split('\n') if (made := cut(line)))
        elif name.startswith('maps/'):
            lines = text.split('\n')
            assert lines.pop() == ''
            assert all(re.fullmatch(r'[^\s#]\S* \S.*', line) for line in lines), (name, lines)
            assert len({line.split(' ')[0] for line in lines}) == len(lines), name
        elif name == render.CRT_LIST:
            assert all(re.fullmatch(r'\S+( \[[-\w/. ]+\])? [-\w.*]+', line) for line in text.splitlines()), text
    return found


@functools.cache
def harmless(key, benign):
    """Return what a harmless value of a key, none, and one that does not parse give."""
    others = {other: value for other, value in (EXPOSED | ROUTED).items() if other != key}
    made = (with_annotations({**others, key: benign}), with_annotations(others), with_annotations({**others, key: '-'}))
    return [shape(rendered(documents)) for documents in made]


@functools.cache
def harmless_field(field):
    """Return what a harmless value of a field, another one, one that does not parse, and an object less give."""
    place, path, benign = FIELDS[field]
    plain, other, absent = with_fields(), with_fields(), with_fields()
    put(other[place], path, f'x{benign}')
    put(absent[place], path, '-')
    without = [document for number, document in enumerate(with_fields()) if number != place]
    return [shape(rendered(each)) for each in (plain, other, absent, without)]


def with_annotations(said):
    return [
        service('a', annotations=said, ports=HTTP),
        endpoint_slice('a', addresses=['10.0.0.1'], port_name='http'),
        *SHARED,
    ]


@pytest.mark.parametrize('key', [key.name for key in keys.KEYS])
@SHORT
@given(data=st.data())
def test_no_annotation_becomes_a_directive_or_a_word(key, data):
    benign = strategies.BENIGN.get(key, 'x')
    text = data.draw(strategies.hostile(benign))
    others = {other: value for other, value in (EXPOSED | ROUTED).items() if other != key}
    found = shape(rendered(with_annotations({**others, key: text})))
    assert found in harmless(key, benign)


@given(key=strategies.hostile('host').map('x{}'.format), text=strategies.hostile())
def test_no_name_of_an_annotation_becomes_a_directive(key, text):
    found = shape(rendered(with_annotations({**EXPOSED, key: text})))
    closed = shape(rendered(with_annotations({**EXPOSED, 'allow': 'x'})))
    assert found in (shape(rendered(with_annotations(EXPOSED))), closed)


def put(document, path, text):
    """Put a text into a field of a document."""
    *parents, last = path
    for part in parents:
        document = document[part]
    document[last] = text


FIELDS = {
    'name of a Service': (0, ('metadata', 'name'), 'a'),
    'namespace of a Service': (0, ('metadata', 'namespace'), 'shop'),
    'creationTimestamp': (0, ('metadata', 'creationTimestamp'), '2024-01-01T00:00:00Z'),
    'class of a load balancer': (0, ('spec', 'loadBalancerClass'), 'headrace.io/headrace'),
    'source range': (0, ('spec', 'loadBalancerSourceRanges', 0), '10.0.0.0/8'),
    'clusterIP': (0, ('spec', 'clusterIP'), '10.96.0.1'),
    'family': (0, ('spec', 'ipFamilies', 0), 'IPv4'),
    'affinity': (0, ('spec', 'sessionAffinity'), 'None'),
    'name of a port': (0, ('spec', 'ports', 0, 'name'), 'http'),
    'protocol of a port': (0, ('spec', 'ports', 0, 'protocol'), 'TCP'),
    'appProtocol': (0, ('spec', 'ports', 0, 'appProtocol'), 'http'),
    'number of a port': (0, ('spec', 'ports', 0, 'port'), '80'),
    'name of a slice': (1, ('metadata', 'name'), 'a-1'),
    'Service of a slice': (1, ('metadata', 'labels', 'kubernetes.io/service-name'), 'a'),
    'name of a slice port': (1, ('ports', 0, 'name'), 'http'),
    'number of a slice port': (1, ('ports', 0, 'port'), '8080'),
    'address': (1, ('endpoints', 0, 'addresses', 0), '10.0.0.1'),
    'nodeName': (1, ('endpoints', 0, 'nodeName'), 'n1'),
    'certificate': (2, ('stringData', 'tls.crt'), ''),
    'key of a certificate': (2, ('stringData', 'tls.key'), ''),
    'authority': (3, ('stringData', 'ca.crt'), ''),
    'user': (4, ('stringData', 'username'), 'u'),
    'password': (4, ('stringData', 'password'), 'p'),
}


def with_fields():
    said = {**EXPOSED, **ROUTED, 'basic-auth-secret': 'users', 'client-ca-secret': 'ca'}
    spec = {'type': 'LoadBalancer', 'loadBalancerClass': 'headrace.io/headrace', 'loadBalancerSourceRanges': ['10.0.0.0/8'],
            'ipFamilies': ['IPv4']}  # fmt: skip
    slice_ = endpoint_slice('a', port_name='http', endpoints=[{'addresses': ['10.0.0.1'], 'nodeName': 'n1'}])
    return [service('a', annotations=said, ports=[dict(HTTP[0])], **spec), slice_, tls_secret(), ca_secret(),
            secret('users', username='u', password='p'), service('next', ports=HTTP)]  # fmt: skip


@pytest.mark.parametrize('field', FIELDS)
@SHORT
@given(data=st.data())
def test_no_field_becomes_a_directive_or_a_word(field, data):
    place, path, benign = FIELDS[field]
    documents = with_fields()
    put(documents[place], path, data.draw(strategies.hostile(benign)))
    found = shape(rendered(documents))
    assert found in harmless_field(field)


@given(lines=st.lists(strategies.hostile('a:b'), min_size=1, max_size=3))
def test_no_htpasswd_line_becomes_a_directive_or_a_word(lines):
    documents = with_fields()
    documents[4] = secret('users', auth='\n'.join(lines))
    assert shape(rendered(documents)) == shape(rendered(with_fields()))
