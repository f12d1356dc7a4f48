"""The table's fixed part as text of nft: its sets, maps, chains and rules, for one node.

Pure. The table is `inet headrace`, and nothing outside of it is touched. It comes before kube-proxy's chains (priority
-101 against -100), so that an address that both know is headrace's. For each family, 4 or 6 at the end of a name:

| set or map | keyed by | holds |
| --- | --- | --- |
| `far` | address, protocol, port | the listener of HAProxy |
| `hit` | the same | the chain that balances a group of endpoints in the kernel: one for all groups of a size, see `groups` |
| `ends` | the same, and a number | an endpoint of what the kernel balances with equal shares |
| `spare` | the same, and a number | an endpoint of what HAProxy serves, used while HAProxy is away |
| `shut` | the same | `drop`, or a refusal |
| `near`, `nearhit`, `nearends`, `nearspare`, `nearshut` | the same | what differs for clients of the node itself |
| `ranged`, `ranges` | the same, and a client's network | who may connect to a load balancer's address |
| `masq`, `inner`, `sparemasq`, `spareinner` | the same | whose clients are hidden behind the node |
| `opened`, `received`, `sent` | the same | counters of what the kernel balances: new connections, and packets from and to clients |
| `hairpin` | an address twice | endpoints of this node, which may meet themselves |
| `here`, `pods` | a network | pods of this node, pods of all nodes |

A rule's comment is the hash of its text, by which the rules that the kernel has are compared with these.
"""

from collections.abc import Container
from dataclasses import dataclass

from headrace import names
from headrace.translate.virtual_addresses import SLOTS

TABLE = 'inet headrace'
FAMILIES = (4, 6)
# Neither kube-proxy (0x4000, 0x8000) nor Calico or Cilium use this bit.
_HIDE = '0x2000'
_VIRTUAL_ADDRESS_MAPS = {'far': True, 'near': True, 'hit': False, 'nearhit': False}
# Sets of networks.
INTERVALS = frozenset(('ranges', 'here', 'pods'))
# Sets whose elements count packets: those that open a connection, further ones from clients, and those to them.
COUNTED = ('opened', 'received', 'sent')
_VERDICTS = ('shut', 'nearshut')
_EXCHANGED = 'ct status & dnat == dnat ct direction'
# The chains that lead past HAProxy while it is away, and are empty otherwise.
PAST = ('bypass', 'nearbypass')
_VIRTUAL_ADDRESS_SETS = ('ranged', 'masq', 'inner', 'sparemasq', 'spareinner')


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """Where the table is: the node's IPv4 address, '' where it has none, its pods' networks and those of all pods.

    `ports` are HAProxy's listeners: HTTP, HTTP for clients of the node, and the same of TCP and TLS; `closed` are all that
    no client may reach directly. `bypass` tells that HAProxy is away.
    """

    address: str
    local_pods: tuple[str, ...]
    pods: tuple[str, ...]
    ports: tuple[int, ...]
    bypass: bool = False
    closed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain: how it begins, '' unless it is a hook's, and its rules."""

    head: str
    rules: tuple[str, ...] = ()

    @property
    def comments(self) -> tuple[str, ...]:
        """Return the comments that stand for the rules."""
        return tuple(map(comment, self.rules))


def family(text: str) -> int:
    """Return 6 for an address or network with a colon, else 4."""
    return 6 if ':' in text else 4


def ip_keyword(version: int) -> str:
    """Return nft's word for a family."""
    return 'ip' if version == 4 else 'ip6'  # noqa: PLR2004


def comment(rule: str) -> str:
    """Return the comment that stands for a rule."""
    return names.digest(rule)


def host(network: str) -> str:
    """Return a network as nft lists it: that of one address without its length."""
    return network.removesuffix('/128' if ':' in network else '/32')


