"""kopf, embedded: it lists, and keeps the watches open; everything else of it is switched off.

The one module that imports kopf. It writes to no object: there are only `on.event` handlers, no storage,
no posting, no finalizers. Objects never come from here: `session` takes lists and events where kopf reads them.

It leans on what kopf does not promise: that a list is read by `response.json()`, a watch by `content.iter_chunked()`,
that root tasks have these names, and more. `tests/unit/kube/test_kopf.py` lists it all, with a test for each.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any

import aiohttp
import kopf
from kopf._cogs.structs.references import Insights
from kopf._cogs.structs.references import Resource as KopfResource
from kopf._core.engines.peering import Identity

from headrace.kube.log_rate_limit import quiet
from headrace.kube.resources import Resource, Scope
from headrace.kube.session import Pauses

# When one of these ends, kopf may live on without hearing anything.
_ROOTS = frozenset(('multidimensional multitasker', 'credentials retriever', 'resource observer', 'namespace observer'))
_STOP_SECONDS = 2.0


class WatchEndedError(Exception):
    """kopf has ended or gone deaf; only a new process helps."""


class _NoDifferences(kopf.DiffBaseStorage):
    """Keeps no last-seen state anywhere."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        pass


class _NoProgress(kopf.ProgressStorage):
    """Keeps no progress of handlers anywhere."""

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        pass

    def purge(self, **_: Any) -> None:
        pass

    def touch(self, **_: Any) -> None:
        pass

    def clear(self, *, essence: Any) -> Any:
        return essence


class _Operator:
    """One operator of kopf: a scope, its handlers, and the resources that kopf watches."""

    def __init__(self, scope: Scope) -> None:
        self.scope, self.registry, self.insights = scope, kopf.OperatorRegistry(), Insights()
        self.resources: set[Resource] = set()


class Watch:
    """The watches of some scopes over one session, whose listeners get what they bring.

    A watch that brings nothing for `silence` seconds is opened again. Optional resources are watched from `add` to `remove`.
    """

    def __init__(
        self,
        server: str,
        session: Callable[[], aiohttp.ClientSession],
        scopes: Collection[Scope],
        on_start: Callable[[], None],
        silence: float,
    ) -> None:
        self._server, self._session = server, session
        self._operators = [_Operator(scope) for scope in scopes]
        self._on_start, self._silence = on_start, silence
        self._stop = asyncio.Event()
        logging.getLogger('kopf').setLevel(logging.WARNING)
        # It has a line for each attempt of each stream.
        quiet('kopf._cogs.clients.watching', 'kopf._core.reactor.observation')

    async def run(self) -> None:
        """Watch until told to stop; raises WatchEndedError when any part of kopf ends by itself."""
        end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        operators = []
        for each in self._operators:
            ready = asyncio.Event()
            operator = asyncio.create_task(self._operator(each, ready), name='kopf operator')
            operators.append(operator)
            await asyncio.wait([operator, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
        # The root tasks are made before kopf says that it is ready, all in one go.
        for task in asyncio.all_tasks():
            if task.get_name() in _ROOTS:
                task.add_done_callback(lambda task: _note(end, task))
        self._on_start()
        try:
            futures: list[asyncio.Future[Any]] = [*operators, end]
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
            if not self._stop.is_set():
                raise WatchEndedError(end.result() if end.done() else _why(next(filter(_is_done, operators))))
        finally:
            self._stop.set()
            done, _ = await asyncio.wait(operators, timeout=_STOP_SECONDS)
            for operator in done:
                # WatchEndedError says why; asyncio would log an exception that is not retrieved some time later.
                if not operator.cancelled():
                    operator.exception()

    def stop(self) -> None:
        """End the watches; all other tasks must have ended before, for kopf cancels what it finds."""
        self._stop.set()

    async def add(self, resource: Resource) -> None:
        """Begin to watch an optional resource, once kopf knows what else there is."""
        for operator in self._of(resource):
            await operator.insights.ready_resources.wait()
            self._handle(operator, resource)
            async with operator.insights.revised:
                operator.insights.watched_resources.add(_as_kopf(resource))
                operator.insights.revised.notify_all()

    async def remove(self, resource: Resource) -> None:
        """Have kopf end the watches of an optional resource; what is added again at once would be watched on as before."""
        for operator in self._of(resource):
            async with operator.insights.revised:
                operator.insights.watched_resources.discard(_as_kopf(resource))
                operator.insights.revised.notify_all()

    def _of(self, resource: Resource) -> list[_Operator]:
        return [operator for operator in self._operators if resource in operator.scope.resources]

    def _handle(self, operator: _Operator, resource: Resource) -> None:
        if resource not in operator.resources:
            operator.resources.add(resource)
            register = kopf.on.event(
                resource.group, resource.version, resource.plural, registry=operator.registry, id=resource.plural
            )
            register(_handle)

    async def _operator(self, operator: _Operator, ready: asyncio.Event) -> None:
        scope = operator.scope
        for resource in scope.resources:
            if not resource.optional:
                self._handle(operator, resource)
        kopf.on.login(registry=operator.registry, id='session')(self._login)
        await kopf.operator(
            registry=operator.registry,
            insights=operator.insights,
            settings=_settings(scope, self._silence),
            clusterwide=not scope.namespaces,
            namespaces=scope.namespaces,
            standalone=True,
            # Unused, and without it kopf looks up the user's name, which a container's user may not have.
            identity=Identity('headrace'),
            stop_flag=self._stop,
            ready_flag=ready,
        )

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=self._server, aiohttp_session=self._session())


async def _handle(**_: Any) -> None:
    """Handle nothing: kopf watches only what has a handler, and its events are taken before."""


def _note(end: asyncio.Future[str], task: asyncio.Task[Any]) -> None:
    if not end.done():
        end.set_result(_why(task))


def _is_done(task: asyncio.Task[Any]) -> bool:
    return task.done()


def _why(task: asyncio.Task[Any]) -> str:
    error = None if task.cancelled() else task.exception()
    return f"kopf's {task.get_name()} has ended" + (f': {type(error).__name__}: {error}' if error else '')


def _as_kopf(resource: Resource) -> KopfResource:
    return KopfResource(
        resource.group,
        resource.version,
        resource.plural,
        kind=resource.kind,
        namespaced=resource.namespaced,
        verbs=frozenset(('list', 'watch')),
    )


def _settings(scope: Scope, silence: float) -> kopf.OperatorSettings:
    """Return settings under which kopf only watches, retries without end, and notices silence."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.process.ultimate_exiting_timeout = None
    settings.networking.error_backoffs = Pauses()
    settings.networking.connect_timeout = 5
    settings.networking.request_timeout = 30
    settings.networking.enforce_retry_after = True
    settings.watching.chunk_size = 250
    settings.watching.server_timeout = 300
    settings.watching.connect_timeout = 5
    settings.watching.inactivity_timeout = silence
    settings.watching.reconnect_backoff = 0.2
    settings.queueing.idle_timeout = 0.2
    settings.queueing.exit_timeout = 1
    settings.queueing.worker_limit = None
    settings.persistence.diffbase_storage = _NoDifferences()
    settings.persistence.progress_storage = _NoProgress()
    for resource in scope.resources:
        if resource.label_selector:
            settings.watching.label_selectors[resource.plural] = resource.label_selector
        if resource.field_selector:
            settings.watching.field_selectors[resource.plural] = resource.field_selector
    return settings
