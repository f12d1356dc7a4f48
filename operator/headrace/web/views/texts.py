"""How numbers, times and sizes are shown."""

import datetime as dt

_THOUSAND, _MINUTE, _HOUR, _DAY = 1000, 60, 3600, 86_400
_SIZES = ('B', 'kB', 'MB', 'GB', 'TB', 'PB')


def number(value: float) -> str:
    """Return a count with separators, or a rate with as many digits as tell something."""
    if value == int(value) or abs(value) >= _THOUSAND:
        return f'{int(value):,}'
    return f'{value:.1f}' if abs(value) >= 10 else f'{value:.2f}'  # noqa: PLR2004  two digits before the point


def size(value: float) -> str:
    """Return a number of bytes."""
    for unit in _SIZES[:-1]:
        if abs(value) < _THOUSAND:
            return f'{value:.0f} {unit}' if unit == 'B' else f'{value:.1f} {unit}'
        value /= _THOUSAND
    return f'{value:.1f} {_SIZES[-1]}'


def duration(seconds: float) -> str:
    """Return a short time in milliseconds, a longer one in seconds."""
    if seconds < 1:
        return f'{seconds * 1000:.1f} ms'
    return f'{seconds:.2f} s'


def span(seconds: float) -> str:
    """Return a long time in its largest unit."""
    for unit, length in (('day', _DAY), ('hour', _HOUR), ('minute', _MINUTE)):
        if abs(seconds) >= length:
            count = int(abs(seconds) // length)
            return f'{count} {unit}{"s" * (count > 1)}'
    return f'{abs(seconds):.0f} s'


def moment(at: float) -> str:
    """Return a Unix time in UTC, to the millisecond."""
    try:
        when = dt.datetime.fromtimestamp(at, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return ''
    return f'{when:%Y-%m-%d %H:%M:%S}.{when.microsecond // 1000:03d}'


def share(value: float) -> str:
    """Return a share between 0 and 1 in percent."""
    return f'{value:.1%}'
