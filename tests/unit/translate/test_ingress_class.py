"""The class of an Ingress: by its field, its annotations, and the IngressClasses that there are."""

from dataclasses import replace

import pytest

from headrace.names import Ref
from headrace.objects import parse
from headrace.objects.kinds import DEFAULT_INGRESS_CLASS
from headrace.settings.settings import Settings
from headrace.store import Reader, Store
from headrace.translate import build_context
from headrace.translate.ingress_class import controller_name, ingress_class_of
from support.objects import ingress, ingress_class

OURS, THEIRS = 'headrace.io/ingress-controller', 'k8s.io/ingress-nginx'
LEGACY, OWN = 'kubernetes.io/ingress.class', 'headrace.io/class'


def decide(document, *classes, api_server=True, **settings):
    """Return the decision about an Ingress beside some IngressClasses, and what was looked up for it."""
    store = Store()
    for item in classes:
        store.put(parse.read(item).object)
    context = replace(build_context.make(Settings(**settings)), api_server=api_server)
    reader = Reader(store, Ref('Ingress', 'shop', 'web'))
    return ingress_class_of(parse.read(document).object, reader, context), reader.needs


def of(name=None, **annotations):
    keys = {'legacy': LEGACY, 'own': OWN}
    spec = {} if name is None else {'ingressClassName': name}
    return ingress(
        hosts={'a.example.com': 'web'}, annotations={keys[key]: text for key, text in annotations.items()}, **spec
    )


@pytest.mark.parametrize(
    ('document', 'classes', 'owner', 'reason'),
    [
        pytest.param(of('edge'), [ingress_class('edge', OURS)], 'ours', "spec.ingressClassName is 'edge'", id='class of ours'),
        pytest.param(of('nginx'), [ingress_class('nginx', THEIRS)], 'other', "spec.ingressClassName is 'nginx', whose controller is 'k8s.io/ingress-nginx'", id='class of another controller'),
        pytest.param(of('edge'), [ingress_class('edge', f'{OURS}-edge')], 'other', "spec.ingressClassName is 'edge', whose controller is 'headrace.io/ingress-controller-edge'", id='class of another installation'),
        pytest.param(of('gone'), [], 'none', "spec.ingressClassName is 'gone', and there is no such IngressClass", id='class that does not exist'),
        pytest.param(of('headrace'), [], 'none', "spec.ingressClassName is 'headrace', and there is no such IngressClass", id='own name without an IngressClass'),
        pytest.param(of(legacy='edge'), [ingress_class('edge', OURS)], 'ours', "kubernetes.io/ingress.class is 'edge'", id='annotation'),
        pytest.param(of(legacy='nginx'), [ingress_class('nginx', THEIRS)], 'other', "kubernetes.io/ingress.class is 'nginx', whose controller is 'k8s.io/ingress-nginx'", id='annotation with a class of another controller'),
        pytest.param(of(legacy='headrace'), [], 'ours', "kubernetes.io/ingress.class is 'headrace'", id='annotation with the own name, which needs no IngressClass'),
        pytest.param(of(legacy='nginx'), [], 'none', "kubernetes.io/ingress.class is 'nginx', and there is no such IngressClass", id='annotation with another name'),
        pytest.param(of('nginx', legacy='headrace'), [ingress_class('nginx', THEIRS)], 'other', "spec.ingressClassName is 'nginx', whose controller is 'k8s.io/ingress-nginx'", id='field before annotation'),
        pytest.param(of(), [], 'none', 'it names no class, and no IngressClass is the default one', id='no class'),
        pytest.param(of(legacy=''), [], 'none', 'it names no class, and no IngressClass is the default one', id='an empty annotation'),
        pytest.param(of(), [ingress_class('edge', OURS)], 'none', 'it names no class, and no IngressClass is the default one', id='no default class'),
        pytest.param(of(), [ingress_class('edge', OURS, default=True)], 'ours', "it names no class, and the default one is 'edge'", id='default class of ours'),
        pytest.param(of(), [ingress_class('nginx', THEIRS, default=True)], 'other', "it names no class, and the default one is 'nginx', whose controller is 'k8s.io/ingress-nginx'", id='default class of another controller'),
        pytest.param(of(own='headrace'), [], 'ours', 'headrace.io/class names this class', id='own key'),
        pytest.param(of(own='headrace'), [ingress_class('nginx', THEIRS, default=True)], 'ours', 'headrace.io/class names this class', id='own key before the default class'),
        pytest.param(of('nginx', own='headrace'), [ingress_class('nginx', THEIRS)], 'other', "spec.ingressClassName is 'nginx', whose controller is 'k8s.io/ingress-nginx'", id='field before the own key'),
        pytest.param(of('edge', own='dmz'), [ingress_class('edge', OURS)], 'other', "headrace.io/class names the class 'dmz'", id='own key with another class'),
    ],
)  # fmt: skip
def test_in_a_cluster(document, classes, owner, reason):
    decision, _ = decide(document, *classes)
    assert (decision.owner, decision.reason) == (owner, reason)


