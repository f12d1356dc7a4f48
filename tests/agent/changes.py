"""What users change: for each key of the annotations, and for each kind of object, one change or more.

Each has Services of its own, named after it. Where it is seen is said beside it, as it is before and after.
"""

from haproxy.pairs import ENCRYPTED, ORIGIN, address, staying
from haproxy.pairs import tcp as tcp_service
from haproxy.pairs import web as web_service
from support.objects import ca_secret, config_map, endpoint_slice, secret, service, tls_secret
from support.scene import OTHER, Change
from support.transitions import TRUSTED, Ask

# Of `secret`, by crypt(3) with SHA-256.
CRYPT = '$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA'
BASIC = (('Authorization', 'Basic YWxpY2U6c2VjcmV0'),)  # alice:secret


def host(name):
    """Return the host of a Service."""
    return f'{name}.example.com'


def web(name, **said):
    """Return an HTTP Service with its host, and its slice."""
    return web_service(name, **{'host': host(name), **said})


def tcp(name, port, **said):
    """Return a TCP Service and its slice."""
    return tcp_service(name, port=f'TCP{port}', **said)


# --- Where a change is seen -------------------------------------------------------------------------------------------


def answer(name, path='/', **how):
    """Look at the whole answer to a request for a Service's host, or another one's."""
    asked = Ask(**{'host': host(name), **how, 'path': path})
    return lambda scene: scene.stage.ask(asked)


def status(name, path='/', **how):
    """Look at the status of an answer."""
    look = answer(name, path, **how)
    return lambda scene: _status(look(scene))


def _status(found):
    return found if isinstance(found, str) else found[0]


def header(name, wanted, path='/', **how):
    """Look at a header of the answer."""
    look = answer(name, path, **how)
    return lambda scene: dict(look(scene)[1]).get(wanted.lower(), '')


def session(name):
    """Look at the attributes of the session cookie."""
    look = header(name, 'Set-Cookie')
    return lambda scene: look(scene).partition('; ')[2]


def heard(name, wanted, path='/', **how):
    """Look at what the endpoint heard: `at`, `path`, `proxy`, or a header."""
    look = answer(name, path, **how)

    def what(scene):
        said = look(scene)[2]
        return (said | said.get('seen', {})).get(wanted, '') if isinstance(said, dict) else ''

    return what


def at(name):
    """Return what an endpoint of a Service says of where it is."""
    return address(name, 1).rpartition('.')[0]


def certificate(name):
    """Look at the certificate that is shown."""
    look = answer(name, sni=host(name))
    return lambda scene: look(scene)[3:]


def refused(name, times=3):
    """Look at whether one of some requests was too much."""
    look = status(name)
    return lambda scene: 429 in [look(scene) for _ in range(times)]


def backends(name):
    """Look at the names of the backends, which change with their shape."""
    return lambda scene: scene.backends(name)


def servers(name):
    """Look at the names of the servers that may be used, which change with their options."""
    return lambda scene: scene.figures(name, 'svname', server=True)


def server(name, column):
    """Look at a figure of the servers."""
    return lambda scene: [text.lstrip('* ').partition(' ')[0] for text in scene.figures(name, column, server=True)]


def backend(name, column):
    """Look at a figure of the backends."""
    return lambda scene: scene.figures(name, column, server=False)


def entry(where, value):
    """Look at whether a map has an entry."""
    return lambda scene: scene.entry(where, value)


def timeout(value):
    """Look at a timeout, which is data."""
    return entry('timeouts', value)


def question(timeout=5000, method='GET', path='/', names='', signin='', cache=0):
    """Look at whether the Service `verifier` is asked in this way."""
    return entry(
        'external-auth',
        f'{timeout}|shop_verifier_http|{method}|verifier.shop.svc{path}|{names}|{signin}|{cache}|0||shop',
    )


def one(key, what, name, change, look, was, now, *, make=web, beside=(), **said):  # noqa: PLR0917  a row of a table
    """Return a change of one key of one Service; `change` is its value before and after, None for none.

    `said` is what the Service says besides, and `beside` what there is besides the Service.
    """

    def made(value):
        return [*make(name, **said, **({} if value is None else {key.replace('-', '_'): value})), *beside]

    return Change(key, what, made(change[0]), made(change[1]), look, was, now)


