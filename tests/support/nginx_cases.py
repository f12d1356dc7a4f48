"""The cases of ingress-nginx's annotations: Ingresses, requests, and the answers that its documentation has for them.

They are written in tests/haproxy/ingress_nginx/*.yaml. There a name stands for an Ingress of the host NAME.example, or of
`host`, with

- `annotations` without their prefix, `paths` and their Services, all of one `type` (ImplementationSpecific),
- `tls` for a certificate, and `also` for further Ingresses, which are younger, of the same host or one of their own,
- `requests`: what is sent (`host`, `method`, `path`, `headers`, `user`, `size` of the body, `secure` for TLS, `answer` of
  the endpoint) and what is expected:
  `status` (200), `at` the Service, `sends` the path that it sees, `passes` the headers that it sees, `has` the headers of
  the answer, `location`, attributes of a `cookie`; or `statuses` of several requests one after the other, or whether
  ten requests have the `same` endpoint. `null` stands for an absent header.

Where headrace differs, `differs` says how, and `documented` has what ingress-nginx does instead.
"""

import base64
import functools
import json
import re
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path

import yaml

from support.objects import ingress

FOLDER = Path(__file__).resolve().parent.parent / 'haproxy' / 'ingress_nginx'
PREFIX = 'nginx.ingress.kubernetes.io/'
# The last number of the address of each Service's endpoint.
PLACES = {'one': 1, 'two': 2, 'three': 3, 'errors': 4, 'secured': 5}
SEVERAL = tuple(range(11, 19))


@dataclass(frozen=True)
class Request:
    """A request, and the answer that is expected of headrace, or of nginx where that differs."""

    name: str
    host: str
    sent: dict
    expected: dict

    def headers(self):
        """Return the headers to send, as pairs."""
        found = list(self.sent.get('headers', {}).items())
        if user := self.sent.get('user'):
            found.append(('Authorization', 'Basic ' + base64.b64encode(user.encode()).decode()))
        if answer := self.sent.get('answer'):
            found.append(('X-Answer', json.dumps(answer)))
        return found

    def send(self, get):
        """Send it by a function such as `Edge.get`, and return the answer."""
        return get(
            self.host,
            self.sent.get('path', '/'),
            method=self.sent.get('method', 'GET'),
            headers=self.headers(),
            body=b'x' * self.sent['size'] if 'size' in self.sent else None,
            sni=self.host if self.sent.get('secure') else None,
        )

    def outcome(self, get):
        """Send it, and return what came in the form of what is expected."""
        if 'statuses' in self.expected:
            return {'statuses': [self.send(get).status for _ in self.expected['statuses']]}
        if 'same' in self.expected:
            return {'same': len({self.send(get).said['at'] for _ in range(10)}) == 1}
        return seen(self.send(get), self.expected)


def seen(answer, expected):
    """Return of an answer what is expected of one."""
    said = answer.said if answer.body.startswith(b'{"at"') else {}
    readings = {
        'status': lambda _: answer.status,
        'at': lambda _: _place(said.get('at')),
        'sends': lambda _: said.get('path'),
        'passes': lambda wanted: {name: _joined(said.get('headers', {}).get(name)) for name in wanted},
        'has': lambda wanted: {name: _spaced(answer.headers.get(name)) for name in wanted},
        'location': lambda _: answer.headers.get('location'),
        'cookie': lambda wanted: _cookie(answer.headers.get('set-cookie', ''), wanted),
    }
    return {key: readings[key](wanted) for key, wanted in expected.items()}


def _spaced(text):
    return text and re.sub(r',(?! )', ', ', text)


def _place(address):
    return next((name for name, last in PLACES.items() if address == f'127.0.9.{last}'), address)


def _joined(values):
    return None if values is None else ', '.join(values)


def _cookie(text, wanted):
    cookies = SimpleCookie(text)
    morsel = cookies.get(wanted['name'])
    return morsel and {name: morsel.key if name == 'name' else morsel[name] for name in wanted}


_EXPECTED = ('status', 'at', 'sends', 'passes', 'has', 'location', 'cookie', 'statuses', 'same')


@functools.cache
def read():
    """Return all cases by their names."""
    found = {}
    for file in sorted(FOLDER.glob('*.yaml')):
        items = yaml.load(file.read_text(), yaml.CSafeLoader)
        assert not found.keys() & items.keys(), file
        found |= items
    return found


def host_of(name, case):
    """Return the host of a case."""
    return case.get('host', f'{name}.example')


def requests(cases, *, documented=False):
    """Return the requests of cases, with what headrace answers, or with what is `documented` of ingress-nginx."""
    found = []
    for name, case in cases.items():
        for number, item in enumerate(case['requests']):
            expected = {key: item[key] for key in _EXPECTED if key in item}
            if documented:
                expected |= item.get('documented', {})
            if not expected.keys() & {'statuses', 'same'}:
                expected = {'status': 200, **expected}
            sent = {key: value for key, value in item.items() if key not in _EXPECTED}
            found.append(Request(f'{name}-{number}', item.get('host', host_of(name, case)), sent, expected))
    return found


def ingresses(cases):
    """Return the Ingresses of cases."""
    return [
        _ingress(
            name if not number else f'{name}-{number}',
            part.get('host', host_of(name, case)),
            {**part, 'tls': case.get('tls')},
            number,
        )
        for name, case in cases.items()
        for number, part in enumerate((case, *case.get('also', ())))
    ]


def _ingress(name, host, part, number):
    paths = [
        {
            'path': path,
            'pathType': part.get('type', 'ImplementationSpecific'),
            'backend': {'service': {'name': service, 'port': {'number': 80}}},
        }
        for path, service in part['paths'].items()
    ]
    tls = {'tls': [{'hosts': [host], 'secretName': 'tls'}]} if part['tls'] else {}
    return ingress(
        name,
        annotations={PREFIX + key: text(value) for key, value in part.get('annotations', {}).items()},
        created=f'2024-01-01T00:00:0{number}Z',
        rules=[{'host': host, 'http': {'paths': paths}}],
        **tls,
    )


def text(value):
    """Return an annotation's value as Kubernetes has it."""
    return {True: 'true', False: 'false'}.get(value, value) if isinstance(value, bool) else str(value)
