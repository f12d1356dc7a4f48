"""Who this process is to the API server: its address, TLS, and a credential that may change at any time.

Inside a cluster this comes from the ServiceAccount's files, outside from a kubeconfig's current context. Tokens are read
again for each request, because the kubelet exchanges them; nothing here is ever logged.
"""

import asyncio
import base64
import contextlib
import datetime as dt
import json
import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

_FILES = Path('/var/run/secrets/kubernetes.io/serviceaccount')
_EXEC_SECONDS = 60.0
# A token that ends within this time is not used any more.
_MARGIN = dt.timedelta(seconds=60)

Document = Mapping[str, object]
# Gives what follows the scheme in the header, '' for none; `True` says that the server refused the one given before.
Token = Callable[[bool], Awaitable[str]]
# PyYAML's constructors let through what Python raises, as for the date 2020-13-45.
_UNREADABLE = (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError, ValueError)


class AccessError(Exception):
    """There is no way to the API server: no kubeconfig, or one that cannot be used; the message names the field."""


@dataclass(frozen=True, slots=True)
class Access:
    """The way to one API server. `namespace` is the process's own, `default` where nothing says.

    `server_name` is the name in the server's certificate, where it is not that of the address; `proxy` is the URL of
    an HTTP proxy, '' for none. `token_file` is the file of a kubeconfig's token, None for none; that of a pod is the kubelet's.
    """

    server: str
    tls: ssl.SSLContext | bool
    token: Token
    namespace: str
    scheme: str = 'Bearer'
    server_name: str = ''
    proxy: str = ''
    token_file: Path | None = None


def find(
    kubeconfig: Path | None, context: str = '', environment: Mapping[str, str] = os.environ, files: Path = _FILES
) -> Access:
    """Return the access that a kubeconfig gives, else the ServiceAccount of this pod, else the usual kubeconfig.

    Raises AccessError.
    """
    if kubeconfig is not None:
        return of_kubeconfig(kubeconfig, context)
    if environment.get('KUBERNETES_SERVICE_HOST') and (files / 'token').exists():
        return of_service_account(environment, files)
    path = environment.get('KUBECONFIG', '').partition(os.pathsep)[0]
    return of_kubeconfig(Path(path) if path else Path.home() / '.kube' / 'config', context)


def of_service_account(environment: Mapping[str, str], files: Path = _FILES) -> Access:
    """Return the access that a pod's ServiceAccount has; raises AccessError."""
    host, port = environment['KUBERNETES_SERVICE_HOST'], environment.get('KUBERNETES_SERVICE_PORT', '443')
    try:
        tls = _context(cafile=str(files / 'ca.crt'))
        namespace = (files / 'namespace').read_text().strip()
    except OSError as error:
        raise AccessError(f'{files}: {error}') from error
    return Access(
        f'https://[{host}]:{port}' if ':' in host else f'https://{host}:{port}',
        tls,
        _of_file(files / 'token'),
        namespace,
    )


def _context(cafile: str | None = None, cadata: str | None = None) -> ssl.SSLContext:
    """Return what connections to an API server are made with; without an authority, that of the system's."""
    tls = ssl.create_default_context(cafile=cafile, cadata=cadata)
    # From Python 3.13 on its default refuses certificates without key identifiers, which old clusters have; Go's
    # clients, and so all others of a cluster, do not ask for them.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return tls


def of_kubeconfig(path: Path, context: str = '') -> Access:
    """Return the access of a context of a kubeconfig, the current one unless named; raises AccessError."""
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise AccessError(f'{path}: {error}') from error
    except _UNREADABLE as error:
        # What YAML says quotes the line at fault, which may hold a token; so may what it was raised from.
        mark = getattr(error, 'problem_mark', None)
        raise AccessError(f'{path}: not YAML{f", line {mark.line + 1}" if mark else ""}') from None
    try:
        name = context or _text(document, 'current-context')
        entry = _entry(document, 'contexts', name, 'context')
        cluster = _entry(document, 'clusters', _text(entry, 'cluster'), 'cluster')
        user = _entry(document, 'users', _text(entry, 'user'), 'user')
        _check_support(cluster, user)
        tls = _tls(cluster, user, path.parent)
        scheme, token = _credential(user, path.parent, tls)
        return Access(
            _text(cluster, 'server').rstrip('/'),
            tls,
            token,
            _optional(entry, 'namespace') or 'default',
            scheme,
            _optional(cluster, 'tls-server-name'),
            _optional(cluster, 'proxy-url'),
            _token_file(user, path.parent),
        )
    except (AccessError, OSError) as error:
        raise AccessError(f'{path}: {error}') from error


