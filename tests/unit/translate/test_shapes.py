"""What of a backend's settings is its shape, what stands on a server's line, and the names that follow from both."""

from dataclasses import replace

import pytest

from headrace import names
from headrace.annotations import parse, values
from headrace.annotations.keys import BY_NAME
from headrace.ir.backend import Options, ServerTls, Shape
from headrace.ir.policy import Userlist
from headrace.ir.tls import HostTls, Pem
from headrace.settings.settings import Settings
from headrace.translate import shapes
from headrace.translate.shapes import ShapeContext

CONTEXT = ShapeContext(cookie_name='headrace')
NODE = ShapeContext(cookie_name='headrace', default_balance='random(1)')


def settings(annotations):
    given = {key: BY_NAME[key].parse(text) for key, text in annotations.items()}
    assert not any(isinstance(value, values.Invalid) for value in given.values()), given
    return parse.backend(given)


@pytest.mark.parametrize(
    ('annotations', 'shape'),
    [
        ({}, Shape()),
        ({'balance': 'leastconn'}, Shape(balance='leastconn')),
        ({'balance': 'uri'}, Shape(balance='uri')),
        ({'balance': 'hdr:X-User'}, Shape(balance='hdr:x-user')),
        ({'cookie': 'true'}, Shape(cookie='headrace')),
        ({'cookie': 'mine'}, Shape(cookie='mine')),
        ({'check': 'off'}, Shape()),
        ({'check': 'tcp'}, Shape(check='tcp')),
        ({'check': 'http'}, Shape(check='http')),
        # A path, host or status implies http; interval, rise and fall do not, and off stays off.
        ({'check-path': '/up'}, Shape(check='http')),
        ({'check-host': 'x.org'}, Shape(check='http')),
        ({'check-status': '200'}, Shape(check='http', expect='200')),
        ({'check-interval': '5s', 'check-rise': '1', 'check-fall': '1'}, Shape()),
        ({'check': 'off', 'check-path': '/up'}, Shape()),
        ({'check': 'tcp', 'check-status': '200'}, Shape(check='tcp')),
        ({'retries': '0'}, Shape(retries=0)),
        ({'retries': '3'}, Shape()),
        ({'retry-on': '503 conn-failure'}, Shape(retry_on=('conn-failure', '503'))),
        ({'snippets': 'one two'}, Shape(snippets=('one', 'two'))),
        # Timeouts of HTTP are data.
        (
            {'timeout-connect': '1s', 'timeout-server': '1s', 'timeout-tunnel': '1s', 'queue-timeout': '1s'},
            Shape(),
        ),
        # What stands on the server's line, or in a policy, is no part of it.
        ({'max-connections': '5', 'slow-start': '5s', 'client-ip': 'proxy-v1', 'backend-protocol': 'h2'}, Shape()),
        ({'eject-after': '5'}, Shape()),
        ({'compression': 'true'}, Shape(compression=True)),
    ],
)
def test_the_shape_of_an_http_backend(annotations, shape):
    assert shapes.shape(settings(annotations), 'http', CONTEXT) == shape


@pytest.mark.parametrize(
    ('annotations', 'shape'),
    [
        ({}, Shape(mode='tcp')),
        ({'balance': 'source'}, Shape(mode='tcp', balance='source')),
        ({'balance': 'uri'}, Shape(mode='tcp')),
        ({'balance': 'hdr:x-user'}, Shape(mode='tcp')),
        ({'cookie': 'true', 'retry-on': '503'}, Shape(mode='tcp')),
        ({'check': 'http'}, Shape(mode='tcp', check='http')),
        (
            {'timeout-connect': '1s', 'timeout-server': '2s', 'timeout-tunnel': '3s', 'queue-timeout': '4s'},
            Shape(mode='tcp', connect=1000, server=2000, tunnel=3000, queue=4000),
        ),
    ],
)
def test_the_shape_of_a_tcp_backend(annotations, shape):
    assert shapes.shape(settings(annotations), 'tcp', CONTEXT) == shape


