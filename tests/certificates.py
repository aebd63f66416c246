"""Certificates made for a test by the `openssl` command: for 127.0.0.1, signed by themselves."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.peers.needs import need


class SelfSigned(NamedTuple):
    """A certificate and its key, PEM files."""

    certificate: Path
    key: Path


def self_signed(folder: Path, name: str = "bridge", *, password: str = "") -> SelfSigned:
    """Make a certificate that is valid for 30 days; with a password its key is encrypted."""
    need("openssl")
    made = SelfSigned(folder / f"{name}.crt", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-days", "30", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-passout", f"pass:{password}"] if password else ["-nodes"]
    command += ["-out", str(made.certificate), "-keyout", str(made.key)]
    subprocess.run(command, check=True, capture_output=True)
    return made


def expired(folder: Path) -> SelfSigned:
    """Make a certificate that was valid until yesterday."""
    made = self_signed(folder, "old")
    files = ["-in", str(made.certificate), "-out", str(made.certificate)]
    command = ["openssl", "x509", *files, "-signkey", str(made.key), "-days", "-1"]
    subprocess.run(command, check=True, capture_output=True)
    return made
