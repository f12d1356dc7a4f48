"""The demonstration: a small shop, rendered by headrace and served by a real HAProxy (`make demo`).

Everything that it says is checked; what is not as it says makes the exit code 1. Acts are played in the order of ACTS,
each with a HAProxy that the acts before it may have started; a new one is a function that takes the performance.
Exit codes: 0 all is as said; 1 something is not; 2 it could not be played; 130 it was interrupted.
"""

import argparse
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from stage import HEADRACE, Answer, Stage, StageError

HERE = Path(__file__).resolve().parent
DEFAULT_HAPROXY = HERE.parent.parent / 'bin' / 'haproxy-3.4'
OFFICE = '127.20.0.7'
WRONG, UNPLAYABLE, INTERRUPTED = 1, 2, 130


class Performance:
    """One run: its stage, and what it has said."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.said, self.wrong = stage, 0, 0

    def show(self, words: str, asked: str, *, expected: str, found: str) -> None:
        """Say something in plain words, what was asked to see it, and what came; `expected` is what makes it true."""
        right = found == expected
        self.said += 1
        self.wrong += not right
        print(f'  {"ok   " if right else "WRONG"} {words}')
        if right:
            print(f'          {asked}  ->  {found}')
        else:
            print(f'          {asked}\n          expected: {expected}\n          found:    {found}')
        sys.stdout.flush()


def by_host_and_path(performance: Performance) -> None:
    """Show what HTTP routes do."""
    show, get = performance.show, performance.stage.get
    print('\nHTTP, by host and path')
    shop, catalog = 'http://shop.example.com/', 'http://shop.example.com/catalog/shoes'
    show(
        'Two endpoints take turns.',
        f'GET {shop}, four times',
        expected='200 from storefront-1 (2x), 200 from storefront-2 (2x)',
        found=_tally(get(shop) for _ in range(4)),
    )
    show(
        'A path of the host is another Service; the endpoint that is not ready gets nothing.',
        f'GET {catalog}, four times',
        expected='200 from catalog-1 (4x)',
        found=_tally(get(catalog) for _ in range(4)),
    )
    show(
        'Paths are matched by whole elements.',
        'GET http://shop.example.com/catalogue',
        expected='200 from storefront',
        found=str(get('http://shop.example.com/catalogue')).rpartition('-')[0],
    )
    answer = get(catalog)
    show(
        'The prefix is cut off for the pod, a header is set for it, and one for the client.',
        f'GET {catalog}',
        expected='the pod saw /shoes and X-Shop: example, the client Cache-Control: max-age=60',
        found=f'the pod saw {answer.path} and X-Shop: {answer.seen.get("x-shop")}, '
        f'the client Cache-Control: {answer.headers.get("cache-control")}',
    )
    answer = get(shop, headers={'X-Forwarded-For': '192.0.2.1'})
    show(
        'A client cannot lie about its address.',
        f'GET {shop} with X-Forwarded-For: 192.0.2.1',
        expected='the pod saw X-Forwarded-For: 127.0.0.1',
        found=f'the pod saw X-Forwarded-For: {answer.seen.get("x-forwarded-for")}',
    )
    show(
        'What nobody asked to be served is not: the Service warehouse has no annotation.',
        'GET http://warehouse.example.com/',
        expected='404 from HAProxy itself',
        found=str(get('http://warehouse.example.com/')),
    )


def redirects_and_walls(performance: Performance) -> None:
    """Show what HAProxy answers itself: redirects, who may come in, TLS."""
    show, get, https = performance.show, performance.stage.get, performance.stage.ports['https']
    print('\nRedirects, an allow list, TLS')
    answer = get('http://www.example.com/')
    show(
        'The old name sends clients to the new one.',
        'GET http://www.example.com/',
        expected='301 to http://shop.example.com/',
        found=f'{answer.status} to {answer.headers.get("location")}',
    )
    office = 'http://office.example.com/'
    show(
        'The back office is closed to the world,',
        f'GET {office} from 127.0.0.1',
        expected='403 from HAProxy itself',
        found=str(get(office)),
    )
    show(
        'and open to the office.',
        f'GET {office} from {OFFICE}',
        expected='200 from back-office-1',
        found=str(get(office, client=OFFICE)),
    )
    answer = get('http://pay.example.com/bill')
    show(
        'Who pays is sent to HTTPS,',
        'GET http://pay.example.com/bill',
        expected=f'308 to https://pay.example.com:{https}/bill',
        found=f'{answer.status} to {answer.headers.get("location")}',
    )
    show(
        'where HAProxy ends TLS, with the stand-in.',
        f'GET https://pay.example.com:{https}/bill',
        expected='200 from pay-1',
        found=str(get('https://pay.example.com/bill')),
    )


def tcp_by_port(performance: Performance) -> None:
    """Show what a TCP port does."""
    print('\nTCP, by port')
    performance.show(
        'A port of its own leads to the database; no HTTP is needed.',
        f'connect to 127.0.0.1:{performance.stage.ports["tcp"]}',
        expected='greeted by orders-db-1',
        found=f'greeted by {performance.stage.greeting()}',
    )


def a_folder(performance: Performance) -> None:
    """Play the first act: render a folder, start HAProxy with it, and see who answers."""
    stage = performance.stage
    print(f'A small shop of YAML files: rendered by headrace, served by HAProxy {stage.version} on free ports.')
    print('\nFrom a folder to a configuration')
    verdicts = stage.render()
    performance.show(
        'The folder holds no certificate for pay.example.com: headrace says so, and puts a stand-in in its place.',
        'headrace render',
        expected='warning StandInCertificate Service shop/pay',
        found='; '.join(' '.join(line.split()[:4]) for line in verdicts.splitlines()) or 'none',
    )
    stage.serve()
    for scene in (by_host_and_path, redirects_and_walls, tcp_by_port):
        scene(performance)


ACTS: tuple[Callable[[Performance], None], ...] = (a_folder,)


def _tally(answers: Iterable[Answer]) -> str:
    counts = Counter(str(answer) for answer in answers)
    return ', '.join(f'{who} ({count}x)' for who, count in sorted(counts.items()))


@dataclass(frozen=True)
class Wish:
    """What the command line asks for."""

    haproxy: str
    folder: Path
    stay: bool


def _wish() -> Wish:
    parser = argparse.ArgumentParser(description='Show a small shop, rendered by headrace and served by HAProxy.')
    parser.add_argument('--haproxy', default=str(DEFAULT_HAPROXY), metavar='PATH', help='the HAProxy to use')
    parser.add_argument('--folder', type=Path, default=HERE, metavar='PATH', help="another folder with the shop's YAML")
    parser.add_argument('--stay', action='store_true', help='leave it running until Ctrl-C, to try it by hand')
    return Wish(**vars(parser.parse_args()))


def _stay(stage: Stage) -> None:
    print('\nStill running; to try it by hand:')
    print(f"  curl -i -H 'Host: shop.example.com' http://127.0.0.1:{stage.ports['http']}/catalog/shoes")
    print(f'  {HEADRACE} check -f {stage.objects} --config {stage.settings} --haproxy {stage.haproxy}')
    print('Ctrl-C ends it.', flush=True)
    threading.Event().wait()


def _play(wish: Wish) -> int:
    stage = Stage(wish.haproxy)
    performance = Performance(stage)
    try:
        stage.set_up(wish.folder)
        for act in ACTS:
            act(performance)
        if wish.stay:
            _stay(stage)
    finally:
        # What is half cleaned up is not clean: a second Ctrl-C has to wait.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stage.close()
    if performance.wrong:
        print(f'\n{performance.wrong} of {performance.said} things are not as said.')
        return WRONG
    print(f'\nAll {performance.said} things are as said; HAProxy and the pods have ended, and their folder is gone.')
    return 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Play all acts, and return the exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        return _play(_wish())
    except StageError as error:
        print(f'demo: {error}', file=sys.stderr)
        return UNPLAYABLE
    except KeyboardInterrupt:
        print('\nInterrupted; HAProxy and the pods have ended, and their folder is gone.')
        return INTERRUPTED


if __name__ == '__main__':
    sys.exit(main())
