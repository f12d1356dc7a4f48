"""Whatever bytes a Secret holds: nothing is raised, time and size are bounded, and HAProxy accepts what is accepted."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.haproxy.runtime import check
from headrace.objects import parse
from headrace.settings.secret_keys import Secrets
from security.fuzzing import FUZZ, TIMEOUT, bounded, changed_der
from support import hostile

# What the library will refuse one day, and a name of odd length that it accepts: it reports both by warnings.
pytestmark = [
    TIMEOUT,
    pytest.mark.filterwarnings('ignore::cryptography.utils.CryptographyDeprecationWarning'),
    pytest.mark.filterwarnings("ignore:Attribute's length:UserWarning"),
]
KINDS = ('ec', 'ec521', 'rsa', 'ed25519', 'ed448', 'dsa', 'weak ec', 'weak rsa')
LABELS = (
    b'CERTIFICATE',
    b'X509 CERTIFICATE',
    b'TRUSTED CERTIFICATE',
    b'PRIVATE KEY',
    b'RSA PRIVATE KEY',
    b'EC PRIVATE KEY',
)
BREAKS = (b'', b'\n\n', b'\r\n', b'# text\n', b'-----BEGIN', b'\0', b'Proc-Type: 4,ENCRYPTED\n', b'=', b'\xff')
LIMITS = Secrets()


def read(**data):
    """Return the Secret that some bytes become."""
    document = {
        'apiVersion': 'v1',
        'kind': 'Secret',
        'type': 'kubernetes.io/tls',
        'metadata': {'name': 'tls', 'namespace': 'shop'},
        'data': {name.replace('_', '.'): base64.b64encode(value).decode() for name, value in data.items()},
    }
    with bounded():
        found = parse.read(document)
    assert found.failed is None, found.failed
    return found.object


@st.composite
def blocks(draw, label, der):
    """Return a strategy of PEM: a block of changed DER, and now and then a text that is none."""
    made = hostile.pem(draw(st.sampled_from((label,) * 8 + LABELS)), draw(changed_der(der)))
    if draw(st.integers(0, 5)) == 0:
        place = draw(st.integers(0, len(made)))
        made = made[:place] + draw(st.sampled_from(BREAKS) | st.binary(max_size=6)) + made[place:]
    return made


def der_of(kind):
    """Return a private key in PKCS #8."""
    form = hostile.serialization.PrivateFormat.PKCS8
    return hostile.key_of(kind).private_bytes(hostile.DER, form, hostile.serialization.NoEncryption())


@st.composite
def pairs(draw):
    """Return a strategy of `tls.crt` and `tls.key`."""
    kind = draw(st.sampled_from(KINDS))
    by = draw(st.sampled_from(('rsa', 'ec', 'ed25519')))
    leaf = hostile.certificate(kind, by=by, pss=by == 'rsa' and draw(st.booleans()))
    if draw(st.integers(0, 9)) == 0:
        leaf = draw(st.sampled_from(sorted(hostile.ODD.items())))[1]()
    chain = [draw(blocks(b'CERTIFICATE', leaf))]
    chain += [draw(blocks(b'CERTIFICATE', hostile.certificate('ec'))) for _ in range(draw(st.integers(0, 2)))]
    key = draw(blocks(b'PRIVATE KEY', der_of(kind))) if draw(st.booleans()) else hostile.private(kind)
    return b''.join(chain), key


def accepted_by_haproxy(binary, folder, lines):
    """Return what `haproxy -c` says of some lines of one bind each, '' when it accepts them."""
    binds = '\n'.join(f'    bind unix@{folder}/{number}.sock {line}' for number, line in enumerate(lines))
    (folder / 'haproxy.cfg').write_text(
        f'defaults\n    mode http\n    timeout client 1s\n    timeout server 1s\n    timeout connect 1s\nfrontend f\n{binds}\n'
    )
    found = check.check_file(binary, folder / 'haproxy.cfg')
    return '' if found.accepted else found.output


def test_certificates_and_keys(haproxy_34, tmp_path):
    good = {}

    @FUZZ
    @given(pairs())
    def fuzz(pair):
        crt, key = pair
        held = read(tls_crt=crt, tls_key=key, ca_crt=crt)
        if held.certificate is not None:
            assert len(held.certificate.pem) <= 2 * LIMITS.max_pem_bytes
            good[held.certificate.pem] = None
        assert len(held.authorities) <= LIMITS.max_ca_bytes
        assert 'BEGIN' not in held.certificate_problem + held.authorities_problem

    fuzz()
    assert good
    for number, pem in enumerate(list(good)[:500]):
        (tmp_path / f'{number}.pem').write_bytes(pem)
    lines = [f'ssl crt {tmp_path}/{number}.pem' for number in range(min(len(good), 500))]
    assert accepted_by_haproxy(haproxy_34, tmp_path, lines) == ''


def test_authorities(haproxy_34, tmp_path):
    good = {}

    @FUZZ
    @given(
        st.lists(
            st.sampled_from(KINDS).flatmap(lambda kind: blocks(b'CERTIFICATE', hostile.certificate(kind))), max_size=4
        )
    )
    def fuzz(given_blocks):
        held = read(ca_crt=b''.join(given_blocks))
        if held.authorities:
            good[held.authorities] = None

    fuzz()
    assert good
    (tmp_path / 'own.pem').write_bytes(hostile.block(hostile.certificate('ec')) + hostile.private('ec'))
    for number, pem in enumerate(list(good)[:500]):
        (tmp_path / f'{number}.pem').write_bytes(pem)
    lines = [
        f'ssl crt {tmp_path}/own.pem verify optional ca-file {tmp_path}/{number}.pem'
        for number in range(min(len(good), 500))
    ]
    assert accepted_by_haproxy(haproxy_34, tmp_path, lines) == ''


PARTS = ('ann', ':', '\n', '{SHA}', 'W6ph5Mm5Pz8GgiULbPgzG37mj9g=', '$2y$05$', 'c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC', '$6$', 'rounds=', '9' * 30, '$', 'x' * 86, '#', ' ', '\r', '\u2028', '\0', '"', '\\', "'")  # fmt: skip


@FUZZ
@given(st.lists(st.sampled_from(PARTS) | st.text(max_size=3), max_size=20).map(''.join) | st.binary(max_size=200))
def test_htpasswd(text):
    given_bytes = text if isinstance(text, bytes) else text.encode(errors='surrogatepass')
    held = read(auth=given_bytes)
    for user in held.users:
        assert user.name.isprintable() or not any(ord(each) < 32 for each in user.name)
        assert not any(ord(each) < 32 or each == '\x7f' for each in user.name + user.secret)
        assert ':' not in user.name


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from(['tls_crt', 'tls_key', 'ca_crt', 'auth', 'username', 'password']), st.binary(max_size=300)
    )
)
def test_any_bytes(data):
    read(**data)
