"""What a change costs: the exact commands in their order, or the reason for a reload.

Two small sets of objects in; commands as HAProxy's management guide (9.3) and the contract want them.
"""

from dataclasses import replace

import pytest

from headrace import names, store
from headrace.haproxy.encode import map_entries, profiles
from headrace.haproxy.plan import adopted, plan
from headrace.haproxy.plan.live_state import LiveState, Server
from headrace.haproxy.plan.plan import Loaded
from headrace.ir.backend import Group, Shape
from headrace.ir.fragment import Fragment, Kind
from headrace.ir.pointers import Pointer
from headrace.ir.policy import Map
from headrace.ir.routing import Split, WeightedBackend
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve import model_snapshot, state
from headrace.resolve.changes import Change, FragmentChange
from headrace.settings.settings import Secrets, Settings
from headrace.translate import build_context
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support import certificates
from support.objects import ca_secret, endpoint_slice, node, secret, service, tls_secret

HTTP = [{'name': 'http', 'port': 80}]
TWO = [{'name': 'http', 'port': 80}, {'name': 'admin', 'port': 81}]
HOSTS = {'host.http': 'web.example.com', 'host.admin': 'b.example.com'}
SETTINGS = Settings(tcp_ports='5000-5999', secrets=Secrets(namespaces=('*',)))
WEB, ROUTES, PORTS = 'shop_web_http', 'maps/routes.map', 'maps/ports.map'
POLICY = names.policy(Ref('Service', 'shop', 'web'), 'http')
NEXT = names.policy(Ref('Service', 'shop', 'next'), 'http')
ROUTE = f'{WEB}|{POLICY}|'
TCP = Shape(mode='tcp')
# The backend of a port whose TLS is passed through.
PASSED = f'{WEB}_{TCP.suffix}'
CLIENTS_LINE = 'certificates/shop_tls.pem [ca-file authorities/shop_ca.pem verify required] web.example.com'
CRT_LIST, TLS_LINE = 'certificates/list.txt', 'certificates/shop_tls.pem web.example.com'


def web(name='web', **said):
    given = {'host': 'web.example.com', **{key.replace('_', '-'): value for key, value in said.items()}}
    return service(name, annotations=given, ports=HTTP)


def ends(*addresses, of='web', port=8080):
    return endpoint_slice(of, addresses=addresses, port_name='http', port=port)


def db(port):
    return service('db', annotations={'port': port}, ports=[{'name': 'db', 'port': 5432}])


def changed(before, after, settings=SETTINGS, **seen):
    """Return the snapshot of a model before, and the change that leads to what is after."""
    known, model = store.Store(), state.State(build_context.make(settings, **seen))
    for document in before:
        known.put(parse.read(document).object)
    model.update(known, known.take())
    start = model_snapshot.of_state(model)
    kept = {parse.read(document).object.ref for document in after}
    for ref in [item.ref for item in known.objects() if item.ref not in kept]:
        known.drop(ref)
    for document in after:
        known.put(parse.read(document).object)
    return start, model.update(known, known.take())


def planned(before, after, settings=SETTINGS):
    start, change = changed(before, after, settings)
    loaded = plan.started(start, profiles.in_use(start.fragments.values(), settings.cookie_name))
    return plan.plan(change, loaded)


def lines(made):
    """Return commands as a person reads them, each entry of a map as a command of its own."""
    found = []
    for command in made.commands:
        if command.line.startswith('add map'):
            found += [f'{command.line} {entry}' for entry in command.payload.splitlines()]
        elif command.payload_shown:
            found.append(f'{command.line} ({command.payload_shown})')
        else:
            found.append(' '.join([command.line, *command.payload.splitlines()]))
    return found


def backend_of(document):
    """Return the name of a Service's backend; that its hash is what it should be is for test_names to say."""
    (fragment,) = [item for item in changed([], [document])[1].fragments if item.ref.kind == 'Service']
    return fragment.new.backends[0].name


def comes(where, options):
    return [f'add server {where} {options}', f'enable server {where}']


def goes(where):
    return [f'disable server {where}', f'wait 2s srv-removable {where}', f'del server {where}']


