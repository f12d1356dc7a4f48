"""The report of a run as lines to read: by profile how many tests passed, and the names of the others."""

import yaml


def lines(path):
    """Return the lines for the report at a path; the tests write it unless they could not begin."""
    if not path.exists():
        return ['there is no report']
    report = yaml.safe_load(path.read_text())
    found = [f'Gateway API {report["gatewayAPIVersion"]}, channel {report["gatewayAPIChannel"]}']
    for profile in sorted(report['profiles'] or (), key=lambda each: each['name']):
        for level in ('core', 'extended'):
            if part := profile.get(level):
                found += _part(f'{profile["name"]} {level}', part)
    return found


def _part(name, part):
    counts = ', '.join(f'{part["statistics"][what]} {what.lower()}' for what in ('Passed', 'Failed', 'Skipped'))
    found = [f'{name:22} {part["result"]:8} {counts}']
    if features := part.get('supportedFeatures', ()):
        found[0] += f', {len(features)} of {len(features) + len(part.get("unsupportedFeatures", ()))} features'
    more = ('failedTests', 'skippedTests', 'unsupportedFeatures')
    return [*found, *(f'  {what}: {", ".join(part[what])}' for what in more if part.get(what))]