def sets() -> dict[str, str]:
    """Return the declaration of each set and map, by name."""
    declarations = {}
    for version in FAMILIES:
        address = f'ipv{version}_addr'
        where = f'{address} . inet_proto . inet_service'
        for name, leads in _VIRTUAL_ADDRESS_MAPS.items():
            value = f'{address} . inet_service' if leads else 'verdict'
            declarations[f'{name}{version}'] = f'map {name}{version} {{ type {where} : {value}; }}'
        for name in ('spare', 'nearspare'):
            declarations[f'{name}{version}'] = (
                f'map {name}{version} {{ typeof {_slot(version, "tcp")} : {ip_keyword(version)} daddr . tcp dport; }}'
            )
        for name in ('ends', 'nearends'):
            # The number's type is the same whatever it is drawn among; `th` is any protocol.
            declarations[f'{name}{version}'] = (
                f'map {name}{version} {{ typeof {_slot(version)} : {ip_keyword(version)} daddr . th dport; }}'
            )
        for name in _VERDICTS:
            declarations[f'{name}{version}'] = f'map {name}{version} {{ type {where} : verdict; }}'
        for name in _VIRTUAL_ADDRESS_SETS:
            declarations[f'{name}{version}'] = f'set {name}{version} {{ type {where}; }}'
        for name in COUNTED:
            declarations[f'{name}{version}'] = f'set {name}{version} {{ type {where}; counter; }}'
        declarations[f'ranges{version}'] = f'set ranges{version} {{ type {where} . {address}; flags interval; }}'
        declarations[f'hairpin{version}'] = f'set hairpin{version} {{ type {address} . {address}; }}'
        for name in ('here', 'pods'):
            declarations[f'{name}{version}'] = f'set {name}{version} {{ type {address}; flags interval; }}'
    return declarations


def fixed_elements(facts: NodeFacts) -> dict[tuple[str, str], str]:
    """Return the elements that follow from the facts of the node alone."""
    return {
        (f'{name}{family(network)}', host(network)): ''
        for name, networks in (('here', facts.local_pods), ('pods', facts.pods))
        for network in networks
    }


def chains(facts: NodeFacts) -> dict[str, Chain]:
    """Return the fixed chains by name, in an order in which each is there before it is jumped to."""
    return {**_leading(facts), **_nat(), **_counting(), **_filters(facts)}


def _leading(facts: NodeFacts) -> dict[str, Chain]:
    """Return what a new connection to an address of a Service runs through, past HAProxy or to it."""
    pods = {family(network) for network in facts.pods}
    return {
        'refuse': Chain('', ('meta l4proto tcp reject with tcp reset', 'reject with icmpx type port-unreachable')),
        'nearbypass': Chain('', tuple(map(_past_near, FAMILIES)) if facts.bypass else ()),
        'bypass': Chain(
            '', tuple(rule for version in FAMILIES for rule in _past(version, pods)) if facts.bypass else ()
        ),
        'near': Chain(
            '',
            (
                'jump nearbypass',
                *(f'{virtual_address(version)} vmap @nearhit{version}' for version in FAMILIES),
                *(_lead('near', version) for version in FAMILIES),
            ),
        ),
        'far': Chain(
            '',
            (
                'jump bypass',
                *(
                    rule
                    for version in FAMILIES
                    for rule in (*_marks(version, '', pods), f'{virtual_address(version)} vmap @hit{version}')
                ),
                *(_lead('far', version) for version in FAMILIES),
            ),
        ),
    }


def _nat() -> dict[str, Chain]:
    """Return the hooks at which addresses are exchanged."""
    return {
        'prerouting': Chain(
            'type nat hook prerouting priority -101',
            (
                *_count('opened'),
                *(f'{ip_keyword(version)} saddr @here{version} jump near' for version in FAMILIES),
                'jump far',
            ),
        ),
        'output': Chain('type nat hook output priority -101', (*_count('opened'), 'jump near', 'jump far')),
        'postrouting': Chain('type nat hook postrouting priority 99', _hide()),
    }


