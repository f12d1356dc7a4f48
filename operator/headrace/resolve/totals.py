"""What the objects of a namespace become together, and whether its budgets leave room for one more or a larger one.

Pure. Totals are kept by namespace, so a change costs what it changes. Endpoints have budgets of their own.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from headrace.ir.backend import Backend
from headrace.ir.fragment import Fragment, Kind
from headrace.ir.pointers import Pointer
from headrace.ir.routing import Authentication, Candidates, Split, Target
from headrace.ir.tls import HostTls, Pem
from headrace.names import Ref
from headrace.settings.settings import Settings
from headrace.translate.budgets import Excess

# Of each backend's section and each user's line without what stands in them.
_SECTION_BYTES, _USER_BYTES = 200, 100
_ENTRIES_OF_SHARE = 30
# Rates are summed as thousandths, since sums of fractions depend on their order.
THOUSAND = 1000


@dataclass(frozen=True, slots=True)
class Cost:
    """What a fragment takes of its namespace's budgets.

    `certificates` are those of each host, and files of authorities; `checks` thousandths of a check a second; `closed` the
    claims of an object that is closed, which take from nothing else. `servers` are endpoints, once for each backend.
    """

    entries: int = 0
    bytes: int = 0
    certificates: int = 0
    closed: int = 0
    hashes: frozenset[str] = frozenset()
    checks: int = 0
    servers: int = 0


_NOTHING = Cost()


def cost(fragment: Fragment) -> Cost:
    """Return what a fragment takes of its namespace's budgets."""
    if fragment.closed:
        return Cost(closed=len(fragment.claims))
    claimed, size, certificates = _claimed(fragment)
    entries = claimed + len(fragment.data) + len(fragment.timeouts)
    size += sum(len(entry.key) + len(entry.value) + 2 for entry in fragment.data)
    for edits in fragment.headers:
        entries += bool(edits.request) + bool(edits.response)
        size += sum(len(name) + len(value) + 2 for name, value in (*edits.request, *edits.response))
    for lead in fragment.leads:
        # A split has as many entries as its draws need, which the number of its backends bounds.
        entries += _ENTRIES_OF_SHARE * len(lead.backends) if isinstance(lead, Split) else 1
        size += sum(_size(pointer) for pointer in lead.pointers)
        if isinstance(lead, Authentication):
            size += len(lead.url) + len(lead.signin) + sum(map(len, lead.headers))
    for found in fragment.userlists:
        entries += len(found.users)
        size += _USER_BYTES * len(found.users)
    size += sum(_SECTION_BYTES + len(backend.name) for backend in fragment.backends if not backend.pin)
    hashes = frozenset(secret for found in fragment.userlists for _, secret in found.users)
    return Cost(entries, size, certificates, 0, hashes, checks(fragment), servers(fragment))


def checks(fragment: Fragment) -> int:
    """Return how many thousandths of a check a second a fragment's servers get."""
    return sum([_rate(backend) for backend in fragment.backends if backend.options.check])


def servers(fragment: Fragment) -> int:
    """Return how many servers a fragment's backends have together."""
    return sum([len(group.addresses) for backend in fragment.backends for group in backend.groups])


def _rate(backend: Backend) -> int:
    count = sum(len(group.addresses) for group in backend.groups)
    return count * THOUSAND * THOUSAND // backend.options.interval


def _claimed(fragment: Fragment) -> tuple[int, int, int]:
    """Return the map entries, bytes and certificates of a fragment's claims.

    HAProxy holds the names of a client CA for each host that asks for it, and a certificate for each line of a host.
    """
    entries = size = lines = 0
    files = {claim.key: len(claim.value.data) for claim in fragment.claims if isinstance(claim.value, Pem)}
    authorities = sum(claim.kind is Kind.AUTHORITY for claim in fragment.claims)
    for claim in fragment.claims:
        value = claim.value
        if isinstance(value, Pointer | Split | Candidates):
            entries += 1
            size += len(claim.key) + _size(value) + 2
        elif isinstance(value, HostTls):
            entries += 1
            lines += len(value.certificates)
            passed = _size(value.passthrough) if value.passthrough else 0
            size += 2 * len(claim.key) + passed + files.get(value.client_ca, 0)
    return entries, size + sum(files.values()), max(lines, len(files) - authorities) + authorities


