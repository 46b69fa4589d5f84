"""Where a program keeps its blobs: the settings, and the store that they select."""

from __future__ import annotations

import asyncio
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

import structlog
from pydantic import Field, field_validator, model_validator
from yarl import URL

from runtime.blob_bucket import BlobBucket
from runtime.blob_folder import BlobFolder
from runtime.blobs import BlobStore
from runtime.clock import Clock
from runtime.files import storage_errors
from runtime.object_storage import ObjectStorage, StorageKeys, StoragePlace
from runtime.passphrases import read_secret
from runtime.settings import Settings
from schemas.errors import Rejected, Unavailable

log = structlog.get_logger()

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_PREFIX: Final = re.compile(r"[A-Za-z0-9._/-]*", re.ASCII)

#: Faults that no waiting mends: a program that finds one as it starts says so and ends.
_FAULTS_OF_SETTINGS: Final = frozenset({"blob-store-bucket", "blob-store-refused", "blob-store-taken"})


#: Seconds that the store may take to answer at a start.
_PATIENCE: Final = 10.0


class BlobSettings(Settings):
    """Where attachments above 64 KiB are kept: in the folder, or on S3-compatible object storage.

    docs/object-storage.md says how to set up a bucket.
    """

    url: str = ""
    """s3://bucket/prefix. Empty: the folder `data`. Nothing is moved when this changes."""
    endpoint: str = ""
    """The server's address: https://s3.example.vn. Empty: AWS's own for the region. http:// is not encrypted."""
    region: str = "us-east-1"
    """The bucket's region; other servers than AWS take the default."""
    credentials_file: Path | None = None
    """A file (0600) with access_key_id and secret_access_key, as TOML; relative to the folder."""
    ca_file: Path | None = None
    """Certificates (PEM) of the authority that the server's certificate comes from, beside those of the system."""
    timeout_seconds: float = Field(60.0, ge=1, le=600)
    """How long one request may take; the longest bring or fetch 8 MiB."""

    @field_validator("url")
    @classmethod
    def _is_bucket(cls, text: str) -> str:
        url = URL(text)
        if text and (
            url.scheme != "s3"
            or url.user is not None
            or url.query_string
            or not _BUCKET.fullmatch(url.host or "")
            or not _PREFIX.fullmatch(url.path)
        ):
            # Not named: it may hold a key.
            raise ValueError("it is no place on object storage: write s3://bucket/prefix, without keys")
        return text.rstrip("/")

    @field_validator("endpoint")
    @classmethod
    def _is_web_address(cls, text: str) -> str:
        url = URL(text)
        if text and (url.scheme not in ("http", "https") or not url.host or url.user or url.path not in ("", "/")):
            raise ValueError("it is no server's address: write https://name:port, without keys")
        return text.rstrip("/")

    @field_validator("credentials_file", "ca_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        if self.url and self.credentials_file is None:
            raise ValueError("credentials_file must be set with url")
        return self


def blobs_of(settings: BlobSettings, *, folder: Path, beside: Path, clock: Clock) -> BlobStore:
    """The store that `settings` select: the one in `folder`, if they name no bucket. Nothing is asked of it yet.

    Paths are relative to `beside`. Raises Rejected: `secret-permissions`, `file-missing`, `credentials-syntax`.
    """
    if not settings.url or settings.credentials_file is None:
        return BlobFolder(folder)
    url = URL(settings.url)
    place = StoragePlace(
        bucket=url.host or "",
        prefix=url.path.strip("/"),
        endpoint=settings.endpoint,
        region=settings.region,
        authority=_content(beside / settings.ca_file) if settings.ca_file else None,
    )
    keys = _keys(beside / settings.credentials_file)
    return BlobBucket(ObjectStorage(place, keys, timeout=timedelta(seconds=settings.timeout_seconds)), clock)


async def try_at_start(blobs: BlobStore, owner: str) -> None:
    """Raise what no waiting mends: no such bucket, refused keys, a prefix that is not `owner`'s. The rest is logged.

    A program that starts while its object storage is away works on without it, as one that runs does.
    """
    try:
        async with asyncio.timeout(_PATIENCE):
            await blobs.claim(owner)
            await blobs.probe()
    except TimeoutError:
        log.error("blobs.unavailable", reason=f"no answer within {_PATIENCE:g} seconds")
    except Unavailable as error:
        if error.code in _FAULTS_OF_SETTINGS:
            raise
        log.error("blobs.unavailable", rule=error.code, reason=error.message, mend=error.mend)


def _keys(path: Path) -> StorageKeys:
    try:
        values = tomllib.loads(read_secret(path, least=1).decode())
        return StorageKeys(str(values["access_key_id"]), str(values["secret_access_key"]))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError):
        # Not chained: the error would quote what it stumbled over.
        raise Rejected(
            "credentials-syntax",
            f"{path} does not hold the keys of the object storage.",
            mend='Write two lines: access_key_id = "…" and secret_access_key = "…".',
        ) from None


def _content(path: Path) -> bytes:
    with storage_errors(path):
        return path.read_bytes()
