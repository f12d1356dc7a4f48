"""Pages as HTML: templates that lay view models out. Autoescaping is on, and no template says that a text is safe."""

import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2

from headrace.web.views import texts

STATIC = resources.files('headrace.web') / 'static'
# Names of files of the folder `static`, which are all that is served of it.
FILES = {
    'dashboard.css': 'text/css',
    'dashboard.js': 'text/javascript',
    'icon.svg': 'image/svg+xml',
    'vendor/htmx.min.js': 'text/javascript',
    'vendor/uPlot.iife.min.js': 'text/javascript',
    'vendor/uPlot.min.css': 'text/css',
}
# A page may run the dashboard's own files and no others, send forms to itself alone, and stand in no frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    'Content-Security-Policy': POLICY,
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
}


class Rendering:
    """The templates and static files of the package."""

    def __init__(self) -> None:
        self.files = {name: STATIC.joinpath(name).read_bytes() for name in FILES}
        self._versions = {name: hashlib.sha256(body).hexdigest()[:12] for name, body in self.files.items()}
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader('headrace.web'),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            number=texts.number,
            size=texts.size,
            duration=texts.duration,
            span=texts.span,
            moment=texts.moment,
            share=texts.share,
        )
        self._environment.globals['static'] = self.link

    def link(self, name: str) -> str:
        """Return the link to a static file, which changes with its content."""
        return f'/static/{name}?v={self._versions[name]}'

    def page(self, template: str, values: Mapping[str, Any]) -> str:
        """Return a page."""
        return self._environment.get_template(template).render(values)
