"""The certificate of the TLS listeners, which can change while they serve."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import structlog
import trio

if TYPE_CHECKING:
    from pathlib import Path

_LOOK_SECONDS = 2

_Stamp: TypeAlias = list[tuple[int, ...] | None]

log = structlog.get_logger()


class CertificateUnusable(OSError):
    """The message names the file, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """In PEM form. With ``client_ca``, only clients with a certificate of such an authority are let in."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class LoadedCertificate:
    """``stamp`` is what the files were when they were read; ``expires_at`` is in seconds since the epoch."""

    files: CertificateFiles
    stamp: _Stamp
    context: ssl.SSLContext
    expires_at: float


def load_certificate(files: CertificateFiles) -> LoadedCertificate:
    """Raises CertificateUnusable."""
    return LoadedCertificate(files, _stamp(files), make_context(files), _expiry(files.certificate))


class Certificates:
    """``context`` is for the next connection; those that are open keep theirs."""

    def __init__(self, files: CertificateFiles) -> None:
        """Raises CertificateUnusable."""
        self._take(load_certificate(files))

    def use(self, loaded: LoadedCertificate) -> None:
        """Take these from now on, and look after their files."""
        self._take(loaded)
        log.info("TLS certificate loaded", certificate=str(loaded.files.certificate))

    def _take(self, loaded: LoadedCertificate) -> None:
        self._files = loaded.files
        self._seen = self._tried = loaded.stamp
        self.context = loaded.context
        self.expires_at = loaded.expires_at

    async def watch(self) -> NoReturn:
        """Load the files when they have changed and are at rest; what can't be used is logged, the old one stays."""
        while True:
            await trio.sleep(_LOOK_SECONDS)
            files = self._files
            stamp = await trio.to_thread.run_sync(_stamp, files, abandon_on_cancel=True)
            if files is not self._files:
                continue  # others were taken meanwhile
            is_at_rest, self._seen = stamp == self._seen, stamp
            if is_at_rest and stamp != self._tried:
                self._tried = stamp
                await self._load(files)

    async def _load(self, files: CertificateFiles) -> None:
        try:
            loaded = await trio.to_thread.run_sync(load_certificate, files, abandon_on_cancel=True)
        except OSError as error:  # CertificateUnusable is one, and so is a file that vanishes just then
            log.error("the TLS certificate can't be used; the one before stays", reason=str(error))  # noqa: TRY400
            return
        if files is self._files:
            self.use(loaded)


def make_context(files: CertificateFiles) -> ssl.SSLContext:
    """TLS 1.2 and later, HTTP/1.1 only. Raises CertificateUnusable."""
    _require_certificates(files.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _load_pair(context, files)
    if files.client_ca is not None:
        _require_certificates(files.client_ca)
        context.load_verify_locations(cafile=files.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _require_certificates(path: Path) -> None:
    _require_readable(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError):
        raise CertificateUnusable(f"{path}: no certificate in PEM form, or a broken one") from None


def _expiry(path: Path) -> float:
    """When the first of the chain ends, in seconds since the epoch. Raises CertificateUnusable."""
    from cryptography import x509  # noqa: PLC0415 (a large library, which a daemon without TLS does not need)

    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError:
        raise CertificateUnusable(f"{path}: no certificate in PEM form, or a broken one") from None
    return min(certificate.not_valid_after_utc.timestamp() for certificate in chain)


def _load_pair(context: ssl.SSLContext, files: CertificateFiles) -> None:
    _require_readable(files.key)
    if b"ENCRYPTED" in files.key.read_bytes():
        raise CertificateUnusable(f"{files.key}: the private key is encrypted; nobody is there to ask for its password")
    try:
        context.load_cert_chain(files.certificate, files.key, password="")
    except ssl.SSLError as error:
        reason = error.reason or ""
        if reason.endswith("_MISMATCH") or reason == "NO_CERTIFICATE_ASSIGNED":
            raise CertificateUnusable(f"{files.key}: not the private key of {files.certificate}") from None
        if reason in {"", "PEM_LIB"}:
            raise CertificateUnusable(f"{files.key}: no private key in PEM form, or a broken one") from None
        raise CertificateUnusable(f"{files.certificate}: {reason.replace('_', ' ').lower()}") from None


def _require_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise CertificateUnusable(f"{path}: can't be read: {error.strerror}") from None


def _stamp(files: CertificateFiles) -> _Stamp:
    """What changes when a file does."""
    return [_stamp_of(path) for path in (files.certificate, files.key, files.client_ca) if path is not None]


def _stamp_of(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
