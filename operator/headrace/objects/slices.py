"""Reading EndpointSlices, and v1 Endpoints as the slices that the mirroring controller would make of them.

The rules are those of kube-proxy (pkg/proxy/endpointslicecache.go): only the first address of an endpoint counts; a
missing `ready` or `serving` means true, a missing `terminating` false; a port without number is no port; FQDN slices
and slices without the label `kubernetes.io/service-name` are ignored. An endpoint with a condition that is no boolean
is reported, and not used.
"""

from dataclasses import replace
from functools import lru_cache
from operator import itemgetter
from sys import intern

from headrace import forms
from headrace.diagnostics import Diagnostic, shorten
from headrace.names import Ref
from headrace.objects import fields
from headrace.objects.annotations import PREFIX
from headrace.objects.kinds import Endpoint, Endpoints, Hints, Protocol, Slice, SlicePort

SERVICE_LABEL = 'kubernetes.io/service-name'
HEADLESS_LABEL = 'service.kubernetes.io/headless'
SKIP_MIRROR_LABEL = 'endpointslice.kubernetes.io/skip-mirror'
LEADER_ANNOTATION = 'control-plane.alpha.kubernetes.io/leader'
# The controller weighs the endpoints of UDP backends of Gateways by it.
WEIGHT_ANNOTATION = f'{PREFIX}weight'
MIRRORED_PER_SUBSET = 1000
_LONGEST_WEIGHT = 12
_FAMILIES = {'IPv4': 4, 'IPv6': 6}
_CONDITIONS = {'ready': bool, 'serving': bool, 'terminating': bool}
_FLAGS = frozenset((bool, type(None)))
_NO_HINTS = Hints()
_NO_CONDITIONS: fields.Document = {}
_ADDRESS = itemgetter(0)


def read(namespace: str, name: str, document: fields.Document) -> Slice:
    """Return the slice; one that belongs to no Service or has no usable family has no endpoints."""
    metadata = fields.mapping(document, 'metadata')
    labels = fields.mapping(metadata, 'labels')
    kind = fields.text(document, 'addressType')
    family = _FAMILIES.get(kind, 0)
    service = fields.text(labels, SERVICE_LABEL)
    if kind == 'FQDN' or not fields.is_name(service):
        return Slice(namespace, name, '', family)
    service, ref = intern(service), Ref('EndpointSlice', namespace, name)
    if not family:
        message = f'{shorten(document.get("addressType"))} is no type of addresses'
        return Slice(namespace, name, service, 0, problems=(Diagnostic(ref, 'InvalidObject', message, 'addressType'),))
    endpoints = fields.documents(document, 'endpoints')
    entries = [entry for entry in endpoints if entry.get('addresses')]
    item = _slice(ref, service, family, _ports(fields.documents(document, 'ports')), entries)
    if HEADLESS_LABEL in labels:
        item = replace(item, headless=True)
    # All endpoints alike are better than shares that mean something else.
    if forms.read(labels) <= forms.WEIGHTS and (weight := _weight(fields.mapping(metadata, 'annotations'))):
        item = replace(item, weight=weight)
    if len(endpoints) != len(fields.sequence(document, 'endpoints')):
        diagnostic = Diagnostic(ref, 'InvalidObject', 'the list holds something that is no endpoint', 'endpoints')
        item = replace(item, problems=(*item.problems, diagnostic))
    return item


def _weight(annotations: fields.Document) -> int:
    """Return the weight of each endpoint of a slice, 0 where none is named that can be used."""
    text = fields.text(annotations, WEIGHT_ANNOTATION)
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_WEIGHT else 0


def read_endpoints(namespace: str, name: str, document: fields.Document) -> Endpoints:
    """Return an Endpoints object as slices: one for each subset and family, at most 1,000 addresses of a subset."""
    metadata = fields.mapping(document, 'metadata')
    skips_mirror = fields.text(fields.mapping(metadata, 'labels'), SKIP_MIRROR_LABEL) == 'true'
    if skips_mirror or LEADER_ANNOTATION in fields.mapping(metadata, 'annotations'):
        return Endpoints(namespace, name, ())
    slices: list[Slice] = []
    ref = Ref('Endpoints', namespace, name)
    for number, subset in enumerate(fields.documents(document, 'subsets')):
        ready = [_mirrored(entry, ready=True) for entry in fields.documents(subset, 'addresses')]
        not_ready = [_mirrored(entry, ready=False) for entry in fields.documents(subset, 'notReadyAddresses')]
        entries = (ready + not_ready)[:MIRRORED_PER_SUBSET]
        ports = _ports([{'name': '', **entry} for entry in fields.documents(subset, 'ports')])
        for family in (4, 6):
            chosen = [entry for entry in entries if fields.family(_first_address(entry)) == family]
            if chosen:
                slices.append(_slice(ref, name, family, ports, chosen, part=f'{name}-{number}-{family}'))
    return Endpoints(namespace, name, tuple(slices))


