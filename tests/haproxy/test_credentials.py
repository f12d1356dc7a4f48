"""Basic authentication with hashes that only HAProxy can judge (crypt), by a real HAProxy."""

import base64
import contextlib

import pytest

from conftest import binary
from support import wire
from support.edge import Edge, Endpoints, web
from support.objects import secret

# Of `opensesame`, and of `other`; made with crypt(3).
BCRYPT = '$2y$04$N9qo8uLOickgx2ZMRZoMyenKJXgBwQmuTsuw5rDZiG8GbL4/WHFLO'
SHA512 = (
    '$6$rounds=5000$saltsalt$/dpv42BvGInVKxDULxBMfXE6CN.oHtXdmTeHWMcv5rsd81TjdKcroane5LphAqgVenp/4K1qV/7eYEdl4XS9O/'
)
SHA256 = '$5$saltsalt$jbxAgW5X5LNk4yh.NmUXL1XLS9OoRHueeuIinWYHZ9D'
OTHER = '$6$othersalt$eMcU/nJ8pRnR7JyhmYydf4xIZpFEZN9gbUjJ67B9PG9TZgoBq5B5mUj.2afJl1okAmT9zZv82ieToiVvvaEr50'
# Made with `openssl passwd -apr1`: of `opensesame`, and of 40 letters.
APACHES = f'ann:$apr1$saltsalt$7cqxt8VIjABxqw00CdZLl.\nben:{BCRYPT}\nlong:$apr1$ab$WysMa1pROYWSy1CQ.hjKp.\n'
USERS = f'ann:{BCRYPT}\nben:{SHA512}\ncid:{SHA256}\ndan:clear\neve:{{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n'


@pytest.fixture(scope='module')
def edge():
    """An edge with two hosts, each with users of its own."""
    with contextlib.ExitStack() as closing:
        endpoints = closing.enter_context(Endpoints())
        documents = (
            secret('users', auth=USERS),
            secret('apaches', auth=APACHES),
            *web('apache', endpoints, basic_auth_secret='apaches'),
            *web('first', endpoints, basic_auth_secret='apaches', max_body_size='1k'),
            secret('others', auth=f'ann:{OTHER}\n'),
            *web('many', endpoints, basic_auth_secret='users'),
            *web('few', endpoints, basic_auth_secret='others', basic_auth_realm='Only few!'),
            *web('gone', endpoints, basic_auth_secret='nowhere'),
            *web('open', endpoints, hsts='1h'),
        )
        edge = Edge(binary('haproxy-3.4'), *documents, seen={'all_secrets': True})
        yield closing.enter_context(edge)


def login(name, password):
    return ('Authorization', f'Basic {base64.b64encode(f"{name}:{password}".encode()).decode()}')


GOOD = [('ann', 'opensesame'), ('ben', 'opensesame'), ('cid', 'opensesame'), ('dan', 'clear'), ('eve', 'password')]


# Twice: what became of it is remembered.
@pytest.mark.parametrize('time', ['first', 'second'])
@pytest.mark.parametrize(('name', 'password'), GOOD)
def test_a_user_is_let_in_and_the_endpoint_sees_what_was_sent(edge, name, password, time):
    answer = edge.get('many.com', headers=[login(name, password)])
    assert answer.status == 200, time
    assert answer.said['headers']['authorization'] == [login(name, password)[1]]


@pytest.mark.parametrize('time', ['first', 'second'])
@pytest.mark.parametrize(
    ('name', 'password'),
    [('ann', 'other'), ('ann', 'opensesame '), ('ann', ''), ('zoe', 'opensesame'), ('', 'opensesame'), ('ben', SHA512)],
)
def test_others_are_not(edge, name, password, time):
    assert edge.get('many.com', headers=[login(name, password)]).status == 401, time


def test_a_password_is_good_for_its_own_route_only(edge):
    assert edge.get('few.com', headers=[login('ann', 'other')]).status == 200
    assert edge.get('few.com', headers=[login('ann', 'opensesame')]).status == 401
    assert edge.get('many.com', headers=[login('ann', 'other')]).status == 401
    assert edge.get('few.com').status == 401


def test_the_name_of_a_hash_is_no_user(edge):
    entries = edge.haproxy.command('show map maps/auth-crypt.map').split()
    names = [word for word in entries if len(word) == 32]
    assert len(set(names)) == 4
    for name in names:
        assert edge.get('many.com', headers=[login(name, 'opensesame')]).status == 401


def test_of_two_headers_the_endpoint_gets_the_one_that_was_judged(edge):
    good, bad = login('ann', 'opensesame'), login('ann', 'x')
    assert edge.get('many.com', headers=[good, bad]).said['headers']['authorization'] == [good[1]]
    assert edge.get('many.com', headers=[bad, good]).status == 401


def test_what_is_remembered_tells_no_password(edge):
    edge.get('many.com', headers=[login('ann', 'opensesame')])
    remembered = edge.haproxy.command('show table logins')
    assert 'gpt0=1' in remembered
    assert 'opensesame' not in remembered


def test_a_route_without_its_secret_is_closed_and_others_are_open(edge):
    assert edge.get('gone.com', headers=[login('ann', 'opensesame')]).status == 503
    assert edge.get('open.com').status == 200


def test_who_guesses_passwords_of_costly_hashes_has_to_wait(edge):
    def ask(client, password):
        request = (
            f'GET / HTTP/1.1\r\nHost: many.com\r\nConnection: close\r\n{": ".join(login("cid", password))}\r\n\r\n'
        )
        with contextlib.closing(wire.connect(edge.http, client=client)) as connection:
            return wire.statuses(wire.send(connection, request.encode()))[0]

    # What is remembered costs nothing, and is no guess.
    assert ask('127.0.4.1', 'opensesame') == 200
    assert [ask('127.0.4.1', 'wrong') for _ in range(40)] == [401] * 40
    assert [ask('127.0.4.1', f'guess-{number}') for number in range(31)] == [401] * 29 + [429] * 2
    assert ask('127.0.4.1', 'wrong') == 401
    assert ask('127.0.4.1', 'opensesame') == 200
    assert ask('127.0.4.2', 'guess') == 401


def test_clients_are_shown_the_realm(edge):
    assert edge.get('few.com').headers['www-authenticate'] == 'Basic realm="Only few!"'
    assert edge.get('many.com').headers['www-authenticate'] == 'Basic realm="many.com"'


@pytest.mark.parametrize('time', ['first', 'second'])
@pytest.mark.parametrize(
    ('name', 'password', 'status'),
    [
        ('ann', 'opensesame', 200),
        ('ben', 'opensesame', 200),
        ('long', 'abcdefghij' * 4, 200),
        ('ann', 'other', 401),
        ('ann', '', 401),
        ('zoe', 'opensesame', 401),
    ],
)
def test_hashes_of_apache_are_judged(edge, name, password, status, time):
    assert edge.get('apache.com', headers=[login(name, password)]).status == status, time


def test_who_guesses_passwords_of_apaches_hashes_has_to_wait(edge):
    def ask(client, password):
        request = (
            f'GET / HTTP/1.1\r\nHost: first.com\r\nConnection: close\r\n{": ".join(login("ann", password))}\r\n\r\n'
        )
        with contextlib.closing(wire.connect(edge.http, client=client)) as connection:
            return wire.statuses(wire.send(connection, request.encode()))[0]

    assert ask('127.0.6.1', 'opensesame') == 200
    assert 429 in [ask('127.0.6.1', f'guess-{number}') for number in range(100)]
    # What is remembered is judged all the same.
    assert ask('127.0.6.1', 'opensesame') == 200
