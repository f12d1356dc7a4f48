"""What the edge and the node role share of basic authentication: a Secret's users, or why they cannot be let in."""

from headrace.ir.policy import Userlist
from headrace.names import Ref
from headrace.store import Reader
from headrace.translate import policies, tls_material
from headrace.translate.build_context import BuildContext
from headrace.translate.policies import Policy
from headrace.translate.tls_material import Say


def apply(  # noqa: PLR0913
    policy: Policy, secret: Ref, key: str, reader: Reader, context: BuildContext, say: Say, *, named: bool = False
) -> tuple[str, tuple[Userlist, ...]]:
    """Let only a Secret's users in; return why that cannot be ('' when it is done), and the list of crypt hashes if any.

    `named`: the Secret has a hash under the name of each user.
    """
    if (problem := tls_material.problem(secret, 'named users' if named else 'users', reader, context)) is not None:
        say(problem[0], key, problem[1])
        return f'{secret} cannot be used', ()
    users_secret = reader.secret(secret)
    assert users_secret is not None
    userlist = policies.apply_users(policy, users_secret.named_users if named else users_secret.users)
    if userlist is None:
        return '', ()
    say('CostlyHash', key, f'{secret} holds crypt hashes')
    return '', (userlist,)