def _counting() -> dict[str, Chain]:
    """Return what counts the traffic of connections whose addresses were exchanged."""
    return {
        'received': Chain('', _count('received')),
        'sent': Chain('', tuple(f'{_client_side(version)} @sent{version}' for version in FAMILIES)),
        # Behind the exchange of addresses, so that answers have that of the Service again.
        'count-postrouting': Chain(
            'type filter hook postrouting priority 150', ('oif "lo" return', f'{_EXCHANGED} reply jump sent')
        ),
        'count-input': Chain('type filter hook input priority 150', (f'{_EXCHANGED} reply jump sent',)),
    }


def _filters(facts: NodeFacts) -> dict[str, Chain]:
    """Return what refuses clients, and direct access to the listeners."""
    listeners = ', '.join(map(str, facts.closed or facts.ports))
    return {
        'shut-near': Chain('', tuple(f'{virtual_address(version)} vmap @nearshut{version}' for version in FAMILIES)),
        'filter-prerouting': Chain(
            'type filter hook prerouting priority -150',
            (
                f'{_EXCHANGED} original jump received',
                'ct state != new accept',
                *_ranges(),
                *(f'{ip_keyword(version)} saddr @here{version} jump shut-near' for version in FAMILIES),
                *(f'{virtual_address(version)} vmap @shut{version}' for version in FAMILIES),
            ),
        ),
        'filter-output': Chain(
            'type filter hook output priority -150',
            (
                f'{_EXCHANGED} original jump received',
                'ct state != new accept',
                *_ranges(),
                'jump shut-near',
                *(f'{virtual_address(version)} vmap @shut{version}' for version in FAMILIES),
            ),
        ),
        'guard': Chain(
            'type filter hook input priority -1',
            (
                f'tcp dport {{ {listeners} }} ct status & dnat == 0 reject with tcp reset',
                f'ip6 daddr {names.SYNTHETIC_ADDRESSES} ct status & dnat == 0 drop',
            ),
        ),
    }


def virtual_address(version: int) -> str:
    """Return the address, protocol and port that a packet is for, as keys of maps begin."""
    return f'{ip_keyword(version)} daddr . meta l4proto . th dport'


def _client_side(version: int) -> str:
    return f'{ip_keyword(version)} saddr . meta l4proto . th sport'


def _count(name: str) -> tuple[str, ...]:
    return tuple(f'{virtual_address(version)} @{name}{version}' for version in FAMILIES)


def _slot(version: int, port: str = 'th') -> str:
    return f'{ip_keyword(version)} daddr . meta l4proto . {port} dport . numgen random mod {SLOTS}'


def _past_near(version: int) -> str:
    return f'dnat {ip_keyword(version)} to {_slot(version)} map @nearspare{version}'


def _past(version: int, pods: Container[int]) -> tuple[str, ...]:
    """Return the rules that lead past HAProxy."""
    return (*_marks(version, 'spare', pods), f'dnat {ip_keyword(version)} to {_slot(version)} map @spare{version}')


def _marks(version: int, prefix: str, pods: Container[int]) -> tuple[str, ...]:
    """Return the rules that mark who is to be hidden behind the node."""
    mark = f'meta mark set meta mark | {_HIDE}'
    rules = (f'{virtual_address(version)} @{prefix}masq{version} {mark}',)
    if version not in pods:
        return rules
    return (
        *rules,
        f'{ip_keyword(version)} saddr != @pods{version} {virtual_address(version)} @{prefix}inner{version} {mark}',
    )


def _lead(name: str, version: int) -> str:
    return f'dnat {ip_keyword(version)} to {virtual_address(version)} map @{name}{version}'


def _ranges() -> tuple[str, ...]:
    return tuple(
        f'{virtual_address(version)} @ranged{version} {virtual_address(version)} . {ip_keyword(version)} saddr != @ranges{version} drop'
        for version in FAMILIES
    )


def _hide() -> tuple[str, ...]:
    """Return the rules that put the node's address in the place of a client's: what is marked, and who meets itself."""
    marked = f'meta mark & {_HIDE} == {_HIDE} meta mark set meta mark ^ {_HIDE} masquerade'
    itself = (
        f'{ip_keyword(version)} saddr . {ip_keyword(version)} daddr @hairpin{version} masquerade'
        for version in FAMILIES
    )
    return ('oif "lo" return', marked, *itself)
