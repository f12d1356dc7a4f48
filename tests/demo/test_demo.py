"""What the demonstration promises: all that it says is checked, and nothing of it stays, however it ends."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from conftest import ROOT

FOLDER = ROOT / 'examples' / 'demo'
SAID = 25


@pytest.fixture
def temporary():
    """A folder for all temporary files of a demonstration; short, because sockets are in it."""
    path = Path(tempfile.mkdtemp(prefix='hr'))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def demo(temporary):
    """What runs the demonstration, and finds it gone without a trace after it."""

    def run(*arguments):
        return subprocess.run(
            command(arguments), capture_output=True, text=True, timeout=120, env=here(temporary), check=False
        )

    yield run
    assert_no_trace(temporary)


def command(arguments):
    return [sys.executable, FOLDER / 'demo.py', *arguments]


def here(temporary):
    return {**os.environ, 'TMPDIR': str(temporary)}


def assert_no_trace(temporary):
    assert list(temporary.iterdir()) == []
    assert processes_of(temporary) == []


def processes_of(temporary):
    """Return the processes that were started with files of a demonstration, and their command lines."""
    found = []
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(f'{temporary}/') in line:
            found.append((int(path.parent.name), line))
    return found


def edited(temporary_folder, file, edit):
    """Return a copy of the demonstration's folder with one text exchanged; it must be there once."""
    shutil.copytree(FOLDER, temporary_folder, ignore=shutil.ignore_patterns('*.py', '__pycache__'))
    path = temporary_folder / file
    text, (old, new) = path.read_text(), edit
    assert text.count(old) == 1, f'{file} holds {old!r} {text.count(old)} times'
    path.write_text(text.replace(old, new))
    return temporary_folder


def test_everything_is_as_said(demo, haproxy_34):
    ran = demo('--haproxy', haproxy_34)
    assert (ran.returncode, ran.stderr) == (0, '')
    assert 'served by HAProxy 3.4.' in ran.stdout
    assert len(re.findall('^  ok    ', ran.stdout, re.MULTILINE)) == SAID
    assert 'WRONG' not in ran.stdout
    assert ran.stdout.splitlines()[-1] == (
        f'All {SAID} things are as said; headrace, HAProxy and the pods have ended, and their folder is gone.'
    )


