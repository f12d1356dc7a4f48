"""From the model to files: profiles, templates and their guard, overrides, rendering, writing, and asking HAProxy."""

import re
import stat

import pytest

from headrace.haproxy.encode import profiles, syntax
from headrace.haproxy.encode.profiles import Usage
from headrace.haproxy.render import overrides, render
from headrace.haproxy.render.render import Renderer
from headrace.haproxy.render.templating import Block, Overrides, TemplateError, Templates
from headrace.haproxy.runtime import check, files
from headrace.haproxy.runtime.check import HaproxyMissingError
from headrace.ir.backend import Backend, Options, Shape
from headrace.ir.fragment import Fragment
from headrace.ir.policy import Map
from headrace.names import Ref
from headrace.settings.settings import Settings
from headrace.translate import build_context
from headrace.translate.build_context import Role
from support.objects import built, ca_secret, endpoint_slice, service, tls_secret

WEB = Ref('Service', 'shop', 'web')
HTTP = [{'name': 'http', 'port': 80}]

# --- profiles ---------------------------------------------------------------------------------------------------------


def fragment(*shapes):
    made = (Backend(f'b{number}', WEB, 'http', shape, Options()) for number, shape in enumerate(shapes))
    return Fragment(WEB, backends=tuple(made))


def test_the_base_set_is_all_modes_balances_checks_and_the_cookie_of_the_class_or_affinity():
    # http: 8 balances x 3 checks, each plain, with the cookie, with affinity; tcp: 6 balances (no uri and hash) x 3 checks, without cookie.
    # What is tried again: 2 balances x with the cookie or without x 5 usual values, and 12 more of HTTPRoutes.
    assert len(profiles.in_use([], 'headrace')) == 72 + 36 + 20 + 12


def test_a_shape_is_rendered_while_it_is_in_use():
    usage, odd, plain = Usage('headrace'), Shape(retries=1), Shape()
    assert usage.exchange(None, fragment(odd, plain))
    assert odd.profile in usage.profiles()
    assert not usage.exchange(None, fragment(odd))
    assert not usage.exchange(fragment(odd), fragment(odd))
    assert not usage.exchange(fragment(odd), None)
    assert usage.exchange(fragment(odd, plain), None)
    assert usage.profiles() == profiles.in_use([], 'headrace')


@pytest.mark.parametrize(
    ('shape', 'lines'),
    [
        pytest.param(Shape(), (), id='default'),
        pytest.param(Shape(retries=0), ('retries 0',), id='retries'),
        pytest.param(
            Shape(retry_on=('conn-failure', '503')),
            (
                'retry-on conn-failure 503',
                'http-request disable-l7-retry if !{ method GET HEAD OPTIONS TRACE PUT DELETE }',
            ),
            id='retry-on, for requests that may arrive twice',
        ),
        pytest.param(
            Shape(mode='tcp', connect=1000, server=2000, tunnel=3000, queue=400),
            ('timeout connect 1s', 'timeout server 2s', 'timeout tunnel 3s', 'timeout queue 400ms'),
            id='timeouts of TCP',
        ),
    ],
)
def test_lines_of_an_unusual_shape(shape, lines):
    assert profiles.section('p', shape, {}).lines == lines


@pytest.mark.parametrize(
    ('balance', 'written', 'consistent'),
    [('random', 'random', False), ('random(1)', 'random(1)', False), ('source', 'source', True), ('uri', 'uri', True),
     ('hdr:x-user', 'hdr(x-user)', True)],
)  # fmt: skip
def test_hashes_are_consistent(balance, written, consistent):
    made = profiles.section('p', Shape(balance=balance), {})
    assert (made.balance, made.consistent) == (written, consistent)


def test_snippets_are_the_administrators_lines_in_order():
    made = profiles.section('p', Shape(snippets=('b', 'a', 'gone')), {'a': ('one', 'two'), 'b': ('three',)})
    assert made.snippets == ('three', 'one', 'two')


# --- templates --------------------------------------------------------------------------------------------------------


def rendered(text, **values):
    return Templates(Overrides(templates={'x.cfg.j2': text})).render('x.cfg.j2', values)


def test_values_are_written_as_they_are_or_as_one_word():
    assert rendered('{{ a }} {{ a | quote }}', a='x y') == "x y 'x y'"


