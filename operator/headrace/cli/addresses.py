"""`ADDR:PORT` as options have it."""

from headrace.settings.settings import SettingsError

_MAX_PORT = 65535


def parse(text: str) -> tuple[str, int]:
    """Return host ('' for any) and port; raises SettingsError."""
    host, _, port = text.rpartition(':')
    if not (port.isascii() and port.isdigit() and int(port) <= _MAX_PORT):
        raise SettingsError(f'{text} is no ADDR:PORT')
    return host.strip('[]'), int(port)
