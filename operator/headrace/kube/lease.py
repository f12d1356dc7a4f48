"""Leases (coordination.k8s.io/v1): their documents, and the calls on them; the one implementation for all roles.

Fields of a document that headrace does not use are preserved when it is written again.
"""

import datetime as dt
import time
from collections.abc import Callable, Mapping
from typing import Any

import headrace
from headrace import forms
from headrace.kube.calls import CallError, Calls, ConflictError, NotFoundError

CLASS_LABEL = 'headrace.io/class'
ROLE_LABEL = 'headrace.io/role'
EPOCH = 'headrace.io/epoch'
EPOCH_HOLDER = 'headrace.io/epoch-holder'
# Of headrace, for people: what is written has its form in a label of its own.
VERSION_LABEL = 'app.kubernetes.io/version'
VERSION = headrace.__version__.replace('+', '_')
_DIGITS = 18

Document = dict[str, Any]


def stamp(now: dt.datetime) -> str:
    """Return a time as Leases and Events take it."""
    return now.astimezone(dt.UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')


def make(namespace: str, name: str, holder: str, seconds: int, now: dt.datetime) -> Document:
    """Return a Lease that its holder has just taken."""
    at = stamp(now)
    spec = {'holderIdentity': holder, 'leaseDurationSeconds': seconds, 'acquireTime': at, 'renewTime': at}
    metadata: Document = {'name': name, 'namespace': namespace}
    return {'apiVersion': 'coordination.k8s.io/v1', 'kind': 'Lease', 'metadata': metadata, 'spec': spec}


def renew(lease: Document, holder_name: str, seconds: int, now: dt.datetime) -> Document:
    """Return a Lease that was read as its holder renews it, or another one takes it."""
    spec, fresh = spec_of(lease), spec_of(make('', '', holder_name, seconds, now))
    if holder(lease) == holder_name:
        fresh['acquireTime'] = spec.get('acquireTime') or fresh['acquireTime']
    elif spec.get('holderIdentity') is not None:
        fresh['leaseTransitions'] = int(spec.get('leaseTransitions') or 0) + 1
    return {**lease, 'spec': {**spec, **fresh}}


def with_owner(lease: Document, account: str) -> Document:
    """Return a Lease that goes with a ServiceAccount, which is given as its name and uid; '' for none."""
    owner, _, uid = account.partition('/')
    if uid:
        reference = {'apiVersion': 'v1', 'kind': 'ServiceAccount', 'name': owner, 'uid': uid}
        lease['metadata']['ownerReferences'] = [reference]
    return lease


def spec_of(lease: Document) -> Document:
    """Return the spec, empty where there is none."""
    spec = lease.get('spec')
    return spec if isinstance(spec, dict) else {}


def holder(lease: Document | None) -> str:
    """Return who holds a Lease, '' for none."""
    return str(spec_of(lease or {}).get('holderIdentity') or '')


def annotations(lease: Document) -> dict[str, str]:
    """Return a Lease's annotations."""
    return lease['metadata'].get('annotations') or {}


def labels(lease: Document) -> dict[str, str]:
    """Return a Lease's labels."""
    return lease['metadata'].get('labels') or {}


def version_labels(form: int) -> dict[str, str]:
    """Return the labels that say the form of a Lease's annotations, and which version of headrace wrote them."""
    return {forms.LABEL: str(form), VERSION_LABEL: VERSION}


def version(lease: Document) -> str:
    """Return the resourceVersion, '' for none."""
    return str(lease['metadata'].get('resourceVersion') or '')


def lives(lease: Document, now: dt.datetime) -> bool:
    """Tell whether a Lease has not run out, by the clock of the process that renewed it."""
    spec = spec_of(lease)
    try:
        at = dt.datetime.fromisoformat(str(spec.get('renewTime')))
        return now - at < dt.timedelta(seconds=float(spec.get('leaseDurationSeconds') or 0))
    except (OverflowError, TypeError, ValueError):
        return False


class Observation:
    """Whether a Lease has not run out by the own clock, which counts from when a renewal was seen."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._renewal: tuple[str, str] | None = None
        self._since = 0.0

    def lives(self, lease: Document, seconds: float = 0.0) -> bool:
        """Tell whether a Lease was renewed within its own time, or within the seconds that are given."""
        spec, now = spec_of(lease), self._clock()
        renewal = (holder(lease), str(spec.get('renewTime')))
        if renewal != self._renewal:
            self._renewal, self._since = renewal, now
        return now - self._since < (seconds or float(spec.get('leaseDurationSeconds') or 0))


class Leases:
    """The calls on Leases; all raise CallError and its kinds."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def get(self, namespace: str, name: str) -> Document | None:
        """Return a Lease, None for none."""
        try:
            lease: Document = await self._calls.call('GET', f'{_path(namespace)}/{name}')
        except NotFoundError:
            return None
        return lease

    async def list(self, namespace: str, labels: Mapping[str, str]) -> list[Document]:
        """Return the Leases that carry some labels."""
        selector = ','.join(f'{key}={value}' for key, value in labels.items())
        body = await self._calls.call('GET', _path(namespace), query={'labelSelector': selector})
        return list(body.get('items') or ())

    async def write(self, lease: Document) -> Document:
        """Make a Lease, or replace the one that was read; raises ConflictError when it is another by now."""
        path = _path(lease['metadata']['namespace'])
        if not version(lease):
            return await self._calls.call('POST', path, lease)  # type: ignore[no-any-return]
        return await self._calls.call('PUT', f'{path}/{lease["metadata"]["name"]}', lease)  # type: ignore[no-any-return]

    async def put(self, lease: Document, last_version: str = '') -> str:
        """Make a Lease this, whatever it was; return its version. `last_version` is the version of before, if that is known.

        One that is not there is made by PUT, which its API allows: RBAC can name an object that is to be created by PUT, and none
        that is created by POST.
        """
        namespace, name = lease['metadata']['namespace'], lease['metadata']['name']
        for _ in range(2):
            if not last_version and (before := await self.get(namespace, name)) is not None:
                last_version = version(before)
            lease['metadata']['resourceVersion'] = last_version or None
            try:
                return version(await self._calls.call('PUT', f'{_path(namespace)}/{name}', lease))
            except (ConflictError, NotFoundError):
                # It was changed or removed meanwhile: read it again, once.
                last_version = ''
        raise CallError(f'{name}: another process writes it')

    async def delete(self, namespace: str, name: str, last_version: str = '') -> None:
        """Delete a Lease; raises ConflictError when it has another version than `last_version`."""
        body = {'preconditions': {'resourceVersion': last_version}} if last_version else None
        await self._calls.call('DELETE', f'{_path(namespace)}/{name}', body)


def _path(namespace: str) -> str:
    return f'/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases'


def epoch(text: str) -> int:
    """Return the number of an epoch that a Service carries, 0 for none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else 0
