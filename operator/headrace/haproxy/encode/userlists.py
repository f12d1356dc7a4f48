"""Users whose hashes only HAProxy can judge (crypt): one userlist for all, in which each hash has a name of its own.

Who may use a hash, and where, is data: the map `auth-crypt` leads from a policy and a user to the hash's name. So a user
goes without a reload, and comes without one where the worker has loaded the hash already.
"""

import hashlib
import re
from collections.abc import Iterable

from headrace import names
from headrace.haproxy.encode import syntax
from headrace.ir.fragment import Fragment
from headrace.ir.policy import Entry, Map, Userlist


def name(secret: str) -> str:
    """Return the name of a hash: 32 hexadecimal digits that tell nothing of it."""
    return names.digest(secret)


def entries(userlist: Userlist) -> list[Entry]:
    """Return the entries that lead from the users of a policy to their hashes."""
    return [
        Entry(Map.AUTH_CRYPT, f'{userlist.policy}:{hashlib.sha256(user.encode()).hexdigest().upper()}', name(secret))
        for user, secret in userlist.users
    ]


def needed(fragments: Iterable[Fragment | None]) -> dict[str, str]:
    """Return the hashes that some fragments need, by name."""
    return {
        name(secret): secret
        for fragment in fragments
        if fragment is not None
        for userlist in fragment.userlists
        for _, secret in userlist.users
    }


def section(hashes: dict[str, str]) -> str:
    """Return the userlist of some hashes."""
    lines = [f'  user {user} password {syntax.quoted(hashes[user])}\n' for user in sorted(hashes)]
    return ''.join(['userlist headrace-users\n', *lines])


def of_section(text: str) -> frozenset[str]:
    """Return the names of the hashes in a userlist's text."""
    return frozenset(re.findall(r'^  user (\S+)', text, re.MULTILINE))
