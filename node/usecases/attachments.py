"""Attachments by their digest: small ones in the database, the others in the folder of blobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from runtime.blobs import BlobStore
from runtime.database import Database
from schemas.envelope import Sha256Hex


class Attachments:
    def __init__(self, database: Database, blobs: BlobStore) -> None: ...

    def open(self, digest: Sha256Hex) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The bytes as a stream of chunks. Raises Unavailable (`blob-missing`)."""
        raise NotImplementedError
