"""Hostile values of foreign annotations: nothing of them is configuration, and they cost and reach their own Ingress alone."""

import contextlib

import pytest

from conftest import binary
from headrace.annotations.foreign.read import DIALECTS
from headrace.annotations.foreign.read import read as read_foreign
from headrace.settings.settings import Settings
from support.authentication import Authentication
from support.edge import Edge, Endpoints, web
from support.objects import built, ingress, ingress_class, secret
from support.steps import counted

MARK = 'zqinjectedqz'
PREFIX = DIALECTS['ingress-nginx'].prefixes[0]
KEYS = sorted(DIALECTS['ingress-nginx'].table)
# What other keys need to have an effect at all.
WITH = {
    'auth-type': 'basic', 'auth-secret': 'users', 'enable-cors': 'true', 'affinity': 'cookie', 'limit-rpm': '1000',
    'rewrite-target': '/x', 'proxy-redirect-from': 'http://a/', 'proxy-redirect-to': 'http://b/',
    'default-backend': 'one', 'custom-http-errors': '418',
}  # fmt: skip
VALUES = (
    MARK,
    f'true\n  http-request return status 200 string {MARK}\n',
    f'/{MARK}\r\nX-Injected: yes',
    f'https://a.example.org/"\n  {MARK}\n',
    f"'; {MARK} '",
    f'%[env(PATH)]{MARK}',
    f'https://a.example.org/%[src]{MARK}',
    f'/a b {MARK}',
    f'}} http-request deny # {MARK}',
    f'add_header X-Injected "yes\n{MARK}";',
    f'return 301 "https://a.example.org/\r\nX-Injected: {MARK}";',
    f'proxy_set_header X-A "b\r\nX-Injected: {MARK}";',
    f'10.0.0.0/8\n{MARK}',
    f'{MARK}|{MARK}:{MARK},{MARK}',
    f'\x00{MARK}\x7f',
    f'https://*.{MARK}.org, {MARK}',
    '$' * 64,
    '(' * 200 + ')' * 200,
    '(a+)+$' * 20,
    '9' * 300,
    '-1',
)


def hostile():
    """Return an Ingress for each key and value."""
    return [
        ingress(
            f'h-{place}-{number}',
            hosts={f'h-{place}-{number}.example': 'one'},
            annotations={
                **({f'{PREFIX}{name}': text for name, text in WITH.items()} if number % 2 else {}),
                f'{PREFIX}{key}': value,
            },
        )
        for place, key in enumerate(KEYS)
        for number, value in enumerate(VALUES)
    ]


class Kept(Edge):
    """An edge that keeps what was rendered."""

    def rendered(self, made):
        """Return the files of the folder, and keep them."""
        self.files = super().rendered(made)
        return self.files


def of_bank(document):
    """Return a document of the namespace bank."""
    return {**document, 'metadata': {**document['metadata'], 'namespace': 'bank'}}


GREED = {
    'alias': {'server-alias': 'bank.example'},
    'secret': {'auth-type': 'basic', 'auth-secret': 'bank/users'},
    'authority': {'auth-tls-secret': 'bank/ca'},
    'endpoint-authority': {'backend-protocol': 'HTTPS', 'proxy-ssl-verify': 'on', 'proxy-ssl-secret': 'bank/ca'},
    'auth-service': {'auth-url': 'http://auth.bank.svc.cluster.local/'},
    'auth-address': {'auth-url': 'http://127.0.8.1:AUTH/'},
    'auth-own-port': {'auth-url': 'http://127.0.0.1:HEALTH/metrics'},
    'auth-metadata': {'auth-url': 'http://169.254.169.254/latest/meta-data/'},
}


@pytest.fixture(scope='module')
def edge():
    """An edge with all hostile Ingresses, and a namespace bank that has nothing to do with them."""
    with contextlib.ExitStack() as closing:
        endpoints, auth = closing.enter_context(Endpoints()), closing.enter_context(Authentication())
        bank = [
            *web('bank', endpoints, address='127.0.9.9', host=''),
            *web('auth', auth, address=auth.address, host=''),
            secret('users', auth='ann:{SHA}F2GPAaOiG5EcklvLUlodIavTBnM=\n'),
            ingress('bank', hosts={'bank.example': 'bank'}, created='2024-01-01T00:00:00Z'),
        ]
        greedy = [
            ingress(
                f'greed-{name}',
                hosts={f'{name}.greed.example': 'one'},
                annotations={PREFIX + key: value.replace('AUTH', str(auth.port)) for key, value in given.items()},
                created='2024-02-01T00:00:00Z',
            )
            for name, given in GREED.items()
        ]
        canary = ingress(
            'greed-canary',
            hosts={'bank.example': 'one'},
            annotations={f'{PREFIX}canary': 'true', f'{PREFIX}canary-weight': '100'},
        )
        documents = [
            ingress_class(default=True),
            *map(of_bank, bank),
            *web('one', endpoints, host=''),
            secret('users', auth='ben:clear\n'),
            *greedy,
            canary,
            *hostile(),
        ]
        settings = {'ingress_annotations': ('ingress-nginx',), 'seen': {'all_secrets': True}}
        found = closing.enter_context(Kept(binary('haproxy-3.4'), *documents, **settings))
        yield found, auth


def test_no_value_is_part_of_a_configuration(edge):
    found, _ = edge
    configuration = {name: text for name, text in found.files.items() if str(name).endswith('.cfg')}
    assert configuration
    assert not [name for name, text in configuration.items() if MARK in str(text)]


def test_no_value_answers_or_adds_a_header(edge):
    found, _ = edge
    for item in hostile():
        answer = found.get(item['spec']['rules'][0]['host'], '/')
        assert 'x-injected' not in answer.headers, item
        assert MARK.encode() not in answer.body or answer.body.startswith(b'{"at"'), item
        if answer.body.startswith(b'{"at"'):
            assert 'x-injected' not in answer.said['headers'], item


def test_another_namespace_keeps_its_host_whatever_names_it(edge):
    found, _ = edge
    assert {found.get('bank.example').said['at'] for _ in range(5)} == {'127.0.9.9'}


@pytest.mark.parametrize('name', [name for name in GREED if name != 'alias'])
def test_what_another_namespace_has_is_not_reached(edge, name):
    found, auth = edge
    auth.asked.clear()
    answer = found.get(f'{name}.greed.example', headers=[('Authorization', 'Basic YW5uOm9wZW5zZXNhbWU=')])
    assert answer.status in (500, 502, 503)
    assert not auth.asked


@pytest.mark.parametrize('key', KEYS)
def test_a_huge_value_sets_no_other_key_and_no_long_one(key):
    pairs = tuple(
        sorted({**{PREFIX + name: text for name, text in WITH.items()}, PREFIX + key: 'a,' * 120_000}.items())
    )
    foreign = read_foreign('ingress-nginx', pairs, 'shop')
    assert sum(len(text) for _, text in foreign.texts) < 70_000
    assert all(len(remark.text) < 1000 for remark in foreign.remarks)


def test_thousands_of_annotations_are_read_in_steps_that_grow_with_them():
    def steps(number):
        annotations = {f'{PREFIX}{key}-{index}': 'true' for index in range(number) for key in ('canary', 'auth-url')}
        item = ingress(hosts={'a.com': 'one'}, annotations=annotations)
        return counted(
            lambda: built(item, ingress_class(default=True), settings=Settings(ingress_annotations=('ingress-nginx',)))
        )[1]

    assert steps(2000) < 1.5 * 4 * steps(500)