@pytest.mark.parametrize(
    ('text', 'values', 'said'),
    [
        pytest.param('{{ a }}', {'a': None}, 'a value is None', id='None'),
        pytest.param('{{ a }}', {'a': 'x\ny'}, r'x\\ny', id='a line break'),
        pytest.param('{{ a }}', {'a': 'x\0y'}, 'x', id='a control character'),
        pytest.param('{{ a | quote }}', {'a': 'x\ny'}, 'x', id='a line break that is quoted'),
        pytest.param('{{ a }}', {}, "'a' is undefined", id='an unknown name'),
        pytest.param('{{ a.b }}', {'a': {}}, 'no attribute', id='an unknown attribute'),
        pytest.param('{% if %}', {}, 'line 1', id='no template'),
        pytest.param('{% include "none.cfg.j2" %}', {}, 'none.cfg.j2', id='a template that is not there'),
        pytest.param('{% include "../render.py" %}', {}, 'render.py', id='a file of the program'),
        pytest.param('{{ "".__class__.__mro__ }}', {}, 'unsafe', id='a way out of the sandbox'),
        pytest.param('{{ a.append(1) }}', {'a': []}, 'unsafe', id='a change of a value'),
        pytest.param('{{ 1 // 0 }}', {}, 'zero', id='arithmetic'),
        pytest.param('{{ 1 + "a" }}', {}, 'unsupported', id='types'),
        pytest.param('{{ "%d" | format("a") }}', {}, '%d format', id='formats'),
    ],
)
def test_what_cannot_be_rendered_is_one_error_that_names_the_template(text, values, said):
    with pytest.raises(TemplateError, match=said) as error:
        rendered(text, **values)
    assert str(error.value).startswith('template x.cfg.j2')


def test_only_blocks_that_were_made_whole_have_lines():
    assert rendered('{{ a }}', a=Block('one\ntwo\n')) == 'one\ntwo\n'


def test_an_override_takes_the_place_of_a_template_and_others_stay():
    made = Templates(Overrides(templates={'frontend-tcp.cfg.j2': 'mine'}))
    assert made.render('frontend-tcp.cfg.j2', {}) == 'mine'
    assert made.render('backends.cfg.j2', {'backends': []}) == ''


# --- overrides --------------------------------------------------------------------------------------------------------


def folder(path, **texts):
    for name, text in texts.items():
        target = path / name.replace('__', '/')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_an_administrators_folder_is_read(tmp_path):
    given = {
        'templates__global.cfg.j2': 'g',
        'global.cfg': ' a \n# no\n\nb',
        'defaults.cfg': 'c',
        'snippets__x-1.cfg': 'd',
    }
    assert overrides.read(folder(tmp_path, **given)) == Overrides(
        {'global.cfg.j2': 'g'}, ('a', 'b'), ('c',), {'x-1': ('d',)}
    )


def test_an_empty_folder_overrides_nothing(tmp_path):
    assert overrides.read(tmp_path) == Overrides()


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        pytest.param({'templates__none.cfg.j2': ''}, 'overrides nothing; there are', id='an unknown template'),
        pytest.param({'snippets__Bad_Name.cfg': ''}, 'lower-case', id='a name of a snippet'),
        pytest.param({'global.cfg': 'x\nbackend evil'}, 'begins a section', id='a section'),
        pytest.param({'snippets__a.cfg': 'defaults'}, 'begins a section', id='a section in a snippet'),
        pytest.param({'global.cfg': b'\xff'}, 'global.cfg', id='no text'),
    ],
)
def test_what_an_administrator_got_wrong_is_named(tmp_path, given, said):
    with pytest.raises(TemplateError, match=said):
        overrides.read(folder(tmp_path, **given))


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(TemplateError, match='is no folder'):
        overrides.read(tmp_path / 'none')


# --- rendering --------------------------------------------------------------------------------------------------------


def text_of(made, name='haproxy/30-frontends.cfg', over=None):
    return Renderer(made.context, over).render(made)[name].decode()


def test_a_shard_is_that_of_the_service_whatever_its_shape():
    numbers = {render.shard(Ref('Service', 'shop', str(number))) for number in range(200)}
    assert all(0 <= number < 1024 for number in numbers)
    assert len(numbers) > 150
    plain, other = (
        built(service(annotations={'host': 'a.com', 'balance': balance}, ports=HTTP)) for balance in ('uri', 'first')
    )
    names = [{name for name in Renderer(made.context).render(made) if 'backends' in name} for made in (plain, other)]
    assert names == [{render.shard_file(render.shard(WEB))}] * 2
    assert render.shard_file(7) == 'haproxy/backends-0007.cfg'


