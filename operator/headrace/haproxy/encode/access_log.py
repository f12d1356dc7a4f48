"""Lines of the access log: where they go, and what is in them.

Promises: in a line of JSON everything that a client sent is escaped, whatever bytes it has.
"""

from headrace.haproxy.encode import syntax
from headrace.settings.settings import Settings

JSON = 'json'
# Longer ones are cut, which would leave no JSON: a URL has 1,024 bytes, an agent 256 and a name 255, each of up to six
# characters when it is escaped.
_LONGEST = 12288
_NAME = 255
_TIME = "%(time)[accept_date(ms),ms_utime('%Y-%m-%dT%H:%M:%S.%3NZ')]"
_ENDED = '%(backend)b %(server)s %(duration:sint)Ta %(queued:sint)Tw %(connecting:sint)Tc'
_HTTP = (
    f'{_TIME} %(client)[src] %(port:sint)[dst_port] %(tls)sslv %(version)[capture.req.ver] %(method)[capture.req.method] '
    f'%(host)[var(txn.host),bytes(0,{_NAME})] %(uri)[capture.req.uri] %(agent)[capture.req.hdr(0)] %(status:sint)ST %(bytes:sint)B '
    f'{_ENDED} %(response:sint)Tr %(retries:sint)rc %(ended)ts'
)
_TCP = (
    f'{_TIME} %(client)[src] %(port:sint)[dst_port] %(sni)[var(sess.sni),bytes(0,{_NAME})] %(received:sint)U %(bytes:sint)B '
    f'{_ENDED.replace("Ta", "Tt")} %(retries:sint)rc %(ended)ts'
)


def target(settings: Settings) -> str:
    """Return the words of the log's target, '' where nothing is logged."""
    destination = settings.access_log
    if destination == 'off':
        return ''
    form = 'raw' if destination in ('stdout', 'stderr') else 'rfc5424'
    return f'{destination} len {_LONGEST} format {form} daemon info'


def of_http(settings: Settings) -> str:
    """Return the format of a request's line, as one word."""
    if settings.access_log_http != JSON:
        return syntax.quoted(settings.access_log_http)
    return _json(_HTTP)


def of_tcp(settings: Settings) -> str:
    """Return the format of a TCP connection's line, as one word."""
    if settings.access_log_tcp != JSON:
        return syntax.quoted(settings.access_log_tcp)
    return _json(_TCP)


def _json(form: str) -> str:
    return syntax.quoted('%{+json}o ' + form)
