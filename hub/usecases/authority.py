"""The hub's keys: the authority that lets nodes in, and what the hub itself signs and shows with."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from certs.authority import Authority
from certs.certificate_profiles import Chain
from certs.keys import PrivateKey, new_p256_key, read_certificates, read_key, write_certificates, write_key
from certs.names import hub_named
from certs.sealing_key import SealingKey, load_sealing_key
from certs.tls import push_client_context, server_context
from runtime.files import make_private_folder
from schemas.errors import Rejected


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where the hub's own keys lie: `<use>.key` and `<use>.pem` (leaf first) for tls, receipts and directory.

    `push.pem` is a second certificate of the TLS key: that of a client.
    """

    folder: Path

    def key(self, use: str) -> Path:
        return self.folder / f"{use}.key"

    def chain(self, use: str) -> Path:
        return self.folder / f"{use}.pem"


@dataclass(frozen=True, slots=True)
class KeyValidity:
    """Until when a certificate that the hub works with is valid."""

    use: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class HubKeys:
    """All keys of a hub that runs, read and checked."""

    authority: Authority = field(repr=False)
    receipts: SealingKey = field(repr=False)
    directory: SealingKey = field(repr=False)
    server: x509.Certificate
    files: KeyFiles
    passphrase: bytes | None = field(repr=False)

    def server_tls(self) -> ssl.SSLContext:
        """TLS for the public listener: clients may come without a certificate; one that they bring is ours."""
        return server_context(
            self.files.chain("tls"),
            self.files.key("tls"),
            self.passphrase,
            [self.authority.root, self.authority.tls.certificate],
        )

    def push_tls(self) -> ssl.SSLContext:
        """TLS for pushing to nodes; their certificates are compared by fingerprint."""
        return push_client_context(self.files.chain("push"), self.files.key("tls"), self.passphrase)

    def validities(self) -> tuple[KeyValidity, ...]:
        certificates = {
            "tls": self.server,
            "receipts": self.receipts.certificate,
            "directory": self.directory.certificate,
            "authority-tls": self.authority.tls.certificate,
            "authority-seals": self.authority.seals.certificate,
            "authority-root": self.authority.root,
        }
        return tuple(KeyValidity(use, certificate.not_valid_after_utc) for use, certificate in certificates.items())


def create_keys(
    authority_folder: Path,
    keys_folder: Path,
    *,
    name: str,
    addresses: tuple[str, ...],
    now: datetime,
    passphrase: bytes | None,
) -> None:
    """Make the authority of the hub `name`, and the hub's own keys with certificates under it.

    `addresses` are DNS names and IP addresses, beside the name, that the TLS certificate is good for.
    """
    authority = Authority.create(authority_folder, f"Congvan {name}", now=now, passphrase=passphrase)
    make_private_folder(keys_folder)
    files = KeyFiles(keys_folder)

    def put(use: str, key: PrivateKey, chain: Chain) -> None:
        write_key(files.key(use), key, passphrase)
        write_certificates(files.chain(use), chain)

    tls, receipts, directory = new_p256_key(), new_p256_key(), new_p256_key()
    put("tls", tls, authority.issue_server(tls.public_key(), [name, *addresses], now))
    write_certificates(files.chain("push"), authority.issue_push(tls.public_key(), name, now))
    put("receipts", receipts, authority.issue_receipts(receipts.public_key(), name, now))
    put("directory", directory, authority.issue_directory(directory.public_key(), name, now))


def renew_expiring(
    authority_folder: Path, keys_folder: Path, *, name: str, passphrase: bytes | None, now: datetime, within: timedelta
) -> tuple[str, ...]:
    """Certify anew, for the same keys, what of the hub's own certificates ends `within` that time; gives their uses.

    A certificate for pushing that is not there yet is made. The TLS certificate keeps its names. The authority's own
    certificates are not renewed: nodes know them. Each is good since the one before it was: made while the clock was
    years ahead, it would else be of no use to anybody once the clock is right.
    """
    files = KeyFiles(keys_folder)
    ending = tuple(
        use
        for use in ("tls", "push", "receipts", "directory")
        if not _lasts(files.chain(use), now + within, may_lack=use == "push")
    )
    if not ending:
        return ()
    authority = Authority.open(authority_folder, passphrase)
    for use in ending:
        key = read_key(files.key("tls" if use == "push" else use), passphrase).public_key()
        before = read_certificates(files.chain(use))[0] if files.chain(use).exists() else None
        since = before.not_valid_before_utc if before is not None else None
        match use:
            case "tls":
                names = server_names_of(read_certificates(files.chain(use))[0])
                chain = authority.issue_server(key, names, now, since=since)
            case "push":
                chain = authority.issue_push(key, name, now, since=since)
            case "receipts":
                chain = authority.issue_receipts(key, name, now, since=since)
            case _:
                chain = authority.issue_directory(key, name, now, since=since)
        write_certificates(files.chain(use), chain)
    return ending


def _lasts(chain: Path, until: datetime, *, may_lack: bool) -> bool:
    """Whether the certificate in `chain` is good for longer than `until`; one that `may_lack` and does is not."""
    if may_lack and not chain.exists():
        return False
    return read_certificates(chain)[0].not_valid_after_utc > until


def server_names_of(certificate: x509.Certificate) -> list[str]:
    """The DNS names and IP addresses that a server certificate is good for."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [
        *names.get_values_for_type(x509.DNSName),
        *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    ]


def open_keys(authority_folder: Path, keys_folder: Path, *, name: str, passphrase: bytes | None) -> HubKeys:
    """Read all keys. Raises KeyRejected for files that do not fit, `hub-name` if they are those of another hub."""
    files = KeyFiles(keys_folder)

    def signing(use: str) -> SealingKey:
        return load_sealing_key(files.key(use), files.chain(use), passphrase)

    keys = HubKeys(
        authority=Authority.open(authority_folder, passphrase),
        receipts=signing("receipts"),
        directory=signing("directory"),
        server=read_certificates(files.chain("tls"))[0],
        files=files,
        passphrase=passphrase,
    )
    for use, key in (("receipts", keys.receipts), ("directory", keys.directory)):
        if hub_named(key.certificate) != name:
            raise Rejected(
                "hub-name",
                f"{files.chain(use)} is the certificate of {hub_named(key.certificate)!r}, the settings name {name!r}.",
                mend="Set [hub] name back: it stands in every receipt that was ever given.",
            )
    return keys
