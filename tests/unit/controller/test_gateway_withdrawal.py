"""What is taken back of statuses of the Gateway API, and what stays."""

import asyncio

import pytest

from headrace.controller import gateway_withdrawal
from headrace.controller.gateway_withdrawal import Progress, of_others
from headrace.controller.uninstall import Installation, _statuses
from headrace.controller.writer import Rate
from headrace.kube.calls import ConflictError, NotFoundError
from headrace.names import Ref

CONTROLLER, MANAGER = 'headrace.io/gateway-controller', 'headrace-headrace'
OURS, THEIRS = {'controllerName': CONTROLLER}, {'controllerName': 'example.com/other'}
ACCEPTED, FOREIGN = {'type': 'Accepted', 'status': 'True'}, {'type': 'example.com/Theirs', 'status': 'True'}
UNKNOWN = {'type': 'Accepted', 'status': 'Unknown'}
ACCEPTED_IS_OURS = {'f:conditions': {'.': {}, 'k:{"type":"Accepted"}': {'f:status': {}}}}


def resource(status, owned=None, manager=MANAGER, subresource='status', kind='Gateway', name='web'):
    """Return a resource; `owned` are the fields of its status that a manager has written."""
    entry = {'manager': manager, 'subresource': subresource, 'fieldsV1': {'f:status': owned or {}}}
    metadata = {'namespace': 'shop', 'name': name, 'resourceVersion': '7', 'managedFields': [entry]}
    return {'kind': kind, 'metadata': metadata, 'status': status}


@pytest.mark.parametrize(
    ('document', 'rest'),
    [
        pytest.param(resource({}), None, id='no status'),
        pytest.param(resource({'parents': []}), None, id='a route without parents'),
        pytest.param(resource({'parents': [THEIRS]}), None, id='a route of others'),
        pytest.param(resource({'parents': [OURS]}), {}, id='a route of ours'),
        pytest.param(resource({'parents': [OURS, THEIRS, OURS]}), {'parents': [THEIRS]}, id='a shared route'),
        pytest.param(resource({'ancestors': [THEIRS, OURS]}), {'ancestors': [THEIRS]}, id='a shared policy'),
        pytest.param(
            resource({'conditions': [ACCEPTED, FOREIGN], 'listeners': [{}]}, {**ACCEPTED_IS_OURS, 'f:listeners': {}}),
            {'conditions': [FOREIGN]},
            id='a condition of others on a Gateway of ours',
        ),
        pytest.param(
            resource({'conditions': [ACCEPTED], 'ofNewer': 1}, {**ACCEPTED_IS_OURS, 'f:ofNewer': {}}),
            {},
            id='what another version wrote',
        ),
        pytest.param(
            resource({'conditions': [ACCEPTED], 'addresses': [{}]}, {'f:addresses': {}}),
            {'conditions': [ACCEPTED]},
            id='a Gateway that another controller has by now',
        ),
        pytest.param(
            resource({'conditions': [ACCEPTED]}, ACCEPTED_IS_OURS, manager='headrace-other'), None, id='another class'
        ),
        pytest.param(
            resource({'conditions': [ACCEPTED]}, ACCEPTED_IS_OURS, subresource=''), None, id='not by the subresource'
        ),
        pytest.param(resource({'conditions': [UNKNOWN]}, ACCEPTED_IS_OURS), None, id='what the API server fills in'),
        pytest.param(
            resource({'conditions': [UNKNOWN], 'addresses': [{}]}, {**ACCEPTED_IS_OURS, 'f:addresses': {}}),
            {},
            id='what it fills in beside ours',
        ),
    ],
)
def test_entries_and_fields_of_others_are_left(document, rest):
    assert of_others(document, CONTROLLER, MANAGER) == rest


class Api:
    """The calls on one kind; `errors` are what writes meet, by the object's name."""

    def __init__(self, *documents, errors=None, services=(), slices=()):
        self._documents, self._errors, self.patches, self.deleted = documents, errors or {}, [], []
        self._services, self._slices = services, slices

    async def documents(self, resource, namespace):
        return [each for each in self._documents if each['kind'] == resource.kind]

    async def patch_status(self, ref, version, status):
        if error := self._errors.get(ref.name):
            raise error('no')
        self.patches.append((ref, version, status))

    async def services_with_label(self, label, namespace):
        return [(namespace, name) for name in self._services]

    async def slices_with_label(self, label, namespace):
        return [*self._slices]

    async def delete_service(self, ref):
        self.deleted.append(ref.name)
        raise NotFoundError('gone')

    async def delete_slice(self, namespace, name):
        self.deleted.append(name)
        raise NotFoundError('gone')


def withdraw(api, *namespaces):
    return asyncio.run(gateway_withdrawal.withdraw(api, 'headrace', 'headrace-system', namespaces, Rate(10**6)))


def test_what_is_written_keeps_the_version_that_was_read_and_names_each_key():
    route = resource({'parents': [OURS], 'more': {}}, kind='HTTPRoute')
    shared = resource({'parents': [OURS, THEIRS]}, kind='GRPCRoute')
    api = Api(resource({'addresses': [{}]}, {'f:addresses': {}}), route, shared)
    assert withdraw(api) == Progress(taken=3)
    assert api.patches == [
        (Ref('Gateway', 'shop', 'web'), '7', None),
        (Ref('HTTPRoute', 'shop', 'web'), '7', {'parents': None, 'more': {}}),
        (Ref('GRPCRoute', 'shop', 'web'), '7', {'parents': [THEIRS]}),
    ]


def test_one_that_changes_meanwhile_is_named_and_one_that_goes_is_not():
    routes = (resource({'parents': [OURS]}, kind='HTTPRoute', name=name) for name in ('changes', 'goes', 'stays'))
    api = Api(*routes, errors={'changes': ConflictError, 'goes': NotFoundError})
    assert withdraw(api) == Progress(taken=1, refused=1)


def test_services_and_slices_go_where_the_own_namespace_is_watched():
    api = Api(services=['gateway-x'], slices=['gateway-x-u53'])
    assert withdraw(api, 'shop') == Progress()
    assert withdraw(api, 'shop', 'headrace-system') == Progress(removed=2)
    assert api.deleted == ['gateway-x', 'gateway-x-u53']


class Changing(Api):
    """A status that another controller writes, too, at first; what is taken back is gone."""

    def __init__(self):
        super().__init__(resource({'parents': [OURS]}, kind='HTTPRoute'))
        self.asked = 0

    async def objects_with_status(self, kinds, namespace):
        return []

    async def patch_status(self, ref, version, status):
        self.asked += 1
        if self.asked == 1:
            raise ConflictError('it is another by now')
        self._documents = ()


@pytest.mark.parametrize('wait', [False, True])
def test_what_another_controller_writes_meanwhile_is_tried_again(monkeypatch, wait):
    monkeypatch.setattr('headrace.controller.uninstall._LOOK_SECONDS', 0.0)
    api = Changing()
    installation = Installation('headrace', 'headrace-system', (), 'one')
    assert asyncio.run(_statuses(api, installation, wait=wait)) == 1
    assert api.asked == 2
