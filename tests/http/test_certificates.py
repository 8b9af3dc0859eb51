"""Which certificates are taken, and how they change while the daemon serves."""

from __future__ import annotations

import signal
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from registry.http.certificates import CertificateFiles, CertificateUnusable, make_context
from tests.tools.daemon import Daemon, running
from tests.tools.raw import request
from tests.tools.tls import Connection, Pair, chain, connect

if TYPE_CHECKING:
    from pathlib import Path

CHECK = request("GET", "/v2/")


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def served(daemon: Daemon, pair: Pair) -> bytes | None:
    """The certificate that a new connection gets."""
    with connect(daemon, pair) as client:
        return client.tls.getpeercert(binary_form=True)


def test_sighup_brings_a_new_certificate_to_new_connections(tmp_path: Path, pair: Pair) -> None:
    with running(tmp_path / "data", pair.settings) as daemon, connect(daemon, pair) as running_one:
        running_one.send(CHECK)
        assert running_one.answer().status == 200
        renewed = pair.renew()
        assert served(daemon, pair) != renewed
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("TLS certificate loaded")
        assert served(daemon, pair) == renewed
        running_one.send(CHECK)
        assert running_one.answer().status == 200
        assert daemon.stop() == 0


def test_a_change_is_seen_without_a_signal(tmp_path: Path, pair: Pair) -> None:
    with running(tmp_path / "data", pair.settings) as daemon:
        renewed = pair.renew()
        daemon.wait_for("TLS certificate loaded")
        assert served(daemon, pair) == renewed


def test_a_broken_pair_is_refused_and_the_one_before_stays(tmp_path: Path, pair: Pair) -> None:
    refused = "the new settings can't be used; those before stay"
    with running(tmp_path / "data", pair.settings) as daemon:
        before = served(daemon, pair)
        pair.key.write_bytes(trustme.CA().issue_cert("127.0.0.1").private_key_pem.bytes())
        daemon.process.send_signal(signal.SIGHUP)
        [entry] = daemon.wait_for(refused)
        assert entry["reason"] == f"{pair.key}: not the private key of {pair.certificate}"
        assert served(daemon, pair) == before
        pair.certificate.unlink()
        daemon.process.send_signal(signal.SIGHUP)
        assert str(pair.certificate) in daemon.wait_for(refused, 2)[1]["reason"]
        assert served(daemon, pair) == before
        renewed = pair.renew()
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("TLS certificate loaded")
        assert served(daemon, pair) == renewed


def test_sighup_without_tls_changes_nothing(daemon: Daemon) -> None:
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("reloading")
    assert daemon.request("GET", "/v2/")[0] == 200


def test_a_bad_pair_at_the_start_is_one_line(tmp_path: Path, pair: Pair) -> None:
    pair.key.write_text("nonsense")
    command = [sys.executable, "-m", "registry", "serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data")]
    done = subprocess.run(command, env=pair.settings, capture_output=True, text=True, timeout=60, check=False)
    line = f"cargohold: {pair.key}: no private key in PEM form, or a broken one\n"
    assert (done.returncode, done.stderr) == (1, line)


def test_only_clients_with_a_certificate_of_the_authority_are_let_in(tmp_path: Path, pair: Pair) -> None:
    clients = Pair(folder(tmp_path / "clients"))
    strangers = Pair(folder(tmp_path / "strangers"))
    settings = {**pair.settings, "CARGOHOLD_HTTP__TLS_CLIENT_CA": str(clients.ca_file)}
    with running(tmp_path / "data", settings) as daemon:
        for known, presented in ((True, clients), (False, strangers), (False, None)):
            context = pair.client_context()
            if presented is not None:
                context.load_cert_chain(presented.certificate, presented.key)
            client = Connection(daemon.port, context)
            if known:
                client.send(CHECK)
                assert client.answer().status == 200
            else:
                client.send_what_is_taken(CHECK)
                with pytest.raises(ssl.SSLError, match=r"certificate required|unknown ca"):
                    client.answer()
            client.close()
        reasons = [entry["reason"] for entry in daemon.wait_for("handshake failed", 2)]
        assert reasons[0].startswith("the client's certificate: ")
        assert reasons[1] == "peer did not return a certificate"


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_file_that_can_not_be_used_is_named(tmp_path: Path, pair: Pair) -> None:
    other = trustme.CA().issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)
    encrypted = serialization.load_pem_private_key(pair.key.read_bytes(), None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    bad = tmp_path / "bad"
    for name, data, part in (
        ("key", b"", "no private key in PEM form"),
        ("key", pair.key.read_bytes()[:-60], "no private key in PEM form"),
        ("key", other.private_key_pem.bytes(), f"not the private key of {pair.certificate}"),
        ("key", encrypted, "encrypted"),
        ("key", None, "can't be read: No such file or directory"),
        ("certificate", b"", "no certificate in PEM form"),
        ("certificate", pair.certificate.read_bytes()[:200], "no certificate in PEM form"),
        ("certificate", None, "can't be read: No such file or directory"),
        ("client_ca", b"nonsense", "no certificate in PEM form"),
        ("client_ca", None, "can't be read: No such file or directory"),
    ):
        bad.unlink(missing_ok=True)
        if data is not None:
            bad.write_bytes(data)
        files = {"certificate": pair.certificate, "key": pair.key, name: bad}
        with pytest.raises(CertificateUnusable) as caught:
            make_context(CertificateFiles(**files))
        assert str(caught.value).startswith(f"{bad}: "), name
        assert part in str(caught.value), name


def test_both_may_stand_in_one_file(tmp_path: Path, pair: Pair) -> None:
    made = pair.ca.issue_cert("127.0.0.1")
    both = tmp_path / "both.pem"
    both.write_bytes(made.private_key_pem.bytes() + chain(made))
    assert make_context(CertificateFiles(both, both)).minimum_version is ssl.TLSVersion.TLSv1_2