LEAST, DB = backend_of(web(balance='leastconn')), backend_of(db('5000'))
CASES = {
    'a Service is new': (
        [], [web(), ends('10.0.0.1')],
        [f'add backend {WEB} from {Shape().profile}', *comes(f'{WEB}/10.0.0.1:8080', '10.0.0.1:8080'),
         f'publish backend {WEB}', f'add map {ROUTES} web.example.com/ {ROUTE}'],
    ),
    'a Service goes': (
        [web(), ends('10.0.0.1')], [],
        [f'del map {ROUTES} web.example.com/', f'unpublish backend {WEB}', *goes(f'{WEB}/10.0.0.1:8080'),
         f'wait 2s be-removable {WEB}', f'del backend {WEB}'],
    ),
    'an endpoint comes': (
        [web(), ends('10.0.0.1')], [web(), ends('10.0.0.1', '10.0.0.2')],
        comes(f'{WEB}/10.0.0.2:8080', '10.0.0.2:8080'),
    ),
    'an endpoint goes': (
        [web(), ends('10.0.0.1', '10.0.0.2')], [web(), ends('10.0.0.1')], goes(f'{WEB}/10.0.0.2:8080'),
    ),
    'an endpoint changes its port': (
        [web(), ends('10.0.0.1')], [web(), ends('10.0.0.1', port=9090)],
        [*comes(f'{WEB}/10.0.0.1:9090', '10.0.0.1:9090'), *goes(f'{WEB}/10.0.0.1:8080')],
    ),
    'maxconn changes in place': (
        [web(max_connections='5'), ends('10.0.0.1')], [web(max_connections='6'), ends('10.0.0.1')],
        [f'set maxconn server {WEB}/10.0.0.1:8080 6'],
    ),
    'maxconn is taken away': (
        [web(max_connections='5'), ends('10.0.0.1')], [web(), ends('10.0.0.1')],
        [f'set maxconn server {WEB}/10.0.0.1:8080 0'],
    ),
    'a new endpoint has the new maxconn from the start': (
        [web(max_connections='5')], [web(max_connections='6'), ends('10.0.0.1')],
        comes(f'{WEB}/10.0.0.1:8080', '10.0.0.1:8080 maxconn 6'),
    ),
    'a host moves to another Service': (
        [web('first'), web()], [web()],
        [f'set map {ROUTES} web.example.com/ {ROUTE}', 'unpublish backend shop_first_http',
         'wait 2s be-removable shop_first_http', 'del backend shop_first_http'],
    ),
    'a host changes': (
        [web()], [web(host='new.example.com')],
        [f'add map {ROUTES} new.example.com/ {ROUTE}', f'del map {ROUTES} web.example.com/'],
    ),
    'a TCP port moves': (
        [db('5000')], [db('5001')],
        [f'add map {PORTS} 5001 {DB}|{names.policy(Ref("Service", "shop", "db"), "db")}|', f'del map {PORTS} 5000'],
    ),
    'another shape of the base set is a new backend, and then the old one goes': (
        [web(), ends('10.0.0.1')], [web(balance='leastconn'), ends('10.0.0.1')],
        [f'add backend {LEAST} from {Shape(balance="leastconn").profile}', *comes(f'{LEAST}/10.0.0.1:8080', '10.0.0.1:8080'),
         f'publish backend {LEAST}', f'set map {ROUTES} web.example.com/ {LEAST}|{POLICY}|',
         f'unpublish backend {WEB}', *goes(f'{WEB}/10.0.0.1:8080'), f'wait 2s be-removable {WEB}', f'del backend {WEB}'],
    ),
    'a certificate is new': (
        [web()], [web(tls_secret='tls'), tls_secret()],
        ['new ssl cert certificates/shop_tls.pem', 'set ssl cert certificates/shop_tls.pem (PEM)',
         'commit ssl cert certificates/shop_tls.pem', f'add ssl crt-list {CRT_LIST} {TLS_LINE}',
         'add map maps/client-ca.map web.example.com shop_', f'set map {ROUTES} web.example.com/ {ROUTE}L'],
    ),
    'a certificate is renewed': (
        [web(tls_secret='tls'), tls_secret()], [web(tls_secret='tls'), tls_secret(seed='two')],
        ['set ssl cert certificates/shop_tls.pem (PEM)', 'commit ssl cert certificates/shop_tls.pem'],
    ),
    'a certificate goes': (
        [web(tls_secret='tls'), tls_secret()], [web(), tls_secret()],
        [f'set map {ROUTES} web.example.com/ {ROUTE}', f'del ssl crt-list {CRT_LIST} certificates/shop_tls.pem',
         'del map maps/client-ca.map web.example.com', 'del ssl cert certificates/shop_tls.pem'],
    ),
    'clients must show a certificate from now on': (
        [web(tls_secret='tls'), tls_secret()], [web(tls_secret='tls', client_ca_secret='ca'), tls_secret(), ca_secret()],
        ['new ssl ca-file authorities/shop_ca.pem', 'set ssl ca-file authorities/shop_ca.pem (PEM)',
         'commit ssl ca-file authorities/shop_ca.pem', f'add map maps/route-ca.map {POLICY} shop_ca',
         f'add ssl crt-list {CRT_LIST} {CLIENTS_LINE}', 'set map maps/client-ca.map web.example.com shop_ca',
         f'set map {ROUTES} web.example.com/ {ROUTE}Lv',
         f'del ssl crt-list {CRT_LIST} certificates/shop_tls.pem'],
    ),
    'clients need no certificate any more': (
        [web(tls_secret='tls', client_ca_secret='ca'), tls_secret(), ca_secret()], [web(tls_secret='tls'), tls_secret()],
        [f'add ssl crt-list {CRT_LIST} {TLS_LINE}', 'set map maps/client-ca.map web.example.com shop_',
         f'set map {ROUTES} web.example.com/ {ROUTE}L', f'del ssl crt-list {CRT_LIST} certificates/shop_tls.pem',
         f'del map maps/route-ca.map {POLICY}', 'del ssl ca-file authorities/shop_ca.pem'],
    ),
    'a client CA is renewed': (
        [web(tls_secret='tls', client_ca_secret='ca'), tls_secret(), ca_secret()],
        [web(tls_secret='tls', client_ca_secret='ca'), tls_secret(), ca_secret(seed='two')],
        ['set ssl ca-file authorities/shop_ca.pem (PEM)', 'commit ssl ca-file authorities/shop_ca.pem'],
    ),
    'what a check asks for is data under the name of the backend': (
        [web(check='http')], [web(check='http', check_path='/up', check_host='up.example.com')],
        [f'add map maps/check-host.map {backend_of(web(check="http"))} up.example.com',
         f'add map maps/check-path.map {backend_of(web(check="http"))} /up'],
    ),
    'an endpoint of one port of two comes': (
        [service(annotations=HOSTS, ports=TWO)], [service(annotations=HOSTS, ports=TWO), ends('10.0.0.1')],
        comes(f'{WEB}/10.0.0.1:8080', '10.0.0.1:8080'),
    ),
    'TLS that is passed through is data too': (
        [web(mode='tls-passthrough')], [web(mode='tls-passthrough', maintenance='true')],
        [f'set map maps/passthrough.map web.example.com {PASSED}|{POLICY}|x'],
    ),
    'the first TLS that is passed through has the frontends take turns': (
        [web('a', host='a.com')], [web('a', host='a.com'), web(mode='tls-passthrough')],
        [f'add backend {PASSED} from {TCP.profile}', f'publish backend {PASSED}',
         f'add map maps/passthrough.map web.example.com {PASSED}|{POLICY}|',
         f'add map {ROUTES} web.example.com/ shop_',
         'enable frontend sni', 'disable frontend https'],
    ),
    'where TLS was passed through from the start there is only one frontend': (
        [web('a', host='a.com'), web(mode='tls-passthrough')], [web('a', host='a.com')],
        ['del map maps/passthrough.map web.example.com', f'del map {ROUTES} web.example.com/', f'unpublish backend {PASSED}',
         f'wait 2s be-removable {PASSED}', f'del backend {PASSED}'],
    ),
    'another value of a key is one set': (
        [web(rate_limit='5/m')], [web(rate_limit='6/s')], [f'set map maps/rate.map {POLICY} 1|6'],
    ),
    'networks are exchanged one by one, new ones first': (
        [web(allow='10.0.0.0/8 11.0.0.0/8')], [web(allow='11.0.0.0/8 12.0.0.0/8')],
        [f'add map maps/allow.map {POLICY}:40C 1', f'del map maps/allow.map {POLICY}:40A'],
    ),
    'a canary is pointed to after it is made': (
        [web()], [web(canary_service='next', canary_weight='10'), service('next', ports=HTTP)],
        [f'add backend shop_next_http from {Shape().profile}', 'publish backend shop_next_http',
         f'add map maps/canary.map {POLICY} 1000|shop_next_http|{NEXT}|', f'set map {ROUTES} web.example.com/ {ROUTE}c'],
    ),
}  # fmt: skip


