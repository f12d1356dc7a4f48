"""A HAProxy that takes runtime commands strictly and is only a value: backends, maps, certificates.

It refuses what a real one refuses, with its words as far as they are parsed; `tests/haproxy/test_simulated.py` runs the
same commands on both. It starts from rendered files, and what it has can be compared with other files.
"""

import re
from dataclasses import dataclass, field

MAP_LINE = re.compile(r'(\S+) (.*)')


class RefusedError(Exception):
    """A command that HAProxy refuses; the message is the answer."""


@dataclass
class Server:
    """Options are the words of its line, but for maxconn, which commands change."""

    options: tuple
    maxconn: int = 0
    enabled: bool = True
    checked: bool = True

    @classmethod
    def of(cls, text, **more):
        words = text.split()
        maxconn = 0
        if 'maxconn' in words:
            place = words.index('maxconn')
            maxconn = int(words[place + 1])
            del words[place : place + 2]
        return cls(tuple(words), maxconn, **more)

    def authority(self):
        """The file that the server needs to verify its peer, None for none."""
        return self._after('ca-file')

    def certificate(self):
        """The file with the certificate that the server shows its peer, None for none."""
        return self._after('crt')

    def _after(self, word):
        return self.options[self.options.index(word) + 1] if word in self.options else None


@dataclass
class Backend:
    profile: str
    servers: dict = field(default_factory=dict)
    published: bool = True

    def usable(self):
        return any(server.enabled for server in self.servers.values())


def unescaped(line):
    """Return the words of a command's line: a backslash takes the next character as it is, a semicolon ends it."""
    words, word, taken = [], '', False
    for character in line:
        if taken:
            word, taken = word + character, False
        elif character == '\\':
            taken = True
        elif character == ';':
            raise RefusedError('a second command on the line')
        elif character == ' ':
            words, word = [*words, word] if word else words, ''
        else:
            word += character
    return [*words, word] if word else words