def test_two_demonstrations_run_beside_each_other(temporary, haproxy_34):
    started = [
        subprocess.Popen(command(['--haproxy', haproxy_34]), env=here(temporary), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = [process.communicate(timeout=120)[0].splitlines()[-1] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert all(end.startswith(f'All {SAID} things are as said') for end in ends)
    assert_no_trace(temporary)


@pytest.mark.parametrize(
    ('file', 'edit', 'judged'),
    [
        pytest.param(
            'catalog.yaml',
            ('127.10.2.1', '127.10.3.1'),
            ('expected: 200 from catalog-1 (4x)', 'found:    200 from back-office-1 (4x)'),
            id="an address that is another's",
        ),
        pytest.param(
            'orders-db.yaml',
            ('127.10.5.1', '127.10.5.12'),
            ('expected: greeted by orders-db-1', 'found:    greeted by nothing'),
            id='an address without a listener',
        ),
        pytest.param(
            'catalog.yaml',
            ('ready: false', 'ready: true'),
            ('expected: 200 from catalog-1 (4x)', 'catalog-2'),
            id='an endpoint that must not be ready',
        ),
        pytest.param(
            'storefront.yaml',
            ('roundrobin', 'first'),
            (
                'expected: 200 from storefront-1 (2x), 200 from storefront-2 (2x)',
                'found:    200 from storefront-1 (4x)',
            ),
            id='endpoints that do not take turns',
        ),
        pytest.param(
            'catalog.yaml',
            ('path: /catalog', 'path: /catalog,/catalogue'),
            ('expected: 200 from storefront', 'found:    200 from catalog'),
            id='a path that is not another',
        ),
        pytest.param(
            'catalog.yaml',
            ('    headrace.io/rewrite-path: /\n', ''),
            ('expected: the pod saw /shoes and', 'found:    the pod saw /catalog/shoes and'),
            id='a prefix that stays',
        ),
        pytest.param(
            'catalog.yaml',
            ('X-Shop: example', 'X-Shop: examples'),
            ('X-Shop: example,', 'X-Shop: examples,'),
            id='another header for the pod',
        ),
        pytest.param(
            'catalog.yaml',
            ('max-age=60', 'max-age=61'),
            ('Cache-Control: max-age=60\n', 'Cache-Control: max-age=61\n'),
            id='another header for the client',
        ),
        pytest.param(
            'storefront.yaml',
            ('headrace.io/balance: roundrobin', 'headrace.io/balance: roundrobin\n    headrace.io/client-ip: none'),
            ('expected: the pod saw X-Forwarded-For: 127.0.0.1', 'found:    the pod saw X-Forwarded-For: None'),
            id='an address that is not told',
        ),
        pytest.param(
            'warehouse.yaml',
            (
                '  namespace: shop\nspec',
                '  namespace: shop\n  annotations: {headrace.io/host: warehouse.example.com}\nspec',
            ),
            ('expected: 404 from HAProxy itself', 'found:    200 from warehouse-1'),
            id='a Service that asks to be served',
        ),
        pytest.param(
            'www.yaml',
            ('"301"', '"302"'),
            ('expected: 301 to http://shop.example.com/', 'found:    302 to http://shop.example.com/'),
            id='another redirect',
        ),
        pytest.param(
            'back-office.yaml',
            ('allow: 127.20.0.0/16', 'allow: 127.0.0.0/8'),
            ('expected: 403 from HAProxy itself', 'found:    200 from back-office-1'),
            id='a wall with a hole',
        ),
        pytest.param(
            'back-office.yaml',
            ('allow: 127.20.0.0/16', 'allow: 127.21.0.0/16'),
            ('expected: 200 from back-office-1', 'found:    403 from HAProxy itself'),
            id='a wall without a door',
        ),
        pytest.param(
            'pay.yaml',
            ('tls-secret: pay-certificate', 'tls-secret: pay-certificate\n    headrace.io/tls-redirect: "false"'),
            ('expected: 308 to https://pay.example.com', 'found:    200 to None'),
            id='HTTP where HTTPS is due',
        ),
        pytest.param(
            'pay.yaml',
            ('127.10.4.1', '127.10.6.1'),
            ('expected: 200 from pay-1', 'found:    200 from warehouse-1'),
            id='HTTPS that leads elsewhere',
        ),
        pytest.param(
            'storefront.yaml',
            ('headrace.io/balance', 'headrace.io/balanse'),
            ('expected: RouteClosed of Service shop/pay, Secret', 'UnknownKey of Service shop/storefront'),
            id='a diagnostic more',
        ),
        pytest.param(
            'pay.yaml',
            ('tls-secret: pay-certificate', 'tls-secret: another-certificate'),
            ('expected: 308 to https://pay.example.com', 'found:    503 to None'),
            id='a certificate without a challenge',
        ),
        pytest.param(
            'www.yaml',
            ('host: www.example.com', 'host: www.example.com office.example.com'),
            ('expected: 404 from HAProxy itself; no reload', 'found:    301 from HAProxy itself; no reload'),
            id='a host that another takes over',
        ),
    ],
)
def test_a_shop_that_is_not_as_said_is_found_out(tmp_path, demo, haproxy_34, file, edit, judged):
    ran = demo('--haproxy', haproxy_34, '--folder', edited(tmp_path / 'shop', file, edit))
    assert (ran.returncode, ran.stderr) == (1, '')
    wrong = ran.stdout.partition('WRONG')[2]
    expected, found = judged
    assert expected in wrong
    assert found in wrong
    assert re.fullmatch(rf'\d+ of {SAID} things are not as said\.', ran.stdout.splitlines()[-1])


@contextlib.contextmanager
def staying(temporary, haproxy):
    """A demonstration that has said all and stays until it is told to end, and the lines that it said."""
    with subprocess.Popen(
        command(['--haproxy', haproxy, '--stay']),
        env=here(temporary),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            lines = list(iter(process.stdout.readline, 'Ctrl-C ends it.\n'))
            yield process, lines
        finally:
            process.send_signal(signal.SIGINT)


def listening(pid):
    """Return the TCP ports that a process listens on."""
    sockets = {str(link.readlink()) for link in Path(f'/proc/{pid}/fd').iterdir()}
    rows = [line.split() for name in ('tcp', 'tcp6') for line in Path(f'/proc/net/{name}').read_text().splitlines()[1:]]
    return {int(row[1].rpartition(':')[2], 16) for row in rows if row[3] == '0A' and f'socket:[{row[9]}]' in sockets}


def test_haproxy_listens_on_no_port_but_those_chosen_at_run_time(temporary, haproxy_34):
    with staying(temporary, haproxy_34):
        [folder] = temporary.iterdir()
        settings = yaml.safe_load((folder / 'settings.yaml').read_text())
        haproxies = [pid for pid, line in processes_of(temporary) if b'master.sock' in line]
        assert len(haproxies) == 2
        found = {port for pid in haproxies for port in listening(pid)}
    assert found == {settings[key] for key in ('httpPort', 'httpsPort', 'healthPort')} | {int(settings['tcpPorts'])}


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=['Ctrl-C', 'SIGTERM'])
@pytest.mark.parametrize('heading', ['From a folder', 'HTTP, by host', 'The folder changes'])
def test_one_that_is_interrupted_in_the_middle_leaves_nothing(temporary, haproxy_34, heading, number):
    with subprocess.Popen(
        [sys.executable, '-u', *map(str, command(['--haproxy', haproxy_34])[1:])],
        env=here(temporary),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert any(line.startswith(heading) for line in process.stdout)
        process.send_signal(number)
        rest = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert rest.splitlines()[-1].startswith('Interrupted; ')
    assert_no_trace(temporary)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=['Ctrl-C', 'SIGTERM'])
def test_an_interrupted_demonstration_leaves_nothing(temporary, haproxy_34, number):
    with staying(temporary, haproxy_34) as (process, _):
        # The agent, and HAProxy's master and worker.
        assert len(processes_of(temporary)) == 3
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, '')
    assert rest == '\nInterrupted; headrace, HAProxy and the pods have ended, and their folder is gone.\n'
    assert_no_trace(temporary)


def test_the_commands_it_gives_to_try_by_hand_work(temporary, haproxy_34):
    with staying(temporary, haproxy_34) as (_, lines):
        commands = [line.split() for line in lines if ' status --admin ' in line]
        ran = [
            subprocess.run(words, check=False, capture_output=True, text=True, timeout=60, env=here(temporary))
            for words in commands
        ]
    assert [(one.returncode, one.stderr) for one in ran] == [(0, '')]
    assert 'http shop.example.com/catalog/' in ran[0].stdout
    assert_no_trace(temporary)


@pytest.mark.parametrize('binary', ['/no/such/haproxy', '/bin/true'])
def test_a_haproxy_that_is_none_is_said_in_one_line(demo, binary):
    ran = demo('--haproxy', binary)
    assert (ran.returncode, ran.stdout) == (2, '')
    assert re.fullmatch(rf'demo: {binary} .*\n', ran.stderr)


def test_a_configuration_that_haproxy_refuses_ends_the_demonstration(tmp_path, demo, haproxy_34):
    refusing = tmp_path / 'haproxy'
    refusing.write_text(f'#!/bin/sh\n[ "$1" = -v ] && exec {haproxy_34} -v\necho "not today" >&2\nexit 1\n')
    refusing.chmod(0o755)
    ran = demo('--haproxy', refusing)
    assert ran.returncode == 2
    assert ran.stderr == 'demo: headrace run ended:\nheadrace: not today\n'
