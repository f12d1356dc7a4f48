"""The key of a node's stand-ins is made once, and only its owner can read it."""

import stat

from headrace.nft import synthetic_key


def test_a_key_is_made_once_and_stays(tmp_path):
    made = synthetic_key.read_or_make(tmp_path / 'state')
    assert len(made) == 32
    assert synthetic_key.read_or_make(tmp_path / 'state') == made
    assert synthetic_key.read_or_make(tmp_path / 'other') != made
    (file,) = (tmp_path / 'state').iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_key_that_was_cut_off_is_made_anew(tmp_path):
    (tmp_path / 'stand-ins.key').write_bytes(b'short')
    assert len(synthetic_key.read_or_make(tmp_path)) == 32


def test_of_two_agents_that_make_a_key_at_once_the_first_ones_counts(tmp_path, monkeypatch):
    other = b'o' * 32
    made = synthetic_key.secrets.token_bytes

    def late(size):
        (tmp_path / 'stand-ins.key').write_bytes(other)
        return made(size)

    monkeypatch.setattr(synthetic_key.secrets, 'token_bytes', late)
    assert synthetic_key.read_or_make(tmp_path) == other
    assert [path.name for path in tmp_path.iterdir()] == ['stand-ins.key']
