"""The way to the API server: a kubeconfig, or a ServiceAccount's files; tokens that change; and nothing secret told."""

import asyncio
import base64
import datetime as dt
import json
import os
import ssl
import sys
import traceback
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization

from headrace.kube import access
from headrace.kube.access import AccessError
from headrace.names import Ref
from headrace.translate import placeholder_certificates

SECRET = 'abcdef-never-to-be-told'
BOTH, ALONE = placeholder_certificates.certificate(Ref('Secret', '', 'client'))
KEY = BOTH.removeprefix(ALONE)
OTHER = placeholder_certificates.certificate(Ref('Secret', '', 'other'))[1]
LOCKED = serialization.load_pem_private_key(KEY, None).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b'locked')
)


def coded(data):
    return base64.b64encode(data).decode()


def config(user=None, cluster=None, context=None, **more):
    return {
        'current-context': 'here',
        'contexts': [{'name': 'here', 'context': {'cluster': 'c', 'user': 'u', **(context or {})}}],
        'clusters': [{'name': 'c', 'cluster': {'server': 'https://127.0.0.1:6443/', **(cluster or {})}}],
        'users': [{'name': 'u', 'user': user or {}}],
        **more,
    }


@pytest.fixture
def kubeconfig(tmp_path):
    """Write a kubeconfig (a document or a text), and return its path."""

    def write(document):
        path = tmp_path / 'config'
        path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
        return path

    return write


@pytest.fixture
def program(tmp_path):
    """Write a credential plugin whose body is Python, and return its path."""

    def write(body):
        path = tmp_path / 'plugin'
        path.write_text(f'#!{sys.executable}\nimport json, os, sys, time, pathlib\n{body}\n')
        path.chmod(0o755)
        return path

    return write


def token_of(path, *, refused=False):
    found = access.of_kubeconfig(path)
    return asyncio.run(found.token(refused))


def refusal(act):
    """Return the message of the AccessError; neither it nor anything that a log would show holds the secret."""
    with pytest.raises(AccessError) as found:
        act()
    shown = ''.join(traceback.format_exception(found.value.with_traceback(None)))
    assert SECRET not in shown
    return str(found.value)


# --- a kubeconfig -----------------------------------------------------------------------------------------------------


def test_the_current_context_says_server_namespace_and_user(kubeconfig):
    path = kubeconfig(config({'token': 'mine'}, context={'namespace': 'shop'}))
    found = access.of_kubeconfig(path)
    assert (found.server, found.namespace) == ('https://127.0.0.1:6443', 'shop')
    assert isinstance(found.tls, ssl.SSLContext)
    assert found.tls.verify_mode is ssl.CERT_REQUIRED
    assert token_of(path) == 'mine'


def test_a_named_context_goes_before_the_current_one(kubeconfig):
    document = config()
    document['contexts'].append({'name': 'there', 'context': {'cluster': 'far', 'user': 'u', 'namespace': 'x'}})
    document['clusters'].append({'name': 'far', 'cluster': {'server': 'http://127.0.0.2:8080'}})
    found = access.of_kubeconfig(kubeconfig(document), 'there')
    assert (found.server, found.tls, found.namespace) == ('http://127.0.0.2:8080', False, 'x')


def test_a_context_without_a_namespace_means_default(kubeconfig):
    assert access.of_kubeconfig(kubeconfig(config())).namespace == 'default'


def test_a_user_without_credentials_has_no_token(kubeconfig):
    assert token_of(kubeconfig(config())) == ''


def test_blanks_around_a_token_are_none_of_it(kubeconfig):
    assert token_of(kubeconfig(config({'token': 'mine\n'}))) == 'mine'


def test_a_token_file_is_read_again_each_time_from_the_folder_of_the_kubeconfig(kubeconfig, tmp_path):
    (tmp_path / 'token').write_text('first\n')
    give = access.of_kubeconfig(kubeconfig(config({'tokenFile': 'token'}))).token
    assert asyncio.run(give(False)) == 'first'
    (tmp_path / 'token').write_text('second\n')
    assert asyncio.run(give(False)) == 'second'


