"""Text forms of routes: what is read from an entry is what it was made of."""

from hypothesis import given
from hypothesis import strategies as st

from headrace import names
from headrace.haproxy.encode import map_entries, routes, syntax
from headrace.ir.fragment import Kind, pointers
from headrace.ir.pointers import GatewayPort, NoRoute, Pointer, Reserved, Unread
from headrace.ir.routing import (
    Authentication,
    Canary,
    Candidate,
    Candidates,
    Conditions,
    ErrorPages,
    Fallback,
    Mirror,
    Mirrors,
    Split,
    WeightedBackend,
)
from headrace.ir.tls import HostTls
from headrace.names import Ref

NAMES = st.from_regex(r'[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?', fullmatch=True)
BACKENDS = st.builds('{}_{}_{}'.format, NAMES, NAMES, NAMES)
POLICIES = st.text('0123456789abcdef', min_size=32, max_size=32)
FLAGS = st.sets(st.sampled_from('AaBbcdw')).map(lambda letters: ''.join(sorted(letters)))
POINTERS = st.builds(Pointer, BACKENDS, st.just('') | POLICIES, FLAGS)
SPLITS = st.builds(
    Split,
    st.lists(st.builds(WeightedBackend, BACKENDS, st.integers(0, 9), POLICIES), max_size=4).map(tuple),
    POLICIES,
    FLAGS,
)
TARGETS = POINTERS | SPLITS | st.just(NoRoute())
CONDITIONS = st.builds(Conditions, st.sampled_from(['', 'GET']), path=st.text(max_size=8))
CANDIDATES = st.lists(st.builds(Candidate, TARGETS, CONDITIONS), min_size=1, max_size=4).map(tuple).map(Candidates)
NAMED = st.builds(Pointer, BACKENDS, st.just(''))
LEADS = (
    st.builds(Canary, POLICIES, st.integers(0, 10_000), POINTERS)
    | st.builds(Authentication, POLICIES, NAMED, url=NAMES, headers=st.lists(NAMES).map(tuple))
    | st.builds(
        ErrorPages,
        POLICIES,
        NAMED,
        st.lists(st.integers(400, 599)).map(tuple),
        st.just(Ref('Service', 'a', 'b')),
        st.just(80),
    )
    | st.builds(Fallback, POLICIES, NAMED)
    | st.builds(Mirrors, POLICIES, NAMES, st.lists(st.builds(Mirror, NAMED, st.integers(0, 9)), min_size=1).map(tuple))
)


@given(NAMES, NAMES, NAMES, st.sampled_from(['', 'v6', 'local']), st.just('') | POLICIES)
def test_the_service_and_the_port_are_read_from_a_backends_name(namespace, name, port, variant, shape):
    service = Ref('Service', namespace, name)
    backend_name = names.backend(service, port, variant=variant, shape=shape)
    assert names.owner(backend_name) == (service, port)
    assert names.without_shape(backend_name) == names.backend(service, port, variant=variant)


@given(NAMES, st.text('abc-.', min_size=1, max_size=253))
def test_the_namespace_is_read_from_the_name_of_a_secrets_file(namespace, name):
    assert names.namespace_of_file(names.file(Ref('Secret', namespace, name))) == namespace


def read(kind, content):
    (entry,) = map_entries.of_pointer(kind, 'key', content)
    return map_entries.read_pointer(kind, entry.value)


@given(st.builds(Pointer, BACKENDS, POLICIES, FLAGS, st.just('') | BACKENDS))
def test_a_pointer_is_read_as_it_was_written(pointer):
    assert syntax.read_pointer(syntax.pointer(pointer)) == pointer
    assert read(Kind.ROUTE, pointer) == pointer
    assert read(Kind.TLS, HostTls(passthrough=pointer)) == HostTls(passthrough=pointer)


@given(st.builds(Reserved, NAMES) | st.just(NoRoute()))
def test_a_host_without_routes_is_read_as_it_was_written(content):
    assert read(Kind.ROUTE, content) == content


@given(st.builds(GatewayPort, st.integers(1, 65535)))
def test_the_port_of_a_gateway_is_read_as_it_was_written(content):
    assert read(Kind.GATEWAY_PORT, content) == content


@given(SPLITS | CANDIDATES)
def test_a_split_and_candidates_stay_their_text_with_where_it_leads(content):
    (entry,) = map_entries.of_pointer(Kind.ROUTE, 'r.com/', content)
    live = map_entries.read_pointer(Kind.ROUTE, entry.value)
    assert isinstance(live, Unread | Pointer | NoRoute)
    assert map_entries.of_pointer(Kind.ROUTE, 'r.com/', live) == [entry]
    assert {pointer.backend for pointer in pointers(live)} - {''} <= {pointer.backend for pointer in pointers(content)}


@given(LEADS)
def test_a_lead_is_read_as_leading_where_it_was_written_to(rule):
    (entry,) = routes.lead(rule)
    live = routes.read_lead(entry)
    targets = (*rule.pointers,)
    assert (live.pointers if live else ()) == targets
    assert live is None or routes.lead(live) == [entry]


@given(SPLITS)
def test_the_shares_of_a_split_lead_to_its_backends(rule):
    entries = routes.lead(rule)
    assert {pointer.backend for entry in entries for pointer in routes.read_lead(entry).pointers} <= {
        backend.backend for backend in rule.backends
    }


@given(st.text())
def test_any_other_text_is_read_as_itself_or_as_what_it_stands_for(text):
    for kind in (Kind.ROUTE, Kind.TLS, Kind.GATEWAY_PORT):
        map_entries.read_pointer(kind, text)


@given(NAMES)
def test_the_name_of_a_file_of_tls_is_read_from_its_reference(name):
    assert syntax.pem_name(syntax.certificate_file(name)) == syntax.pem_name(syntax.authority_file(name)) == name
    assert syntax.pem_name(f'elsewhere/{name}.pem') == syntax.pem_name(f'certificates/{name}.txt') == ''