def _entry(document: object, section: str, name: str, kind: str) -> Document:
    """Return the entry of a kubeconfig's list that has this name."""
    entries = document.get(section) if isinstance(document, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get('name') == name and isinstance(entry.get(kind), dict):
            return entry[kind]  # type: ignore[no-any-return]
    raise AccessError(f'{section} holds no {kind} named {name!r}')


def _text(document: object, key: str) -> str:
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, str) or not value:
        raise AccessError(f'{key} is missing')
    return value


def _optional(document: Document, key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ''


def _material(document: Document, key: str, folder: Path) -> bytes:
    """Return what stands base64-encoded under `KEY-data`, else in the file under KEY; b'' for neither."""
    if data := _optional(document, f'{key}-data'):
        try:
            return base64.b64decode(''.join(data.split()), validate=True)
        except ValueError:
            raise AccessError(f'{key}-data is no base64') from None
    path = _optional(document, key)
    return (folder / path).read_bytes() if path else b''


def _tls(cluster: Document, user: Document, folder: Path) -> ssl.SSLContext | bool:
    if not _text(cluster, 'server').startswith('https:'):
        return False
    authority = _material(cluster, 'certificate-authority', folder)
    try:
        tls = _context(cadata=authority.decode('ascii') if authority else None)
    except ValueError as error:
        raise AccessError(f'certificate-authority holds no certificates: {type(error).__name__}') from error
    except ssl.SSLError as error:
        raise AccessError(f'certificate-authority holds no certificates: {error.reason}') from error
    if cluster.get('insecure-skip-tls-verify') is True:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    certificate, key = _material(user, 'client-certificate', folder), _material(user, 'client-key', folder)
    if bool(certificate) != bool(key):
        raise AccessError(f'{"client-key" if certificate else "client-certificate"} is missing')
    if certificate:
        try:
            load_certificate(tls, certificate, key)
        except ssl.SSLError as error:
            raise AccessError(f'client-certificate and client-key are no pair: {error.reason}') from error
    return tls


def load_certificate(tls: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Let a context show a certificate; Python takes it from a file only, which is gone at once."""
    with tempfile.NamedTemporaryFile(prefix='headrace-') as file:
        file.write(certificate + b'\n' + key)
        file.flush()
        # Without a password OpenSSL would ask for one at the terminal.
        tls.load_cert_chain(file.name, password='')


def _check_support(cluster: Document, user: Document) -> None:
    """Raise for what would be left out: its author relies on it."""
    if user.get('auth-provider') is not None:
        raise AccessError('auth-provider is not supported; use a credential plugin (exec)')
    for key in ('as', 'as-uid', 'as-groups', 'as-user-extra'):
        if user.get(key):
            raise AccessError(f'{key}: impersonation is not supported')
    proxy = _optional(cluster, 'proxy-url')
    if proxy and not proxy.startswith(('http://', 'https://')):
        # The URL may hold a password.
        raise AccessError(f'proxy-url: {proxy.partition(":")[0]} is not supported; http and https are')
    if proxy and _optional(cluster, 'tls-server-name'):
        raise AccessError('tls-server-name and proxy-url cannot be used together')


def _credential(user: Document, folder: Path, tls: ssl.SSLContext | bool) -> tuple[str, Token]:  # noqa: FBT001
    """Return the scheme of the header, and what gives what follows it."""
    if token := _optional(user, 'token'):
        return 'Bearer', _of_text(token.strip())
    if (file := _token_file(user, folder)) is not None:
        return 'Bearer', _of_file(file)
    if name := _optional(user, 'username'):
        both = f'{name}:{_optional(user, "password")}'
        return 'Basic', _of_text(base64.b64encode(both.encode()).decode())
    plugin = user.get('exec')
    if isinstance(plugin, dict):
        return 'Bearer', _Plugin(plugin, folder, tls).token
    return 'Bearer', _of_text('')


def _token_file(user: Document, folder: Path) -> Path | None:
    file = '' if _optional(user, 'token') else _optional(user, 'tokenFile')
    return folder / file if file else None


def _of_text(token: str) -> Token:
    async def give(_: bool) -> str:  # noqa: FBT001
        return token

    return give


def _of_file(path: Path) -> Token:
    async def give(_: bool) -> str:  # noqa: FBT001
        try:
            return path.read_text().strip()  # noqa: ASYNC240  a file in memory
        except (OSError, UnicodeDecodeError) as error:
            raise AccessError(f'{path}: {error}') from error

    return give


class _Plugin:
    """A credential plugin of client-go (`users[].user.exec`): a program that prints an ExecCredential.

    That is a token, a client certificate, which the next connections show, or both.
    """

    def __init__(self, document: Document, folder: Path, tls: ssl.SSLContext | bool) -> None:  # noqa: FBT001
        self._tls = tls
        arguments = document.get('args')
        command = _text(document, 'command')
        program = str(folder / command) if '/' in command and not command.startswith('/') else command
        self._command: Sequence[str] = [program, *map(str, arguments if isinstance(arguments, list) else [])]
        self._version = _optional(document, 'apiVersion') or 'client.authentication.k8s.io/v1'
        variables = document.get('env')
        self._environment = {
            _text(item, 'name'): _optional(item, 'value')
            for item in (variables if isinstance(variables, list) else [])
            if isinstance(item, dict)
        }
        self._token: str | None = None
        self._until: dt.datetime | None = None
        self._turn = asyncio.Lock()

    async def token(self, renew: bool) -> str:  # noqa: FBT001
        """Return the token that the program gave, asking again when it has ended or was refused."""
        async with self._turn:
            is_expired = self._until is not None and dt.datetime.now(dt.UTC) >= self._until - _MARGIN
            if self._token is None or renew or is_expired:
                await self._ask()
            return self._token or ''

    async def _ask(self) -> None:
        request = {'apiVersion': self._version, 'kind': 'ExecCredential', 'spec': {'interactive': False}}
        environment = {**os.environ, **self._environment, 'KUBERNETES_EXEC_INFO': json.dumps(request)}
        try:
            status = json.loads(await _output_of(self._command, environment))['status']
            has_certificate = self._load_certificate_of(status)
            token = (_optional if has_certificate else _text)(status, 'token').strip()
            ends = _optional(status, 'expirationTimestamp')
            until = dt.datetime.fromisoformat(ends) if ends else None
        except AccessError as error:
            raise AccessError(f'{self._command[0]}: no credential: {error}') from error
        except (OSError, TimeoutError, ValueError, KeyError, TypeError) as error:
            # Only its type: what was printed holds the token.
            raise AccessError(f'{self._command[0]}: no credential: {type(error).__name__}') from None
        # RFC 3339 requires a zone; a time without one counts as UTC.
        self._token, self._until = token, until.replace(tzinfo=dt.UTC) if until and until.tzinfo is None else until

    def _load_certificate_of(self, status: object) -> bool:
        """Let new connections show the certificate in a status; return whether there is one."""
        if not isinstance(status, dict):
            return False
        certificate, key = _optional(status, 'clientCertificateData'), _optional(status, 'clientKeyData')
        if not certificate or not key or not isinstance(self._tls, ssl.SSLContext):
            return False
        load_certificate(self._tls, certificate.encode(), key.encode())
        return True


async def _output_of(command: Sequence[str], environment: Mapping[str, str]) -> bytes:
    """Return what a program prints; one that takes too long is ended."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env=environment
    )
    try:
        async with asyncio.timeout(_EXEC_SECONDS):
            output, _ = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    return output
