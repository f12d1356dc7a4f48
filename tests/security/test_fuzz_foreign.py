"""Whatever foreign annotations hold: nothing is raised, time is bounded, and what protects is applied or closes."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from headrace.annotations.foreign import config_map, nginx_syntax, variables
from headrace.annotations.foreign.nginx_syntax import NginxSyntaxError
from headrace.annotations.foreign.read import DIALECTS, read
from headrace.annotations.keys import BY_NAME
from headrace.annotations.values import Invalid
from security.fuzzing import FUZZ, TIMEOUT, bounded

pytestmark = TIMEOUT
WORDS = st.sampled_from(
    ['true', 'false', 'on', 'off', 'basic', 'cookie', 'shop/users', 'bank/users', '10.0.0.0/8', '!', '10', '0', '5s', '8m', '$host', '$1', '${', '%[path]',
     'https://a.example.com', 'http://a.shop.svc', 'svc://a:80', 'return 403;', 'deny all;', 'allow 10.0.0.0/8;', 'add_header X-A b;', '{', '}', '"', "'", '\\', ';',
     '\n', '\x00', '\N{REPLACEMENT CHARACTER}', 'all', 'any', 'X-A: b', 'rewrite ^(.*)$ https://x$1 redirect;', 'proxy_set_header X-A $x;', ',', ' ', ':', '/'],
)  # fmt: skip
TEXTS = st.lists(WORDS | st.text(max_size=8), max_size=8).map(''.join)


def annotations(dialect):
    """Return a strategy of annotations of a dialect, some of headrace's among them."""
    foreign = st.tuples(
        st.sampled_from(DIALECTS[dialect].prefixes),
        st.sampled_from(sorted(DIALECTS[dialect].table)) | st.text(max_size=4),
        TEXTS,
    ).map(lambda item: (item[0] + item[1], item[2]))
    own = st.tuples(st.sampled_from(sorted(BY_NAME)), TEXTS).map(lambda item: (f'headrace.io/{item[0]}', item[1]))
    return st.lists(foreign | own, max_size=12).map(lambda pairs: tuple(sorted(dict(pairs).items())))


def judge(dialect, pairs):
    """Translate annotations, and hold what becomes of them to the promises."""
    with bounded():
        foreign = read(dialect, pairs, 'shop')
    own = {key.removeprefix('headrace.io/') for key, _ in pairs if key.startswith('headrace.io/')}
    assert not own & set(foreign.values)
    for key, text in foreign.texts:
        assert not isinstance(BY_NAME[key].parse(text), Invalid)
        assert foreign.values[key] == BY_NAME[key].parse(text)
    assert set(foreign.closed) <= {key for key, _ in pairs}
    assert all(remark.text.isprintable() for remark in foreign.remarks)
    present = {key.partition('/')[2] for key, _ in pairs if not key.startswith('headrace.io/')}
    for names, key in (
        (('whitelist-source-range', 'allowlist-source-range'), 'allow'),
        (('denylist-source-range',), 'deny'),
        (('auth-url',), 'external-auth-url'),
    ):
        if present & set(names) and key not in own:
            assert key in foreign.values or foreign.closed, key


@FUZZ
@given(annotations('ingress-nginx'))
def test_annotations_of_ingress_nginx(pairs):
    judge('ingress-nginx', pairs)


@FUZZ
@given(annotations('haproxy-ingress'))
def test_annotations_of_haproxy_ingress(pairs):
    judge('haproxy-ingress', pairs)


@FUZZ
@given(TEXTS | st.text())
def test_snippets(text):
    with bounded(), contextlib.suppress(NginxSyntaxError):
        nginx_syntax.read(text)


@FUZZ
@given(TEXTS | st.text())
def test_variables(text):
    with bounded():
        found = variables.translate(text, captures=True)
    assert isinstance(found, Invalid) or all(name.isascii() for name in variables.names(found))


@FUZZ
@given(st.dictionaries(st.sampled_from(sorted(config_map.CONFIG_MAP)) | st.text(max_size=4), TEXTS))
def test_config_maps(data):
    with bounded():
        config_map.class_settings(data)
        config_map.tcp_services(data)
