"""Requests by what they are about: each with who answers, or with which status. All by hand, from the contract."""

from dataclasses import dataclass, replace

from support.wire import proxy_v1, proxy_v2

TRUSTED = '127.0.0.9'
REFUSED = 'refused'
CLOSED = 'closed'


@dataclass(frozen=True)
class Request:
    """A request by HTTP/1.1, or by HTTP/2; `sni` None is in the clear, '' without a server name.

    `port` is the number of a TCP port of the edge, None for the shared ones.
    """

    host: str | None
    target: str = '/'
    sni: str | None = None
    headers: tuple = ()
    h2: bool = False
    client: str = ''
    address: str = '127.0.0.1'
    proxy: bytes = b''
    method: str = 'GET'
    port: int | None = None


def on(host, target='/', **how):
    """Return a request by HTTP/1.1."""
    return Request(host, target, **how)


def h2(authority, target='/', *headers, **how):
    """Return a request by HTTP/2."""
    return Request(authority, target, headers=headers, h2=True, **how)


def tls(sni, host=None, target='/', **how):
    """Return a request by TLS."""
    return Request(sni if host is None else host, target, sni=sni, **how)


def by(proxy, host, *forwarded):
    """Return a request through a trusted proxy: its PROXY header, and what it says in X-Forwarded-For."""
    headers = tuple(('X-Forwarded-For', text) for text in forwarded)
    return Request(host, proxy=proxy, client=TRUSTED, headers=headers)


HOSTS = (
    (on('a.com'), 'root'),
    (on('b.com', '/only'), 'only'),
    (on('b.com'), 404),
    (on('c.com'), 404),
    (on('com'), 404),
    (on('xa.com'), 404),
    (on('a.com.evil.com'), 404),
    (on('www.a.com'), 404),
    (on('a.com.'), 'root'),
    (on(''), 404),
    (on('', '/any'), 'any'),
    (on('unknown.example.com', '/any/x'), 'any'),
    (on('192.0.2.1'), 404),
    (on('192.0.2.1', '/any'), 'any'),
    (on('[2001:db8::1]', '/any'), 'any'),
    (on('a_b.com', '/any'), 'any'),
    (on('a.com', '/any'), 'root'),
    (on('b.com', '/any'), 'any'),
    (on('a.com b.com'), 400),
    (on('a.com,b.com'), 400),
    (on('a.com/'), 400),
    (on('a.com/shop'), 400),
    (on('a.com?x'), 400),
    (on('a.com#x'), 400),
    (on('user@a.com'), 400),
)

PATHS = (
    (on('a.com', '/shop'), 'shop'),
    (on('a.com', '/shop/cart'), 'shop'),
    (on('a.com', '/shopping'), 'root'),
    (on('a.com', '/shop/deep'), 'deep'),
    (on('a.com', '/shop/deep/er'), 'deep'),
    (on('a.com', '/shop/deeper'), 'shop'),
    (on('a.com', '/shop?deep'), 'shop'),
    (on('a.com', '/shop/deep?a=/x'), 'deep'),
    (on('a.com', '/sho'), 'root'),
    (on('a.com', '/exact'), 'exact'),
    (on('a.com', '/exact?x=1'), 'exact'),
    (on('a.com', '/exact/more'), 'root'),
    (on('a.com', '/exactly'), 'root'),
    (on('a.com', '/both'), 'both-exact'),
    (on('a.com', '/both/more'), 'both'),
    (on('b.com', '/only/more'), 'only'),
    (on('b.com', '/onlyx'), 404),
    (on('a.com', 'http://a.com/shop'), 'shop'),
    (on('a.com', '*', method='OPTIONS'), 404),
    (on('a.com', '/shop#deep'), 400),
    (on('a.com', '/#'), 400),
)

CASES = (
    (on('A.COM'), 'root'),
    (on('A.com', '/shop'), 'shop'),
    (on('a.cOM.', '/shop'), 'shop'),
    (on('B.COM', '/only'), 'only'),
    (on('SUB.W.COM'), 'wild'),
    (on('a.com', '/SHOP'), 'root'),
    (on('a.com', '/Shop/cart'), 'root'),
    (on('a.com', '/EXACT'), 'root'),
    (on('b.com', '/ONLY'), 404),
    (on('a.com', '/caf%c3%a9'), 400),
    (on('a.com', '/caf%C3%A9'), 'encoded'),
    (on('mixed.com'), 'mixed'),
    (on('MiXeD.CoM'), 'mixed'),
    (h2('A.COM', '/shop'), 'shop'),
    (tls('T1.COM'), 'tls-one'),
    (tls('t1.com', 'T1.Com'), 'tls-one'),
)

