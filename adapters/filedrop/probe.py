"""filedrop as the test kit sees it: a clerk who takes away what appears in in/, and drops files into out/."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.kit.probing import Shown, ShownFile
from runtime.files import make_private_folder

_META = {"from": "H23", "code": "1/UBND-VP", "place": "Hải Dương", "to": ["G22"], "signer": "Nguyễn Văn Mẫu"}


class FiledropProbe:
    """A drop in `folder`: a source, and a share that can be away. What the clerk takes is moved to an archive."""

    def __init__(self, folder: Path) -> None:
        self._drop = folder / "drop"
        self._archive = folder / "archive"
        make_private_folder(self._archive)

    @property
    def settings(self) -> Mapping[str, object]:
        return {"folder": str(self._drop), "poll_seconds": 0.02, "settle_seconds": 0.05}

    async def take(self) -> None:
        await asyncio.to_thread(self._move)

    def _move(self) -> None:
        number = sum(1 for _ in self._archive.iterdir())
        for shown in (self._drop / "in").glob("[!.]*"):
            shown.rename(self._archive / f"{number}-{shown.name}")
            number += 1

    async def shown(self) -> Sequence[Shown]:
        return await asyncio.to_thread(self._seen)

    def _seen(self) -> list[Shown]:
        return [_shown(folder) for folder in sorted(self._archive.iterdir())]

    async def send(self, number: int) -> None:
        await asyncio.to_thread(self._drop_folder, number)

    def _drop_folder(self, number: int) -> None:
        folder = self._drop / "out" / f"van-ban-{number}"
        folder.mkdir(parents=True)
        (folder / "thu.pdf").write_bytes(b"%PDF-1.4 " + str(number).encode())
        metadata = {**_META, "subject": f"V/v số {number}"}
        (folder / "meta.json").write_text(json.dumps(metadata, ensure_ascii=False), encoding="utf-8")

    async def break_down(self) -> None:
        (self._drop / "in").rename(self._drop / "away")

    async def mend(self) -> None:
        (self._drop / "away").rename(self._drop / "in")

    async def close(self) -> None: ...


def _shown(folder: Path) -> Shown:
    _, _, key = folder.name.partition("-")
    attachments = folder / "attachments"
    files = sorted(attachments.iterdir()) if attachments.is_dir() else []
    return Shown(key, tuple(ShownFile(file.name, _digest(file)) for file in files))


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


async def open_probe(folder: Path) -> FiledropProbe:
    """A probe whose software is a drop in `folder`."""
    return FiledropProbe(folder)