def _mirrored(entry: fields.Document, *, ready: bool) -> fields.Document:
    """Return the endpoint of a slice that stands for an address of a subset."""
    return {
        'addresses': [fields.text(entry, 'ip')],
        'conditions': {'ready': ready, 'serving': ready, 'terminating': False},
        'nodeName': entry.get('nodeName'),
    }


def _first_address(entry: fields.Document) -> str:
    """Return an endpoint's first address, which is the only one that counts; '' for none."""
    addresses = entry.get('addresses')
    return addresses[0] if isinstance(addresses, list) and addresses and isinstance(addresses[0], str) else ''


def _slice(
    ref: Ref, service: str, family: int, ports: tuple[SlicePort, ...], entries: list[fields.Document], part: str = ''
) -> Slice:
    """Return the slice of some endpoints. It runs for every change of an endpoint, so the plain case is short."""
    ready: list[tuple[str, str, Hints]] = []
    others: list[Endpoint] = []
    problems: list[Diagnostic] = []
    has_nodes = has_hints = False
    for address, entry in zip(
        fields.addresses([_first_address(entry) for entry in entries], version=family), entries, strict=True
    ):
        if not address:
            message = f'{shorten(_first_address(entry))} is no IPv{family} address'
            problems.append(Diagnostic(ref, 'InvalidObject', message, 'endpoints[].addresses'))
            continue
        conditions, node = entry.get('conditions'), entry.get('nodeName')
        if not isinstance(conditions, dict):
            conditions = _NO_CONDITIONS
        if not isinstance(node, str):
            node = ''
        # The set is tried first, for speed; it also holds conditions of later API versions.
        if not _FLAGS.issuperset(map(type, conditions.values())) and (wrong := fields.misfits(conditions, _CONDITIONS)):
            message = f'{wrong[0]} of {address} is {shorten(conditions[wrong[0]])}, which is no boolean'
            problems.append(Diagnostic(ref, 'InvalidObject', message, f'endpoints[].conditions.{wrong[0]}'))
            continue
        if conditions.get('ready') is not False and conditions.get('terminating') is not True:
            hints = _hints(entry) if 'hints' in entry else _NO_HINTS
            has_nodes, has_hints = has_nodes or bool(node), has_hints or hints is not _NO_HINTS
            ready.append((address, node, hints))
        else:
            serving = conditions.get('serving') is not False
            terminating = conditions.get('terminating') is True
            ready_too = conditions.get('ready') is not False
            others.append(Endpoint(address, ready_too, serving, terminating, _intern(node), _hints(entry)))
    ready.sort(key=_ADDRESS)
    return Slice(
        namespace=ref.namespace,
        name=part or ref.name,
        service=service,
        family=family,
        ports=ports,
        ready=tuple([address for address, _, _ in ready]),
        nodes=tuple([_intern(node) for _, node, _ in ready]) if has_nodes else (),
        hints=tuple([hints for _, _, hints in ready]) if has_hints else (),
        others=tuple(sorted(others, key=lambda item: item.address)),
        mirrored=bool(part),
        problems=tuple(problems),
    )


@lru_cache(maxsize=8192)
def _intern(node: str) -> str:
    """Return one text for all endpoints of a node."""
    return node


@lru_cache(maxsize=8192)
def _hint(zones: tuple[str, ...], nodes: tuple[str, ...]) -> Hints:
    return Hints(zones, nodes)


def _hints(entry: fields.Document) -> Hints:
    hints = entry.get('hints')
    if not isinstance(hints, dict):
        return _NO_HINTS
    zones = tuple(fields.text(zone, 'name') for zone in fields.documents(hints, 'forZones'))
    nodes = tuple(fields.text(node, 'name') for node in fields.documents(hints, 'forNodes'))
    return _hint(zones, nodes) if zones or nodes else _NO_HINTS


@lru_cache(maxsize=8192)
def _interned(ports: tuple[tuple[str, str, int], ...]) -> tuple[SlicePort, ...]:
    return tuple(SlicePort(name, Protocol(protocol), number) for name, protocol, number in ports)


def _ports(entries: list[fields.Document]) -> tuple[SlicePort, ...]:
    """Return the ports that have a name (it may be empty) and a number."""
    ports = {
        (name, protocol, number)
        for entry in entries
        if isinstance(name := entry.get('name', ''), str)
        and (number := fields.port(entry, 'port'))
        and (protocol := fields.text(entry, 'protocol', 'TCP')) in Protocol.__members__
    }
    return _interned(tuple(sorted(ports)))
