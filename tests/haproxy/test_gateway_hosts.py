"""Hosts of Gateways' listeners, by a real HAProxy: the most specific host that has a route serves, and listeners stay apart."""

import pytest

from conftest import binary
from headrace.haproxy.encode import routes, syntax
from headrace.ir.pointers import NoRoute, Pointer
from headrace.ir.policy import Map
from headrace.ir.routing import Candidate, Candidates
from headrace.translate.edge_ports import route_key
from support.edge import Edge, Endpoints, web
from support.routed import conditions, text

SERVICES = [f's{number}' for number in range(6)]


def to(number):
    """Return what leads to the Service of a number."""
    return Pointer(f'shop_s{number}_http', '')


def when(number, *headers):
    """Return candidates of which one leads to a Service if a request has all of some headers."""
    return Candidates((Candidate(to(number), conditions(headers=headers)),))


# By host, path and whether it is the exact one: what stands there.
ROUTES = {
    ('a.example.com', '/', False): to(0),
    ('a.example.com', '/one', True): to(1),
    ('b.example.com', '/b', False): to(1),
    ('*.example.com', '/', False): to(2),
    ('*.deep.example.com', '/deep', False): to(3),
    ('c.example.com', '/', False): when(4, ('x-user', 'alice')),
    ('alone.example.com', '/', False): NoRoute(),
    ('alone.example.com', '/here', False): to(5),
    ('mixed.example.com', '/', False): Candidates(
        (Candidate(to(4), conditions(headers=[('x-user', 'alice')])), Candidate(NoRoute()))
    ),
    ('*', '/any', False): to(5),
}


class GatewayEdge(Edge):
    """An edge with made-up routes of its HTTP port, as if a listener of a Gateway had it."""

    def rendered(self, made):
        files = super().rendered(made)
        found = {
            f'{self.http}:{route_key(host, path, exact=exact)}': routes.value(
                f'{self.http}:{route_key(host, path, exact=exact)}', content
            )
            for (host, path, exact), content in ROUTES.items()
        }
        files[syntax.map_file(Map.GATEWAY_ROUTES)] = text(found)
        files[syntax.map_file(Map.GATEWAY_PORTS)] = text({str(self.http): '80'})
        return files


@pytest.fixture(scope='module')
def edge():
    """An edge, whose Service `own` has a host of the class's listener."""
    with Endpoints() as endpoints:
        documents = [
            item
            for number, name in enumerate(SERVICES)
            for item in web(name, endpoints, address=f'127.0.9.{number + 1}')
        ]
        own = web('own', endpoints, **{'headrace.io/host': 'own.example.com', 'headrace.io/path': '/mine'})
        with GatewayEdge(binary('haproxy-3.4'), *documents, *own) as found:
            yield found


def served(edge, host, path, **request):
    """Return the number of the Service that served a request, or the status that headrace answered with."""
    answer = edge.get(host, path, **request)
    if answer.status != 200 or not answer.body.startswith(b'{'):
        return answer.status
    return int(answer.said['at'].rpartition('.')[2]) - 1


@pytest.mark.parametrize(
    ('host', 'path', 'wanted'),
    [
        pytest.param('a.example.com', '/', 0, id='exact host'),
        pytest.param('A.Example.com:8080', '/', 0, id='exact host with a port and capitals'),
        pytest.param('a.example.com', '/one', 1, id='exact path'),
        pytest.param('a.example.com', '/one/', 0, id='an exact path has no slash at its end'),
        pytest.param('b.example.com', '/b/c', 1, id='path below a prefix'),
        pytest.param('b.example.com', '/other', 2, id='a wildcard serves what its host leaves'),
        pytest.param('new.example.com', '/', 2, id='wildcard'),
        pytest.param('x.y.example.com', '/', 2, id='wildcard of several labels'),
        pytest.param('x.deep.example.com', '/deep', 3, id='the longest wildcard comes first'),
        pytest.param('x.deep.example.com', '/', 2, id='a shorter wildcard serves what the longest leaves'),
        pytest.param('example.com', '/', 404, id='a wildcard does not match its own domain'),
        pytest.param('example.com', '/any', 5, id='any host'),
        pytest.param('c.example.com', '/', 2, id='conditions that no request fulfils leave it to a wildcard'),
        pytest.param('alone.example.com', '/here', 5, id='route of a listener of its own'),
        pytest.param('alone.example.com', '/', 404, id='other listeners do not serve what a listener leaves'),
        pytest.param('mixed.example.com', '/', 404, id='nor what the conditions of its routes leave'),
        pytest.param('own.example.com', '/other', 2, id='what a host of the class leaves'),
        pytest.param('a.example.com', '/%6fne', 400, id='a path with two readings'),
        pytest.param('a.example.com', '/%2e%2e/', 400, id='dot segments'),
        pytest.param('a.example.com', '/x%41', 0, id='an odd path of one reading'),
    ],
)
def test_the_most_specific_host_that_has_a_route_serves(edge, host, path, wanted):
    assert served(edge, host, path) == wanted


@pytest.mark.parametrize(('host', 'wanted'), [('c.example.com', 4), ('mixed.example.com', 4)])
def test_a_route_whose_conditions_a_request_fulfils_serves_it(edge, host, wanted):
    assert served(edge, host, '/', headers=[('x-user', 'alice')]) == wanted
