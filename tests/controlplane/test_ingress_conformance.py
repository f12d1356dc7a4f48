"""The 25 scenarios of the retired conformance suite of Ingress, and the Ingresses and statuses that other programs rely on.

All by the API server, a process of headrace that is agent and controller, its HAProxy, and requests of real clients. The suite
is kubernetes-sigs/ingress-controller-conformance; like its client, that of these tests follows redirects.
"""

import contextlib
import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from conftest import binary, temporary_namespace
from support import certificates, objects
from support.api import home
from support.cluster import Cluster, pod
from support.live import until
from support.traffic import Town

VIP = '192.0.2.7'
ECHO, MANY = 'echo-service', 10
SECURE = 'foo.bar.com'
AGENT = 'Go-http-client/1.1'
CHALLENGE = '/.well-known/acme-challenge/Zm9vYmFy'

EXACT, PREFIX = 'Exact', 'Prefix'
HOST_RULES = {'*.foo.com': [('/', PREFIX, 'wildcard-foo-com')], SECURE: [('/', PREFIX, 'foo-bar-com')]}
PATH_RULES = {
    'exact-path-rules': [('/foo', EXACT, 'foo-exact')],
    'prefix-path-rules': [
        ('/foo', PREFIX, 'foo-prefix'),
        ('/aaa/bbb', PREFIX, 'aaa-slash-bbb-prefix'),
        ('/aaa', PREFIX, 'aaa-prefix'),
    ],
    'mixed-path-rules': [('/foo', PREFIX, 'foo-prefix'), ('/foo', EXACT, 'foo-exact')],
    'trailing-slash-path-rules': [
        ('/aaa/bbb/', PREFIX, 'aaa-slash-bbb-slash-prefix'),
        ('/foo/', EXACT, 'foo-slash-exact'),
    ],
}
CLASS_RULES = {'ingress-class': [('/', PREFIX, 'foo-prefix')]}

# Method, host and path of a request to the default backend; without a host it is the address that the client has.
DEFAULTS = [
    ('GET', 'my-host', '/'),
    ('GET', 'my-host', '/sub-path'),
    ('POST', 'some-host', '/'),
    ('PUT', '', '/resource'),
    ('DELETE', 'some-host', '/resource'),
    ('PATCH', 'my-host', '/resource'),
]
# The Service that a request goes to; None where the answer is 404.
HOSTS = [
    pytest.param(f'https://{SECURE}', 'foo-bar-com', id='an exact host by TLS'),
    pytest.param(f'http://{SECURE}', 'foo-bar-com', id='an exact host'),
    pytest.param('http://subdomain.bar.com', None, id='another host'),
    pytest.param('http://bar.foo.com', 'wildcard-foo-com', id='one label of a wildcard'),
    pytest.param('http://baz.bar.foo.com', None, id='two labels of a wildcard'),
    pytest.param('http://foo.com', None, id='no label of a wildcard'),
]
PATHS = [
    pytest.param('http://exact-path-rules/foo', 'foo-exact', id='exact'),
    pytest.param('http://exact-path-rules/foo/', None, id='exact, with a slash more'),
    pytest.param('http://exact-path-rules/FOO', None, id='exact, in capitals'),
    pytest.param('http://exact-path-rules/bar', None, id='exact, another path'),
    pytest.param('http://prefix-path-rules/foo', 'foo-prefix', id='prefix'),
    pytest.param('http://prefix-path-rules/foo/', 'foo-prefix', id='prefix, with a slash more'),
    pytest.param('http://prefix-path-rules/FOO', None, id='prefix, in capitals'),
    pytest.param('http://prefix-path-rules/aaa/bbb', 'aaa-slash-bbb-prefix', id='the longer prefix'),
    pytest.param('http://prefix-path-rules/aaa/bbb/ccc', 'aaa-slash-bbb-prefix', id='below the longer prefix'),
    pytest.param('http://prefix-path-rules/aaa/ccc', 'aaa-prefix', id='below the shorter prefix'),
    pytest.param('http://prefix-path-rules/aaaccc', None, id='a prefix within an element'),
    # The suite has this scenario twice.
    pytest.param('http://prefix-path-rules/foo/', 'foo-prefix', id='prefix, with a slash more, again'),
    pytest.param('http://mixed-path-rules/foo', 'foo-exact', id='exact before prefix'),
    pytest.param('http://trailing-slash-path-rules/aaa/bbb', 'aaa-slash-bbb-slash-prefix', id='prefix with a slash'),
    pytest.param(
        'http://trailing-slash-path-rules/aaa/bbb/', 'aaa-slash-bbb-slash-prefix', id='prefix with a slash, same'
    ),
    pytest.param('http://trailing-slash-path-rules/foo', None, id='exact with a slash'),
]


