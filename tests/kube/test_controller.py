"""What the controller writes to users' objects, and what it leaves alone."""

from headrace.kube.rights import When
from support.cluster import pod
from support.live import until
from support.objects import service

LATE = 40


def lb(name='lb', **annotations):
    said = {key.replace('_', '-'): value for key, value in annotations.items()}
    return service(name, annotations=said, type='LoadBalancer', loadBalancerClass='headrace.io/headrace')


def led(controller):
    controller.begin()
    until(lambda: controller.times('this controller leads'), seconds=LATE)
    return controller


def ingress(cluster, name='lb'):
    return cluster.service(name)['status']['loadBalancer'].get('ingress')


def test_a_mistake_becomes_a_condition_and_an_event_and_goes_with_it(make_cluster):
    controller = led(make_cluster(role='controller'))
    controller.put('web', service('web', annotations={'host': 'shop.example.com', 'check-interval': 'soon'}))
    until(lambda: controller.condition('web'))
    found = controller.condition('web')
    assert (found['status'], found['reason']) == ('False', 'InvalidValue')
    assert 'headrace.io/check-interval' in found['message']
    until(lambda: 'InvalidValue' in controller.kubectl('describe', 'service', 'web'))
    controller.annotate('web', check_interval='5s')
    until(lambda: controller.condition('web') is None)


def test_a_service_that_is_served_says_so_and_no_more_when_it_is_not(make_cluster, town):
    both = make_cluster(role='edge,controller', rules=None)
    both.web([pod(town)], town.port)
    both.start()
    until(lambda: both.condition('web'), seconds=LATE)
    assert (both.condition('web')['status'], both.condition('web')['reason']) == ('True', 'Programmed')
    both.annotate('web', check_interval='soon')
    until(lambda: both.condition('web')['status'] == 'False', seconds=LATE)
    both.annotate('web', check_interval=None)
    until(lambda: both.condition('web')['status'] == 'True', seconds=LATE)
    both.annotate('web', enabled='false')
    until(lambda: both.condition('web') is None, seconds=LATE)


def test_a_service_that_no_agent_serves_is_not_written_to_without_a_mistake(make_cluster):
    controller = led(make_cluster(role='controller'))
    controller.put('web', service('web', annotations={'host': 'shop.example.com'}))
    before = controller.service('web')['metadata']['resourceVersion']
    controller.put('bad', service('bad', annotations={'host': 'b.example.com', 'check-interval': 'soon'}))
    until(lambda: controller.condition('bad'))
    assert controller.service('web')['metadata']['resourceVersion'] == before


def test_addresses_are_published_while_the_service_is_served(make_cluster):
    controller = led(make_cluster(role='controller', statusAddresses=['192.0.2.7', 'edge.example.com']))
    controller.put('lb', lb(host='lb.example.com'))
    until(lambda: ingress(controller))
    assert ingress(controller) == [{'hostname': 'edge.example.com'}, {'ip': '192.0.2.7', 'ipMode': 'Proxy'}]
    controller.annotate('lb', enabled='false')
    until(lambda: not ingress(controller))


