"""An edge whose objects change while it runs."""

from headrace.haproxy.plan import plan
from headrace.haproxy.runtime import staging
from headrace.objects import parse
from headrace.resolve.model_snapshot import of_state
from headrace.resolve.state import State
from headrace.store import Store
from support.edge import Edge
from support.transitions import tell


class ChangingEdge(Edge):
    """An edge whose objects change while it runs."""

    def rendered(self, made):
        """Return the files of the folder."""
        self.context = made.context
        return super().rendered(made)

    def change(self, before, after, fixed=()):
        """Send the commands that lead from some documents to others, and return what was refused; `fixed` are of both."""
        store, state = Store(), State(self.context)
        for document in (*fixed, *before):
            store.put(parse.read(document).object)
        state.update(store, store.take())
        loaded = plan.started(of_state(state), staging.usage(self.renderer(self.context)).profiles())
        objects = [parse.read(document).object for document in (*fixed, *after)]
        for ref in {parse.read(document).object.ref for document in before} - {each.ref for each in objects}:
            store.drop(ref)
        for each in objects:
            store.put(each)
        steps = plan.plan(state.update(store, store.take()), loaded)
        assert steps.reasons == ()
        return tell(self.haproxy, steps.commands)
