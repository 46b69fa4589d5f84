"""Locks between processes of one machine, which end with the process that holds them, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from runtime.files import PRIVATE, storage_errors
from schemas.errors import CongvanError


@contextlib.contextmanager
def exclusive(path: Path, refusal: CongvanError) -> Iterator[None]:
    """Hold the lock file `path`, made if need be; raises `refusal` at once if another process holds it."""
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise refusal from error
        yield
    finally:
        os.close(descriptor)
