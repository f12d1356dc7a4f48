"""What an object beyond a limit names is closed: no request for it reaches a shorter route of its namespace."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.ir.fragment import Kind
from headrace.ir.pointers import Pointer
from headrace.names import Ref
from headrace.objects.kinds import Service
from headrace.settings.settings import Settings
from headrace.translate.edge_ports import route_key
from support.following import Following
from support.objects import service

PATHS = [f'/admin/{number}' for number in range(1200)]
HOSTS = [f'h{number}.example.com' for number in range(1200)]
NETWORKS = ' '.join(f'10.{number}.0.0/16' for number in range(20))


class Living(Following):
    """A store and the state that follows it."""

    def __init__(self, **settings):
        super().__init__(Settings(**settings))


def web(name, age, hosts, paths=('/',), namespace='shop', mode='http', **annotations):
    """Return a Service whose ports have up to 100 of these hosts and paths each, as many as a list can have."""
    said = {key.replace('_', '-'): value for key, value in annotations.items()}
    groups = list(itertools.product(range(0, len(hosts), 100), range(0, len(paths), 100)))
    ports = [{'name': f'p{number}', 'port': number + 1} for number in range(len(groups))]
    for number, (host, path) in enumerate(groups):
        said[f'host.p{number}'] = ' '.join(hosts[host : host + 100])
        said[f'path.p{number}'] = ' '.join(paths[path : path + 100])
        said[f'mode.p{number}'] = mode
    return service(name, namespace, created=f'2024-01-01T00:00:{age:02}Z', annotations=said, ports=ports)


def routes_of(made):
    """Return the content of each route by its key."""
    return {key: content for (kind, key), content in made.pointers() if kind is Kind.ROUTE}


def found(routes, host, path):
    """Return what serves a request, as HAProxy finds it: the longest route of the host, of its wildcard, or of `*`."""
    for stem in (host, f'*.{host.partition(".")[2]}', '*'):
        asked = f'{stem}{path}/#'
        if keys := [key for key in routes if asked.startswith(key)]:
            return max(keys, key=len), routes[max(keys, key=len)]
    return '', None


def route(made, host, path):
    return found(routes_of(made), host, path)[1]


def is_open(content):
    return isinstance(content, Pointer) and 'X' not in content.flags


@pytest.mark.parametrize('number', [0, 999, 1000, 1199])
def test_a_path_beyond_the_closed_ones_does_not_lead_to_another_object(number):
    living = Living(max_routes_per_object=10)
    living.put(web('root', 1, ['x.example.com']), web('admin', 2, ['x.example.com'], PATHS, deny='10.0.0.0/8'))
    assert not is_open(route(living.state, 'x.example.com', PATHS[number]))
    told = [each.message for each in living.state.diagnostics(Ref('Service', 'shop', 'root'))]
    assert 'host x.example.com is closed: Service shop/admin names it, and is closed' in told
    living.put(Ref('Service', 'shop', 'admin'))
    assert is_open(route(living.state, 'x.example.com', PATHS[number]))


@pytest.mark.parametrize('host', ['*.example.com', '*'])
def test_a_host_beyond_the_closed_ones_does_not_lead_to_a_wildcard_of_its_namespace(host):
    living = Living(max_routes_per_object=10, host_sharing='all')
    living.put(web('any', 1, [host]), web('many', 2, HOSTS, deny='10.0.0.0/8'))
    routes = routes_of(living.state)
    assert not any(is_open(found(routes, each, '/')[1]) for each in HOSTS)
    living.put(web('many', 2, HOSTS[:5]))
    assert is_open(route(living.state, HOSTS[1100], '/'))


def test_what_a_wildcard_passes_through_is_closed_too():
    living = Living(max_routes_per_object=10)
    many = web('many', 2, HOSTS, deny='10.0.0.0/8', mode='tls-passthrough')
    living.put(web('any', 1, ['*.example.com'], mode='tls-passthrough'), many)
    assert living.state.claims.content((Kind.TLS, '*.example.com'), living.state.fragments).passthrough.flags == 'X'


def test_an_object_with_all_its_routes_and_too_many_networks_closes_each_of_them():
    hosts, paths = HOSTS[:30], PATHS[:40]
    living = Living(max_routes_per_object=1200, max_entries_per_object=1210)
    living.put(web('root', 1, hosts), web('admin', 2, hosts, paths, deny=NETWORKS))
    assert not is_open(route(living.state, hosts[-1], paths[-1]))
    # Each path is closed by itself, so the rest of its host goes on.
    assert is_open(route(living.state, hosts[0], '/'))


def test_an_object_for_which_not_even_closed_routes_have_room_leads_to_no_other_one():
    living = Living(max_entries_per_namespace=3)
    paths = ['/a', '/b', '/c', '/d']
    living.put(web('root', 1, ['x.example.com', '*.example.com', '*']))
    living.put(web('x', 2, ['x.example.com'], paths), web('y', 3, ['y.example.com'], paths))
    assert not any(is_open(route(living.state, 'x.example.com', path)) for path in paths)
    assert not any(is_open(route(living.state, 'y.example.com', path)) for path in paths)


def test_a_wildcard_stays_open_where_each_host_is_closed_by_itself():
    living = Living(max_routes_per_object=10)
    living.put(web('any', 1, ['*.example.com']), web('admin', 2, ['x.example.com'], PATHS))
    assert is_open(route(living.state, 'other.example.com', '/'))


def test_routes_of_other_namespaces_stay_open():
    living = Living(max_routes_per_object=10, host_sharing='paths')
    theirs = web('theirs', 1, ['x.example.com'], ['/', '/own'], namespace='bank')
    living.put(theirs, web('admin', 2, ['x.example.com'], PATHS, deny='10.0.0.0/8'))
    assert is_open(route(living.state, 'x.example.com', '/own'))


NAMES = ('x.example.com', 'y.example.com', '*.example.com', '*')
SPOKEN = ('/', '/a', '/a/b', '/c')
EVENTS = st.lists(
    st.one_of(
        st.builds(
            web,
            st.sampled_from('abc'),
            st.integers(1, 3),
            st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True),
            st.lists(st.sampled_from(SPOKEN), min_size=1, max_size=3, unique=True),
            mode=st.sampled_from(('http', 'http', 'tls-passthrough')),
            path_type=st.sampled_from(('Prefix', 'Exact')),
        ),
        st.builds(lambda name: Ref('Service', 'shop', name), st.sampled_from('abc')),
    ),
    min_size=1,
    max_size=4,
)


@example(
    batches=[
        [
            web('a', 1, ['x.example.com'], ['/'], path_type='Prefix'),
            web('b', 1, ['x.example.com'], ['/', '/a'], path_type='Exact'),
        ]
    ],
    sharing='none',
)
@given(batches=st.lists(EVENTS, max_size=5), sharing=st.sampled_from(('none', 'all')))
def test_no_path_of_an_object_without_room_is_open_and_all_is_as_from_scratch(batches, sharing):
    living = Living(max_entries_per_namespace=4, host_sharing=sharing)
    for batch in batches:
        living.put(*batch)
        routes = routes_of(living.state)
        for item in living.store.services():
            held, said = living.state.fragments.get(item), dict(living.store.get(item, Service).annotations)
            if held is None or held.backends or said['mode.p0'] != 'http':
                continue
            for host in said['host.p0'].split():
                for path in said['path.p0'].split():
                    own = route_key(host, path, exact=said['path-type'] == 'Exact')
                    key, content = found(routes, host.replace('*', 'other'), path)
                    # Another object can have an equal or a longer route in its own right.
                    assert not is_open(content) or key.startswith(own), (item, host, path)
    made = living.scratch()
    if made.fragments == living.state.fragments:
        assert dict(made.pointers()) == dict(living.state.pointers())


@pytest.mark.parametrize(
    'protection',
    [{'deny': '0.0.0.0/0'}, {'allow': '10.0.0.0/8'}, {'basic-auth-secret': 'users'}, {'allow': 'nonsense'}],
    ids=['deny', 'allow', 'users', 'what does not parse'],
)
@pytest.mark.parametrize('path', [' '.join(PATHS[:101]), '/admin?'], ids=['too many', 'no path'])
def test_protected_paths_that_do_not_parse_close_their_host(path, protection):
    living = Living()
    admin = service('admin', created='2024-01-01T00:00:00Z', annotations={'host': 'a.com', 'path': path, **protection})
    rest = service('rest', created='2024-02-01T00:00:00Z', annotations={'host': 'a.com', 'path': '/ /admin'})
    other = service('other', 'bank', created='2024-03-01T00:00:00Z', annotations={'host': 'a.com b.com'})
    living.put(admin, rest, other)
    for asked in ('/', '/admin', '/admin/7'):
        assert not is_open(route(living.state, 'a.com', asked))
    assert is_open(route(living.state, 'b.com', '/'))
    assert 'RouteClosed' in {each.reason for each in living.state.diagnostics(Ref('Service', 'shop', 'admin'))}
    assert 'RouteClosed' in {each.reason for each in living.state.diagnostics(Ref('Service', 'shop', 'rest'))}
    living.put(service('admin', annotations={'host': 'a.com', 'path': '/admin', **protection}))
    assert is_open(route(living.state, 'a.com', '/'))


def test_paths_that_do_not_parse_and_that_nothing_protects_close_nothing():
    living = Living()
    living.put(
        service('one', created='2024-01-01T00:00:00Z', annotations={'host': 'a.com', 'path': '/one?'}),
        service('rest', created='2024-02-01T00:00:00Z', annotations={'host': 'a.com'}),
    )
    assert is_open(route(living.state, 'a.com', '/one'))
