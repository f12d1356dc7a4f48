"""A real Kubernetes control plane: etcd, kube-apiserver and kube-controller-manager, and their faults.

It is on 127.0.0.1, where nodes and pods could not reach it; an address of this machine can be given instead.

Promises: free ports that it keeps while programs are stopped; all of it ends with the process that
started it, however that ends; `stop` leaves no process and no file.

By hand, from tests/: `../.venv/bin/python -m support.controlplane` says where its kubeconfig is, and
runs until Ctrl-C.
"""

import contextlib
import datetime as dt
import ipaddress
import json
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support import ports
from support.api import Api, ApiError, collection
from support.waiting import until

BIN = Path(__file__).resolve().parents[2] / 'bin'
START_WITHIN = 90.0
# No Node and no kubelet: only the controllers that a test of Services can meet.
CONTROLLERS = (
    'endpoints-controller',
    'endpointslice-controller',
    'endpointslice-mirroring-controller',
    'garbage-collector-controller',
    'namespace-controller',
    'root-ca-certificate-publisher-controller',
    'serviceaccount-controller',
    'serviceaccount-token-controller',
)
# And those that a real node and its pods need besides.
WITH_NODES = (
    *CONTROLLERS,
    'daemonset-controller',
    'deployment-controller',
    'disruption-controller',
    'job-controller',
    'node-lifecycle-controller',
    'pod-garbage-collector-controller',
    'replicaset-controller',
)
# The first of the addresses of Services is the API server's own.
FOR_PODS = '10.96.0.1'
SERVICE_CIDRS = '10.96.0.0/16,fd00:10:96::/112'
# What is asked in the name of a ServiceAccount; who asked for what is all that is noted.
AUDITED = {
    'apiVersion': 'audit.k8s.io/v1',
    'kind': 'Policy',
    'omitStages': ['RequestReceived'],
    'rules': [{'level': 'Metadata', 'userGroups': ['system:serviceaccounts']}, {'level': 'None'}],
}
RBAC = 'rbac.authorization.k8s.io'


