"""What people read of diagnostics."""

from headrace.cli import output
from headrace.diagnostics import Diagnostic
from headrace.names import Ref

REF = Ref('Service', 'shop', 'web')


def test_a_diagnostic_is_shown_with_the_field_it_speaks_of():
    diagnostics = [
        Diagnostic(REF, 'UnknownKey', 'said', 'metadata.annotations[headrace.io/hots]'),
        Diagnostic(REF, 'Conflict', 'so'),
    ]
    assert [line.split()[-2] for line in map(str, output.diagnostic_lines(diagnostics))] == [
        'metadata.annotations[headrace.io/hots]',
        '-',
    ]
    rows = [
        {'level': each.level, 'reason': each.reason, **REF._asdict(), 'field': each.field, 'message': 'm'}
        for each in diagnostics
    ]
    assert [line.split()[-2] for line in output.diagnostic_rows(rows)] == [
        'metadata.annotations[headrace.io/hots]',
        '-',
    ]
