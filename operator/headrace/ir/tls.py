"""TLS material, and a host's TLS as one claim."""

from dataclasses import dataclass

from headrace import names
from headrace.ir.pointers import Pointer


@dataclass(frozen=True, slots=True)
class Pem:
    """Content of a certificate's or authority's file; never shown. `mark` stands for it in texts."""

    data: bytes

    def __repr__(self) -> str:
        """Return a text without key material."""
        return f'Pem({self.mark})'

    @property
    def mark(self) -> str:
        """Return 16 hexadecimal digits that change with the content and tell nothing of it."""
        return names.digest(names.digest(self.data.hex(), 64), 16)


@dataclass(frozen=True, slots=True)
class HostTls:
    """A host's TLS as one claim, or that of a port's own addresses: passed through, or ended here with certificates.

    `certificates` and `client_ca` are names of files; `verify` is `none`, `optional` or `required`.
    `excluded` are the hosts below a wildcard that do not get its certificates, because they belong to other namespaces.
    """

    passthrough: Pointer | None = None
    certificates: tuple[str, ...] = ()
    client_ca: str = ''
    verify: str = 'none'
    excluded: tuple[str, ...] = ()
