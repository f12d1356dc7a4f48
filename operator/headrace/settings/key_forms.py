"""The forms that values of the class's settings have, their bounds, and how a key is described."""

from typing import Annotated, Any, Literal

from msgspec import Meta

# In Python `$` matches before a final line break too, so that is excluded; JSON schema reads both alike.
END = r'$(?!\n)'
DURATION = r'^[0-9]{1,9}(ms|s|m|h|d)' + END
RANGES = r'^([0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*)?' + END
NAME = r'^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?' + END
HOST = r'^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*' + END
ANNOTATION = r'^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?' + END
HEADER = r'^[A-Za-z0-9_-]{1,128}' + END
AUTH_HOST = r'^(https?://' + HOST[1 : -len(END)] + r'(:[1-9][0-9]{0,4})?|[a-z0-9-]+\.[a-z0-9-]+\.svc)' + END
REFERENCE = r'^[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?' + END
MEDIA_TYPE = r'^[a-z]+/[a-z0-9.+-]+(; charset=[A-Za-z0-9-]+)?' + END
LOG = r'^(off|stdout|stderr|[0-9.]+:[0-9]{1,5}|\[[0-9a-fA-F:]+\]:[0-9]{1,5})' + END
# Answers that can have a page; those that HAProxy gives by itself, and those that only rules give.
OWN_PAGES = (400, 403, 408, 413, 414, 429, 431, 500, 501, 502, 503, 504)
RULES_PAGES = (401, 404, 411, 421)
CIPHERS = r'^([A-Za-z0-9@!+=_-]+(:[A-Za-z0-9@!+=_-]+)*)?' + END
# With a prefix, which keeps it apart from what Kubernetes' own controllers set.
TAINT = r'^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?' + END
COOKIE = r'^[A-Za-z0-9_.-]{1,64}' + END
MAX_PORT = 65535
# The least is that of OpenSSL's security level 2.
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 16384
# So many agents of the node role can be on one node at a time, each with its ports so far from those before.
INSTANCE_SLOTS, INSTANCE_SLOT_STEP = 4, 8

# Protocols of listeners of Gateways that have ports of their own.
SLOT_PROTOCOLS = ('HTTP', 'HTTPS', 'TLS', 'TCP')
Port = Annotated[int, Meta(ge=1, le=MAX_PORT)]
ClassName = Annotated[str, Meta(pattern=HOST)]
Duration = Annotated[str, Meta(pattern=DURATION)]


def meta(description: str, applied: Literal['runtime', 'reload', 'restart'], **more: Any) -> Meta:
    """Return the description of a key, and what a change of it costs."""
    return Meta(description=description, extra_json_schema={'x-applied': applied}, **more)
