"""Leases without an API server: what `Leases` calls, with versions and their conflicts."""

from headrace.kube.calls import ConflictError, NotFoundError
from headrace.kube.lease import ROLE_LABEL

PREFIX = '/apis/coordination.k8s.io/v1/namespaces/'


class LeaseApi:
    """The Leases of a cluster by namespace and name. `faults` are raised by the next calls, one by each; None for none."""

    def __init__(self):
        self.leases, self.asked, self.faults, self.version = {}, [], [], 0

    async def call(self, method, path, body=None, *, query=None, content=''):
        self.asked.append((method, path))
        if self.faults and (fault := self.faults.pop(0)) is not None:
            raise fault
        namespace, _, name = path.removeprefix(PREFIX).partition('/leases')
        key = namespace, name.removeprefix('/') or (body or {}).get('metadata', {}).get('name', '')
        if method == 'GET' and not name:
            return {'items': [lease for (where, _), lease in self.leases.items() if where == namespace]}
        if method == 'POST':
            if key in self.leases:
                raise ConflictError('it is there')
            return self._keep(key, body)
        if key not in self.leases and method == 'PUT' and not body['metadata'].get('resourceVersion'):
            return self._keep(key, body)
        if key not in self.leases:
            raise NotFoundError(f'no Lease {key}')
        if method == 'GET':
            return self._copy(self.leases[key])
        precondition = (body or {}).get('preconditions') or (body or {}).get('metadata') or {}
        if precondition.get('resourceVersion') not in (None, self.leases[key]['metadata']['resourceVersion']):
            raise ConflictError('it is another by now')
        if method == 'DELETE':
            del self.leases[key]
            return None
        return self._keep(key, body)

    def _keep(self, key, body):
        self.version += 1
        lease = self._copy(body)
        lease['metadata'] |= {'namespace': key[0], 'name': key[1], 'resourceVersion': str(self.version)}
        self.leases[key] = lease
        return self._copy(lease)

    @staticmethod
    def _copy(lease):
        return {**lease, 'metadata': dict(lease['metadata'])}

    def put(self, namespace, name, holder='', annotations=None, **spec):
        """Let a Lease be there."""
        metadata = {'annotations': annotations} if annotations else {}
        shown = {'holderIdentity': holder, 'leaseDurationSeconds': 15, **spec}
        return self._keep((namespace, name), {'metadata': metadata, 'spec': shown})

    def holder(self, namespace, name):
        """Return who holds a Lease."""
        return self.leases[namespace, name]['spec']['holderIdentity']


def of_agent(name, annotations, role='', renewed='', seconds=40):
    """Return an agent's Lease as a list of the API server holds it."""
    labels = {ROLE_LABEL: role} if role else {}
    metadata = {'name': name, 'labels': labels, 'annotations': annotations}
    return {'metadata': metadata, 'spec': {'renewTime': renewed, 'leaseDurationSeconds': seconds}}
