"""Objects that HAProxy reads slowly, or refuses in great number, are left out, and only those of their namespace."""

import itertools
import re
import threading
import time
from pathlib import Path

import pytest

from conftest import binary
from headrace.haproxy.render.render import Renderer
from headrace.haproxy.render.templating import Overrides
from headrace.haproxy.runtime import bisect, check, files
from headrace.ir.fragment import Kind
from headrace.names import Ref
from headrace.resolve import model_snapshot
from headrace.settings.settings import Secrets, Settings
from headrace.translate.policies import CLOSED
from support.live import until
from support.objects import built, ca_secret, endpoint_slice, service, tls_secret

LONGEST = 4.0
TENANTS = ('tenant-a', 'tenant-b', 'tenant-c', 'tenant-d')
# Takes some time for each backend of this name that it reads, and then says what HAProxy says.
SLOW = """#!/bin/sh
if [ "$1" = -c ]; then
  number=$(grep -rhoE 'backend {pattern}_80' "$3" | sort -u | wc -l)
  [ "$number" = 0 ] || sleep $((number * {milliseconds} / 1000)).$(printf %03d $((number * {milliseconds} % 1000)))
fi
exec {haproxy} "$@"
"""


def slow(tmp_path, pattern, milliseconds):
    """Return a HAProxy whose checks are slow for some backends."""
    made = tmp_path / 'haproxy'
    text = SLOW.replace('{pattern}', pattern).replace('{milliseconds}', str(milliseconds))
    made.write_text(text.replace('{haproxy}', str(binary('haproxy-3.4'))))
    made.chmod(0o755)
    return str(made)


def model(count, broken=()):
    """Return a model of some Services in each namespace; those that are broken use a snippet which HAProxy refuses."""
    return built(
        *(
            service(
                f's{number}',
                namespace,
                annotations={'host': f's{number}.{namespace}.example.com'}
                | ({'snippets': 'broken'} if (namespace, number) in broken else {}),
            )
            for namespace in TENANTS
            for number in range(count)
        ),
        snippets=frozenset(('broken',)),
    )


def search(made, haproxy, longest=LONGEST):
    renderer = Renderer(made.context, Overrides(snippets=(('broken', ('no-such-keyword',)),)))
    told = model_snapshot.of_state(made)
    return bisect.Search(haproxy, renderer, told, bisect.owners(told), longest=longest), sorted(told.fragments)


def test_a_check_that_takes_too_long_is_a_refusal_and_not_a_missing_haproxy(tmp_path):
    made = built(service(namespace='tenant-b', annotations={'host': 'b.example.com'}))
    files.write(tmp_path / 'config', Renderer(made.context).render(made))
    began = time.monotonic()
    found = check.check(slow(tmp_path, 'tenant-b_web', 60_000), tmp_path / 'config', 0.5)
    assert (found.accepted, found.timed_out) == (False, True)
    assert 'within' in found.output
    assert time.monotonic() - began < 30


def test_what_cannot_be_run_is_a_missing_haproxy(tmp_path):
    with pytest.raises(check.HaproxyMissingError):
        check.check('/no/such/haproxy', tmp_path)


def test_checks_leave_the_processor_to_others(tmp_path):
    haproxy = tmp_path / 'haproxy'
    haproxy.write_text('#!/bin/sh\nsleep 0.2; cut -d" " -f19 /proc/$$/stat\n')
    haproxy.chmod(0o755)
    here = int(Path('/proc/self/stat').read_text().split(' ')[18])
    assert int(check.check(str(haproxy), tmp_path).output) == min(here + 10, 19)


def test_one_object_that_is_read_too_slowly_is_found(tmp_path):
    made = model(5)
    found, suspects = search(made, slow(tmp_path, 'tenant-b_s3', 60_000))
    assert found.slow(suspects) == (Ref('Service', 'tenant-b', 's3'),)


def test_objects_that_are_too_slow_together_cost_their_namespace_alone(tmp_path):
    made = model(12)
    found, suspects = search(made, slow(tmp_path, 'tenant-b_s[0-9]*', 500))
    left_out = found.slow(suspects)
    assert {ref.namespace for ref in left_out} == {'tenant-b'}
    assert len(left_out) > 1


def test_slowness_without_a_cause_in_an_object_blames_none(tmp_path):
    haproxy = tmp_path / 'haproxy'
    haproxy.write_text('#!/bin/sh\nsleep 60\n')
    haproxy.chmod(0o755)
    found, suspects = search(model(1), str(haproxy), longest=0.5)
    assert found.slow(suspects) == ()


def test_a_hundred_refused_objects_of_one_namespace_leave_others_alone_in_bounded_time(monkeypatch):
    monkeypatch.setattr(bisect, '_SEARCH_SECONDS', 2.0)
    broken = {('tenant-b', number) for number in range(100)} | {('tenant-c', 7)}
    made = model(101, broken)
    found, suspects = search(made, str(binary('haproxy-3.4')))
    began = time.monotonic()
    left_out = set(found.refused(suspects))
    assert {Ref('Service', namespace, f's{number}') for namespace, number in broken} <= left_out
    assert {ref.namespace for ref in left_out} == {'tenant-b', 'tenant-c'}
    assert time.monotonic() - began < 60


