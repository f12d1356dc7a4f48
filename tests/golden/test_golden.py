"""What whole inputs become, byte by byte, and that HAProxy accepts it.

A case is a folder: `in.yaml`, perhaps `config.yaml` (settings), `args` (options of `headrace render`) and `overrides/`.
`expected/` holds the files that are rendered, and `diagnostics.txt` what was said. To keep them readable, files that are as in
the case `empty` are left out, the sections of every installation are stored as their difference from `empty`, and of key
material only its digest is stored.

`--update-golden` writes them; read the difference before you commit it.
"""

import difflib
import functools
import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from headrace.cli.main import cli
from headrace.haproxy.runtime import check

HERE = Path(__file__).parent
CASES = sorted(path.parent.name for path in HERE.glob('*/in.yaml'))
BASE = 'empty'
PRIVATE = ('certificates/', 'authorities/')
# The crt-list of a listener without certificates; there are many.
NOBODYS = 'certificates/nobody.pem *\n'


def render(case, target):
    """Render a case by the command line, as its user would, and return what it printed for programs."""
    folder = HERE / case
    arguments = ['render', '-f', str(folder / 'in.yaml'), '-o', str(target), '--format', 'json']
    if (folder / 'config.yaml').exists():
        arguments += ['--config', str(folder / 'config.yaml')]
    if (folder / 'args').exists():
        given = (folder / 'args').read_text().split()
        arguments += [str(folder / word) if word == 'overrides' else word for word in given]
    outcome = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.stdout)


def contents(folder):
    """Return the text of each file that is not empty, with a digest for key material."""
    found = {}
    for path in sorted(folder.rglob('*')):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or not path.stat().st_size:
            continue
        if name.startswith(PRIVATE) and name.endswith('.pem'):
            found[f'{name}.sha256'] = f'{hashlib.sha256(path.read_bytes()).hexdigest()}\n'
        elif path.read_text() != NOBODYS:
            found[name] = path.read_text()
    return found


def difference(before, after):
    """Return how a text differs from the one of `empty`, without line numbers, so that other lines may move."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm='')
    return ''.join('@@\n' if line.startswith('@@') else f'{line}\n' for line in list(lines)[2:])


def stored(case, folder):
    """Render a case, and return what is kept of it, and its diagnostics."""
    said = render(case, folder / case)
    found = contents(folder / case)
    if case != BASE:
        base = rendered_base()
        found = {
            f'{name}.diff' if name in base else name: difference(base[name], text) if name in base else text
            for name, text in found.items()
            if base.get(name) != text
        }
    return found, ''.join(map(told, said['diagnostics'])).replace(f'{HERE}/', '')


@functools.cache
def rendered_base():
    """Return the files of the case `empty`."""
    with tempfile.TemporaryDirectory() as folder:
        render(BASE, Path(folder) / BASE)
        return contents(Path(folder) / BASE)


def told(diagnostic):
    """Return a diagnostic as it is kept."""
    about = '/'.join(filter(None, (diagnostic['namespace'], diagnostic['name'])))
    head = [diagnostic['level'], diagnostic['reason'], f'{diagnostic["kind"]} {about}', diagnostic['field']]
    return f'{"  ".join(filter(None, head))}\n    {diagnostic["message"]}\n'


def expected(case):
    """Return what is kept of a case, and its diagnostics."""
    text = HERE / case / 'diagnostics.txt'
    return contents(HERE / case / 'expected'), text.read_text() if text.exists() else ''


def update(case, folder):
    """Write what a case becomes."""
    found, diagnostics = stored(case, folder)
    shutil.rmtree(HERE / case / 'expected', ignore_errors=True)
    for file, text in found.items():
        path = HERE / case / 'expected' / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (HERE / case / 'diagnostics.txt').write_text(diagnostics)


@pytest.fixture(scope='module', autouse=True)
def _updated(update_golden, tmp_path_factory):
    """Write all cases before any is compared, if that was asked for."""
    if update_golden:
        for case in CASES:
            update(case, tmp_path_factory.mktemp(case))


@pytest.mark.parametrize('case', CASES)
def test_the_case_is_rendered_as_expected(case, tmp_path):
    found, diagnostics = stored(case, tmp_path)
    files, said = expected(case)
    assert found == files
    assert diagnostics == said


@pytest.mark.parametrize('case', [case for case in CASES if not (HERE / case / 'refused').exists()])
def test_haproxy_accepts_the_case(case, haproxy_34, tmp_path):
    render(case, tmp_path)
    outcome = check.check(haproxy_34, tmp_path)
    assert outcome.accepted, outcome.output
    assert '[ALERT]' not in outcome.output


@pytest.mark.parametrize('case', [case for case in CASES if (HERE / case / 'refused').exists()])
def test_haproxy_refuses_the_case(case, haproxy_34, tmp_path):
    render(case, tmp_path)
    outcome = check.check(haproxy_34, tmp_path)
    assert not outcome.accepted
    assert (HERE / case / 'refused').read_text().strip() in outcome.output


def test_no_key_material_is_kept_in_a_case():
    texts = [path.read_text() for path in HERE.rglob('*') if path.is_file() and path.suffix not in ('.py', '.pyc')]
    assert texts
    assert not any('-----BEGIN' in text for text in texts)
