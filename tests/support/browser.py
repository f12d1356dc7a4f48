"""A real browser: Chromium, by Playwright. What a page does wrong is a failure of its test."""

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

_NAMES = ('chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome')
AXE = Path(__file__).resolve().parents[1] / 'web' / 'vendor' / 'axe.min.js'
_RULES = {
    'runOnly': {'type': 'tag', 'values': ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}
}
_SECONDS = 60


def executable():
    """Return Chromium's program; its absence is a failure, never a skip."""
    named = os.environ.get('HEADRACE_CHROMIUM')
    found = named or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.fail('Chromium is missing: run make setup as root, or name it by HEADRACE_CHROMIUM')
    return found


class Browser:
    """Chromium, without a display; pages of `page` note what they do wrong."""

    def __init__(self):
        self._playwright = sync_playwright().start()
        # Tests run as root, where Chromium has no sandbox.
        self._browser = self._playwright.chromium.launch(executable_path=executable(), args=['--no-sandbox'])

    def page(self, **options):
        """Return a new page in a context of its own; `page.wrongs` are its errors, violations of its policy among them."""
        context = self._browser.new_context(**{'viewport': {'width': 1280, 'height': 900}, **options})
        page = context.new_page()
        page.set_default_timeout(_SECONDS * 1000)
        page.wrongs = []
        page.on('pageerror', lambda error: page.wrongs.append(str(error)))
        page.on('dialog', lambda dialog: (page.wrongs.append(f'dialog: {dialog.message}'), dialog.dismiss()))
        page.on('console', lambda message: page.wrongs.append(message.text) if message.type == 'error' else None)
        return page

    def close(self):
        self._browser.close()
        self._playwright.stop()


def violations(page):
    """Return what axe finds wrong with a page: rule, how bad, and the elements."""
    # By the protocol of the browser, so that the page's own policy need not allow it.
    page.evaluate(AXE.read_text())
    found = page.evaluate('options => axe.run(document, options)', _RULES)
    return [
        (each['id'], each['impact'], [node['html'][:200] for node in each['nodes']][:3]) for each in found['violations']
    ]
