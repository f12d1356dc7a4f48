"""What the edge and the node role share of basic authentication: a Secret's users, or why they cannot be let in."""

from headrace.cluster.store import Snapshot
from headrace.model import materials, policies
from headrace.model.ir import Userlist
from headrace.model.materials import Say
from headrace.model.policies import Policy
from headrace.model.view import View
from headrace.names import Ref


def apply(
    policy: Policy, secret: Ref, key: str, snapshot: Snapshot, view: View, say: Say
) -> tuple[str, tuple[Userlist, ...]]:
    """Let only a Secret's users in; return why that cannot be ('' when it is done), and the list of crypt hashes if any."""
    if (problem := materials.problem(secret, 'users', snapshot, view)) is not None:
        say(problem[0], key, problem[1])
        return f'{secret} cannot be used', ()
    held = snapshot.secret(secret)
    assert held is not None
    hashed = policies.apply_users(policy, held.users)
    if hashed is None:
        return '', ()
    say('CostlyHash', key, f'{secret} holds crypt hashes')
    return '', (hashed,)
