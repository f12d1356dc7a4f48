"""What the objects of a namespace become together, and whether its budgets leave room for one more or a larger one.

Pure. Totals are kept by namespace, so a change costs what it changes. Endpoints have budgets of their own.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from headrace.ir.backend import Backend
from headrace.ir.fragment import Fragment, Kind
from headrace.ir.pointers import NoRoute, Pointer
from headrace.ir.routing import Authentication, Candidates, ErrorPages, Split, Target
from headrace.ir.tls import HostTls, Pem
from headrace.names import Ref
from headrace.settings.settings import Settings
from headrace.translate.budgets import Excess

# Of each backend's section and each user's line without what stands in them.
_SECTION_BYTES, _USER_BYTES = 200, 100
_ENTRIES_OF_SHARE = 30
# Of each code that error pages replace, and its comma.
_CODE_BYTES = 4
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
    entries_of_claims, size, certificates = _cost_of_claims(fragment)
    entries = entries_of_claims + len(fragment.data) + len(fragment.timeouts)
    size += sum(len(entry.key) + len(entry.value) + 2 for entry in fragment.data)
    for edits in fragment.headers:
        lists = (edits.request, edits.response, edits.request_added, edits.response_added)
        entries += sum(map(bool, lists))
        size += sum(len(name) + len(value) + 2 for headers in lists for name, value in headers)
    for lead in fragment.leads:
        # A split has as many entries as its draws need, which the number of its backends bounds.
        entries += _ENTRIES_OF_SHARE * len(lead.backends) if isinstance(lead, Split) else 1
        size += sum(_size(pointer) for pointer in lead.pointers)
        if isinstance(lead, Authentication):
            size += len(lead.url) + len(lead.signin) + sum(map(len, lead.headers))
        elif isinstance(lead, ErrorPages):
            size += _CODE_BYTES * len(lead.statuses) + sum(map(len, lead.service)) + len(lead.ingress)
    for userlist in fragment.userlists:
        entries += len(userlist.users)
        size += _USER_BYTES * len(userlist.users)
    size += sum(_SECTION_BYTES + len(backend.name) for backend in fragment.backends if not backend.pin)
    hashes = frozenset(secret for userlist in fragment.userlists for _, secret in userlist.users)
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


def _cost_of_claims(fragment: Fragment) -> tuple[int, int, int]:
    """Return the map entries, bytes and certificates of a fragment's claims.

    HAProxy holds the names of a client CA for each host that asks for it, and a certificate for each line of a host.
    """
    entries = size = lines = 0
    files = {claim.key: len(claim.value.data) for claim in fragment.claims if isinstance(claim.value, Pem)}
    authorities = sum(claim.kind is Kind.AUTHORITY for claim in fragment.claims)
    for claim in fragment.claims:
        value = claim.value
        if isinstance(value, Pointer | Split | NoRoute | Candidates):
            entries += 1
            size += len(claim.key) + _size(value) + 2
        elif isinstance(value, HostTls):
            entries += 1
            lines += len(value.certificates)
            passthrough = _size(value.passthrough) if value.passthrough else 0
            size += 2 * len(claim.key) + passthrough + files.get(value.client_ca, 0)
    return entries, size + sum(files.values()), max(lines, len(files) - authorities) + authorities


def _size(value: Target | Candidates) -> int:
    """Return about how many characters a route takes; what is encoded takes up to three times its length."""
    match value:
        case Pointer():
            return sum(map(len, (value.backend, value.policy, value.flags, value.cluster))) + 2 + bool(value.cluster)
        case Split():
            return len(value.policy) + len(value.flags) + 2
        case NoRoute():
            return 1
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
        additions = sum(each not in self.hashes for each in new.hashes - old.hashes)
        return len(self.hashes) + additions - sum(self.hashes[each] == 1 for each in old.hashes - new.hashes)

    @property
    def is_zero(self) -> bool:
        """Tell whether nothing has a cost."""
        amount = self.entries or self.bytes or self.certificates or self.closed or self.checks or self.servers
        return not amount and not self.hashes

    def copy(self) -> '_Sum':
        """Return a sum that can go its own way."""
        return replace(self, hashes=self.hashes.copy())


_NO_SUM = _Sum()


class Totals:
    """What each object takes, and the sums by namespace and of all."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._charges: dict[Ref, tuple[Fragment, Cost]] = {}
        self._sums: dict[str, _Sum] = {}
        self._all = _Sum()
        # The fragment that was counted last: it is judged, and then charged.
        self._latest: tuple[Fragment | None, Cost] = (None, _NOTHING)

    def cost(self, fragment: Fragment) -> Cost:
        """Return what a fragment takes of its namespace's budgets."""
        if self._latest[0] is not fragment:
            self._latest = fragment, cost(fragment)
        return self._latest[1]

    def copy(self) -> 'Totals':
        """Return totals of the same objects, to try what would fit; `charged` of objects is as it is now."""
        copy = Totals(self.settings)
        copy._charges = self._charges
        copy._sums, copy._all = dict(self._sums), self._all.copy()
        return copy

    def of(self, namespace: str) -> Cost:
        """Return what a namespace takes together."""
        total = self._sums.get(namespace, _NO_SUM)
        hashes = frozenset(total.hashes)
        return Cost(total.entries, total.bytes, total.certificates, total.closed, hashes, total.checks, total.servers)

    def charge(self, ref: Ref, fragment: Fragment | None) -> None:
        """Note what stands for an object now; at little cost where only endpoints have changed."""
        previous = self._charges.get(ref)
        if previous is not None and previous[0] is fragment:
            return
        before = previous[1] if previous is not None else _NOTHING
        if fragment is None:
            after = _NOTHING
            self._charges.pop(ref, None)
        else:
            after = _same(previous, fragment) or self.cost(fragment)
            self._charges[ref] = fragment, after
        if after is before:
            return
        total = self._sums.setdefault(ref.namespace, _Sum())
        total.add(before, after)
        self._all.add(before, after)
        if total.is_zero:
            del self._sums[ref.namespace]

    def follow(self, ref: Ref, fragment: Fragment) -> bool:
        """Charge an object of which only endpoints have changed; tell whether there was room for them, else charge nothing."""
        before, rate, count = self._charges[ref][1], checks(fragment), servers(fragment)
        if (rate, count) != (before.checks, before.servers):
            if count > self.room_for_servers(ref) or self.excess_of_checks(ref, rate) is not None:
                return False
            after = replace(before, checks=rate, servers=count)
            self._sums.setdefault(ref.namespace, _Sum()).add(before, after)
            self._all.add(before, after)
            self._charges[ref] = fragment, after
            return True
        self._charges[ref] = fragment, before
        return True

    def attempt(self, ref: Ref, form: Cost | None, rate: int, count: int) -> None:
        """Count a form, or other checks and servers of the one that stands, in a copy that is thrown away."""
        old = self.charge_of(ref)
        count = max(old.servers, min(count, self.room_for_servers(ref)))
        new = form or replace(old, checks=rate or old.checks, servers=count)
        total = self._sums[ref.namespace] = self._sums.get(ref.namespace, _NO_SUM).copy()
        total.add(self.charge_of(ref), new)
        self._all.add(self.charge_of(ref), new)

    def charge_of(self, ref: Ref) -> Cost:
        """Return what an object takes."""
        return self._charges[ref][1] if ref in self._charges else _NOTHING

    def excess(self, ref: Ref, new: Cost) -> Excess | None:
        """Return the budget that an object would exceed, None where there is room; checks are judged apart."""
        old, total = self.charge_of(ref), self._sums.get(ref.namespace, _NO_SUM)
        for subject, old_amount, new_amount, sum_before, most, setting in self._rows(old, new, total):
            if new_amount > old_amount and sum_before + new_amount - old_amount > most:
                return Excess(
                    f'{subject} of namespace {ref.namespace}', sum_before + new_amount - old_amount, most, setting
                )
        if new.hashes - old.hashes:
            settings = self.settings
            amount = total.with_hashes(old, new)
            if amount > settings.max_crypt_hashes_per_namespace:
                subject = f'crypt hashes of namespace {ref.namespace}'
                return Excess(subject, amount, settings.max_crypt_hashes_per_namespace, 'maxCryptHashesPerNamespace')
            if (amount := self._all.with_hashes(old, new)) > settings.max_crypt_hashes:
                return Excess('crypt hashes of all namespaces', amount, settings.max_crypt_hashes, 'maxCryptHashes')
        return None

    def exceeds(self, namespace: str) -> bool:
        """Tell whether the objects of a namespace take more together than it may, or all too many crypt hashes."""
        settings, total = self.settings, self._sums.get(namespace, _NO_SUM)
        return (
            any(amount > most for *_, amount, most, _ in self._rows(_NOTHING, _NOTHING, total))
            or total.checks > settings.max_checks_per_namespace * THOUSAND
            or len(total.hashes) > settings.max_crypt_hashes_per_namespace
            or len(self._all.hashes) > settings.max_crypt_hashes
        )

    def _rows(self, old: Cost, new: Cost, total: _Sum) -> Iterator[tuple[str, int, int, int, int, str]]:
        settings = self.settings
        entries = settings.max_entries_per_namespace, 'maxEntriesPerNamespace'
        yield 'map entries', old.entries, new.entries, total.entries, *entries
        yield 'closed routes', old.closed, new.closed, total.closed, *entries
        yield (
            *('bytes', old.bytes, new.bytes, total.bytes),
            *(settings.max_bytes_per_namespace, 'maxBytesPerNamespace'),
        )
        yield (
            *('certificates', old.certificates, new.certificates, total.certificates),
            *(settings.max_certificates_per_namespace, 'maxCertificatesPerNamespace'),
        )

    def room_for_servers(self, ref: Ref) -> int:
        """Return how many servers an object may have."""
        others = self._sums.get(ref.namespace, _NO_SUM).servers - self.charge_of(ref).servers
        return max(0, self.settings.max_endpoints_per_namespace - others)

    def excess_of_checks(self, ref: Ref, rate: int) -> Excess | None:
        """Return how far an object's checks would exceed their budget, None where there is room."""
        before, total = self.charge_of(ref).checks, self._sums.get(ref.namespace, _NO_SUM).checks
        most, after = self.settings.max_checks_per_namespace, total + rate - before
        if rate <= before or after <= most * THOUSAND:
            return None
        subject = f'checks a second of namespace {ref.namespace}'
        return Excess(subject, -(-after // THOUSAND), most, 'maxChecksPerNamespace')


def _same(previous: tuple[Fragment, Cost] | None, new: Fragment) -> Cost | None:
    """Return the cost of a fragment of which only endpoints have changed, None where more has."""
    if previous is None:
        return None
    old, before = previous
    if old.claims is not new.claims or old.data is not new.data or old.leads is not new.leads:
        return None
    if old.headers is not new.headers or old.timeouts is not new.timeouts:
        return None
    if old.userlists is not new.userlists or old.diagnostics is not new.diagnostics:
        return None
    rate, count = checks(new), servers(new)
    return before if (rate, count) == (before.checks, before.servers) else replace(before, checks=rate, servers=count)
