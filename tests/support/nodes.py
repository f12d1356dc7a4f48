"""Two nodes, pods on both, and a host outside, in network namespaces: real packets, and nothing outside is touched.

The first node is this process's own namespace (see `network.isolate`), so what a test starts runs there. The others are
entered by threads, and live as long as they are held open.

    outside ── lan (a bridge) ── node ── pods `client`, `one`, `two`
                     └───────── second ── pod `three`
"""

import contextlib
import json
import socket
import struct
import threading

from tools import spaces
from tools.spaces import Space

from support import network

PORT = 8080
NODE = ('192.0.2.1', 'fd00:2::1')
SECOND = ('192.0.2.2', 'fd00:2::2')
OUTSIDE = ('192.0.2.9', 'fd00:2::9')
PODS = {
    'client': ('10.244.1.10', 'fd00:244:1::10'),
    'one': ('10.244.1.11', 'fd00:244:1::11'),
    'two': ('10.244.1.12', 'fd00:244:1::12'),
    'three': ('10.244.2.13', 'fd00:244:2::13'),
}
ON_SECOND = ('three',)
# What routers of a real network would send to a node: load balancers' and external addresses, and ClusterIPs.
TO_THE_NODE = ('203.0.113.0/24', '10.96.0.0/16', 'fd00:113::/64', 'fd00:96::/64')
_SECONDS = 20.0
_NETFILTER = 12
# A request of netfilter's conntrack to delete, with acknowledgement, that names no flow: all of them.
_FLUSH = struct.pack('=IHHIIBBH', 20, 1 << 8 | 2, 0x1 | 0x4, 1, 0, 0, 0, 0)


class Nodes:
    """The whole of it. `spaces` are the namespaces by name: `node`, `second`, `outside`, and the pods."""

    def __init__(self):
        network.isolate()
        self.spaces = {'node': Space('node', own=True)}
        for name in ('lan', 'second', 'outside', *PODS):
            self.spaces[name] = Space(name)
        self._wire()
        self._route()
        self.servers = [Server(self.spaces[name], name) for name in PODS if name != 'client']

    def close(self):
        for server in self.servers:
            server.close()
        self.spaces['node'].ip(''.join(f'link del {name}\n' for name in ('eth0', *PODS) if name not in ON_SECOND))
        for space in self.spaces.values():
            space.close()

    def _wire(self):
        lan = ['link set lo up', 'link add lan type bridge', 'link set lan up']
        for name in ('node', 'second', 'outside'):
            lan += [f'link add {name} type veth peer name eth0 netns {self.spaces[name].path}']
            lan += [f'link set {name} master lan', f'link set {name} up']
        self.spaces['lan'].ip('\n'.join(lan))
        for name, addresses in (('node', NODE), ('second', SECOND), ('outside', OUTSIDE)):
            lines = ['link set lo up', 'link set eth0 up', f'addr add {addresses[0]}/24 dev eth0']
            self.spaces[name].ip('\n'.join([*lines, f'addr add {addresses[1]}/64 dev eth0 nodad']))
        for name, addresses in PODS.items():
            machine = self.spaces['second' if name in ON_SECOND else 'node']
            spaces.attach(machine, self.spaces[name], addresses)

    def _route(self):
        for name, other, pods in (('node', SECOND, 2), ('second', NODE, 1)):
            self.spaces[name].enter(spaces.forward)
            ways = [f'route add 10.244.{pods}.0/24 via {other[0]}', f'route add fd00:244:{pods}::/64 via {other[1]}']
            self.spaces[name].ip('\n'.join(ways))
        ways = [f'route add {to} via {NODE[":" in to]}' for to in (*TO_THE_NODE, '10.244.0.0/16', 'fd00:244::/32')]
        self.spaces['outside'].ip('\n'.join(ways))
        # As any machine has it: without a route nothing would be sent that is then led elsewhere.
        for name in ('node', 'second'):
            self.spaces[name].ip(f'route add default via {OUTSIDE[0]}\nroute add default via {OUTSIDE[1]}')

    def forget_flows(self):
        """Remove all flows from the node's conntrack.

        A connection attempt to an address that nothing serves leaves a flow without NAT for two minutes. A later
        connection from the same port follows that flow, whatever serves the address by then: it hangs, or
        kube-proxy's table rejects it.
        """
        self.spaces['node'].enter(_flush)

    # Clients

    def tcp(self, space, address, port, *, seconds=_SECONDS):
        """Return what a server says to a client in a namespace: which pod it is, and which client address it sees."""
        with contextlib.closing(self.connected(space, address, port, seconds=seconds)) as connection:
            return say(connection)

    def connected(self, space, address, port, *, seconds=_SECONDS):
        """Return a connection from a namespace."""
        return self.spaces[space].enter(socket.create_connection, (address, port), seconds)

    def http(self, space, address, port, *, host='any.example.com', path='/', seconds=_SECONDS):
        """Return status, headers and what the server says."""
        with contextlib.closing(self.connected(space, address, port, seconds=seconds)) as connection:
            connection.sendall(f'GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'.encode())
            return answer(connection)

    def udp(self, space, address, port, *, seconds=_SECONDS, source=None):
        """Return what a server says to a datagram; `source` is a socket to go on with."""
        asked = source or self.datagrams(space, address, port)
        asked.settimeout(seconds)
        try:
            asked.send(b'hello')
            return json.loads(asked.recv(4096))
        finally:
            if source is None:
                asked.close()

    def datagrams(self, space, address, port):
        """Return a socket of UDP that sends to an address."""

        def make():
            made = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
            made.connect((address, port))
            return made

        return self.spaces[space].enter(make)


