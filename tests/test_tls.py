"""The server's own TLS: old browsers and proxies come in by 1.2, others by 1.3, and all are told to stay with it."""

from __future__ import annotations

import http.client
import ipaddress
import ssl
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from canteen.config import Config
from tests.rigs.postgres import free_port
from tests.rigs.programs import Begin

PATIENCE = 120  # seconds

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def a_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for this machine that signs itself; return its file and its key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "canteen")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (certificate := folder / "certificate.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (private := folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, private


def answer(port: int, certificate: Path, version: ssl.TLSVersion) -> tuple[int, str | None]:
    """Return the status and the HSTS header of an answer over exactly this version; wait until the server answers."""
    context = ssl.create_default_context(cafile=str(certificate))
    context.minimum_version = context.maximum_version = version
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            with closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)) as connection:
                connection.request("GET", "/healthz")
                found = connection.getresponse()
                return found.status, found.getheader("Strict-Transport-Security")
        except ConnectionRefusedError:
            assert time.monotonic() < give_up, "the server does not answer"
            time.sleep(0.05)


def test_tls_1_2_and_1_3_are_spoken(config: Config, begin: Begin, tmp_path: Path) -> None:
    certificate, key = a_certificate(tmp_path)
    port = free_port()
    begin("serve", "--port", str(port), "--no-scheduler", "--certificate", str(certificate), "--key", str(key))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert answer(port, certificate, version) == (200, "max-age=31536000")
