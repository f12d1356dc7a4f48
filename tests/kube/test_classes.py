"""Two releases of one class: the first writes, the second says why it does not, and takes over when the first leaves."""

import contextlib
import json
import secrets

import pytest

from conftest import binary
from headrace.kube import rights
from headrace.kube.rights import When, Where
from support import prefork
from support.api import ApiError, collection
from support.cluster import Cluster, forget_class, pod
from support.live import until
from support.objects import service

LATE = 60
HELD = 'another release holds the class; this one writes nothing until that one is uninstalled, or has another class'


@pytest.fixture
def other(control_plane):
    """Another namespace, of the second release."""
    name = f'test-{secrets.token_hex(4)}'
    control_plane.api.create({'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': name}})
    yield name
    control_plane.api.delete(f'{collection("Namespace")}/{name}')


@pytest.fixture
def make(control_plane, town):
    """What makes controllers of a namespace that watch all of them, with the rights that this needs."""
    made = []

    def give(namespace, like=None, **how):
        how = {'role': 'controller', 'everywhere': True, 'name': f'c{len(made)}', 'namespaces': [], **how}
        found = Cluster(binary('haproxy-3.4'), control_plane, namespace, **how)
        if like is not None:
            # Replicas of one release have one ServiceAccount.
            found.kubeconfig = like.kubeconfig
        made.append(found)
        return found

    yield give
    for each in made:
        each.close()
    forget_class(control_plane.api)


def leads(controller):
    controller.begin()
    until(lambda: controller.times('this controller leads'), seconds=LATE)
    return controller


def mistake(cluster, name):
    cluster.put(name, service(name, annotations={'host': f'{name}.example.com', 'check-interval': 'soon'}))


def class_lease(control_plane):
    with contextlib.suppress(ApiError):
        path = collection('Lease', rights.CLASS_NAMESPACE, 'coordination.k8s.io/v1')
        return control_plane.api.get(f'{path}/{rights.class_lease("headrace")}')['spec']['holderIdentity']
    return ''


def release(cluster):
    """Run what the chart runs before an uninstall."""
    words = ['release', '--all', '--wait', '--timeout=60s', '--kubeconfig', cluster.kubeconfig]
    code, text = prefork.run(*words, POD_NAMESPACE=cluster.namespace, POD_NAME='hook')
    assert code == 0, text
    return text


def writes(cluster):
    """Return what a release has written to Services."""
    noted = cluster.plane.audited(cluster.namespace)
    return [event for event in noted if event['verb'] == 'patch' and event['objectRef']['resource'] == 'services']


def test_a_second_release_writes_nothing_until_the_first_one_leaves(make, control_plane, namespace, other):
    first, second = leads(make(namespace)), make(other)
    mistake(first, 'web')
    until(lambda: first.condition('web'), seconds=LATE)
    assert class_lease(control_plane) == f'{namespace}/{first.account}'
    second.begin()
    until(lambda: second.times(HELD), 'it says so', seconds=LATE)
    until(lambda: 'ClassHeldByAnother' in second.kubectl('get', 'events'))
    mistake(second, 'late')
    until(lambda: second.condition('late'), 'the first one writes for all', seconds=LATE)
    # Its uninstall takes back nothing of the first one.
    assert f'held by another release, {namespace}/{first.account}' in release(second)
    assert first.condition('web')
    assert writes(second) == []
    release(first)
    until(lambda: second.times('this controller leads'), seconds=LATE)
    until(lambda: first.condition('web') and writes(second), 'it writes again', seconds=LATE)
    assert class_lease(control_plane) == f'{other}/{second.account}'
    noted = control_plane.audited(other) + control_plane.audited(namespace)
    key = 'authorization.k8s.io/decision'
    assert not [json.dumps(one) for one in noted if one.get('annotations', {}).get(key) == 'forbid']


def test_agents_of_a_second_release_serve_and_show_who_holds_the_class(make, control_plane, town, namespace, other):
    first, second = leads(make(namespace)), make(other)
    until(lambda: class_lease(control_plane), seconds=LATE)
    second.begin()
    until(lambda: second.times(HELD), 'it says so', seconds=LATE)
    agent = make(other, role='edge')
    agent.web([pod(town)], town.port)
    agent.start()
    holder = f'{namespace}/{first.account}'
    said = f'another release, {holder}, holds the class: the controllers of this one write nothing'
    until(lambda: agent.status()['problems'].get('class') == said, 'the page shows it', seconds=LATE)
    shown = {'class': 'headrace', 'release': holder}
    assert agent.metric('headrace_class_held', **shown) == 1
    assert agent.admin('/healthz')[0] == 503
    # Nothing is wrong with what it serves.
    assert (agent.admin('/livez')[0], agent.admin('/readyz')[0], agent.readiness()) == (200, 200, 200)
    release(first)
    until(lambda: not agent.status()['problems'], 'it is over', seconds=LATE)
    assert agent.metric('headrace_class_held', **{'class': 'headrace', 'release': ''}) == 0


def test_two_replicas_of_one_release_are_no_two_releases(make, control_plane, namespace):
    first = make(namespace)
    second = make(namespace, like=first)
    leads(first)
    until(lambda: class_lease(control_plane))
    second.begin()
    until(lambda: second.times('the controller follows the cluster'), seconds=LATE)
    first.kill()
    mistake(first, 'web')
    until(lambda: second.condition('web'), seconds=LATE)
    assert not second.times(HELD)


def test_a_controller_with_the_rights_of_before_works_as_before(make, control_plane, namespace):
    controller = make(
        namespace,
        rules=rights.rules(['controller'], [Where.NAMESPACES, Where.CLUSTER, Where.UNLIMITED], [When.INGRESS]),
    )
    control_plane.grant(namespace, controller.account, rights.rules(['controller'], [Where.OWN]))
    leads(controller)
    mistake(controller, 'web')
    until(lambda: controller.condition('web'), seconds=LATE)
    assert controller.times('another release of the class would not be noticed') == 1