@pytest.mark.parametrize(('before', 'after', 'expected'), CASES.values(), ids=CASES)
def test_a_change_costs_these_commands(before, after, expected):
    made = planned(before, after)
    assert made.reasons == ()
    assert lines(made) == expected


def test_a_checked_server_has_its_check_enabled():
    made = planned([web(check='tcp')], [web(check='tcp'), ends('10.0.0.1')])
    where = made.commands[0].makes
    assert where.startswith(f'{backend_of(web(check="tcp"))}/10.0.0.1:8080_')
    assert lines(made) == [*comes(where, '10.0.0.1:8080 check inter 2s rise 2 fall 3'), f'enable health {where}']


@pytest.mark.parametrize(
    ('before', 'after', 'options'),
    [
        pytest.param({}, {'slow_start': '5s'}, 'slowstart 5s', id='slow-start'),
        pytest.param({}, {'client_ip': 'proxy-v1'}, 'send-proxy', id='client-ip, version 1'),
        pytest.param({}, {'client_ip': 'proxy-v2'}, 'send-proxy-v2', id='client-ip, version 2'),
        pytest.param({}, {'backend_protocol': 'h2c'}, 'proto h2', id='h2c'),
        pytest.param({}, {'backend_protocol': 'https'}, 'ssl verify none alpn http/1.1 no-sni-auto', id='https'),
        pytest.param(
            {'backend_protocol': 'h2'},
            {'backend_protocol': 'h2', 'backend_sni': 'x.example.com'},
            'proto h2 ssl verify none alpn h2 sni str(x.example.com)',
            id='sni',
        ),
    ],
)
def test_another_option_is_another_server_beside_the_old_one(before, after, options):
    made = planned([web(**before), ends('10.0.0.1')], [web(**after), ends('10.0.0.1')])
    assert made.reasons == ()
    texts = [text for text in lines(made) if ' map ' not in text]
    new, old = texts[0].split()[2], texts[2].split()[2]
    assert new != old
    assert texts == [*comes(new, f'10.0.0.1:8080 {options}'), *goes(old)]


