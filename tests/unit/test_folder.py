"""The source without a cluster: YAML and JSON, in files and folders, of which each costs itself only."""

import json
import os
import time

import pytest

from headrace import folder
from headrace.names import Ref
from headrace.objects.kinds import Service

WEB = Ref('Service', 'default', 'web')
DOCUMENT = {'apiVersion': 'v1', 'kind': 'Service', 'metadata': {'name': 'web'}, 'spec': {'ports': [{'port': 80}]}}
YAML = 'apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{port: %d}]}\n'


def parsed(data, name='in.yaml'):
    """Return the names of objects, and the messages."""
    found = folder.parse(data if isinstance(data, bytes) else data.encode(), name)
    return [item.name for item in found.objects], [diagnostic.message for diagnostic in found.diagnostics]


def listed(kind, *items):
    return json.dumps({'apiVersion': 'v1', 'kind': kind, 'items': list(items)})


def test_documents_of_other_kinds_are_counted():
    other = {'apiVersion': 'apps/v1', 'kind': 'Deployment', 'metadata': {'name': 'a'}}
    hostile = {'apiVersion': 'v1', 'kind': 'a\nb' + 'c' * 300}
    nameless = [{'kind': 'Deployment'}, {'apiVersion': 'v1'}, {'kind': 5, 'apiVersion': 'v1'}, 'text', None]
    found = folder.parse(listed('List', other, DOCUMENT, other, hostile, *nameless).encode(), 'in.json')
    (first, count), (second, once) = sorted(found.unread)[::-1]
    assert (first, count, once) == ('Deployment (apps/v1)', 2, 1)
    assert second.isprintable()
    assert len(second) < 250


# --- documents --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('data', 'names'),
    [
        pytest.param('', [], id='empty'),
        pytest.param('\n# nothing but a comment\n', [], id='a comment'),
        pytest.param('---\n---\n', [], id='empty documents'),
        pytest.param('null', [], id='null'),
        pytest.param('just text', [], id='a text'),
        pytest.param('[1, 2]', [], id='a list'),
        pytest.param('{}', [], id='an empty mapping'),
        pytest.param(YAML % ('web', 80), ['web'], id='YAML'),
        pytest.param('\ufeff' + YAML % ('web', 80), ['web'], id='YAML with a byte order mark'),
        pytest.param((YAML % ('web', 80)).encode('utf-16'), ['web'], id='YAML in UTF-16'),
        pytest.param((YAML % ('web', 80)).replace('\n', '\r\n'), ['web'], id='YAML with line ends of Windows'),
        pytest.param('---\n' + YAML % ('a', 80) + '---\n' + YAML % ('b', 80), ['a', 'b'], id='two documents'),
        pytest.param(json.dumps(DOCUMENT), ['web'], id='JSON'),
        pytest.param(f'  \n{json.dumps(DOCUMENT)}', ['web'], id='JSON after blanks'),
        pytest.param(listed('List', DOCUMENT, DOCUMENT), ['web', 'web'], id='a List'),
        pytest.param(listed('ServiceList', DOCUMENT), ['web'], id='a ServiceList'),
        pytest.param(listed('ServiceList', {'metadata': DOCUMENT['metadata'], 'spec': DOCUMENT['spec']}), ['web'], id='a ServiceList whose items do not say what they are'),
        pytest.param(listed('List', None, 'text', 5, [DOCUMENT], DOCUMENT), ['web'], id='a List of anything'),
        pytest.param('{kind: List, items: 5}', [], id='a List without items'),
        pytest.param('{kind: [List], items: []}', [], id='a kind that is no text'),
        pytest.param('{apiVersion: v1, kind: Service, metadata: {name: web}} # YAML in braces', ['web'], id='YAML that begins as JSON does'),
    ],
)  # fmt: skip
def test_documents_are_found_in_yaml_and_json(data, names):
    assert parsed(data) == (names, [])


