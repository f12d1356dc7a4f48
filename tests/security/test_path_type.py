"""A route that was meant for one path alone is not served for all that lies below it."""

from headrace.ir.fragment import Kind
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support.objects import built, endpoint_slice, fragment, pointer, reasons, service

WRONG = {'host': 'a.com', 'path': '/open', 'path-type': 'exact'}
BOTH = [{'name': 'http', 'port': 80}, {'name': 'db', 'port': 5000}]


def test_a_path_type_that_does_not_parse_closes_the_route():
    made = built(service(annotations=WRONG))
    assert pointer(made, Kind.ROUTE, 'a.com/open/').flags == 'X'
    assert reasons(made) == ['InvalidValue', 'NoEndpoints', 'RouteClosed']


def test_it_does_not_close_what_has_no_paths():
    said = {'host.http': 'a.com', 'path.http': '/open', 'path-type': 'exact', 'enabled': 'true', 'mode.db': 'tcp'}
    made = built(service(annotations=said, ports=BOTH))
    assert pointer(made, Kind.ROUTE, 'a.com/open/').flags == 'X'
    assert pointer(made, Kind.PORT, '5000').flags == ''


def test_it_does_not_close_the_services_own_address_on_a_node():
    document = service(annotations={**WRONG, 'proxy': 'node', 'mode': 'http'}, ports=BOTH[:1], clusterIP='10.96.0.1')
    made = built(
        document, endpoint_slice(addresses=['10.0.0.1'], port_name='http'), role=Role.NODE, topology=Topology('n1')
    )
    assert 'X' not in pointer(made, Kind.ADDRESS, '10.96.0.1:80').flags
    assert fragment(made).backends[0].groups
