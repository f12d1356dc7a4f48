"""A plan leads a running HAProxy to what a fresh one makes of the files: the same holdings and the same answers.

Each pair is played from both sides: HAProxy is started from the first objects' files and told the plan, and then from
the second objects' files. What each held at its start is what the other must have come to.
"""

import pytest
from tools.bench import varied

from conftest import binary
from haproxy import pairs
from support.haproxy import Ports
from support.servers import Endpoints
from support.transitions import TCP_PORTS, Ask, Pair, Stage, questions, tell


@pytest.fixture(scope='module')
def endpoints():
    """Endpoints at every address of 127.0.0.0/8."""
    with Endpoints() as found:
        yield found


@pytest.fixture(scope='module')
def ports():
    """Ports that HAProxy may have."""
    found = Ports(3 + TCP_PORTS)
    yield found
    found.close()


@pytest.fixture(scope='module')
def stage(endpoints, ports):
    """Where pairs are played."""
    return Stage(endpoints, ports, binary('haproxy-3.4'))


def differences(found, wanted):
    """Return what differs, by name: what was found, and what was wanted."""
    return {name: (found[name], wanted[name]) for name in wanted if found[name] != wanted[name]}


def play(stage, pair):
    """Play a pair from both sides, and compare."""
    asks = questions(pair)
    there, back = stage.between(pair.before, pair.after), stage.between(pair.after, pair.before)
    assert [str(reason) for reason in (*there.reasons, *back.reasons)] == []
    with stage.serving(pair.before) as haproxy:
        first = stage.seen(haproxy, asks)
        assert tell(haproxy, there.commands) == []
        came = stage.seen(haproxy, asks)
    with stage.serving(pair.after) as haproxy:
        second = stage.seen(haproxy, asks)
        assert tell(haproxy, back.commands) == []
        returned = stage.seen(haproxy, asks)
    assert differences(came, second) == {}
    assert differences(returned, first) == {}
    return first, second


@pytest.mark.parametrize('pair', [pytest.param(pair, id=name) for name, pair in pairs.ALL.items()])
def test_commands_lead_to_what_the_files_say(stage, pair):
    play(stage, pair)


def cluster(count, seed):
    """Return a varied cluster whose endpoints can be reached, with words for its TCP ports."""
    found = list(varied.cluster(count, seed, endpoints=4, network=127, port='PLAIN'))
    for number, item in enumerate(found[::2]):
        if varied.is_tcp(number):
            item['spec']['ports'][0]['port'] = f'TCP{number // 5}'
    return found


def asked(count):
    """Return what a varied cluster is asked: each host, as a browser of another site too, and each port."""
    for number in range(count):
        if varied.is_tcp(number):
            yield Ask(port=f'TCP{number // 5}')
        else:
            yield Ask(varied.host(number), '/a/b')
            origin = ('Origin', f'https://app-{number}.example.com')
            yield Ask(varied.host(number), method='OPTIONS', headers=(origin, ('Access-Control-Request-Method', 'GET')))


def test_a_cluster_becomes_one_with_other_settings_and_more_services(stage):
    pair = Pair(cluster(120, seed=7), cluster(150, seed=11))
    with_all = Pair(pair.before, pair.after, tuple(asked(150)))
    first, second = play(stage, with_all)
    assert first != second
