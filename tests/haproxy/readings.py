"""Paths that an endpoint could read as another one, on a host whose pods have more than one route. All by hand."""

# Routes: `/`, `/admin` (no client is allowed), `/café`, `/a b`, and `/~own` (no client is allowed either).
# As odd as they are, they have one route however they are read.
PLAIN = (
    '/', '/x', '/x//y', '//', '//x', '/x%2Fy', '/x%2fy', '/x;v=1', '/x;v=1/y', '/%78', '/x%20y', '/x%3By', '/caf%C3%A9', '/caf%C3%A9/x%2Fy',
    '/a%20b', '/a%20b/c//d', '/.well-known/acme', '/...', '/..x', '/x..', '/.x/y', '/x/%3F', '/x%23', '/%E4%BD%A0', '/%e4%bd%a0',
    '/x%25', '/%252e%252e/admin', '/x?y=/../admin', '/x?y=//admin;z', '/administrator', '/x/admin', '/%C3%A4;',
)  # fmt: skip
# They read as a path of another route.
AMBIGUOUS = (
    '//admin', '///admin/x', '/%61dmin', '/%61%64%6D%69%6E', '/admi%6e', '/admi%6E/x', '/%2Fadmin', '/%2fadmin', '/admin%2Fx', '/admin%2fx',
    '/admin;v=1', '/admin;/x', '/;/admin', '/;x/admin', '/\\admin', '/admin\\x', '/%5Cadmin', '/%5cadmin', '/admin%3Bv', '/admin%3bv/x',
    '/caf%c3%a9', '/caf%C3%a9', '/c%61f%C3%A9', '/%7Eown', '/%7eown/x', '/a%20%62',
    '/admin%20', '/admin%20%20/x', '/%20admin', '/%20/admin', '/admin%20;v',
)  # fmt: skip
# They lead out of any route, or nowhere.
SENSELESS = (
    '/.', '/..', '/./admin', '/../admin', '/x/../admin', '/x/..', '/x/.', '/admin/..', '/admin/../x', '/%2e/admin', '/%2E%2E/admin',
    '/x/.%2e/admin', '/x/%2e./admin', '/x/..;/admin', '/x/..;v/admin', '/x/..%3B/admin', '/x/.;/admin', '/x%2F..%2Fadmin', '/x/..%2fadmin',
    '/x\\..\\admin', '/x/..%5Cadmin', '/.%2fadmin', '/x%2f%2e%2e%2fadmin', '/%2e%2e',
    '/%', '/x%', '/x%2', '/%zz', '/%u0061dmin', '/x%00', '/admin%0a', '/admin%0A/x', '/admin%7f',
)  # fmt: skip
