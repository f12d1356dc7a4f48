"""The package on a host with a real systemd: it installs, serves, is hardened, drains, is upgraded, and leaves nothing."""

import re
import time

import pytest
import yaml

from support.objects import endpoint_slice, service
from support.traffic import Town, address
from support.waiting import until

# The first one builds the package.
pytestmark = pytest.mark.timeout(600)
SETTINGS = '/etc/headrace/settings.yaml'
UNITS = ('headrace.service', 'headrace-haproxy.service')


@pytest.fixture
def town():
    made = Town()
    yield made
    made.close()


@pytest.fixture
def host(make_host, town):
    """A host whose source is a folder, with one Service."""
    host = make_host()
    host.write(
        '/etc/headrace/environment', 'HEADRACE_SOURCE=/srv/objects\nHEADRACE_KUBECONFIG=\nHEADRACE_DRAIN_SECONDS=3\n'
    )
    host.write(SETTINGS, host.run('cat', SETTINGS).replace('node-ports', 'endpoints'))
    where = town.pod(address())
    objects = [
        service('web', annotations={'host': 'shop.example.com'}),
        endpoint_slice('web', addresses=[where], port=town.port),
    ]
    host.write('/srv/objects/web.yaml', yaml.safe_dump_all(objects))
    return host


def status(host, url='http://127.0.0.1/'):
    """Return the status of an answer, 0 for none."""
    said, _ = host.ask(
        'curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '-H', 'Host: shop.example.com', '-m', '5', url
    )
    return int(said)


def ready(host):
    return status(host, 'http://127.0.0.1:8404/readyz')


def serve(host):
    host.run('systemctl', 'start', 'headrace')
    until(lambda: status(host) == 200, 'it serves', within=120)


def test_it_serves_ports_80_and_443_without_root_and_is_hardened(host):
    serve(host)
    assert ready(host) == 200
    for unit, user in zip(UNITS, ('headrace', 'headrace-haproxy'), strict=True):
        script = f'for pid in $(cat /sys/fs/cgroup/system.slice/{unit}/cgroup.procs); do stat -c %U /proc/$pid; done'
        assert set(host.run('sh', '-c', script).split()) == {user}
    for unit in UNITS:
        text = host.run('systemd-analyze', 'security', '--no-pager', unit)
        assert float(re.search(r'exposure level for \S+: ([\d.]+)', text)[1]) <= 3
        said, _ = host.ask('systemd-analyze', 'verify', unit)
        assert said == ''
    # What HAProxy, which strangers talk to, may not read: the token of the API server.
    assert (
        host.ask(
            'setpriv',
            '--reuid',
            'headrace-haproxy',
            '--regid',
            'headrace',
            '--clear-groups',
            'ls',
            '/var/lib/headrace/credentials',
        )[1]
        != 0
    )


def test_the_agent_is_started_again_without_a_reload_and_haproxy_goes_on(host):
    serve(host)
    worker = host.run('headrace', 'status').splitlines()[1]
    for signal in ('SIGTERM', 'SIGKILL'):
        host.run('systemctl', 'kill', '--signal', signal, 'headrace')
        assert status(host) == 200
        host.run('systemctl', 'restart', 'headrace')
        until(lambda: host.ask('headrace', 'status')[1] == 0, 'the agent is back', within=60)
        assert host.run('headrace', 'status').splitlines()[1] == worker
    assert 'adopted the worker' in host.journal('headrace')


def test_haproxy_that_dies_is_started_again_by_systemd_and_the_agent_goes_on(host):
    serve(host)
    agent = host.run('systemctl', 'show', '--property', 'InvocationID', 'headrace')
    host.run('systemctl', 'kill', '--signal', 'SIGKILL', 'headrace-haproxy')
    until(lambda: status(host) == 200, 'HAProxy is back', within=60)
    assert host.run('systemctl', 'is-active', *UNITS).split() == ['active', 'active']
    assert host.run('systemctl', 'show', '--property', 'InvocationID', 'headrace') == agent


def test_an_orderly_stop_refuses_readiness_before_it_closes_listeners(host):
    serve(host)
    began = time.monotonic()
    host.run('systemctl', 'stop', '--no-block', 'headrace-haproxy')
    until(lambda: ready(host) == 503, 'it refuses readiness', within=10)
    assert status(host) == 200
    until(lambda: status(host) == 0, 'its listeners are closed', within=60)
    assert time.monotonic() - began >= 3
    until(lambda: 'active' not in host.ask('systemctl', 'is-active', *UNITS)[0].split(), 'both are stopped', within=60)
    serve(host)
    assert ready(host) == 200


def test_a_setting_is_taken_without_a_restart_and_a_wrong_one_is_refused(host):
    serve(host)
    host.write(SETTINGS, host.run('cat', SETTINGS) + 'maxconn: many\n')
    until(lambda: 'maxconn' in host.journal('headrace'), 'the mistake is logged', within=30)
    assert status(host) == 200
    host.write('/etc/headrace/environment', 'HEADRACE_SOURCE=/srv/objects\nHEADRACE_KUBECONFIG=\n')
    host.ask('systemctl', 'restart', 'headrace')
    until(lambda: 'failed' in host.ask('systemctl', 'is-active', 'headrace')[0], 'it does not start', within=30)
    # HAProxy serves what it has.
    assert status(host) == 200


def test_an_upgrade_keeps_settings_and_serves_on_and_a_purge_leaves_nothing(host):
    serve(host)
    kept = host.run('cat', SETTINGS)
    host.run('dpkg', '--install', '/shared/headrace.deb')
    assert status(host) == 200
    assert host.run('cat', SETTINGS) == kept
    until(lambda: host.ask('headrace', 'status')[1] == 0, 'the agent is back', within=60)
    host.run('dpkg', '--purge', 'headrace', seconds=120)
    left = host.run(
        'sh',
        '-c',
        'ls -d /opt/headrace /etc/headrace/settings.yaml /var/lib/headrace /usr/lib/headrace 2>/dev/null || true',
    )
    assert left == ''
    assert status(host) == 0


def test_two_builds_of_one_commit_are_equal(package, build_again):
    assert build_again().read_bytes() == package.read_bytes()
