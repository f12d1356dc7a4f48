"""A real gRPC server and its clients' calls, without generated code: messages are bytes."""

from concurrent import futures

import grpc

SERVICE = 'echo.Echo'


def _unary(request, context):
    if request == b'missing':
        context.set_trailing_metadata((('x-why', 'not here'),))
        context.abort(grpc.StatusCode.NOT_FOUND, 'nothing is there')
    told = dict(context.invocation_metadata())
    context.send_initial_metadata((('x-forwarded-host', told.get('x-forwarded-host', '')),))
    return request[::-1]


def _counted(request, _context):
    for number in range(int(request)):
        yield str(number).encode()


def _joined(requests, _context):
    return b','.join(requests)


def _talk(requests, _context):
    for request in requests:
        yield request.upper()


_HANDLERS = {
    'Unary': grpc.unary_unary_rpc_method_handler(_unary),
    'Counted': grpc.unary_stream_rpc_method_handler(_counted),
    'Joined': grpc.stream_unary_rpc_method_handler(_joined),
    'Talk': grpc.stream_stream_rpc_method_handler(_talk),
}


class EchoServer:
    """The server, at a free port; by TLS with `credentials`, a key and a certificate in PEM."""

    def __init__(self, credentials=None):
        self._server = grpc.server(futures.ThreadPoolExecutor(8), options=[('grpc.so_reuseport', 0)])
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, _HANDLERS),))
        if credentials is None:
            self.port = self._server.add_insecure_port('127.0.0.1:0')
        else:
            self.port = self._server.add_secure_port('127.0.0.1:0', grpc.ssl_server_credentials([credentials]))

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(None).wait(10)


def channel(port, host, certificate=None):
    """Return a channel to a port for a host; by TLS with the certificate that is trusted."""
    where, options = f'127.0.0.1:{port}', [('grpc.default_authority', host), ('grpc.enable_http_proxy', 0)]
    if certificate is None:
        return grpc.insecure_channel(where, options)
    options.append(('grpc.ssl_target_name_override', host))
    return grpc.secure_channel(where, grpc.ssl_channel_credentials(certificate), options)


def call(made, kind, name):
    """Return one of a channel's calls: kind is `unary_unary`, `stream_stream`, and so on."""
    return getattr(made, kind)(f'/{SERVICE}/{name}')
