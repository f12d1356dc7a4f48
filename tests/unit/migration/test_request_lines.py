"""Requests in files: URLs, access logs, and what is none."""

import pytest

from headrace.migration.request_lines import Request, parse

LOG = '10.0.0.1 - - [30/Nov/2026:10:00:00 +0000] "GET /a?b=c HTTP/1.1" 200 12 "-" "curl/8"'


@pytest.mark.parametrize(
    ('line', 'expected'),
    [
        ('https://a.example.com', Request(tls=True, host='a.example.com', target='/')),
        (
            'HEAD http://A.example.com:8080/x?y=z',
            Request(tls=False, host='a.example.com', target='/x?y=z', method='HEAD'),
        ),
        (LOG, Request(tls=True, host='b.example.com', target='/a?b=c')),
        (
            '{"host": "a.example.com", "path": "/x", "method": "POST"}',
            Request(tls=True, host='a.example.com', target='/x', method='POST'),
        ),
        ('{"uri": "/x", "scheme": "http"}', Request(tls=False, host='b.example.com', target='/x')),
    ],
)
def test_a_line_holds_a_request(line, expected):
    assert parse([line], 'b.example.com', tls=True).requests == (expected,)


@pytest.mark.parametrize(
    'line',
    ['x', 'a b https://c', 'ftp://a/', 'http:///x', 'http://a b/', 'http://[::1', 'http://a/\x7f', 'get http://a/', '{', '{}', '[' * 9, '{"host": 1, "path": "/"}', '{"path": "x"}', LOG.replace('GET', 'get')],
)  # fmt: skip
def test_a_line_that_holds_none_is_counted(line):
    found = parse([line], 'b.example.com')
    assert (found.requests, found.unread) == ((), 1)


def test_a_log_without_a_host_holds_none():
    assert parse([LOG]).unread == 1


def test_each_request_stands_once_and_comments_hold_none():
    found = parse(['# x', '', 'http://a/', 'GET http://a/', 'http://b/'])
    assert [str(request) for request in found.requests] == ['GET http://a/', 'GET http://b/']
    assert found.unread == 0