def on_tcp(port, **more):
    """Return what makes TCP Services on one port of the edge."""
    return lambda name, **said: tcp(name, port, **more, **said)


TLS = {'tls_secret': 'tls'}
MUTUAL = {**TLS, 'client_ca_secret': 'clients'}
ENDS_TLS = {'port': 'TLS', **ENCRYPTED}
STICKY = {'cookie': 'true'}
USUAL = 'path=/; HttpOnly; SameSite=Lax'
CHECKED = {'check': 'tcp'}
CANARY = {'canary_service': 'canary-next'}
NEXT = web('canary-next', host='')
AT_NEXT = at('canary-next')
VERIFIED = {'external_auth_service': 'verifier'}
SILENT = web('silent', host='', at=())
CORS = {'cors_allow_origin': 'https://app.example.com'}
ASKED = {'method': 'OPTIONS', 'headers': (ORIGIN, ('Access-Control-Request-Method', 'PUT'))}
FROM = {'headers': (ORIGIN,)}
ADDRESSES = ('127.0.0.0/8', '127.0.0.1')


def secret_of(name, password='secret'):
    """Return a Secret with the password of alice."""
    return secret(name, username='alice', password=password)


EXPOSURE = (
    one('enabled', 'switched off', 'enabled', ('true', 'false'), status('enabled'), 200, 404),
    one('proxy', 'at the edge', 'proxy', (None, 'node'), status('proxy'), 200, 200),
    one('datapath', 'at the edge', 'datapath', (None, 'kernel'), status('datapath'), 200, 200),
    one('address', 'at the edge', 'address', (None, '192.0.2.1'), status('address'), 200, 200),
    one('address-pool', 'at the edge', 'address-pool', (None, 'public'), status('address-pool'), 200, 200),
    one('address-sharing-key', 'at the edge', 'address-sharing-key', (None, 'mail'), status('address-sharing-key'), 200, 200),
    one('class', "another installation's", 'class', (None, 'elsewhere'), status('class'), 200, 404),
    one('mode', 'http to tls-passthrough', 'mode', ('http', 'tls-passthrough'), status('mode'), 200, 404, port='TLS', backend_protocol='https'),
    one('host', 'another host', 'host', (host('host'), host('moved')), status('host', host=host('moved')), 404, 200),
    one('path', 'another path', 'path', ('/a', '/b'), status('path', '/b'), 404, 200),
    one('path-type', 'Exact', 'path-type', ('Prefix', 'Exact'), status('path-type', '/a/b'), 200, 404, path='/a'),
    one('path-type', 'RegularExpression', 'expressions', ('Prefix', 'RegularExpression'), heard('expressions', 'path', '/A/b'), '', '/b', path='/a(/|$)(.*)', rewrite_path='/$2'),
    one('port', 'another port', 'port', ('TCP0', 'TCP1'), status('port', port='TCP1'), 'closed', 200, make=lambda _, port: tcp_service('port', port=port)),
    one('tls-secret', 'with a new certificate', 'tls-secret', (None, 'fresh'), status('tls-secret'), 200, 308, beside=[tls_secret('fresh', seed='fresh')]),
    one('client-ca-secret', 'with a new authority', 'client-ca', (None, 'clients'), status('client-ca', sni=host('client-ca')), 200, 'refused', **TLS),
    one('client-verify', 'optional', 'client-verify', ('required', 'optional'), status('client-verify', sni=host('client-verify')), 'refused', 200, **MUTUAL),
    one('accept-proxy', 'switched on', 'accept-proxy', ('false', 'true'), heard('', 'proxy', port='TCP2', client=TRUSTED, proxy=True), 'v1', '', make=on_tcp(2)),
)  # fmt: skip