def rules(of):
    """Return the rules of an Ingress: paths, with their types and Services, by host."""
    return [
        {
            'host': host,
            'http': {
                'paths': [
                    {'path': path, 'pathType': kind, 'backend': {'service': {'name': name, 'port': {'number': 8080}}}}
                    for path, kind, name in entries
                ]
            },
        }
        for host, entries in of.items()
    ]


@dataclass
class Answer:
    """What a client got: the status, headers by lower-case name, and what the pod says it saw."""

    status: int
    headers: dict
    said: dict


@dataclass
class Edge:
    """What the scenarios share: the process of headrace, the class, the pods of each Service, and a client."""

    cluster: Cluster
    of: str
    port: int
    pods: dict
    trusted: str = ''

    def ask(self, url, method='GET'):
        """Send a request by a connection of its own, over TLS with the certificate verified, and follow a redirect."""
        parts = urlsplit(url)
        port = self.cluster.ports[parts.scheme]
        asked = http.client.HTTPConnection('127.0.0.1', port)
        with contextlib.closing(asked):
            asked.sock = socket.create_connection(('127.0.0.1', port), timeout=10)
            if parts.scheme == 'https':
                trust = ssl.create_default_context(cadata=self.trusted)
                asked.sock = trust.wrap_socket(asked.sock, server_hostname=parts.hostname)
            asked.request(method, parts.path or '/', headers={'Host': parts.netloc, 'User-Agent': AGENT})
            response = asked.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            text = response.read()
        if response.status == http.HTTPStatus.PERMANENT_REDIRECT:
            return self.ask(headers['location'], method)
        return Answer(response.status, headers, json.loads(text) if response.status == http.HTTPStatus.OK else {})

    def service(self, url):
        """Return the Service whose pod answers a request, None where the answer is 404."""
        try:
            answer = self.ask(url)
        except ssl.SSLError as error:
            return str(error)
        if answer.status != http.HTTPStatus.OK:
            return {404: None}.get(answer.status, answer.status)
        return next(name for name, pods in self.pods.items() if answer.said['pod'] in pods)

    def serves(self, url, service):
        """Wait until the pod of a Service answers a request."""
        until(lambda: self.service(url) == service, f'{url} is served by {service}')

    def web(self, name, pods, port=8080, **spec):
        """Return a Service with its slice, and note that these are its pods."""
        self.pods[name] = pods
        return (
            objects.service(name, ports=[{'name': 'http', 'port': port}], **spec),
            objects.endpoint_slice(name, addresses=pods, port=self.port, port_name='http'),
        )

    def certificate(self, name, host):
        """Return a Secret with a certificate that the client trusts from now on."""
        key, certificate = certificates.for_names(host)
        self.trusted += certificate.decode()
        return certificates.tls_secret(name, key, certificate)

    def ingress(self, name, **spec):
        """Return an Ingress of our class."""
        return objects.ingress(name, **{'ingressClassName': self.of, **spec})

    def has_address(self, name):
        """Wait until the status of an Ingress has the address of the edge."""
        until(lambda: self.cluster.ingress_status(name) == [{'ip': VIP}], f'{name} has an address')

    @contextlib.contextmanager
    def applied(self, *documents):
        """Apply objects, and delete them at the end."""
        with contextlib.ExitStack() as closing:
            for document in documents:
                self.cluster.put('', document)
                closing.callback(self.cluster.plane.api.delete, home(document)[1])
            yield


@pytest.fixture(scope='module')
def edge(control_plane):
    """Agent and controller, the Services with their pods, and the Ingresses of hosts and paths."""
    with contextlib.ExitStack() as closing:
        namespace = closing.enter_context(temporary_namespace(control_plane.api))
        town = Town()
        closing.callback(town.close)
        ingress_class = objects.ingress_class(namespace)
        control_plane.api.create(ingress_class)
        closing.callback(control_plane.api.delete, home(ingress_class)[1])
        cluster = Cluster(
            binary('haproxy-3.4'),
            control_plane,
            namespace,
            role='edge,controller',
            everywhere=True,
            namespaces=[],
            statusAddresses=[VIP],
        )
        closing.callback(cluster.close)
        found = Edge(cluster, namespace, town.port, {})
        for name in {ECHO, *(name for of in (HOST_RULES, PATH_RULES) for each in of.values() for *_, name in each)}:
            pods = [pod(town) for _ in range(MANY if name == ECHO else 1)]
            cluster.put('', *found.web(name, pods))
        cluster.start()
        until(lambda: cluster.times('this controller leads'), 'the controller leads')
        by_host = found.ingress('host-rules', rules=rules(HOST_RULES), tls=[{'hosts': [SECURE], 'secretName': 'tls'}])
        by_host['spec']['rules'][1]['http']['paths'][0]['backend']['service']['port'] = {'name': 'http'}
        cluster.put('', found.certificate('tls', SECURE), by_host, found.ingress('path-rules', rules=rules(PATH_RULES)))
        for name in ('host-rules', 'path-rules'):
            found.has_address(name)
        found.serves(f'https://{SECURE}', 'foo-bar-com')
        found.serves('http://exact-path-rules/foo', 'foo-exact')
        yield found
        assert not cluster.reloads()