def test_a_token_file_that_is_gone_or_no_text_is_told_with_its_path(kubeconfig, tmp_path):
    give = access.of_kubeconfig(kubeconfig(config({'tokenFile': 'token'}))).token
    assert f'{tmp_path}/token' in refusal(lambda: asyncio.run(give(False)))
    (tmp_path / 'token').write_bytes(b'\xff\xfe')
    assert f'{tmp_path}/token' in refusal(lambda: asyncio.run(give(False)))


def test_an_authority_is_the_only_one_trusted(kubeconfig, tmp_path):
    (tmp_path / 'ca.crt').write_bytes(ALONE)
    by_file = access.of_kubeconfig(kubeconfig(config(cluster={'certificate-authority': 'ca.crt'})))
    by_data = access.of_kubeconfig(kubeconfig(config(cluster={'certificate-authority-data': coded(ALONE)})))
    assert [len(found.tls.get_ca_certs(binary_form=True)) for found in (by_file, by_data)] == [1, 1]


def test_base64_may_be_broken_into_lines(kubeconfig):
    folded = '\n'.join(coded(ALONE)[start : start + 64] for start in range(0, 4000, 64))
    found = access.of_kubeconfig(kubeconfig(config(cluster={'certificate-authority-data': folded})))
    assert len(found.tls.get_ca_certs(binary_form=True)) == 1


@pytest.mark.parametrize(('said', 'checked'), [(True, False), (False, True), ('true', True)])
def test_only_a_plain_true_switches_the_check_of_the_server_off(kubeconfig, said, checked):
    tls = access.of_kubeconfig(kubeconfig(config(cluster={'insecure-skip-tls-verify': said}))).tls
    assert (tls.check_hostname, tls.verify_mode is ssl.CERT_REQUIRED) == (checked, checked)


