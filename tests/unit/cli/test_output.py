"""What people read of verdicts."""

from headrace.cli import output
from headrace.diagnostics import Verdict
from headrace.names import Ref

REF = Ref('Service', 'shop', 'web')


def test_a_verdict_is_shown_with_the_field_it_speaks_of():
    verdicts = [
        Verdict(REF, 'UnknownKey', 'said', 'metadata.annotations[headrace.io/hots]'),
        Verdict(REF, 'Conflict', 'so'),
    ]
    assert [line.split()[-2] for line in map(str, output.verdict_lines(verdicts))] == [
        'metadata.annotations[headrace.io/hots]',
        '-',
    ]
    rows = [
        {'level': each.level, 'reason': each.reason, 'object': str(REF), 'field': each.field, 'message': 'm'}
        for each in verdicts
    ]
    assert [line.split()[-2] for line in output.verdict_rows(rows)] == ['metadata.annotations[headrace.io/hots]', '-']
