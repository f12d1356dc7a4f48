"""The conformance tests of the Gateway API against this checkout, on a cluster of its own: see `make conformance`."""

import argparse
import contextlib
import re
import shutil
import sys
import time
from pathlib import Path

from conformance import cluster, installation, report, suite
from conftest import ROOT

_PROBLEMS, _INTERRUPTED = 15, 130


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('what', choices=['run', 'load', 'down', 'serve'], help='serve is for run and load')
    parser.add_argument(
        'tests', nargs='*', help='names of tests, or patterns; without any, all whose features headrace supports'
    )
    parser.add_argument(
        '--keep', action='store_true', help='leave the cluster for the next run, and wait less for what fails'
    )
    parser.add_argument(
        '--channel', default='experimental', choices=['standard', 'experimental'], help='of a new cluster'
    )
    parser.add_argument('--profiles', default=','.join(suite.PROFILES))
    parser.add_argument('--report', type=Path, help='a file for the report, from the root of the checkout')
    parser.add_argument('--flag', action='append', default=[], help='one more flag of the tests, such as --flag=-debug')
    return parser.parse_intermixed_args()


def _run(given):
    if not given.keep:
        # Of a run that counts nothing is older than itself.
        cluster.stop()
    try:
        found = installation.prepare(given.channel, anew=not given.keep)
        installation.clear(found)
        before, begun = installation.reloads(found), time.monotonic()
        ends = suite.run(found, given.tests, given.profiles.split(','), stay=given.keep, more=given.flag)
        reloads = installation.reloads(found) - before
        problems = installation.problems(found, time.monotonic() - begun + 1)
    finally:
        if not given.keep:
            cluster.stop()
    passed, began = ends.get('', ('FAIL',))[0] == 'PASS', any(ends)
    unknown = [name for name in given.tests if not any(re.fullmatch(name, end) for end in ends)]
    unknown = [f'no test is called {name}' for name in unknown if passed or began]
    summary = report.lines(suite.REPORT)
    for line in (
        *problems[-_PROBLEMS:],
        *summary,
        f'reloads: {dict(reloads) or "none"}',
        f'log: {suite.LOG}',
        *unknown,
    ):
        print(line)  # noqa: T201
    if given.report:
        target = ROOT / given.report
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(suite.REPORT, target)
    return 0 if passed and not unknown else 1


def main():
    """Do what is asked for."""
    given = _arguments()
    with contextlib.suppress(KeyboardInterrupt):
        if given.what == 'run':
            return _run(given)
        if given.what == 'load':
            installation.prepare(given.channel)
        elif given.what == 'down':
            cluster.stop()
        else:
            cluster.serve()
        return 0
    return _INTERRUPTED


if __name__ == '__main__':
    sys.exit(main())
