"""`headrace test`: a table of requests for a user's CI, with an exit code and a report in the form of JUnit."""

from xml.etree import ElementTree as ET

import pytest

from support.objects import endpoint_slice, service

HTTP = [{'name': 'http', 'port': 80}]


def web(name, **annotations):
    given = {key.replace('_', '-'): text for key, text in annotations.items()}
    return service(name, annotations=given, ports=HTTP)


@pytest.fixture
def objects(given):
    return given(
        web('web', host='a.example.com', rate_limit='5/s', request_headers='X-A: b\nX-Gone:', canary_service='next', canary_weight='25'),
        web('next', enabled='false'),
        web('moved', host='moved.example.com', redirect_to='https://a.example.com/'),
        web('closed', host='closed.example.com', mode='tls-passthrough'),
        endpoint_slice(addresses=['10.0.0.1'], port_name='http'),
        endpoint_slice('next', addresses=['10.0.0.2'], port_name='http'),
        name='objects.yaml',
    )  # fmt: skip


GOOD = """
cases:
  - name: most go to web
    request: GET http://a.example.com/x
    headers: {X-User: '7'}
    from: 10.0.0.7
    expect:
      shares: {shop/web: 75, shop/next: 25}
      path: /x
      requestHeaders: {x-a: b, X-Gone: ''}
      unless: [429]
  - request: http://moved.example.com/
    expect: {status: 302, location: 'https://a.example.com/'}
  - request: https://closed.example.com/
    expect: {closed: true}
  - request: http://none.example.com/
    expect: {status: 404}
"""
BAD = """
cases:
  - name: wrong in every way
    request: http://a.example.com/x
    expect:
      status: 403
      location: /there
      closed: true
      service: shop/next:http
      shares: {shop/web: 50}
      path: /y
      requestHeaders: {x-b: c}
      unless: []
  - {request: 'http://none.example.com/', expect: {service: shop/web, path: /}}
"""


def test_all_as_expected(headrace, given, objects):
    outcome = headrace('test', '-f', objects, '-t', given(GOOD, name='cases.yaml'))
    assert (outcome.code, outcome.err) == (0, '')
    assert outcome.out.startswith('4 passed, 0 failed, in ')


def test_each_difference_is_named(headrace, given, objects):
    outcome = headrace('test', '-f', objects, '-t', given(BAD, name='cases.yaml'), '--format', 'json')
    assert outcome.code == 1
    assert (outcome.values['passed'], outcome.values['failed']) == (0, 2)
    first, second = (case['differences'] for case in outcome.values['cases'])
    assert first == [
        'the connection is not closed',
        'no answer of headrace, not 403: one of 2 endpoints answers',
        'location (none), not /there',
        'other statuses [429], not []',
        'served by shop/next:http, shop/web:http, not by shop/next:http: one of 2 endpoints answers',
        'shop/web gets 75.0 % of such requests, not 50 %',
        'shop/next:http gets the path /x, not /y',
        'shop/next:http gets x-b: as sent',
        'shop/web:http gets the path /x, not /y',
        'shop/web:http gets x-b: as sent',
    ]
    assert second == [
        'served by no Service, not by shop/web: no route for host none.example.com and this path',
        'no endpoint gets the request',
    ]


def test_no_share_is_as_expected_where_that_is_no_number(headrace, given, objects):
    case = 'cases: [{request: "http://a.example.com/", expect: {shares: {shop/web: .nan}}}]'
    assert headrace('test', '-f', objects, '-t', given(case, name='cases.yaml')).code == 1


def test_people_see_what_failed(headrace, given, objects):
    outcome = headrace('test', '-f', objects, '-t', given(BAD, name='cases.yaml'))
    assert outcome.code == 1
    lines = outcome.out.splitlines()
    assert lines[:2] == ['failed  wrong in every way', '        the connection is not closed']
    assert lines[-1].startswith('0 passed, 2 failed, in ')


def test_the_report_is_one_of_junit(headrace, given, objects, tmp_path):
    report = tmp_path / 'report.xml'
    good, bad = given(GOOD, name='good.yaml'), given(BAD, name='bad.yaml')
    headrace('test', '-f', objects, '-t', good, '-t', bad, '--junit', report)
    suites = ET.parse(report).getroot().findall('testsuite')
    assert [(each.get('name'), each.get('tests'), each.get('failures')) for each in suites] == [
        (str(good), '4', '0'),
        (str(bad), '2', '2'),
    ]
    assert suites[0].find('testcase').get('name') == 'most go to web'
    assert 'location (none), not /there' in suites[1].find('testcase/failure').text


STEERING = r"""
cases:
  - name: "clear\e[2J\u0085 \uFFFE \uD800"
    request: GET http://none.example.com/
    expect: {service: "\e]0;title\a"}
"""


def test_texts_of_cases_steer_no_terminal_and_no_report(headrace, given, objects, tmp_path):
    report = tmp_path / 'report.xml'
    outcome = headrace('test', '-f', objects, '-t', given(STEERING, name='cases.yaml'), '--junit', report)
    assert outcome.code == 1
    assert [line for line in outcome.out.splitlines() if not line.isprintable()] == []
    assert outcome.out.startswith(r'failed  clear\x1b[2J\x85 \ufffe \ud800')
    case = ET.parse(report).getroot().find('testsuite/testcase')
    assert case.get('name') == r'clear\x1b[2J\x85 \ufffe \ud800'
    assert r'not by \x1b]0;title\x07' in case.find('failure').text


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        pytest.param('cases: [', 'expected the node content', id='no YAML'),
        pytest.param('cases: 2020-13-45', 'month must be in 1..12', id='no date'),
        pytest.param('[' * 5000, 'maximum recursion depth', id='deep YAML'),
        pytest.param('cases: !!float _', 'cases.yaml', id='no number'),
        pytest.param(r'"\ud800"', 'surrogates not allowed', id='half a pair of UTF-16'),
        pytest.param('- x', 'Expected `object`, got `array`', id='no table'),
        pytest.param('cases: [{request: "http://a/"}]', 'missing required field `expect`', id='nothing expected'),
        pytest.param('cases: [{request: "http://a/", expect: {}}]', 'http://a/: nothing is expected', id='an empty expectation'),
        pytest.param('cases: [{request: "http://a/", expect: {code: 4}}]', 'unknown field `code`', id='an unknown key'),
        pytest.param('cases: [{request: "a", expect: {status: 404}}]', "a: 'a' is no URL", id='no request'),
        pytest.param('cases: [{request: "http://a/", listener: x/y, expect: {status: 404}}]', 'http://a/: there is no listener x/y', id='no listener'),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used(headrace, given, objects, text, message):
    outcome = headrace('test', '-f', objects, '-t', given(text, name='cases.yaml'))
    assert outcome.code == 2
    assert message in outcome.err
