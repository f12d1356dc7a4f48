"""Headers of responses that a ConfigMap holds."""

import pytest

from headrace.ir.fragment import Kind
from headrace.settings.settings import Settings
from support.objects import built, config_map, fragment, pointer, service

HTTP = [{'name': 'http', 'port': 80}]
ALLOWED = Settings(allowed_response_headers=('X-A', 'X-B'))


def model(*others, settings=ALLOWED, seen=None, **said):
    """Return the model of a Service with these annotations, and of others."""
    annotations = {'host': 'a.com', 'response-headers-config-map': 'headers', **said}
    return built(
        service(annotations=annotations, ports=HTTP), *others, settings=settings, **seen or {'all_secrets': True}
    )


def diagnostics(made):
    """Return what is wrong besides missing endpoints."""
    return [each for each in made.all_diagnostics() if each.reason != 'NoEndpoints']


def headers(made):
    """Return the headers of responses that the route sets."""
    return [item for edits in fragment(made).headers for item in edits.response]


def test_all_entries_are_headers():
    made = model(config_map(X_A='1', x_b='2, "3"'))
    assert headers(made) == [('X-A', '1'), ('x-b', '2, "3"')]
    assert (pointer(made, Kind.ROUTE, 'a.com/').flags, diagnostics(made)) == ('o', [])


def test_headers_of_the_annotation_count_more():
    made = model(config_map(X_A='1', X_B='2'), **{'response-headers': 'X-A:\nX-C: 3'})
    assert headers(made) == [('X-A', ''), ('X-B', '2'), ('X-C', '3')]
    assert pointer(made, Kind.ROUTE, 'a.com/').flags == 'Oo'


@pytest.mark.parametrize(
    ('others', 'options', 'why'),
    [
        pytest.param([config_map(X_A='1')], {'settings': Settings()}, 'the class has no allowedResponseHeaders', id='nothing is allowed'),
        pytest.param([config_map(X_A='1', X_C='1')], {}, 'X-C is not one of', id='one is not allowed'),
        pytest.param([], {}, 'does not exist', id='none'),
        pytest.param([config_map(namespace='bank', X_A='1')], {}, 'does not exist', id='of another namespace'),
        pytest.param([config_map(X_A='1')], {'seen': {'api_server': True}}, 'add shop to secrets.namespaces', id='not read'),
        pytest.param([config_map()], {}, 'it holds 0 entries', id='empty'),
        pytest.param([config_map(**{f'X{number}': '1' for number in range(51)})], {}, 'it holds 51 entries', id='many'),
        pytest.param([config_map(**{'X-A': '1', 'a b': '1'})], {}, 'a key that is no name', id='no name'),
        pytest.param([config_map(X_A='1\r\nX-C: 1')], {}, 'printable ASCII', id='a line break'),
        pytest.param([config_map(X_A='')], {}, 'printable ASCII', id='no value'),
        pytest.param([config_map(X_A='x' * 1025)], {}, 'printable ASCII', id='long'),
        pytest.param([config_map(Connection='close')], {'settings': Settings(allowed_response_headers=('Connection',))}, 'frame a message', id='one that frames a message'),
    ],
)  # fmt: skip
def test_what_cannot_be_set_is_left_out_whole_with_a_diagnostic(others, options, why):
    made = model(*others, **options)
    (found,) = diagnostics(made)
    assert why in found.message
    assert (headers(made), pointer(made, Kind.ROUTE, 'a.com/').flags) == ([], '')


def test_headers_that_fit_no_entry_together_are_left_out():
    own = '\n'.join(f'Y-{number}: {"y" * 1000}' for number in range(7))
    made = model(config_map(X_A='1' * 1000), **{'response-headers': own})
    (found,) = diagnostics(made)
    assert 'longer than 8000 together' in found.message
    assert [name for name, _ in headers(made)] == [f'Y-{number}' for number in range(7)]