@pytest.mark.parametrize(
    ('document', 'classes', 'owner'),
    [
        pytest.param(of('headrace'), [], 'ours', id='own name'),
        pytest.param(of(legacy='headrace'), [], 'ours', id='own name as annotation'),
        pytest.param(of('nginx'), [], 'none', id='another name'),
        pytest.param(of('headrace'), [ingress_class('headrace', THEIRS)], 'other', id='own name with an IngressClass of another controller'),
        pytest.param(of(), [], 'none', id='no class'),
    ],
)  # fmt: skip
def test_where_classes_are_not_all_read_the_own_name_needs_no_ingress_class(document, classes, owner):
    assert decide(document, *classes, api_server=False)[0].owner == owner
    assert decide(document, *classes, namespaces=('shop',))[0].owner == owner


@pytest.mark.parametrize('api_server', [True, False], ids=['cluster', 'folder'])
@pytest.mark.parametrize('classes', [[], [ingress_class('nginx', THEIRS, default=True)]], ids=['no class', 'its class'])
@pytest.mark.parametrize('document', [of('nginx'), of(legacy='nginx')], ids=['field', 'annotation'])
def test_a_class_that_the_settings_name_is_ours_whether_it_exists_or_not(document, classes, api_server):
    decision, _ = decide(document, *classes, api_server=api_server, ingress_classes=('nginx',))
    assert (decision.owner, decision.name) == ('ours', 'nginx')
    assert decision.reason.endswith("is 'nginx', which is one of ingressClasses")
    assert decision.controller == (THEIRS if classes else '')


def test_a_default_class_that_the_settings_name_is_ours():
    decision, _ = decide(of(), ingress_class('nginx', THEIRS, default=True), ingress_classes=('nginx',))
    assert (decision.owner, decision.name) == ('ours', 'nginx')


def test_each_class_of_headrace_has_its_own_controller():
    assert (controller_name('headrace'), controller_name('dmz')) == (OURS, f'{OURS}-dmz')
    ours = ingress_class('inner', f'{OURS}-dmz')
    assert decide(of('inner'), ours, class_name='dmz')[0].owner == 'ours'
    assert decide(of('inner'), ingress_class('inner', OURS), class_name='dmz')[0].owner == 'other'
    assert decide(of('dmz'), class_name='dmz', api_server=False)[0].owner == 'ours'
    assert decide(of('headrace'), class_name='dmz', api_server=False)[0].owner == 'none'


@pytest.mark.parametrize(
    ('document', 'needs'),
    [
        pytest.param(of('edge'), (Ref('IngressClass', '', 'edge'),), id='a named class'),
        pytest.param(of(legacy='edge'), (Ref('IngressClass', '', 'edge'),), id='an annotation'),
        pytest.param(of(), (DEFAULT_INGRESS_CLASS,), id='no class'),
        pytest.param(of(own='dmz'), (), id='another class of headrace'),
    ],
)
def test_what_decides_is_recorded(document, needs):
    assert decide(document)[1] == needs


def test_a_hostile_name_is_shown_in_quotes():
    decision, _ = decide(of(legacy='nginx\nuse_backend x'))
    assert (
        decision.reason == r"kubernetes.io/ingress.class is 'nginx\nuse_backend x', and there is no such IngressClass"
    )