# --- data of a policy, one key after the other ------------------------------------------------------------------------

# Flags, entries (P is the policy), annotations. The blocks of headers are base64 of (length, name, length, value)… 0 0.
DATA = {
    'hsts': ('S', ['hsts.map P 3600'], {'hsts': '1h'}),
    'timeout-client': ('T', ['client-timeout.map P 5000'], {'timeout-client': '5s'}),
    'maintenance': ('x', [], {'maintenance': 'true'}),
    'allow': ('a', ['allow.map P:40A 1'], {'allow': '10.0.0.0/8'}),
    'deny, IPv6': ('d', ['deny.map P:620010DB8 1'], {'deny': '2001:db8::/32'}),
    'rate-limit': ('r', ['rate.map P 60|5'], {'rate-limit': '5/m'}),
    'max-body-size': ('m', ['body.map P 1024'], {'max-body-size': '1k'}),
    'redirect-to': ('R', ['redirect.map P 308|/there'], {'redirect-to': '/there', 'redirect-code': '308'}),
    'rewrite-path': ('w', ['rewrite.map P /app'], {'rewrite-path': '/app/'}),
    'request-headers': ('Hh', ['request-headers.map P A3gtYQFiAAA=', 'request-headers-gone.map P A3gtYgA='],
                        {'request-headers': 'X-A: b\nX-B:'}),
    'response-headers': ('Oo', ['response-headers.map P A3gtYQFiAAA=', 'response-headers-gone.map P A3gtYgA='],
                         {'response-headers': 'X-A: b\nX-B:'}),
    'cors': ('C', ['cors.map P 60|GET, PUT|X-A', 'cors-origin.map P:https://a.com 1', 'cors-more.map P true|X-B'],
             {'cors-allow-origin': 'https://a.com', 'cors-allow-methods': 'GET,PUT', 'cors-allow-headers': 'X-A', 'cors-max-age': '1m',
              'cors-allow-credentials': 'true', 'cors-expose-headers': 'X-B'}),
    'timeouts': ('t', ['timeouts.map P 1000:2000:3000:4000'],
                 {'timeout-server': '1s', 'timeout-tunnel': '2s', 'timeout-connect': '3s', 'queue-timeout': '4s'}),
    'client-ip': ('n', [], {'client-ip': 'none'}),
    'canary-header': ('ck', [f'canary.map P 0|{ROUTE}', 'canary-always.map P>x-a:%20always< 2', 'canary-never.map P>x-a:%20never< 2'],
                      {'canary-service': 'web', 'canary-header': 'X-A'}),
}  # fmt: skip


