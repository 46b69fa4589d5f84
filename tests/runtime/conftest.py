"""Stores of blobs: in a folder, and on object storage, opened as often as there are processes."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.blob_bucket import BlobBucket
from runtime.blob_folder import BlobFolder
from runtime.blob_settings import blobs_of
from runtime.blobs import BlobStore
from runtime.clock import utc_now
from tests.services.seaweedfs import SeaweedFs


@pytest.fixture
def folder_blobs(tmp_path: Path) -> BlobFolder:
    return BlobFolder(tmp_path / "store")


@pytest.fixture
def opening_bucket(tmp_path: Path, object_storage: SeaweedFs) -> Callable[[], BlobBucket]:
    """Opens one and the same prefix anew, as another process would."""
    settings = object_storage.settings(tmp_path, secrets.token_hex(8))

    def open_bucket() -> BlobBucket:
        blobs = blobs_of(settings, folder=tmp_path, beside=tmp_path, clock=utc_now)
        assert isinstance(blobs, BlobBucket)
        return blobs

    return open_bucket


@pytest.fixture(params=["folder", "bucket"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], BlobStore]:
    """Opens one and the same store anew, in each of its forms."""
    if request.param == "folder":
        return lambda: BlobFolder(tmp_path / "store")
    found: Callable[[], BlobStore] = request.getfixturevalue("opening_bucket")
    return found


@pytest.fixture
def blobs(opening: Callable[[], BlobStore]) -> BlobStore:
    return opening()
