"""What the demonstration plays: a folder that is served, and then a folder that changes.

An act is a function that takes the performance; it finds what the acts before it have left.
"""

import time
from collections.abc import Callable
from typing import Any

from gateway import HOST, gateway, route
from performance import Performance, tally
from pods import REQUESTS

OFFICE = '127.20.0.7'
SHOP, CATALOG = 'http://shop.example.com/', 'http://shop.example.com/catalog/shoes'
GIFTS: tuple[dict[str, Any], ...] = (
    {
        'apiVersion': 'v1',
        'kind': 'Service',
        'metadata': {
            'name': 'gifts',
            'namespace': 'shop',
            'annotations': {'headrace.io/host': 'gifts.example.com', 'headrace.io/rate-limit': '100/s'},
        },
        'spec': {'ports': [{'port': 80}]},
    },
    {
        'apiVersion': 'discovery.k8s.io/v1',
        'kind': 'EndpointSlice',
        'metadata': {'name': 'gifts-1', 'namespace': 'shop', 'labels': {'kubernetes.io/service-name': 'gifts'}},
        'addressType': 'IPv4',
        'ports': [{'name': '', 'port': 9000}],
        'endpoints': [{'addresses': ['127.10.7.1'], 'conditions': {'ready': True}}],
    },
)


def a_folder(performance: Performance) -> None:
    """Play the first act: follow a folder, and see who answers."""
    stage = performance.stage
    print(f'A small shop of YAML files: followed by headrace, served by HAProxy {stage.version} on free ports.')
    print('\nFrom a folder to a load balancer')
    stage.serve()
    performance.show(
        'The folder holds no certificate for pay.example.com, and headrace says so; all else is served.',
        'headrace status',
        expected='RouteClosed of Service shop/pay, SecretMissing of Service shop/pay',
        found=', '.join(sorted(stage.agent.diagnostics())) or 'nothing is wrong',
    )
    for scene in (by_host_and_path, redirects_and_walls, tcp_by_port):
        scene(performance)


def by_host_and_path(performance: Performance) -> None:
    """Show what HTTP routes do."""
    show, get = performance.show, performance.stage.get
    print('\nHTTP, by host and path')
    show(
        'Two endpoints take turns.',
        f'GET {SHOP}, four times',
        expected='200 from storefront-1 (2x), 200 from storefront-2 (2x)',
        found=tally(get(SHOP) for _ in range(4)),
    )
    show(
        'A path of the host is another Service; the endpoint that is not ready gets nothing.',
        f'GET {CATALOG}, four times',
        expected='200 from catalog-1 (4x)',
        found=tally(get(CATALOG) for _ in range(4)),
    )
    show(
        'Paths are matched by whole elements.',
        'GET http://shop.example.com/catalogue',
        expected='200 from storefront',
        found=str(get('http://shop.example.com/catalogue')).rpartition('-')[0],
    )
    answer = get(CATALOG)
    show(
        'The prefix is cut off for the pod, a header is set for it, and one for the client.',
        f'GET {CATALOG}',
        expected='the pod saw /shoes and X-Shop: example, the client Cache-Control: max-age=60',
        found=f'the pod saw {answer.path} and X-Shop: {answer.seen.get("x-shop")}, '
        f'the client Cache-Control: {answer.headers.get("cache-control")}',
    )
    answer = get(SHOP, headers={'X-Forwarded-For': '192.0.2.1'})
    show(
        'A client cannot lie about its address.',
        f'GET {SHOP} with X-Forwarded-For: 192.0.2.1',
        expected='the pod saw X-Forwarded-For: 127.0.0.1',
        found=f'the pod saw X-Forwarded-For: {answer.seen.get("x-forwarded-for")}',
    )
    show(
        'Only annotated Services are served: the Service warehouse has no annotation.',
        'GET http://warehouse.example.com/',
        expected='404 from HAProxy itself',
        found=str(get('http://warehouse.example.com/')),
    )