def test_what_an_object_shares_with_one_that_is_left_out_stays(tmp_path):
    """Of two objects with one certificate and one host, the older is refused: the other keeps both."""
    one, two = (
        service(name, created=f'2024-0{month}-01T00:00:00Z', annotations={'tls-secret': 'tls', **said})
        for month, name, said in (
            (1, 'bad', {'host': 'a.example.com b.example.com', 'snippets': 'broken', 'path': '/bad'}),
            (2, 'good', {'host': 'a.example.com', 'path': '/good'}),
        )
    )
    made = built(
        tls_secret(), one, two, snippets=frozenset(('broken',)), settings=Settings(secrets=Secrets(namespaces=('*',)))
    )
    told, bad = model_snapshot.of_state(made), Ref('Service', 'shop', 'bad')
    left = bisect.without(told, bisect.owners(told), frozenset((bad,)))
    assert {key for kind, key in left.pointers if kind is not Kind.ROUTE} == {'a.example.com', 'shop_tls'}
    assert any(kind is Kind.ROUTE and key.startswith('a.example.com/good') for kind, key in left.pointers)
    # What it has alone leads nowhere, and not to a shorter route.
    alone = {key: content for (kind, key), content in left.pointers.items() if '/bad' in key and kind is Kind.ROUTE}
    assert len(alone) == 2
    assert {content.flags for content in alone.values()} == {CLOSED}
    renderer = Renderer(made.context, Overrides(snippets=(('broken', ('no-such-keyword',)),)))
    files.write(tmp_path, renderer.snapshot(left))
    found = check.check(str(binary('haproxy-3.4')), tmp_path)
    assert found.accepted, found.output


def test_a_route_that_is_closed_belongs_to_its_object():
    """A route that wants client certificates is closed where another object's TLS holds for its host."""
    older = service('older', created='2024-01-01T00:00:00Z', annotations={'host': 'a.example.com', 'tls-secret': 'tls'})
    said = {'host': 'a.example.com', 'path': '/x', 'tls-secret': 'tls', 'client-ca-secret': 'ca'}
    younger = service('younger', created='2024-02-01T00:00:00Z', annotations=said)
    made = built(tls_secret(), ca_secret(), older, younger, settings=Settings(secrets=Secrets(namespaces=('*',))))
    told = model_snapshot.of_state(made)
    (key,) = [each for each in told.pointers if each[0] is Kind.ROUTE and each[1].startswith('a.example.com/x')]
    assert CLOSED in told.pointers[key].flags
    assert bisect.owners(told)[key] == {Ref('Service', 'shop', 'younger')}


def test_a_search_that_is_abandoned_ends_after_the_check_that_is_running(tmp_path):
    made = model(3)
    found, suspects = search(made, slow(tmp_path, 'tenant-b_s[0-9]*', 300))
    found.abandoned.set()
    with pytest.raises(bisect.SearchAbandonedError):
        found.slow(suspects)


def test_a_namespace_that_writes_refused_objects_all_the_time_stops_no_reload_of_others(make_live, town):
    pod, over = town.pod(), threading.Event()
    live = make_live(reloadInterval='100ms')
    live.overrides = live.root / 'overrides'
    (live.overrides / 'snippets').mkdir(parents=True)
    (live.overrides / 'snippets' / 'broken.cfg').write_text('no-such-keyword at all\n')
    live.put('tenant-c', service('web', 'tenant-c', annotations={'host': 'c.example.com'}))
    heirs = [
        service(
            name, 'tenant-b', created=f'2024-0{month}-01T00:00:00Z', annotations={'host': 'held.example.com', **more}
        )
        for month, name, more in ((1, 'elder', {'snippets': 'broken'}), (2, 'heir', {}))
    ]
    live.put('heirs', *heirs)
    live.start()

    def write():
        for number in itertools.count():
            if over.wait(0.05):
                return
            name = f'bad-{number}'
            said = {'host': f'{name}.example.com', 'snippets': 'broken', 'retries': str(number % 10)}
            live.put(name, service(name, 'tenant-b', annotations=said))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        until(lambda: live.metric('headrace_diagnostics', reason='RefusedByHaproxy'), 'objects are refused')
        ends = endpoint_slice('web', 'tenant-c', addresses=[pod], port=town.port)
        wanted = service('web', 'tenant-c', annotations={'host': 'c.example.com', 'cookie': 'legitimate'})
        live.put('tenant-c', wanted, ends)
        until(lambda: 'tenant-c_web_80_' in str(live.servers()), "tenant-c's reload has come", 150)
        # What a refused object claimed is closed, for others of its namespace too; what comes meanwhile is not lost.
        until(
            lambda: re.match(r'tenant-b_elder[^|]*[|][^|]*[|]X', live.routes().get('held.example.com/', '')),
            'the host is closed',
        )
        live.put('tenant-d', service('web', 'tenant-d', annotations={'host': 'd.example.com'}))
        until(lambda: 'd.example.com/' in live.routes(), 'what needs no reload has come')
    finally:
        over.set()
        writer.join()
