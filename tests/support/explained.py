"""Traces of requests, for objects that are given as documents."""

from dataclasses import replace

from headrace import store
from headrace.explain import request as requests
from headrace.explain import tracing
from headrace.objects import parse
from headrace.resolve import state
from headrace.settings.settings import Secrets, Settings
from headrace.translate import build_context


def model(*documents, own_namespace='', **settings):
    """Return a store and the state of an edge that reads all Secrets of a folder; `own_namespace`: it is that of a cluster."""
    context = build_context.make(Settings(**{'secrets': Secrets(namespaces=('*',)), **settings}))
    return of_context(replace(context, own_namespace=own_namespace), documents)


def of_context(context, documents):
    """Return a store and the state of some documents as an agent with this context sees them."""
    held, made = store.Store(), state.State(context)
    for document in documents:
        held.put(parse.read(document).object)
    made.update(held, held.take())
    return held, made


def trace(line, *documents, headers=(), client='192.0.2.1', listener='', certificate=False, **settings):
    """Return what becomes of a request, given as `METHOD URL`."""
    held, made = model(*documents, **settings)
    given = map(requests.parse_header, headers)
    return tracing.trace(made, held, requests.parse(line, given, client, listener, certificate=certificate))
