"""The control plane of the cluster: with all controllers, privileged pods, and the wish for headrace in every Service."""

from e2e.nodes import OUTSIDE
from support.controlplane import ControlPlane

NAMESPACE = 'headrace-system'
_LABEL = 'service.kubernetes.io/service-proxy-name'


def _object(annotations, labels=''):
    labelled = f'labels: {{{labels}}}, ' if labels else ''
    return f'Object{{metadata: Object.metadata{{{labelled}annotations: {{{annotations}}}}}}}'


# What the wish is: that headrace takes a Service over, that kube-proxy never sees it, and that clients are not hidden.
_NODE, _BORN = '"headrace.io/proxy": "node"', f'"{_LABEL}": "headrace"'
WISHES = {
    'handover': _object(_NODE),
    'at-once': _object(_NODE, _BORN),
    'preserve': _object(f'{_NODE}, "headrace.io/client-ip": "preserve"', _BORN),
}
_ADMISSION = 'admissionregistration.k8s.io/v1'
_MORE = {
    'kube-apiserver': ('--allow-privileged',),
    # A machine that is busy with other things is not a node that is gone.
    'kube-controller-manager': ('--node-monitor-grace-period=300s',),
}


class Plane(ControlPlane):
    """A control plane that the tests of Kubernetes find complete."""

    def __init__(self):
        super().__init__(OUTSIDE[0], ('*', '-cloud-node-lifecycle-controller', '-node-route-controller'))

    def _run(self, name, *arguments):
        super()._run(name, *arguments, *_MORE.get(name, ()))

    def wish(self, how):
        """Let every Service of the tests ask for headrace, in one of the WISHES."""
        rule = {'apiGroups': [''], 'apiVersions': ['v1'], 'operations': ['CREATE'], 'resources': ['services']}
        free = f'!has(object.metadata.labels) || !("{_LABEL}" in object.metadata.labels)'
        selected = {'matchExpressions': [{'key': 'e2e-framework', 'operator': 'Exists'}]}
        self.api.create(
            {
                'apiVersion': _ADMISSION,
                'kind': 'MutatingAdmissionPolicy',
                'metadata': {'name': 'headrace'},
                'spec': {
                    'matchConstraints': {'resourceRules': [rule], 'namespaceSelector': selected},
                    # What a test says itself is what it is about.
                    'matchConditions': [{'name': 'free', 'expression': free}],
                    'failurePolicy': 'Fail',
                    'reinvocationPolicy': 'Never',
                    'mutations': [
                        {'patchType': 'ApplyConfiguration', 'applyConfiguration': {'expression': WISHES[how]}}
                    ],
                },
            }
        )
        self.api.create(
            {
                'apiVersion': _ADMISSION,
                'kind': 'MutatingAdmissionPolicyBinding',
                'metadata': {'name': 'headrace'},
                'spec': {'policyName': 'headrace'},
            }
        )
