"""Before an uninstall everything that was written to users' objects is taken back, also while controllers run."""

from support import prefork
from support.live import until
from support.objects import service

LATE = 60


def lb(**annotations):
    said = {'host': 'lb.example.com', **annotations}
    return service('lb', annotations=said, type='LoadBalancer', loadBalancerClass='headrace.io/headrace')


def release(installed, *more):
    """Run what the hook runs, as its ServiceAccount; return the exit code and what was said."""
    words = ['release', '--all', '--kubeconfig', installed.kubeconfig, '--config', installed.config, *more]
    return prefork.run(*words, POD_NAME='release', POD_NAMESPACE=installed.namespace)


def written(installed, name):
    """Return what headrace has in a Service's status."""
    found = installed.service(name)
    ours = [one for one in found['metadata']['managedFields'] if one['manager'] == 'headrace-headrace']
    return installed.condition(name), found['status']['loadBalancer'].get('ingress'), ours


def test_a_release_takes_back_everything_while_controllers_run(release_installed):
    controller = release_installed(settings={'statusAddresses': ['192.0.2.7']})
    controller.begin()
    until(lambda: controller.times('this controller leads'), seconds=LATE)
    controller.put('lb', lb())
    controller.put('other', service('other'))
    theirs = {'type': 'example.com/Theirs', 'status': 'True', 'reason': 'Theirs', 'message': ''}
    theirs['lastTransitionTime'] = '2026-01-01T00:00:00Z'
    body = {'apiVersion': 'v1', 'kind': 'Service', 'metadata': {'name': 'lb'}, 'status': {'conditions': [theirs]}}
    path = f'{controller.path("Service", "lb")}/status'
    controller.plane.api.request('PATCH', path, body, content='application/apply-patch+yaml', fieldManager='other')
    controller.annotate('lb', check_interval='soon')
    until(lambda: all(written(controller, 'lb')), seconds=LATE)
    before = controller.service('other')['metadata']['resourceVersion']

    code, said = release(controller, '--wait')
    assert code == 0, said
    assert 'to 1 objects' in said
    assert not any(written(controller, 'lb'))
    assert [one['type'] for one in controller.service('lb')['status']['conditions']] == ['example.com/Theirs']
    assert controller.service('other')['metadata']['resourceVersion'] == before
    assert controller.times('a release takes back what was written; this controller stands aside') == 1

    # The controller lives, and sees another mistake, but writes nothing any more.
    controller.annotate('lb', check_interval='later')
    code, said = release(controller, '--wait')
    assert (code, 'to 0 objects' in said) == (0, True), said


def test_the_leases_go_with_the_serviceaccount(release_installed):
    controller = release_installed()
    assert release(controller, '--wait')[0] == 0
    api, path = controller.plane.api, controller.path('Lease', api='coordination.k8s.io/v1')
    names = {one['metadata']['name'] for one in api.list(path)['items']}
    assert names == {'headrace-controller', 'headrace-release'}
    api.delete(f'{controller.path("ServiceAccount")}/hr-headrace-controller')
    until(lambda: not api.list(path)['items'], seconds=LATE)


def test_a_release_that_cannot_lead_gives_up_and_says_so(release_installed):
    holder = release_installed()
    now = {'holderIdentity': 'somebody', 'leaseDurationSeconds': 600}
    now['acquireTime'] = now['renewTime'] = '2099-01-01T00:00:00.000000Z'
    lease = {'apiVersion': 'coordination.k8s.io/v1', 'kind': 'Lease', 'spec': now}
    holder.put('lease', lease | {'metadata': {'name': 'headrace-controller'}})
    code, said = release(holder, '--wait', '--timeout', '4s')
    assert (code, 'within 4 s' in said) == (4, True), said
