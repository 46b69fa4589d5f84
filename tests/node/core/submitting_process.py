"""A process of its own that submits one key: `python -m tests.node.core.submitting_process WORLD NODE`.

It says `ready` on standard output, waits for a line, submits, and says the message id and whether it was a repeat.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import structlog

from adapters.sdk import Submission
from certs.keys import read_certificates
from certs.sealing import load_sealing_key
from node.usecases.identity import NodeIdentity
from tests.node.core.node_under_test import open_node
from tests.node.core.world import H23, H23_12, HUB, OWN, document
from tests.services.columns import SqliteColumn


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(world: Path, folder: Path) -> None:
    identity = NodeIdentity(
        connection=OWN,
        hub=HUB,
        hub_authority=read_certificates(world / "authority" / "root.pem"),
        seal=load_sealing_key(world / "seal.key", world / "seal.pem", None),
        enrolled_codes=(H23, H23_12),
    )
    async with open_node(folder, identity, "https://127.0.0.1:9", SqliteColumn()) as node:
        say("ready")
        await asyncio.to_thread(sys.stdin.readline)
        submitted = await node.facade.submit(Submission(key="K", fingerprint="f" * 64, message=document()))
        say(f"{submitted.message_id} {submitted.repeated}")


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
