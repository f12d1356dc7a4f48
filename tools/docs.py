"""Write the reference documentation from the code: annotations, settings and diagnostics; and tables and plot of figures.

`python -m tools.docs` writes the pages into docs/; `--check` writes nothing, and names those that differ from the code.
The prose is in tools/templates; what a page lists (keys, settings, reasons, what is not served yet) comes from the
package, so that it cannot be forgotten. What changes cost comes from what a test has recorded. The page about performance is
written by hand, but for its tables, which come with the plot from a run of the bench, docs/performance.json.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'operator'))

from headrace import diagnostics  # noqa: E402
from headrace.annotations import keys  # noqa: E402
from headrace.annotations.foreign import config_map  # noqa: E402
from headrace.annotations.foreign.read import DIALECTS  # noqa: E402
from headrace.settings import settings  # noqa: E402

sys.path.insert(0, str(ROOT))

from tools.bench import plot, report, tables  # noqa: E402

PAGES = ('annotations.md', 'foreign-annotations.md', 'reloads.md', 'settings.md', 'diagnostics.md')
RECORDED = ROOT / 'tests' / 'agent' / 'reloads.json'
SCHEMA = 'settings.schema.json'
PERFORMANCE, PLOT = 'performance.md', 'performance.svg'
FIGURES = ROOT / 'docs' / 'performance.json'
SCOPES = {
    keys.Scope.SERVICE: 'The Service as a whole',
    keys.Scope.EXPOSURE: 'How a port is reached',
    keys.Scope.ROUTE: 'What happens to a request or a connection',
    keys.Scope.BACKEND: 'How endpoints are chosen, asked and watched',
}
LEVELS = {
    diagnostics.Level.ERROR: 'Errors',
    diagnostics.Level.WARNING: 'Warnings',
    diagnostics.Level.INFO: 'Notes',
}
# What a text of the settings looks like, said once for each pattern: the pattern is that of the setting named first.
TEXTS = {
    'class': 'name: lower-case letters, digits, dashes',
    'domain': 'domain, or empty',
    'tcpPorts': 'ranges of ports, or empty',
    'drainTimeout': 'duration',
    'defaultCertificate': '`NAMESPACE/NAME`, or empty',
    'startupTaint': '`PREFIX/NAME`, or empty',
    'cookieName': 'name of a cookie',
    'tlsCiphers': 'names of ciphers, separated by colons, or empty',
    'errorPageType': 'media type, and perhaps its charset',
    'accessLog': '`stdout`, `stderr`, ADDRESS:PORT or `off`',
}
# Why HAProxy is reloaded, by the words of plans.
RELOADS = {
    'bandwidth': 'a backend that is made at run time does not limit bandwidth',
    'certificate': "the class's default certificate stands first in a list, and comes and goes with the file",
    'compression': 'a backend that is made at run time does not compress',
    'kept-connections': 'clients of HTTP/2 keep asking on connections to a Service that has gone back to kube-proxy: only a worker that is replaced tells them to leave',
    'listeners': 'half of the listeners of a node have a port whose TLS they end; from then on there are twice as many',
    'profile': 'a value that is used for the first time needs a section of the file; the next Service with it costs nothing',
    'users': 'crypt hashes are judged by a list of the file; the same hash costs nothing the next time',
}
TYPES = {'boolean': 'boolean', 'string': 'text', 'array': 'list of texts'}


def costs() -> list[dict[str, str]]:
    """Return one row for each change that was recorded: key, change, and what it costs."""
    recorded = json.loads(RECORDED.read_text(encoding='utf-8'))
    return [{'key': row['key'], 'what': row['what'], 'cost': cost(row['cost'])} for row in recorded]


def cost(text: str) -> str:
    """Return what a change costs in words; all but two of them are reasons of a reload."""
    if text in ('nothing', 'commands'):
        return text
    return f'**reload**: {", ".join(f"`{word}`" for word in text.split(", ") if RELOADS[word])}'


def rows(schema: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield one row for each setting: key, type, default, how a change is applied, and meaning."""
    structs = schema['$defs']
    patterns = {structs['Settings']['properties'][key]['pattern']: text for key, text in TEXTS.items()}
    for key, found in structs['Settings']['properties'].items():
        nested = structs[found['$ref'].rpartition('/')[2]]['properties'] if '$ref' in found else {}
        for name, item in nested.items() or [('', found)]:
            yield {
                'key': f'{key}.{name}' if name else key,
                'type': kind(item, patterns),
                'default': default(item['default']),
                'applied': item['x-applied'],
                'meaning': item['description'],
            }