@pytest.mark.parametrize(
    ('annotations', 'mode', 'balance'),
    [({}, 'http', 'random(1)'), ({}, 'tcp', 'random(1)'), ({'balance': 'uri'}, 'tcp', 'random(1)'),
     ({'balance': 'random'}, 'tcp', 'random')],
)  # fmt: skip
def test_the_node_role_balances_by_pure_chance_unless_told_otherwise(annotations, mode, balance):
    assert shapes.shape(settings(annotations), mode, NODE).balance == balance


@pytest.mark.parametrize(
    ('annotations', 'protocol', 'options'),
    [
        ({}, 'http1', Options()),
        ({}, 'tcp', Options()),
        ({}, 'h2c', Options(protocol='h2')),
        ({}, 'https', Options(tls=ServerTls())),
        ({}, 'tls', Options(tls=ServerTls())),
        ({}, 'h2', Options(protocol='h2', tls=ServerTls())),
        ({'backend-sni': 'x.org'}, 'https', Options(tls=ServerTls(sni='x.org'))),
        ({'backend-sni': 'host-header'}, 'https', Options(tls=ServerTls(sni='host-header'))),
        ({'backend-sni': 'x.org', 'backend-verify': 'true'}, 'http1', Options()),
        ({'client-ip': 'proxy-v1'}, 'tcp', Options(proxy='v1')),
        ({'client-ip': 'proxy-v2'}, 'http1', Options(proxy='v2')),
        ({'client-ip': 'none'}, 'http1', Options()),
        ({'client-ip': 'forwarded'}, 'http1', Options()),
        ({'client-ip': 'preserve'}, 'tcp', Options()),
        ({'slow-start': '5s', 'max-connections': '7'}, 'tcp', Options(slow_start=5000, max_connections=7)),
        # Without a check its numbers mean nothing.
        ({'check-interval': '5s', 'check-rise': '1', 'check-fall': '9', 'eject-after': '5'}, 'tcp', Options()),
        ({'check': 'tcp'}, 'tcp', Options(check=True)),
        (
            {'check-path': '/', 'check-interval': '5s', 'check-rise': '1', 'check-fall': '9', 'eject-after': '5'},
            'http1',
            Options(check=True, interval=5000, rise=1, fall=9, eject_after=5),
        ),
    ],
)
def test_the_options_of_a_server(annotations, protocol, options):
    assert shapes.options(settings(annotations), protocol=protocol, ca_file='') == options


@pytest.mark.parametrize(
    ('annotations', 'ca', 'tls'),
    [
        ({}, 'shop_ca', ServerTls(verify=True, ca_file='shop_ca')),
        ({'backend-verify': 'true'}, 'shop_ca', ServerTls(verify=True, ca_file='shop_ca')),
        ({'backend-verify': 'false'}, 'shop_ca', ServerTls()),
        ({'backend-verify': 'true'}, '', ServerTls()),
        ({}, '', ServerTls()),
    ],
)
def test_endpoints_are_verified_where_there_is_an_authority_and_nothing_else_is_said(annotations, ca, tls):
    assert shapes.options(settings(annotations), protocol='https', ca_file=ca).tls == tls


# --- names ------------------------------------------------------------------------------------------------------------


CHANGED_SHAPES = [
    {'mode': 'tcp'}, {'balance': 'first'}, {'check': 'tcp'}, {'expect': '200'}, {'cookie': 'headrace'}, {'retries': 1},
    {'retry_on': ('503',)}, {'connect': 1}, {'server': 1}, {'tunnel': 1}, {'queue': 1}, {'snippets': ('one',)},
]  # fmt: skip
CHANGED_OPTIONS = [
    {'protocol': 'h2'}, {'tls': ServerTls()}, {'tls': ServerTls(sni='x')}, {'proxy': 'v1'}, {'check': True},
    {'interval': 1}, {'rise': 1}, {'fall': 1}, {'eject_after': 1}, {'slow_start': 1},
]  # fmt: skip


def test_the_default_shape_and_options_have_no_hash():
    assert Shape().suffix == Options().suffix == ''
    assert names.backend(names.Ref('Service', 'shop', 'web'), 'http', shape=Shape().suffix) == 'shop_web_http'
    assert names.server('10.0.0.1', 80, Options().suffix) == '10.0.0.1:80'


