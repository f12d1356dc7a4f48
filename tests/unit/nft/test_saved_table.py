"""The file of the last good table: changes are appended, and the whole is written when that is shorter."""

import pytest

from headrace.nft import saved_table
from headrace.nft.groups import Draw
from headrace.nft.layout import NodeFacts
from headrace.nft.rules import Table
from headrace.nft.saved_table import SavedTable
from headrace.nft.transaction import Transaction
from headrace.resolve.model_snapshot import ModelSnapshot

TABLE = Table(ModelSnapshot(), NodeFacts('192.0.2.1', (), (), (1, 2, 3, 4, 5, 6)))


def change(number):
    return Transaction(additions={('shut4', f'10.96.0.{number} . tcp . 80'): 'drop'})


def saved(file):
    """Save what there is to save; return whether that was the whole table."""
    whole = file.is_whole()
    changes = file.take()
    if whole:
        file.replace(file.write(TABLE))
    else:
        file.append(changes)
    return whole


@pytest.fixture
def file(tmp_path):
    return SavedTable(tmp_path / 'table.nft')


def test_the_first_time_the_whole_table_is_written_and_later_what_changed(file):
    assert saved(file)
    assert file.parts() == [TABLE.frame()]
    file.note(change(1))
    file.note(change(2))
    assert not saved(file)
    file.note(change(3))
    assert not saved(file)
    first, then = file.parts()
    assert first == TABLE.frame()
    assert [line for line in then.splitlines() if not line.startswith('#')] == [
        change(number).text.strip() for number in (1, 2, 3)
    ]


def test_a_change_that_was_cut_off_is_left_out(file, tmp_path):
    saved(file)
    file.note(change(1))
    file.note(change(2))
    saved(file)
    path = tmp_path / 'table.nft'
    path.write_text(path.read_text()[:-10])
    assert file.parts()[1].strip() == change(1).text.strip()


def test_another_table_and_a_file_that_has_grown_are_written_as_a_whole(file, monkeypatch):
    saved(file)
    file.note_anew()
    file.note(change(1))
    assert saved(file)
    assert len(file.parts()) == 1
    file.note(Transaction(draws={Draw('', 4, 2)}))
    assert saved(file)
    monkeypatch.setattr(saved_table, '_LEAST', 0)
    while not file.is_whole():
        file.note(change(1))
        assert not saved(file)
    assert saved(file)
    assert len(file.parts()) == 1
