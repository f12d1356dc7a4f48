"""Fields of untrusted documents: the expected type, or its empty value; never an exception."""

import pytest

from headrace.objects import fields

ANYTHING = (None, True, False, 0, 1, 1.5, float('nan'), '', 'text', [], ['a'], {}, {'a': 1}, b'bytes', {1, 2})


@pytest.mark.parametrize('value', ANYTHING, ids=repr)
def test_a_field_of_another_type_is_as_good_as_absent(value):
    document = {'key': value}
    assert fields.mapping(document, 'key') == (value if isinstance(value, dict) else {})
    assert fields.sequence(document, 'key') == (value if isinstance(value, list) else [])
    assert fields.text(document, 'key', 'else') == (value if isinstance(value, str) else 'else')
    assert fields.flag(document, 'key', default=True) is (value if isinstance(value, bool) else True)
    assert fields.number(document, 'key') == (value if type(value) is int else 0)


def test_an_absent_field_has_its_empty_value():
    assert fields.mapping({}, 'key') == {}
    assert fields.sequence({}, 'key') == []
    assert fields.documents({}, 'key') == []
    assert fields.text({}, 'key') == ''
    assert fields.texts({}, 'key') == ()
    assert fields.flag({}, 'key') is False
    assert fields.number({}, 'key') == 0
    assert fields.port({}, 'key') == 0
    assert fields.labels({}) == ()


def test_items_of_another_type_are_passed_over():
    document = {'key': [{'a': 1}, 'text', None, ['x'], 5]}
    assert fields.documents(document, 'key') == [{'a': 1}]
    assert fields.texts(document, 'key') == ('text',)


@pytest.mark.parametrize(
    ('value', 'expected'),
    [(1, 1), (80, 80), (65535, 65535), (0, 0), (-1, 0), (65536, 0), ('80', 0), (80.0, 0), (True, 0), (10**400, 0)],
)
def test_a_port_is_a_number_from_1_to_65535(value, expected):
    assert fields.port({'port': value}, 'port') == expected


def test_labels_are_sorted_pairs_of_texts():
    assert fields.labels({'labels': {'b': '2', 'a': '1', 'number': 5, 3: 'three', 'none': None}}) == (
        ('a', '1'),
        ('b', '2'),
    )


@pytest.mark.parametrize(
    ('document', 'expected'),
    [
        pytest.param({}, [], id='absent'),
        pytest.param({'name': None, 'ports': None}, [], id='null'),
        pytest.param({'name': 'a', 'ports': []}, [], id='right'),
        pytest.param({'name': 5, 'ports': []}, ['name'], id='a number for a text'),
        pytest.param({'name': 'a', 'ports': {}}, ['ports'], id='a mapping for a list'),
        pytest.param({'name': ['a'], 'ports': 'all'}, ['name', 'ports'], id='both'),
    ],
)
def test_fields_of_the_wrong_type_are_named(document, expected):
    assert fields.misfits(document, {'name': str, 'ports': list}) == expected


@pytest.mark.parametrize(
    ('value', 'label', 'subdomain'),
    [
        pytest.param('web', True, True, id='plain'),
        pytest.param('web-1', True, True, id='dash and digit'),
        pytest.param('1web', True, True, id='digit first'),
        pytest.param('a' * 63, True, True, id='63 characters'),
        pytest.param('a' * 64, False, True, id='64 characters'),
        pytest.param('a' * 253, False, True, id='253 characters'),
        pytest.param('a' * 254, False, False, id='254 characters'),
        pytest.param('a.b', False, True, id='dot'),
        pytest.param('a..b', False, False, id='empty part'),
        pytest.param('.a', False, False, id='dot first'),
        pytest.param('-a', False, False, id='dash first'),
        pytest.param('a-', False, False, id='dash last'),
        pytest.param('a-.b', False, False, id='dash last in a part'),
        pytest.param('Web', False, False, id='upper case'),
        pytest.param('a_b', False, False, id='underscore'),
        pytest.param('a/b', False, False, id='slash'),
        pytest.param('', False, False, id='empty'),
        pytest.param('a\n', False, False, id='line break at the end'),
        pytest.param('a\0', False, False, id='NUL'),
        pytest.param('ä', False, False, id='umlaut'),
        pytest.param('\N{KELVIN SIGN}', False, False, id='a letter that only looks like one'),
        pytest.param('٣', False, False, id='a digit of another script'),
    ],
)
def test_a_name_is_one_that_kubernetes_allows(value, label, subdomain):
    assert fields.is_name(value) is label
    assert fields.is_name(value, subdomain=True) is subdomain


# An address as written, and its canonical form by family; '' where it is none.
ADDRESSES = [
    pytest.param('10.0.0.1', '10.0.0.1', '', id='IPv4'),
    pytest.param('255.255.255.255', '255.255.255.255', '', id='the last IPv4'),
    pytest.param('256.0.0.1', '', '', id='octet too large'),
    pytest.param('10.0.0', '', '', id='three octets'),
    pytest.param('10.0.0.01', '', '', id='leading zero, which some read as octal'),
    pytest.param('0.0.0.0', '', '', id='unspecified IPv4, by which HAProxy means where the client wanted to go'),
    pytest.param('10.0.0.1/8', '', '', id='network'),
    pytest.param('10.0.0.1:80', '', '', id='with port'),
    pytest.param(' 10.0.0.1', '', '', id='blank before it'),
    pytest.param('10.0.0.1\n', '', '', id='line break'),
    pytest.param('10.0.0.1,10.0.0.2', '', '', id='two in one'),
    pytest.param('١0.0.0.1', '', '', id='digit of another script'),
    pytest.param('::1', '', '::1', id='IPv6'),
    pytest.param('2001:DB8:0::1', '', '2001:db8::1', id='IPv6 in another form'),
    pytest.param('::', '', '', id='unspecified IPv6'),
    pytest.param('fe80::1%eth0', '', '', id='zone'),
    pytest.param('[::1]', '', '', id='brackets'),
    pytest.param('host.example.com', '', '', id='name'),
    pytest.param('', '', '', id='empty'),
]


@pytest.mark.parametrize(('value', 'four', 'six'), ADDRESSES)
def test_an_address_is_canonical_and_of_its_family(value, four, six):
    assert fields.address(value) == four or six
    assert fields.addresses([value], version=4) == [four]
    assert fields.addresses([value], version=6) == [six]


@pytest.mark.parametrize(('value', 'four', 'six'), ADDRESSES)
def test_a_wrong_address_costs_itself_only(value, four, six):
    assert fields.addresses(['10.9.9.9', value, '10.9.9.8'], version=4) == ['10.9.9.9', four, '10.9.9.8']
    assert fields.addresses(['fd00::9', value], version=6) == ['fd00::9', six]


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        pytest.param('10.244.0.0/24', '10.244.0.0/24', id='IPv4'),
        pytest.param('FD00:0::/64', 'fd00::/64', id='IPv6 in another form'),
        pytest.param('10.244.0.1/24', '', id='bits of a host'),
        pytest.param('10.244.0.0', '', id='no prefix'),
        pytest.param('none/24', '', id='no address'),
        pytest.param('10.244.0.0/33', '', id='a prefix that is too long'),
    ],
)
def test_a_network_is_a_whole_one_with_its_prefix(value, expected):
    assert fields.network(value) == expected


def test_no_address_is_no_mistake():
    assert fields.addresses([], version=4) == []
