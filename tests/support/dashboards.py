"""The dashboard of a live agent, asked without a browser."""

import html
import re
import urllib.error
import urllib.parse
import urllib.request

from support.waiting import until

SECONDS = 30


class Dashboard:
    """The dashboard that an agent serves with `--web`."""

    def __init__(self, live):
        self._live = live

    @property
    def url(self):
        lines = [line for line in self._live.lines() if line['message'] == 'the dashboard listens']
        return f'http://{lines[-1]["web"]}'

    def get(self, path, headers=None, data=None):
        """Return status, headers and text of an answer; redirects are not followed."""
        body = urllib.parse.urlencode(data).encode() if data is not None else None
        asked = urllib.request.Request(f'{self.url}{path}', data=body, headers=headers or {})
        try:
            with _OPENER.open(asked, timeout=SECONDS) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def text(self, path, **how):
        """Return what a page shows, without its tags."""
        status, _, body = self.get(path, **how)
        assert status == 200, f'{path}: {status}'
        return ' '.join(html.unescape(re.sub(r'<[^>]*>', ' ', body)).split())

    def shows(self, path, text):
        """Wait until a page shows a text."""
        until(lambda: text in self.text(path), f'{path} shows {text}', within=SECONDS)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)
