"""The last good table in a file, as it is loaded after a boot: the whole table in parts, and what has changed since.

A change is appended, so it costs as much as itself; when that is as much as the table, the table is written again. The last
change is left out when it was cut off.
"""

import time
from pathlib import Path

from headrace.nft.rules import Table
from headrace.nft.transaction import Transaction

# nft takes a line of these for a comment.
_PART, _CHANGES, _END = '# ---\n', '# +++\n', '# .\n'
# A file of fewer bytes is not written again for the sake of its size.
_LEAST = 1 << 16


class SavedTable:
    """The file, and the changes that it is behind."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._changes: list[Transaction] = []
        self._whole = True
        self._table_bytes = self._change_bytes = 0
        # What the last writing took of a core.
        self.seconds = 0.0

    def exists(self) -> bool:
        """Tell whether there is a file."""
        return self._file.exists()

    def remove(self) -> None:
        """Remove the file."""
        self._whole = True
        self._file.unlink(missing_ok=True)

    def parts(self) -> list[str]:
        """Return the transactions that make the table; raises OSError."""
        whole, _, changes = self._file.read_text().partition(_CHANGES)
        kept = changes.rpartition(_END)[0]
        return [*whole.split(_PART), *([kept] if kept else [])]

    def note(self, transaction: Transaction) -> None:
        """Note a change that the kernel has; chains that groups share are written with the whole table alone."""
        self._whole = self._whole or bool(transaction.draws)
        if not self._whole:
            self._changes.append(transaction)

    def note_anew(self) -> None:
        """Note that the file is to be written as a whole: the kernel has another table, or it could not be written."""
        self._whole = True

    def is_whole(self) -> bool:
        """Tell whether the whole table is to be written, and not changes."""
        return self._whole or self._change_bytes > max(self._table_bytes, _LEAST)

    def take(self) -> list[Transaction]:
        """Return the changes to append; they count as done, and so does the whole table, until `note_anew`."""
        changes, self._changes, self._whole = self._changes, [], False
        return changes

    def append(self, changes: list[Transaction]) -> None:
        """Append changes; raises OSError."""
        began = time.thread_time()
        with self._file.open('a') as opened:
            self._change_bytes += sum(opened.write(change.text + _END) for change in changes)
        self.seconds = time.thread_time() - began

    def write(self, table: Table) -> Path:
        """Write the whole table, and return the file that takes the place of the last one by `replace`; raises OSError."""
        began = time.thread_time()
        temporary = self._file.with_suffix('.new')
        try:
            with temporary.open('w') as opened:
                size = opened.write(table.frame())
                for part in table.parts():
                    size += opened.write(_PART + part.text)
                opened.write(_CHANGES)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._table_bytes, self._change_bytes = size, 0
        self.seconds = time.thread_time() - began
        return temporary

    def replace(self, temporary: Path) -> None:
        """Let a file that was written take the place of the last one; raises OSError."""
        temporary.replace(self._file)
