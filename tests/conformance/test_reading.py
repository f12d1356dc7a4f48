"""What a run prints, from what the tests print and from their report."""

import io

import yaml

from conformance import report, suite

OUTPUT = """\
=== RUN   TestConformance
=== RUN   TestConformance/One
    helpers.go:108: 2026-11-30T14:43:57.09Z: waiting
    helpers.go:108: 2026-11-30T14:43:58.09Z: waiting
=== RUN   TestConformance/Two
    two.go:1: 2026-11-30T14:43:57.09Z: of the other
=== NAME  TestConformance/One
        \tError Trace:\tsigs.k8s.io/gateway-api/conformance@v1.6.3/helpers.go:141
        \tError:      \tno address
    --- FAIL: TestConformance/One (1.50s)
    --- PASS: TestConformance/Two (2.00s)
    --- SKIP: TestConformance/Three (0.00s)
--- FAIL: TestConformance (4.00s)
"""
REPORT = {
    'gatewayAPIVersion': 'v1.6.3',
    'gatewayAPIChannel': 'standard',
    'profiles': [
        {
            'name': 'GATEWAY-HTTP',
            'core': {
                'result': 'failure',
                'statistics': {'Passed': 2, 'Failed': 1, 'Skipped': 0},
                'failedTests': ['One'],
            },
            'extended': {
                'result': 'success',
                'statistics': {'Passed': 3, 'Failed': 0, 'Skipped': 0},
                'supportedFeatures': ['ListenerSet'],
                'unsupportedFeatures': ['HTTPRouteCORS'],
            },
        }
    ],
}


def test_a_test_that_fails_is_printed_with_its_own_last_lines_only(capsys):
    log = io.StringIO()
    ends = suite._follow(io.StringIO(OUTPUT), log)
    assert ends == {'One': ('FAIL', 1.5), 'Two': ('PASS', 2.0), 'Three': ('SKIP', 0.0), '': ('FAIL', 4.0)}
    assert log.getvalue() == OUTPUT
    assert capsys.readouterr().out.splitlines()[:4] == [
        'FAIL One (1.5 s)',
        '     waiting',
        '     Error:      \tno address',
        'PASS Two (2.0 s)',
    ]


def test_a_report_is_told_by_profile_and_level(tmp_path):
    (tmp_path / 'report.yaml').write_text(yaml.safe_dump(REPORT))
    lines = [' '.join(line.split()) for line in report.lines(tmp_path / 'report.yaml')]
    assert lines == [
        'Gateway API v1.6.3, channel standard',
        'GATEWAY-HTTP core failure 2 passed, 1 failed, 0 skipped',
        'failedTests: One',
        'GATEWAY-HTTP extended success 3 passed, 0 failed, 0 skipped, 1 of 2 features',
        'unsupportedFeatures: HTTPRouteCORS',
    ]
