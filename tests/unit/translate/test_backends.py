"""What is said of a backend's settings that parse, but do not go together or have no meaning where they stand."""

import pytest

from headrace.settings.settings import Settings
from support.objects import built, endpoint_slice, fragment, service

TCP = {'port': '5000', 'mode': 'tcp'}
HTTP = {'host': 'a.example.com'}
TLS = {**HTTP, 'backend-protocol': 'https'}


def said(annotations, **seen):
    known = seen.pop('settings', Settings(tcp_ports='5000'))
    made = built(service(annotations=annotations), endpoint_slice(addresses=['10.0.0.1']), settings=known, **seen)
    return made, [(diagnostic.reason, diagnostic.field) for diagnostic in made.all_diagnostics()]


def about(reason, key):
    return [(reason, f'metadata.annotations[headrace.io/{key}]')]


@pytest.mark.parametrize(
    ('annotations', 'expected'),
    [
        pytest.param({**HTTP, 'check': 'tcp', 'check-path': '/up'}, about('ContradictoryKeys', 'check'), id='a path for a tcp check'),
        pytest.param({**HTTP, 'check': 'tcp', 'check-rise': '1'}, [], id='rise for a tcp check'),
        pytest.param({**HTTP, 'check-path': '/up'}, [], id='a path implies http'),
        pytest.param({**HTTP, 'check-rise': '1'}, about('NotApplicable', 'check-rise'), id='rise implies no check'),
        pytest.param({**HTTP, 'check': 'off', 'check-path': '/up'}, about('NotApplicable', 'check-path'), id='a path for no check'),
        pytest.param({**HTTP, 'eject-after': '3'}, about('NotApplicable', 'eject-after'), id='eject-after without a check'),
        pytest.param({**HTTP, 'cookie-path': '/a'}, about('NotApplicable', 'cookie-path'), id='cookie-path without a cookie'),
        pytest.param({**TCP, 'cookie-path': '/a'}, about('NotApplicable', 'cookie-path'), id='cookie-path in tcp'),
        pytest.param({**TCP, 'cookie': 'true'}, about('NotApplicable', 'cookie'), id='a cookie in tcp'),
        pytest.param({**TCP, 'retry-on': '503'}, about('NotApplicable', 'retry-on'), id='retry-on in tcp'),
        pytest.param({**TCP, 'balance': 'uri'}, about('NotApplicable', 'balance'), id='uri in tcp'),
        pytest.param({**TCP, 'balance': 'hdr:X-User'}, about('NotApplicable', 'balance'), id='a header in tcp'),
        pytest.param({**TCP, 'balance': 'source'}, [], id='source in tcp'),
        pytest.param({**TCP, 'client-ip': 'forwarded'}, about('NotApplicable', 'client-ip'), id='forwarded in tcp'),
        pytest.param({**TCP, 'backend-protocol': 'h2c'}, about('NotApplicable', 'backend-protocol'), id='h2c in tcp'),
        pytest.param({**HTTP, 'backend-protocol': 'tls'}, about('NotApplicable', 'backend-protocol'), id='tls in http'),
        pytest.param({**HTTP, 'backend-sni': 'host-header'}, about('NotApplicable', 'backend-sni'), id='sni without TLS'),
        pytest.param({**TLS, 'backend-sni': 'host-header'}, [], id='sni with TLS'),
        pytest.param({**HTTP, 'client-ip': 'preserve'}, about('NotApplicable', 'client-ip'), id='preserve at the edge'),
        pytest.param({**HTTP, 'compression': 'true'}, [], id='compression'),
        pytest.param({**TCP, 'compression': 'true'}, about('NotApplicable', 'compression'), id='compression in tcp'),
        pytest.param({**HTTP, 'snippets': 'tag other'}, about('UnknownSnippet', 'snippets'), id='one snippet of two is unknown'),
        pytest.param({**HTTP, 'snippets': 'tag'}, [], id='a known snippet'),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_told_by_their_key(annotations, expected):
    _, found = said(annotations, snippets=frozenset(('tag',)))
    assert found == expected


def test_an_unknown_snippet_does_not_take_a_known_one_with_it():
    made, _ = said({**HTTP, 'snippets': 'other tag'}, snippets=frozenset(('tag',)))
    assert [backend.shape.snippets for backend in fragment(made).backends] == [('tag',)]


def test_a_default_of_the_class_that_does_not_fit_is_no_mistake_of_the_service():
    _, found = said(TCP, settings=Settings(tcp_ports='5000', defaults={'cookie': 'true', 'check-path': '/up'}))
    assert found == []


@pytest.mark.parametrize(
    ('spec', 'used'),
    [
        pytest.param({'clusterIP': '10.96.0.1'}, ('10.0.0.2',), id='a ClusterIP'),
        pytest.param({'clusterIP': 'None'}, ('10.0.0.1', '10.0.0.2'), id='headless'),
    ],
)
def test_a_slice_that_is_marked_as_headless_is_for_headless_services_only(spec, used):
    marked = endpoint_slice(addresses=['10.0.0.1'])
    marked['metadata']['labels']['service.kubernetes.io/headless'] = ''
    made = built(service(annotations=HTTP, **spec), marked, endpoint_slice(name='plain', addresses=['10.0.0.2']))
    (backend,) = fragment(made).backends
    assert tuple(address for group in backend.groups for address in group.addresses) == used


@pytest.mark.parametrize(
    ('spec', 'seconds'),
    [
        pytest.param({}, 0, id='none'),
        pytest.param({'sessionAffinity': 'None'}, 0, id='None'),
        pytest.param({'sessionAffinity': 'ClientIP'}, 10800, id='three hours unless said'),
        pytest.param({'sessionAffinity': 'ClientIP', 'sessionAffinityConfig': {'clientIP': {'timeoutSeconds': 60}}}, 60, id='as said'),
    ],
)  # fmt: skip
def test_affinity_of_clients_is_in_the_model_with_its_time(spec, seconds):
    made = built(service(annotations=HTTP, **spec), endpoint_slice(addresses=['10.0.0.1']))
    assert {backend.affinity for backend in fragment(made).backends} == {seconds}
    assert not made.all_diagnostics()
