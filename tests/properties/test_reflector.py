"""Whatever happens in a cluster, and however late it is told, the reflector ends with what there is.

A cluster is a history of creations, changes and deletions, each with the next resource version; names come again. A
watch puts its events into one queue for each object (uid), as kopf does, and these are told in any order across
objects. Lists are the truth of one moment, read page by page, several at once, and may be abandoned. A watch may be cut:
there are no events of what happened from then until the next list.
"""

from dataclasses import dataclass, field

from hypothesis import example, given
from hypothesis import strategies as st

from headrace.kube.reflector import Listing, Reflector
from headrace.objects.kinds import Namespace

NAMES = ('a', 'b', 'c')


def thing(name, uid, version):
    return Namespace(name, labels=(('uid', str(uid)), ('version', str(version))))


@dataclass
class Reading:
    """A list that a client has begun: what it will hold once the server has answered the first page."""

    listing: Listing
    version: int = 0
    pages: list = field(default_factory=list)


class World:
    """A cluster, its watch and queues, and a store that follows what the reflector says."""

    def __init__(self):
        self.version = 0
        self.truth = {}
        self.uids = 0
        self.watching = False
        self.queues = {}
        self.readings = []
        self.reflector = Reflector()
        self.store = {}
        self.over = set()

    # What happens in the cluster.

    def set(self, name):
        """Create the object, or change it."""
        self.version += 1
        if name not in self.truth:
            self.uids += 1
        uid = self.truth[name][0] if name in self.truth else self.uids
        self.truth[name] = (uid, self.version)
        self._tell('MODIFIED', name, uid)

    def delete(self, name):
        if name in self.truth:
            self.version += 1
            uid, _ = self.truth.pop(name)
            self._tell('DELETED', name, uid)

    def _tell(self, kind, name, uid):
        if self.watching:
            self.queues.setdefault(uid, []).append((kind, name, uid, self.version))

    def cut(self):
        self.watching = False

    # What the client hears.

    def hear(self, index):
        """Take the first event of one of the queues."""
        if not self.queues:
            return
        uid = sorted(self.queues)[index % len(self.queues)]
        kind, name, uid, version = self.queues[uid].pop(0)
        if not self.queues[uid]:
            del self.queues[uid]
        item = thing(name, uid, version)
        if kind == 'DELETED':
            self.over.add(uid)
            if self.reflector.drop(item.ref, version):
                del self.store[item.ref]
        elif self.reflector.put(item.ref, version):
            self.store[item.ref] = item

    def begin(self):
        self.readings.append(Reading(self.reflector.begin()))

    def read(self, index):
        """Get the next page of a list; the first page fixes the moment, the last one ends it."""
        if not self.readings:
            return
        reading = self.readings[index % len(self.readings)]
        if not reading.version:
            self.version += 1
            reading.version = self.version
            reading.pages = [(version, thing(name, uid, version)) for name, (uid, version) in self.truth.items()]
        if reading.pages:
            reading.listing.page([reading.pages.pop(0)])
            return
        self.readings.remove(reading)
        self.follow(reading)

    def abandon(self, index):
        if self.readings:
            self.reflector.abandon(self.readings.pop(index % len(self.readings)).listing)

    def follow(self, reading):
        newest = not self.reflector.synced or reading.version > self.reflector.version
        found = self.reflector.finish(reading.listing, reading.version)
        assert newest or not found
        for ref in found.drop:
            self.over.add(int(dict(self.store.pop(ref).labels)['uid']))
        for item in found.put:
            self.store[item.ref] = item

    def relist(self):
        """What kopf does when its watch is lost: a list, and a watch from its moment on."""
        self.begin()
        mine = self.readings[-1]
        while mine in self.readings:
            self.read(self.readings.index(mine))
        self.watching = True

    def holds(self):
        """What is true at any time."""
        assert {ref: int(dict(item.labels)['version']) for ref, item in self.store.items()} == self.reflector.versions
        assert not self.over & {int(dict(item.labels)['uid']) for item in self.store.values()}, 'one has come back'


STEPS = st.one_of(
    st.tuples(st.sampled_from(['set', 'delete']), st.sampled_from(NAMES)),
    st.tuples(st.sampled_from(['hear', 'read']), st.integers(0, 5)),
    st.tuples(st.just('abandon'), st.integers(0, 5)),
    st.tuples(st.sampled_from(['begin', 'cut', 'relist'])),
)

LATE = [
    ('relist',), ('set', 'a'), ('begin',), ('delete', 'a'), ('set', 'a'), ('read', 0), ('delete', 'a'),
    # The second object of the name is told first, and then what is left of the first one.
    ('hear', 1), ('hear', 1), ('hear', 0), ('hear', 0), ('read', 0),
]  # fmt: skip
TWO = [
    ('relist',), ('set', 'a'), ('begin',), ('begin',), ('abandon', 1), ('read', 0), ('delete', 'a'),
    # The list that goes on must know of the deletion, not the one that was abandoned.
    ('hear', 0), ('hear', 0), ('read', 0),
]  # fmt: skip


@given(st.lists(STEPS, min_size=1, max_size=60))
@example(LATE)
@example(TWO)
def test_what_is_known_in_the_end_is_what_there_is(steps):
    world = World()
    world.relist()
    for name, *arguments in steps:
        getattr(world, name)(*arguments)
        world.holds()
    while world.readings:
        world.read(0)
        world.holds()
    if not world.watching:
        world.relist()
        world.holds()
    while world.queues:
        world.hear(0)
        world.holds()
    assert set(world.store.values()) == {thing(name, *held) for name, held in world.truth.items()}
