"""S3-compatible object storage, as far as blobs need it: whole objects, bounded ranges, listings, and errors of ours.

Requests are signed, carry a SHA-256 of what they bring, which the server compares, and are repeated for a while when
the server or the way to it fails. None lasts longer than the timeout, whatever its object's size: what is long goes as
parts (S3 takes none below 5 MiB but the last) and comes as ranges.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from schemas.errors import Unavailable
from schemas.limits import GIB, MIB

if TYPE_CHECKING:
    # Of the library's description alone, not there at run time.
    from obstore.store import ClientConfig

#: The size of a part: what is in memory of an object that is written, twice.
PART: Final = 8 * MIB
#: How many parts an object may have (S3's limit is 10,000).
_PARTS: Final = 9_000
#: What is read with one request.
RANGE: Final = 4 * MIB
#: Longer objects are copied through this process, as parts: the server's own copy is one request of any duration.
_COPIED_AT_ONCE: Final = GIB
#: Names that a listing gives at a time.
_LISTED: Final = 1000

#: S3's own word for what is wrong, in its answer; the rest of an answer may name keys and is shown to nobody.
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_STATUS: Final = re.compile(r"status code: (\d{3} [A-Za-z ]+)")


class ObjectMissingError(LookupError):
    """There is no object of that name."""


@dataclass(frozen=True, slots=True)
class StorageKeys:
    """What proves to the storage who asks."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoragePlace:
    """Where objects are kept: below `prefix` in `bucket`, of the server `endpoint` (empty: AWS's for the region).

    `authority`: PEM certificates that the server's certificate may come from, beside the system's.
    """

    bucket: str
    prefix: str
    endpoint: str
    region: str
    authority: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix} at {self.endpoint or f'AWS {self.region}'}"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as a listing shows it; `written_at` by the server's clock."""

    name: str
    size: int
    written_at: datetime