@pytest.mark.parametrize(('flags', 'entries', 'said'), DATA.values(), ids=DATA)
def test_a_key_that_is_data_comes_before_its_flag_and_goes_after_it(flags, entries, said):
    bare, keyed = [web()], [service(annotations={'host': 'web.example.com', **said}, ports=HTTP)]
    data = [entry.replace('map P', f'map {POLICY}') for entry in entries]
    come, gone = planned(bare, keyed), planned(keyed, bare)
    assert come.reasons == gone.reasons == ()
    pointer = f'set map {ROUTES} web.example.com/ {ROUTE}'
    assert sorted(lines(come)[:-1]) == sorted(f'add map maps/{entry}' for entry in data)
    assert lines(come)[-1] == f'{pointer}{flags}'
    assert lines(gone)[0] == pointer
    assert sorted(lines(gone)[1:]) == sorted(f'del map maps/{" ".join(entry.split()[:2])}' for entry in data)


def test_users_are_hashes():
    made = planned([web()], [web(basic_auth_secret='users'), secret('users', username='u', password='p')])
    user, pointer = lines(made)
    assert user.startswith(
        f'add map maps/auth.map {POLICY}:0BFE935E70C321C7CA3AFC75CE0D0CA2F98B5422E008BB31C00C6D7F1F1C0AD6:'
    )
    assert len(user.rpartition(':')[2]) == len(f'{64 * "0"} 1')
    assert pointer == f'set map {ROUTES} web.example.com/ {ROUTE}b'


# --- reloads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'said',
    [
        pytest.param({'balance': 'hdr:x-user'}, id='balance'),
        pytest.param({'cookie': 'own'}, id='cookie'),
        pytest.param({'check_status': '200'}, id='check-status'),
        pytest.param({'retries': '1'}, id='retries'),
        pytest.param({'retry_on': '503'}, id='retry-on'),
    ],
)
def test_a_shape_outside_the_base_set_is_a_reload_when_it_is_first_used(said):
    made = planned([web(), ends('10.0.0.1')], [web(**said), ends('10.0.0.1')])
    assert [reason.word for reason in made.reasons] == ['profile']
    assert str(made.reasons[0]).startswith('profile: http-')
    assert made.reasons[0].namespaces == {'shop'}
    assert made.commands == ()
    assert made.deferred == {Ref('Service', 'shop', 'web')}
    assert made.deferred_keys == {(Kind.ROUTE, 'web.example.com/')}
    assert made.missing == {backend_of(web(**said))}


@pytest.mark.parametrize('key', ['timeout-connect', 'timeout-server', 'timeout-tunnel', 'queue-timeout'])
def test_timeouts_of_a_tcp_port_are_a_reload_when_they_are_first_used(key):
    ports = [{'name': 'db', 'port': 5432}]
    made = planned([db('5000')], [service('db', annotations={'port': '5000', key: '7s'}, ports=ports)])
    assert [reason.word for reason in made.reasons] == ['profile']


def test_compression_is_a_reload_for_a_backend_made_at_run_time_cannot():
    made = planned([web(), ends('10.0.0.1')], [web(compression='true'), ends('10.0.0.1')])
    assert [reason.word for reason in made.reasons] == ['compression']
    assert made.commands == ()


def test_a_crypt_hash_that_the_worker_has_not_loaded_is_a_reload_and_one_that_it_has_is_none():
    crypt = secret('users', auth='ann:$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA')
    other = web('other', host='o.example.com', basic_auth_secret='users')
    made = planned([web(), crypt], [web(basic_auth_secret='users'), crypt])
    assert [(reason.word, reason.refs) for reason in made.reasons] == [('users', (Ref('Service', 'shop', 'web'),))]
    assert planned([web(), other, crypt], [web(basic_auth_secret='users'), other, crypt]).reasons == ()


def test_another_time_of_affinity_is_no_reload():
    def staying(seconds):
        config = {'clientIP': {'timeoutSeconds': seconds}}
        given = {'annotations': {'host': 'web.example.com'}, 'ports': HTTP, 'sessionAffinity': 'ClientIP'}
        return service(**given, sessionAffinityConfig=config)

    before, after = [staying(60), ends('10.0.0.1')], [staying(90), ends('10.0.0.1')]
    assert planned(before, after).reasons == ()