class ControlPlane:
    """One control plane; `api` is its client as cluster-admin, `kubeconfig` the same for other programs."""

    def __init__(self, address=ports.LOCAL, controllers=CONTROLLERS):
        self.folder = Path(tempfile.mkdtemp(prefix='hr-plane-'))
        self.token = secrets.token_hex(16)
        self.address, self._controllers = address, controllers
        self.port, held = ports.reserve(address)
        self._etcd_port, held_for_etcd = ports.reserve()
        self._held = [held, held_for_etcd]
        self.url = f'https://{address}:{self.port}'
        self.ca = self.folder / 'ca.crt'
        _write_keys(self.folder, address)
        (self.folder / 'tokens.csv').write_text(f'{self.token},admin,admin,system:masters\n')
        (self.folder / 'audit.json').write_text(json.dumps(AUDITED))
        self.api = Api(self.url, self.token, self.ca)
        self.kubeconfig = self.write_kubeconfig(self.token)
        self._programs = {}
        # All programs are in its process group, and its standard input ends with this process.
        self._guard = subprocess.Popen(
            ['/bin/sh', '-c', 'read -r _; kill -KILL 0'], stdin=subprocess.PIPE, process_group=0
        )

    # --- start and end ---------------------------------------------------------------------------

    def __enter__(self):
        """Start everything, and wait until the API server and the controllers do their work."""
        started = time.monotonic()
        try:
            self._start_etcd()
            self._start_api_server()
            self._start_controllers()
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.monotonic() - started
        return self

    def __exit__(self, *_):
        """End everything, and leave nothing."""
        self.stop()

    def stop(self):
        """End everything, and leave nothing; a second time nothing is left to do."""
        if not self.folder.exists():
            return
        self._guard.stdin.close()
        for program in [self._guard, *self._programs.values()]:
            program.wait()
        for held in self._held:
            held.close()
        shutil.rmtree(self.folder)

    def rss(self):
        """Return the resident memory of each program in MiB."""
        found = {}
        for name, program in self._programs.items():
            status = Path(f'/proc/{program.pid}/status').read_text()
            found[name] = int(status.partition('VmRSS:')[2].split()[0]) // 1024
        return found

    def _start_etcd(self):
        url = f'http://{ports.LOCAL}:{self._etcd_port}'
        self._run(
            'etcd', f'--data-dir={self.folder}/etcd', '--unsafe-no-fsync', '--socket-reuse-port', '--log-level=warn',
            f'--listen-client-urls={url}', f'--advertise-client-urls={url}', f'--listen-peer-urls=http://{ports.LOCAL}:0',
        )  # fmt: skip

    def _start_api_server(self):
        self._run(
            'kube-apiserver', f'--etcd-servers=http://{ports.LOCAL}:{self._etcd_port}',
            f'--bind-address={self.address}', f'--secure-port={self.port}', '--permit-port-sharing',
            f'--advertise-address={self.address}',
            f'--endpoint-reconciler-type={"none" if self.address == ports.LOCAL else "lease"}',
            f'--tls-cert-file={self.folder}/server.crt', f'--tls-private-key-file={self.folder}/server.key',
            f'--cert-dir={self.folder}', f'--service-cluster-ip-range={SERVICE_CIDRS}', '--authorization-mode=RBAC',
            f'--token-auth-file={self.folder}/tokens.csv', '--service-account-issuer=https://kubernetes.default.svc',
            f'--service-account-key-file={self.folder}/accounts.key',
            f'--service-account-signing-key-file={self.folder}/accounts.key', '--profiling=false',
            '--shutdown-watch-termination-grace-period=2s', '--kubelet-preferred-address-types=InternalIP',
            f'--audit-policy-file={self.folder}/audit.json', f'--audit-log-path={self.folder}/audit.log',
        )  # fmt: skip
        self._wait('kube-apiserver', lambda: self.api.request('GET', '/readyz', seconds=5) == 'ok')

    def _start_controllers(self):
        self._run(
            'kube-controller-manager', f'--kubeconfig={self.kubeconfig}', '--leader-elect=false', '--secure-port=0',
            f'--controllers={",".join(self._controllers)}', '--kube-api-qps=500', '--kube-api-burst=1000',
            f'--service-account-private-key-file={self.folder}/accounts.key', f'--root-ca-file={self.ca}',
        )  # fmt: skip
        account = f'{collection("ServiceAccount", "default")}/default'
        self._wait('kube-controller-manager', lambda: self.api.get(account))

    def _run(self, name, *arguments):
        # Appended to: a program that is started again goes on with its log.
        with (self.folder / f'{name}.log').open('ab') as log:
            self._programs[name] = subprocess.Popen(
                [BIN / name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                process_group=self._guard.pid,
            )

    def _wait(self, name, ready):
        """Wait until `ready()` is true; fail with the end of the program's log when it ends, or is too slow."""

        def answered():
            if (code := self._programs[name].poll()) is not None:
                raise RuntimeError(f'{name} ended with {code}:\n{self.log(name)}')
            try:
                return ready()
            except (ApiError, OSError):
                return False

        try:
            until(answered, f'{name} is ready', within=START_WITHIN)
        except AssertionError as error:
            error.add_note(self.log(name))
            raise

    def log(self, name):
        """Return the end of what a program said."""
        return '\n'.join((self.folder / f'{name}.log').read_text(errors='replace').splitlines()[-30:])

    # --- faults ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def api_server_down(self, how=signal.SIGTERM):
        """End the API server (SIGTERM: gracefully; SIGKILL), and at the end start it again on what etcd holds."""
        program = self._programs['kube-apiserver']
        program.send_signal(how)
        program.wait()
        try:
            yield
        finally:
            self._start_api_server()

    @contextlib.contextmanager
    def api_server_paused(self):
        """Let the API server keep all connections and answer nothing, and at the end go on."""
        program = self._programs['kube-apiserver']
        program.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            program.send_signal(signal.SIGCONT)

    def restart_api_server(self, how=signal.SIGTERM):
        """End the API server and start it again."""
        with self.api_server_down(how):
            pass

    def compact(self):
        """Make etcd forget all versions but the newest.

        The API server's own memory of changes is gone with `restart_api_server` only.
        """
        key = {'key': 'AA==', 'range_end': 'AA==', 'count_only': True}
        revision = self._etcd('kv/range', key)['header']['revision']
        self._etcd('kv/compaction', {'revision': revision, 'physical': True})

    def _etcd(self, what, body):
        url = f'http://{ports.LOCAL}:{self._etcd_port}/v3/{what}'
        request = urllib.request.Request(url, json.dumps(body).encode(), {'Content-Type': 'application/json'})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    # --- who may what ----------------------------------------------------------------------------

    def service_account(self, namespace, name, rules, *, everywhere=False):
        """Make a ServiceAccount that may do what RBAC rules say, and return a token of it that is let in.

        The rules hold in the namespace, or everywhere; all of it ends with the namespace.
        """
        metadata = {'namespace': namespace, 'name': name}
        self.api.create({'apiVersion': 'v1', 'kind': 'ServiceAccount', 'metadata': metadata})
        self.grant(namespace, name, rules, everywhere=everywhere)
        path = f'{collection("ServiceAccount", namespace)}/{name}/token'
        return self.api.request('POST', path, {'spec': {'expirationSeconds': 3600}})['status']['token']

    def grant(self, namespace, name, rules, *, everywhere=False, role=''):
        """Give a ServiceAccount rights, in its namespace or everywhere, and wait until the API server knows it.

        The role has its name, unless it is to have others.
        """
        metadata = {'namespace': namespace, 'name': role or name}
        kind = 'Role'
        if everywhere:
            kind = 'ClusterRole'
            owner = self.api.get(f'{collection("Namespace")}/{namespace}')
            reference = {'apiVersion': 'v1', 'kind': 'Namespace', 'name': namespace, 'uid': owner['metadata']['uid']}
            metadata = {'name': f'{namespace}-{role or name}', 'ownerReferences': [reference]}
        document = {'apiVersion': f'{RBAC}/v1', 'kind': kind, 'metadata': metadata}
        self.api.create({**document, 'rules': rules})
        self.api.create(
            {
                **document,
                'kind': f'{kind}Binding',
                'roleRef': {'apiGroup': RBAC, 'kind': kind, 'name': metadata['name']},
                'subjects': [{'kind': 'ServiceAccount', 'name': name, 'namespace': namespace}],
            }
        )
        if rules:
            until(lambda: self._allowed(namespace, name, rules[-1]), f'{namespace}/{name} has its rights')

    def audited(self, namespace):
        """Return what the API server noted of calls by the ServiceAccounts of a namespace, oldest first."""
        user = f'system:serviceaccount:{namespace}:'
        noted = map(json.loads, (self.folder / 'audit.log').read_text().splitlines())
        return [event for event in noted if event['user']['username'].startswith(user)]

    def as_bearer(self, token):
        """Return a client that shows another token."""
        return Api(self.url, token, self.ca)

    def write_kubeconfig(self, token, url=None):
        """Write a kubeconfig for a token, straight to the API server or to what stands before it."""
        cluster = {'server': url or self.url, 'certificate-authority': str(self.ca)}
        content = {
            'apiVersion': 'v1',
            'kind': 'Config',
            'clusters': [{'name': 'tests', 'cluster': cluster}],
            'users': [{'name': 'bearer', 'user': {'token': token}}],
            'contexts': [{'name': 'tests', 'context': {'cluster': 'tests', 'user': 'bearer'}}],
            'current-context': 'tests',
        }
        path = self.folder / f'kubeconfig-{secrets.token_hex(4)}'
        path.write_text(json.dumps(content))
        return path

    def _allowed(self, namespace, name, rule):
        """Whether the API server knows already what a rule allows."""
        attributes = {
            'namespace': namespace,
            'verb': rule['verbs'][0],
            'group': rule['apiGroups'][0],
            'resource': rule['resources'][0].partition('/')[0],
            'subresource': rule['resources'][0].partition('/')[2],
            'name': next(iter(rule.get('resourceNames', [''])), ''),
        }
        spec = {'user': f'system:serviceaccount:{namespace}:{name}', 'resourceAttributes': attributes}
        review = {'apiVersion': 'authorization.k8s.io/v1', 'kind': 'SubjectAccessReview', 'metadata': {}, 'spec': spec}
        return self.api.create(review)['status']['allowed']


def _write_keys(folder, address):
    """Write an authority, the API server's certificate by it, and the key that signs tokens of ServiceAccounts."""
    now = dt.datetime.now(dt.UTC)
    lasts = now - dt.timedelta(hours=1), now + dt.timedelta(days=2)
    authority, server, accounts = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))

    def certificate(subject, key, *extensions):
        named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
        by = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'tests-ca')])
        builder = x509.CertificateBuilder(by, named, key.public_key(), x509.random_serial_number(), *lasts)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    addresses = {ports.LOCAL, address, FOR_PODS}
    names = [*(x509.IPAddress(ipaddress.ip_address(each)) for each in sorted(addresses)), x509.DNSName('localhost')]
    basic = x509.BasicConstraints(ca=True, path_length=None)
    (folder / 'ca.crt').write_bytes(certificate('tests-ca', authority, basic))
    (folder / 'server.crt').write_bytes(certificate('kube-apiserver', server, x509.SubjectAlternativeName(names)))
    for name, key in {'server': server, 'accounts': accounts}.items():
        form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
        (folder / f'{name}.key').write_bytes(key.private_bytes(*form, serialization.NoEncryption()))


def main():
    """Run a control plane until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), ControlPlane() as plane:
        print(f'started in {plane.start_seconds:.1f} s, MiB: {plane.rss()}')  # noqa: T201
        print(f'export KUBECONFIG={plane.kubeconfig}', flush=True)  # noqa: T201
        signal.pause()


if __name__ == '__main__':
    main()
