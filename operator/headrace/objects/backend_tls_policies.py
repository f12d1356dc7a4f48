"""BackendTLSPolicy of `gateway.networking.k8s.io`: its values, and how a document becomes them.

A policy with problems is not what its document says: connections to its targets must not be made as if it were.
"""

import re
from dataclasses import dataclass, field

from headrace.diagnostics import Diagnostic, shorten
from headrace.names import Ref
from headrace.objects import fields, references
from headrace.objects.problems import Problems
from headrace.objects.references import Reference
from headrace.objects.status import UNREAD_RAW, RawStatus

_WELL_KNOWN = re.compile(r'System|[a-z0-9.-]{1,253}/[A-Za-z0-9._-]{1,63}')
_URI = re.compile(r'(?=.{1,253}\Z)[A-Za-z][A-Za-z0-9+.-]*:[!-~]+')


@dataclass(frozen=True, slots=True, order=True)
class PolicyTarget(Reference):
    """What a policy is for: an object of its namespace, or (`section`) a part of it such as a Service's port by its name."""

    section: str = ''


@dataclass(frozen=True, slots=True, order=True)
class SubjectAltName:
    """A name of which the backend's certificate must have one: a host, or (`uri`) a URI."""

    value: str
    uri: bool = False


@dataclass(frozen=True, slots=True)
class BackendTLSPolicy:
    """A BackendTLSPolicy. `targets` are in their order, `options` are sorted.

    `hostname` is what the backend is asked for by SNI and, where there are no `names`, what its certificate must be for.
    The certificate is validated against those of `authorities`, or by what `well_known` names.
    """

    namespace: str
    name: str
    created: str = ''
    generation: int = 0
    targets: tuple[PolicyTarget, ...] = ()
    hostname: str = ''
    names: tuple[SubjectAltName, ...] = ()
    authorities: tuple[Reference, ...] = ()
    well_known: str = ''
    options: tuple[tuple[str, str], ...] = ()
    problems: tuple[Diagnostic, ...] = ()
    status: RawStatus = field(default=UNREAD_RAW, compare=False)

    @property
    def ref(self) -> Ref:
        """Return the policy's reference."""
        return Ref('BackendTLSPolicy', self.namespace, self.name)


def read(namespace: str, name: str, document: fields.Document) -> BackendTLSPolicy:
    """Return the BackendTLSPolicy of a document whose name is valid."""
    metadata, spec = fields.mapping(document, 'metadata'), fields.mapping(document, 'spec')
    problems = Problems(Ref('BackendTLSPolicy', namespace, name))
    problems.add_misfits(spec, {'validation': dict, 'options': dict}, 'spec.')
    validation, field = fields.mapping(spec, 'validation'), 'spec.validation'
    hostname, well_known = validation.get('hostname'), fields.value(validation, 'wellKnownCACertificates', '')
    if not isinstance(hostname, str) or not fields.is_host(hostname, wildcard=False):
        problems.add(f'{field}.hostname', f'{shorten(hostname)} is no host')
        hostname = ''
    if not isinstance(well_known, str) or (well_known and not _WELL_KNOWN.fullmatch(well_known)):
        problems.add(f'{field}.wellKnownCACertificates', f'{shorten(well_known)} is no set of certificates')
        well_known = ''
    authorities = references.read_all(validation, 'caCertificateRefs', namespace, field, problems, references.LOCAL)
    if bool(validation.get('caCertificateRefs')) is bool(validation.get('wellKnownCACertificates')):
        problems.add(field, 'the policy names either caCertificateRefs or wellKnownCACertificates')
    return BackendTLSPolicy(
        namespace=namespace,
        name=name,
        created=fields.text(metadata, 'creationTimestamp'),
        generation=fields.number(metadata, 'generation'),
        targets=_targets(spec, namespace, problems),
        hostname=hostname,
        names=_names(validation, f'{field}.subjectAltNames', problems),
        authorities=authorities,
        well_known=well_known,
        options=fields.labels(spec, 'options'),
        problems=problems.diagnostics,
    )


def _targets(spec: fields.Document, namespace: str, problems: Problems) -> tuple[PolicyTarget, ...]:
    targets: dict[PolicyTarget, None] = {}
    for index, entry in enumerate(problems.entries(spec, 'targetRefs', 'spec')):
        field = f'spec.targetRefs[{index}]'
        reference = references.read(entry, namespace, field, problems, references.LOCAL)
        section = fields.value(entry, 'sectionName', '') if isinstance(entry, dict) else ''
        if not isinstance(section, str) or (section and not fields.is_name(section, subdomain=True)):
            problems.add(f'{field}.sectionName', f'{shorten(section)} is no name of a section')
        elif reference is not None:
            targets[PolicyTarget(reference.group, reference.kind, namespace, reference.name, section)] = None
    return tuple(targets)


def _names(validation: fields.Document, field: str, problems: Problems) -> tuple[SubjectAltName, ...]:
    """Return the names, in their order; one that cannot be read is a problem."""
    names: list[SubjectAltName] = []
    for index, entry in enumerate(problems.entries(validation, 'subjectAltNames', field.rpartition('.')[0])):
        kind = entry.get('type') if isinstance(entry, dict) else entry
        hostname, uri = (entry.get('hostname'), entry.get('uri')) if isinstance(entry, dict) else (None, None)
        if kind == 'Hostname' and isinstance(hostname, str) and fields.is_host(hostname) and uri in (None, ''):
            names.append(SubjectAltName(hostname))
        elif kind == 'URI' and isinstance(uri, str) and _URI.fullmatch(uri) and hostname in (None, ''):
            names.append(SubjectAltName(uri, uri=True))
        else:
            problems.add(f'{field}[{index}]', 'the entry is neither a Hostname nor a URI alone')
    return tuple(names)
