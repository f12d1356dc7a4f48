"""Lists of what an agent serves: searched, sorted and in pages."""

import asyncio
import json

import pytest
from multidict import MultiDict

from headrace import store
from headrace.agent import listings
from headrace.agent.listings import QueryError
from headrace.diagnostics import Diagnostic
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve import state
from headrace.settings.settings import Settings
from headrace.translate import build_context
from support import certificates
from support.objects import service

HTTP = [{'name': 'http', 'port': 80}]


def served(*documents):
    held, made = store.Store(), state.State(build_context.make(Settings()))
    for document in documents:
        held.put(parse.read(document).object)
    made.update(held, held.take())
    return made, held


def routes(*documents, **wanted):
    made, _ = served(*documents)
    return json.loads(asyncio.run(listings.routes(made, listings.query(wanted, listings.ROUTE_ORDERS))))


def shop(name='web', host='shop.example.com', path='/', namespace='shop'):
    return service(name, namespace, annotations={'host': host, 'path': path}, ports=HTTP)


def keys(found):
    return [item['key'] for item in found['items']]


def test_a_route_tells_its_host_path_holder_and_backend():
    (item,) = routes(shop(path='/cart'))['items']
    assert (item['host'], item['path'], item['exact']) == ('shop.example.com', '/cart', False)
    assert item['holder'] == {'kind': 'Service', 'namespace': 'shop', 'name': 'web'}
    assert item['state'] == 'served'
    assert item['backends']


def test_objects_that_wait_for_a_route_are_told():
    (item,) = routes(shop(), shop('later'))['items']
    assert [item['holder']['name'], *(each['name'] for each in item['waiting'])] == ['later', 'web']


def test_all_words_of_a_search_have_to_be_in_the_route_or_its_object():
    objects = shop('a', 'a.example.com'), shop('b', 'b.example.com'), shop('c', 'c.example.org', namespace='other')
    assert keys(routes(*objects, search='EXAMPLE.com')) == ['a.example.com/', 'b.example.com/']
    assert keys(routes(*objects, search='other/c')) == ['c.example.org/']
    assert keys(routes(*objects, search='b .com')) == ['b.example.com/']
    assert keys(routes(*objects, search='<script>')) == []


def test_a_page_is_a_part_of_what_matches_in_its_order():
    objects = [shop(f's{number}', f'h{9 - number}.example.com') for number in range(10)]
    found = routes(*objects, sort='-object', offset='2', limit='3', search='example')
    assert keys(found) == [f'h{number}.example.com/' for number in (2, 3, 4)]
    assert (found['matching'], found['total'], found['offset']) == (10, 10, 2)


@pytest.mark.parametrize(
    'wanted',
    [
        {'sort': 'colour'},
        {'limit': '0'},
        {'limit': '201'},
        {'limit': '-1'},
        {'offset': 'x'},
        {'offset': '9' * 30},
        {'search': 'x' * 201},
    ],
)
def test_what_cannot_be_asked_for_is_refused(wanted):
    with pytest.raises(QueryError):
        listings.query(wanted, listings.ROUTE_ORDERS)


@pytest.mark.parametrize(
    ('key', 'parts'),
    [
        ('a.example.com/', ('', 'a.example.com', '/')),
        ('a.example.com/x/', ('', 'a.example.com', '/x')),
        ('a.example.com/x/#', ('', 'a.example.com', '/x#')),
        ('a.example.com/#', ('', 'a.example.com', '/#')),
        ('80:*.example.com/x/', ('80', '*.example.com', '/x')),
    ],
)
def test_a_key_is_read_as_its_parts(key, parts):
    assert listings.split(key) == parts


def test_certificates_come_by_their_end_and_without_keys():
    key, certificate = certificates.for_names('shop.example.com')
    made, held = served(
        service('web', 'shop', annotations={'host': 'shop.example.com', 'tls-secret': 'web'}, ports=HTTP),
        certificates.tls_secret('web', key, certificate),
    )
    text = asyncio.run(listings.certificates(made, held, listings.query({}, listings.CERTIFICATE_ORDERS)))
    assert b'PRIVATE' not in text
    assert b'BEGIN' not in text
    (item,) = json.loads(text)['items']
    assert item['names'] == ['shop.example.com']
    assert item['users'] == [{'kind': 'Service', 'namespace': 'shop', 'name': 'web'}]
    assert item['notAfter']


def test_problems_are_errors_first_and_of_one_level_where_one_is_asked_for():
    refs = [Ref('Service', 'shop', name) for name in 'ab']
    by_ref = {
        refs[0]: (Diagnostic(refs[0], 'ReloadDelayed', 'waits'),),
        refs[1]: (Diagnostic(refs[1], 'InvalidValue', 'no number'),),
    }
    wanted = listings.query(MultiDict(), listings.PROBLEM_ORDERS)
    found = json.loads(asyncio.run(listings.problems(by_ref, (), wanted, '')))
    assert [item['level'] for item in found['items']] == sorted(item['level'] for item in found['items'])
    level = found['items'][0]['level']
    only = json.loads(asyncio.run(listings.problems(by_ref, (), wanted, level)))
    assert {item['level'] for item in only['items']} == {level}
    assert found['levels'] == only['levels']
