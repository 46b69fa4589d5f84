"""Floors: what one document cannot cost less than, each step measured alone, in seconds of the processor."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from certs.signature_profile import ds
from schemas.validation import XSD_FOLDER

#: How many rows share a commit.
GROUP: Final = 16

#: Seconds of the processor for which each step is repeated.
_LONG_ENOUGH: Final = 0.1

_TABLE: Final = "CREATE TABLE rows (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body BLOB NOT NULL)"


@dataclass(frozen=True, slots=True)
class Floors:
    """Steps of one sealed envelope, on the libraries that do them, without anything of ours around them.

    `folder` is on the disk that the programs use. The steps are repeated until the clock of the processor has something
    to show; each gives seconds for one.
    """

    envelope: bytes
    key: rsa.RSAPrivateKey
    folder: Path

    def measure(self) -> Mapping[str, float]:
        """Every step: parse, schema, canonical, digest, verify, sign, row."""
        schema = etree.XMLSchema(file=XSD_FOLDER / "travel.xsd")
        tree = etree.fromstring(self.envelope)
        if not schema(tree):
            raise ValueError("the floor's envelope is not valid")
        unsigned = etree.fromstring(self.envelope)
        signature = next(unsigned.iter(ds("Signature")))
        signature.getparent().remove(signature)  # type: ignore[union-attr]  # it is no root
        canonical = etree.tostring(unsigned, method="c14n", exclusive=True)
        signed_info = etree.tostring(signature[0], method="c14n", exclusive=True)
        pkcs1, sha256 = padding.PKCS1v15(), hashes.SHA256()
        signed = self.key.sign(signed_info, pkcs1, sha256)
        public = self.key.public_key()
        return {
            "parse": _each(lambda: etree.fromstring(self.envelope)),
            "schema": _each(lambda: schema(tree)),
            "canonical": _each(lambda: etree.tostring(unsigned, method="c14n", exclusive=True)),
            "digest": _each(lambda: hashlib.sha256(canonical).digest()),
            "verify": _each(lambda: public.verify(signed, signed_info, pkcs1, sha256)),
            "sign": _each(lambda: self.key.sign(signed_info, pkcs1, sha256)),
            "row": self._row(),
        }

    def _row(self) -> float:
        """One row with the envelope in it, committed durably with others."""
        path = self.folder / "floor.db"
        path.unlink(missing_ok=True)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(_TABLE)
        numbers = iter(range(10**9))

        def commit() -> None:
            connection.execute("BEGIN IMMEDIATE")
            for _ in range(GROUP):
                name = hashlib.sha256(str(next(numbers)).encode()).hexdigest()
                connection.execute("INSERT INTO rows (name, body) VALUES (?, ?)", (name, self.envelope))
            connection.execute("COMMIT")

        try:
            return _each(commit) / GROUP
        finally:
            connection.close()


def accepting(floors: Mapping[str, float]) -> float:
    """What a document costs at least where it is taken: parsed, valid, canonical, digested, verified, in a row."""
    return sum(floors[step] for step in ("parse", "schema", "canonical", "digest", "verify", "row"))


def sealing(floors: Mapping[str, float]) -> float:
    """Likewise where it is sealed."""
    return sum(floors[step] for step in ("parse", "schema", "canonical", "digest", "sign", "row"))


def _each(step: Callable[[], object]) -> float:
    """Seconds of the processor for one `step`."""
    times = 1
    while True:
        started = time.process_time()
        for _ in range(times):
            step()
        if (used := time.process_time() - started) >= _LONG_ENOUGH:
            return used / times
        times *= 2
