"""Reading the administrator's folder: templates, lines of `global` and `defaults`, and snippets.

FOLDER/templates/NAME.cfg.j2   takes the place of the built-in template of this name
FOLDER/global.cfg              lines added to the section `global`
FOLDER/defaults.cfg            lines added to the defaults of HTTP
FOLDER/snippets/NAME.cfg       lines that `headrace.io/snippets: NAME` adds to a Service's backends
"""

import re
from importlib import resources
from pathlib import Path

from headrace.haproxy.render.templating import Overrides, TemplateError

_SNIPPET = re.compile(r'[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?')
_SECTION = re.compile(
    r'(?:global|defaults|frontend|backend|listen|peers|userlist|resolvers|mailers|program|cache|ring|http-errors|fcgi-app|crt-store|log-forward|log-profile|traces|acme)\b'
)


def read(folder: Path) -> Overrides:
    """Return what an administrator's folder holds; raises TemplateError for what cannot be used."""
    if not folder.is_dir():
        raise TemplateError(f'{folder} is no folder')
    built_in = {item.name for item in resources.files('headrace.haproxy.render').joinpath('templates').iterdir()}
    # A mounted ConfigMap has hidden entries beside its files.
    paths = [path for path in sorted(folder.glob('templates/*')) if not path.name.startswith('.')]
    templates = {path.name: _text(path) for path in paths}
    for name in templates:
        if name not in built_in:
            raise TemplateError(f'templates/{name} overrides nothing; there are {", ".join(sorted(built_in))}')
    snippets = {
        path.stem: _lines(path) for path in sorted(folder.glob('snippets/*.cfg')) if not path.name.startswith('.')
    }
    for name in snippets:
        if not _SNIPPET.fullmatch(name):
            raise TemplateError(f'snippets/{name}.cfg: a name has lower-case letters, digits and dashes')
    return Overrides(templates, _lines(folder / 'global.cfg'), _lines(folder / 'defaults.cfg'), snippets)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f'{path}: {error}') from error


def _lines(path: Path) -> tuple[str, ...]:
    """Return a file's lines, without comments and empty ones; none may begin a section of its own."""
    if not path.exists():
        return ()
    raw = tuple(line.strip() for line in _text(path).splitlines())
    lines = tuple(line for line in raw if line and not line.startswith('#'))
    for line in lines:
        if _SECTION.match(line):
            raise TemplateError(f'{path}: {line!r} begins a section; only lines of one may stand here')
    return lines
