"""What the doctor finds on a host: HAProxy, files and who can read them, ports, and where the units look for things."""

import re
import socket

import pytest

from conftest import ROOT
from headrace.doctor import host, places
from headrace.doctor.findings import Level
from headrace.settings.settings import Settings

UNITS = ROOT / 'packaging' / 'systemd'


@pytest.mark.parametrize('tenant', ['', 'shop'])
def test_the_doctor_looks_where_the_units_look(tenant):
    mark = '@' if tenant else ''
    text = (UNITS / f'headrace{mark}.service').read_text().replace('%i', tenant)
    words = ' '.join(re.findall(r'^Environment=(.*)$', text, re.MULTILINE)).split()
    assert dict(word.split('=', 1) for word in words) == places.variables(tenant)
    assert f'EnvironmentFile=-{places.environment_file(tenant)}\n' in text
    other = (UNITS / f'headrace-haproxy{mark}.service').read_text().replace('%i', tenant)
    said = dict(word.split('=', 1) for word in ' '.join(re.findall(r'^Environment=(.*)$', other, re.MULTILINE)).split())
    assert said.pop('HEADRACE_DRAIN_SECONDS') == '10'
    assert said.items() <= places.variables(tenant).items()


@pytest.mark.parametrize('name', ['headrace', 'headrace-haproxy'])
def test_units_of_tenants_are_those_of_the_host_with_folders_and_a_network_of_their_own(name):
    def lines(path):
        text = (
            path.read_text()
            .replace('/tenants/%i', '')
            .replace('/%i', '')
            .replace('@%i', '')
            .replace(' (tenant %i)', '')
        )
        return text.splitlines()

    ours, theirs = lines(UNITS / f'{name}.service'), lines(UNITS / f'{name}@.service')
    assert [line for line in ours if line not in theirs] == []
    more = [line.partition('=')[0] for line in theirs if line not in ours and not line.startswith('#')]
    assert set(more) == {
        'NetworkNamespacePath',
        'BindReadOnlyPaths',
        'TemporaryFileSystem',
        'BindPaths',
        'Requires',
        'After',
    }


def test_the_administrators_variables_count_before_those_of_the_units():
    read = places.read('# HEADRACE_CONFIG=/no\nHEADRACE_HAPROXY="/opt/haproxy"\n\nPOD_NAME=lb-9\nnonsense\n')
    assert read == {'HEADRACE_HAPROXY': '/opt/haproxy', 'POD_NAME': 'lb-9'}
    found = places.of(places.variables('') | read)
    assert (found.haproxy, found.name) == ('/opt/haproxy', 'lb-9')
    assert places.of(places.variables('') | {'HEADRACE_SOURCE': '/srv'}).kubeconfig is None
    assert places.of(places.variables('')).name == socket.gethostname().lower()


def program(folder, version):
    path = folder / 'haproxy'
    path.write_text(f'#!/bin/sh\necho "HAProxy version {version} 2026/01/01"\n')
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(('version', 'level'), [('3.4.7-1', Level.GOOD), ('3.0.11', Level.MISSING)])
def test_haproxy_has_to_be_new_enough(tmp_path, version, level):
    found = host.haproxy(program(tmp_path, version), tmp_path / 'no-unit')
    assert found.level is level
    assert version.partition('-')[0] in found.message
    assert bool(found.remedy) == (level is Level.MISSING)


def test_a_missing_haproxy_says_where_to_get_one(tmp_path):
    found = host.haproxy(str(tmp_path / 'haproxy'), tmp_path / 'no-unit')
    assert (found.level, 'HEADRACE_HAPROXY' in found.remedy) == (Level.MISSING, True)


def test_the_unit_of_the_distribution_is_in_the_way(tmp_path):
    (tmp_path / 'haproxy.service').touch()
    found = host.haproxy(program(tmp_path, '3.4.8'), tmp_path / 'haproxy.service')
    assert (found.level, 'systemctl disable --now haproxy' in found.remedy) == (Level.WARNING, True)


def test_credentials_that_others_can_read_are_said_unless_their_folder_is_closed(tmp_path):
    tmp_path.chmod(0o755)
    kubeconfig, token = tmp_path / 'kubeconfig', tmp_path / 'token'
    (finding,) = host.credentials(kubeconfig)
    assert (finding.level, 'headrace token' in finding.remedy) == (Level.MISSING, True)
    for path in (kubeconfig, token):
        path.touch(mode=0o600)
    assert list(host.credentials(kubeconfig)) == []
    token.chmod(0o644)
    (finding,) = host.credentials(kubeconfig)
    assert finding.remedy == f'chmod 0600 {token}'
    tmp_path.chmod(0o700)
    assert list(host.credentials(kubeconfig)) == []


def test_ports_are_tried_and_what_is_in_the_way_is_said():
    with socket.create_server(('127.0.0.1', 0)) as held:
        taken = held.getsockname()[1]
        wanted = Settings(addresses=('127.0.0.1',), http_port=taken, https_port=taken + 1, health_port=taken + 2)
        (finding,) = [each for each in host.ports(wanted, is_running=False) if str(taken) in each.message]
        assert (finding.level, finding.message) == (Level.MISSING, f'127.0.0.1:{taken} is in use')
        (finding,) = host.ports(wanted, is_running=True)
        assert finding.level is Level.GOOD


def test_an_address_that_is_elsewhere_now_is_said_with_the_sysctl_for_it():
    wanted = Settings(addresses=('192.0.2.1',), health_addresses=('127.0.0.1',), http_port=50080, https_port=50443)
    found = list(host.ports(wanted, is_running=False))
    assert {finding.message for finding in found} == {'192.0.2.1 is no address of this host'}
    assert all('ip_nonlocal_bind' in finding.remedy for finding in found)