def _size(value: Target | Candidates) -> int:
    """Return about how many characters a route takes; what is encoded takes up to three times its length."""
    match value:
        case Pointer():
            return sum(map(len, (value.backend, value.policy, value.flags, value.cluster))) + 2 + bool(value.cluster)
        case Split():
            return len(value.policy) + len(value.flags) + 2
        case Candidates():
            return sum(_size(item.target) + 3 * len(repr(item.conditions)) for item in value.items)


@dataclass(slots=True)
class _Sum:
    """A sum of costs; hashes count once, as HAProxy has each of them once."""

    entries: int = 0
    bytes: int = 0
    certificates: int = 0
    closed: int = 0
    checks: int = 0
    servers: int = 0
    hashes: Counter[str] = field(default_factory=Counter)

    def add(self, old: Cost, new: Cost) -> None:
        """Exchange a cost for another one."""
        self.entries += new.entries - old.entries
        self.bytes += new.bytes - old.bytes
        self.certificates += new.certificates - old.certificates
        self.closed += new.closed - old.closed
        self.checks += new.checks - old.checks
        self.servers += new.servers - old.servers
        if new.hashes != old.hashes:
            self.hashes.update(new.hashes)
            self.hashes.subtract(old.hashes)
            for each in old.hashes:
                if not self.hashes[each]:
                    del self.hashes[each]

    def with_hashes(self, old: Cost, new: Cost) -> int:
        """Return how many hashes there would be with a cost exchanged."""
        come = sum(each not in self.hashes for each in new.hashes - old.hashes)
        return len(self.hashes) + come - sum(self.hashes[each] == 1 for each in old.hashes - new.hashes)

    @property
    def is_zero(self) -> bool:
        """Tell whether nothing has a cost."""
        own = self.entries or self.bytes or self.certificates or self.closed or self.checks or self.servers
        return not own and not self.hashes

    def copy(self) -> '_Sum':
        """Return a sum that can go its own way."""
        return replace(self, hashes=self.hashes.copy())


_NO_SUM = _Sum()


