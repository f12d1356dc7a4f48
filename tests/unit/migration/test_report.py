"""The report of a migration, and Ingresses with headrace's own annotations: pure values."""

import pytest

from headrace import folder
from headrace.migration import manifests, report
from support.objects import ingress, ingress_class

NGINX, HAPROXY = 'nginx.ingress.kubernetes.io/', 'haproxy-ingress.github.io/'


def objects(*documents):
    """Return the objects of documents, in their order."""
    return [folder.parsing.parse(document).object for document in documents]


def made(*documents, classes=(), dialect=''):
    return report.make(objects(*documents), objects(*classes), dialect)


@pytest.mark.parametrize(
    ('document', 'classes', 'dialect'),
    [
        (ingress(ingressClassName='x'), [ingress_class('x', 'k8s.io/ingress-nginx')], 'ingress-nginx'),
        (
            ingress(ingressClassName='x'),
            [ingress_class('x', 'haproxy-ingress.github.io/controller')],
            'haproxy-ingress',
        ),
        (ingress(ingressClassName='nginx'), [], 'ingress-nginx'),
        (ingress(annotations={'kubernetes.io/ingress.class': 'haproxy'}), [], 'haproxy-ingress'),
        (ingress(), [ingress_class('x', 'k8s.io/ingress-nginx', default=True)], 'ingress-nginx'),
        (ingress(annotations={'ingress.kubernetes.io/hsts': 'true'}), [], 'haproxy-ingress'),
        (ingress(), [], ''),
    ],
)
def test_an_ingress_speaks_the_dialect_of_its_class(document, classes, dialect):
    (item,) = made(document, classes=classes).ingresses
    assert item.dialect == dialect


def test_a_dialect_that_is_given_is_that_of_all():
    (item,) = made(ingress(annotations={NGINX + 'app-root': '/a'}), dialect='haproxy-ingress').ingresses
    assert (item.dialect, item.foreign.remarks) == ('haproxy-ingress', ())


def test_verdicts_are_counted_by_ingress_and_key():
    found = made(
        ingress('a', annotations={NGINX + 'load-balance': 'ewma', NGINX + 'affinity': 'cookie'}),
        ingress('b', annotations={NGINX + 'load-balance': 'round_robin', NGINX + 'whitelist-source-range': 'office'}),
        dialect='ingress-nginx',
    )
    assert [
        (item.ingress.name, [item.count(verdict) for verdict in ('exact', 'differs', 'ignored')])
        for item in found.ingresses
    ] == [
        ('a', [1, 1, 0]),
        ('b', [1, 0, 1]),
    ]
    keys = {item.key.removeprefix(NGINX): item for item in found.keys}
    assert keys['load-balance'].verdicts == {'differs': 1, 'exact': 1}
    assert keys['load-balance'].texts == ('the endpoint with the fewest connections instead of the lowest latency',)
    assert (keys['affinity'].closes, keys['whitelist-source-range'].closes, found.closed) == (0, 1, 1)
    assert [found.count(verdict) for verdict in ('exact', 'differs', 'ignored')] == [2, 1, 1]


def test_hosts_of_several_namespaces_are_named():
    found = made(
        ingress('a', 'shop', hosts={'a.example.com': 'web', 'b.example.com': 'web'}),
        ingress('b', 'bank', hosts={'a.example.com': 'web'}),
        ingress(
            'c',
            'bank',
            hosts={'c.example.com': 'web', '': 'web'},
            annotations={NGINX + 'server-alias': 'b.example.com'},
        ),
        ingress('d', 'bank', hosts={'c.example.com': 'web', '': 'web'}),
        dialect='ingress-nginx',
    )
    assert found.shared_hosts == (('a.example.com', ('bank', 'shop')), ('b.example.com', ('bank', 'shop')))


def translated(annotations, **spec):
    document = ingress(annotations=annotations, hosts={'a.example.com': 'web'}, ingressClassName='nginx', **spec)
    document['metadata'] |= {'labels': {'a': 'b'}, 'uid': '1', 'resourceVersion': '2'}
    document['status'] = {'loadBalancer': {}}
    (item,) = made(document).ingresses
    return manifests.translate(document, item), manifests.kept_annotations(item)


def test_a_translated_ingress_has_headraces_annotations_and_the_rest_of_its_own():
    document, kept = translated(
        {
            NGINX + 'whitelist-source-range': '10.0.0.0/8',
            NGINX + 'canary': 'true',
            NGINX + 'mirror-host': 'x',
            'example.com/a': 'b',
            'kubectl.kubernetes.io/last-applied-configuration': '{}',
        }
    )
    assert document['metadata'] == {
        'name': 'web',
        'namespace': 'shop',
        'labels': {'a': 'b'},
        'annotations': {'example.com/a': 'b', NGINX + 'canary': 'true'},
    }
    assert 'status' not in document
    assert kept == (NGINX + 'canary',)


def test_a_translated_ingress_keeps_its_own_annotations_of_headrace():
    document, _ = translated({NGINX + 'whitelist-source-range': '10.0.0.0/8', 'headrace.io/allow': '10.1.0.0/16'})
    assert document['metadata']['annotations'] == {'headrace.io/allow': '10.1.0.0/16'}


def test_an_ingress_that_would_be_closed_stays_closed_when_it_is_translated():
    document, _ = translated({NGINX + 'whitelist-source-range': 'office', NGINX + 'limit-rps': '10'})
    annotations = document['metadata']['annotations']
    assert annotations['headrace.io/maintenance'] == 'true'
    assert annotations['headrace.io/rate-limit'] == '10/s'


def test_an_ingress_with_expressions_says_so_or_keeps_saying_so():
    document, kept = translated({NGINX + 'use-regex': 'true'})
    annotations = document['metadata']['annotations']
    assert annotations in ({'headrace.io/path-type': 'RegularExpression'}, {NGINX + 'use-regex': 'true'})
    assert kept == tuple(key for key in annotations if key.startswith(NGINX))


def test_an_ingress_of_no_dialect_is_translated_to_itself():
    document = ingress(annotations={'a': 'b'})
    (item,) = made(document).ingresses
    assert manifests.translate(document, item) == document
    assert manifests.kept_annotations(item) == ()