PORTS = (
    (on('a.com:80'), 'root'),
    (on('a.com:8080'), 'root'),
    (on('a.com:1'), 'root'),
    (on('a.com:65535', '/shop'), 'shop'),
    (on('A.COM:80'), 'root'),
    (on('a.com.:80'), 'root'),
    (on('sub.w.com:8443'), 'wild'),
    (on('b.com:80'), 404),
    (on('c.com:80', '/any'), 'any'),
    (on('a.com:'), 'root'),
    (on('[2001:db8::1]:80', '/any'), 'any'),
    # What follows the last colon is not judged, and leads to no other host.
    (on('a.com:80:80'), 404),
    (on('a.com:http'), 'root'),
    (on('a.com:80x'), 'root'),
    (h2('a.com:8080', '/shop'), 'shop'),
    (tls('t1.com', 't1.com:8443'), 'tls-one'),
)

SLASHES = (
    (on('a.com', '/shop/'), 'shop'),
    (on('a.com', '/shop/cart/'), 'shop'),
    (on('a.com', '/shop/deep/'), 'deep'),
    (on('a.com', '/exact/'), 'root'),
    (on('a.com', '/both/'), 'both'),
    (on('a.com', '/slash'), 'slash'),
    (on('a.com', '/slash/'), 'slash'),
    (on('a.com', '/slash/x'), 'slash'),
    (on('a.com', '/slashx'), 'root'),
    (on('b.com', '/only/'), 'only'),
    (on('b.com', '//only'), 404),
    (on('a.com', '//shop'), 400),
    (on('a.com', '/shop//deep'), 400),
    (on('a.com', '/shop//deeper'), 'shop'),
    (on('a.com', '/shop/?x'), 'shop'),
)

ENCODED = (
    (on('a.com', '/shop%2Fdeep'), 400),
    (on('a.com', '/shop%2fdeep'), 400),
    (on('a.com', '/shop/%2Fdeep'), 400),
    (on('a.com', '/shop/x%2Fdeep'), 'shop'),
    (on('a.com', '/shop/deep%2F'), 400),
    (on('a.com', '/shop/deep/%2F'), 'deep'),
    (on('a.com', '/%73hop'), 400),
    (on('a.com', '/shop%20'), 400),
    (on('a.com', '/exact%2F'), 'root'),
    (on('a.com', '/shop%23/deep'), 'root'),
    (on('a.com', '/shop/deep%00'), 400),
    (on('a.com', '%2Fshop'), 400),
    (on('b.com', '/%6Fnly'), 404),
    (on('b.com', '%2Fonly'), 400),
    (on('a.com', '/shop/%'), 400),
)

DOTS = (
    (on('a.com', '/shop/../x'), 400),
    (on('a.com', '/x/../shop'), 400),
    (on('a.com', '/shop/./deep'), 400),
    (on('a.com', '/./shop'), 400),
    (on('a.com', '/../shop'), 400),
    (on('a.com', '/shop/..'), 400),
    (on('a.com', '/shop/deep/..'), 400),
    (on('a.com', '/shop/%2e%2e/x'), 400),
    (on('a.com', '/x/%2E%2E/shop'), 400),
    (on('a.com', '/shop..'), 'root'),
    (on('a.com', '/shop/.'), 400),
    (on('a.com', '/shop/.well-known'), 'shop'),
    (on('a.com', '/shop/...'), 'shop'),
    (on('b.com', '/../only'), 404),
    (on('b.com', '/only/../secret'), 400),
    (h2('a.com', '/shop/../x'), 400),
)

WILDCARDS = (
    (on('x.w.com'), 'wild'),
    (on('y.w.com', '/deep/er'), 'wild'),
    (on('w.com'), 404),
    (on('a.x.w.com'), 404),
    (on('a.b.x.w.com'), 404),
    (on('xw.com'), 404),
    (on('x.w.com.evil.com'), 404),
    (on('*.w.com'), 'wild'),
    (on('.w.com'), 'wild'),
    (on('..w.com'), 404),
    (on('x-1.w.com.'), 'wild'),
    (on('one.w.com', '/own'), 'one-of-wild'),
    (on('one.w.com', '/other'), 'wild'),
    (on('a.deeper.w.com'), 'deeper'),
    (on('deeper.w.com'), 'wild'),
    (on('x.w.com', '/any'), 'wild'),
    (on('a.x.w.com', '/any'), 'any'),
    (h2('x.w.com'), 'wild'),
    (h2('a.x.w.com'), 404),
)

