"""The receiver of docs/adapters/webhook.md, taken from the page, takes what the adapter pushes, and nothing forged."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from adapters.sdk import Accepted, Later
from adapters.webhook import open_webhook
from runtime.files import write_file
from tests.adapters.conftest import until
from tests.adapters.simulator import NodeSimulator
from tests.adapters.webhook.conftest import SECRET
from tests.schemas.samples import DOCUMENT

PAGE = Path(__file__).parents[3] / "docs" / "adapters" / "webhook.md"


@pytest.fixture
def received() -> Iterator[tuple[str, dict[str, Any]]]:
    """The receiver's address, and what it stored."""
    [example] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    stored: dict[str, Any] = {}
    names: dict[str, Any] = {
        "SECRET": SECRET,
        "store": lambda key, message, files: stored.setdefault(key, (message, files)),
    }
    exec(compile(example, "webhook.md", "exec"), names)
    names["Receiver"].log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), names["Receiver"])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/congvan", stored
    server.shutdown()
    thread.join()
    server.server_close()


async def test_the_receiver_of_the_page_stores_what_is_genuine(
    received: tuple[str, dict[str, Any]], node: NodeSimulator, tmp_path: Path
) -> None:
    """Pushed twice it is stored once, with its files; with another secret, or an old time, it is not stored."""
    url, stored = received
    for name, secret in (("right", SECRET), ("wrong", b"another secret of enough bytes")):
        write_file(tmp_path / name, secret)
    delivery = node.delivery(DOCUMENT, attachments=[("a.pdf", b"%PDF")])
    other = replace(delivery, attachments=())
    outcomes = []
    for name, ahead, pushed in (
        ("right", 0, delivery),
        ("right", 0, delivery),
        ("wrong", 0, other),
        ("right", 3600, other),
    ):
        context = node.context(tmp_path, url=url, secret_file=str(tmp_path / name), listen="127.0.0.1:0")
        late = replace(
            context, clock=lambda ahead=ahead: datetime.fromtimestamp(datetime.now(UTC).timestamp() + ahead, UTC)
        )
        adapter = await open_webhook(late)
        stop = asyncio.Event()
        running = asyncio.create_task(adapter.run(stop))
        await until(lambda adapter=adapter: bool(adapter._base))
        outcomes.append(await adapter.deliver(pushed))
        stop.set()
        await running
        await adapter.close()
    refused = Later("The software answered with status 401.")
    assert outcomes == [Accepted(), Accepted(), refused, refused]
    [(key, (message, files))] = stored.items()
    assert (key, files) == (str(delivery.key), {"a.pdf": b"%PDF"})
    assert message["message"]["kind"] == "document"
