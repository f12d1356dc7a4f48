"""The keys of the settings that say which Secrets may be read, and how large they may be."""

from typing import Annotated

import msgspec

from headrace.settings.key_forms import MAX_RSA_BITS, MIN_RSA_BITS, meta


class Secrets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename='camel'):
    """Where Secrets may be read, and the limits of what each may hold."""

    namespaces: Annotated[
        tuple[str, ...],
        meta(
            'Namespaces whose Secrets may be read; `*` for all. With a folder as source all that it holds may be.',
            'restart',
        ),
    ] = ()
    min_rsa_bits: Annotated[
        int, meta('Smallest RSA key of a certificate.', 'restart', ge=MIN_RSA_BITS, le=MAX_RSA_BITS)
    ] = MIN_RSA_BITS
    max_rsa_bits: Annotated[
        int,
        meta(
            "Largest RSA key of a certificate; one of 16,384 bits takes 0.2 s of HAProxy's thread a handshake.",
            'restart',
            ge=MIN_RSA_BITS,
            le=MAX_RSA_BITS,
        ),
    ] = 8192
    max_pem_bytes: Annotated[int, meta('Longest `tls.crt`, and longest `tls.key`.', 'restart', ge=4096, le=1048576)] = (
        65536
    )
    max_ca_bytes: Annotated[int, meta('Longest `ca.crt`.', 'restart', ge=4096, le=1048576)] = 262144
    max_ca_certificates: Annotated[int, meta('Certificates in a `ca.crt`.', 'restart', ge=1, le=1000)] = 200
    max_htpasswd_bytes: Annotated[int, meta('Longest `auth` of htpasswd lines.', 'restart', ge=256, le=1048576)] = (
        262144
    )
    max_htpasswd_users: Annotated[int, meta('Users in the htpasswd lines of a Secret.', 'restart', ge=1, le=10000)] = (
        5000
    )
