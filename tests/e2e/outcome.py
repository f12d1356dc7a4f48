"""What came of a run: each test, how it ended, and which of its Services headrace has had."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

_NAMESPACE = re.compile(r'Destroying namespace "([^"]+)"')
_PREFIX = re.compile(r'^\[It\] \[sig-network\] ')
_ENDS = {'failure': 'failed', 'error': 'failed', 'skipped': 'skipped'}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test: `handed` of its `services` went to headrace, and `told` is what was said of others."""

    name: str
    end: str
    seconds: float
    services: int
    handed: int
    told: tuple[str, ...]
    why: str


def read(folder):
    """Return the outcomes of a report's folder, without the tests that were not asked for.

    A test that skips itself gives a reason, and has one: it may be the nodes that it finds too few.
    """
    by_namespace = {}
    for seen in json.loads((folder / 'services.json').read_text()):
        if not seen['headless'] and seen['type'] != 'ExternalName':
            by_namespace.setdefault(seen['namespace'], []).append(seen)
    found = []
    # The complete one: the other says nothing of what passed but that.
    for path in folder.glob('ginkgo/report.xml'):
        for case in ET.parse(path).iter('testcase'):
            end = next((_ENDS[child.tag] for child in case if child.tag in _ENDS), 'passed')
            if (end != 'skipped' or _why(case)) and '[It]' in case.get('name'):
                found.append(_outcome(case, end, by_namespace))
    return sorted(found, key=lambda each: each.name)


def _why(case):
    said = next((child.get('message') or '' for child in case if child.tag in _ENDS), '')
    return ' '.join(said.removeprefix('skipped').removeprefix(' - ').split())[:200]


def _outcome(case, end, by_namespace):
    said = ''.join(child.text or '' for child in case)
    services = [each for name in _NAMESPACE.findall(said) for each in by_namespace.get(name, ())]
    told = sorted({each['told'].partition(' [of ')[0] for each in services if each['told']})
    handed = sum(each['handed'] is not None for each in services)
    name = _PREFIX.sub('', case.get('name')).partition(' [sig-network')[0]
    return Outcome(name, end, float(case.get('time')), len(services), handed, tuple(told), _why(case))


def lines(outcomes):
    """Return a summary to read: what failed and what headrace did not have, then how many of each."""
    said = []
    for each in outcomes:
        part = f'{each.handed} of {each.services} Services'
        if each.end != 'passed' or each.handed < each.services:
            said += [
                f'{each.end:7} {part:18} {each.name}',
                *(f'        {text}' for text in (*each.told, each.why) if text),
            ]
    for end in ('passed', 'failed', 'skipped'):
        some = [each for each in outcomes if each.end == end]
        had = sum(each.services > 0 and each.handed == each.services for each in some)
        said.append(
            f'{len(some)} {end}; of {had} of them headrace had all Services, {sum(not e.services for e in some)} have none'
        )
    return said