@pytest.fixture(scope='module')
def default_backend(edge):
    """The Ingress that gives all requests without a rule to a Service of ten pods."""
    backend = {'service': {'name': ECHO, 'port': {'number': 8080}}}
    with edge.applied(edge.ingress('default-backend', defaultBackend=backend)):
        edge.has_address('default-backend')
        edge.serves('http://my-host/', ECHO)
        yield
    edge.serves('http://my-host/', None)


@pytest.mark.parametrize(('url', 'service'), HOSTS)
def test_a_request_goes_where_the_rule_of_its_host_says(edge, url, service):
    assert edge.service(url) == service
    if service:
        # TLS begins and ends at the edge, and the pod sees the host that the client asked for.
        assert edge.ask(url).said['headers']['host'] == urlsplit(url).netloc


@pytest.mark.parametrize(('url', 'service'), PATHS)
def test_a_request_goes_where_the_rule_of_its_path_says(edge, url, service):
    assert edge.service(url) == service


def test_an_ingress_of_a_foreign_class_has_no_address_and_serves_nothing(edge):
    foreign = edge.ingress('test-ingress-class', rules=rules(CLASS_RULES), ingressClassName='some-invalid-class-name')
    with edge.applied(foreign, edge.ingress('after', rules=rules({'after': [('/', PREFIX, 'foo-exact')]}))):
        edge.has_address('after')
        edge.serves('http://after/', 'foo-exact')
        assert edge.cluster.ingress_status('test-ingress-class') == []
        assert edge.service('http://ingress-class/') is None
        foreign['spec']['ingressClassName'] = edge.of
        edge.cluster.put('', foreign)
        edge.has_address('test-ingress-class')
        edge.serves('http://ingress-class/', 'foo-prefix')


def test_a_program_that_keeps_dns_records_reads_the_addresses_of_all_hosts(edge):
    assert edge.cluster.dns_records() == {host: [VIP] for host in (*HOST_RULES, *PATH_RULES)}


def test_an_issuer_of_certificates_is_answered_before_and_while_the_host_has_one(edge):
    """Try the Ingress of cert-manager's solver for HTTP-01, beside an Ingress that waits for its certificate."""
    host, solver = 'shop.foo.org', 'cm-acme-http-solver-lq9vd'
    shop = edge.ingress(
        'shop', rules=rules({host: [('/', PREFIX, 'foo-prefix')]}), tls=[{'hosts': [host], 'secretName': 'shop-tls'}]
    )
    challenge = edge.ingress(
        'cm-acme-http-solver-x7f2q',
        rules=[objects.ingress_rule(host, solver, CHALLENGE, 'ImplementationSpecific', 8089)],
        annotations={'nginx.ingress.kubernetes.io/whitelist-source-range': '0.0.0.0/0,::/0'},
    )
    challenge['metadata']['labels'] = {
        'acme.cert-manager.io/http-domain': '1234567890',
        'acme.cert-manager.io/http-token': '987654321',
        'acme.cert-manager.io/http01-solver': 'true',
    }
    pods = edge.pods['foo-exact']
    with edge.applied(shop, *edge.web(solver, pods, port=8089, type='NodePort'), challenge):
        edge.serves(f'http://{host}{CHALLENGE}', 'foo-exact')
        # Without its certificate the rest of the host is closed.
        assert edge.service(f'http://{host}/') == 503
        with edge.applied(edge.certificate('shop-tls', host)):
            edge.serves(f'https://{host}/', 'foo-prefix')
            assert edge.service(f'http://{host}/') == 'foo-prefix'
            # As when the certificate is renewed.
            assert edge.service(f'http://{host}{CHALLENGE}') == 'foo-exact'


@pytest.mark.usefixtures('default_backend')
@pytest.mark.parametrize(('method', 'host', 'path'), DEFAULTS)
def test_a_default_backend_gets_all_requests_that_no_rule_takes(edge, method, host, path):
    answer = edge.ask(f'http://{host or "127.0.0.1"}{path}', method)
    assert answer.status == 200
    assert answer.said['pod'] in edge.pods[ECHO]
    assert (answer.said['method'], answer.said['path']) == (method, path)
    assert answer.said['headers']['user-agent'] == AGENT
    assert int(answer.headers['content-length']) > 0


@pytest.mark.usefixtures('default_backend')
def test_the_requests_of_a_service_are_shared_by_all_its_pods(edge):
    # With the hundred requests of the suite, one run in 4,000 would leave a pod out by chance.
    answers = [edge.ask('http://load-balancing/') for _ in range(250)]
    assert {answer.said['pod'] for answer in answers} == set(edge.pods[ECHO])