def shown(ours):
    """Return the certificate that a server sees."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    access.load_certificate(server, ALONE, KEY)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=ALONE.decode())
    ours.check_hostname, ours.verify_mode = False, ssl.CERT_NONE

    async def meet():
        seen = asyncio.get_running_loop().create_future()

        async def serve(_, writer):
            seen.set_result(writer.get_extra_info('ssl_object').getpeercert(binary_form=True))
            writer.close()

        async with await asyncio.start_server(serve, '127.0.0.1', 0, ssl=server) as listening:
            port = listening.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection('127.0.0.1', port, ssl=ours)
            await reader.read()
            writer.close()
        return await seen

    return ssl.DER_cert_to_PEM_cert(asyncio.run(meet())).encode()


def test_a_client_certificate_is_shown_to_the_server(kubeconfig):
    user = {'client-certificate-data': coded(ALONE), 'client-key-data': coded(KEY)}
    assert shown(access.of_kubeconfig(kubeconfig(config(user))).tls) == ALONE


def without(document, *keys):
    for key in keys[:-1]:
        document = document[key]
    del document[keys[-1]]


@pytest.mark.parametrize(
    ('keys', 'said'),
    [
        pytest.param(['current-context'], 'current-context is missing', id='current-context'),
        pytest.param(['contexts'], "contexts holds no context named 'here'", id='contexts'),
        pytest.param(['contexts', 0, 'context'], "contexts holds no context named 'here'", id='context'),
        pytest.param(['contexts', 0, 'context', 'cluster'], 'cluster is missing', id='the context names no cluster'),
        pytest.param(['contexts', 0, 'context', 'user'], 'user is missing', id='the context names no user'),
        pytest.param(['clusters', 0], "clusters holds no cluster named 'c'", id='cluster'),
        pytest.param(['clusters', 0, 'cluster', 'server'], 'server is missing', id='server'),
        pytest.param(['users', 0], "users holds no user named 'u'", id='user'),
    ],
)
def test_a_piece_that_is_missing_is_named(kubeconfig, keys, said):
    document = config({'token': SECRET})
    without(document, *keys)
    path = kubeconfig(document)
    assert refusal(lambda: access.of_kubeconfig(path)) == f'{path}: {said}'


HALF = {'client-certificate-data': coded(ALONE)}


@pytest.mark.parametrize(
    ('user', 'cluster', 'said'),
    [
        pytest.param({}, {'certificate-authority-data': f'{SECRET}!'}, 'certificate-authority-data is no base64', id='no base64'),
        pytest.param({}, {'certificate-authority-data': 'é'}, 'certificate-authority-data is no base64', id='not ASCII'),
        pytest.param({}, {'certificate-authority-data': coded(b'no PEM')}, 'certificate-authority holds no certificates', id='no PEM'),
        pytest.param({}, {'certificate-authority-data': coded(b'\xff\xfe')}, 'certificate-authority holds no certificates', id='binary'),
        pytest.param({}, {'certificate-authority': 'nowhere'}, 'nowhere', id='a file that is not there'),
        pytest.param(HALF, {}, 'client-key is missing', id='a certificate without its key'),
        pytest.param({'client-key-data': coded(KEY)}, {}, 'client-certificate is missing', id='a key without its certificate'),
        pytest.param({**HALF, 'client-key-data': coded(SECRET.encode())}, {}, 'client-certificate and client-key are no pair', id='no key'),
        pytest.param({'client-certificate-data': coded(OTHER), 'client-key-data': coded(KEY)}, {}, 'client-certificate and client-key are no pair', id="another's key"),
        pytest.param({**HALF, 'client-key-data': coded(LOCKED)}, {}, 'client-certificate and client-key are no pair', id='an encrypted key without its password'),
        pytest.param({**HALF, 'client-key-data': f'{SECRET}!'}, {}, 'client-key-data is no base64', id='a key that is no base64'),
        pytest.param({'exec': {}}, {}, 'command is missing', id='a plugin without a command'),
        pytest.param({'exec': {'command': 'x', 'env': [{'value': SECRET}]}}, {}, 'name is missing', id='a variable without a name'),
    ],
)  # fmt: skip
def test_a_piece_that_cannot_be_used_is_named(kubeconfig, user, cluster, said):
    path = kubeconfig(config(user, cluster))
    message = refusal(lambda: access.of_kubeconfig(path))
    assert message.startswith(f'{path}: ')
    assert said in message


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        pytest.param(f'a: 1\ntoken: "{SECRET}', 'not YAML, line 2', id='a quote without an end'),
        pytest.param(f'token: *{SECRET}', 'not YAML, line 1', id='an alias of nothing'),
        pytest.param('since: 2020-13-45', 'not YAML', id='a date that is none'),
        pytest.param('', 'current-context is missing', id='nothing'),
        pytest.param(f'[{SECRET}]', 'current-context is missing', id='a list'),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_told_by_the_line_alone(kubeconfig, text, said):
    path = kubeconfig(text)
    assert refusal(lambda: access.of_kubeconfig(path)) == f'{path}: {said}'


def test_a_kubeconfig_that_is_not_there_is_told_with_its_path(tmp_path):
    assert f'{tmp_path}/config' in refusal(lambda: access.of_kubeconfig(tmp_path / 'config'))


# --- a credential plugin ----------------------------------------------------------------------------------------------

COUNTING = """
seen = pathlib.Path(__file__).with_name('seen')
count = len(seen.read_text().splitlines()) + 1 if seen.exists() else 1
with seen.open('a') as file:
    print(json.dumps([sys.argv[1:], os.environ.get('REGION'), os.environ['KUBERNETES_EXEC_INFO']]), file=file)
