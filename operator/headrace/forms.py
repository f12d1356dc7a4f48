"""The forms of what controllers and agents write for each other, because their versions differ while an upgrade goes on.

A label of the object says the form, as a number that changes only when the meaning of what is written does. An object without it
has the first form: versions before the label wrote that. No reader uses a form that is newer than those it knows.
"""

from collections.abc import Mapping

LABEL = 'headrace.io/form'
FIRST = 1
# The annotations of an agent's Lease.
REPORT = 1
# The counter of epochs on the Lease that elects a controller, and what an epoch of a Service means.
COUNTER = 1
# The Service of a Gateway: the targetPort of a port is its slot.
SLOTS = 1
# The weight that an EndpointSlice names.
WEIGHTS = 1
_DIGITS = 4
_NOT_KNOWN = 10**_DIGITS


def read(labels: Mapping[str, object]) -> int:
    """Return the form that labels name; what is no number is newer than all that are known."""
    text = str(labels.get(LABEL, FIRST))
    is_number = text.isascii() and text.isdecimal() and len(text) <= _DIGITS
    return int(text) or _NOT_KNOWN if is_number else _NOT_KNOWN
