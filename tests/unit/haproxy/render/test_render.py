"""Pieces of HAProxy's files that whole cases do not show."""

import re

import pytest

from headrace.haproxy.plan import live_state
from headrace.haproxy.plan.live_state import Server
from headrace.haproxy.render import render
from headrace.ir.backend import Backend, Group, Options, Shape
from headrace.ir.fragment import Fragment, Kind
from headrace.ir.tls import HostTls, Pem
from headrace.names import Ref
from headrace.translate.build_context import Role
from support.objects import built, service

WEB = Ref('Service', 'shop', 'web')


def test_the_default_certificate_is_the_first_of_the_list_whatever_its_name_and_is_shown_for_all_names():
    pointers = {
        (Kind.TLS, 'a.example.com'): HostTls(certificates=('a_a',)),
        (Kind.CERTIFICATE, 'a_a'): Pem(b'a'),
        (Kind.CERTIFICATE, 'default'): Pem(b'd'),
    }
    text = 'certificates/default.pem *\ncertificates/a_a.pem a.example.com\n'
    assert render.crt_list(pointers).decode() == text
    del pointers[Kind.CERTIFICATE, 'default']
    assert render.crt_list(pointers).decode() == 'certificates/a_a.pem a.example.com\n'


def test_an_adopted_server_gets_the_limit_that_is_wanted():
    wanted = Backend('b', WEB, 'http', Shape(), Options(max_connections=7), (Group(80, ('10.0.0.1',)),))
    (name,) = live_state.desired_backends([Fragment(WEB, backends=(wanted,))])['b'].groups[0].addresses
    (server,) = render.syntax.servers(wanted)
    had = {server: Server(name, 80, disabled=False)}
    made = live_state.backend_repairs('b', had, wanted, limits=True)
    assert [command.line for command in made] == [f'set maxconn server b/{server} 7']
    assert live_state.backend_repairs('b', had, wanted, limits=False) == []


def test_the_edge_has_what_routes_with_conditions_need_from_the_start_and_a_node_never():
    files = render.Renderer(built().context).render(built())
    assert b'lua-load-per-thread haproxy/choose.lua' in files['haproxy/00-global.cfg']
    assert {'haproxy/choose.lua', 'maps/splits.map'} <= files.keys()
    node = built(role=Role.NODE)
    files = render.Renderer(node.context).render(node)
    assert b'lua.choose' not in b''.join(files.values())
    assert 'haproxy/choose.lua' not in files


USUAL = {
    'request-headers': 'X-Set: 1\nX-Gone:',
    'response-headers': 'X-Answer: 2\nX-Secret:',
    'timeout-server': '5s',
    'timeout-client': '7s',
    'max-body-size': '4k',
    'hsts': '1h',
    'cors-allow-origin': 'https://a.example.com',
    'allow': '127.0.0.0/8',
    'deny': '127.0.0.2',
    'rate-limit': '100/s',
    'rate-limit-burst': '5',
    'rate-limit-except': '127.0.0.3',
    'connection-limit': '9',
}


def rules(stage):
    state = built()
    text = render.Renderer(state.context).render(state)['haproxy/30-frontends.cfg'].decode()
    return [line for line in text.partition('\nfrontend http ')[2].splitlines() if line.startswith(f'  {stage} ')]


def letters(line):
    return {letter for part in re.findall(r'[ (]var\(txn\.flags\) -m sub ([^}]*) }', line) for letter in part.split()}


def test_routes_with_usual_settings_pass_by_the_rules_for_others():
    (line,) = [line for line in rules('http-request') if '[|][^|]*[|][' in line]
    passing = re.search(r'\[([A-Za-z0-9]+)\]\+\$', line)[1]
    state = built(service('web', annotations={'host': 'a.com', 'mode': 'http', **USUAL}))
    (pointer,) = [content for (kind, _), content in state.pointers() if kind is Kind.ROUTE]
    assert len(pointer.flags) >= len(USUAL)
    assert set(pointer.flags) <= set(passing)


@pytest.mark.parametrize('stage', ['http-response', 'http-after-response'])
def test_no_letter_that_a_rule_about_answers_is_for_passes_by(stage):
    every = rules(stage)
    (passing,) = [line for line in every if ' allow if !' in line]
    asked = set().union(*(letters(line) for line in every if line != passing))
    assert asked
    assert asked <= letters(passing)
