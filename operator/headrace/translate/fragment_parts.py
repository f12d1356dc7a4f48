"""What all builders of fragments share: the parts of a fragment so far, and how they become one."""

import operator
from collections.abc import Collection
from typing import TypeVar

from headrace.annotations.parse import PREFIX
from headrace.diagnostics import Diagnostic
from headrace.ir.backend import Backend, Demand
from headrace.ir.fragment import Attachment, Claim, Fragment, Kind
from headrace.ir.policy import Entry, HeaderEdits, Timeouts, Userlist
from headrace.ir.routing import Lead
from headrace.names import Ref
from headrace.objects.kinds import Service
from headrace.store import Reader
from headrace.translate import affinity, tls_material
from headrace.translate.build_context import BuildContext

_Item = TypeVar('_Item', Entry, Demand, str, Diagnostic)
_OfPolicy = TypeVar('_OfPolicy', HeaderEdits, Timeouts, Userlist, Lead)


def _sorted(items: Collection[_Item]) -> tuple[_Item, ...]:
    """Return sorted items; most parts of most fragments are empty."""
    return tuple(sorted(items)) if items else ()


def _by_policy(items: Collection[_OfPolicy]) -> tuple[_OfPolicy, ...]:
    return tuple(sorted(items, key=operator.attrgetter('policy'))) if items else ()


class FragmentParts:
    """The parts of the fragment of one object."""

    def __init__(self, ref: Ref, created: str, reader: Reader, context: BuildContext) -> None:
        self.ref, self.created, self.reader, self.context = ref, created, reader, context
        self.claims: list[Claim] = []
        self.data: list[Entry] = []
        self.backends: dict[str, Backend] = {}
        self.headers: list[HeaderEdits] = []
        self.timeouts: list[Timeouts] = []
        self.userlists: list[Userlist] = []
        self.leads: list[Lead] = []
        self.demands: set[Demand] = set()
        self.shut: set[str] = set()
        self.diagnostics: list[Diagnostic] = []
        self.attachments: tuple[Attachment, ...] = ()
        self.endpoint_diagnostics: set[Diagnostic] = set()

    def variant(self, service: Service) -> str:
        """Return which of another Service's backends is used: '' for that of all its endpoints."""
        del service
        return ''

    def annotation(self, key: str) -> str:
        """Return the whole name of the annotation that a key of headrace was given by."""
        return f'{PREFIX}{key}'

    def field(self, key: str) -> str:
        """Return the field of the annotation that a key of headrace was given by."""
        return f'metadata.annotations[{self.annotation(key)}]'

    def say(self, reason: str, key: str, message: str) -> None:
        """Add a diagnostic about one of the object's annotations."""
        self.diagnostics.append(Diagnostic(self.ref, reason, f'{self.annotation(key)}: {message}', self.field(key)))

    def material(self, secret: Ref, key: str, kind: str) -> str:
        """Claim the file with a Secret's certificate or authorities; return its name, '' if there is none."""
        claim = tls_material.claim(secret, key, kind, self.reader, self.context, self.say)
        if claim is None:
            return ''
        self.claims.append(claim)
        return claim.key

    def fragment(self) -> Fragment:
        """Return the finished value, everything sorted."""
        return Fragment(
            ref=self.ref,
            created=self.created,
            claims=self._unique_claims(),
            data=_sorted(set(self.data)),
            backends=affinity.with_pins(self.backends[name] for name in sorted(self.backends)),
            headers=_by_policy(self.headers),
            timeouts=_by_policy(self.timeouts),
            userlists=_by_policy(self.userlists),
            leads=_by_policy(self.leads),
            demands=_sorted(self.demands),
            shut=_sorted(self.shut),
            needs=self.reader.needs,
            attachments=self.attachments,
            endpoint_diagnostics=_sorted(self.endpoint_diagnostics),
            diagnostics=_sorted(set(self.diagnostics)),
        )

    def _unique_claims(self) -> tuple[Claim, ...]:
        """Return one claim for each key; of two claims of this object for one key, the first one stands."""
        claims: dict[tuple[Kind, str], Claim] = {}
        for claim in self.claims:
            first = claims.setdefault((claim.kind, claim.key), claim)
            if first.value != claim.value:
                message = f'{claim.kind} {claim.key} is claimed by two ports of this {self.ref.kind}; the first has it'
                self.diagnostics.append(Diagnostic(self.ref, 'Conflict', message, claim.field))
        return tuple(claims[key] for key in sorted(claims))
