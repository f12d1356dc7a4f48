"""The command line as a user runs it: arguments in, an exit code and two texts out."""

import json
import sys
from dataclasses import dataclass

import pytest
import yaml

from headrace.cli.main import main


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def values(self):
        return json.loads(self.out)

    @property
    def said(self):
        """Reason and object of each diagnostic."""
        return [
            (diagnostic['reason'], f'{diagnostic["namespace"]}/{diagnostic["name"]}')
            for diagnostic in self.values['diagnostics']
        ]


@pytest.fixture
def headrace(monkeypatch, capsys):
    """Run the entry point with arguments."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['headrace', *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        caught = capsys.readouterr()
        return Outcome(code, caught.out, caught.err)

    return run


@pytest.fixture
def given(tmp_path):
    """Write documents (or a text) to a file of the test's folder, and return its path."""

    def write(*documents, name='in.yaml'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = documents[0] if documents and isinstance(documents[0], str) else yaml.safe_dump_all(documents)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def rendered():
    """Return the files of a rendered folder by name."""

    def read(folder):
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob('*'))
            if path.is_file()
        }

    return read
