"""What stands in for MetalLB: it gives Services of type LoadBalancer addresses of a range that a router leads to the node."""

import contextlib
import ipaddress
import itertools
import threading

from support.api import ApiError, collection

RANGES = ('203.0.113.0/24', 'fd00:113::/64')
# One that a Service gets if it asks for it, and one that no route leads to.
USABLE, UNUSABLE = '203.0.113.250', '192.0.2.250'
# As MetalLB reads it; spec.loadBalancerIP is the other way to ask.
REQUEST = 'metallb.io/loadBalancerIPs'


class Balancer:
    """Gives addresses as long as it runs; a context manager. It leaves Services that name a loadBalancerClass alone."""

    def __init__(self, api):
        self._api, self._services = api, {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_):
        """End; the thread itself ends with the API server's next answer."""
        self._stop.set()

    def _run(self):
        while not self._stop.wait(0.2):
            # After a watch that was cut, and after a request that is no address.
            with contextlib.suppress(ApiError, OSError, ValueError):
                self._follow()

    def _follow(self):
        found = self._api.list(collection('Service'))
        self._services = {each['metadata']['uid']: each for each in found['items']}
        for service in found['items']:
            self._give(service)
        for kind, service in self._api.watch(collection('Service'), found['metadata']['resourceVersion'], seconds=600):
            if kind not in {'ADDED', 'MODIFIED', 'DELETED'} or self._stop.is_set():
                return
            self._services.pop(service['metadata']['uid'], None)
            if kind != 'DELETED':
                self._services[service['metadata']['uid']] = service
                self._give(service)

    def _give(self, service):
        spec, metadata = service['spec'], service['metadata']
        if spec['type'] != 'LoadBalancer' or spec.get('loadBalancerClass') or _addresses(service):
            return
        taken = {address for each in self._services.values() for address in _addresses(each)}
        given = _requested(service) or [_free(family, taken) for family in spec['ipFamilies']]
        if not all(map(_is_ours, given)):
            return
        status = {'loadBalancer': {'ingress': [{'ip': each} for each in given]}}
        service['status'] = {**service['status'], **status}
        with contextlib.suppress(ApiError):
            path = f'{collection("Service", metadata["namespace"])}/{metadata["name"]}/status'
            self._api.patch(path, {'status': status})


def _addresses(service):
    return [each['ip'] for each in service['status'].get('loadBalancer', {}).get('ingress') or () if 'ip' in each]


def _requested(service):
    asked = service['metadata'].get('annotations', {}).get(REQUEST) or service['spec'].get('loadBalancerIP') or ''
    return [each.strip() for each in asked.split(',') if each.strip()]


def _is_ours(address):
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(each) for each in RANGES)


def _free(family, taken):
    network = ipaddress.ip_network(RANGES[family == 'IPv6'])
    return next(str(network[number]) for number in itertools.count(1) if str(network[number]) not in {*taken, USABLE})
