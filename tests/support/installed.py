"""A process of headrace with a ServiceAccount and the settings of an installed chart."""

import yaml

from support import chart
from support.cluster import Cluster


class Installed(Cluster):
    """A process with a ServiceAccount, and settings, of an installed chart."""

    def __init__(self, haproxy, plane, namespace, documents, account, **how):
        name = f'{chart.RELEASE}-headrace-{account}'
        self._account = name
        super().__init__(haproxy, plane, namespace, rules=[], **how)
        path = f'/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token'
        token = plane.api.request('POST', path, {'spec': {'expirationSeconds': 3600}})['status']['token']
        self.token, self.kubeconfig = token, plane.write_kubeconfig(token)
        said = yaml.safe_load(chart.settings(documents))
        for key in ('namespaces', 'secrets', 'statusAddresses'):
            if key in said:
                self.settings[key] = said[key]
        self.set()
