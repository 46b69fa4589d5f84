"""Moving from a folder to a bucket: all that is whole is copied, once, and what is not is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.blob_bucket import BlobBucket
from runtime.blob_copy import copy_folder
from runtime.blob_folder import BlobFolder
from schemas.errors import Rejected, Unavailable
from tests.runtime.test_blobs import CONTENT, DIGEST, pieces, read


async def test_a_copy_takes_what_is_whole_and_goes_on_where_it_broke_off(
    folder_blobs: BlobFolder, opening_bucket: Callable[[], BlobBucket]
) -> None:
    """The second copy copies what the first did not; a damaged blob is named and not copied."""
    bucket = opening_bucket()
    await folder_blobs.put("u1", DIGEST, pieces(CONTENT), size=len(CONTENT))
    first = await copy_folder(folder_blobs.root, bucket, "hub")
    assert (first.copied, first.copied_bytes, first.present, first.damaged) == (1, len(CONTENT), 0, ())
    damaged = "ab" * 32
    folder_blobs.path(damaged).parent.mkdir(parents=True)
    folder_blobs.path(damaged).write_bytes(b"other bytes")
    second = await copy_folder(folder_blobs.root, bucket, "hub")
    assert (second.copied, second.present, second.damaged) == (0, 1, (damaged,))
    assert await read(bucket, DIGEST) == CONTENT
    assert await bucket.size(damaged) is None


async def test_a_copy_is_to_a_bucket_of_ones_own(
    folder_blobs: BlobFolder, opening_bucket: Callable[[], BlobBucket]
) -> None:
    """Without a bucket there is nothing to copy to; another's is refused."""
    with pytest.raises(Rejected) as caught:
        await copy_folder(folder_blobs.root, folder_blobs, "hub")
    assert caught.value.code == "blobs-in-folder"
    await copy_folder(folder_blobs.root, opening_bucket(), "hub")
    with pytest.raises(Unavailable) as taken:
        await copy_folder(folder_blobs.root, opening_bucket(), "node")
    assert taken.value.code == "blob-store-taken"
