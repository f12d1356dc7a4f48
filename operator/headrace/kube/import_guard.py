"""A package that is installed, and yet is not there for those that would load it only because it is."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def absent(package: str) -> Iterator[None]:
    """Let imports of a package fail meanwhile, as if it were not installed; what is loaded already stays loaded."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment] # what `import` takes for: not to be found
    try:
        yield
    finally:
        del sys.modules[package]
