"""The ClamAV guard, against a real clamd: what it finds, what it cannot read, and what waits while it is down."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.guards.clamav import open_clamav
from adapters.guards.clamd import Clamd
from adapters.guards.protocol import Passes, Refuses, Waits
from schemas.errors import Rejected, Unavailable
from schemas.limits import MIB
from tests.adapters.guards.guarded import NOW, attachment, context, message
from tests.services.clamd import OWN_MALWARE, OWN_NAME, STREAM_BYTES, ClamdServer, eicar


@pytest.fixture(scope="module")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClamdServer]:
    with ClamdServer(tmp_path_factory.mktemp("clamd")) as server:
        yield server


@pytest.mark.parametrize("over", ["socket", "address"])
async def test_what_clamd_finds_is_refused_by_its_name(clamd: ClamdServer, over: str) -> None:
    """EICAR's file and one of our own signature refuse the document; clean and empty files pass, over either socket."""
    guard = await open_clamav(context("clamav", socket=str(getattr(clamd, over))))
    clean = await guard.judge(message(attachment("sạch.pdf"), attachment("rỗng.txt", b""), attachment("z", bytes(MIB))))
    assert isinstance(clean, Passes)
    assert clean.note.startswith("ClamAV ")
    for content, name in ((eicar(), "Congvan.Test-Eicar"), (bytes(3 * 65536) + OWN_MALWARE, OWN_NAME)):
        verdict = await guard.judge(message(attachment("sạch.pdf"), attachment("bẩn.pdf", content)))
        assert isinstance(verdict, Refuses)
        assert verdict.code == "virus-found"
        assert name in verdict.reason
        assert "bẩn.pdf" in verdict.reason


@pytest.mark.parametrize(("too_large", "verdict"), [("refuse", Refuses), ("wait", Waits)])
@pytest.mark.parametrize("largest", [100, 2 * STREAM_BYTES], ids=["by the setting", "by clamd"])
async def test_what_is_too_large_to_be_scanned_is_not_let_through(
    clamd: ClamdServer, too_large: str, verdict: type[Refuses | Waits], largest: int
) -> None:
    """An attachment beyond the guard's limit, or beyond clamd's own, refuses the document or lets it wait, as set."""
    guard = await open_clamav(context("clamav", socket=str(clamd.socket), largest_bytes=largest, too_large=too_large))
    said = await guard.judge(message(attachment("lớn.pdf", bytes(STREAM_BYTES + 65536))))
    assert isinstance(said, verdict)
    assert said.code == "scan-too-large"


async def test_a_long_attachment_is_streamed(clamd: ClamdServer) -> None:
    """A file goes to clamd chunk by chunk: the memory taken is a small part of its length."""
    length = STREAM_BYTES // 2

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(length // 65536):
            yield bytes(65536)

    tracemalloc.start()
    try:
        assert await Clamd(clamd.socket, 20).scan(chunks()) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < length / 4


async def test_a_clean_file_is_read_again_only_when_its_time_is_over(clamd: ClamdServer) -> None:
    """What was clean is remembered by its bytes, for as long as is set; other bytes are always read."""
    now = NOW
    opened = 0
    file = attachment("a.pdf")

    def counting(start: int):  # type: ignore[no-untyped-def]
        nonlocal opened
        opened += 1
        return file.open(start)

    place = context("clamav", socket=str(clamd.socket), remember_seconds=60)
    guard = await open_clamav(replace(place, clock=lambda: now))
    twice = message(replace(file, open=counting))
    for after, times in ((0, 1), (59, 1), (61, 2), (-3600, 3)):
        now = NOW + timedelta(seconds=after)
        assert isinstance(await guard.judge(twice), Passes)
        assert opened == times
    assert isinstance(await guard.judge(message(attachment("a.pdf", eicar()))), Refuses)


async def test_without_clamd_nobody_judges(tmp_path: Path) -> None:
    """A clamd that is not there is an error for later, named by its socket, and shown in the guard's health."""
    guard = await open_clamav(context("clamav", socket=str(tmp_path / "clamd.ctl")))
    with pytest.raises(Unavailable, match=r"clamd\.ctl") as error:
        await guard.judge(message(attachment("a.pdf")))
    assert error.value.code == "scanner-down"
    assert not (await guard.health()).ok
    with pytest.raises(Rejected, match="socket"):
        await open_clamav(context("clamav", socket="run/clamd.ctl"))
