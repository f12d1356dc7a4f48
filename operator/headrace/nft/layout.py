"""The table's fixed part as text of nft: its sets, maps, chains and rules, for one node.

Pure. The table is `inet headrace`, and nothing outside of it is touched. It comes before kube-proxy's chains (priority
-101 against -100), so that an address that both know is headrace's. For each family, 4 or 6 at the end of a name:

| set or map | keyed by | holds |
| --- | --- | --- |
| `far` | address, protocol, port | the listener of HAProxy |
| `hit` | the same | the chain that balances a group of endpoints in the kernel |
| `spare` | the same, and a number | an endpoint of what HAProxy serves, used while HAProxy is away |
| `shut` | the same | `drop`, or a refusal |
| `near`, `nearhit`, `nearspare`, `nearshut` | the same | what differs for clients of the node itself |
| `ranged`, `ranges` | the same, and a client's network | who may connect to a load balancer's address |
| `masq`, `inner`, `sparemasq`, `spareinner` | the same | whose clients are hidden behind the node |
| `hairpin` | an address twice | endpoints that may meet themselves |
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
_VERDICTS = ('shut', 'nearshut')
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
    here: tuple[str, ...]
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


def word(of: int) -> str:
    """Return nft's word for a family."""
    return 'ip' if of == 4 else 'ip6'  # noqa: PLR2004


def comment(rule: str) -> str:
    """Return the comment that stands for a rule."""
    return names.digest(rule)


def host(network: str) -> str:
    """Return a network as nft lists it: that of one address without its length."""
    return network.removesuffix('/128' if ':' in network else '/32')


def sets() -> dict[str, str]:
    """Return the declaration of each set and map, by name."""
    found = {}
    for of in FAMILIES:
        address = f'ipv{of}_addr'
        virtual_address = f'{address} . inet_proto . inet_service'
        for name, leads in _VIRTUAL_ADDRESS_MAPS.items():
            value = f'{address} . inet_service' if leads else 'verdict'
            found[f'{name}{of}'] = f'map {name}{of} {{ type {virtual_address} : {value}; }}'
        for name in ('spare', 'nearspare'):
            found[f'{name}{of}'] = f'map {name}{of} {{ typeof {_slot(of, "tcp")} : {word(of)} daddr . tcp dport; }}'
        for name in _VERDICTS:
            found[f'{name}{of}'] = f'map {name}{of} {{ type {virtual_address} : verdict; }}'
        for name in _VIRTUAL_ADDRESS_SETS:
            found[f'{name}{of}'] = f'set {name}{of} {{ type {virtual_address}; }}'
        found[f'ranges{of}'] = f'set ranges{of} {{ type {virtual_address} . {address}; flags interval; }}'
        found[f'hairpin{of}'] = f'set hairpin{of} {{ type {address} . {address}; }}'
        for name in ('here', 'pods'):
            found[f'{name}{of}'] = f'set {name}{of} {{ type {address}; flags interval; }}'
    return found


def fixed_elements(facts: NodeFacts) -> dict[tuple[str, str], str]:
    """Return the elements that follow from the facts of the node alone."""
    return {
        (f'{name}{family(network)}', host(network)): ''
        for name, networks in (('here', facts.here), ('pods', facts.pods))
        for network in networks
    }


def chains(facts: NodeFacts) -> dict[str, Chain]:
    """Return the fixed chains by name, in an order in which each is there before it is jumped to."""
    pods = {family(network) for network in facts.pods}
    listeners = ', '.join(map(str, facts.closed or facts.ports))
    return {
        'refuse': Chain('', ('meta l4proto tcp reject with tcp reset', 'reject with icmpx type port-unreachable')),
        'nearbypass': Chain('', tuple(map(_past_near, FAMILIES)) if facts.bypass else ()),
        'bypass': Chain('', tuple(rule for of in FAMILIES for rule in _past(of, pods)) if facts.bypass else ()),
        'near': Chain(
            '',
            (
                'jump nearbypass',
                *(f'{_virtual_address(of)} vmap @nearhit{of}' for of in FAMILIES),
                *(_lead('near', of) for of in FAMILIES),
            ),
        ),
        'far': Chain(
            '',
            (
                'jump bypass',
                *(rule for of in FAMILIES for rule in (*_marks(of, '', pods), f'{_virtual_address(of)} vmap @hit{of}')),
                *(_lead('far', of) for of in FAMILIES),
            ),
        ),
        'prerouting': Chain(
            'type nat hook prerouting priority -101',
            (*(f'{word(of)} saddr @here{of} jump near' for of in FAMILIES), 'jump far'),
        ),
        'output': Chain('type nat hook output priority -101', ('jump near', 'jump far')),
        'postrouting': Chain('type nat hook postrouting priority 99', _hide()),
        'shut-near': Chain('', tuple(f'{_virtual_address(of)} vmap @nearshut{of}' for of in FAMILIES)),
        'filter-prerouting': Chain(
            'type filter hook prerouting priority -150',
            (
                'ct state != new accept',
                *_ranges(),
                *(f'{word(of)} saddr @here{of} jump shut-near' for of in FAMILIES),
                *(f'{_virtual_address(of)} vmap @shut{of}' for of in FAMILIES),
            ),
        ),
        'filter-output': Chain(
            'type filter hook output priority -150',
            (
                'ct state != new accept',
                *_ranges(),
                'jump shut-near',
                *(f'{_virtual_address(of)} vmap @shut{of}' for of in FAMILIES),
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


def _virtual_address(of: int) -> str:
    return f'{word(of)} daddr . meta l4proto . th dport'


def _slot(of: int, port: str = 'th') -> str:
    return f'{word(of)} daddr . meta l4proto . {port} dport . numgen random mod {SLOTS}'


def _past_near(of: int) -> str:
    return f'dnat {word(of)} to {_slot(of)} map @nearspare{of}'


def _past(of: int, pods: Container[int]) -> tuple[str, ...]:
    """Return the rules that lead past HAProxy."""
    return (*_marks(of, 'spare', pods), f'dnat {word(of)} to {_slot(of)} map @spare{of}')


def _marks(of: int, prefix: str, pods: Container[int]) -> tuple[str, ...]:
    """Return the rules that mark who is to be hidden behind the node."""
    mark = f'meta mark set meta mark | {_HIDE}'
    found = (f'{_virtual_address(of)} @{prefix}masq{of} {mark}',)
    if of not in pods:
        return found
    return (*found, f'{word(of)} saddr != @pods{of} {_virtual_address(of)} @{prefix}inner{of} {mark}')


def _lead(name: str, of: int) -> str:
    return f'dnat {word(of)} to {_virtual_address(of)} map @{name}{of}'


def _ranges() -> tuple[str, ...]:
    return tuple(
        f'{_virtual_address(of)} @ranged{of} {_virtual_address(of)} . {word(of)} saddr != @ranges{of} drop'
        for of in FAMILIES
    )


def _hide() -> tuple[str, ...]:
    """Return the rules that put the node's address in the place of a client's: what is marked, and who meets itself."""
    marked = f'meta mark & {_HIDE} == {_HIDE} meta mark set meta mark ^ {_HIDE} masquerade'
    itself = (f'{word(of)} saddr . {word(of)} daddr @hairpin{of} masquerade' for of in FAMILIES)
    return ('oif "lo" return', marked, *itself)
