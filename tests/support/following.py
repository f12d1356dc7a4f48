"""A store and the state that follows it, without HAProxy."""

from dataclasses import replace

from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve.state import State
from headrace.store import Store
from headrace.translate import build_context


class Following:
    """A store of documents, and the state that follows it under some settings of the class; `view` are fields of the view."""

    def __init__(self, settings, **view):
        self.context = replace(build_context.make(settings), **view)
        self.store, self.state = Store(), State(self.context)

    def put(self, *events):
        """Put documents, drop references, and return what that changed."""
        for event in events:
            if isinstance(event, Ref):
                self.store.drop(event)
            else:
                self.store.put(parse.read(event).object)
        return self.state.update(self.store, self.store.take())

    def scratch(self):
        """Return a state that is built at once."""
        made = State(self.context)
        made.update(self.store, self.store.services())
        return made