REQUESTS = (
    one('tls-redirect', 'switched off', 'redirected', ('true', 'false'), status('redirected'), 308, 200, **TLS),
    one('hsts', 'switched on', 'hsts', ('off', '1h'), header('hsts', 'Strict-Transport-Security', sni=host('hsts')), '', 'max-age=3600', **TLS),
    one('timeout-client', 'another', 'timeout-client', (None, '11s'), entry('client-timeout', '11000'), False, True),
    one('maintenance', 'switched on', 'maintenance', ('false', 'true'), status('maintenance'), 200, 503),
    one('maintenance', 'switched on, on TCP', 'maintenance-tcp', ('false', 'true'), status('', port='TCP3'), 200, 'closed', make=on_tcp(3)),
    one('allow', 'others', 'allow', ADDRESSES, status('allow', client='127.0.0.2'), 200, 403),
    one('allow', 'others, on TCP', 'allow-tcp', ADDRESSES, status('', port='TCP4', client='127.0.0.2'), 200, 'closed', make=on_tcp(4)),
    one('deny', 'comes', 'deny', (None, '127.0.0.2'), status('deny', client='127.0.0.2'), 200, 403),
    one('rate-limit', 'comes', 'rate', (None, '1/h'), refused('rate'), False, True),
    one('rate-limit-burst', 'comes', 'burst', (None, '9'), refused('burst', times=2), True, False, rate_limit='1/h'),
    one('rate-limit-except', 'comes', 'excepted', (None, '127.0.0.0/8'), refused('excepted'), True, False, rate_limit='1/h'),
    one('connection-limit', 'comes', 'connections', (None, '7'), entry('connections', '7'), False, True),
    one('satisfy', 'any', 'satisfy', ('all', 'any'), status('satisfy'), 401, 200, allow='127.0.0.0/8', basic_auth_secret='satisfied', beside=[secret_of('satisfied')]),
    one('basic-auth-secret', 'comes', 'auth', (None, 'users'), status('auth'), 200, 401, beside=[secret_of('users')]),
    one('basic-auth-secret', 'comes, with a crypt hash', 'hashed', (None, 'hashed'), status('hashed'), 200, 401, beside=[secret('hashed', auth=f'ann:{CRYPT}')]),
    one('basic-auth-secret-type', 'another', 'named-users', (None, 'auth-map'), status('named-users', headers=BASIC), 503, 200, basic_auth_secret='by-name', beside=[secret('by-name', alice='{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=')]),
    one('basic-auth-realm', 'comes', 'realm', (None, 'Staff'), header('realm', 'WWW-Authenticate'), f'Basic realm="{host("realm")}"', 'Basic realm="Staff"', basic_auth_secret='realm', beside=[secret_of('realm')]),
    one('max-body-size', 'another', 'body', ('1k', '10'), status('body', method='POST', body='x' * 20), 200, 413),
    one('request-buffering', 'switched on', 'buffered', ('false', 'true'), status('buffered', method='POST', body='x' * 20), 200, 200),
    one('redirect-to', 'comes', 'away', (None, '/there'), status('away'), 200, 302),
    one('redirect-code', 'another', 'code', ('301', '307'), status('code'), 301, 307, redirect_to='/there'),
    one('redirect-root', 'comes', 'root', (None, '/there'), status('root'), 200, 302),
    one('www-redirect', 'switched on', 'two-names', (None, 'true'), status('two-names', host='www.' + host('two-names')), 404, 308),
    one('rewrite-path', 'another', 'rewritten', ('/x', '/y'), heard('rewritten', 'path', '/a/b'), '/x/b', '/y/b', path='/a'),
    one('host-header', 'comes', 'inner', (None, 'inner.example.com'), heard('inner', 'host'), host('inner'), 'inner.example.com'),
    one('request-headers', 'another', 'asked', ('X-A: 1', 'X-A: 2'), heard('asked', 'x-a'), '1', '2'),
    one('response-headers', 'another', 'answered', ('X-A: 1', 'X-A: 2'), header('answered', 'X-A'), '1', '2'),
    one('response-headers-config-map', 'comes', 'mapped', (None, 'headers'), header('mapped', 'X-A'), '', '1', beside=[config_map(X_A='1')]),
    one('response-cookie-domain', 'another', 'cookie-domain', ('a.com b.com', 'a.com c.com'), entry('cookie-domain', 'a.com|c.com'), False, True),
    one('response-cookie-path', 'another', 'cookie-path', ('/ /a', '/ /b'), entry('cookie-path', '/|/b'), False, True),
    one('error-statuses', 'others', 'error-codes', ('404', '500'), entry('error-pages', '500|shop_canary-next_http|shop||error-codes|80'), False, True, error_service='canary-next'),
    one('error-service', 'comes', 'error-pages', (None, 'pages'), entry('error-pages', '404|shop_pages_http|shop||error-pages|80'), False, True, error_statuses='404', beside=web('pages', host='')),
    one('fallback-service', 'comes', 'fallen-back', (None, 'canary-next'), entry('fallback', 'shop_canary-next_http'), False, True),
    one('mirror-service', 'comes', 'mirrored', (None, 'canary-next'), entry('mirrors', 'shop,100/100|shop_canary-next_http'), False, True),
    one('mirror-percent', 'another', 'mirrored-part', ('5', '6'), entry('mirrors', 'shop,6/100|shop_canary-next_http'), False, True, mirror_service='canary-next'),
    one('location-rewrite', 'another', 'location', ('/ /a', '/ /b'), entry('location', '/|/b'), False, True),
    one('external-auth-service', 'comes', 'auth-service', (None, 'silent'), status('auth-service'), 200, 500),
    one('external-auth-url', 'comes', 'auth-url', (None, 'http://silent.shop.svc'), status('auth-url'), 200, 500),
    one('external-auth-path', 'another', 'auth-path', ('/a', '/b?c=d'), question(path='/b?c=d'), False, True, **VERIFIED),
    one('external-auth-signin', 'comes', 'auth-signin', (None, '/start'), question(signin='/start'), False, True, **VERIFIED),
    one('external-auth-method', 'another', 'auth-method', ('GET', 'HEAD'), question(method='HEAD'), False, True, **VERIFIED),
    one('external-auth-response-headers', 'others', 'auth-headers', ('X-A', 'X-A, X-B'), question(names='x-a,x-b'), False, True, **VERIFIED),
    one('external-auth-timeout', 'another', 'auth-timeout', (None, '1s'), question(timeout=1000), False, True, **VERIFIED),
    one('external-auth-cache', 'switched on', 'auth-cache', ('off', '9s'), question(cache=9000), False, True, **VERIFIED),
    one('external-auth-skip-paths', 'comes', 'auth-skip', (None, '/open'), status('auth-skip', '/open/a'), 500, 200, external_auth_service='silent'),
    one('external-auth-body-size', 'another', 'auth-body', ('1k', '10'), status('auth-body', method='POST', body='x' * 20), 200, 413, **VERIFIED),
    one('global-auth', 'switched off', 'left-out', ('true', 'false'), status('left-out'), 200, 200),
    one('cors-allow-origin', 'comes', 'origin', (None, 'https://app.example.com'), status('origin', **ASKED), 200, 204),
    one('cors-allow-methods', 'others', 'methods', ('GET', 'GET, PUT'), header('methods', 'Access-Control-Allow-Methods', **ASKED), 'GET', 'GET, PUT', **CORS),
    one('cors-allow-headers', 'others', 'cors-headers', (None, 'X-A'), header('cors-headers', 'Access-Control-Allow-Headers', **ASKED), '', 'X-A', **CORS),
    one('cors-expose-headers', 'others', 'expose', (None, 'X-A'), header('expose', 'Access-Control-Expose-Headers', **FROM), '', 'X-A', **CORS),
    one('cors-allow-credentials', 'switched on', 'credentials', ('false', 'true'), header('credentials', 'Access-Control-Allow-Credentials', **FROM), '', 'true', **CORS),
    one('cors-max-age', 'another', 'max-age', ('5s', '60s'), header('max-age', 'Access-Control-Max-Age', **ASKED), '5', '60', **CORS),
    one('canary-service', 'comes', 'to-canary', (None, 'canary-first'), heard('to-canary', 'at'), at('to-canary'), at('canary-first'), beside=web('canary-first', host=''), canary_weight='100'),
    one('canary-weight', 'another', 'weight', ('0', '100'), heard('weight', 'at'), at('weight'), AT_NEXT, **CANARY),
    one('canary-weight-total', 'another', 'total', ('1000000', '1'), heard('total', 'at'), at('total'), AT_NEXT, canary_weight='1', **CANARY),
    one('canary-header-pattern', 'comes', 'canary-pattern', (None, 'be.a'), heard('canary-pattern', 'at', headers=(('X-Beta', 'a beta'),)), at('canary-pattern'), AT_NEXT, canary_header='X-Beta', **CANARY),
    one('canary-header', 'comes', 'canary-header', (None, 'X-Beta'), heard('canary-header', 'at', headers=(('X-Beta', 'always'),)), at('canary-header'), AT_NEXT, **CANARY),
    one('canary-cookie', 'comes', 'canary-cookie', (None, 'beta'), heard('canary-cookie', 'at', headers=(('Cookie', 'beta=always'),)), at('canary-cookie'), AT_NEXT, **CANARY),
)  # fmt: skip

