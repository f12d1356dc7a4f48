"""Requests that two readers could read as different ones, and what has to become of each.

`REFUSED`: no request reaches an endpoint. `ONE`: exactly one does, with this body, framed in one way.
"""

REFUSED = None
HOST = 'Host: a.com\r\n'
HIDDEN = 'GET /hidden HTTP/1.1\r\nHost: a.com\r\n\r\n'
CHUNKED = 'Transfer-Encoding: chunked\r\n'
EMPTY = '0\r\n\r\n'
HELLO = f'5\r\nhello\r\n{EMPTY}'


def post(headers, body='', *, host=HOST, line='POST / HTTP/1.1'):
    """Return a request as bytes; each character is one byte."""
    return f'{line}\r\n{host}{headers}\r\n{body}'.encode('latin-1')


def get(headers='', *, line='GET / HTTP/1.1', host=HOST):
    """Return a request without a body."""
    return post(headers, host=host, line=line)


HTTP1 = {
    # Two framings.
    'a length and chunks, the length first': (post(f'Content-Length: 4\r\n{CHUNKED}', HELLO), b'hello'),
    'a length and chunks, the chunks first': (post(f'{CHUNKED}Content-Length: 4\r\n', HELLO), b'hello'),
    'a length and chunks, and a request behind them': (post(f'Content-Length: 50\r\n{CHUNKED}', EMPTY + HIDDEN), b''),
    'a length that hides a request behind chunks': (post(f'Content-Length: 6\r\n{CHUNKED}', EMPTY + HIDDEN), b''),
    'two lengths': (post('Content-Length: 5\r\nContent-Length: 6\r\n', 'hello!'), REFUSED),
    'two lengths in one line': (post('Content-Length: 5, 6\r\n', 'hello!'), REFUSED),
    'a length twice': (post('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello'), b'hello'),
    'a length twice in one line': (post('Content-Length: 5, 5\r\n', 'hello'), b'hello'),
    # Lengths that are none.
    'a length with a plus': (post('Content-Length: +5\r\n', 'hello'), REFUSED),
    'a length below nothing': (post('Content-Length: -1\r\n', 'hello'), REFUSED),
    'a length in hexadecimal': (post('Content-Length: 0x5\r\n', 'hello'), REFUSED),
    'an empty length': (post('Content-Length:\r\n', 'hello'), REFUSED),
    'a length with a unit': (post('Content-Length: 5b\r\n', 'hello'), REFUSED),
    'a length with a blank in it': (post('Content-Length: 5 5\r\n', 'hello'), REFUSED),
    'a length beyond all numbers': (post('Content-Length: 99999999999999999999999\r\n', 'hello'), REFUSED),
    # Codings.
    'xchunked': (post('Transfer-Encoding: xchunked\r\n', HELLO), REFUSED),
    'chunked before another coding': (post('Transfer-Encoding: chunked, identity\r\n', HELLO), REFUSED),
    'another coding before chunked': (post('Transfer-Encoding: gzip, chunked\r\n', HELLO), REFUSED),
    'chunked twice': (post('Transfer-Encoding: chunked, chunked\r\n', HELLO), REFUSED),
    'chunked in two lines': (post(f'{CHUNKED}{CHUNKED}', HELLO), REFUSED),
    'chunked and another line': (post(f'{CHUNKED}Transfer-Encoding: identity\r\n', HELLO), REFUSED),
    'identity': (post('Transfer-Encoding: identity\r\nContent-Length: 5\r\n', 'hello'), REFUSED),
    'chunked in quotes': (post('Transfer-Encoding: "chunked"\r\n', HELLO), REFUSED),
    'chunked with a parameter': (post('Transfer-Encoding: chunked;q=1\r\n', HELLO), REFUSED),
    'chunked with a vertical tab': (post('Transfer-Encoding: \x0bchunked\r\n', HELLO), REFUSED),
    'an empty coding': (post('Transfer-Encoding:\r\nContent-Length: 5\r\n', 'hello'), REFUSED),
    'CHUNKED': (post('Transfer-Encoding: CHUNKED\r\n', HELLO), b'hello'),
    'chunked behind a tab': (post('Transfer-Encoding:\tchunked\r\n', HELLO), b'hello'),
    'chunks of HTTP/1.0': (post(f'{CHUNKED}', HELLO, line='POST / HTTP/1.0'), REFUSED),
    # Chunks that are none.
    'a size with another letter': (post(CHUNKED, f'g\r\nhello\r\n{EMPTY}'), REFUSED),
    'a size with 0x': (post(CHUNKED, f'0x5\r\nhello\r\n{EMPTY}'), REFUSED),
    'a size below nothing': (post(CHUNKED, f'-5\r\nhello\r\n{EMPTY}'), REFUSED),
    'a size beyond all numbers': (post(CHUNKED, f'fffffffffffffffff5\r\nhello\r\n{EMPTY}'), REFUSED),
    'an empty size': (post(CHUNKED, f'\r\nhello\r\n{EMPTY}'), REFUSED),
    'a blank before a size': (post(CHUNKED, f' 5\r\nhello\r\n{EMPTY}'), REFUSED),
    'a chunk without an end': (post(CHUNKED, f'5\r\nhelloX\r\n{EMPTY}'), REFUSED),
    'a size that ends in LF': (post(CHUNKED, '5\nhello\r\n0\r\n\r\n'), REFUSED),
    'a chunk with an extension': (post(CHUNKED, f'5;a=b\r\nhello\r\n{EMPTY}'), b'hello'),
    'an extension with LF': (post(CHUNKED, f'5;a\nb\r\nhello\r\n{EMPTY}'), REFUSED),
    'a trailer that would be a length': (post(CHUNKED, '5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n'), b'hello'),
    # Lines.
    'a folded line': (get('X-A: 1\r\n 2\r\n'), b''),
    'a folded coding': (post('Transfer-Encoding:\r\n chunked\r\n', HELLO), b'hello'),
    'a folded first line': (get(' X-A: 1\r\n', host=''), REFUSED),
    'a blank before the colon': (post('Content-Length : 5\r\n', 'hello'), REFUSED),
    'a blank before the colon of a coding': (post('Transfer-Encoding : chunked\r\n', HELLO), REFUSED),
    'a tab before the colon': (post('Transfer-Encoding\t: chunked\r\n', HELLO), REFUSED),
    'a name without a colon': (get('X-A\r\n'), REFUSED),
    'an empty name': (get(': x\r\n'), REFUSED),
    'a name in brackets': (get('(X-A): x\r\n'), REFUSED),
    'lines that end in LF': (b'GET / HTTP/1.1\nHost: a.com\n\n', b''),
    'CR in a value': (get('X-A: 1\rX-B: 2\r\n'), REFUSED),
    'NUL in a value': (get('X-A: 1\x002\r\n'), REFUSED),
    'NUL in a name': (get('X\x00-A: 1\r\n'), REFUSED),
    'NUL in a coding': (post('Transfer-Encoding: chunked\x00\r\n', HELLO), REFUSED),
    'an empty line before the request': (b'\r\n' + get(), b''),
    # The first line.
    'two blanks': (get(line='GET  / HTTP/1.1'), b''),
    'a tab in the target': (get(line='GET /\tx HTTP/1.1'), REFUSED),
    'a blank in the target': (get(line='GET /a b HTTP/1.1'), REFUSED),
    'a target that is no ASCII': (get(line='GET /\xe9 HTTP/1.1'), REFUSED),
    'a version that is none': (get(line='GET / HTTP/1.2x'), REFUSED),
    'HTTP/2 as a word': (get(line='GET / HTTP/2.0'), b''),
    'a method that is none': (get(line='GE(T / HTTP/1.1'), REFUSED),
    'HTTP/0.9': (b'GET /\r\n', REFUSED),
    'CONNECT': (get(line='CONNECT a.com:80 HTTP/1.1', host='Host: a.com:80\r\n'), REFUSED),
    # The host.
    'no Host': (get(host=''), REFUSED),
    'two Hosts': (get(host='Host: a.com\r\nHost: b.com\r\n'), REFUSED),
    'two Hosts, the second first': (get(host='Host: b.com\r\nHost: a.com\r\n'), REFUSED),
    'a Host and one with a blank before the colon': (get(host='Host: a.com\r\nHost : b.com\r\n'), REFUSED),
    'a folded Host': (get(host='Host: a.com\r\n b.com\r\n'), REFUSED),
    'a URL with another host': (get(line='GET http://b.com/ HTTP/1.1'), REFUSED),
    'a URL with the Host': (get(line='GET http://a.com/ HTTP/1.1'), b''),
    'a URL with a user': (get(line='GET http://b.com@a.com/ HTTP/1.1'), b''),
    'a URL without a Host': (get(line='GET http://a.com/ HTTP/1.1', host=''), REFUSED),
}

