"""A small client of the Kubernetes API: JSON over HTTPS, nothing hidden, one connection for each request."""

import contextlib
import http.client
import json
import re
import ssl
from urllib.parse import urlencode, urlsplit


class ApiError(Exception):
    """An answer that is no success: the API server's status, reason and message."""

    def __init__(self, status, reason, message):
        super().__init__(f'{status} {reason}: {message}')
        self.status, self.reason = status, reason


def collection(kind, namespace=None, api='v1'):
    """Return the path of all objects of a kind: in one namespace, or everywhere."""
    plural = kind.lower()
    if plural != 'endpoints':
        plural = re.sub('(?<![aeiou])y$', 'ie', re.sub('s$', 'se', plural)) + 's'
    root = f'/apis/{api}' if '/' in api else f'/api/{api}'
    return f'{root}/namespaces/{namespace}/{plural}' if namespace else f'{root}/{plural}'


def home(document):
    """Return the path of the collection that a document belongs to, and its own path."""
    path = collection(document['kind'], document['metadata'].get('namespace'), document['apiVersion'])
    return path, f'{path}/{document["metadata"].get("name", "")}'


class Api:
    """The API server at `url` as the bearer of `token`; `ca` is the file with the authority to believe."""

    def __init__(self, url, token, ca):
        self.url, self.token = url, token
        self._tls = ssl.create_default_context(cafile=ca)

    def request(self, method, path, body=None, *, content='application/json', seconds=30.0, **query):
        """Return the answer's document; ApiError for a refusal, OSError when there is no answer in time."""
        with self._answer(method, path, body, content, seconds, query) as response:
            text = response.read()
            return json.loads(text) if 'json' in response.headers.get('Content-Type', '') else text.decode()

    def create(self, document):
        """Create an object from its document."""
        return self.request('POST', home(document)[0], document)

    def apply(self, document, manager='tests'):
        """Create an object, or make it what the document says (server-side apply)."""
        query = {'fieldManager': manager, 'force': 'true'}
        return self.request('PATCH', home(document)[1], document, content='application/apply-patch+yaml', **query)

    def patch(self, path, change):
        """Merge a change into the object, or the subresource, at a path."""
        return self.request('PATCH', path, change, content='application/merge-patch+json')

    def delete(self, path):
        """Delete the object at a path, or all objects of a collection."""
        return self.request('DELETE', path)

    def get(self, path, **query):
        """Return the object at a path, or the list of a collection (`items`, `metadata.resourceVersion`)."""
        return self.request('GET', path, **query)

    list = get

    def watch(self, path, since, *, seconds=30.0, **query):
        """Yield (type, object) for each change after the version `since`, until the server ends the watch.

        A connection that is cut is an OSError, and so is silence for so many seconds.
        """
        held, query = b'', {'watch': 'true', 'resourceVersion': since, **query}
        try:
            with self._answer('GET', path, None, 'application/json', seconds, query) as response:
                # Not readline(), which takes a connection that was cut for an orderly end.
                while piece := response.read1():
                    *lines, held = (held + piece).split(b'\n')
                    for event in map(json.loads, lines):
                        yield event['type'], event['object']
        except http.client.IncompleteRead as error:
            raise ConnectionResetError('the watch was cut') from error

    @contextlib.contextmanager
    def _answer(self, method, path, body, content, seconds, query):
        connection = http.client.HTTPSConnection(urlsplit(self.url).netloc, timeout=seconds, context=self._tls)
        headers = {'Authorization': f'Bearer {self.token}', 'Content-Type': content, 'Accept': 'application/json'}
        try:
            target = f'{path}?{urlencode(query)}' if query else path
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            if response.status >= http.HTTPStatus.BAD_REQUEST:
                said = response.read()
                status = json.loads(said) if said.startswith(b'{') else {'message': said.decode()}
                raise ApiError(response.status, status.get('reason', response.reason), status.get('message', ''))
            yield response
        finally:
            connection.close()
