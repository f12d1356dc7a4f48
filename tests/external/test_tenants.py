"""Tenants of one host: agents in network namespaces whose addresses overlap, and that see nothing of each other."""

import pytest
import yaml

from support.objects import endpoint_slice, service
from support.waiting import until

pytestmark = pytest.mark.timeout(600)
TENANTS = ('shop', 'mail')
# The same in both: a pod's address, the ports of HAProxy, and the host.
POD, PORT, HOST = '10.0.0.2', 9000, 'www.example.com'


@pytest.fixture
def host(make_host):
    """A host with two tenants, whose networks have the same addresses."""
    host = make_host()
    objects = [
        service('web', annotations={'host': HOST}),
        endpoint_slice('web', addresses=[POD], port=PORT),
    ]
    for tenant in TENANTS:
        host.run('ip', 'netns', 'add', tenant)
        host.run('ip', '-n', tenant, 'link', 'set', 'lo', 'up')
        host.run('ip', '-n', tenant, 'address', 'add', f'{POD}/32', 'dev', 'lo')
        host.write(f'/srv/www/{tenant}/index.html', tenant)
        # A pod of the tenant's network.
        host.run(
            'systemd-run', f'--unit=pod-{tenant}', f'--property=NetworkNamespacePath=/run/netns/{tenant}',
            'python3', '-m', 'http.server', PORT, '--bind', POD, '--directory', f'/srv/www/{tenant}',
        )  # fmt: skip
        host.write(
            f'/etc/headrace/{tenant}/settings.yaml',
            host.run('cat', '/etc/headrace/settings.yaml').replace('node-ports', 'endpoints'),
        )
        host.write(f'/srv/objects/{tenant}/web.yaml', yaml.safe_dump_all(objects))
        host.write(
            f'/etc/headrace/{tenant}/environment',
            f'HEADRACE_SOURCE=/srv/objects/{tenant}\nHEADRACE_KUBECONFIG=\nHEADRACE_DRAIN_SECONDS=1\n',
        )
        host.run('systemctl', 'start', f'headrace@{tenant}')
    return host


def ask(host, tenant):
    """Return what a client in a tenant's network gets."""
    request = ('curl', '-s', '-m', '5', '-H', f'Host: {HOST}', 'http://127.0.0.1/')
    return host.ask('ip', 'netns', 'exec', tenant, *request)[0]


def test_tenants_whose_addresses_overlap_have_their_own_endpoints_and_see_no_file_of_another(host):
    for tenant in TENANTS:
        until(lambda tenant=tenant: ask(host, tenant) == tenant, f'{tenant} is served', within=120)
    for tenant, other in (TENANTS, TENANTS[::-1]):
        for unit in (f'headrace@{tenant}', f'headrace-haproxy@{tenant}'):
            pid = host.run('systemctl', 'show', '--property=MainPID', '--value', unit).strip()
            seen = host.run(
                'ls', f'/proc/{pid}/root/var/lib/headrace/tenants', f'/proc/{pid}/root/run/headrace'
            ).split()
            assert tenant in seen
            assert other not in seen
            assert 'current' not in host.run('ls', f'/proc/{pid}/root/var/lib/headrace').split()
            text = host.run('systemd-analyze', 'security', '--no-pager', unit)
            assert float(text.rpartition('exposure level')[2].split()[2]) <= 3
    # A tenant whose HAProxy stops leaves the other one served.
    host.run('systemctl', 'stop', f'headrace-haproxy@{TENANTS[0]}')
    assert ask(host, TENANTS[0]) == ''
    assert ask(host, TENANTS[1]) == TENANTS[1]
    # The network of the host itself serves none of them.
    assert host.ask('curl', '-s', '-m', '5', 'http://127.0.0.1/')[1] != 0


def test_the_doctor_looks_at_a_tenant_in_its_network(host):
    said, code = host.ask('ip', 'netns', 'exec', 'shop', 'headrace', 'doctor', '--tenant', 'shop')
    assert code == 0, said
    assert '/etc/headrace/shop/settings.yaml' in said