def test_each_part_of_a_shape_changes_its_hash():
    found = {replace(Shape(), **changed).suffix for changed in CHANGED_SHAPES}
    assert len(found) == len(CHANGED_SHAPES)
    assert all(len(suffix) == 32 for suffix in found)


def test_each_option_but_the_maximum_of_connections_changes_the_servers_hash():
    found = {replace(Options(), **changed).suffix for changed in CHANGED_OPTIONS}
    assert len(found) == len(CHANGED_OPTIONS)
    assert all(len(suffix) == 32 for suffix in found)
    assert Options(max_connections=9).suffix == ''
    assert Options(slow_start=1, max_connections=9).suffix == Options(slow_start=1).suffix


def test_hashes_are_the_same_in_every_process():
    # Changing these renames every backend of every installation: that is an upgrade's note, not an accident.
    assert Shape(mode='tcp').suffix == names.digest(repr(Shape(mode='tcp')))
    assert repr(Shape(mode='tcp', balance='source')).startswith("Shape(mode='tcp', balance='source', check='off'")


def test_a_profile_is_named_by_its_mode_and_the_hash_of_the_whole_shape():
    shape = Shape(balance='hdr:x-user', cookie='mine')
    assert shape.profile == f'http-{shape.suffix}'
    assert Shape(mode='tcp').profile == f'tcp-{Shape(mode="tcp").suffix}'
    # The default shape's name has a hash as the others have.
    assert len(Shape().profile) == len('http-') + 32


def test_the_base_set_is_the_product_of_mode_balance_check_and_cookie_or_affinity():
    found = list(shapes.base_set('mine'))
    assert len(found) == len(set(found)) == 8 * 3 * 3 + 6 * 3 * 2 + 2 * 2 * 5 + 3 * 5 - 4 + 1
    assert len({shape.profile for shape in found}) == len(found)
    assert Shape() in found
    assert Shape(mode='tcp', balance='random(1)', affinity=True) in found
    assert Shape(cookie='mine', affinity=True) not in found
    assert Shape(mode='tcp', balance='random(1)', check='http') in found
    assert Shape(balance='uri', check='tcp', cookie='mine') in found
    assert Shape(mode='tcp', balance='uri') not in found
    assert Shape(retries=0, cookie='mine') in found
    failures = ('conn-failure', 'empty-response', 'response-timeout')
    assert Shape(balance='roundrobin', retries=2, retry_on=failures) in found
    assert Shape(retry_on=(*failures, '502', '503', '504')) in found
    assert Shape(retries=1, retry_on=(*failures, '500')) in found
    assert not any(shape.mode == 'tcp' and shape.cookie for shape in found)


def test_where_names_outside_are_served_the_base_set_has_their_two_shapes_too():
    found = list(shapes.base_set('mine', external=True))
    assert found[:2] == [Shape(external=True), Shape(mode='tcp', external=True)]
    assert found[2:] == list(shapes.base_set('mine'))


# --- what is never shown ----------------------------------------------------------------------------------------------


def test_material_is_never_shown():
    pem = Pem(b'-----BEGIN PRIVATE KEY-----')
    assert repr(pem) == f'Pem({pem.mark})'
    assert len(pem.mark) == 16
    assert pem.mark != Pem(b'other').mark
    assert repr(Userlist('p', (('ann', '$6$x'),))) == 'Userlist(policy=p, users=1)'
    assert HostTls().verify == 'none'


def test_where_foreign_annotations_are_read_their_usual_cookie_costs_no_reload_either():
    assert shapes.usual_cookies(Settings(cookie_name='mine')) == ('mine',)
    speaking = Settings(cookie_name='mine', ingress_annotations=('ingress-nginx',))
    assert shapes.usual_cookies(speaking) == ('mine', 'INGRESSCOOKIE')
    assert {shape.cookie for shape in shapes.base_set(*shapes.usual_cookies(speaking))} == {'', 'mine', 'INGRESSCOOKIE'}
