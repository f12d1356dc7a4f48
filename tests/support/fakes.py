"""Programs that say that they are a HAProxy of another version or build."""

import contextlib
import socketserver
import threading
from pathlib import Path


def without_quic(folder, binary):
    """Return a program that does what a HAProxy does, but refuses a configuration with QUIC."""
    return program(folder, f'case "$*" in *-c*) ! grep -rq "quic[46]@" "$3" || exit 1 ;; esac\nexec {binary} "$@"\n')


def old(folder, version='3.0.11'):
    """Return a program that says that it is a HAProxy of an old version, and notes in `called` what it was asked."""
    said = f'HAProxy version {version} 2025/01/01 - https://haproxy.org/'
    return program(folder, f'echo "$*" >> {folder}/called\necho "{said}"\ncase "$1" in -v*) ;; *) exit 1 ;; esac\n')


def program(folder, text):
    """Return a program of the shell."""
    path = folder / 'haproxy'
    path.write_text(f'#!/bin/sh\n{text}')
    path.chmod(0o755)
    return str(path)


class _Answers(socketserver.StreamRequestHandler):
    def handle(self):
        """Answer the commands that ask for what it is, and note all others."""
        text = f'Name: HAProxy\nVersion: {self.server.version}\nPid: 7\nStopping: 0\n'
        for line in self.rfile:
            words = line.decode().strip()
            for word in filter(None, words.split(';')):
                self.server.heard.append(word)
            with contextlib.suppress(OSError):
                self.wfile.write(f'\n{text}\n> '.encode() if 'show info' in words else b'\n\n> ')


@contextlib.contextmanager
def running(sockets, version='3.0.11'):
    """Listen on the runtime socket of a folder as a HAProxy of some version; yields the commands that it hears."""
    Path(sockets).mkdir(parents=True, exist_ok=True)
    path = Path(sockets, 'runtime.sock')
    with socketserver.ThreadingUnixStreamServer(str(path), _Answers) as server:
        server.version, server.heard, server.daemon_threads = version, [], True
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.02})
        thread.start()
        yield server.heard
        server.shutdown()
        thread.join()
    path.unlink()
