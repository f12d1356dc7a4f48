"""A run of the tests: how they are called, and what comes of each as they print it."""

import collections
import contextlib
import re
import subprocess

import headrace
from conformance import addresses, cluster, installation
from conftest import ROOT

PROFILES = ('GATEWAY-HTTP', 'GATEWAY-GRPC', 'GATEWAY-TLS', 'GATEWAY-TCP', 'GATEWAY-UDP')
REPORT, LOG = cluster.FOLDER / 'report.yaml', cluster.FOLDER / 'run.log'
_ABOUT = {
    'organization': 'headrace', 'project': 'headrace', 'url': 'https://headrace.io', 'contact': 'https://headrace.io',
    'version': f'v{headrace.__version__}',
}  # fmt: skip
# A developer waits no longer for what does not come; the tests' own limits are one to three minutes.
_SHORT = {
    'GWCMustBeAccepted': 15, 'GatewayMustHaveAddress': 20, 'GatewayMustHaveCondition': 20,
    'GatewayStatusMustHaveListeners': 15, 'GatewayListenersMustHaveConditions': 15, 'HTTPRouteMustNotHaveParents': 15,
    'HTTPRouteMustHaveCondition': 15, 'TLSRouteMustHaveCondition': 15, 'TCPRouteMustHaveCondition': 15,
    'UDPRouteMustHaveCondition': 15, 'RouteMustHaveParents': 15, 'MaxTimeToConsistency': 15,
    'LatestObservedGenerationSet': 15, 'DefaultTestTimeout': 20,
}  # fmt: skip
# Pods of the base resources start once only; later the same limit is for Gateways.
_FIRST, _SHORTER = 120, 20
# `=== RUN   TestConformance/NAME/part`, and NAME and CONT where tests run at the same time.
_CURRENT = re.compile(r'^=== (?:RUN|NAME|CONT) +TestConformance/?([\w-]*)')
_ENDED = re.compile(r'^(?: {4})?--- (PASS|FAIL|SKIP): TestConformance/?([\w-]*) \(([\d.]+)s\)')
_STAMP = re.compile(r'^ *[\w-]+\.go:\d+: (?:\S+Z: )?')
_IDLE = re.compile(r'^(Error Trace:\s+)?[\w./@-]+\.(?:go|s):\d+$|^(Creating|Applying|Deleting) ')
_NUMBERS = re.compile(r'[\d.]+(?:[mnµ]?s)?')
_SHOWN, _LONGEST, _HEAD = 8, 400, 100


def run(found, tests=(), profiles=PROFILES, *, stay=False, more=()):
    """Run all tests, or those of given names, and return (PASS, FAIL or SKIP; seconds) by name; '' is all of it.

    With `stay` the base resources stay for the next run, and limits of time are short.
    """
    words = [
        ROOT / 'bin' / 'conformance' / 'conformance.test', '-test.v', '-test.timeout=3h',
        f'-gateway-class={installation.CLASS}', f'-conformance-profiles={",".join(profiles)}',
        f'-report-output={REPORT}', *(f'-{name}={text}' for name, text in _ABOUT.items()),
        f'-usable-address={addresses.USABLE}', f'-unusable-address={addresses.UNUSABLE}',
        f'-cleanup-base-resources={str(not stay).lower()}',
    ]  # fmt: skip
    if tests:
        # They run whatever the GatewayClass says of its features; those of a mesh would need a mesh.
        words += [f'-test.run=^TestConformance$/^({"|".join(tests)})$', '-all-features', '-exempt-features=Mesh']
    if stay:
        limits = {**_SHORT, 'NamespacesMustBeReady': _SHORTER if found.has('pods', True) else _FIRST}
        words += ['-timeout-config-overrides=' + ';'.join(f'{name}:{seconds}' for name, seconds in limits.items())]
    REPORT.unlink(missing_ok=True)
    with LOG.open('w') as log, contextlib.ExitStack() as stack:
        process = subprocess.Popen(
            found.entered('env', f'KUBECONFIG={found.kubeconfig}', *words, *more),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
        )  # fmt: skip
        stack.enter_context(process)
        stack.callback(process.terminate)
        ends = _follow(process.stdout, log)
    if stay and any(ends):
        found.record('pods', True)
    return ends


def _follow(lines, log):
    """Write lines of the tests to the log, print how each test ends, and return that."""
    ends, current, printed = {}, '', collections.defaultdict(dict)
    for line in lines:
        log.write(line)
        if found := _CURRENT.match(line):
            current = found[1]
        elif found := _ENDED.match(line):
            end, name, seconds = found.groups()
            ends[name] = end, float(seconds)
            if end != 'SKIP' and name:
                print(f'{end} {name} ({float(seconds):.1f} s)', flush=True)  # noqa: T201
            if end == 'FAIL':
                for text in [*printed[name].values()][-_SHOWN:]:
                    print(f'     {_shortened(text)}', flush=True)  # noqa: T201
            printed.pop(name, None)
        else:
            text = _STAMP.sub('', line).strip()
            if text.startswith('Conformance report:'):
                # What follows is for the report alone.
                current = None
            if text and not _IDLE.match(text):
                # Of lines that differ by numbers only the last one; it has its place where it came last.
                alike = _NUMBERS.sub('', text)
                printed[current].pop(alike, None)
                printed[current][alike] = text
    return ends


def _shortened(text):
    """Return a line without the middle of a request that it shows: what is wrong is at its end."""
    return text if len(text) <= _LONGEST else f'{text[:_HEAD]} … {text[_HEAD - _LONGEST :]}'