def test_addresses_have_binds_of_their_own_and_ipv6_ones_take_no_ipv4():
    made = built(settings=Settings(addresses=('127.0.0.1', '::1'), tcp_ports='7,5000-5002'))
    binds = re.findall(r'^  bind (.*)', text_of(made), re.MULTILINE)
    assert binds[:2] == ['127.0.0.1:8080', '[::1]:8080 v6only']
    assert [bind for bind in binds if ':7' in bind or ':5000' in bind] == [
        '127.0.0.1:7', '[::1]:7 v6only', '127.0.0.1:5000-5002', '[::1]:5000-5002 v6only',
    ]  # fmt: skip


def test_without_tcp_ports_there_is_no_frontend_for_them():
    assert 'frontend tcp ' not in text_of(built(settings=Settings()))
    assert 'frontend tcp ' in text_of(built(settings=Settings(tcp_ports='5000')))


@pytest.mark.parametrize('role', [Role.EDGE, Role.NODE])
@pytest.mark.parametrize('settings', [Settings(), Settings(tcp_ports='5000')], ids=['no ports', 'ports'])
def test_every_map_is_loaded_so_that_commands_about_it_are_not_refused(role, settings):
    made = built(settings=settings, role=role)
    found = Renderer(made.context).render(made)
    configuration = b''.join(data for name, data in found.items() if name.startswith('haproxy/')).decode()
    for name in Map:
        assert f'({syntax.map_file(name)}' in configuration, name
        assert syntax.map_file(name) in found


def test_where_all_maps_are_read_there_is_no_section_for_the_others():
    reading = '\n'.join(f'# {syntax.map_file(name)}' for name in Map)
    assert 'headrace-maps' not in text_of(built(), over=Overrides(templates={'frontend-health.cfg.j2': reading}))
    assert 'headrace-maps' in text_of(built())


DEFAULT = Settings(default_certificate='shop/tls')


def test_a_default_certificate_that_is_not_there_does_not_keep_haproxy_from_starting():
    made = built(settings=DEFAULT, all_secrets=True)
    assert 'strict-sni' in text_of(made)
    assert text_of(made, render.CRT_LIST) == ''


def test_with_a_default_certificate_unknown_names_are_served_by_it():
    made = built(tls_secret(), settings=DEFAULT, all_secrets=True)
    assert 'strict-sni' not in text_of(made)
    assert text_of(made, render.CRT_LIST) == 'certificates/default.pem *\n'


def test_all_kinds_of_files_are_rendered():
    said = {'host': 'a.com', 'tls-secret': 'tls', 'client-ca-secret': 'ca'}
    made = built(service(annotations=said, ports=HTTP), endpoint_slice(addresses=['10.0.0.1'], port_name='http'), tls_secret(),
                 ca_secret(), all_secrets=True)  # fmt: skip
    found = Renderer(made.context).render(made)
    assert found['certificates/list.txt'] == (
        b'certificates/shop_tls.pem [ca-file authorities/shop_ca.pem verify required] a.com\n'
    )
    assert found['maps/client-ca.map'] == b'a.com shop_ca\n'
    assert found['maps/health.map'] == b'ready yes\n'
    assert found['certificates/shop_tls.pem'].count(b'-----BEGIN') == 2
    assert found['authorities/shop_ca.pem'].count(b'-----BEGIN') == 1
    assert b'  server 10.0.0.1:8080 10.0.0.1:8080\n' in found[render.shard_file(render.shard(WEB))]


def test_maps_are_sorted_and_hold_no_control_character():
    assert render.map_text({'b': '1', 'a': '2 3'}) == b'a 2 3\nb 1\n'
    with pytest.raises(syntax.ForbiddenCharacterError):
        render.map_text({'a': 'x\ny z'})


def test_another_view_is_rendered_with_the_same_overrides():
    first = Renderer(build_context.make(Settings()), Overrides(global_lines=('tune.x 1',)))
    second = first.with_view(build_context.make(Settings(maxconn=77)))
    text = second.sections([])['haproxy/00-global.cfg'].decode()
    assert '  tune.x 1\n' in text
    assert '  maxconn 154\n' in text


# --- writing and asking -----------------------------------------------------------------------------------------------


def test_a_folder_holds_exactly_what_is_written(tmp_path):
    files.write(tmp_path, {'maps/a.map': b'1', 'certificates/c.pem': b'key', 'haproxy/x.cfg': b''})
    files.write(tmp_path, {'maps/b.map': b'2', 'certificates/c.pem': b'key'})
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*') if path.is_file()) == [
        'certificates/c.pem', 'maps/b.map',
    ]  # fmt: skip
    assert stat.S_IMODE((tmp_path / 'certificates/c.pem').stat().st_mode) & 0o007 == 0


