"""The class itself: its default certificate, and what is said when there is none."""

import pytest

from headrace.ir.fragment import Kind
from headrace.names import Ref
from headrace.settings.settings import Settings
from headrace.store import Reader, Store
from headrace.translate import class_fragment
from headrace.translate.build_context import make
from support.objects import built, pointer, secret, tls_secret

KNOWN = Settings(default_certificate='edge/wildcard')


@pytest.mark.parametrize(
    ('documents', 'offline', 'said', 'there'),
    [
        pytest.param([tls_secret('wildcard', 'edge')], False, [], True, id='there'),
        pytest.param([], False, ['SecretMissing'], False, id='missing'),
        pytest.param([], True, ['PlaceholderCertificate'], True, id='missing, offline'),
        pytest.param([secret('wildcard', 'edge', tls_crt='x', tls_key='y')], False, ['CertificateUnusable'], False, id='broken'),
        pytest.param([secret('wildcard', 'edge', tls_crt='x', tls_key='y')], True, ['CertificateUnusable'], False, id='broken, offline'),
        pytest.param([tls_secret('wildcard', 'shop')], False, ['SecretMissing'], False, id='in another namespace'),
    ],
)  # fmt: skip
def test_the_default_certificate_is_a_file_only_where_there_is_one(documents, offline, said, there):
    made = built(*documents, settings=KNOWN, offline=offline)
    diagnostics = made.all_diagnostics()
    assert [diagnostic.reason for diagnostic in diagnostics] == said
    assert {str(diagnostic.ref) for diagnostic in diagnostics} <= {'Class headrace'}
    assert {diagnostic.field for diagnostic in diagnostics} <= {'defaultCertificate'}
    assert (pointer(made, Kind.CERTIFICATE, class_fragment.DEFAULT_CERTIFICATE) is not None) is there


def test_a_class_without_a_default_certificate_reads_no_secret():
    assert class_fragment.translate(make(Settings()), Reader(Store(), Ref('Class', '', 'headrace'))).needs == ()
    assert built(settings=Settings()).all_diagnostics() == ()
