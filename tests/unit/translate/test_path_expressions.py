"""Paths that are regular expressions: conditions of the host's `/`, and what becomes of those that cannot be used."""

import pytest

from headrace.ir.fragment import Kind
from headrace.ir.policy import Map
from headrace.ir.routing import Candidates
from headrace.settings.settings import Settings
from support.objects import built, fragment, pointer, service

PORTS = [{'name': 'http', 'port': 80}, {'name': 'admin', 'port': 81}]


def made(settings=None, ports=PORTS[:1], **annotations):
    said = {key.replace('__', '.').replace('_', '-'): value for key, value in annotations.items()}
    host = {} if 'host.http' in said else {'host': 'a.com'}
    return built(service(annotations={**host, **said}, ports=ports), settings=settings)


def reasons(found):
    return [diagnostic.reason for diagnostic in found.all_diagnostics() if diagnostic.reason != 'NoEndpoints']


def test_expressions_are_candidates_of_the_root_of_each_host():
    found = made(host='a.com b.com', path='/a(/|$)(.*) /b{1,2}', path_type='RegularExpression')
    for host in ('a.com', 'b.com'):
        value = pointer(found, Kind.ROUTE, f'{host}/')
        assert isinstance(value, Candidates)
        assert [(item.conditions.path_length, item.rule) for item in value.items] == [(11, 0), (7, 1)]
        assert {item.target.flags for item in value.items} == {''}
    assert reasons(found) == []


def test_the_new_path_is_a_template_of_captures():
    found = made(path='/a(.*)', path_type='RegularExpression', rewrite_path='/x$1')
    (item,) = pointer(found, Kind.ROUTE, 'a.com/').items
    assert item.target.flags == 'f'
    assert [(entry.map, entry.value) for entry in fragment(found).data] == [(Map.REWRITE_CAPTURES, '/x$1')]


@pytest.mark.parametrize('template', ['/$', '/$0', '/$a', '/a$$1'])
def test_a_template_with_anything_but_captures_closes_the_route(template):
    found = made(path='/a(.*)', path_type='RegularExpression', rewrite_path=template)
    (item,) = pointer(found, Kind.ROUTE, 'a.com/').items
    assert item.target.flags == 'Xf'
    assert reasons(found) == ['RouteClosed']


@pytest.mark.parametrize(
    'path', ['/a(', '/a(b+)+', 'a', '/a b', '/ä', '/' + 'a' * 256, ' '.join(f'/{n}' for n in range(21))]
)
def test_the_host_is_closed_where_an_expression_cannot_be_used(path):
    found = made(path=path, path_type='RegularExpression')
    assert {claim.value.flags for claim in fragment(found).claims} == {'X'}
    assert 'InvalidValue' in reasons(found)


def test_each_port_says_whether_its_paths_are_expressions():
    found = made(
        ports=PORTS, host__http='a.com', host__admin='b.com', path__http='/a.*', path__admin='/b',
        path_type__http='RegularExpression', mode='http',
    )  # fmt: skip
    assert isinstance(pointer(found, Kind.ROUTE, 'a.com/'), Candidates)
    assert pointer(found, Kind.ROUTE, 'b.com/b/').flags == ''


def test_expressions_for_a_port_that_has_plain_paths_are_no_paths():
    found = made(path='/a|b', path_type='RegularExpression', path_type__http='Prefix')
    assert {claim.value.flags for claim in fragment(found).claims} == {'X'}
    assert 'InvalidValue' in reasons(found)


def test_each_expression_counts_as_a_route():
    settings = Settings(max_routes_per_object=2)
    assert not fragment(made(settings, path='/a /b', path_type='RegularExpression')).closed
    assert fragment(made(settings, path='/a /b /c', path_type='RegularExpression')).closed


def test_without_an_expression_all_paths_of_the_host_are_meant():
    assert pointer(made(path_type='RegularExpression'), Kind.ROUTE, 'a.com/').flags == ''