def redirects_and_walls(performance: Performance) -> None:
    """Show what HAProxy answers itself: redirects, who may come in, and what is closed."""
    show, get = performance.show, performance.stage.get
    print('\nRedirects, an allow list, a certificate that is missing')
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
    show(
        'Who pays has to do it by HTTPS; until the certificate is there, the route is closed, not open without it.',
        'GET http://pay.example.com/bill',
        expected='503 from HAProxy itself',
        found=str(get('http://pay.example.com/bill')),
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


def a_folder_that_changes(performance: Performance) -> None:
    """Play the second act: edit the folder, and see the traffic follow."""
    stage = performance.stage
    print('\nThe folder changes, and the traffic follows')
    if stage.reloads_for_news:
        print(
            f'  HAProxy {stage.version} takes new backends and other headers from its files only: each costs one reload,'
        )
        print('  in which no request is lost. HAProxy 3.4 needs none.')
    performance.remember()
    started = performance.held
    with stage.asking(CATALOG) as answers:
        for scene in (endpoints_move, services_come_and_go, settings_change, a_gateway_opens):
            scene(performance)
    good = answers.count('200 from catalog-1')
    performance.show(
        'All this time another client has asked without a pause, and every request was answered well.',
        f'GET {CATALOG}, {len(answers)} times',
        expected='none failed',
        found='none failed' if answers and good == len(answers) else f'{len(answers) - good} failed',
    )
    if stage.reloads_for_news:
        performance.show(
            'Each reload had a reason, and headrace has kept it.',
            'headrace status',
            expected='backend, headers',
            found=', '.join(stage.agent.reasons_of_reloads(2)),
        )
        return
    worker, reloads = stage.agent.haproxy_says()
    performance.show(
        'HAProxy was never reloaded: the process that began has served all of it.',
        "HAProxy's own count (show proc)",
        expected=f'0 reloads, worker {started[0]}',
        found=f'{reloads} reloads, worker {worker}',
    )


def endpoints_move(performance: Performance) -> None:
    """Show endpoints that leave, for HTTP and for TCP."""
    stage = performance.stage
    stage.edit('storefront.yaml', '- addresses:\n  - 127.10.1.2\n  conditions:\n    ready: true\n', '')
    performance.follows(
        'An endpoint of the storefront leaves: the other has all requests.',
        f'GET {SHOP}, four times',
        lambda: tally(stage.get(SHOP) for _ in range(4)),
        '200 from storefront-1 (4x)',
    )
    stage.edit('orders-db.yaml', '127.10.5.1', '127.10.5.2')
    performance.follows(
        'The database moves to another address: its port leads there.',
        f'connect to 127.0.0.1:{stage.ports["tcp"]}',
        lambda: f'greeted by {stage.greeting()}',
        'greeted by orders-db-2',
    )


def services_come_and_go(performance: Performance) -> None:
    """Show a Service that arrives with a setting of its own, one that gets its certificate, and one that goes."""
    stage, https = performance.stage, performance.stage.ports['https']
    stage.add('gifts.yaml', *GIFTS)
    performance.follows(
        'A new Service arrives, with a rate limit of its own: it is served.',
        'GET http://gifts.example.com/',
        lambda: stage.said('http://gifts.example.com/'),
        '200 from gifts-1',
        news=True,
    )
    stage.add_certificate('shop', 'pay-certificate', 'pay.example.com')
    performance.follows(
        'The certificate of pay.example.com arrives: who pays is sent to HTTPS,',
        'GET http://pay.example.com/bill',
        lambda: _redirect(performance, 'http://pay.example.com/bill'),
        f'308 to https://pay.example.com:{https}/bill',
    )
    performance.show(
        'where HAProxy ends TLS with it, for a client that trusts no other.',
        f'GET https://pay.example.com:{https}/bill',
        expected='200 from pay-1',
        found=stage.said('https://pay.example.com/bill'),
    )
    (stage.objects / 'back-office.yaml').unlink()
    performance.follows(
        'A Service is deleted: its host is served no more.',
        f'GET http://office.example.com/ from {OFFICE}',
        lambda: stage.said('http://office.example.com/', client=OFFICE),
        '404 from HAProxy itself',
    )


def settings_change(performance: Performance) -> None:
    """Show another value of a header."""
    stage = performance.stage
    stage.edit('catalog.yaml', 'X-Shop: example', 'X-Shop: in spring')
    performance.follows(
        'A header for the pods gets another value.',
        f'GET {CATALOG}',
        lambda: f'the pod saw X-Shop: {stage.get(CATALOG).seen.get("x-shop")}',
        'the pod saw X-Shop: in spring',
        news=True,
    )


def a_gateway_opens(performance: Performance) -> None:
    """Show a route of the Gateway API: weights, a condition, and weights that change."""
    stage, url = performance.stage, f'http://{HOST}/'
    stage.add('gateway.yaml', gateway(), route(('storefront', 1), ('catalog', 0)))
    performance.follows(
        'A Gateway and an HTTPRoute arrive: the first of two backends has all the weight,',
        f'GET {url}, four times',
        lambda: tally(stage.get(url) for _ in range(4)),
        '200 from storefront-1 (4x)',
        news=True,
    )
    performance.show(
        'but for requests that ask for the next version by a header.',
        f'GET {url} with X-Version: next',
        expected='200 from catalog-1',
        found=str(stage.get(url, headers={'X-Version': 'next'})),
    )
    stage.add('gateway.yaml', gateway(), route(('storefront', 0), ('catalog', 1)))
    performance.follows(
        'The weights are exchanged: the other backend has all requests.',
        f'GET {url}, four times',
        lambda: tally(stage.get(url) for _ in range(4)),
        '200 from catalog-1 (4x)',
    )
    stage.add('gateway.yaml', gateway(), route(('storefront', 0), ('catalog', 1), mirror='gifts'))
    performance.follows(
        'A mirror is added: another Service gets a copy of each request.',
        f'GET {url}, four times',
        lambda: _copies(performance, url, 'gifts-1'),
        '200 from catalog-1 (4x), and 4 copies at gifts-1',
    )


def _copies(performance: Performance, url: str, pod: str) -> str:
    """Send four requests, and tell what answered and how many copies a pod got."""
    before = REQUESTS[pod]
    answers = tally(performance.stage.get(url) for _ in range(4))
    # Copies are sent beside the requests, which do not wait for them.
    until = time.monotonic() + 0.3
    while REQUESTS[pod] < before + 4 and time.monotonic() < until:
        time.sleep(0.01)
    return f'{answers}, and {REQUESTS[pod] - before} copies at {pod}'


def _redirect(performance: Performance, url: str) -> str:
    answer = performance.stage.get(url)
    return f'{answer.status} to {answer.headers.get("location")}'


ACTS: tuple[Callable[[Performance], None], ...] = (a_folder, a_folder_that_changes)
