"""What the API server says about the token of a request: a TokenReview, and then a SubjectAccessReview.

Promises: an answer is at most some seconds old; what is kept is bounded; tokens that are not known are judged at a bounded
rate, by peer and in all, which those that were let in before do not share; few are judged at once; without the API server
the answer is an error. Tokens are kept as hashes only.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from headrace.buckets import Buckets
from headrace.kube.calls import CallError, Calls

log = logging.getLogger(__name__)
GROUP, RESOURCE, SUBRESOURCE, VERB = 'headrace.io', 'agents', 'status', 'get'
_TOKENS = '/apis/authentication.k8s.io/v1/tokenreviews'
_ACCESS = '/apis/authorization.k8s.io/v1/subjectaccessreviews'
_CACHE_SECONDS = 10.0
_MOST_GRANTS, _MOST_REFUSALS = 64, 256
_DEADLINE_SECONDS = 5.0
# New tokens a second, of one peer and of all.
BY_PEER, TOTAL = 3.0, 5.0
AT_ONCE = 4


class Answer(Enum):
    """What became of a token."""

    ALLOWED = auto()
    FORBIDDEN = auto()
    UNKNOWN = auto()


class ReviewUnavailableError(Exception):
    """The API server does not judge."""


class ReviewsBusyError(Exception):
    """Too many tokens that have not been reviewed before."""


class Reviews:
    """Judges tokens for one right: a verb on a resource of headrace's own, in the agent's namespace."""

    right = f'{VERB} {RESOURCE}.{GROUP}/{SUBRESOURCE}'

    def __init__(self, calls: Calls, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._calls, self._namespace, self._clock = calls, namespace, clock
        # Until when an answer counts; of those that were let in the hash stays after that.
        self._grants: dict[bytes, float] = {}
        self._refusals: dict[bytes, tuple[Answer, float]] = {}
        self._tasks: dict[bytes, asyncio.Task[Answer]] = {}
        self._new = Buckets(BY_PEER, TOTAL)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._last_message = ''

    async def judge(self, token: str, peer: str) -> Answer:
        """Return what the API server says about a token of a peer; raises ReviewUnavailableError and ReviewsBusyError."""
        if not token.isascii() or not token.isprintable():
            return Answer.UNKNOWN
        digest, now = hashlib.sha256(token.encode()).digest(), self._clock()
        if self._grants.get(digest, now) > now:
            return Answer.ALLOWED
        if (refusal := self._refusals.get(digest)) is not None and refusal[1] > now:
            return refusal[0]
        task = self._tasks.get(digest)
        if task is None:
            if digest not in self._grants and not self._new.take(peer, now):
                raise ReviewsBusyError
            task = self._tasks[digest] = asyncio.create_task(self._ask(token, digest))
            task.add_done_callback(lambda done: self._finish(digest, done))
        return await asyncio.shield(task)

    def _finish(self, digest: bytes, task: asyncio.Task[Answer]) -> None:
        del self._tasks[digest]
        # The request may have ended; an exception that is not looked at would be logged as lost.
        if not task.cancelled():
            task.exception()

    async def _ask(self, token: str, digest: bytes) -> Answer:
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS), self._turns:
                answer = await self._review(token)
        except (CallError, TimeoutError, KeyError, TypeError, AttributeError) as error:
            message = str(error) or type(error).__name__
            if message != self._last_message:
                log.warning('tokens cannot be judged', extra={'error': message})
            self._last_message = message
            raise ReviewUnavailableError(message) from error
        self._last_message = ''
        self._keep(digest, answer, self._clock() + _CACHE_SECONDS)
        return answer

    async def _review(self, token: str) -> Answer:
        status = (await self._create(_TOKENS, 'authentication.k8s.io', 'TokenReview', {'token': token}))['status']
        if status.get('authenticated') is not True:
            return Answer.UNKNOWN
        user = status['user']
        spec = {
            'user': user['username'],
            'uid': user.get('uid', ''),
            'groups': user.get('groups') or [],
            'extra': user.get('extra') or {},
            'resourceAttributes': {
                'namespace': self._namespace,
                'verb': VERB,
                'group': GROUP,
                'resource': RESOURCE,
                'subresource': SUBRESOURCE,
            },
        }
        review = await self._create(_ACCESS, 'authorization.k8s.io', 'SubjectAccessReview', spec)
        return Answer.ALLOWED if review['status'].get('allowed') is True else Answer.FORBIDDEN

    async def _create(self, path: str, group: str, kind: str, spec: dict[str, Any]) -> Any:
        return await self._calls.call('POST', path, {'apiVersion': f'{group}/v1', 'kind': kind, 'spec': spec})

    def _keep(self, digest: bytes, answer: Answer, until: float) -> None:
        self._grants.pop(digest, None)
        self._refusals.pop(digest, None)
        # The oldest goes first: a dictionary keeps the order in which keys came.
        if answer is Answer.ALLOWED:
            self._grants[digest] = until
            if len(self._grants) > _MOST_GRANTS:
                del self._grants[next(iter(self._grants))]
        else:
            self._refusals[digest] = answer, until
            if len(self._refusals) > _MOST_REFUSALS:
                del self._refusals[next(iter(self._refusals))]