PSEUDO = {':method': 'POST', ':scheme': 'http', ':path': '/', ':authority': 'a.com'}


def h2(*headers, body=b'hello', **pseudo):
    """Return headers and body of a request by HTTP/2; pseudo headers are written without the colon."""
    found = PSEUDO | {f':{name}': value for name, value in pseudo.items()}
    return [*((name, value) for name, value in found.items() if value is not None), *headers], body


HTTP2 = {
    'a request': (h2(), b'hello'),
    'with its length': (h2(('content-length', '5')), b'hello'),
    'a length that is too long': (h2(('content-length', '6')), REFUSED),
    'a length that is too short': (h2(('content-length', '4')), REFUSED),
    'a length of nothing before a body': (h2(('content-length', '0')), REFUSED),
    'two lengths': (h2(('content-length', '5'), ('content-length', '6')), REFUSED),
    'a length with a plus': (h2(('content-length', '+5')), REFUSED),
    'a length and a request in the body': (h2(('content-length', '0'), body=HIDDEN.encode()), REFUSED),
    'a coding': (h2(('transfer-encoding', 'chunked'), body=(EMPTY + HIDDEN).encode()), REFUSED),
    'te': (h2(('te', 'gzip')), REFUSED),
    'te: trailers': (h2(('te', 'trailers')), b'hello'),
    'connection': (h2(('connection', 'close')), REFUSED),
    'upgrade': (h2(('upgrade', 'websocket')), REFUSED),
    'CR LF in a value': (h2(('x-a', f'1\r\n\r\n{HIDDEN}')), REFUSED),
    'LF in a value': (h2(('x-a', '1\nX-B: 2')), REFUSED),
    'CR in a value': (h2(('x-a', '1\r2')), REFUSED),
    'NUL in a value': (h2(('x-a', '1\x002')), REFUSED),
    'CR LF in a name': (h2(('x-a: 1\r\nx-b', '2')), REFUSED),
    'a colon in a name': (h2(('transfer-encoding: chunked', '2')), REFUSED),
    'a blank in a name': (h2(('content-length ', '0')), REFUSED),
    'a name in capitals': (h2(('Transfer-Encoding', 'chunked')), REFUSED),
    'an empty name': (h2(('', 'x')), REFUSED),
    'a blank in the path': (h2(path='/ HTTP/1.1'), REFUSED),
    'CR LF in the path': (h2(path='/ HTTP/1.1\r\nHost: b.com\r\n\r\n'), REFUSED),
    'a path that is no ASCII': (h2(path='/\u00e9'), REFUSED),
    'a path that is a URL': (h2(path='http://b.com/'), REFUSED),
    'no path': (h2(path=None), REFUSED),
    'an empty path': (h2(path=''), REFUSED),
    'a blank in the method': (h2(method='GET /hidden HTTP/1.1'), REFUSED),
    'CR LF in the method': (h2(method=f'{HIDDEN}POST'), REFUSED),
    'no method': (h2(method=None), REFUSED),
    'CR LF in the authority': (h2(authority='a.com\r\nX-A: 1'), REFUSED),
    'a blank in the authority': (h2(authority='a.com b.com'), REFUSED),
    'a host that is another one': (h2(('host', 'b.com')), b'hello'),
    'a pseudo header behind others': (h2(('x-a', '1'), (':path', '/hidden')), REFUSED),
    'an unknown pseudo header': (h2((':hidden', '1')), REFUSED),
    'two paths': (h2((':path', '/hidden')), REFUSED),
    'a scheme with CR LF': (h2(scheme='http\r\nX-A: 1'), REFUSED),
}
