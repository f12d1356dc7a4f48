"""The cluster's DNS as far as pods here need it: A records of Services."""

import contextlib
import socket
import struct
import threading

from support.api import ApiError, collection

ZONE = 'svc.cluster.local'
_A = 1
_NO_SUCH_NAME = 3


class Names:
    """Answers on UDP port 53 of an address, from what an API server says at that moment; a context manager."""

    def __init__(self, address, api):
        self._api = api
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(self, *_):
        """End."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    def _serve(self):
        while True:
            asked, who = self._socket.recvfrom(4096)
            if not asked:
                return
            self._socket.sendto(self._answer(asked), who)

    def _answer(self, asked):
        labels, at = [], 12
        while length := asked[at]:
            labels.append(asked[at + 1 : at + 1 + length].decode())
            at += 1 + length
        (kind,) = struct.unpack('!H', asked[at + 1 : at + 3])
        question = asked[12 : at + 5]
        found = self._find('.'.join(labels).lower())
        answers = 1 if found and kind == _A else 0
        head = struct.pack('!2sBBHHHH', asked[:2], 0x85, 0x80 | (0 if found else _NO_SUCH_NAME), 1, answers, 0, 0)
        # The name is that of the question, twelve bytes from the start.
        record = struct.pack('!HHHIH4s', 0xC00C, _A, 1, 5, 4, socket.inet_aton(found)) if answers else b''
        return head + question + record

    def _find(self, name):
        """Return the address of a Service, or of the one that its external name is of; '' for no such name."""
        if not name.endswith(f'.{ZONE}'):
            return ''
        with contextlib.suppress(ApiError, ValueError, OSError):
            service, namespace = name.removesuffix(f'.{ZONE}').split('.')
            spec = self._api.get(f'{collection("Service", namespace)}/{service}')['spec']
            if spec['type'] == 'ExternalName':
                return self._find(spec['externalName'])
            return spec['clusterIP'].removeprefix('None')
        return ''