class Simulated:
    """One worker, started from rendered files."""

    def __init__(self, files):
        self.backends, self.maps, self.crt_list = {}, {}, {}
        self.certificates, self.authorities = {}, {}
        self.profiles = set()
        self.direct = 'haproxy/31-https.cfg' in files
        # As an agent leaves them that has found a fresh worker.
        self.listening = {'https'} if self.direct else {'sni'}
        self._transaction = None
        self._lines = 0
        for name, data in files.items():
            self._load(name, data.decode())

    def _load(self, name, text):
        folder = name.partition('/')[0]
        if folder == 'maps':
            pairs = [MAP_LINE.fullmatch(line) for line in text.splitlines()]
            self.maps[name] = [(pair[1], pair[2]) for pair in pairs]
        elif name == 'certificates/list.txt':
            for line in text.splitlines():
                self._lines += 1
                self.crt_list[self._lines] = line
        elif folder == 'certificates':
            self.certificates[name] = text
        elif folder == 'authorities':
            self.authorities[name] = text
        elif name.startswith('haproxy/backends-'):
            self._load_backends(text)
        else:
            self.profiles.update(re.findall(r'^defaults (\S+)', text, re.MULTILINE))

    def _load_backends(self, text):
        made = None
        for line in text.splitlines():
            match line.split():
                case ['backend', name, 'from', profile]:
                    assert name not in self.backends, name
                    made = self.backends[name] = Backend(profile)
                case ['server', name, *rest]:
                    assert name not in made.servers, name
                    made.servers[name] = Server.of(' '.join(rest))
                case _:
                    pass

    def _take_turn(self, verb, which):
        if which == 'https' and not self.direct:
            raise RefusedError('No such frontend.')
        if (which in self.listening) is (verb == 'enable'):
            raise RefusedError(f'Frontend is already {verb}d.')
        self.listening ^= {which}
        if not self.listening:
            raise RefusedError('nobody listens for HTTPS')
        return ''

    def passes_as_it_should(self):
        """Tell whether SNI is looked at while TLS is passed through, and, where that can be, only then."""
        passing = bool(self.maps['maps/passthrough.map'])
        return self.listening == ({'sni'} if passing or not self.direct else {'https'})

    def value(self):
        """Return all that can be compared, in no order."""
        return {
            'backends': {
                name: (
                    made.profile,
                    made.published,
                    {
                        name: (frozenset(server.options), server.maxconn, server.enabled, server.checked)
                        for name, server in made.servers.items()
                    },
                )
                for name, made in self.backends.items()
            },
            'maps': {name: sorted(pairs) for name, pairs in self.maps.items()},
            'crt-list': sorted(tuple(sorted(re.sub(r'[\[\]]', ' ', line).split())) for line in self.crt_list.values()),
            'certificates': self.certificates,
            'authorities': self.authorities,
        }

    def leads(self, pointer):
        """Return the backend that a pointer's value leads to, None where there is none that is served."""
        made = self.backends.get(pointer.partition('|')[0])
        return made if made is not None and made.published else None

    def tell(self, text):
        """Take one command, and return the answer."""
        line, _, rest = text.partition('\n')
        payload = None
        if line.endswith(' <<'):
            line, payload = line.removesuffix(' <<'), rest
            assert '\n\n' not in payload, 'an empty line would end the payload'
        else:
            assert '\n' not in text, text
        try:
            return self._tell(unescaped(line), payload)
        except RefusedError as refused:
            return str(refused)

    def _tell(self, words, payload):  # noqa: C901  one case for each command
        match words:
            case [verb, 'map', file, *rest]:
                return self._map(verb, file, rest, payload)
            case ['add', 'backend', name, 'from', profile]:
                return self._add_backend(name, profile)
            case ['publish' | 'unpublish' | 'del' as verb, 'backend', name]:
                return getattr(self, f'_{verb}_backend')(name)
            case ['add', 'server', where, *options]:
                return self._add_server(where, options)
            case ['enable' | 'disable' | 'del' as verb, 'server', where]:
                return self._change_server(verb, where)
            case ['enable' | 'disable' as verb, 'frontend', 'https' | 'sni' as which]:
                return self._take_turn(verb, which)
            case ['enable', 'health', where]:
                return self._check_server(where)
            case ['set', 'maxconn', 'server', where, number]:
                self._server(where).maxconn = int(number)
                return ''
            case ['wait', _, 'srv-removable' | 'be-removable' as what, where]:
                return self._wait(what, where)
            case [verb, 'ssl', 'cert' | 'ca-file' as kind, file]:
                return self._file(verb, kind, file, payload)
            case [verb, 'ssl', 'crt-list', 'certificates/list.txt', *rest]:
                return self._line(verb, rest, payload)
        raise RefusedError('Unknown command')

    # --- maps ---------------------------------------------------------------------------------------------------------

    def _map(self, verb, file, rest, payload):
        if file not in self.maps:
            raise RefusedError('Unknown map identifier. Please use #<id> or <file>.')
        pairs = self.maps[file]
        if verb == 'add' and payload is not None and not rest:
            self.maps[file] = [*pairs, *(line.partition(' ')[::2] for line in payload.splitlines())]
            return ''
        held = [key for key, _ in pairs]
        if verb in ('set', 'del') and rest and rest[0] not in held:
            raise RefusedError('entry not found.' if verb == 'set' else 'Key not found.')
        match verb, rest:
            case 'add', [key, value]:
                self.maps[file] = [*pairs, (key, value)]
            case 'set', [key, value]:
                self.maps[file] = [(each, value if each == key else old) for each, old in pairs]
            case 'del', [key]:
                del pairs[held.index(key)]
            case _:
                raise RefusedError('expects …')
        return ''

    # --- backends -----------------------------------------------------------------------------------------------------

    def _backend(self, name):
        if name not in self.backends:
            raise RefusedError('No such backend.')
        return self.backends[name]

    def _add_backend(self, name, profile):
        if name in self.backends or name in self.profiles:
            raise RefusedError(f"name '{name}' is already used")
        if profile not in self.profiles:
            raise RefusedError('No such defaults proxy.')
        self.backends[name] = Backend(profile, published=False)
        return 'New backend registered.'

    def _publish_backend(self, name):
        self._backend(name).published = True
        return 'Backend published.'

    def _unpublish_backend(self, name):
        self._backend(name).published = False
        return 'Backend unpublished.'

    def _del_backend(self, name):
        made = self._backend(name)
        if made.published:
            raise RefusedError('Backend must be unpublished prior to its deletion.')
        if made.servers:
            raise RefusedError('Backend still has servers attached.')
        del self.backends[name]
        return 'Backend deleted.'

    # --- servers ------------------------------------------------------------------------------------------------------

    def _server(self, where):
        name, _, server = where.partition('/')
        if name not in self.backends or server not in self.backends[name].servers:
            raise RefusedError('No such server.')
        return self.backends[name].servers[server]

    def _add_server(self, where, options):
        name, _, server = where.partition('/')
        made = self._backend(name)
        if server in made.servers:
            raise RefusedError('Already exists a server with the same name in backend.')
        new = Server.of(' '.join(options), enabled=False, checked='check' not in options)
        if new.authority() not in {None, *self.authorities}:
            raise RefusedError(f"'ca-file' : unable to load {new.authority()}.")
        if new.certificate() not in {None, *self.certificates}:
            raise RefusedError(f"'crt' : unable to load {new.certificate()}.")
        made.servers[server] = new
        return 'New server registered.'

    def _change_server(self, verb, where):
        found = self._server(where)
        if verb != 'del':
            found.enabled = verb == 'enable'
            return ''
        if found.enabled:
            raise RefusedError('Only servers in maintenance mode can be deleted.')
        name, _, server = where.partition('/')
        del self.backends[name].servers[server]
        return 'Server deleted.'

    def _check_server(self, where):
        found = self._server(where)
        if 'check' not in found.options:
            raise RefusedError('Health check was not configured on this server, cannot enable.')
        found.checked = True
        return ''

    def _wait(self, what, where):
        if what == 'srv-removable':
            return 'Failed.' if self._server(where).enabled else 'Done.'
        made = self._backend(where)
        return 'Failed.' if made.published or made.servers else 'Done.'

    # --- certificates -------------------------------------------------------------------------------------------------

    def _file(self, verb, kind, file, payload):
        held = self.certificates if kind == 'cert' else self.authorities
        if verb == 'new' and file not in held:
            held[file] = ''
            return f"New empty certificate store '{file}'!" if kind == 'cert' else f"New CA file created '{file}'!"
        if file not in held and verb == 'del':
            raise RefusedError(f"Can't remove '{file}': it doesn't exist!")
        if file not in held or verb == 'new':
            raise RefusedError(f"Can't {verb} '{file}'")
        match verb:
            case 'set' if self._transaction in (None, (kind, file)) or self._transaction[:2] == (kind, file):
                self._transaction = (kind, file, payload)
                word = 'Transaction' if kind == 'cert' else 'transaction'
                return f'{word} created for {"certificate" if kind == "cert" else "CA"} {file}!'
            case 'commit' if self._transaction and self._transaction[:2] == (kind, file):
                held[file], self._transaction = self._transaction[2], None
                return f'Committing {file}\nSuccess!'
            case 'abort' if self._transaction and self._transaction[:2] == (kind, file):
                self._transaction = None
                return f"Transaction aborted for certificate '{file}'!"
            case 'del' if not self._is_used(kind, file):
                del held[file]
                return f"Certificate '{file}' deleted!" if kind == 'cert' else f"CA file '{file}' deleted!"
        raise RefusedError(f"Can't {verb} '{file}'")

    def _is_used(self, kind, file):
        if kind == 'cert':
            servers = (server for backend in self.backends.values() for server in backend.servers.values())
            shown = any(server.certificate() == file for server in servers)
            return shown or any(line.split(' ')[0] == file for line in self.crt_list.values())
        return any(f'ca-file {file} ' in line.replace(']', ' ') for line in self.crt_list.values())

    def _line(self, verb, rest, payload):
        if verb == 'add' and payload is not None and not rest:
            line = payload.removesuffix('\n')
            file, authority = line.split(' ')[0], re.search(r'ca-file ([^ \]]+)', line)
            if not self.certificates.get(file) or (authority and authority[1] not in self.authorities):
                raise RefusedError(f"certificate '{file}' does not exist!")
            self._lines += 1
            self.crt_list[self._lines] = line
            return f"Inserting certificate '{file}' in crt-list 'certificates/list.txt'.\nSuccess!"
        if verb == 'del' and len(rest) == 1:
            file, _, number = rest[0].partition(':')
            found = [each for each, line in self.crt_list.items() if line.split(' ')[0] == file]
            if number:
                found = [each for each in found if each == int(number)]
            if len(found) == 1 and not (found[0] == 1 and self.crt_list[1].endswith(' *')):
                del self.crt_list[found[0]]
                return f"Entry '{file}' deleted in crtlist 'certificates/list.txt'!"
        raise RefusedError("Can't delete the entry")

    def numbered(self):
        """Return the answer of `show ssl crt-list -n`."""
        rows = [
            f'{line.split(" ")[0]}:{number} {line.partition(" ")[2]}'.strip() for number, line in self.crt_list.items()
        ]
        return '\n'.join(['# certificates/list.txt', *rows])
