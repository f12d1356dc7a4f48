"""What is said of an nft that fails."""

import asyncio

import pytest

from headrace.nft.command import Nft, NftError


@pytest.mark.parametrize(
    ('script', 'told'),
    [
        pytest.param('echo "Error: no" >&2; exit 1', 'Error: no', id='its own words'),
        pytest.param('exit 3', 'ended with 3', id='no words'),
        pytest.param('kill -TERM $$', 'was ended by signal 15', id='a signal'),
        pytest.param('kill -SEGV $$', 'it may be older than the nft that has made other tables', id='others have a newer one'),
    ],
)  # fmt: skip
def test_an_nft_that_fails_says_why(tmp_path, script, told):
    program = tmp_path / 'nft'
    program.write_text(f'#!/bin/sh\n{script}\n')
    program.chmod(0o755)
    with pytest.raises(NftError, match=told):
        asyncio.run(Nft(str(program)).present())
