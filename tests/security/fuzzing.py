"""How long fuzzers run, what they bound, and how they change DER and documents.

HEADRACE_FUZZ is the number of examples of each fuzzer, new ones at each run; without it there are few, always the same.
"""

import contextlib
import gc
import os
import time

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from support import hostile

_ASKED = int(os.environ.get('HEADRACE_FUZZ', '0'))
EXAMPLES = _ASKED or 60
FUZZ = settings(
    max_examples=EXAMPLES,
    derandomize=not _ASKED,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
# A fuzzer that runs long by hand is not ended.
TIMEOUT = pytest.mark.timeout(0 if _ASKED else 300)
# Of CPU, for one object; a busy machine takes no part in it.
SECONDS = 1.0
OIDS = [
    bytes.fromhex(text)
    for text in (
        '2a864886f70d010101', '2a864886f70d010104', '2a864886f70d010105', '2a864886f70d01010a', '2a864886f70d01010b',
        '2a8648ce3d0201', '2a8648ce3d030107', '2a8648ce380401', '2a864886f70d010301', '2b6570', '2b6571', '550403', '551d11', '551d13',
    )
]  # fmt: skip
TAGS = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1E, 0x30, 0x31, 0xA0, 0xA3, 0x82]


@contextlib.contextmanager
def bounded():
    """Fail when what is done takes longer than one object may; a collection of all that the fuzzer holds does not count."""
    gc.disable()
    try:
        began = time.process_time()
        yield
        took = time.process_time() - began
    finally:
        gc.enable()
    assert took < SECONDS


def tree(der):
    """Return DER as a list of [tag, content], where the content of what is constructed is such a list again."""
    found, place = [], 0
    while place < len(der):
        tag, size, place = der[place], der[place + 1], place + 2
        if size & 0x80:
            count = size & 0x7F
            size, place = int.from_bytes(der[place : place + count], 'big'), place + count
        content = der[place : place + size]
        found.append([tag, tree(content) if tag & 0x20 else content])
        place += size
    return found


def encoded(nodes):
    """Return the DER of such a list."""
    return b''.join(hostile.value(tag, encoded(each) if isinstance(each, list) else each) for tag, each in nodes)


def nodes_of(nodes):
    """Return all nodes of such a list, at any depth."""
    return [found for node in nodes for found in (node, *(nodes_of(node[1]) if isinstance(node[1], list) else ()))]


@st.composite
def changed_der(draw, der):
    """Return a strategy of DER with some values changed and lengths right, or with some bytes changed."""
    if draw(st.booleans()):
        return der
    made = tree(der)
    for _ in range(draw(st.integers(0, 3))):
        every = nodes_of(made)
        node = every[draw(st.integers(0, len(every) - 1))]
        match draw(st.integers(0, 5)):
            case 0:
                node[0] = draw(st.sampled_from(TAGS))
            case 1:
                node[1] = draw(st.binary(max_size=40))
            case 2:
                node[:] = [0x06, draw(st.sampled_from(OIDS))]
            case 3:
                node[:] = [node[0], [node[:]] * draw(st.integers(0, 3))]
            case 4:
                other = every[draw(st.integers(0, len(every) - 1))]
                node[:] = [other[0], encoded(other[1]) if isinstance(other[1], list) else other[1]]
            case _:
                node[:] = [0x02, draw(st.sampled_from([b'', b'\0', b'\xff' * 20, b'\x7f' * 2000]))]
    found = bytearray(encoded(made))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        if found:
            found[draw(st.integers(0, len(found) - 1))] = draw(st.integers(0, 255))
    return bytes(found)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.just(10**4000) | st.floats() | st.text(max_size=12)
    | st.sampled_from(['127.0.0.1', '::1', '10.0.0.0/8', 'None', 'TCP', '\ud800', 'a' * 5000, '0', '999999999999999999999']),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


def places(value, path=()):
    """Return the paths of all values of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in places(each, (*path, key)))]


def replaced(value, path, new):
    """Return a document with the value at a path replaced; what is not changed is shared."""
    if not path:
        return new
    made = dict(value) if isinstance(value, dict) else list(value)
    made[path[0]] = replaced(made[path[0]], path[1:], new)
    return made


@st.composite
def changed_document(draw, document, keep=(('kind',), ('apiVersion',))):
    """Return a strategy of documents with some values replaced; the document itself stays one of its kind."""
    for _ in range(draw(st.integers(0, 4))):
        every = [path for path in places(document) if path and path not in keep]
        if every:
            document = replaced(document, draw(st.sampled_from(every)), draw(VALUES))
    return document