ENDPOINTS = (
    one('client-ip', 'proxy-v1', 'client-ip', ('forwarded', 'proxy-v1'), heard('client-ip', 'proxy'), '', 'v1'),
    one('client-ip', 'none', 'no-client-ip', ('forwarded', 'none'), heard('no-client-ip', 'x-forwarded-for'), '127.0.0.1', ''),
    one('backend-protocol', 'h2c', 'h2c', (None, 'h2c'), heard('h2c', 'path'), '/', 'h2'),
    one('backend-ca-secret', 'comes', 'backend-ca', (None, 'ca-two'), status('backend-ca'), 200, 503, **ENDS_TLS),
    one('backend-verify', 'switched off', 'backend-verify', ('true', 'false'), status('backend-verify'), 503, 200, backend_ca_secret='ca-two', **ENDS_TLS),
    one('backend-sni', 'comes', 'backend-sni', (None, 'inner.example.com'), servers('backend-sni'), None, OTHER, **ENDS_TLS),
    one('balance', 'a usual one', 'balance', (None, 'leastconn'), backend('balance', 'algo'), None, ['leastconn']),
    one('balance', '`hdr:NAME`', 'balance-hdr', (None, 'hdr:X-User'), backend('balance-hdr', 'algo'), None, ['hdr']),
    one('balance', '`hash:VARIABLES`', 'balance-hash', (None, 'hash:$arg_user'), backend('balance-hash', 'algo'), None, ['hash']),
    one('slow-start', 'comes', 'slow-start', (None, '60s'), servers('slow-start'), None, OTHER),
    one('max-connections', 'another', 'max', ('5', '9'), server('max', 'slim'), ['5'], ['9']),
    one('queue-timeout', 'another', 'queue', (None, '7s'), timeout(':::7000'), False, True),
    one('queue-timeout', 'another, on TCP', 'queue-tcp', (None, '7s'), backends('queue-tcp'), None, OTHER, make=on_tcp(5)),
    one('cookie', "the class's", 'cookie', (None, 'true'), backend('cookie', 'cookie'), [''], ['headrace']),
    one('cookie', 'another name', 'cookie-own', (None, 'mine'), backend('cookie-own', 'cookie'), [''], ['mine']),
    one('cookie-path', 'another', 'session-path', ('/', '/a'), session('session-path'), USUAL, 'path=/a; HttpOnly; SameSite=Lax', **STICKY),
    one('cookie-domain', 'comes', 'session-domain', (None, 'a.com'), session('session-domain'), USUAL, 'path=/; domain=a.com; HttpOnly; SameSite=Lax', **STICKY),
    one('cookie-same-site', 'another', 'session-site', (None, 'Strict'), session('session-site'), USUAL, 'path=/; HttpOnly; SameSite=Strict', **STICKY),
    one('cookie-conditional-same-site-none', 'switched on', 'session-none', ('false', 'true'), entry('session-cookie', 'o|headrace|path=/; HttpOnly; SameSite=Lax'), False, True, **STICKY),
    one('cookie-max-age', 'comes', 'session-age', (None, '5s'), session('session-age'), USUAL, 'path=/; Max-Age=5; HttpOnly; SameSite=Lax', **STICKY),
    one('cookie-secure', 'switched on', 'session-secure', (None, 'true'), session('session-secure'), USUAL, f'{USUAL}; Secure', **STICKY),
    one('cookie-change-on-failure', 'switched off', 'session-kept', ('true', 'false'), entry('session-cookie', 'k|headrace|path=/; HttpOnly; SameSite=Lax'), False, True, **STICKY),
    one('check', 'tcp', 'check-tcp', ('off', 'tcp'), server('check-tcp', 'check_status'), [''], ['L4OK']),
    one('check', 'http', 'check-http', ('off', 'http'), server('check-http', 'check_status'), [''], ['L7OK']),
    one('check-path', 'another', 'check-path', ('/a', '/b-path'), entry('check-path', '/b-path'), False, True),
    one('check-host', 'another', 'check-host', ('a.example.com', 'b.example.com'), entry('check-host', 'b.example.com'), False, True),
    one('check-status', 'others', 'check-status', ('200-399', '404'), server('check-status', 'check_status'), ['L7OK'], ['L7STS'], check='http', check_interval='500ms'),
    one('check-interval', 'another', 'interval', ('1h', '500ms'), server('interval', 'status'), ['UP'], ['DOWN'], port=1, **CHECKED),
    one('check-rise', 'another', 'rise', (None, '4'), server('rise', 'check_rise'), ['2'], ['4'], **CHECKED),
    one('check-fall', 'another', 'fall', (None, '5'), server('fall', 'check_fall'), ['3'], ['5'], **CHECKED),
    one('eject-after', 'comes', 'eject', (None, '3'), servers('eject'), None, OTHER, **CHECKED),
    one('timeout-connect', 'another', 'connect', (None, '3s'), timeout('::3000:'), False, True),
    one('timeout-connect', 'another, on TCP', 'connect-tcp', (None, '3s'), backends('connect-tcp'), None, OTHER, make=on_tcp(6)),
    one('timeout-server', 'another', 'server', (None, '200ms'), status('server', '/slow'), 200, 504),
    one('timeout-server', 'another, on TCP', 'server-tcp', (None, '20s'), backends('server-tcp'), None, OTHER, make=on_tcp(7)),
    one('timeout-tunnel', 'another', 'tunnel', (None, '2h'), entry('timeouts', ':7200000::'), False, True),
    one('timeout-tunnel', 'another, on TCP', 'tunnel-tcp', (None, '200ms'), status('', '/slow', port='TCP8'), 200, 'closed', make=on_tcp(8)),
    one('retries', 'another', 'retries', (None, '5'), backends('retries'), None, OTHER),
    one('retries', 'a usual one', 'retries-usual', (None, '0'), backends('retries-usual'), None, OTHER),
    one('retry-on', 'a usual one', 'retry-on-usual', (None, 'conn-failure empty-response response-timeout'), backends('retry-on-usual'), None, OTHER),
    one('retry-on', 'another', 'retry-on', (None, '503'), backends('retry-on'), None, OTHER),
    one('bandwidth-limit', 'switched on', 'limited', (None, '64k'), backends('limited'), None, OTHER),
    one('bandwidth-limit', 'another', 'limited-more', ('64k', '1k'), entry('bandwidth', '1024'), False, True),
    one('compression', 'switched on', 'compressed', ('false', 'true'), backends('compressed'), None, OTHER),
    one('snippets', 'comes', 'snippets', (None, 'greeting'), header('snippets', 'X-Snippet'), '', 'yes'),
)  # fmt: skip


