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

    `owners` are those who hold the picture's pointers. Costs about 2 log2(suspects) checks for each one at fault. Raises HaproxyMissingError, WriteError, TemplateError.
    """

    def accepted(left_out: Sequence[Ref]) -> bool:
        return _accepted(binary, renderer, without(picture, owners, frozenset(left_out)))

    def search(group: Sequence[Ref], others: Sequence[Ref]) -> list[Ref]:
        """Return those at fault in a group that is known to hold one; `others` are left out meanwhile."""
        if len(group) == 1:
            return list(group)
        middle = len(group) // 2
        found: list[Ref] = []
        for half, rest in ((group[:middle], group[middle:]), (group[middle:], group[:middle])):
            if not accepted([*others, *rest]):
                found += search(half, [*others, *rest])
        return found

    if not suspects or not accepted(suspects):
        return ()
    return tuple(sorted(search(suspects, [])))


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
