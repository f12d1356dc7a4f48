"""The logs of what tests have started: a test that fails shows their ends, for it may not fail again."""

from pathlib import Path

_KEPT = 6000
_files: list[Path] = []


def follow(path):
    """Show the end of a file with tests that fail from now on; `forget` it when it goes."""
    _files.append(path)


def forget(path):
    _files.remove(path)


def shown():
    """Return the end of each file that is there: its path and text."""
    return [(path, path.read_text(errors='replace')[-_KEPT:]) for path in _files if path.exists()]
