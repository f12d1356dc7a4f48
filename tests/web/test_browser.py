"""The dashboard in a real browser: each page, search, live changes, keys, phone and dark mode, and hostile names."""

import os
from pathlib import Path

import pytest

from headrace.web.application import NAVIGATION
from support.browser import violations
from support.live import until
from support.objects import endpoint_slice, service
from support.traffic import Client

PATHS = [path for path, _ in NAVIGATION]
HOSTILE = '"><script>window.hostile=1</script><img src=x onerror="window.hostile=1">'
PHONE = {'viewport': {'width': 390, 'height': 844}, 'is_mobile': True, 'has_touch': True, 'device_scale_factor': 2}
SCHEMES = ('light', 'dark')


@pytest.fixture
def shop(live, dashboard, town):
    """The dashboard of an agent that serves a shop, with a mistake, a conflict and hostile texts."""
    live.web(town.pods(2), town.port, annotations={'deny': '10.9.0.0/16'})
    live.put(
        'others',
        service('late', 'zoo', annotations={'host': 'shop.example.com'}),
        service('wrong', annotations={'host': HOSTILE, 'timeout-server': HOSTILE}),
        *(service(f's{number}', 'many', annotations={'host': f's{number}.example.org'}) for number in range(120)),
    )
    live.start('--web', '127.0.0.1:0')
    return dashboard


def opened(browser, shop, path='/', **options):
    page = browser.page(**options)
    page.goto(f'{shop.url}{path}')
    return page


@pytest.mark.parametrize('scheme', SCHEMES)
@pytest.mark.parametrize('device', [pytest.param({}, id='desktop'), pytest.param(PHONE, id='phone')])
def test_pages_are_accessible_and_do_nothing_wrong(browser, shop, scheme, device):
    page = browser.page(color_scheme=scheme, **device)
    found = {}
    for path in (*PATHS, '/objects/Service/shop/web', '/objects/Service/shop/wrong', '/route?kind=route&key=shop.example.com/',
                 '/explain?url=http://shop.example.com/'):  # fmt: skip
        page.goto(f'{shop.url}{path}')
        page.wait_for_load_state('networkidle')
        found[path] = violations(page)
        width = page.evaluate('[document.documentElement.scrollWidth, window.innerWidth]')
        assert width[0] <= width[1], f'{path} is wider than the screen'
    assert {path: items for path, items in found.items() if items} == {}
    assert page.wrongs == []


def test_hostile_texts_run_nothing(browser, shop):
    page = browser.page()
    for path in (
        '/problems',
        '/routes',
        '/objects/Service/shop/wrong',
        f'/routes?search={HOSTILE}',
        f'/explain?url={HOSTILE}',
    ):
        page.goto(f'{shop.url}{path}')
        page.wait_for_load_state('networkidle')
        assert page.evaluate('window.hostile') is None
        assert page.locator('main img, main script').count() == 0
    assert page.wrongs == []
    # And if a text were taken for a script after all, the policy would stop it.
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.hostile=1'; document.body.append(s) }"
    )
    assert page.evaluate('window.hostile') is None
    assert any('Content Security Policy' in wrong for wrong in page.wrongs)


def test_a_search_changes_the_list_and_the_address_while_one_types(browser, shop):
    page = opened(browser, shop, '/routes')
    assert page.locator('#list tbody tr').count() == 50
    page.keyboard.press('/')
    page.keyboard.type('s77')
    page.locator('#list tbody tr').nth(1).wait_for(state='detached')
    page.wait_for_url('**/routes?search=s77')
    assert 's77.example.org/' in page.locator('#list').inner_text()
    assert 'search=s77' in page.url
    assert page.evaluate('document.activeElement.id') == 'search'
    page.goto(f'{shop.url}/routes')
    page.get_by_role('link', name='Next').click()
    assert '51' in page.get_by_role('status').inner_text()
    page.get_by_role('link', name='Object').click()
    assert page.locator('th[aria-sort=ascending]').inner_text().startswith('Object')
    assert page.wrongs == []


