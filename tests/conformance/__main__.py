"""The conformance tests of the Gateway API against this checkout, on a cluster of its own: see `make conformance`."""

import argparse
import shutil
import sys
import time
from pathlib import Path

from conformance import cluster, installation, report, suite


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('what', choices=['run', 'load', 'down', 'serve'], help='serve is for run and load')
    parser.add_argument('tests', nargs='*', help='names of tests; without any, all whose features headrace supports')
    parser.add_argument(
        '--keep', action='store_true', help='leave the cluster for the next run, and wait less for what fails'
    )
    parser.add_argument(
        '--channel', default='experimental', choices=['standard', 'experimental'], help='of a new cluster'
    )
    parser.add_argument('--profiles', default=','.join(suite.PROFILES))
    parser.add_argument('--report', type=Path, help='a file for the report')
    parser.add_argument('--flag', action='append', default=[], help='one more flag of the tests, such as --flag=-debug')
    return parser.parse_args()


def _load(given):
    """Return the cluster with this checkout in it."""
    begun = time.monotonic()
    found, new = cluster.start()
    if new:
        installation.define(found, given.channel)
    seconds = {'cluster': round(time.monotonic() - begun, 1), **installation.load(found)}
    print(', '.join(f'{step} {took} s' for step, took in seconds.items()), flush=True)  # noqa: T201
    return found


def _run(given):
    found = _load(given)
    try:
        ends = suite.run(found, given.tests, given.profiles.split(','), stay=given.keep, more=given.flag)
    finally:
        if not given.keep:
            cluster.stop()
    if suite.REPORT.exists():
        print(*report.lines(suite.REPORT), sep='\n')  # noqa: T201
        if given.report:
            given.report.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(suite.REPORT, given.report)
    print(f'log: {suite.LOG}')  # noqa: T201
    return 0 if ends.get('', ('FAIL',))[0] == 'PASS' else 1


def main():
    """Do what is asked for."""
    given = _arguments()
    if given.what == 'serve':
        cluster.serve()
    elif given.what == 'down':
        cluster.stop()
    elif given.what == 'load':
        _load(given)
    else:
        return _run(given)
    return 0


if __name__ == '__main__':
    sys.exit(main())
