"""Documents of Ingresses with headrace's own annotations in the place of foreign ones."""

from typing import Any

from headrace.annotations.foreign.read import DIALECTS
from headrace.annotations.keys import BY_NAME
from headrace.annotations.parse import PREFIX
from headrace.annotations.values import Invalid
from headrace.migration.report import IngressReport

_LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'
_OF_THE_SERVER = ('creationTimestamp', 'generation', 'managedFields', 'resourceVersion', 'selfLink', 'uid')
_EXPRESSIONS = 'RegularExpression'


def translate(document: dict[str, Any], report: IngressReport) -> dict[str, Any]:
    """Return the document of an Ingress with headrace's annotations; what only a server writes is left out.

    Annotations that speak of the Ingress's structure stay as they are: headrace has no keys for them, and reads them while
    the class's `ingressAnnotations` names the dialect. An Ingress whose routes are closed gets `maintenance`, so that it stays
    closed.
    """
    metadata = {key: value for key, value in document['metadata'].items() if key not in _OF_THE_SERVER}
    annotations = {key: value for key, value in metadata.get('annotations', {}).items() if key != _LAST_APPLIED}
    kept_keys = kept_annotations(report)
    for remark in report.foreign.remarks:
        if remark.key not in kept_keys:
            annotations.pop(remark.key, None)
    annotations |= {PREFIX + key: text for key, text in report.foreign.texts}
    if report.foreign.structure.use_regex and _has_expressions():
        annotations.setdefault(f'{PREFIX}path-type', _EXPRESSIONS)
    if report.foreign.closed:
        annotations[f'{PREFIX}maintenance'] = 'true'
    metadata['annotations'] = dict(sorted(annotations.items()))
    return {**{key: value for key, value in document.items() if key != 'status'}, 'metadata': metadata}


def kept_annotations(report: IngressReport) -> tuple[str, ...]:
    """Return the foreign annotations that stay on a translated Ingress, because they speak of its structure."""
    if not report.dialect:
        return ()
    dialect = DIALECTS[report.dialect]
    rows = [row for row in dialect.table.values() if row.shapes and (row.name != 'use-regex' or not _has_expressions())]
    structural_keys = {prefix + row.name for row in rows for prefix in dialect.prefixes}
    return tuple(remark.key for remark in report.foreign.remarks if remark.key in structural_keys)


def _has_expressions() -> bool:
    """Tell whether a key of headrace says that paths are expressions."""
    return not isinstance(BY_NAME['path-type'].parse(_EXPRESSIONS), Invalid)