@pytest.mark.parametrize(
    'data',
    [
        pytest.param(b'a: b: c', id='no YAML'),
        pytest.param(b'{"a": ', id='half a JSON'),
        pytest.param(b'a: \xff\xfe', id='no UTF-8'),
        pytest.param(b'a: b\0c', id='NUL'),
        pytest.param(b'a: "\\ud800"', id='half a surrogate pair'),
        pytest.param(b'{"a": "\\ud800"}', id='half a surrogate pair in JSON'),
        pytest.param(b'*unknown', id='an unknown alias'),
        pytest.param(b'!!python/object/apply:os.system [id]', id='a tag of Python'),
        pytest.param(b'a: !custom b', id='a custom tag'),
        pytest.param(b'a: !!int ""', id='an empty number'),
        pytest.param(b'a: !!bool maybe', id='no boolean'),
        pytest.param(b'{[a]: b}', id='a list as a key'),
        pytest.param(b'<<: 5', id='a merge of a number'),
        pytest.param(b'[' * 100_000, id='brackets without end'),
        pytest.param(b'a: ' + b'[' * 100_000, id='YAML brackets without end'),
        pytest.param(b'{"a":' * 100_000 + b'1' + b'}' * 100_000, id='JSON of great depth'),
        pytest.param(b'? ' * 50_000, id='YAML of great depth'),
        pytest.param(b'{"a": ' + b'9' * 5000 + b'}', id='a number of thousands of digits'),
        pytest.param(b'\tkey: value', id='a tab'),
    ],
)
def test_a_file_that_does_not_parse_is_one_diagnostic_that_names_it(data):
    found = folder.parse(data, '/somewhere/in.yaml')
    assert found.objects == ()
    (diagnostic,) = found.diagnostics
    assert (str(diagnostic.ref), diagnostic.reason) == ('File /somewhere/in.yaml', 'InvalidObject')
    assert diagnostic.message.startswith('not YAML: ')
    assert len(diagnostic.message) < 300
    assert diagnostic.message.isprintable()


def test_the_documents_before_a_broken_one_count():
    names, messages = parsed(YAML % ('web', 80) + '---\na: b: c\n')
    assert (names, len(messages)) == (['web'], 1)


def test_a_file_name_with_control_characters_is_shown_without_them():
    for name in ('a\nb.yaml', 'a\x1b[31m.yaml', 'a\udcff.yaml'):
        (diagnostic,) = folder.parse(b'a: b: c', name).diagnostics
        assert diagnostic.ref.name.isprintable()
        assert diagnostic.ref.name.isascii()


def test_a_few_lines_that_stand_for_billions_are_read_at_once():
    lines = ['a0: &a0 [x, x]', *(f'a{n}: &a{n} [*a{n - 1}, *a{n - 1}]' for n in range(1, 64)), 'kind: *a63']
    annotations = '{headrace.io/host: *a63}'
    bomb = (
        '\n'.join(lines[:-1])
        + f'\napiVersion: v1\nkind: Service\nmetadata: {{name: web, annotations: {annotations}}}\n'
    )
    assert parsed('\n'.join(lines)) == ([], [])
    assert parsed(bomb) == (['web'], [])


def test_timestamps_stay_texts_as_they_are_in_the_api():
    text = 'apiVersion: v1\nkind: Service\nmetadata: {name: web, creationTimestamp: 2026-01-01T00:00:00Z}\n'
    (item,) = folder.parse(text.encode(), 'in.yaml').objects
    assert item.created == '2026-01-01T00:00:00Z'


# --- files and folders ------------------------------------------------------------------------------------------------


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_folder_holds_the_yaml_and_json_files_at_any_depth_but_for_hidden_ones(tmp_path):
    for name in ('b.yaml', 'a.yml', 'c.json', 'deep/er/d.yaml', 'README.md', '.hidden.yaml', '.git/e.yaml', 'f.yaml~'):
        write(tmp_path / name, '')
    (tmp_path / 'folder.yaml').mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in folder.paths([tmp_path])]
    assert found == ['a.yml', 'b.yaml', 'c.json', 'deep/er/d.yaml']


