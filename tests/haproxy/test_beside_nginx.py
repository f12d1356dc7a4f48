"""The same requests to nginx, set up by hand as ingress-nginx's template does: its answers are the documented ones.

So what the cases expect of headrace, or name as a difference, is held against nginx itself for rewrites, expressions,
redirects, CORS, cookies, headers, passwords and limits.
"""

import os
import re
import subprocess

import pytest

from conftest import ROOT
from support import nginx_cases
from support.edge import Edge, Endpoints
from support.haproxy import Ports
from support.nginx_edge import APR1, USERS
from support.waiting import until

CONFIGURATION = (nginx_cases.FOLDER / 'nginx.conf').read_text()
CASES = nginx_cases.read()
ORIGINS = {
    'cors': '',
    'cors-star': '',
    'cors-one': r'(https://shop\.org)',
    'cors-several': r'(https://a\.org:4443)|(http://b\.org)|(https://c\.org)',
    'cors-wildcard': r'(https://[A-Za-z0-9\-]+\.shop\.org)|(http://[A-Za-z0-9\-]+\.dev\.org:8080)',
    'cors-scheme': r'(myprotocol://app\.org:1199)|(https://a\.org)',
    'cors-plain': r'(https://a\.org)',
    'cors-replaced': r'(https://a\.org)',
    'cors-expose-all': r'(https://a\.org)',
}
HEADERS = 'DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization'
COMPARED = {*re.findall(r'server_name (\S+)\.example;', CONFIGURATION), *ORIGINS}
REQUESTS = [
    item
    for item in nginx_cases.requests({name: case for name, case in CASES.items() if name in COMPARED}, documented=True)
    if not item.sent.get('secure')
]


def cors(name, origins):
    """Return the server of a case of CORS."""
    given = {key.removeprefix('cors-'): str(value) for key, value in CASES[name]['annotations'].items()}
    known = (
        f"if ($http_origin ~* ({origins})$ ) {{ set $cors 'true'; }}"
        if origins
        else "set $http_origin *; set $cors 'true';"
    )
    headers = [
        'Access-Control-Allow-Origin: $http_origin',
        *(['Access-Control-Allow-Credentials: true'] if given.get('allow-credentials') != 'False' else []),
        f'Access-Control-Allow-Methods: {given.get("allow-methods", "GET, PUT, POST, DELETE, PATCH, OPTIONS")}',
        f'Access-Control-Allow-Headers: {given.get("allow-headers", HEADERS)}',
        *([f'Access-Control-Expose-Headers: {given["expose-headers"]}'] if 'expose-headers' in given else []),
        f'Access-Control-Max-Age: {given.get("max-age", "1728000")}',
    ]
    more = ' '.join(f"more_set_headers '{header}';" for header in headers)
    return f"""
  server {{
    listen 127.0.0.1:LISTEN; server_name {name}.example;
    location "/" {{
      {known}
      if ($request_method = 'OPTIONS') {{ set $cors ${{cors}}options; }}
      if ($cors = "true") {{ {more} }}
      if ($cors = "trueoptions") {{ {more} more_set_headers 'Content-Length: 0'; return 204; }}
      proxy_pass http://one;
    }}
  }}"""


def program():
    """Return the path of nginx and the folder of its modules."""
    folder = ROOT / '.cache' / 'nginx' / 'usr'
    if not (folder / 'sbin' / 'nginx').exists():
        if os.environ.get('HEADRACE_SKIP_NOTHING'):
            pytest.fail('make setup found no package of nginx')
        pytest.skip('make setup found no package of nginx')
    return folder / 'sbin' / 'nginx', folder / 'lib' / 'nginx' / 'modules'


@pytest.fixture(scope='module')
def edge(tmp_path_factory):
    """A client of nginx before the same endpoints."""
    path, modules = program()
    folder = tmp_path_factory.mktemp('nginx')
    folder.chmod(0o755)
    (folder / 'users').write_text(USERS)
    (folder / 'apr1').write_text(APR1)
    ports = Ports(1)
    found = Edge('')
    (found.http,) = ports.numbers
    with Endpoints() as endpoints:
        text = CONFIGURATION.replace('CORS', ''.join(cors(name, origins) for name, origins in ORIGINS.items()))
        for name, value in (
            ('LISTEN', found.http),
            ('ENDPOINT', endpoints.port),
            ('FOLDER', folder),
            ('MODULES', modules),
        ):
            text = text.replace(name, str(value))
        (folder / 'nginx.conf').write_text(text)
        with subprocess.Popen([path, '-p', folder, '-c', folder / 'nginx.conf'], stderr=subprocess.PIPE) as process:
            try:
                until(lambda: process.poll() is not None or answers(found), 'nginx answers')
                assert process.poll() is None, process.stderr.read().decode()
                yield found
            finally:
                process.terminate()
                ports.close()


def answers(found):
    """Tell whether nginx answers."""
    try:
        return found.get('none.example').status == 404
    except ConnectionError:
        return False


@pytest.mark.parametrize('request_', REQUESTS, ids=[item.name for item in REQUESTS])
def test_nginx_answers_as_documented(edge, request_):
    assert request_.outcome(edge.get) == request_.expected