class ObjectStorage:
    """The objects below one prefix of one bucket. `timeout`: how long one request may take."""

    def __init__(self, place: StoragePlace, keys: StorageKeys, *, timeout: timedelta) -> None:
        self.place = place
        client: ClientConfig = {
            "allow_http": place.endpoint.startswith("http://"),
            "connect_timeout": min(timedelta(seconds=5), timeout),
            "timeout": timeout,
        }
        if place.authority:
            client["root_certificate"] = place.authority
        self._store = S3Store(
            place.bucket,
            prefix=place.prefix or None,
            endpoint=place.endpoint or None,
            region=place.region,
            access_key_id=keys.access_key_id,
            secret_access_key=keys.secret_access_key,
            virtual_hosted_style_request=False,
            checksum_algorithm="sha256",
            client_options=client,
            retry_config={
                "max_retries": 5,
                "retry_timeout": timeout / 2,
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=3),
                    "base": 2,
                },
            },
        )

    def __repr__(self) -> str:
        return f"ObjectStorage({self.place})"

    async def put(self, name: str, content: bytes) -> None:
        """Have `content` as the object `name`, durable when this returns."""
        with self._errors(name):
            await obstore.put_async(self._store, name, content, use_multipart=False)

    async def put_parts(self, name: str, pieces: AsyncIterator[bytes], size: int) -> None:
        """Have the `pieces`, of `size` bytes together, as one object; nothing of it is there before all is.

        An error of `pieces` comes through, and no object is made.
        """
        part = max(PART, -(-size // _PARTS))
        with self._errors(name):
            # One part on its way beside the one that fills; an error that `pieces` raises aborts the upload.
            await obstore.put_async(self._store, name, pieces, use_multipart=True, chunk_size=part, max_concurrency=1)

    async def read(self, name: str, start: int, end: int) -> bytes:
        """The bytes from `start` up to, not including, `end`: more than none, and few enough for memory.

        Raises ObjectMissingError.
        """
        with self._errors(name):
            return bytes(await obstore.get_range_async(self._store, name, start=start, end=end))

    def reader(self, found: StoredObject) -> Callable[[int], bytes]:
        """Reads an object from its beginning, for code in a thread: the next bytes, up to so many, none at the end."""
        with self._errors(found.name):
            file = obstore.open_reader(self._store, found.name, buffer_size=RANGE, size=found.size)

        def read(count: int) -> bytes:
            with self._errors(found.name):
                return bytes(file.read(count))

        return read

    async def listed(self, prefix: str) -> AsyncGenerator[StoredObject, None]:
        """The objects below `prefix`, by name; what was written before this call is among them."""
        with self._errors(prefix):
            async for batch in obstore.list(self._store, prefix, chunk_size=_LISTED):
                for each in batch:
                    yield StoredObject(each["path"], each["size"], each["last_modified"])

    def listed_waiting(self, prefix: str) -> list[StoredObject]:
        """As `listed`, all at once, for code in a thread."""
        with self._errors(prefix):
            return [
                StoredObject(each["path"], each["size"], each["last_modified"])
                for batch in obstore.list(self._store, prefix, chunk_size=_LISTED)
                for each in batch
            ]

    async def copy(self, found: StoredObject, name: str) -> None:
        """Have the same bytes as another object, written now. Raises ObjectMissingError."""
        if found.size > _COPIED_AT_ONCE:
            await self.put_parts(name, self._pieces(found), found.size)
            return
        with self._errors(found.name):
            await obstore.copy_async(self._store, found.name, name)

    async def delete(self, names: Sequence[str]) -> None:
        """Drop objects; no error for one that is gone already."""
        if names:
            with self._errors(names[0]):
                await obstore.delete_async(self._store, names)

    async def _pieces(self, found: StoredObject) -> AsyncIterator[bytes]:
        for start in range(0, found.size, RANGE):
            yield await self.read(found.name, start, min(start + RANGE, found.size))

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Turn the library's errors into ours. Nothing of an answer is chained: it may name keys."""
        try:
            yield
        except FileNotFoundError as error:
            if _code(error) == "NoSuchBucket":
                raise self._no_bucket() from None
            raise ObjectMissingError(name) from None
        except BaseError as error:
            raise self._translated(error) from None

    def _translated(self, error: BaseError) -> Unavailable:
        text = str(error)
        code = _code(error)
        if code == "NoSuchBucket":
            return self._no_bucket()
        if code == "RequestTimeTooSkewed":
            return Unavailable(
                "blob-store-clock",
                f"{self.place} refuses requests: its clock and this machine's differ too much.",
                mend="Set both by NTP; work goes on by itself.",
            )
        status = found.group(1) if (found := _STATUS.search(text)) else ""
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or status[:3] in ("401", "403"):
            return Unavailable(
                "blob-store-refused",
                f"{self.place} refuses these keys ({code or status}).",
                mend="Correct the file named by `credentials_file` of [blobs], or what its keys may do in the bucket.",
            )
        if status.startswith("507") or code in ("QuotaExceeded", "XMinioStorageFull"):
            return Unavailable("storage-full", f"{self.place} has no room.", mend="Enlarge it; work goes on by itself.")
        if code or status:
            return Unavailable(
                "blob-store-failed",
                f"{self.place} fails ({code or status}).",
                mend="See the object storage's own log; work goes on by itself.",
            )
        if "certificate" in text:
            return Unavailable(
                "blob-store-certificate",
                f"{self.place} shows a certificate that is not trusted.",
                mend="Name its authority's certificate with `ca_file` of [blobs].",
            )
        return Unavailable(
            "blob-store-unreachable",
            f"{self.place} does not answer.",
            mend="Check `endpoint` of [blobs], the network and the object storage; work goes on by itself.",
        )

    def _no_bucket(self) -> Unavailable:
        return Unavailable(
            "blob-store-bucket",
            f"{self.place}: there is no such bucket.",
            mend="Make the bucket, or correct `url` of [blobs].",
        )


def _code(error: Exception) -> str:
    found = _CODE.search(str(error))
    return found.group(1) if found else ""