UNKNOWN_NAMES = (
    (tls('t1.com'), 'tls-one'),
    (tls('x.tw.com'), 'tls-wild'),
    (tls('nobody.com'), REFUSED),
    (tls('', 't1.com'), REFUSED),
    (tls('com'), REFUSED),
    (tls('xt1.com'), REFUSED),
    (tls('sub.t1.com'), REFUSED),
    (tls('t1.com.evil.com'), REFUSED),
    (tls('tw.com'), REFUSED),
    (tls('a.x.tw.com'), REFUSED),
    (tls('a.com'), REFUSED),
    (tls('x.w.com'), REFUSED),
    (tls('no-secret.com'), REFUSED),
    (tls('bad-secret.com'), REFUSED),
    (tls('nobody.com', 't1.com'), REFUSED),
)

OTHER_NAMES = (
    (tls('t1.com', 't2.com'), 421),
    (tls('t2.com', 't1.com'), 421),
    (tls('t1.com', 'a.com'), 421),
    (tls('t1.com', 'x.tw.com'), 421),
    (tls('x.tw.com', 't1.com'), 421),
    (tls('x.tw.com', 'y.tw.com'), 421),
    (tls('t1.com', 'nobody.com'), 404),
    (tls('t1.com', 'nobody.com', '/any'), 421),
    (tls('t1.com', ''), 404),
    (tls('t1.com', 'allow4.com'), 421),
    (tls('t1.com', 'mutual.com'), 421),
    (tls('t1.com', 't1.com.'), 'tls-one'),
    (tls('t1.com', 't2.com:443'), 421),
    (tls('t1.com', 't1.com', 'https://t2.com/'), 400),
    (tls('t1.com', 't2.com', h2=True), 421),
    (tls('t1.com', 't1.com', h2=True), 'tls-one'),
)

AUTHORITIES = (
    (h2('a.com'), 'root'),
    (h2('a.com', '/shop/deep'), 'deep'),
    (h2('b.com', '/only'), 'only'),
    (h2('b.com'), 404),
    (h2('nobody.com'), 404),
    (h2('nobody.com', '/any'), 'any'),
    (h2('a.com.'), 'root'),
    (h2('a.com:80'), 'root'),
    (h2(None, '/shop', ('host', 'a.com')), 'shop'),
    (h2('a.com', '/shop', ('host', 'a.com')), 'shop'),
    (h2('a.com', '/shop', ('host', 'b.com')), 'shop'),
    (h2('user@a.com'), 'reset'),
    (h2('a.com/shop'), 'reset'),
    (h2('a.com b.com'), 'reset'),
    (h2('a.com', '/shop#x'), 'reset'),
    (h2('a.com', 'shop'), 'reset'),
    (h2('a.com', ''), 'reset'),
    (h2('a.com', '/sh op'), 'reset'),
    (h2('', '/shop'), 404),
)

