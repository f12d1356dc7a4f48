"""The elements of the node's table that a virtual address is made of. Pure."""

from collections.abc import Mapping

from headrace.ir.l4 import Action, Balanced, TrafficPath, VirtualAddress
from headrace.nft import groups, layout
from headrace.nft.groups import Draw
from headrace.nft.layout import NodeFacts, family, host
from headrace.nft.transaction import Elements
from headrace.translate.virtual_addresses import SLOTS

# Where the ports of the listener that a virtual address leads to begin.
_LISTENERS = {'http': 0, 'tcp': 2, 'tls': 4}


def elements(key: str, virtual_address: VirtualAddress, facts: NodeFacts, balanced: Mapping[str, Balanced]) -> Elements:
    """Return the elements that a virtual address is made of; `balanced` has the groups that it leads to, by name."""
    address_port, _, protocol = key.rpartition('/')
    address, _, number = address_port.rpartition(':')
    version = family(address)
    address_key = f'{address} . {protocol.lower()} . {number}'
    elements_by_name = _side(virtual_address, virtual_address.external_path, 'far', address_key, facts, balanced)
    if virtual_address.local_path != virtual_address.external_path:
        local_path = _side(virtual_address, virtual_address.local_path, 'near', address_key, facts, balanced)
        if (
            virtual_address.local_path.action is Action.SERVE
            and virtual_address.external_path.action is not Action.SERVE
        ):
            local_path['nearshut', address_key] = 'accept'
        elements_by_name |= local_path
    if virtual_address.datapath == 'kernel':
        elements_by_name |= dict.fromkeys(((name, address_key) for name in layout.COUNTED), '')
    if virtual_address.ranges is not None:
        elements_by_name['ranged', address_key] = ''
        elements_by_name |= {('ranges', f'{address_key} . {host(network)}'): '' for network in virtual_address.ranges}
    return {(f'{name}{version}', text): value for (name, text), value in elements_by_name.items()}


def _side(
    virtual_address: VirtualAddress,
    path: TrafficPath,
    side: str,
    address_key: str,
    facts: NodeFacts,
    balanced: Mapping[str, Balanced],
) -> Elements:
    prefix = '' if side == 'far' else 'near'
    if path.action is not Action.SERVE:
        return {(f'{prefix}shut', address_key): 'drop' if path.action is Action.DROP else 'goto refuse'}
    if virtual_address.datapath == 'kernel':
        return {
            **_hit(balanced[path.group], prefix, address_key),
            **_hidden(virtual_address, prefix, '', address_key),
        }
    address = virtual_address.synthetic_address or (facts.address if ':' not in address_key else '')
    port = facts.ports[_LISTENERS[virtual_address.datapath] + (side == 'near')]
    side_elements: Elements = {(side, address_key): f'{address} . {port}'} if address else {}
    if path.spare:
        side_elements |= _hidden(virtual_address, prefix, 'spare', address_key)
        for slot in range(SLOTS):
            endpoint, port_number = path.spare[slot % len(path.spare)]
            side_elements[f'{prefix}spare', f'{address_key} . {slot}'] = f'{endpoint} . {port_number}'
    return side_elements


def _hit(balanced: Balanced, prefix: str, address_key: str) -> Elements:
    """Return what leads to a group of endpoints."""
    if not groups.is_even(balanced):
        return {(f'{prefix}hit', address_key): f'goto b-{balanced.name}'}
    ends = balanced.endpoints
    hit: Elements = {(f'{prefix}hit', address_key): f'goto {draw(balanced, prefix).name}'}
    name = f'{prefix}ends'
    for number, (endpoint, port) in enumerate(ends):
        hit[name, f'{address_key} . {number}'] = f'{endpoint} . {port}'
    return hit


def draw(balanced: Balanced, prefix: str) -> Draw:
    """Return what a group shares with others of its size."""
    return Draw(prefix, family(balanced.endpoints[0][0]), len(balanced.endpoints))


def draws(virtual_address: VirtualAddress, balanced: Mapping[str, Balanced]) -> list[Draw]:
    """Return what a virtual address needs to draw its endpoints by."""
    if virtual_address.datapath != 'kernel':
        return []
    paths = [('', virtual_address.external_path)]
    if virtual_address.local_path != virtual_address.external_path:
        paths.append(('near', virtual_address.local_path))
    found = [(prefix, balanced[path.group]) for prefix, path in paths if path.action is Action.SERVE]
    return [draw(group, prefix) for prefix, group in found if groups.is_even(group)]


def _hidden(virtual_address: VirtualAddress, prefix: str, kind: str, address_key: str) -> Elements:
    """Return what hides clients behind the node: all of an outer virtual address, of an inner one those that are no pods."""
    if prefix or (virtual_address.outer and not virtual_address.masked):
        return {}
    return {(f'{kind}masq' if virtual_address.outer else f'{kind}inner', address_key): ''}