def test_addresses_come_from_a_service_from_nodes_and_from_values_and_follow_them(make_cluster, namespace):
    controller = make_cluster(
        role='controller',
        when=[When.STATUS_OF_NODES],
        statusAddresses=[f'service:{namespace}/edge', 'nodes', 'edge.example.com'],
    )
    api, name = controller.plane.api, f'node-{namespace}'
    controller.put('edge', service('edge', type='LoadBalancer', loadBalancerClass='example.com/other'))
    led(controller)
    controller.put('lb', lb(host='lb.example.com'))
    until(lambda: ingress(controller) == [{'hostname': 'edge.example.com'}])
    theirs = {'loadBalancer': {'ingress': [{'ip': '198.51.100.9', 'ipMode': 'VIP'}]}}
    api.patch(f'{controller.path("Service", "edge")}/status', {'status': theirs})
    proxied = {'ip': '198.51.100.9', 'ipMode': 'Proxy'}
    until(lambda: proxied in ingress(controller))
    api.create({'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': name}})
    ready = [{'type': 'Ready', 'status': 'True'}]
    addresses = [{'type': 'InternalIP', 'address': '192.0.2.40'}]
    api.patch(f'/api/v1/nodes/{name}/status', {'status': {'addresses': addresses, 'conditions': ready}})
    until(lambda: {'ip': '192.0.2.40', 'ipMode': 'Proxy'} in ingress(controller))
    assert proxied in ingress(controller)
    api.delete(f'/api/v1/nodes/{name}')
    until(lambda: ingress(controller) == [{'hostname': 'edge.example.com'}, proxied])
    # Those of a Service of another class are not ours to touch.
    assert ingress(controller, 'edge') == theirs['loadBalancer']['ingress']


def test_addresses_that_another_controller_has_written_stay_and_the_diagnostic_says_so(make_cluster):
    controller = make_cluster(role='controller', statusAddresses=['192.0.2.7'])
    controller.put('lb', lb(host='lb.example.com'))
    theirs = [{'ip': '198.51.100.9', 'ipMode': 'VIP'}]
    api, path = controller.plane.api, f'{controller.path("Service", "lb")}/status'
    body = {
        'apiVersion': 'v1',
        'kind': 'Service',
        'metadata': {'name': 'lb'},
        'status': {'loadBalancer': {'ingress': theirs}},
    }
    api.request('PATCH', path, body, content='application/apply-patch+yaml', fieldManager='other', force='true')
    led(controller)
    until(lambda: controller.condition('lb'))
    assert controller.condition('lb')['reason'] == 'HeldByAnother'
    assert ingress(controller) == theirs


def test_a_service_that_goes_to_another_class_loses_what_was_written(make_cluster):
    controller = led(make_cluster(role='controller', statusAddresses=['192.0.2.7']))
    controller.put('lb', lb(host='lb.example.com', check_interval='soon'))
    until(lambda: ingress(controller) and controller.condition('lb'))
    controller.annotate('lb', **{'class': 'other'})
    until(lambda: not ingress(controller) and controller.condition('lb') is None)


def test_the_second_of_two_controllers_takes_over_when_the_first_is_gone(make_cluster):
    first, second = led(make_cluster(role='controller')), make_cluster(role='controller', name='two')
    second.begin()
    until(lambda: second.times('the controller follows the cluster'))
    first.kill()
    first.put('web', service('web', annotations={'host': 'shop.example.com', 'check-interval': 'soon'}))
    until(lambda: second.condition('web'), seconds=LATE)
    assert second.times('this controller leads') == 1


def test_a_controller_that_stops_hands_over_at_once(make_cluster):
    first = led(make_cluster(role='controller'))
    assert first.stop() == 0
    lease = first.plane.api.get(first.path('Lease', 'headrace-controller', 'coordination.k8s.io/v1'))
    assert not lease['spec'].get('holderIdentity')


def test_what_only_an_agent_saw_reaches_the_user_through_its_lease(make_cluster, town):
    agent, controller = make_cluster(), led(make_cluster(role='controller', name='two'))
    agent.web([pod(town)], town.port, annotations={'basic-auth-secret': 'nope'})
    agent.start()
    reasons = ('RouteClosed', 'SecretMissing')
    until(lambda: (controller.condition('web') or {}).get('reason') in reasons, seconds=LATE)


def test_one_process_can_be_agent_and_controller(make_cluster, town):
    both = make_cluster(role='edge,controller', rules=None)
    both.web([pod(town)], town.port, annotations={'check-interval': 'soon'})
    both.start()
    until(lambda: both.condition('web'), seconds=LATE)
    assert both.readiness() == 200
    assert both.stop() == 0