# The client as it is told, and whether it may: `allow` 192.0.2.0/24, `allow` 2001:db8:1::/48 and 192.0.2.1,
# `deny` 192.0.2.128/25, `deny` 2001:db8:bad::/48.
PROXIED = '198.51.100.1'  # a proxy behind the first one
FAMILIES = (
    ('IPv4 by PROXY v1', lambda host: by(proxy_v1('192.0.2.1'), host), (1, 1, 1, 1)),
    ('IPv4 by PROXY v2', lambda host: by(proxy_v2('192.0.2.200'), host), (1, 0, 0, 1)),
    ('another IPv4 by PROXY v1', lambda host: by(proxy_v1('203.0.113.1'), host), (0, 0, 1, 1)),
    ('IPv6 by PROXY v1', lambda host: by(proxy_v1('2001:db8:1::7'), host), (0, 1, 1, 1)),
    ('IPv6 by PROXY v2', lambda host: by(proxy_v2('2001:db8:bad::7'), host), (0, 0, 1, 0)),
    ('an IPv6 with the digits of 192.0.2.0/24', lambda host: by(proxy_v2('c000:201::1'), host), (0, 0, 1, 1)),
    ('mapped by PROXY v1', lambda host: by(proxy_v1('::ffff:192.0.2.1'), host), (1, 1, 1, 1)),
    ('mapped by PROXY v2', lambda host: by(proxy_v2('::ffff:192.0.2.200'), host), (1, 0, 0, 1)),
    ('another mapped one by PROXY v2', lambda host: by(proxy_v2('::ffff:203.0.113.1'), host), (0, 0, 1, 1)),
    ('an IPv4-compatible one, which is no IPv4', lambda host: by(proxy_v2('::192.0.2.1'), host), (0, 0, 1, 1)),
    ('IPv4 by X-Forwarded-For', lambda host: by(proxy_v1(PROXIED), host, '192.0.2.1'), (1, 1, 1, 1)),
    ('a denied IPv4 by it', lambda host: by(proxy_v1(PROXIED), host, '192.0.2.200'), (1, 0, 0, 1)),
    ('IPv6 by it', lambda host: by(proxy_v1(PROXIED), host, '2001:db8:1::7'), (0, 1, 1, 1)),
    ('a denied IPv6 by it', lambda host: by(proxy_v1(PROXIED), host, '2001:db8:bad::7'), (0, 0, 1, 0)),
    ('mapped by it', lambda host: by(proxy_v1(PROXIED), host, '::ffff:192.0.2.200'), (1, 0, 0, 1)),
    ('IPv6 in capitals by it', lambda host: by(proxy_v1(PROXIED), host, '2001:DB8:BAD:0::7'), (0, 0, 1, 0)),
    ('with a port by it', lambda host: by(proxy_v1(PROXIED), host, '192.0.2.200:4711'), (1, 0, 0, 1)),
    ('the last of two by it', lambda host: by(proxy_v1(PROXIED), host, '192.0.2.1, 192.0.2.200'), (1, 0, 0, 1)),
    ('the last of two lines by it', lambda host: by(proxy_v1(PROXIED), host, '192.0.2.1', '203.0.113.1'), (0, 0, 1, 1)),
    ('a lie of a client behind PROXY', lambda host: by(proxy_v1('203.0.113.1'), host, '192.0.2.1'), (0, 0, 1, 1)),
    ('IPv4 itself', on, (0, 0, 1, 1)),
    ('IPv6 itself', lambda host: on(host, address='::1'), (0, 0, 1, 1)),
    ('a lie of IPv4 itself', lambda host: on(host, headers=(('X-Forwarded-For', '192.0.2.1'),)), (0, 0, 1, 1)),
    (
        'a lie of IPv6 itself',
        lambda host: on(host, address='::1', headers=(('X-Forwarded-For', '192.0.2.1'),)),
        (0, 0, 1, 1),
    ),
)
JUDGES = ('allow4', 'allow6', 'deny4', 'deny6')
ADDRESSES = tuple(
    (made(f'{judge}.com'), judge if allowed else 403)
    for _, made, answers in FAMILIES
    for judge, allowed in zip(JUDGES, answers, strict=True)
)

# The same on TCP ports of their own, by PROXY header; a port is named after the Service that it has.
TCP_JUDGES = tuple(f'{judge}-tcp' for judge in JUDGES)
TCP_SHUT = ('no-secret-tcp', 'bad-secret-tcp', 'bad-allow-tcp', 'bad-deny-tcp')
TCP_ADDRESSES = tuple(
    (replace(made(''), port=port), f'{judge}-tcp' if allowed else CLOSED)
    for name, made, answers in FAMILIES
    if 'PROXY v' in name or 'no IPv4' in name or 'digits' in name
    for port, (judge, allowed) in enumerate(zip(JUDGES, answers, strict=True))
)

SHUT = (
    (on('no-users.com'), 503),
    (on('bad-users.com'), 503),
    (on('no-user-name.com'), 503),
    (on('no-users.com', headers=(('Authorization', 'Basic dTpw'),)), 503),
    (h2('no-users.com'), 503),
    (on('no-secret.com'), 503),
    (on('bad-secret.com'), 503),
    (on('no-client-ca.com'), 503),
    (on('bad-client-ca.com'), 503),
    (tls('no-client-ca.com'), 503),
    (tls('bad-client-ca.com'), 503),
    (on('no-endpoint-ca.com'), 503),
    (on('bad-endpoint-ca.com'), 503),
    (on('bad-allow.com'), 503),
    (on('bad-deny.com'), 503),
    (on('bad-maintenance.com'), 503),
    (on('users-elsewhere.com'), 503),
    *((on('', port=port), CLOSED) for port, _ in enumerate(TCP_SHUT, len(TCP_JUDGES))),
)

ALL = {
    'host': HOSTS,
    'path': PATHS,
    'case': CASES,
    'port': PORTS,
    'trailing slash': SLASHES,
    'encoded slash': ENCODED,
    'dots': DOTS,
    'wildcard': WILDCARDS,
    'unknown SNI': UNKNOWN_NAMES,
    'SNI and Host': OTHER_NAMES,
    ':authority': AUTHORITIES,
    'address': ADDRESSES,
    'address on TCP': TCP_ADDRESSES,
    'closed': SHUT,
}
