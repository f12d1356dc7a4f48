"""Clients that send what a good client never would: HTTP/1 byte by byte, and HTTP/2 frames without any check of ours."""

import contextlib
import json
import re
import socket
import struct

import h2.config
import h2.connection
import h2.events
import h2.settings

from support.edge import client_context

SECONDS = 10.0
_FRAME_HEAD = 9
_PROXY_V2 = b'\r\n\r\n\0\r\nQUIT\n'


def connect(port, *, address='127.0.0.1', client='', sni=None, before=b'', alpn=()):
    """Connect, perhaps from an address, with bytes (a PROXY header) before all else, or by TLS where `sni` is no None."""
    source = (client, 0) if client else None
    found = socket.create_connection((address, port), SECONDS, source)
    found.sendall(before)
    if sni is None:
        return found
    context = client_context()
    if alpn:
        context.set_alpn_protocols([*alpn])
    try:
        return context.wrap_socket(found, server_hostname=sni or None)
    except BaseException:
        found.close()
        raise


def said(text):
    """Return what an endpoint said, or None where it was not an endpoint's word."""
    with contextlib.suppress(ValueError):
        found = json.loads(text)
        return found if isinstance(found, dict) else None
    return None


def send(connection, sent):
    """Send bytes and no more; return all that comes until the other side ends the connection."""
    came = b''
    with contextlib.suppress(ConnectionError):
        connection.sendall(sent)
        while part := connection.recv(65536):
            came += part
    return came


def statuses(came):
    """Return the statuses of all answers in what came."""
    return [int(found) for found in re.findall(rb'HTTP/1\.[01] (\d{3})', came)]


def proxy_v1(source, *, family=''):
    """Return a PROXY header of version 1."""
    kind = family or ('TCP6' if ':' in source else 'TCP4')
    target = '2001:db8::80' if kind == 'TCP6' else '198.51.100.80'
    return f'PROXY {kind} {source} {target} 40000 80\r\n'.encode()


def proxy_v2(source):
    """Return a PROXY header of version 2."""
    kind, family = (0x21, socket.AF_INET6) if ':' in source else (0x11, socket.AF_INET)
    target = '2001:db8::80' if ':' in source else '198.51.100.80'
    body = socket.inet_pton(family, source) + socket.inet_pton(family, target) + struct.pack('>HH', 40000, 80)
    return _PROXY_V2 + struct.pack('>BBH', 0x21, kind, len(body)) + body


class Http2:
    """One connection of HTTP/2. Headers go out as they are given; `told_to_leave` once the server wants no more of them."""

    def __init__(self, connection):
        self.connection, self.told_to_leave, self._rest = connection, False, b''
        config = h2.config.H2Configuration(
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=False,
            header_encoding='utf-8',
        )
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self._flush()

    def _flush(self):
        self.connection.sendall(self.h2.data_to_send())

    def _events(self, part):
        """Yield what a part of what came says, frame by frame.

        After a GOAWAY without an error the library would hear nothing more, and answers are still to come (RFC 9113, 6.8).
        """
        self._rest += part
        while len(self._rest) >= _FRAME_HEAD:
            size = _FRAME_HEAD + int.from_bytes(self._rest[:3])
            if len(self._rest) < size:
                return
            frame, self._rest = self._rest[:size], self._rest[size:]
            for event in self.h2.receive_data(frame):
                if isinstance(event, h2.events.ConnectionTerminated) and not event.error_code:
                    self.told_to_leave = True
                    self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
                yield event

    def ask(self, headers, body=None, trailers=None):
        """Send a request; return its status (or `reset`, or `closed`), headers and body."""
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, headers, end_stream=body is None and trailers is None)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=trailers is None)
        if trailers is not None:
            self.h2.send_headers(stream, trailers, end_stream=True)
        return self._answer(stream)

    def begin(self, headers):
        """Send a request without a body, and return its stream; `gather` has the answer."""
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, headers, end_stream=True)
        return stream

    def gather(self, streams):
        """Return the bodies of the answers on all of these streams."""
        found, open_ = dict.fromkeys(streams, b''), set(streams)
        self._flush()
        while open_ and (part := self.connection.recv(65536)):
            for event in self._events(part):
                match event:
                    case h2.events.DataReceived(stream_id=number):
                        found[number] += event.data
                        self.h2.acknowledge_received_data(event.flow_controlled_length, number)
                    case h2.events.StreamEnded(stream_id=number) | h2.events.StreamReset(stream_id=number):
                        open_.discard(number)
            self._flush()
        return found

    def _answer(self, stream):
        status, head, came = 'closed', {}, b''
        with contextlib.suppress(ConnectionError):
            self._flush()
            while part := self.connection.recv(65536):
                for event in self._events(part):
                    match event:
                        case h2.events.ResponseReceived(stream_id=number) if number == stream:
                            head = dict(event.headers)
                            status = int(head[':status'])
                        case h2.events.DataReceived(stream_id=number) if number == stream:
                            came += event.data
                            self.h2.acknowledge_received_data(event.flow_controlled_length, number)
                        case h2.events.StreamReset(stream_id=number) if number == stream:
                            return (status if isinstance(status, int) else 'reset'), head, came
                        case h2.events.StreamEnded(stream_id=number) if number == stream:
                            return status, head, came
                self._flush()
        return status, head, came

    def close(self):
        """Close the connection."""
        self.connection.close()


def h2_headers(authority, path='/', *more, method='GET', scheme='http'):
    """Return the headers of a request; without `:authority` where that is None."""
    found = [(':method', method), (':scheme', scheme), (':path', path)]
    return [*found, *([(':authority', authority)] if authority is not None else []), *more]