def test_it_works_without_scripts(browser, shop):
    page = opened(browser, shop, '/routes', java_script_enabled=False)
    page.get_by_label('Search').fill('s77')
    page.get_by_role('button', name='Search').click()
    assert page.locator('#list tbody tr').count() == 1
    page.goto(f'{shop.url}/explain')
    page.get_by_label('URL').fill('http://shop.example.com/')
    page.get_by_role('button', name='Explain').click()
    assert 'endpoints answers' in page.locator('main').inner_text()


def test_changes_appear_by_themselves_while_endpoints_roll(browser, live, shop, town):
    page = opened(browser, shop, '/journal?search=shop/web')
    pods = town.pods(4)
    for count in (3, 4, 2):
        live.web(pods[:count], town.port, annotations={'deny': '10.9.0.0/16'})
        until(lambda count=count: live.addresses('shop_web_80') == set(pods[:count]), 'endpoints have rolled')
    page.locator('#list tbody tr').nth(2).wait_for()
    assert 'endpoint' in page.locator('#list').inner_text()
    assert page.wrongs == []


def test_it_is_used_by_keys_alone(browser, shop):
    page = opened(browser, shop)
    page.keyboard.press('Tab')
    assert page.evaluate('document.activeElement.className') == 'skip'
    page.keyboard.press('Enter')
    assert page.evaluate('document.activeElement.id') == 'main'
    page.goto(f'{shop.url}/explain')
    page.get_by_label('URL').focus()
    page.keyboard.type('http://shop.example.com/')
    page.keyboard.press('Enter')
    page.get_by_role('heading', name='What becomes of it').wait_for()
    assert page.wrongs == []


def test_traffic_is_plotted(browser, live, shop, town):
    client = Client(live.ports['http'])
    page = opened(browser, shop, '/traffic')
    # Requests of before the first reading are no rate.
    page.locator('#list tbody tr').first.wait_for()
    for _ in range(40):
        town.run(client.ask())
    page.locator('.plot canvas').wait_for()
    page.locator('svg.sparkline').first.wait_for()
    town.loop.call_soon_threadsafe(client.close)
    assert page.wrongs == []


@pytest.mark.skipif(
    'HEADRACE_SCREENSHOTS' not in os.environ, reason='a folder for them is named by HEADRACE_SCREENSHOTS'
)
def test_screenshots(browser, live, dashboard, town):
    live.web(town.pods(3), town.port, annotations={'deny': '10.9.0.0/16', 'rate-limit': '100/s'})
    live.put(
        'others',
        *(
            service(name, 'shop', annotations={'host': f'{name}.example.com'})
            for name in ('cart', 'search', 'accounts')
        ),
        *(endpoint_slice(name, addresses=town.pods(2), port=town.port) for name in ('cart', 'search', 'accounts')),
        service('late', 'zoo', annotations={'host': 'shop.example.com'}),
    )
    live.start('--web', '127.0.0.1:0')
    folder, client = Path(os.environ['HEADRACE_SCREENSHOTS']), Client(live.ports['http'])
    overview = opened(browser, dashboard)
    for turn in range(1, 6):
        for number in range(turn * 30):
            town.run(client.ask(host=('shop', 'cart', 'search')[number % 3] + '.example.com'))
        live.web(town.pods(3 + turn % 2), town.port, annotations={'deny': '10.9.0.0/16', 'rate-limit': '100/s'})
        overview.wait_for_timeout(6000)
    overview.screenshot(path=folder / 'dashboard-overview.png')
    for name, path, options in (
        ('traffic', '/traffic', {'color_scheme': 'dark'}),
        ('route', '/route?kind=route&key=shop.example.com/', {}),
        ('changes', '/journal', {}),
        ('explain', '/explain?url=http://shop.example.com/cart', {}),
        ('phone', '/routes', PHONE),
    ):
        page = opened(browser, dashboard, path, **options)
        page.wait_for_load_state('networkidle')
        page.screenshot(path=folder / f'dashboard-{name}.png')
    town.loop.call_soon_threadsafe(client.close)
