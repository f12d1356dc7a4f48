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
_KEPT_SECONDS = 10.0
_MOST_ALLOWED, _MOST_REFUSED = 64, 256
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
        self._allowed: dict[bytes, float] = {}
        self._refused: dict[bytes, tuple[Answer, float]] = {}
        self._asking: dict[bytes, asyncio.Task[Answer]] = {}
        self._new = Buckets(BY_PEER, TOTAL)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._said = ''

    async def judge(self, token: str, peer: str) -> Answer:
        """Return what the API server says about a token of a peer; raises ReviewUnavailableError and ReviewsBusyError."""
        if not token.isascii() or not token.isprintable():
            return Answer.UNKNOWN
        digest, now = hashlib.sha256(token.encode()).digest(), self._clock()
        if self._allowed.get(digest, now) > now:
            return Answer.ALLOWED
        if (held := self._refused.get(digest)) is not None and held[1] > now:
            return held[0]
        task = self._asking.get(digest)
        if task is None:
            if digest not in self._allowed and not self._new.take(peer, now):
                raise ReviewsBusyError
            task = self._asking[digest] = asyncio.create_task(self._ask(token, digest))
            task.add_done_callback(lambda done: self._ended(digest, done))
        return await asyncio.shield(task)

    def _ended(self, digest: bytes, task: asyncio.Task[Answer]) -> None:
        del self._asking[digest]
        # The request may have ended; an exception that is not looked at would be logged as lost.
        if not task.cancelled():
            task.exception()

    async def _ask(self, token: str, digest: bytes) -> Answer:
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS), self._turns:
                answer = await self._reviewed(token)
        except (CallError, TimeoutError, KeyError, TypeError, AttributeError) as error:
            said = str(error) or type(error).__name__
            if said != self._said:
                log.warning('tokens cannot be judged', extra={'said': said})
            self._said = said
            raise ReviewUnavailableError(said) from error
        self._said = ''
        self._keep(digest, answer, self._clock() + _KEPT_SECONDS)
        return answer

    async def _reviewed(self, token: str) -> Answer:
        status = (await self._create(_TOKENS, 'authentication.k8s.io', 'TokenReview', {'token': token}))['status']
        if status.get('authenticated') is not True:
            return Answer.UNKNOWN
        user = status['user']
        asked = {
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
        found = await self._create(_ACCESS, 'authorization.k8s.io', 'SubjectAccessReview', asked)
        return Answer.ALLOWED if found['status'].get('allowed') is True else Answer.FORBIDDEN

    async def _create(self, path: str, group: str, kind: str, spec: dict[str, Any]) -> Any:
        return await self._calls.call('POST', path, {'apiVersion': f'{group}/v1', 'kind': kind, 'spec': spec})

    def _keep(self, digest: bytes, answer: Answer, until: float) -> None:
        self._allowed.pop(digest, None)
        self._refused.pop(digest, None)
        # The oldest goes first: a dictionary keeps the order in which keys came.
        if answer is Answer.ALLOWED:
            self._allowed[digest] = until
            if len(self._allowed) > _MOST_ALLOWED:
                del self._allowed[next(iter(self._allowed))]
        else:
            self._refused[digest] = answer, until
            if len(self._refused) > _MOST_REFUSED:
                del self._refused[next(iter(self._refused))]
