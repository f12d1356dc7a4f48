"""The pure parts of the live side: answers, what a worker says it has, removals, the journal, the record, snapshots."""

from dataclasses import replace

import pytest

from headrace.haproxy.encode import commands
from headrace.haproxy.encode.commands import Command, Phase
from headrace.haproxy.plan import live_state
from headrace.haproxy.plan.live_state import Server
from headrace.haproxy.runtime import responses
from headrace.haproxy.runtime.journal import Journal
from headrace.haproxy.runtime.removals import Removals
from headrace.haproxy.runtime.responses import Answered, Outcome
from headrace.haproxy.runtime.stats import Stats
from headrace.ir.backend import Backend, Group, Options, Shape
from headrace.ir.fragment import Fragment, Kind
from headrace.ir.policy import Entry, Map
from headrace.names import Ref
from headrace.resolve.changes import Change, FragmentChange, PointerChange
from headrace.resolve.model_snapshot import ModelSnapshot

WEB, OTHER = Ref('Service', 'shop', 'web'), Ref('Service', 'shop', 'other')
KEY = (Kind.ROUTE, 'a/')

# --- answers ----------------------------------------------------------------------------------------------------------

SILENT, SPEAKING = (
    Command(Phase.DATA, 'set map m k v'),
    Command(Phase.DATA, 'del server b/s', expected='Server deleted.'),
)


@pytest.mark.parametrize(
    ('command', 'answer', 'outcome'),
    [
        pytest.param(SILENT, '', Outcome.DONE, id='silent'),
        pytest.param(SILENT, '\n', Outcome.DONE, id='an empty line'),
        pytest.param(SILENT, '+ ', Outcome.DONE, id='the prompt of a payload'),
        pytest.param(SILENT, 'entry not found.', Outcome.REFUSED, id='a silent one that speaks'),
        pytest.param(SPEAKING, 'Server deleted.', Outcome.DONE, id='as expected'),
        pytest.param(
            SPEAKING, 'Server x/y is DOWN, info: "No such server"\nServer deleted.', Outcome.DONE, id='among other lines'
        ),
        pytest.param(SPEAKING, '', Outcome.REFUSED, id='nothing where something is due'),
        pytest.param(SPEAKING, 'No such server.', Outcome.REFUSED, id='refused'),
        pytest.param(
            SPEAKING, 'Server still has connections attached to it, cannot remove it.', Outcome.BUSY, id='busy'
        ),
        pytest.param(SPEAKING, 'Only servers in maintenance mode can be deleted.', Outcome.BUSY, id='not yet disabled'),
    ],
)  # fmt: skip
def test_an_answer_is_judged_by_the_line_that_must_be_in_it(command, answer, outcome):
    assert responses.judge(command, answer).outcome is outcome


def test_a_refusal_is_told_in_few_words():
    assert responses.judge(SPEAKING, '').answer == "'no answer'"
    assert responses.judge(SPEAKING, '+ No such server.\n').answer == "'No such server.'"
    assert responses.judge(SPEAKING, 'x' * 300).answer == f"'{'x' * 200}'…"
    assert responses.judge(SILENT, '').answer == ''


# --- what a worker says that it has -----------------------------------------------------------------------------------

STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight ...
5 shop_web_http 1 10.0.0.1:80 10.0.0.1 2 0 1 1 3 1 0 2 0 0 0 0 - 80 - 0 0 - - 0
5 shop_web_http 2 10.0.0.2:80 10.0.0.2 0 1 1 1 3 1 0 2 0 0 0 0 - 80 - 0 0 - - 0
5 shop_web_http 3 v6 2001:db8::1 0 0 1 1 3 1 0 2 0 0 0 0 - 8080 - 0 0 - - 0
short line
"""


def test_servers_and_their_states_are_read():
    found = live_state.servers(STATE)
    assert found == {
        'shop_web_http': {
            '10.0.0.1:80': Server('10.0.0.1', 80, disabled=False),
            '10.0.0.2:80': Server('10.0.0.2', 80, disabled=True, up=False),
            'v6': Server('2001:db8::1', 8080, disabled=False, up=False),
        }
    }
    assert [server.shown for server in found['shop_web_http'].values()] == ['up', 'maintenance', 'down']


def test_what_is_not_ours_is_no_backend():
    assert live_state.backends('# name\nrate-1s\nheadrace-maps\nshop_web_http\n') == ['shop_web_http']
    assert live_state.is_unknown("\nCan't find backend.\n")
    assert not live_state.is_unknown(STATE)


def test_entries_are_read_with_all_values_of_a_key_in_their_order():
    assert live_state.entries_of('0x1 a/ b|p|\n0x2 a/ c d\n\n0x3 z \n') == {'a/': ['b|p|', 'c d'], 'z': ['']}


LISTED = """# certificates/list.txt
certificates/default.pem:1 *
certificates/a.pem:2 [verify required ca-file authorities/ca.pem] a.com
certificates/a.pem:3 b.com
certificates/bare.pem:4
"""


@pytest.mark.parametrize(
    ('line', 'number'),
    [
        pytest.param('certificates/default.pem *', '1', id='the default'),
        pytest.param('certificates/a.pem [ca-file authorities/ca.pem verify required] a.com', '2', id='options in any order'),
        pytest.param('certificates/a.pem b.com', '3', id='the same file again'),
        pytest.param('certificates/bare.pem', '4', id='a file alone'),
        pytest.param('certificates/a.pem a.com', '', id='without the options'),
        pytest.param('certificates/none.pem a.com', '', id='not there'),
    ],
)  # fmt: skip
def test_a_line_of_the_crt_list_is_found_by_its_number(line, number):
    assert live_state.line_number(LISTED, line) == number


def test_the_crt_list_is_read():
    assert live_state.crt_list(LISTED)['3'] == 'certificates/a.pem b.com'
    assert live_state.crt_list(LISTED)['4'] == 'certificates/bare.pem'
    assert len(live_state.crt_list(LISTED)) == 4


def test_fingerprints_and_names_of_files_are_read():
    text = f'Filename: a\nSHA1 FingerPrint: {"ab" * 20}\nSHA1 FingerPrint: {"0C" * 20}\n'
    assert live_state.fingerprints(text) == ('AB' * 20, '0C' * 20)
    assert live_state.names(
        '# filename\n*certificates/new.pem\n@system\ncertificates/a.pem\nca.pem - 1 certificate(s)\n'
    ) == [
        'certificates/a.pem',
        'ca.pem',
    ]


# --- repairs ----------------------------------------------------------------------------------------------------------


def lines(made):
    return [f'{command.line} {command.payload}'.strip() for command in made]


@pytest.mark.parametrize(
    ('held', 'wanted', 'expected'),
    [
        pytest.param({'a': ['1']}, {'a': '1'}, [], id='agrees'),
        pytest.param({}, {'a': '1'}, ['add map M a 1'], id='missing'),
        pytest.param({'a': ['1']}, {}, ['del map M a'], id='too much'),
        pytest.param({'a': ['1']}, {'a': '2'}, ['set map M a 2'], id='another value'),
        pytest.param({'a': ['1', '1']}, {'a': '1'}, ['del map M a'], id='twice'),
        pytest.param(
            {'a': ['1', '2', '3']}, {'a': '3'}, ['del map M a', 'del map M a', 'set map M a 3'], id='three times'
        ),
        pytest.param({'a': ['1', '2']}, {}, ['del map M a', 'del map M a'], id='twice too much'),
    ],
)
def test_a_map_is_set_right(held, wanted, expected):
    made = live_state.map_repairs(Map.RATE, held, wanted)
    assert lines(made) == [text.replace(' M ', ' maps/rate.map ') for text in expected]


@pytest.mark.parametrize(
    ('name', 'phase'),
    [
        (Map.ROUTES, Phase.POINTERS),
        (Map.CANARY, Phase.POINTERS),
        (Map.ERROR_PAGES, Phase.POINTERS),
        (Map.FALLBACK, Phase.POINTERS),
        (Map.MIRRORS, Phase.POINTERS),
        (Map.RATE, Phase.DATA),
    ],
)
def test_what_points_is_set_right_after_what_is_pointed_to(name, phase):
    assert [command.phase for command in live_state.map_repairs(name, {}, {'a': '1'})] == [phase]


def backend(*addresses, options=None):
    return Backend('b', WEB, 'http', Shape(), options or Options(), (Group(80, addresses),) if addresses else ())


UP, DISABLED = Server('10.0.0.1', 80, disabled=False), Server('10.0.0.1', 80, disabled=True)
GONE = ['wait 2s srv-removable b/10.0.0.1:80', 'del server b/10.0.0.1:80']
REPAIRS = {
    'neither there nor wanted': (None, None, []),
    'wanted and not there': (None, backend(), [f'add backend b from {Shape().profile}', 'publish backend b']),
    'there and not wanted': (
        {'10.0.0.1:80': UP}, None,
        ['unpublish backend b', 'disable server b/10.0.0.1:80', *GONE, 'wait 2s be-removable b', 'del backend b'],
    ),
    'a disabled server of a backend that is not wanted': (
        {'10.0.0.1:80': DISABLED}, None,
        ['unpublish backend b', 'disable server b/10.0.0.1:80', *GONE, 'wait 2s be-removable b', 'del backend b'],
    ),
    'a server is missing': (
        {}, backend('10.0.0.1'), ['add server b/10.0.0.1:80 10.0.0.1:80', 'enable server b/10.0.0.1:80'],
    ),
    'a server is disabled': ({'10.0.0.1:80': DISABLED}, backend('10.0.0.1'), ['enable server b/10.0.0.1:80']),
    'a server is as it should be': ({'10.0.0.1:80': UP}, backend('10.0.0.1'), []),
    'a server is too much': ({'10.0.0.1:80': UP}, backend(), ['disable server b/10.0.0.1:80', *GONE]),
    'a server is about to go': ({'10.0.0.1:80': DISABLED}, backend(), GONE),
}  # fmt: skip


@pytest.mark.parametrize(('held', 'wanted', 'expected'), REPAIRS.values(), ids=REPAIRS)
def test_a_backend_is_set_right(held, wanted, expected):
    assert lines(live_state.backend_repairs('b', held, wanted)) == expected


def test_repairs_are_ordered_by_phase_and_backends_of_all_fragments_are_wanted():
    later, sooner = Command(Phase.DATA_GONE, 'b'), Command(Phase.DATA, 'a')
    assert live_state.ordered([later, sooner]) == (sooner, later)
    assert live_state.desired_backends([Fragment(WEB, backends=(backend(),))]) == {'b': backend()}


# --- removals ---------------------------------------------------------------------------------------------------------


def removal(name):
    """Return the command that removes BACKEND or BACKEND/SERVER."""
    backend_name, _, server = name.partition('/')
    gone = replace(backend(), name=backend_name)
    return (commands.del_server(gone, server) if server else commands.del_backend(gone, []))[-1]


def removal_of(*names):
    found = Removals(drain_seconds=100.0)
    for name in names:
        found.put(removal(name), now=0.0)
    return found


def tried(found, now, outcome, answer=''):
    """Try what is due, and note the same outcome for each; return what was tried, and whether any was given up."""
    batch, _ = found.batch(now)
    given_up = [found.note(Answered(item, outcome, answer), now) for item in batch]
    return [item.removes for item in batch], any(given_up)


def test_what_is_removed_is_forgotten():
    found = removal_of('b/1', 'b/2')
    assert found.next_due() == 0.0
    assert tried(found, 0.0, Outcome.DONE) == (['b/1', 'b/2'], False)
    assert found.next_due() is None
    assert found.batch(1.0) == ([], [])


def test_what_is_busy_is_tried_again_later_and_later_up_to_5_seconds():
    found, now, waits = removal_of('b/1'), 0.0, []
    for _ in range(12):
        tried(found, now, Outcome.BUSY)
        waits.append(round(found.next_due() - now, 3))
        now = found.next_due()
    assert waits == [0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.0, 5.0, 5.0, 5.0]


def test_what_is_not_due_is_not_tried():
    found = removal_of('b/1')
    tried(found, 0.0, Outcome.BUSY)
    assert found.batch(0.01) == ([], [])


def test_connections_are_ended_after_the_drain_timeout():
    found = removal_of('b/1')
    assert found.batch(99.9)[1] == []
    assert found.batch(100.0)[1] == ['b/1']


def test_what_is_refused_five_times_is_given_up():
    found, now = removal_of('b/1'), 0.0
    given_up = []
    for _ in range(5):
        given_up.append(tried(found, now, Outcome.REFUSED, 'no')[1])
        now += 10
    assert given_up == [False, False, False, False, True]
    assert found.pending == {}


def test_a_backend_comes_after_its_servers_and_one_at_a_time():
    found = removal_of('b', 'c', 'd', 'b/1')
    assert tried(found, 0.0, Outcome.BUSY)[0] == ['b/1', 'c']
    assert tried(found, 0.0, Outcome.DONE)[0] == ['d']
    assert tried(found, 0.01, Outcome.DONE)[0] == []
    assert tried(found, 0.02, Outcome.DONE)[0] == ['b/1', 'c']
    assert tried(found, 0.04, Outcome.DONE)[0] == ['b']


OF_FILES = pytest.mark.parametrize(
    ('delete', 'make', 'file'),
    [
        (commands.del_certificate, commands.new_certificate, 'certificates/shop_a.pem'),
        (commands.del_authority, commands.new_authority, 'authorities/shop_a.pem'),
    ],
)


@OF_FILES
def test_a_file_of_tls_that_a_server_still_has_is_tried_again(delete, make, file):
    found = Removals(drain_seconds=100.0)
    found.put(delete('shop_a'), now=0.0)
    assert tried(found, 0.0, Outcome.BUSY) == ([file], False)
    # Nothing is ended for it: its servers have a time of their own.
    assert found.batch(200.0) == ([delete('shop_a')], [])
    assert tried(found, 200.0, Outcome.DONE)[0] == [file]
    assert found.pending == {}


@OF_FILES
def test_a_file_of_tls_that_is_wanted_again_is_kept_and_replaced(delete, make, file):
    found = Removals(drain_seconds=100.0)
    found.put(delete('shop_a'), now=0.0)
    new, *replaced = make('shop_a', b'pem')
    assert file in found.pending
    assert found.cancel(new.makes)
    assert commands.revive(new) == []
    assert [command.line.partition(' ')[0] for command in replaced] == ['set', 'commit']


@pytest.mark.parametrize(('due', 'at_once'), [(30, 20), (500, 50), (5000, 200)])
def test_of_many_servers_a_tenth_is_tried_at_once(due, at_once):
    assert len(removal_of(*(f'b/{number}' for number in range(due))).batch(0.0)[0]) == at_once


@pytest.mark.parametrize(('due', 'at_once'), [(9, 1), (50, 5), (500, 10)])
def test_of_many_backends_a_tenth_is_tried_at_once(due, at_once):
    assert len(removal_of(*(f'b{number}' for number in range(due))).batch(0.0)[0]) == at_once


def test_what_is_removed_between_two_batches_of_changes_does_not_pile_up():
    found = removal_of()
    for batch in range(200):
        for number in range(100):
            found.put(removal(f'b/{batch}-{number}'), now=0.0)
        found.put(removal(f'b{batch}'), now=0.0)
        tried(found, 0.0, Outcome.DONE)
    assert len(found.pending) < 1100


def test_what_is_wanted_again_is_kept():
    found = removal_of('b/1')
    assert found.cancel('b/1')
    assert not found.cancel('b/1')
    assert not found.note(Answered(removal('b/1'), Outcome.BUSY), 0.0)


def unused(found, now=0.0):
    """Note the removal of a backend `b` that nothing leads to any more, with its server, as a worker does."""
    for command in commands.del_backend(replace(backend(), name='b'), ['1']):
        if command.before:
            found.prepare(command)
        elif command.removes:
            found.put(command, now)


def attempts(found, now):
    return [command.line for command in found.batch(now)[0]]


def test_what_nothing_leads_to_is_taken_out_of_use_a_while_later():
    found = Removals(drain_seconds=100.0)
    unused(found)
    assert found.next_due() == 5.0
    assert attempts(found, 4.9) == []
    assert attempts(found, 5.0) == ['disable server b/1', 'del server b/1']
    # Once is enough.
    assert attempts(found, 5.0) == ['del server b/1']
    found.note(Answered(removal('b/1'), Outcome.DONE), 5.0)
    assert attempts(found, 6.0) == ['unpublish backend b', 'del backend b']


def test_what_is_wanted_again_stays_in_use():
    found = Removals(drain_seconds=100.0)
    unused(found)
    assert [found.cancel(name) for name in ('b', 'b/1')] == [True, True]
    assert (found.next_due(), attempts(found, 9.0)) == (None, [])


def test_connections_of_what_is_unused_have_the_whole_drain_timeout():
    found = Removals(drain_seconds=100.0)
    unused(found)
    found.batch(5.0)
    assert (found.batch(104.9)[1], found.batch(105.0)[1]) == ([], ['b/1'])


def test_an_entry_that_requests_may_still_look_up_is_deleted_a_while_later_and_before_backends():
    found = Removals(drain_seconds=100.0)
    unused(found)
    found.put(commands.del_entry(Phase.POINTERS_GONE, Entry(Map.SPLITS, 'p:0', ''), later=True), now=0.0)
    assert attempts(found, 4.9) == []
    assert attempts(found, 5.0) == ['disable server b/1', 'del map maps/splits.map p:0', 'del server b/1']


KEY_OF_POLICY = '0123456789abcdef' * 2


def test_entries_of_a_policy_that_leads_somewhere_anew_are_deleted_at_once():
    found = Removals(drain_seconds=100.0)
    deleted = commands.del_entry(Phase.POINTERS_GONE, Entry(Map.SPLITS, f'{KEY_OF_POLICY}:0F', ''), later=True)
    found.put(deleted, now=0.0)
    assert list(found.of_policies(Map.FALLBACK, [KEY_OF_POLICY])) == []
    assert list(found.of_policies(Map.SPLITS, [f'{KEY_OF_POLICY}:1'])) == [deleted]
    assert (found.pending, list(found.of_policies(Map.SPLITS, [KEY_OF_POLICY]))) == ({}, [])


def test_an_entry_that_is_deleted_is_forgotten():
    found = Removals(drain_seconds=100.0)
    deleted = commands.del_entry(Phase.POINTERS_GONE, Entry(Map.SPLITS, f'{KEY_OF_POLICY}:0', ''), later=True)
    found.put(deleted, now=0.0)
    assert tried(found, 5.0, Outcome.DONE)[0] == [deleted.removes]
    assert list(found.of_policies(Map.SPLITS, [KEY_OF_POLICY])) == []


def test_servers_of_a_backend_that_is_wanted_again_are_taken_out_of_use_at_once():
    found = Removals(drain_seconds=100.0)
    unused(found)
    assert found.cancel('b')
    assert [command.line for command in found.retire('b', 1.0)] == ['disable server b/1']
    assert attempts(found, 1.0) == ['del server b/1']


def test_the_first_wish_to_remove_sets_the_deadline():
    found = removal_of('b/1')
    found.put(removal('b/1'), now=50.0)
    assert found.pending['b/1'].deadline == 100.0


# --- journal, record, snapshot -----------------------------------------------------------------------------------------

A, B = Fragment(WEB, created='1'), Fragment(WEB, created='2')
CHANGE = Change((FragmentChange(WEB, None, A),), (PointerChange(KEY, None, 'b|p|'),))


def test_the_journal_notes_what_changes_for_each_generation_since_it_was_opened():
    journal = Journal()
    journal.open('1')
    journal.note(CHANGE)
    journal.open('2')
    journal.note(Change((FragmentChange(OTHER, A, None),)))
    assert journal.since('1') == ({WEB, OTHER}, {KEY})
    assert journal.since('2') == ({OTHER}, frozenset())
    assert journal.since('3') is None
    journal.keep({'2'})
    assert journal.since('1') is None
    assert journal.since('2') is not None


def test_a_generation_made_from_another_one_lacks_what_that_one_lacks_and_what_it_leaves_out():
    journal = Journal()
    journal.open('1')
    journal.note(Change((FragmentChange(OTHER, A, None),)))
    journal.fork('2', '1', {WEB}, {KEY})
    third = Ref('Service', 'default', 'third')
    journal.note(Change((FragmentChange(third, None, A),)))
    assert journal.since('1') == ({OTHER, third}, frozenset())
    assert journal.since('2') == ({WEB, OTHER, third}, {KEY})


def test_trouble_is_news_when_it_comes_changes_or_ends():
    record = Stats()
    said = [record.problem('files', text) for text in ('', 'full', 'full', 'gone', '', '')]
    assert said == [False, True, False, True, True, False]


def test_a_snapshot_notes_what_it_is_told():
    shown = ModelSnapshot()
    shown.tell(CHANGE)
    assert shown == ModelSnapshot({WEB: A}, {KEY: 'b|p|'})
    held = shown.copy()
    shown.tell(
        Change((FragmentChange(WEB, A, None), FragmentChange(OTHER, A, None)), (PointerChange(KEY, 'b|p|', None),))
    )
    assert shown == ModelSnapshot()
    assert held == ModelSnapshot({WEB: A}, {KEY: 'b|p|'})


def test_the_difference_of_two_snapshots_is_a_change():
    old, new = ModelSnapshot({WEB: A, OTHER: A}, {KEY: 'x'}), ModelSnapshot({WEB: B, OTHER: A}, {(Kind.PORT, '1'): 'y'})
    change = old.whole_change_to(new)
    assert change.fragments == (FragmentChange(WEB, A, B),)
    assert change.pointers == (PointerChange((Kind.PORT, '1'), None, 'y'), PointerChange(KEY, 'x', None))
    assert not old.change_to(new, [OTHER], [])
    old.tell(change)
    assert old == new


def test_of_a_change_that_waits_only_endpoints_are_told():
    def made(name, *addresses):
        return Backend(name, WEB, 'http', Shape(), Options(), (Group(80, addresses),))

    shown = ModelSnapshot({WEB: Fragment(WEB, created='1', backends=(made('a', '1'), made('b', '1')))})
    new = Fragment(WEB, created='2', backends=(made('a', '2'), made('c', '2')))
    shown.tell_endpoints(FragmentChange(WEB, None, new))
    assert shown.fragments[WEB] == Fragment(WEB, created='1', backends=(made('a', '2'), made('b', '2')))
    shown.tell_endpoints(FragmentChange(WEB, None, None))
    shown.tell_endpoints(FragmentChange(OTHER, None, new))
    assert shown.fragments.keys() == {WEB}