print(json.dumps({'kind': 'ExecCredential', 'status': {'token': f'token-{count}', **json.loads(os.environ.get('MORE', '{}'))}}))
"""


def plugin(path, **more):
    return config({'exec': {'command': path.name if more.pop('bare', False) else str(path), **more}})


def asked(tmp_path):
    return [json.loads(line) for line in (tmp_path / 'seen').read_text().splitlines()]


def test_a_plugin_is_asked_once_and_told_what_client_go_tells(kubeconfig, program, tmp_path):
    document = plugin(
        program(COUNTING), args=['get', 5], env=[{'name': 'REGION', 'value': 'eu'}, 'no variable'],
        apiVersion='client.authentication.k8s.io/v1beta1',
    )  # fmt: skip
    give = access.of_kubeconfig(kubeconfig(document)).token
    assert [asyncio.run(give(False)) for _ in range(2)] == ['token-1', 'token-1']
    ((arguments, region, info),) = asked(tmp_path)
    assert (arguments, region) == (['get', '5'], 'eu')
    assert json.loads(info) == {
        'apiVersion': 'client.authentication.k8s.io/v1beta1',
        'kind': 'ExecCredential',
        'spec': {'interactive': False},
    }


def test_a_plugin_with_a_relative_path_is_found_from_the_kubeconfig(kubeconfig, program):
    program(COUNTING)
    assert token_of(kubeconfig(config({'exec': {'command': './plugin', 'env': None, 'args': None}}))) == 'token-1'


def test_a_plugin_without_a_path_is_found_where_programs_are(kubeconfig, program, monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', f'{tmp_path}{os.pathsep}{os.environ["PATH"]}')
    assert token_of(kubeconfig(plugin(program(COUNTING), bare=True))) == 'token-1'


def test_a_plugin_is_asked_again_when_the_server_has_refused_its_token(kubeconfig, program):
    give = access.of_kubeconfig(kubeconfig(plugin(program(COUNTING)))).token
    assert [asyncio.run(give(refused)) for refused in (False, True, False)] == ['token-1', 'token-2', 'token-2']


@pytest.mark.parametrize(
    ('ends', 'second'),
    [
        pytest.param(dt.timedelta(hours=1), 'token-1', id='in an hour'),
        pytest.param(dt.timedelta(seconds=30), 'token-2', id='so soon that a request might be late'),
        pytest.param(dt.timedelta(hours=-1), 'token-2', id='long ago'),
    ],
)
@pytest.mark.parametrize('shape', ['%Y-%m-%dT%H:%M:%SZ', '%Y-%m-%dT%H:%M:%S+00:00', '%Y-%m-%dT%H:%M:%S'])
def test_a_plugin_is_asked_again_when_its_token_ends(kubeconfig, program, ends, second, shape):
    more = json.dumps({'expirationTimestamp': (dt.datetime.now(dt.UTC) + ends).strftime(shape)})
    document = plugin(program(COUNTING), env=[{'name': 'MORE', 'value': more}])
    give = access.of_kubeconfig(kubeconfig(document)).token
    assert [asyncio.run(give(False)) for _ in range(2)] == ['token-1', second]


def test_those_who_ask_at_the_same_time_start_a_plugin_once(kubeconfig, program, tmp_path):
    give = access.of_kubeconfig(kubeconfig(plugin(program(COUNTING)))).token

    async def together():
        return await asyncio.gather(*(give(False) for _ in range(5)))

    assert asyncio.run(together()) == ['token-1'] * 5
    assert len(asked(tmp_path)) == 1


@pytest.mark.parametrize(
    ('body', 'said'),
    [
        pytest.param('sys.exit(1)', 'JSONDecodeError', id='it fails'),
        pytest.param(f'print("{SECRET}")', 'JSONDecodeError', id='it prints something else'),
        pytest.param('print("{}")', 'KeyError', id='no status'),
        pytest.param('print("[]")', 'TypeError', id='a list'),
        pytest.param('print(json.dumps({"status": None}))', 'token is missing', id='an empty status'),
        pytest.param(f'print(json.dumps({{"status": {{"token": ["{SECRET}"]}}}}))', 'token is missing', id='a token that is no text'),
        pytest.param(f'print(json.dumps({{"status": {{"token": "{SECRET}", "expirationTimestamp": "soon"}}}}))', 'ValueError', id='a time that is none'),
    ],
)  # fmt: skip
def test_a_plugin_without_a_credential_is_named_and_what_it_printed_is_not_told(kubeconfig, program, body, said):
    path = program(body)
    config_path = kubeconfig(plugin(path))
    assert refusal(lambda: token_of(config_path)) == f'{path}: no credential: {said}'


def test_a_plugin_that_is_not_there_is_named(kubeconfig, tmp_path):
    path = kubeconfig(plugin(tmp_path / 'nowhere'))
    assert refusal(lambda: token_of(path)) == f'{tmp_path}/nowhere: no credential: FileNotFoundError'


ENDLESS = "pathlib.Path(__file__).with_name('pid').write_text(str(os.getpid()))\ntime.sleep(600)"


def test_a_plugin_that_does_not_end_in_time_is_no_credential(kubeconfig, program, monkeypatch):
    monkeypatch.setattr(access, '_EXEC_SECONDS', 0.1)
    path = kubeconfig(plugin(program(ENDLESS)))
    assert refusal(lambda: token_of(path)).endswith('plugin: no credential: TimeoutError')


def test_a_plugin_whose_caller_is_gone_is_ended(kubeconfig, program, tmp_path):
    give = access.of_kubeconfig(kubeconfig(plugin(program(ENDLESS)))).token

    async def ask_and_leave():
        asking = asyncio.create_task(give(False))
        async with asyncio.timeout(30):
            while not (tmp_path / 'pid').exists() or not (tmp_path / 'pid').read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            pid = (tmp_path / 'pid').read_text()
            asking.cancel()
            while Path(f'/proc/{pid}').exists():  # noqa: ASYNC110, ASYNC240
                await asyncio.sleep(0.02)

    asyncio.run(ask_and_leave())


def test_a_plugin_may_give_a_client_certificate_which_new_connections_show(kubeconfig, program):
    status = {'clientCertificateData': ALONE.decode(), 'clientKeyData': KEY.decode()}
    found = access.of_kubeconfig(kubeconfig(plugin(program(f'print({json.dumps({"status": status})!r})'))))
    assert asyncio.run(found.token(False)) == ''
    assert shown(found.tls) == ALONE


def test_a_plugin_whose_certificate_is_none_is_named_and_what_it_printed_is_not_told(kubeconfig, program):
    status = {'clientCertificateData': SECRET, 'clientKeyData': SECRET}
    path = program(f'print({json.dumps({"status": status})!r})')
    config_path = kubeconfig(plugin(path))
    assert refusal(lambda: token_of(config_path)).startswith(f'{path}: no credential: ')


# --- names, proxies and other credentials ------------------------------------------------------------------------------


def test_a_user_name_and_password_are_shown_as_such(kubeconfig):
    found = access.of_kubeconfig(kubeconfig(config({'username': 'ann', 'password': 'pä:ss'})))
    assert found.scheme == 'Basic'
    assert base64.b64decode(asyncio.run(found.token(False))).decode() == 'ann:pä:ss'


def test_a_token_goes_before_a_user_name(kubeconfig):
    found = access.of_kubeconfig(kubeconfig(config({'username': 'ann', 'password': 'p', 'token': 'mine'})))
    assert (found.scheme, asyncio.run(found.token(False))) == ('Bearer', 'mine')


def test_the_name_of_the_server_and_the_proxy_are_taken_from_the_cluster(kubeconfig):
    named = access.of_kubeconfig(kubeconfig(config(cluster={'tls-server-name': 'api.internal'})))
    assert (named.server_name, named.proxy) == ('api.internal', '')
    behind = access.of_kubeconfig(kubeconfig(config(cluster={'proxy-url': 'http://proxy:3128'})))
    assert (behind.server_name, behind.proxy) == ('', 'http://proxy:3128')


@pytest.mark.parametrize(
    ('user', 'cluster', 'said'),
    [
        pytest.param({'auth-provider': {'name': 'gcp'}}, {}, 'auth-provider is not supported; use a credential plugin (exec)', id='auth-provider'),
        pytest.param({'token': SECRET, 'as': 'admin'}, {}, 'as: impersonation is not supported', id='as'),
        pytest.param({'token': SECRET, 'as-groups': ['g']}, {}, 'as-groups: impersonation is not supported', id='as-groups'),
        pytest.param({}, {'proxy-url': f'socks5://u:{SECRET}@proxy'}, 'proxy-url: socks5 is not supported; http and https are', id='a SOCKS proxy'),
        pytest.param({}, {'proxy-url': 'http://proxy', 'tls-server-name': 'x'}, 'tls-server-name and proxy-url cannot be used together', id='both'),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_an_error_that_names_it(kubeconfig, user, cluster, said):
    path = kubeconfig(config(user, cluster))
    assert refusal(lambda: access.of_kubeconfig(path)) == f'{path}: {said}'


# --- a ServiceAccount, and which of them ------------------------------------------------------------------------------


@pytest.fixture
def account(tmp_path):
    """The files that the kubelet puts into a pod."""
    folder = tmp_path / 'serviceaccount'
    folder.mkdir()
    (folder / 'ca.crt').write_bytes(ALONE)
    (folder / 'namespace').write_text('headrace\n')
    (folder / 'token').write_text('projected\n')
    return folder


@pytest.mark.parametrize(
    ('environment', 'server'),
    [
        pytest.param({'KUBERNETES_SERVICE_HOST': '10.0.0.1'}, 'https://10.0.0.1:443', id='IPv4'),
        pytest.param({'KUBERNETES_SERVICE_HOST': 'fd00::1', 'KUBERNETES_SERVICE_PORT': '6443'}, 'https://[fd00::1]:6443', id='IPv6'),
    ],
)  # fmt: skip
def test_a_pod_reaches_the_server_that_its_environment_names(account, environment, server):
    found = access.of_service_account(environment, account)
    assert (found.server, found.namespace) == (server, 'headrace')
    assert len(found.tls.get_ca_certs(binary_form=True)) == 1
    assert asyncio.run(found.token(False)) == 'projected'
    (account / 'token').write_text('exchanged')
    assert asyncio.run(found.token(False)) == 'exchanged'


def test_certificates_of_old_clusters_without_key_identifiers_are_believed(kubeconfig, account, monkeypatch):
    make = ssl.create_default_context

    def as_from_python_3_13(**how):
        made = make(**how)
        made.verify_flags |= ssl.VERIFY_X509_STRICT
        return made

    monkeypatch.setattr(ssl, 'create_default_context', as_from_python_3_13)
    inside = access.of_service_account({'KUBERNETES_SERVICE_HOST': '10.0.0.1'}, account)
    outside = access.of_kubeconfig(kubeconfig(config(cluster={'certificate-authority-data': coded(ALONE)})))
    for found in (inside, outside):
        assert not found.tls.verify_flags & ssl.VERIFY_X509_STRICT
        assert (found.tls.verify_mode, found.tls.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize('name', ['ca.crt', 'namespace'])
def test_a_file_of_the_service_account_that_is_missing_is_told(account, name):
    (account / name).unlink()
    said = refusal(lambda: access.of_service_account({'KUBERNETES_SERVICE_HOST': '10.0.0.1'}, account))
    assert str(account) in said


def test_a_kubeconfig_that_was_named_goes_before_the_pod(kubeconfig, account):
    inside = {'KUBERNETES_SERVICE_HOST': '10.0.0.1'}
    assert access.find(kubeconfig(config()), '', inside, account).server == 'https://127.0.0.1:6443'


def test_a_pod_goes_before_the_usual_kubeconfig(kubeconfig, account):
    inside = {'KUBERNETES_SERVICE_HOST': '10.0.0.1', 'KUBECONFIG': str(kubeconfig(config()))}
    assert access.find(None, '', inside, account).server == 'https://10.0.0.1:443'


def test_a_pod_without_a_token_takes_the_kubeconfig_of_the_environment(kubeconfig, account, tmp_path):
    (account / 'token').unlink()
    inside = {'KUBERNETES_SERVICE_HOST': '10.0.0.1', 'KUBECONFIG': f'{kubeconfig(config())}{os.pathsep}{tmp_path}/b'}
    assert access.find(None, '', inside, account).server == 'https://127.0.0.1:6443'


def test_where_nothing_is_named_the_kubeconfig_is_the_one_at_home(kubeconfig, account, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    (tmp_path / 'home/.kube').mkdir(parents=True)
    kubeconfig(config()).rename(tmp_path / 'home/.kube/config')
    assert access.find(None, '', {}, account).server == 'https://127.0.0.1:6443'