def of(what, before, after, look, was, now):
    """Return a change of objects."""
    return Change('', what, before, after, look, was, now)


def moved(one_host, other_host):
    """Return two Services with these hosts."""
    return [*web('mover', host=one_host), *web('taker', host=other_host)]


def with_admin():
    """Return a Service with a second port."""
    ports = [{'name': 'http', 'port': 80}, {'name': 'admin', 'port': 9000}]
    hosts = {'host.http': host('ports'), 'host.admin': host('admin')}
    admin = endpoint_slice('ports', name='ports-2', addresses=[address('ports', 1)], port='PLAIN', port_name='admin')
    return [*web('ports', ports=ports, host='', more=hosts), admin]


def passed(name):
    """Return a Service whose TLS is passed through."""
    return web(name, mode='tls-passthrough', port='TLS')


def secured(name, seed):
    """Return a Service with a certificate of its own."""
    return [*web(name, tls_secret=name), tls_secret(name, seed=seed)]


def shown_to(seed):
    """Return a Service whose clients need a certificate of an authority."""
    return [*web('shown', tls_secret='tls', client_ca_secret='shown'), ca_secret('shown', seed=seed)]


def verified(seed):
    """Return a Service whose endpoints need a certificate of an authority."""
    return [*web('verified', backend_ca_secret='verified', **ENDS_TLS), ca_secret('verified', seed=seed)]


