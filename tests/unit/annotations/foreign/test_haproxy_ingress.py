"""haproxy-ingress's annotations as headrace's: expected values come from the documentation of both."""

import pytest

from headrace.annotations.foreign.read import read
from headrace.annotations.foreign.translation import Structure
from support.foreign import case, judge

CORS = {
    'cors-allow-origin': '*',
    'cors-allow-methods': 'GET, PUT, POST, DELETE, PATCH, OPTIONS',
    'cors-allow-headers': 'DNT, X-CustomHeader, Keep-Alive, User-Agent, X-Requested-With, If-Modified-Since, Cache-Control, Content-Type, Authorization',
    'cors-max-age': '86400s',
}

CASES = [
    case('passwords', {'auth-secret': 'users', 'auth-realm': 'Shop'}, texts={'basic-auth-secret': 'users', 'basic-auth-realm': 'Shop'}),
    case('a realm without passwords', {'auth-realm': 'x'}),
    case('passwords of another namespace', {'auth-secret': 'bank/users'}, texts={'basic-auth-realm': 'localhost'}, closed=('auth-secret',)),
    case('passwords in a file', {'auth-secret': 'file:///etc/users'}, closed=('auth-secret',)),
    case(
        'external authentication by a Service',
        {'auth-url': 'svc://auth:8443/verify', 'auth-method': '*', 'auth-headers-succeed': 'X-User,X-*'},
        texts={'external-auth-url': 'http://auth.shop.svc:8443/verify', 'external-auth-response-headers': 'X-User'},
        differs={'auth-url': '', 'auth-method': 'GET', 'auth-headers-succeed': 'patterns'},
    ),
    case(
        'external authentication by a Service of another namespace',
        {'auth-url': 'svc://sso/auth:80', 'auth-method': 'HEAD'},
        texts={'external-auth-url': 'http://auth.sso.svc:80/', 'external-auth-method': 'HEAD'},
        differs={'auth-url': '', 'auth-method': ''},
    ),
    case(
        'signing in',
        {'auth-url': 'svc://auth:80', 'auth-signin': 'https://login.example.com/'},
        texts={'external-auth-url': 'http://auth.shop.svc:80/', 'external-auth-signin': 'https://login.example.com/'},
        differs={'auth-url': '', 'auth-signin': ''},
    ),
    case(
        'signing in with an unknown expression',
        {'auth-url': 'svc://auth:80', 'auth-signin': 'https://login.example.com/?rd=%[src]'},
        texts={'external-auth-url': 'http://auth.shop.svc:80/'},
        differs={'auth-url': ''},
        ignored={'auth-signin': 'src'},
    ),
    case(
        'signing in with an expression without an end',
        {'auth-url': 'svc://auth:80', 'auth-signin': 'https://login.example.com/?rd=%[path'},
        texts={'external-auth-url': 'http://auth.shop.svc:80/'},
        differs={'auth-url': ''},
        ignored={'auth-signin': 'does not end'},
    ),
    case('no HSTS but its words', {'hsts-include-subdomains': 'true', 'hsts': 'maybe'}, ignored={'hsts-include-subdomains': '', 'hsts': 'true or false'}),
    case('the redirect to HTTPS that is the default', {'ssl-redirect': 'true'}, differs={'ssl-redirect': '308'}),
    case('authentication that is not read', {'oauth': 'oauth2_proxy', 'oauth-headers': 'X'}, closed=('oauth',), ignored={'oauth-headers': ''}),
    case('keys of authentication without a URL', {'auth-method': 'GET', 'auth-signin': 'x', 'auth-headers-succeed': 'X'}),
    case(
        'certificates of clients',
        {'auth-tls-secret': 'ca', 'auth-tls-verify-client': 'optional_no_ca'},
        texts={'client-ca-secret': 'ca', 'client-verify': 'optional'},
        differs={'auth-tls-verify-client': 'another CA'},
    ),
    case('certificates of clients, optional', {'auth-tls-secret': 'ca', 'auth-tls-verify-client': 'optional'}, texts={'client-ca-secret': 'ca', 'client-verify': 'optional'}, differs={'auth-tls-verify-client': ''}),
    case('certificates of clients, off', {'auth-tls-secret': 'ca', 'auth-tls-verify-client': 'off'}, differs={'auth-tls-verify-client': ''}),
    case('a CA in a file', {'auth-tls-secret': 'file:///etc/ca.pem'}, closed=('auth-tls-secret',)),
    case('certificates without a CA', {'auth-tls-verify-client': 'on'}, closed=('auth-tls-verify-client',)),
    case('a CA without a name', {'auth-tls-secret': ''}, closed=('auth-tls-secret',)),
    case('no certificates', {'auth-tls-verify-client': 'off'}, differs={'auth-tls-verify-client': ''}),
    case('allowed networks but some', {'allowlist-source-range': '10.0.0.0/8, !10.1.0.0/16', 'whitelist-source-range': 'x'}, texts={'allow': '10.0.0.0/8', 'deny': '10.1.0.0/16'}),
    case('denied networks but some', {'denylist-source-range': '10.0.0.0/8,!10.1.0.0/16'}, texts={'deny': '10.0.0.0/8'}, differs={'denylist-source-range': '!'}),
    case('networks that are none', {'allowlist-source-range': 'office'}, closed=('allowlist-source-range',)),
    case('the address in a header', {'allowlist-source-range': '10.0.0.0/8', 'allowlist-source-header': 'X-IP'}, texts={'allow': '10.0.0.0/8'}, closed=('allowlist-source-header',)),
    case('a condition', {'http-header-match': 'X-A: b'}, closed=('http-header-match',)),
    case('a rate', {'limit-rps': '10', 'limit-whitelist': '10.0.0.0/8'}, texts={'rate-limit': '10/s', 'rate-limit-except': '10.0.0.0/8'}, differs={'limit-rps': '429'}),
    case('a rate that is none', {'limit-rps': 'x'}, ignored={'limit-rps': 'above 0'}),
    case('connections of a client', {'limit-connections': '5'}, texts={'connection-limit': '5'}, differs={'limit-connections': '503'}),
    case('sticky sessions', {'affinity': 'cookie', 'session-cookie-strategy': 'insert'}, texts={'cookie': 'INGRESSCOOKIE'}),
    case(
        'sticky sessions with attributes',
        {'affinity': 'cookie', 'session-cookie-name': 'route', 'session-cookie-domain': 'example.com', 'session-cookie-same-site': 'true', 'session-cookie-strategy': 'prefix'},
        texts={'cookie': 'route', 'cookie-domain': 'example.com', 'cookie-same-site': 'None', 'cookie-secure': 'true'},
        differs={'session-cookie-strategy': 'insert'},
    ),
    case('no sessions', {'affinity': 'source', 'session-cookie-name': 'x'}, ignored={'affinity': 'cookie'}),
    case('the name of a cookie without sessions', {'session-cookie-name': 'x'}),
    case('least connections', {'balance-algorithm': 'leastconn'}, texts={'balance': 'leastconn'}, differs={'balance-algorithm': ''}),
    case('a hash of a header', {'balance-algorithm': 'hdr(X-User)'}, texts={'balance': 'hdr:x-user'}, differs={'balance-algorithm': ''}),
    case('an algorithm with arguments', {'balance-algorithm': 'uri depth 2'}, texts={'balance': 'uri'}, differs={'balance-algorithm': 'without arguments'}),
    case('static round robin', {'balance-algorithm': 'static-rr'}, texts={'balance': 'roundrobin'}, differs={'balance-algorithm': 'roundrobin'}),
    case('an algorithm that is not served', {'balance-algorithm': 'rdp-cookie'}, ignored={'balance-algorithm': 'one of'}),
    case('CORS', {'cors-enable': 'true'}, texts=CORS),
    case('CORS by expression', {'cors-enable': 'true', 'cors-allow-origin-regex': '^https'}, ignored={'cors-enable': 'no origin', 'cors-allow-origin-regex': ''}),
    case('CORS that is not switched on', {'cors-max-age': '5'}),
    case('TLS to endpoints', {'secure-backends': 'true', 'secure-verify-ca-secret': 'inner', 'secure-sni': 'host'}, texts={'backend-protocol': 'https', 'backend-ca-secret': 'inner', 'backend-sni': 'host-header'}),
    case('HTTP/2 to endpoints', {'backend-protocol': 'h2-ssl', 'secure-sni': 'sni'}, texts={'backend-protocol': 'h2', 'backend-sni': 'host-header'}, differs={'secure-sni': 'host'}),
    case('HTTP/2 without TLS', {'backend-protocol': 'H2', 'secure-backends': 'false'}, texts={'backend-protocol': 'h2c'}),
    case('the name of endpoints', {'backend-protocol': 'h1-ssl', 'secure-verify-hostname': 'inner.example.com'}, texts={'backend-protocol': 'https', 'backend-sni': 'inner.example.com'}, differs={'secure-verify-hostname': 'SNI'}),
    case('a CA of endpoints in a file', {'secure-verify-ca-secret': 'file:///etc/ca.pem'}, closed=('secure-verify-ca-secret',)),
    case('FastCGI', {'backend-protocol': 'fcgi', 'fcgi-app': 'x'}, ignored={'backend-protocol': 'one of', 'fcgi-app': ''}),
    case('checks by HTTP', {'health-check-uri': '/up', 'health-check-interval': '5s', 'health-check-rise-count': '2', 'backend-check-interval': '1s'}, texts={'check': 'http', 'check-path': '/up', 'check-interval': '5s', 'check-rise': '2'}),
    case('checks by TCP', {'backend-check-interval': '3000', 'health-check-fall-count': '4'}, texts={'check': 'tcp', 'check-interval': '3000ms', 'check-fall': '4'}),
    case('an interval that is none', {'health-check-interval': 'often'}, texts={'check': 'tcp'}, ignored={'health-check-interval': 'time'}),
    case('HSTS', {'hsts': 'true'}, texts={'hsts': '15768000s'}),
    case('HSTS for a time', {'hsts-max-age': '600', 'hsts-preload': 'true'}, texts={'hsts': '600s'}, ignored={'hsts-preload': ''}),
    case('no HSTS', {'hsts': 'false', 'hsts-max-age': '600'}, texts={'hsts': 'off'}),
    case('HSTS for no time', {'hsts-max-age': '0'}, ignored={'hsts-max-age': 'above 0'}),
    case(
        'headers',
        {'headers': 'X-Namespace: %[namespace]\n\nX-A: 100%%', 'response-set-headers': 'X-B: c', 'request-del-headers': 'X-D,X-E', 'response-del-headers': 'Server'},
        texts={'request-headers': 'X-Namespace: shop\nX-A: 100%\nX-D:\nX-E:', 'response-headers': 'X-B: c\nServer:'},
    ),
    case('headers by both names', {'headers': 'X-A: b', 'request-set-headers': 'X-A: c', 'request-add-headers': 'X-F: g'}, texts={'request-headers': 'X-F: g\nX-A: c'}, differs={'request-add-headers': 'replace'}),
    case('a header of requests by expression', {'request-set-headers': 'X-User: %[req.hdr(x)]'}, closed=('request-set-headers',)),
    case('a header of answers by expression', {'response-set-headers': 'X-User: %ci'}, ignored={'response-set-headers': 'without expressions'}),
    case('configuration', {'config-backend': '# x\noption httplog\n'}, ignored={'config-backend': 'option httplog'}),
    case('configuration that protects', {'config-backend': 'acl a path_beg /admin\nhttp-request deny if a'}, closed=('config-backend',)),
    case('no configuration', {'config-backend': '# nothing'}, ignored={'config-backend': ''}),
    case('no redirect to HTTPS', {'ssl-redirect': 'false'}, texts={'tls-redirect': 'false'}, differs={'ssl-redirect': '308'}),
    case('a redirect', {'redirect-to': 'https://new.example.com', 'redirect-to-code': '301'}, texts={'redirect-to': 'https://new.example.com', 'redirect-code': '301'}),
    case('a redirect by expression', {'redirect-to': 'https://%[hdr(host)]/'}, closed=('redirect-to',)),
    case('a code without a redirect', {'redirect-to-code': '301'}),
    case('structure', {'path-type': 'Regex', 'server-alias': 'b.example.com', 'ssl-passthrough': 'true'}, structure=Structure(path_type='regex', aliases=('b.example.com',), passthrough=True)),
    case('paths by element', {'path-type': 'prefix'}),
    case('paths by their beginning', {'path-type': 'begin'}, differs={'path-type': 'by path element'}),
    case('whole paths', {'path-type': 'exact'}, closed=('path-type',)),
    case('a host that is none', {'server-alias': '~x'}, ignored={'server-alias': 'host'}),
    case('a TCP port', {'tcp-service-port': '5432', 'service-upstream': 'true'}, closed=('tcp-service-port',), ignored={'service-upstream': 'endpoints'}),
    case('a rewrite', {'rewrite-target': '/y', 'app-root': '/shop'}, texts={'rewrite-path': '/y', 'redirect-root': '/shop'}),
    case('a rewrite with captures', {'rewrite-target': r'/\2', 'path-type': 'regex'}, texts={'rewrite-path': '/$2'}, structure=Structure(path_type='regex')),
    case('a rewrite with captures of no expression', {'rewrite-target': r'/\2'}, ignored={'rewrite-target': 'path'}),
    case('a rewrite with an expression', {'rewrite-target': '/%[src]'}, ignored={'rewrite-target': 'without expressions'}),
    case('limits of endpoints', {'maxconn-server': '100', 'proxy-body-size': 'unlimited', 'proxy-protocol': 'v2-ssl'}, texts={'max-connections': '100', 'client-ip': 'proxy-v2'}, differs={'proxy-body-size': '411', 'proxy-protocol': 'v2'}),
    case('timeouts', {'timeout-server': '30s', 'timeout-tunnel': '1h', 'timeout-queue': '500', 'timeout-connect': '5000us'}, texts={'timeout-server': '30s', 'timeout-tunnel': '1h', 'queue-timeout': '500ms', 'timeout-connect': '5ms'}),
    case('keys of the ConfigMap', {'nbthread': '2', 'bind-http': 'x', 'http-response-404': 'x'}, ignored={'nbthread': 'ConfigMap', 'bind-http': 'listeners', 'http-response-404': 'errorPages'}),
]  # fmt: skip


@pytest.mark.parametrize('case', CASES)
def test_an_annotation_becomes_headraces_own(case):
    judge('haproxy-ingress', case)


def test_the_newer_prefix_counts_more():
    foreign = read(
        'haproxy-ingress', (('haproxy-ingress.github.io/hsts', 'false'), ('ingress.kubernetes.io/hsts', 'true')), 'shop'
    )
    assert foreign.texts == (('hsts', 'off'),)
    assert [remark.key for remark in foreign.remarks] == ['haproxy-ingress.github.io/hsts']


def test_the_older_prefix_counts_too():
    foreign = read('haproxy-ingress', (('ingress.kubernetes.io/hsts', 'false'),), 'shop')
    assert foreign.remarks[0].key == 'ingress.kubernetes.io/hsts'