def test_a_folder_that_is_hidden_itself_may_be_named(tmp_path):
    write(tmp_path / '.config' / 'a.yaml', '')
    assert [path.name for path in folder.paths([tmp_path / '.config'])] == ['a.yaml']


def test_a_file_that_is_named_is_read_whatever_its_ending(tmp_path):
    path = write(tmp_path / 'objects.txt', YAML % ('web', 80))
    assert [item.ref for item in folder.read([path]).objects] == [WEB]


def test_a_path_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(folder.SourceError, match=r'nowhere: no such file or folder'):
        folder.read([tmp_path, tmp_path / 'nowhere'])


def test_a_path_that_cannot_be_read_is_an_error_that_names_it(tmp_path):
    path = tmp_path / 'endless'
    # A file without permissions would do, but for root, who may read all.
    path.symlink_to('/proc/self/mem')
    with pytest.raises(folder.SourceError, match='endless: Input/output error'):
        folder.read([path])


def test_a_broken_file_does_not_harm_its_neighbours(tmp_path):
    write(tmp_path / 'a.yaml', 'a: b: c')
    write(tmp_path / 'b.yaml', YAML % ('web', 80))
    found = folder.read([tmp_path])
    assert [item.ref for item in found.objects] == [WEB]
    assert [str(diagnostic.ref) for diagnostic in found.diagnostics] == [f'File {tmp_path / "a.yaml"}']


def test_a_file_and_its_folder_together_are_the_same_objects_once(tmp_path):
    path = write(tmp_path / 'a.yaml', YAML % ('web', 80))
    assert folder.read([path, tmp_path, path]) == folder.read([tmp_path])
    assert len(folder.read([path, tmp_path]).objects) == 1


def test_two_objects_of_one_name_are_told_and_the_last_one_counts(tmp_path):
    write(tmp_path / 'a.yaml', YAML % ('web', 80))
    write(tmp_path / 'b.yaml', YAML % ('web', 81))
    found = folder.read([tmp_path])
    (item,) = found.objects
    assert isinstance(item, Service)
    assert item.ports[0].number == 81
    assert [(diagnostic.ref, diagnostic.reason) for diagnostic in found.diagnostics] == [(WEB, 'InvalidObject')]
    assert 'the last one counts' in found.diagnostics[0].message


def test_no_paths_are_no_objects():
    assert folder.read([]) == folder.Contents((), ())


def test_a_file_whose_name_is_no_text_is_read(tmp_path):
    path = os.fsencode(tmp_path) + b'/\xff.yaml'
    with open(path, 'wb') as file:  # noqa: PTH123  a name that pathlib takes as text only
        file.write(b'a: b: c')
    (diagnostic,) = folder.read([tmp_path]).diagnostics
    assert diagnostic.ref.name.isascii()


@pytest.mark.parametrize('written', ['1:30', '1:2:3', '1:30.5', '1:' + ':'.join(['1'] * 100_000)], ids=len)
def test_a_number_to_base_60_is_a_text_as_it_is_in_the_api(written):
    def parsed(host):
        text = f'apiVersion: v1\nkind: Service\nmetadata: {{name: web, annotations: {{headrace.io/host: {host}}}}}\n'
        began = time.process_time()
        (item,) = folder.parse(text.encode(), 'in.yaml').objects
        return item, time.process_time() - began

    item, seconds = parsed(written)
    # Of a value that is too long for any setting only the beginning is kept.
    assert item.annotations == (('host', written[:65_537]),)
    # As a number the longest took 2 s, twelve times as long as another text of its length.
    assert seconds < 4 * parsed('x' * len(written))[1] + 0.1


def test_other_numbers_stay_numbers():
    text = 'apiVersion: v1\nkind: Service\nmetadata: {name: web, annotations: {headrace.io/a: 0x1F, headrace.io/b: 1.50}}\n'
    (item,) = folder.parse(text.encode(), 'in.yaml').objects
    assert item.annotations == (('a', '31'), ('b', '1.5'))