def test_more_ports_that_end_tls_than_half_of_the_listeners_are_a_reload():
    here = {'role': Role.NODE, 'topology': Topology('n1')}

    def ended(number):
        said = {'proxy': 'node', 'tls-secret': 'tls'}
        return service(f's{number}', annotations=said, ports=HTTP, clusterIP=f'10.96.0.{number}')

    few = [node(), certificates.tls_secret('tls', *certificates.for_names('a.example.com')), *map(ended, range(1, 33))]
    start, change = changed(few[:-1], few, **here)
    loaded = plan.started(start, profiles.in_use(start.fragments.values(), 'headrace'))
    assert plan.plan(change, loaded).reasons == ()
    start, change = changed(few, [*few, ended(33)], **here)
    loaded = plan.started(start, profiles.in_use(start.fragments.values(), 'headrace'))
    made = plan.plan(change, loaded)
    assert [reason.word for reason in made.reasons] == ['listeners']
    assert {kind for kind, _ in made.deferred_keys} == {Kind.LISTENER}
    assert made.reasons[0].refs == (Ref('Service', 'shop', 's33'),)
    # What waits is planned again with each change of others, and is still that Service's.
    waiting = replace(change, fragments=())
    again = plan.plan(waiting, replace(loaded, resized=made.resized))
    assert again.reasons == made.reasons


def test_a_shape_that_is_in_use_already_is_no_reload():
    other = web('other', host='o.example.com', balance='hdr:x-user')
    assert planned([other, web()], [other, web(balance='hdr:x-user')]).reasons == ()


def test_a_shape_that_is_used_no_more_is_no_reload():
    assert planned([web(balance='hdr:x-user')], [web()]).reasons == ()


def test_endpoints_of_a_service_that_waits_change_at_once():
    before, after = (
        service(annotations=HOSTS, ports=TWO),
        service(annotations={**HOSTS, 'retries.admin': '1'}, ports=TWO),
    )
    made = planned([before, ends('10.0.0.1')], [after, ends('10.0.0.1', '10.0.0.2')])
    assert [reason.word for reason in made.reasons] == ['profile']
    assert lines(made) == comes(f'{WEB}/10.0.0.2:8080', '10.0.0.2:8080')


DEFAULT = Settings(default_certificate='shop/tls', secrets=Secrets(namespaces=('*',)))


@pytest.mark.parametrize(
    ('before', 'after'),
    [pytest.param([], [tls_secret()], id='comes'), pytest.param([tls_secret()], [], id='goes')],
)
def test_a_default_certificate_that_comes_or_goes_is_a_reload(before, after):
    made = planned(before, after, settings=DEFAULT)
    assert [str(reason) for reason in made.reasons] == ['certificate: the default certificate comes or goes']
    assert [reason.administrator for reason in made.reasons] == [True]
    assert made.commands == ()


def test_a_host_below_a_wildcard_of_another_namespace_costs_the_wildcard_another_line():
    annotations = {'host': '*.a.com', 'tls-secret': 'tls'}
    wildcard = service('wild', 'bank', created='2024-06-01T00:00:00Z', annotations=annotations, ports=HTTP)
    host = service(created='2024-01-01T00:00:00Z', annotations={'host': 'x.a.com'}, ports=HTTP)
    objects = [wildcard, tls_secret(namespace='bank')]
    made = planned(objects, [*objects, host], settings=DEFAULT)
    assert made.reasons == ()
    found = [command for command in made.commands if 'crt-list' in command.line]
    assert [command.line.split()[0] for command in found] == ['add', 'del']
    file = 'certificates/bank_tls.pem'
    assert found[0].payload.endswith(f'{file} *.a.com !x.a.com\n')
    assert found[1].locate.endswith(f'{file} *.a.com')


def test_a_default_certificate_is_renewed_without_a_reload():
    made = planned([tls_secret()], [tls_secret(seed='two')], settings=DEFAULT)
    assert made.reasons == ()
    assert lines(made) == ['set ssl cert certificates/default.pem (PEM)', 'commit ssl cert certificates/default.pem']


# --- what went wrong once ---------------------------------------------------------------------------------------------


def test_a_server_is_not_added_before_the_authorities_that_it_names():
    before = [web(backend_protocol='https'), ends('10.0.0.1')]
    made = planned(before, [web(backend_protocol='https', backend_ca_secret='ca'), ends('10.0.0.1'), ca_secret()])
    assert [text.split()[0] for text in lines(made)] == [
        'new',
        'set',
        'commit',
        'add',
        'enable',
        'disable',
        'wait',
        'del',
    ]


def test_renewed_authorities_of_endpoints_are_used_by_new_servers():
    said = {'backend_protocol': 'https', 'backend_ca_secret': 'ca'}
    made = planned([web(**said), ends('10.0.0.1'), ca_secret()], [web(**said), ends('10.0.0.1'), ca_secret(seed='two')])
    assert [text.split()[0] for text in lines(made)] == ['set', 'commit', 'add', 'enable', 'disable', 'wait', 'del']