def test_a_file_that_is_as_it_should_be_is_not_touched(tmp_path):
    files.write(tmp_path, {'maps/a.map': b'1'})
    before = (tmp_path / 'maps/a.map').stat().st_ino
    files.write(tmp_path, {'maps/a.map': b'1'})
    assert (tmp_path / 'maps/a.map').stat().st_ino == before
    files.put(tmp_path, 'maps/a.map', b'2')
    assert (tmp_path / 'maps/a.map').read_bytes() == b'2'
    assert (tmp_path / 'maps/a.map').stat().st_ino != before


def test_files_are_dropped_and_linked(tmp_path):
    files.write(tmp_path / 'a', {'maps/a.map': b'1', 'maps/b.map': b'2'})
    (tmp_path / 'a/maps/.b.map.new').write_bytes(b'half')
    files.link(tmp_path / 'a', tmp_path / 'b')
    files.drop(tmp_path / 'a', 'maps/b.map')
    files.drop(tmp_path / 'a', 'maps/b.map')
    assert sorted(path.name for path in (tmp_path / 'b/maps').iterdir()) == ['a.map', 'b.map']
    assert (tmp_path / 'b/maps/b.map').read_bytes() == b'2'


@pytest.mark.parametrize(
    'act',
    [
        pytest.param(lambda path: files.write(path / 'file', {'maps/a.map': b''}), id='write'),
        pytest.param(lambda path: files.put(path / 'file', 'maps/a.map', b''), id='put'),
        pytest.param(lambda path: files.drop(path / 'file', 'maps/a.map'), id='drop'),
        pytest.param(lambda path: files.link(path / 'none', path / 'target'), id='link'),
    ],
)
def test_what_cannot_be_written_is_an_error_that_names_the_place(tmp_path, act):
    (tmp_path / 'file').write_bytes(b'in the way')
    with pytest.raises(files.WriteError, match=str(tmp_path)):
        act(tmp_path)


def test_haproxy_says_its_version_and_judges(tmp_path, haproxy_34):
    assert check.version(haproxy_34).startswith('3.4.')
    made = built()
    files.write(tmp_path, Renderer(made.context).render(made))
    assert check.check(haproxy_34, tmp_path).accepted
    (tmp_path / 'haproxy/90-wrong.cfg').write_text('nonsense\n')
    outcome = check.check(haproxy_34, tmp_path)
    assert not outcome.accepted
    assert 'nonsense' in outcome.output


@pytest.mark.parametrize('binary', ['/no/such/haproxy', '/bin/true'])
def test_what_is_no_haproxy_is_an_error(binary):
    with pytest.raises(HaproxyMissingError, match=binary):
        check.version(binary)


def test_the_sum_of_descriptors_counts_connections_listeners_and_checked_servers():
    settings = Settings(addresses=('127.0.0.1', '::1'), maxconn=1000, tcp_ports='5000-5009,7000')
    ends = endpoint_slice(addresses=['10.0.0.1', '10.0.0.2'], port_name='http')
    for checked, servers in (({}, 0), ({'check': 'tcp'}, 2)):
        made = built(service(annotations={'host': 'a.com', **checked}, ports=HTTP), ends, settings=settings)
        # 2 x 2 x 1000, (4 + 11 ports) x 2 addresses, the checked servers, and 100 of its own.
        assert check.descriptors(made.context, made.fragments.values()) == 4000 + 30 + servers + 100


def test_on_a_node_the_sum_of_descriptors_counts_its_own_listeners_those_of_tls_among_them():
    settings = Settings(addresses=('127.0.0.1', '::1'), maxconn=1000)
    made = built(settings=settings, role=Role.NODE)
    # 2 x 2 x 1000, 6 ports x 2 addresses and readiness, 64 of HTTP with TLS and 16 of TCP, and 100 of its own.
    assert check.descriptors(made.context, made.fragments.values()) == 4000 + 13 + 80 + 100


def test_hashes_of_passwords_are_as_private_as_keys(tmp_path):
    files.write(tmp_path, {'maps/auth.map': b'a 1\n', 'maps/routes.map': b'a 1\n'})
    modes = {name: stat.S_IMODE((tmp_path / 'maps' / name).stat().st_mode) for name in ('auth.map', 'routes.map')}
    assert modes['auth.map'] & 0o007 == 0
    assert modes['routes.map'] & 0o004


def test_the_folder_of_a_node_is_known_as_headraces_own(tmp_path):
    made = built(role=Role.NODE)
    files.write(tmp_path, Renderer(made.context).render(made))
    files.judge(tmp_path)
