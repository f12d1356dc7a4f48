"""Snippets of nginx: what is translated, what is named, and what closes the routes. Nothing is executed."""

import pytest

from headrace.annotations.foreign import nginx_syntax
from headrace.annotations.foreign.nginx_syntax import Directive, NginxSyntaxError
from support.foreign import case, judge

KEYS = "headrace's keys"
VARIABLES = ('redirect-to', 'https://$host/')
HERE = 'https://new.example.com'


def snippet(name, text, **expected):
    """Return a case whose only annotation is a snippet; one that neither closes nor ignores becomes headrace's keys."""
    reason = expected.pop('reason', KEYS)
    if 'closed' not in expected and 'ignored' not in expected:
        expected['differs'] = {'configuration-snippet': reason}
    elif 'closed' in expected:
        expected['closed'] = ('configuration-snippet',)
        expected['ignored'] = {'configuration-snippet': reason if reason != KEYS else ''}
    return case(name, {'configuration-snippet': text}, **expected)


CASES = [
    snippet('headers of answers', 'more_set_headers "X-A: b" \'X-C: d e\';', texts={'response-headers': 'X-A: b\nX-C: d e'}),
    snippet('headers of answers that go', 'more_clear_headers Server X-A;', texts={'response-headers': 'Server:\nX-A:'}),
    snippet('headers of requests', 'more_set_input_headers "X-A: b"; more_clear_input_headers X-C;', texts={'request-headers': 'X-A: b\nX-C:'}),
    snippet('a header that is added', 'add_header X-Frame-Options "DENY" always;', texts={'response-headers': 'X-Frame-Options: DENY'}),
    snippet('a header that is added for some statuses', 'add_header X-A b;', texts={'response-headers': 'X-A: b'}, reason='on all answers'),
    snippet('a header with a variable in answers', 'add_header X-A $request_id always;', ignored={'configuration-snippet': 'request_id'}),
    snippet('a header with a variable in requests', 'proxy_set_header X-User $remote_user;', closed=True, reason='remote_user'),
    snippet('a header with a line break in requests', r'proxy_set_header X-A "b\nX-Admin: yes";', closed=True, reason='one line'),
    snippet('a header of requests', 'proxy_set_header X-A b; proxy_set_header X-B "";', texts={'request-headers': 'X-A: b\nX-B:'}),
    snippet(
        'headers that are sent anyway',
        'proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection "upgrade";\nproxy_set_header X-Real-IP $remote_addr;',
    ),
    snippet('another Host', 'proxy_set_header Host inner.example.com;', texts={'host-header': 'inner.example.com'}),
    snippet('a header of answers that is hidden', 'proxy_hide_header X-Powered-By;', texts={'response-headers': 'X-Powered-By:'}),
    snippet('headers by status', 'more_set_headers -s 404 "X-A: b";', ignored={'configuration-snippet': 'by status'}),
    snippet('headers of requests by status', 'more_set_input_headers -r "X-A: b";', closed=True, reason='by status'),
    snippet('a header that frames messages', 'proxy_set_header Transfer-Encoding chunked;', closed=True),
    snippet('a redirect', f'return 301 {HERE};', texts={'redirect-to': HERE, 'redirect-code': '301'}),
    snippet('a redirect without a code', f'return {HERE}/;', texts={'redirect-to': f'{HERE}/', 'redirect-code': '302'}),
    snippet('a redirect with a variable', f'return 308 {HERE}$request_uri;', texts={'redirect-to': f'{HERE}$request_uri', 'redirect-code': '308'}, needs=VARIABLES),
    snippet('a redirect with an unknown variable', 'return 301 https://$arg_to/;', closed=True, reason='arg_to'),
    snippet('nothing for any client', 'return 403;', texts={'deny': '0.0.0.0/0, ::/0'}),
    snippet('not now', 'return 503;', texts={'maintenance': 'true'}),
    snippet('another answer', 'return 418;', closed=True, reason='418'),
    snippet('a rewrite that redirects', f'rewrite ^ {HERE}/? permanent;', texts={'redirect-to': f'{HERE}/', 'redirect-code': '301'}),
    snippet('a rewrite that redirects with the path', f'rewrite ^(.*)$ {HERE}$1 redirect;', texts={'redirect-to': f'{HERE}$request_uri', 'redirect-code': '302'}, needs=VARIABLES),
    snippet('a rewrite that redirects with the rest of the path', f'rewrite ^/(.*) {HERE}/$1? permanent;', texts={'redirect-to': f'{HERE}$uri', 'redirect-code': '301'}, needs=VARIABLES),
    snippet('a rewrite inside', 'rewrite ^/a/(.*) /b/$1 break;', ignored={'configuration-snippet': 'is not read'}),
    snippet('allowed networks', 'allow 10.0.0.0/8; allow 192.168.1.1; deny all;', texts={'allow': '10.0.0.0/8, 192.168.1.1'}),
    snippet('denied networks', 'deny 10.0.0.0/8; allow all;', texts={'deny': '10.0.0.0/8'}),
    snippet('denied networks among allowed ones', 'deny 10.1.0.0/16; allow 10.0.0.0/8; deny all;', texts={'deny': '10.1.0.0/16', 'allow': '10.0.0.0/8'}),
    snippet('nothing for any client by network', 'deny all;', texts={'deny': '0.0.0.0/0, ::/0'}),
    snippet('what comes after all', 'allow all; deny 10.0.0.0/8;'),
    snippet('networks that are none', 'allow office; deny all;', closed=True, reason='cannot be applied'),
    snippet('networks without a network', 'deny;', closed=True, reason='one network each'),
    snippet('other directives', 'gzip on; if ($host = x) { set $y 1; }', ignored={'configuration-snippet': "'gzip', 'if'"}),
    snippet('other directives among those that are read', 'gzip on; more_set_headers "X-A: b";', texts={'response-headers': 'X-A: b'}, reason="'gzip'"),
    snippet('a block that redirects', 'if ($host = x) { return 301 https://x; }', ignored={'configuration-snippet': "'if'"}),
    snippet('a block that refuses', 'if ($http_user_agent ~* "bot") { return 403; }', closed=True, reason="'if' may refuse"),
    snippet('a block in a block that refuses', 'location /x { if ($y) { deny all; } }', closed=True, reason='location'),
    snippet('passwords', 'auth_basic "x"; auth_basic_user_file /etc/x;', closed=True, reason='auth_basic'),
    snippet('a program', "access_by_lua_block { ngx.exit(403) ; }", closed=True, reason='access_by_lua_block'),
    snippet('a text that is no configuration', 'add_header X-A b', closed=True, reason='has no end'),
    snippet('a comment', '# deny all;'),
]  # fmt: skip