def test_the_backend_of_a_deleted_service_serves_until_the_reload_brings_its_heir():
    made = planned([web(), ends('10.0.0.1')], [web('late', retries='1')])
    assert made.commands == ()
    assert made.deferred == {Ref('Service', 'shop', 'web'), Ref('Service', 'shop', 'late')}
    assert made.deferred_keys == {(Kind.ROUTE, 'web.example.com/')}


def test_other_routes_of_a_service_that_waits_keep_their_rules_until_the_reload():
    after = service(annotations={**HOSTS, 'retries.http': '1', 'allow.admin': '10.0.0.0/8'}, ports=TWO)
    made = planned([service(annotations=HOSTS, ports=TWO)], [after])
    assert made.commands == ()
    assert made.deferred_keys == {(Kind.ROUTE, 'b.example.com/'), (Kind.ROUTE, 'web.example.com/')}


def test_a_canary_waits_with_the_service_that_it_is_a_part_of():
    said = {'host.admin': 'n.example.com', 'retries.admin': '1'}
    made = planned([web()], [web(canary_service='next'), service('next', annotations=said, ports=TWO)])
    assert made.commands == ()
    assert made.deferred == {Ref('Service', 'shop', 'web'), Ref('Service', 'shop', 'next')}


def test_endpoints_of_a_backend_that_waits_for_a_reload_wait_with_it():
    start, change = changed([web(), ends('10.0.0.1')], [web(), ends('10.0.0.1', '10.0.0.2')])
    loaded = replace(plan.started(start, [Shape().profile]), missing=frozenset((WEB,)))
    made = plan.plan(change, loaded)
    assert made.commands == ()
    assert made.deferred == {Ref('Service', 'shop', 'web')}


def test_of_a_backend_that_stays_until_a_reload_the_servers_stay_that_serve():
    wanted, _ = changed([web('late', retries='1')], [])
    had = LiveState()
    had.backends[WEB] = {
        'one': Server('10.0.0.1', 8080, disabled=False),
        'two': Server('10.0.0.2', 8080, disabled=True),
    }
    had.maps[Map.ROUTES] = {'web.example.com/': [ROUTE]}
    lacked = adopted.missing(wanted, had, frozenset((Shape().profile,)))
    (kept,) = adopted.defer(wanted, lacked, had).snapshot.fragments[Ref('Service', 'shop', 'web')].backends
    assert (kept.name, kept.groups) == (WEB, (Group(8080, ('10.0.0.1',)),))


def test_of_what_a_worker_has_never_had_nothing_is_there_until_the_reload():
    wanted, _ = changed([web(retries='1'), ends('10.0.0.1')], [])
    lacked = adopted.missing(wanted, LiveState(), frozenset((Shape().profile,)))
    made = adopted.defer(wanted, lacked, LiveState())
    assert (made.snapshot.fragments.keys(), made.snapshot.pointers) == ({Ref('Class', '', 'headrace')}, {})
    assert (made.refs, made.keys) == ({Ref('Service', 'shop', 'web')}, {(Kind.ROUTE, 'web.example.com/')})


SPLIT = f'shop_web_http|{POLICY}|W'
CANDIDATES = f'?web.example.com/,shop_next_http|{NEXT}|!m!GET,{ROUTE},'


@pytest.mark.parametrize(
    ('where', 'entries', 'route'),
    [
        pytest.param(Map.CANARY, {POLICY: f'10|shop_next_http|{NEXT}|'}, f'{ROUTE}c', id='a canary'),
        pytest.param(Map.MIRRORS, {POLICY: 'shop,10/100|shop_old_http,1/3|shop_next_http'}, f'{ROUTE}m', id='a mirror'),
        pytest.param(Map.SPLITS, {f'{POLICY}:': f'shop_next_http|{NEXT}|'}, SPLIT, id='a split'),
        pytest.param(Map.FALLBACK, {POLICY: 'shop_next_http'}, ROUTE, id='a fallback'),
        pytest.param(Map.ERROR_PAGES, {POLICY: '404|shop_next_http|shop||web|80'}, ROUTE, id='error pages'),
        pytest.param(
            Map.EXTERNAL_AUTH, {POLICY: '5000|shop_next_http|GET|next/||||0|'}, f'{ROUTE}A', id='authentication'
        ),
        pytest.param(Map.CANARY, {}, CANDIDATES, id='candidates'),
    ],
)
def test_a_backend_without_an_object_stays_until_a_reload_where_a_route_that_stays_leads_to_it(where, entries, route):
    desired, _ = changed([web(retries='1')], [])
    live = LiveState()
    live.backends[WEB] = {'one': Server('10.0.0.1', 8080, disabled=False)}
    live.backends['shop_next_http'] = {'two': Server('10.0.0.2', 8080, disabled=False)}
    live.maps[Map.ROUTES] = {'web.example.com/': [route]}
    live.maps[where] = {key: [value] for key, value in entries.items()}
    missing = adopted.missing(desired, live, frozenset((Shape().profile,)))
    snapshot = adopted.defer(desired, missing, live).snapshot
    (backend,) = snapshot.fragments[Ref('Service', 'shop', 'next')].backends
    assert (backend.name, backend.port, backend.groups) == ('shop_next_http', 'http', (Group(8080, ('10.0.0.2',)),))
    (entry,) = map_entries.of_pointer(Kind.ROUTE, 'web.example.com/', snapshot.pointers[Kind.ROUTE, 'web.example.com/'])
    assert entry.value == route
    kept = map_entries.of_fragment(snapshot.fragments[Ref('Service', 'shop', 'web')])
    assert {(entry.key, entry.value) for entry in kept} == {*entries.items()}


