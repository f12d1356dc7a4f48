"""Which fragments make HAProxy refuse a configuration: found by halving, with a real `haproxy -c` each time."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace.haproxy import check, files
from headrace.haproxy.render import Renderer
from headrace.model.claims import ClaimKey
from headrace.model.picture import Picture
from headrace.names import Ref

Owners = Mapping[ClaimKey, Ref]


def find(binary: str, renderer: Renderer, picture: Picture, owners: Owners, suspects: Sequence[Ref]) -> tuple[Ref, ...]:
    """Return the suspects without which HAProxy accepts the rest; none when it is not their fault.

    `owners` are those who hold the picture's pointers. Of several that are refused only together, the last one is
    returned. Costs about log2(suspects) checks for each one found. Raises HaproxyMissingError, WriteError,
    TemplateError.
    """

    def accepted(left_out: Sequence[Ref]) -> bool:
        return _accepted(binary, renderer, without(picture, owners, frozenset(left_out)))

    if not suspects or accepted([]) or not accepted(suspects):
        return ()
    found: list[Ref] = []
    left = list(suspects)
    while left:
        # With none of those left it is accepted, with all of them it is not: somewhere between, one makes the difference.
        good, bad = 0, len(left)
        while bad - good > 1:
            middle = (good + bad) // 2
            if accepted([*found, *left[middle:]]):
                good = middle
            else:
                bad = middle
        found.append(left[good])
        # Those before the one found are all right together.
        left = left[bad:]
        if accepted(found):
            break
    return tuple(sorted(found))


def without(picture: Picture, owners: Owners, left_out: frozenset[Ref]) -> Picture:
    """Return a picture that lacks some fragments, and all pointers that they hold."""
    return Picture(
        {ref: fragment for ref, fragment in picture.fragments.items() if ref not in left_out},
        {key: content for key, content in picture.pointers.items() if owners.get(key) not in left_out},
    )


def _accepted(binary: str, renderer: Renderer, picture: Picture) -> bool:
    with tempfile.TemporaryDirectory(prefix='headrace-suspect-') as folder:
        files.write(Path(folder), renderer.picture(picture))
        return check.check(binary, Path(folder)).accepted