@pytest.mark.parametrize('case', CASES)
def test_a_directive_becomes_headraces_own(case):
    judge('ingress-nginx', case)


OTHERS = [
    case(
        'both snippets and other annotations',
        {'x-forwarded-prefix': '/a', 'denylist-source-range': '10.0.0.0/8', 'configuration-snippet': 'more_set_input_headers "X-B: c";', 'server-snippet': 'deny 192.168.0.0/16;'},
        texts={'request-headers': 'X-Forwarded-Prefix: /a\nX-B: c', 'deny': '10.0.0.0/8, 192.168.0.0/16'},
        differs={'configuration-snippet': KEYS, 'server-snippet': KEYS},
    ),
    case(
        'two lists of allowed networks',
        {'whitelist-source-range': '10.0.0.0/8', 'server-snippet': 'allow 10.1.0.0/16; deny all;'},
        texts={'allow': '10.0.0.0/8'},
        closed=('server-snippet',),
    ),
    case('a list that headrace has', {'server-snippet': 'allow x; deny all;'}, own={'allow': '10.0.0.0/8'}, ignored={'server-snippet': 'counts'}),
    case('a redirect that headrace has', {'server-snippet': 'return 301 https://a.example.com;'}, own={'redirect-to': 'https://b.example.com'}, ignored={'server-snippet': 'counts'}),
    case('headers that headrace has', {'server-snippet': 'proxy_set_header X-A b;'}, own={'request-headers': 'X-A: c'}, ignored={'server-snippet': 'counts'}),
    case('a Host that headrace has', {'server-snippet': 'proxy_set_header Host a.example.com;'}, own={'host-header': 'b.example.com'}, ignored={'server-snippet': ''}),
    case('maintenance that headrace has', {'server-snippet': 'return 503;'}, own={'maintenance': 'true'}, closed=('server-snippet',)),
    case('an empty snippet', {'configuration-snippet': ''}, differs={'configuration-snippet': ''}),
    case('streams', {'stream-snippet': 'server { listen 1; }'}, ignored={'stream-snippet': ''}),
]  # fmt: skip


@pytest.mark.parametrize('case', OTHERS)
def test_snippets_go_together_with_other_annotations(case):
    judge('ingress-nginx', case)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('', ()),
        ('a;', (Directive('a'),)),
        ('a b "c d" \'e;f\';', (Directive('a', ('b', 'c d', 'e;f')),)),
        ('a # b;\n c;', (Directive('a', ('c',)),)),
        (r'a "b\"c\\d\te\.f";', (Directive('a', ('b"c\\d\te\\.f',)),)),
        (r'a b\;c ${x}y;', (Directive('a', (r'b\;c', '${x}y')),)),
        ('if ($a = "b") { c; }', (Directive('if', ('($a', '=', 'b', ')'), (Directive('c'),)),)),
        ('a { }', (Directive('a', (), ()),)),
        (
            'a { b { c; } d; } e;',
            (Directive('a', (), (Directive('b', (), (Directive('c'),)), Directive('d'))), Directive('e')),
        ),
    ],
)
def test_nginxs_grammar_is_read(text, expected):
    assert nginx_syntax.read(text) == expected


@pytest.mark.parametrize(
    'text', ['a', ';', '{ }', 'a {', '}', 'a { b }', 'a "b', 'a "b"c;', 'a ${b;', 'a ' * 40_000, 'a {' * 40, 'a "b\\']
)
def test_a_text_that_nginx_would_not_take_is_refused(text):
    with pytest.raises(NginxSyntaxError):
        nginx_syntax.read(text)