def _flush():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as asked:
        asked.settimeout(_SECONDS)
        asked.send(_FLUSH)
        number = struct.unpack_from('=i', asked.recv(4096), 16)[0]
    assert number == 0, f'conntrack: {number}'


def answer(connection):
    """Return status, headers and what the server says, of the only answer of a connection."""
    head, _, body = _all(connection).partition(b'\r\n\r\n')
    lines = head.decode().split('\r\n')
    headers = dict(line.lower().split(': ', 1) for line in lines[1:])
    return int(lines[0].split(' ')[1]), headers, json.loads(body) if body.startswith(b'{') else body


def say(connection):
    """Send a line, and return what the server says."""
    connection.sendall(b'hello\n')
    line = b''
    while not line.endswith(b'\n'):
        part = connection.recv(4096)
        if not part:
            raise ConnectionResetError('closed without an answer')
        line += part
    return json.loads(line)


def _all(connection):
    found = b''
    while part := connection.recv(65536):
        found += part
    return found


class Server:
    """A pod's server of TCP (a line, or HTTP) and UDP, at one port of all addresses."""

    def __init__(self, space, name):
        self.name = name
        self._stopping = False
        self._listeners = space.enter(self._listen)
        self._threads = [
            threading.Thread(target=self._serve_tcp if kind == socket.SOCK_STREAM else self._serve_udp, args=(held,))
            for kind, held in self._listeners
        ]
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def _listen(self):
        tcp = socket.create_server(('::', PORT), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
        udp = []
        for family, any_address in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):
            made = socket.socket(family, socket.SOCK_DGRAM)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind((any_address, PORT))
            udp.append((socket.SOCK_DGRAM, made))
        return [(socket.SOCK_STREAM, tcp), *udp]

    def _said(self, peer):
        return json.dumps({'pod': self.name, 'client': peer[0].removeprefix('::ffff:')}).encode()

    def _serve_tcp(self, listener):
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection, peer), daemon=True).start()

    def _talk(self, connection, peer):
        with contextlib.suppress(OSError), connection, connection.makefile('rb') as lines:
            for line in lines:
                body = self._said(peer)
                if line.startswith((b'GET ', b'POST ')):
                    seen = {}
                    while (header := lines.readline().decode().strip()) != '':
                        name, _, value = header.partition(':')
                        seen[name.lower()] = value.strip()
                    body = json.dumps({**json.loads(body), 'seen': seen, 'path': line.split(b' ')[1].decode()}).encode()
                    head = f'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n'
                    connection.sendall(head.encode() + body)
                    if seen.get('connection') == 'close':
                        return
                else:
                    connection.sendall(body + b'\n')

    def _serve_udp(self, listener):
        while True:
            try:
                data, peer = listener.recvfrom(4096)
                if not data:
                    return
                listener.sendto(self._said(peer), peer)
            except OSError:
                return

    def close(self):
        for _, held in self._listeners:
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)
            held.close()
        for thread in self._threads:
            thread.join(5)
