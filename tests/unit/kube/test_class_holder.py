"""What agents know of another release that holds the class."""

import asyncio
import datetime as dt

import pytest

from headrace.kube import class_holder
from headrace.kube.calls import CallError, NotFoundError
from headrace.kube.lease import Leases

NOW = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def document(holder, seconds=0, account='headrace-controller/u-1'):
    return class_holder.document('edge', 'headrace', holder, account, NOW + dt.timedelta(seconds=seconds))


def test_the_lease_goes_with_the_account_of_the_controllers():
    assert document('other/x') == {
        'apiVersion': 'coordination.k8s.io/v1',
        'kind': 'Lease',
        'metadata': {
            'name': 'headrace-class-held',
            'namespace': 'edge',
            'ownerReferences': [
                {'apiVersion': 'v1', 'kind': 'ServiceAccount', 'name': 'headrace-controller', 'uid': 'u-1'}
            ],
        },
        'spec': {
            'holderIdentity': 'other/x',
            'leaseDurationSeconds': 180,
            'acquireTime': '2024-01-01T00:00:00.000000Z',
            'renewTime': '2024-01-01T00:00:00.000000Z',
        },
    }
    assert 'ownerReferences' not in document('other/x', account='')['metadata']


def test_it_is_read_again_and_again_and_a_lost_api_server_changes_nothing(monkeypatch):
    answers = [document('other/x'), CallError('no answer'), NotFoundError('no Lease')]
    asked, noted = [], []

    class Calls:
        async def call(self, method, path):
            asked.append((method, path))
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    async def pause(_):
        if not answers:
            raise asyncio.CancelledError

    monkeypatch.setattr(class_holder.asyncio, 'sleep', pause)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(class_holder.follow(Leases(Calls()), 'edge', 'headrace', noted.append))
    assert noted == ['other/x', '']
    assert set(asked) == {('GET', '/apis/coordination.k8s.io/v1/namespaces/edge/leases/headrace-class-held')}