def test_tls_that_a_worker_passes_through_goes_where_it_went_until_a_reload():
    wanted, _ = changed([web(mode='tls-passthrough', timeout_connect='7s')], [])
    had = LiveState()
    had.backends[WEB] = {'one': Server('10.0.0.1', 8080, disabled=False)}
    had.maps[Map.PASSTHROUGH] = {'web.example.com': [ROUTE]}
    lacked = adopted.missing(wanted, had, frozenset((Shape().profile,)))
    made = adopted.defer(wanted, lacked, had).snapshot
    assert made.pointers[Kind.TLS, 'web.example.com'] == HostTls(passthrough=Pointer(WEB, POLICY))


def test_what_is_held_is_not_noted_as_told_but_its_endpoints_are():
    before = [service(annotations=HOSTS, ports=TWO), ends('10.0.0.1')]
    other = web('other', host='o.example.com')
    after = [service(annotations={**HOSTS, 'retries.admin': '1'}, ports=TWO), ends('10.0.0.2'), other]
    start, change = changed(before, after)
    plan.record(start, change, plan.plan(change, Loaded(frozenset(profiles.in_use([], 'headrace')))))
    assert start.pointers[Kind.ROUTE, 'o.example.com/'].backend == 'shop_other_http'
    admin, http = start.fragments[Ref('Service', 'shop', 'web')].backends
    assert (admin.name, admin.shape.retries) == ('shop_web_admin', 3)
    assert http.groups[0].addresses == ('10.0.0.2',)


def test_a_plan_is_false_when_nothing_is_to_be_done():
    assert not planned([web()], [web()])
    assert planned([], [web()])


def test_phases_are_those_of_the_batch_and_not_of_each_object():
    before = [
        web('a', allow='10.0.0.0/8'),
        ends('10.0.0.1', of='a'),
        web('c', host='c.example.com'),
        ends('10.0.0.1', of='c'),
    ]
    after = [web('b', host='b.example.com', allow='10.0.0.0/8'), ends('10.0.0.1', of='b'), web('c', host='c.example.com'),
             ends('10.0.0.2', of='c')]  # fmt: skip
    assert [' '.join(text.split()[:2]) for text in lines(planned(before, after))] == [
        'add server', 'enable server', 'disable server',
        'add map',
        'add backend', 'add server', 'enable server', 'publish backend',
        'add map',
        'del map',
        'del map',
        'unpublish backend', 'disable server',
        'wait 2s', 'del server', 'wait 2s', 'del server',
        'wait 2s', 'del backend',
    ]  # fmt: skip


def shared(*weights):
    """Return the fragment of a Service whose policy is shared by backends of these weights; none for no split."""
    backends = tuple(WeightedBackend(f'shop_{number}_http', weight) for number, weight in enumerate(weights))
    return Fragment(Ref('HTTPRoute', 'shop', 'r'), leads=(Split(backends, POLICY),) if weights else ())


@pytest.mark.parametrize(
    ('before', 'after', 'later'),
    [
        pytest.param((1, 1), (), True, id='the split ends'),
        pytest.param((1, 2), (2, 1), False, id='the weights change'),
    ],
)
def test_where_a_policy_leads_is_deleted_later_if_it_leads_nowhere_then(before, after, later):
    change = Change((FragmentChange(shared().ref, shared(*before), shared(*after)),), ())
    deletions = [command for command in plan.plan(change, Loaded()).commands if command.line.startswith('del map')]
    assert deletions
    assert {bool(command.removes) for command in deletions} == {later}