class Totals:
    """What each object takes, and the sums by namespace and of all."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._charged: dict[Ref, tuple[Fragment, Cost]] = {}
        self._sums: dict[str, _Sum] = {}
        self._all = _Sum()
        # The fragment that was counted last: it is judged, and then charged.
        self._counted: tuple[Fragment | None, Cost] = (None, _NOTHING)

    def cost(self, fragment: Fragment) -> Cost:
        """Return what a fragment takes of its namespace's budgets."""
        if self._counted[0] is not fragment:
            self._counted = fragment, cost(fragment)
        return self._counted[1]

    def copy(self) -> 'Totals':
        """Return totals of the same objects, to try what would fit; `charged` of objects is as it is now."""
        made = Totals(self.settings)
        made._charged = self._charged
        made._sums, made._all = dict(self._sums), self._all.copy()
        return made

    def of(self, namespace: str) -> Cost:
        """Return what a namespace takes together."""
        found = self._sums.get(namespace, _NO_SUM)
        hashes = frozenset(found.hashes)
        return Cost(found.entries, found.bytes, found.certificates, found.closed, hashes, found.checks, found.servers)

    def charge(self, ref: Ref, fragment: Fragment | None) -> None:
        """Note what stands for an object now; at little cost where only endpoints have changed."""
        held = self._charged.get(ref)
        if held is not None and held[0] is fragment:
            return
        before = held[1] if held is not None else _NOTHING
        if fragment is None:
            after = _NOTHING
            self._charged.pop(ref, None)
        else:
            after = _same(held, fragment) or self.cost(fragment)
            self._charged[ref] = fragment, after
        if after is before:
            return
        total = self._sums.setdefault(ref.namespace, _Sum())
        total.add(before, after)
        self._all.add(before, after)
        if total.is_zero:
            del self._sums[ref.namespace]

    def follow(self, ref: Ref, fragment: Fragment) -> bool:
        """Charge an object of which only endpoints have changed; tell whether there was room for them, else charge nothing."""
        before, rate, count = self._charged[ref][1], checks(fragment), servers(fragment)
        if (rate, count) != (before.checks, before.servers):
            if count > self.room_for_servers(ref) or self.excess_of_checks(ref, rate) is not None:
                return False
            after = replace(before, checks=rate, servers=count)
            self._sums.setdefault(ref.namespace, _Sum()).add(before, after)
            self._all.add(before, after)
            self._charged[ref] = fragment, after
            return True
        self._charged[ref] = fragment, before
        return True

    def attempt(self, ref: Ref, form: Cost | None, rate: int, count: int) -> None:
        """Count a form, or other checks and servers of the one that stands, in a copy that is thrown away."""
        taken = self.taken(ref)
        count = max(taken.servers, min(count, self.room_for_servers(ref)))
        wanted = form or replace(taken, checks=rate or taken.checks, servers=count)
        total = self._sums[ref.namespace] = self._sums.get(ref.namespace, _NO_SUM).copy()
        total.add(self.taken(ref), wanted)
        self._all.add(self.taken(ref), wanted)

    def taken(self, ref: Ref) -> Cost:
        """Return what an object takes."""
        return self._charged[ref][1] if ref in self._charged else _NOTHING

    def excess(self, ref: Ref, wanted: Cost) -> Excess | None:
        """Return the budget that an object would exceed, None where there is room; checks are judged apart."""
        taken, total = self.taken(ref), self._sums.get(ref.namespace, _NO_SUM)
        for what, before, after, held, most, setting in self._rows(taken, wanted, total):
            if after > before and held + after - before > most:
                return Excess(f'{what} of namespace {ref.namespace}', held + after - before, most, setting)
        if wanted.hashes - taken.hashes:
            known = self.settings
            found = total.with_hashes(taken, wanted)
            if found > known.max_crypt_hashes_per_namespace:
                what = f'crypt hashes of namespace {ref.namespace}'
                return Excess(what, found, known.max_crypt_hashes_per_namespace, 'maxCryptHashesPerNamespace')
            if (found := self._all.with_hashes(taken, wanted)) > known.max_crypt_hashes:
                return Excess('crypt hashes of all namespaces', found, known.max_crypt_hashes, 'maxCryptHashes')
        return None

    def exceeds(self, namespace: str) -> bool:
        """Tell whether the objects of a namespace take more together than it may, or all too many crypt hashes."""
        known, total = self.settings, self._sums.get(namespace, _NO_SUM)
        return (
            any(held > most for *_, held, most, _ in self._rows(_NOTHING, _NOTHING, total))
            or total.checks > known.max_checks_per_namespace * THOUSAND
            or len(total.hashes) > known.max_crypt_hashes_per_namespace
            or len(self._all.hashes) > known.max_crypt_hashes
        )

    def _rows(self, taken: Cost, wanted: Cost, total: _Sum) -> Iterator[tuple[str, int, int, int, int, str]]:
        known = self.settings
        entries = known.max_entries_per_namespace, 'maxEntriesPerNamespace'
        yield 'map entries', taken.entries, wanted.entries, total.entries, *entries
        yield 'closed routes', taken.closed, wanted.closed, total.closed, *entries
        yield (
            *('bytes', taken.bytes, wanted.bytes, total.bytes),
            *(known.max_bytes_per_namespace, 'maxBytesPerNamespace'),
        )
        yield (
            *('certificates', taken.certificates, wanted.certificates, total.certificates),
            *(known.max_certificates_per_namespace, 'maxCertificatesPerNamespace'),
        )

    def room_for_servers(self, ref: Ref) -> int:
        """Return how many servers an object may have."""
        others = self._sums.get(ref.namespace, _NO_SUM).servers - self.taken(ref).servers
        return max(0, self.settings.max_endpoints_per_namespace - others)

    def excess_of_checks(self, ref: Ref, wanted: int) -> Excess | None:
        """Return how far an object's checks would exceed their budget, None where there is room."""
        taken, total = self.taken(ref).checks, self._sums.get(ref.namespace, _NO_SUM).checks
        most, found = self.settings.max_checks_per_namespace, total + wanted - taken
        if wanted <= taken or found <= most * THOUSAND:
            return None
        what = f'checks a second of namespace {ref.namespace}'
        return Excess(what, -(-found // THOUSAND), most, 'maxChecksPerNamespace')


def _same(held: tuple[Fragment, Cost] | None, new: Fragment) -> Cost | None:
    """Return the cost of a fragment of which only endpoints have changed, None where more has."""
    if held is None:
        return None
    old, known = held
    if old.claims is not new.claims or old.data is not new.data or old.leads is not new.leads:
        return None
    if old.headers is not new.headers or old.timeouts is not new.timeouts:
        return None
    if old.userlists is not new.userlists or old.diagnostics is not new.diagnostics:
        return None
    rate, count = checks(new), servers(new)
    return known if (rate, count) == (known.checks, known.servers) else replace(known, checks=rate, servers=count)
