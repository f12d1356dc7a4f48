"""Users whose hashes only HAProxy can judge: what it is told of them, what its files say, and that no hash is shown."""

import re

from headrace.haproxy.encode import map_entries, userlists
from headrace.ir.fragment import Fragment
from headrace.ir.policy import Entry, Map, Userlist
from headrace.names import Ref

HASH, OTHER = '$6$salt$aaaa', '$5$salt$bbbb'
FRAGMENT = Fragment(Ref('Service', 'shop', 'web'), userlists=(Userlist('p', (('ann', HASH), ('bob', OTHER))),))


def test_a_hash_has_a_name_that_tells_nothing_of_it_and_stays_the_same():
    name = userlists.name(HASH)
    assert re.fullmatch('[0-9a-f]{32}', name)
    assert (userlists.name(HASH), userlists.name(OTHER) == name) == (name, False)
    assert HASH not in repr(FRAGMENT)


def test_a_policy_and_a_user_lead_to_the_hash():
    # The user is a SHA-256 in capital letters, as HAProxy makes it of what a client sends.
    ann, bob = (
        '49915E0D7D4B402E3017D010BC1C0E83CAC6C797D6C16E66340FE3268693A6A1',
        '81B637D8FCD2C6DA6359E6963113A1170DE795E4B725B84D1E0B4CFD9EC58CE9',
    )
    made = map_entries.of_fragment(FRAGMENT)
    assert made == {
        Entry(Map.AUTH_CRYPT, f'p:{ann}', userlists.name(HASH)),
        Entry(Map.AUTH_CRYPT, f'p:{bob}', userlists.name(OTHER)),
    }


def test_the_userlist_holds_each_hash_once_and_is_read_as_it_was_written():
    more = Fragment(Ref('Service', 'shop', 'api'), userlists=(Userlist('q', (('eve', HASH),)),))
    needed = userlists.needed([FRAGMENT, None, more])
    assert needed == {userlists.name(HASH): HASH, userlists.name(OTHER): OTHER}
    text = userlists.section(needed)
    assert text.splitlines()[0] == 'userlist headrace-users'
    assert sorted(text.splitlines()[1:]) == text.splitlines()[1:]
    assert f"  user {userlists.name(HASH)} password '$6$salt$aaaa'\n" in text
    assert userlists.of_section(text) == needed.keys()
    assert userlists.of_section('') == frozenset()