def kind(item: dict[str, Any], patterns: dict[str, str]) -> str:
    """Return the type of a setting in words."""
    if 'enum' in item:
        return ' or '.join(f'`{choice}`' for choice in item['enum'])
    if 'pattern' in item:
        return patterns.get(item['pattern']) or f'text like `{item["pattern"]}`'
    if item['type'] == 'integer':
        most = f'{item["maximum"]:,}' if 'maximum' in item else ''
        return f'number from {item["minimum"]:,} to {most}' if most else f'number from {item["minimum"]:,}'
    if item['type'] == 'object':
        return f'mapping of texts to {"texts" if item["additionalProperties"] == {"type": "string"} else "lists"}'
    if '$ref' in item.get('items', {}):
        return '[list of pools](address-pools.md)'
    return TYPES[item['type']]


def default(value: object) -> str:
    """Return a default as it is written in YAML."""
    if value in ('', [], (), {}):
        return '–'
    return f'`{value if isinstance(value, str) else json.dumps(value)}`'


def foreign(dialect: str) -> dict[str, Any]:
    """Return what the reference says of a dialect: its rows, and how many there are of each verdict."""
    rows = [(row, *row.served) for _, row in sorted(DIALECTS[dialect].table.items())]
    verdicts = [str(verdict) for _, verdict, _ in rows]
    return {
        'name': dialect,
        'prefixes': DIALECTS[dialect].prefixes,
        'rows': rows,
        'counts': {each: verdicts.count(each) for each in sorted(set(verdicts))},
    }


def pages() -> dict[str, str]:
    """Return all generated files by name."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOT / 'tools' / 'templates'),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters['cell'] = lambda text: text.replace('|', '\\|')
    schema = settings.schema()
    changes = costs()
    given = {
        'reasons': sorted(RELOADS.items()),
        'keys': [row for row in changes if row['key']],
        'objects': [row for row in changes if not row['key']],
        'scopes': [(title, [key for key in keys.KEYS if key.scope is scope]) for scope, title in SCOPES.items()],
        'closing': sorted(keys.CLOSING),
        'settings': list(rows(schema)),
        'dialects': [foreign(dialect) for dialect in DIALECTS],
        'config_map': sorted(config_map.CONFIG_MAP.values(), key=lambda row: row.name),
        'levels': [
            (title, [(name, reason) for name, reason in sorted(diagnostics.REASONS.items()) if reason.level is level])
            for level, title in LEVELS.items()
        ],
    }
    made = {page: environment.get_template(f'{page}.j2').render(given) for page in PAGES}
    run = report.load(FIGURES)
    # What stands around the tables is written by hand.
    made[PERFORMANCE] = tables.filled((ROOT / 'docs' / PERFORMANCE).read_text(encoding='utf-8'), run)
    sizes = {'panel_width': plot.WIDTH, 'panel_height': plot.HEIGHT, 'gap': plot.GAP}
    made[PLOT] = environment.get_template(f'{PLOT}.j2').render(panels=plot.panels(run), **sizes)
    return {**made, SCHEMA: json.dumps(schema, indent=2, ensure_ascii=False) + '\n'}


def differing(folder: Path, made: dict[str, str]) -> list[str]:
    """Return the names of the files in `folder` that are missing, or not as they were made."""
    held = {name: folder / name for name in made}
    return [name for name, path in held.items() if not path.is_file() or path.read_bytes() != made[name].encode()]


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or (`--check`) compare them; return the exit code."""
    parser = argparse.ArgumentParser(description='Write the reference documentation from the code.')
    parser.add_argument('--check', action='store_true', help='write nothing; exit with 1 if a file differs')
    parser.add_argument('--folder', type=Path, default=ROOT / 'docs', help='where the pages are (default: docs)')
    options = parser.parse_args(arguments)
    made = pages()
    wrong = differing(options.folder, made)
    if options.check:
        for name in wrong:
            print(f'{options.folder / name} is not what the code says: run make docs', file=sys.stderr)
        return 1 if wrong else 0
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in wrong:
        (options.folder / name).write_text(made[name], encoding='utf-8', newline='\n')
        print(f'wrote {options.folder / name}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