def known(password):
    """Return a Service whose clients need a password."""
    return [*web('password', basic_auth_secret='password'), secret_of('password', password)]


def ranged(*ranges):
    """Return a Service of type LoadBalancer with ranges of clients."""
    found = web('ranged')
    spec = {'type': 'LoadBalancer', 'loadBalancerSourceRanges': [*ranges], 'loadBalancerClass': 'headrace.io/headrace'}
    return [{**item, 'spec': {**item['spec'], **spec}} if item['kind'] == 'Service' else item for item in found]


def counted(name):
    """Look at how many servers may be used."""
    return lambda scene: len(servers(name)(scene))


def outside(name, external):
    """Return a Service of type ExternalName, which gets no requests."""
    said, spec = {'host': host(name)}, {'type': 'ExternalName', 'externalName': external}
    return [service(name, annotations=said, ports=[{'name': 'http', 'port': 80}], **spec)]


RETRIES = {'retries': '7'}
OBJECTS = (
    of('a Service for HTTP comes', [], web('new'), status('new'), 404, 200),
    of('a Service for HTTP goes', web('old'), [], status('old'), 200, 404),
    of('a Service for TCP comes', [], tcp('new-tcp', 9), status('', port='TCP9'), 'closed', 200),
    of('a Service for TCP goes', tcp('old-tcp', 10), [], status('', port='TCP10'), 200, 'closed'),
    of('a Service comes whose settings another one has already', [], web('second', **RETRIES), status('second'), 404, 200),
    of('a Service gets a second port', web('ports'), with_admin(), status('admin'), 404, 200),
    of('an endpoint comes', web('come', at=(1,)), web('come', at=(1, 2)), counted('come'), 1, 2),
    of('an endpoint goes', web('go', at=(1, 2)), web('go', at=(1,)), counted('go'), 2, 1),
    of('the last endpoint goes', web('last'), web('last', at=()), status('last'), 200, 503),
    of('a host comes', web('hosts'), web('hosts', host=f'{host("hosts")} {host("added")}'), status('added'), 404, 200),
    of('a host goes', web('fewer', host=f'{host("fewer")} {host("gone")}'), web('fewer'), status('gone'), 200, 404),
    of('a host moves to another Service', moved(host('home'), host('away-host')), moved(host('away-host'), host('home')), heard('home', 'at'), at('mover'), at('taker')),
    of('a Service with a certificate comes', [], secured('secured', 'a'), status('secured', sni=host('secured')), 404, 200),
    of('a certificate is renewed', secured('renewed', 'a'), secured('renewed', 'b'), certificate('renewed'), None, OTHER),
    of('the Secret of a certificate goes', secured('bare', 'a'), web('bare', tls_secret='bare'), status('bare', sni=host('bare')), 200, 503),
    of('the authority of clients is renewed', shown_to('a'), shown_to('b'), status('shown', sni=host('shown'), certificate='b'), 'refused', 200),
    of('the authority of endpoints is renewed', verified('two'), verified('one'), status('verified'), 503, 200),
    of('a password is changed', known('other'), known('secret'), status('password', headers=BASIC), 401, 200),
    of('clients stay with their endpoints (`sessionAffinity`)', web('stay', at=(1, 2)), staying(web('stay', at=(1, 2))), backends('stay'), None, OTHER),
    of('`loadBalancerSourceRanges` come', ranged(), ranged('127.0.0.1/32'), status('ranged', client='127.0.0.2'), 200, 403),
    of('TLS of a host is passed through', [], passed('passed'), certificate('passed'), None, OTHER),
    of('TLS of a host is no longer passed through', passed('unpassed'), [], certificate('unpassed'), None, OTHER),
    of('a route is closed because its Secret is missing', web('shut'), web('shut', basic_auth_secret='nothing'), status('shut'), 200, 503),
    of('a Service of type ExternalName comes', [], outside('outside', 'one.invalid'), entry('external', 'one.invalid'), False, True),
    of('its `externalName` changes', outside('renamed', 'two.invalid'), outside('renamed', 'three.invalid'), entry('external', 'three.invalid'), False, True),
    of('a Service of type ExternalName goes', outside('inside', 'four.invalid'), [], entry('external', 'four.invalid'), True, False),
    of("the class's default certificate goes", [tls_secret('default', seed='default')], [], status('anybody', sni=host('anybody')), 404, 'refused'),
)  # fmt: skip

ALL = (*EXPOSURE, *REQUESTS, *ENDPOINTS, *OBJECTS)
# What several changes have beside them.
SHARED = [
    *NEXT,
    *web('verifier', host=''),
    *SILENT,
    *web('before-second', **RETRIES),
    tls_secret('tls', seed='own'),
    ca_secret('clients', seed='one'),
    ca_secret('ca-two', seed='two'),
]
